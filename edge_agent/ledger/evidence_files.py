"""Evidence as files named by their SHA-256: `ab/cd/<sha256>`. A file with that name is whole and on the disk."""

import errno
import hashlib
import os
from pathlib import Path

from edge_agent.domain.errors import StoreFailed
from edge_agent.domain.evidence import Evidence
from edge_agent.ledger.faults import CHECK_DISK, file_faults
from edge_agent.wire.refused import RefusalCode, Refused

_UNFINISHED = "unfinished"
# One X-ray scan of a container has some 40 MB; the port takes no more than this.
MAX_EVIDENCE_BYTES = 64 * 1024 * 1024


class EvidenceFiles:
    """The evidence under one directory. One writer; any number of readers."""

    def __init__(self, directory: Path) -> None:
        self.directory = directory
        self._synced: set[Path] = set()

    def prepare(self) -> None:
        """Make the directory, and remove what a kill left half written. Raises StoreFull, StoreFailed."""
        unfinished = self.directory / _UNFINISHED
        with file_faults(self.directory):
            self._make_directory(self.directory)
            self._make_directory(unfinished)
            for leftover in unfinished.iterdir():
                leftover.unlink()

    def path(self, sha256: bytes) -> Path:
        """Where the evidence with this digest lies, if it is kept."""
        name = sha256.hex()
        return self.directory / name[:2] / name[2:4] / name

    def keep(self, evidence: Evidence) -> None:
        """On return the bytes are on the disk under their digest; nothing half is left otherwise.

        Twice the same evidence is one file. A file that no longer matches its digest is written anew.
        Raises StoreFull, StoreFailed, or Refused(OVERSIZED): the port would never take it.
        """
        if len(evidence.data) > MAX_EVIDENCE_BYTES:
            raise Refused(
                RefusalCode.OVERSIZED, f"evidence of {len(evidence.data)} bytes, at most {MAX_EVIDENCE_BYTES}"
            )
        path = self.path(evidence.sha256)
        with file_faults(path):
            for directory in (path.parent.parent, path.parent):
                self._make_directory(directory)
            if self.read(evidence.sha256) is None:
                self._write(path, evidence.data)
            sync_directory(path.parent)  # also when the file was there: a kill may have come before this line

    def _make_directory(self, directory: Path) -> None:
        """Once a run also for one that exists: a power cut may have come before its name was on the disk."""
        if directory not in self._synced:
            directory.mkdir(mode=0o700, exist_ok=True)
            sync_directory(directory.parent)
            self._synced.add(directory)

    def _write(self, path: Path, data: bytes) -> None:
        unfinished = self.directory / _UNFINISHED / path.name
        try:
            descriptor = os.open(unfinished, os.O_WRONLY | os.O_CREAT | os.O_TRUNC, 0o600)
            with os.fdopen(descriptor, "wb") as file:
                file.write(data)
                file.flush()
                os.fsync(file.fileno())
            unfinished.rename(path)
        except OSError:
            unfinished.unlink(missing_ok=True)
            raise

    def remove(self, sha256: bytes) -> None:
        """Whether it is there or not. Raises StoreFailed."""
        path = self.path(sha256)
        with file_faults(path):
            path.unlink(missing_ok=True)

    def read(self, sha256: bytes) -> bytes | None:
        """The bytes, verified; None when the file is missing or is not what its name says. Raises StoreFailed."""
        path = self.path(sha256)
        try:
            data = path.read_bytes()
        except OSError as error:
            if error.errno in (errno.ENOENT, errno.EIO):
                return None
            # Out of descriptors or memory, no right to read: that says nothing about the file.
            raise StoreFailed(f"{path}: cannot be read: {error.strerror}", CHECK_DISK) from error
        return data if hashlib.sha256(data).digest() == sha256 else None


def sync_directory(directory: Path) -> None:
    """Names made in or renamed into `directory` are on the disk on return. Raises OSError."""
    descriptor = os.open(directory, os.O_RDONLY | os.O_DIRECTORY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)
