"""A disk that says no: a SQLite file layer over the real one, whose writes and syncs fail on command."""

from collections.abc import Callable

import apsw


class FailingDisk(apsw.VFS):
    """`full`: every write is refused as on a disk without room. `broken_sync`: fsync reports EIO for matching names."""

    def __init__(self, name: str) -> None:
        self.name = name
        self.full = False
        self.read_only = False
        self.broken_sync: Callable[[str], bool] = lambda _: False
        self.syncs = 0
        super().__init__(name, base="")

    def xOpen(self, name: str | apsw.URIFilename | None, flags: list[int]) -> "FailingFile":
        return FailingFile(self, name, flags)


class FailingFile(apsw.VFSFile):
    def __init__(self, disk: FailingDisk, name: str | apsw.URIFilename | None, flags: list[int]) -> None:
        self.disk = disk
        self.name = name.filename() if isinstance(name, apsw.URIFilename) else name or ""
        super().__init__("", name, flags)

    def xWrite(self, data: bytes, offset: int) -> None:
        if self.disk.full:
            raise apsw.FullError("no room")
        if self.disk.read_only:
            raise apsw.ReadOnlyError("read-only")
        super().xWrite(data, offset)

    def xSync(self, flags: int) -> None:
        self.disk.syncs += 1
        if self.disk.broken_sync(self.name):
            error = apsw.IOError("EIO")
            error.extendedresult = apsw.SQLITE_IOERR_FSYNC  # type: ignore[attr-defined]
            raise error
        super().xSync(flags)
