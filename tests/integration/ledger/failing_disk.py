"""A disk that says no: a SQLite file layer over the real one, whose writes and syncs fail on command."""

from collections.abc import Callable

import apsw


class FailingDisk(apsw.VFS):
    """`full`: every write is refused as on a disk without room. `broken_sync`: fsync reports EIO for matching names.

    `fail_at(what, n)`: the n-th such call from now on fails, once; `failed` says that it came. `what` is "full" or
    "write" (a write without room, or with EIO), "sync", "read", or "any" of those and of truncating.
    """

    def __init__(self, name: str) -> None:
        self.name = name
        self.full = False
        self.read_only = False
        self.broken_sync: Callable[[str], bool] = lambda _: False
        self.syncs = 0
        self.failed = False
        self._what, self._left = "", 0
        super().__init__(name, base="")

    def fail_at(self, what: str, number: int) -> None:
        self._what, self._left, self.failed = what, number, False

    def called(self, what: str) -> None:
        """Raises when it is this call's turn to fail."""
        wanted = {"full": "write", "any": what}.get(self._what, self._what)
        if wanted != what or self.failed:
            return
        self._left -= 1
        if self._left == 0:
            self.failed = True
            raise apsw.FullError("no room") if self._what == "full" else _eio(what)

    def xOpen(self, name: str | apsw.URIFilename | None, flags: list[int]) -> "FailingFile":
        return FailingFile(self, name, flags)


class FailingFile(apsw.VFSFile):
    def __init__(self, disk: FailingDisk, name: str | apsw.URIFilename | None, flags: list[int]) -> None:
        self.disk = disk
        self.name = name.filename() if isinstance(name, apsw.URIFilename) else name or ""
        super().__init__("", name, flags)

    def xRead(self, amount: int, offset: int) -> bytes:
        self.disk.called("read")
        return super().xRead(amount, offset)

    def xTruncate(self, newsize: int) -> None:
        self.disk.called("truncate")
        super().xTruncate(newsize)

    def xWrite(self, data: bytes, offset: int) -> None:
        if self.disk.full:
            raise apsw.FullError("no room")
        if self.disk.read_only:
            raise apsw.ReadOnlyError("read-only")
        self.disk.called("write")
        super().xWrite(data, offset)

    def xSync(self, flags: int) -> None:
        self.disk.syncs += 1
        if self.disk.broken_sync(self.name):
            raise _eio("sync")
        self.disk.called("sync")
        super().xSync(flags)


def _eio(what: str) -> apsw.IOError:
    error = apsw.IOError("EIO")
    error.extendedresult = {  # type: ignore[attr-defined]
        "sync": apsw.SQLITE_IOERR_FSYNC,
        "read": apsw.SQLITE_IOERR_READ,
        "truncate": apsw.SQLITE_IOERR_TRUNCATE,
        "write": apsw.SQLITE_IOERR_WRITE,
    }[what]
    return error
