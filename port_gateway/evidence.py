"""Evidence by content address: files under `ab/cd/<sha256>`, complete and verified before they get that name.

    partial/<booth>/<sha256>  ─ all bytes there, digest right, fsync ─►  ab/cd/<sha256>  ─► fsync of the folders

Partial files are kept a booth apart, so that no booth can spoil the upload of another.
"""

import hashlib
import os
import re
import threading
from collections.abc import Iterator
from pathlib import Path
from typing import Self

from edge_agent.domain.errors import Permanent, Recoverable, StoreFailed, StoreFull
from edge_agent.wire.identity import SpiffeId

# One X-ray scan of a container has some 40 MB.
MAX_BLOB_BYTES = 64 * 1024 * 1024
CHUNK_BYTES = 256 * 1024
# What one booth can leave unfinished: 16 × 64 MiB.
MAX_PARTIALS_A_BOOTH = 16
_NO_ROOM = {28, 122, 27}  # ENOSPC, EDQUOT, EFBIG


class BlobMismatch(Permanent):
    """The bytes received are not those that the digest names."""


class BlobBusy(Recoverable):
    """The same piece of evidence is being uploaded already, or too many are."""


class EvidenceFiles:
    """The folder of evidence. Calls block on the disk: make them from a thread."""

    def __init__(self, folder: Path) -> None:
        self._folder = folder
        self._lock = threading.Lock()
        self._uploading: set[tuple[str, bytes]] = set()

    def path(self, sha256: bytes) -> Path:
        """Where the complete file lies, or will lie."""
        name = sha256.hex()
        return self._folder / name[:2] / name[2:4] / name

    def complete(self, sha256: bytes) -> bool:
        """Whether the whole is here, verified and durable. Raises StoreFailed."""
        path = self.path(sha256)
        with _disk_in_words(path):
            return path.is_file()

    def committed_size(self, booth: SpiffeId, sha256: bytes) -> int:
        """How much of it this booth has sent; the full size when it is complete."""
        for path in (self.path(sha256), self._partial(booth, sha256)):
            try:
                return path.stat().st_size
            except FileNotFoundError:
                continue
        return 0

    def upload(self, booth: SpiffeId, sha256: bytes, size: int, offset: int) -> "Upload":
        """Go on with a piece of evidence at `offset`. Raises Permanent (limits), BlobBusy, StoreFull, StoreFailed."""
        if size > MAX_BLOB_BYTES:
            raise Permanent(f"{size} bytes of evidence, at most {MAX_BLOB_BYTES}", "send a smaller file")
        committed = self.committed_size(booth, sha256)
        if offset > committed or offset > size:
            raise Permanent(f"cannot begin at {offset}: {min(committed, size)} bytes are here", "ask StatBlobs first")
        key = (str(booth), sha256)
        partial = self._partial(booth, sha256)
        with self._lock:
            if key in self._uploading:
                raise BlobBusy(f"{sha256.hex()} is being uploaded already", "wait for the other upload")
            busy = {digest.hex() for booth_id, digest in self._uploading if booth_id == key[0]}
            if len(busy) >= MAX_PARTIALS_A_BOOTH:
                raise BlobBusy(f"{len(busy)} uploads at once", "finish one of them first")
            with _disk_in_words(partial):
                partial.parent.mkdir(parents=True, exist_ok=True, mode=0o700)
                _make_room(partial, busy)
            self._uploading.add(key)
        try:
            with _disk_in_words(partial):
                return Upload(self, key, partial, sha256, size, offset)
        except BaseException:
            self.release(key)
            raise

    def read(self, sha256: bytes) -> Iterator[bytes]:
        """The bytes in chunks. Raises FileNotFoundError at the first."""
        with self.path(sha256).open("rb") as file:
            while chunk := file.read(CHUNK_BYTES):
                yield chunk

    def since_before(self, utc_s: float) -> Iterator[bytes]:
        """The digests of whole files that were written before this time. Raises StoreFailed."""
        with _disk_in_words(self._folder):
            for path in self._folder.glob("[0-9a-f][0-9a-f]/**/*"):
                if SHA256_HEX.fullmatch(path.name) and path.is_file() and path.stat().st_mtime < utc_s:
                    yield bytes.fromhex(path.name)

    def remove(self, sha256: bytes) -> None:
        """Whether it is there or not. Raises StoreFailed."""
        path = self.path(sha256)
        with _disk_in_words(path):
            path.unlink(missing_ok=True)

    def keep(self, partial: Path, sha256: bytes) -> None:
        """Give a verified and synced partial file its name, durably."""
        final = self.path(sha256)
        final.parent.mkdir(parents=True, exist_ok=True, mode=0o700)
        partial.rename(final)
        for folder in (final.parent, final.parent.parent, self._folder, partial.parent):
            _sync_folder(folder)

    def release(self, key: tuple[str, bytes]) -> None:
        """The upload under `key` is over."""
        with self._lock:
            self._uploading.discard(key)

    def _partial(self, booth: SpiffeId, sha256: bytes) -> Path:
        return self._folder / "partial" / f"{booth.port}_{booth.name}" / sha256.hex()


