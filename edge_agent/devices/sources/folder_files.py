"""What is done to the files of a watched folder: listed, read and put away. Not for the event loop."""

import errno
import os
import stat
from collections.abc import Iterable, Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Literal

from edge_agent.devices.sources.folder_memory import FolderMemory
from edge_agent.devices.sources.gathering import Entry, WholeScan, all_entries
from edge_agent.domain.errors import LinkDown

After = Literal["move", "delete", "remember"]

# More names than a folder that is put away ever has; more would take long to list, every time.
MAX_NAMES = 50_000
_DELETED = ".edge-agent-deleted-"


@dataclass(frozen=True, slots=True)
class Listing:
    """What is in the folder but other folders, and how much room its file system has."""

    entries: tuple[Entry, ...]
    free_mb: int


class NotAsListed(Exception):
    """The file is gone or was changed since it was listed: it is looked at anew."""


class FolderFiles:
    """One folder's. Raises LinkDown when it is away, is another one, or cannot be listed."""

    def __init__(self, directory: Path, after: After, done: Path, memory: Path | None, mount: Path | None) -> None:
        self.directory = directory
        self.done = done
        self.memory: FolderMemory | None = None
        self._after = after
        self._memory_path = memory
        self._mount = mount
        self._device: int | None = None  # st_dev of the folder

    def prepare(self) -> None:
        directory, mount = self.directory, self._mount
        if mount is not None and not os.path.ismount(mount):
            raise LinkDown(f"{mount} is not mounted", "mount the scanner's share; the agent goes on by itself")
        with _folder_faults(directory):
            self._device = os.stat(os.path.join(directory, ".")).st_dev  # of a file this is an error
        if self._after == "move":
            self._prepare_done()
        if self._after == "delete":
            with _folder_faults(directory):
                self._remove_deleted()
        if self._after == "remember" and self._memory_path is not None:
            self.memory = FolderMemory(self._memory_path)

    def _prepare_done(self) -> None:
        done = self.done
        try:
            done.mkdir(exist_ok=True)
            if os.stat(done).st_dev != self._device:
                raise LinkDown(
                    f"{done} lies on another file system than {self.directory}, and files are moved in one step",
                    "set `done_directory` to a folder beside it",
                )
            probe = done / f".edge-agent-{os.getpid()}"
            probe.touch()
            probe.unlink()
        except OSError as error:
            raise LinkDown(
                f"{done} cannot be written: {error.strerror}",
                "give the agent's user the right to write there, or set `after: remember`",
            ) from None

    def _remove_deleted(self) -> None:
        """What a kill left between a file's renaming and its deletion."""
        for found in self.directory.glob(f"{_DELETED}*"):
            found.unlink(missing_ok=True)

    def list(self) -> Listing:
        directory = self.directory
        with _folder_faults(directory):
            here = os.stat(directory)
            if here.st_dev != self._device:
                raise LinkDown(f"{directory} was unmounted, or mounted anew", "the agent goes on when it is back")
            entries = tuple(self._entries(directory))
            room = os.statvfs(directory)
        if self.memory is not None:
            self.memory.keep_only({entry.name for entry in entries})
        return Listing(entries, room.f_bavail * room.f_frsize // 1_000_000)

    def _entries(self, directory: Path) -> Iterable[Entry]:
        with os.scandir(directory) as names:
            for count, found in enumerate(names):
                if count >= MAX_NAMES:
                    raise LinkDown(
                        f"{directory} holds more than {MAX_NAMES} names",
                        "clear it, or let the agent move or delete what it has taken over (`after`)",
                    )
                with suppress(FileNotFoundError):  # gone since
                    status = found.stat(follow_symlinks=False)
                    if not stat.S_ISDIR(status.st_mode):
                        yield _entry(found.name, status)

    def content(self, entry: Entry) -> bytes:
        """The bytes of the file that was listed: neither what a link points to, nor a file that is being written."""
        path = self.directory / entry.name
        try:
            # A name that became a pipe since it was listed must not hold us.
            descriptor = os.open(path, os.O_RDONLY | os.O_NOFOLLOW | os.O_NONBLOCK | os.O_CLOEXEC)
            with os.fdopen(descriptor, "rb") as file:
                if _entry(entry.name, os.fstat(file.fileno())) != entry:
                    raise NotAsListed(entry.name)
                data = file.read(entry.size + 1)
                if len(data) != entry.size or _entry(entry.name, os.fstat(file.fileno())) != entry:
                    raise NotAsListed(entry.name)
                return data
        except OSError as error:
            if error.errno in (errno.ENOENT, errno.ELOOP, errno.ENXIO, errno.ESTALE):
                raise NotAsListed(entry.name) from None
            if isinstance(error, PermissionError):
                raise
            raise LinkDown(f"{path} cannot be read: {error.strerror}", "check the disk or the network share") from None

    def put_away(self, scan: WholeScan, digests: dict[str, str]) -> None:
        """Markers last: without its marker a file that is still there would wait for ever. Raises OSError."""
        if self.memory is not None:
            self.memory.add((entry, digests.get(entry.name, "")) for entry in all_entries(scan))
            return
        for entry in all_entries(scan):
            path = self.directory / entry.name
            with suppress(FileNotFoundError):
                if _entry(entry.name, os.lstat(path)) != entry:
                    continue  # written anew meanwhile: the next scan's
                if self._after == "move":
                    to = _free_name(self.done, entry, digests.get(entry.name, ""))
                else:
                    to = self.directory / f"{_DELETED}{entry.inode}"
                path.rename(to)
                if _entry(entry.name, os.lstat(to)) != entry and not os.path.lexists(path):
                    to.rename(path)  # the scanner renamed a new file to that name, between the two calls
                elif self._after == "delete":
                    to.unlink()
        for directory in (self.directory, *([self.done] if self._after == "move" else [])):
            with suppress(OSError):  # not every network share can; what a power cut undoes is taken over again
                _sync(directory)


def _sync(directory: Path) -> None:
    descriptor = os.open(directory, os.O_RDONLY | os.O_DIRECTORY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)


def _entry(name: str, status: os.stat_result) -> Entry:
    return Entry(name, status.st_size, status.st_mtime_ns, status.st_ino, stat.S_ISREG(status.st_mode))


def _free_name(directory: Path, entry: Entry, sha256: str) -> Path:
    """A name in `directory` that nothing has: a file that was moved there before is never written over."""
    path = directory / entry.name
    for number in range(1, 10_000):
        if not os.path.lexists(path):
            return path
        mark = sha256[:12] or str(entry.mtime_ns)
        path = directory / f"{path.stem}.{mark}{'' if number == 1 else f'-{number}'}{Path(entry.name).suffix}"
    raise OSError(errno.EEXIST, f"{directory} has {entry.name} in every form")


@contextmanager
def _folder_faults(directory: Path) -> Iterator[None]:
    """Raises LinkDown in place of OSError."""
    try:
        yield
    except (FileNotFoundError, NotADirectoryError):
        raise LinkDown(f"{directory} is not there", "create it or mount it; the agent goes on by itself") from None
    except OSError as error:
        raise LinkDown(
            f"{directory} cannot be listed: {error.strerror}",
            "check the disk or the network share, and the agent's user's rights",
        ) from None
