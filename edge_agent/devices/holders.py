"""Which programs have a local port open, by Linux' /proc. Another user's programs are seen by root only."""

import os
import stat
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path

PROC = Path("/proc")
_PTMX = os.makedev(5, 2)
# Linux, Documentation/admin-guide/devices.txt: the ends of pseudo-terminals that programs open.
_PTY_MAJORS = range(136, 144)

_File = tuple[int, ...]


@dataclass(frozen=True, slots=True)
class Holder:
    """A process that has the port open; `program` is its name, as `ps` shows it."""

    pid: int
    program: str

    def __str__(self) -> str:
        return "this program itself" if self.pid == os.getpid() else f"{self.program} (process {self.pid})"


def holders(port: str) -> list[Holder]:
    """Who has `port` open, by whatever name. Empty if nobody is seen, or it is no port."""
    wanted = _file(port)
    if wanted is None:
        return []
    found = []
    for process in PROC.iterdir():
        if process.name.isdigit() and wanted in _open_files(process):
            with suppress(OSError):  # it has just ended
                found.append(Holder(int(process.name), (process / "comm").read_text(errors="replace").strip()))
    return sorted(found, key=lambda holder: holder.pid)


def strangers(port: str) -> list[Holder]:
    """Other programs at our end of the line. One that made the pseudo-terminal stands at the other end of it."""
    return [h for h in holders(port) if h.pid != os.getpid() and not (is_pty(port) and _makes_ptys(h.pid))]


def is_pty(port: str) -> bool:
    """Whether it is a pseudo-terminal, behind whatever link."""
    with suppress(OSError):
        return os.major(os.stat(port).st_rdev) in _PTY_MAJORS
    return False


def _makes_ptys(pid: int) -> bool:
    return (_PTMX,) in _open_files(PROC / str(pid))


def _open_files(process: Path) -> set[_File]:
    found = set()
    with suppress(OSError):  # another user's, or it has ended
        for descriptor in (process / "fd").iterdir():
            if (file := _file(str(descriptor))) is not None:
                found.add(file)
    return found


def _file(path: str) -> _File | None:
    """What tells a character device from others: a pseudo-terminal's number repeats in every container."""
    try:
        status = os.stat(path)
    except OSError:
        return None
    if not stat.S_ISCHR(status.st_mode):
        return None
    if os.major(status.st_rdev) in _PTY_MAJORS:
        return (status.st_rdev, status.st_dev, status.st_ino)
    return (status.st_rdev,)