def _make_room(partial: Path, busy: set[str]) -> None:
    """Remove the uploads that were given up longest ago, so that `partial` fits."""
    others = [path for path in partial.parent.iterdir() if path.name not in busy and path != partial]
    others.sort(key=lambda path: path.stat().st_mtime_ns)
    for path in others[: max(0, len(others) + len(busy) + 1 - MAX_PARTIALS_A_BOOTH)]:
        path.unlink()


class Upload:
    """One upload in progress: `write` chunks, then `finish`. A context manager; leaving it keeps what has come."""

    def __init__(
        self, files: EvidenceFiles, key: tuple[str, bytes], partial: Path, sha256: bytes, size: int, offset: int
    ) -> None:
        self._files = files
        self._key = key
        self._partial = partial
        self._sha256 = sha256
        self._size = size
        self._hash = hashlib.sha256()
        self.committed = 0
        # Unbuffered: what a full disk refused must not lie in a buffer.
        self._file = partial.open("r+b" if partial.exists() else "w+b", buffering=0)
        try:
            while self.committed < offset:  # what came before is hashed again
                chunk = self._file.read(min(CHUNK_BYTES, offset - self.committed))
                if not chunk:
                    raise Permanent(f"cannot begin at {offset}: {self.committed} bytes are here", "ask StatBlobs first")
                self._hash.update(chunk)
                self.committed += len(chunk)
            self._file.truncate(offset)
        except BaseException:
            self._file.close()
            raise

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        try:
            with _disk_in_words(self._partial):
                self._file.close()
        finally:
            self._files.release(self._key)

    def write(self, chunk: bytes) -> None:
        """Raises Permanent beyond the stated size, StoreFull, StoreFailed."""
        if self.committed + len(chunk) > self._size:
            raise Permanent(f"more than the {self._size} bytes that were announced", "announce the whole size")
        with _disk_in_words(self._partial):
            try:
                rest = memoryview(chunk)
                while rest:
                    rest = rest[self._file.write(rest) :]
            except OSError:
                self._file.truncate(self.committed)
                raise
        self._hash.update(chunk)
        self.committed += len(chunk)

    def finish(self) -> bool:
        """Whether the whole is now durable; False while bytes are missing. Raises BlobMismatch, and forgets them."""
        if self.committed < self._size:
            return False
        if self._hash.digest() != self._sha256:
            self._partial.unlink(missing_ok=True)
            raise BlobMismatch(f"the bytes are not those of {self._sha256.hex()}", "read the file again and send anew")
        with _disk_in_words(self._partial):
            os.fsync(self._file.fileno())
            self._files.keep(self._partial, self._sha256)
        return True


def check_file(path: Path, sha256: bytes) -> bool:
    """Whether the file holds the bytes that the digest names."""
    digest = hashlib.sha256()
    with path.open("rb") as file:
        while chunk := file.read(CHUNK_BYTES):
            digest.update(chunk)
    return digest.digest() == sha256


class _disk_in_words:  # noqa: N801 - reads as a verb
    """OSError as StoreFull or StoreFailed."""

    def __init__(self, path: Path) -> None:
        self._path = path

    def __enter__(self) -> None:
        return

    def __exit__(self, kind: object, error: BaseException | None, trace: object) -> None:
        if isinstance(error, OSError):
            if error.errno in _NO_ROOM:
                raise StoreFull(f"{self._path}: no room for evidence", "free disk space") from None
            raise StoreFailed(f"{self._path}: {error.strerror}", "check the disk and its permissions") from None


def _sync_folder(folder: Path) -> None:
    descriptor = os.open(folder, os.O_RDONLY | os.O_DIRECTORY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)


SHA256_HEX = re.compile(r"[0-9a-f]{64}")
