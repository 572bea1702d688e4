"""What SQLite and the file system say, in the words of domain/errors.py."""

import errno
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import apsw

from edge_agent.domain.errors import StoreCorrupt, StoreFailed, StoreFull

# EFBIG and EDQUOT are a limit set on this process or user: as with a full disk, there may be room later.
_FULL = {errno.ENOSPC, errno.EDQUOT, errno.EFBIG}
MAKE_ROOM = "free space under the ledger: it goes on by itself"
CHECK_DISK = "check the disk and the kernel's log; the agent restarts, re-opens and checks what is there"
SALVAGE = (
    "do not delete it: stop the agent, copy the whole directory away, look at the disk, then run "
    "`edge-agent ledger salvage`: it takes over every event that is whole"
)


# A damaged file also shows as text that is no UTF-8, as a value of another type, and as a table that is not there.
_NOT_WHAT_WAS_WRITTEN = (
    apsw.CorruptError,
    apsw.NotADBError,
    apsw.ConstraintError,
    apsw.MismatchError,
    apsw.SQLError,
    UnicodeDecodeError,
    TypeError,
)


@contextmanager
def sqlite_faults(path: Path) -> Iterator[None]:
    """Raises StoreFull, StoreCorrupt or StoreFailed in place of apsw's errors."""
    try:
        yield
    except apsw.FullError:
        raise StoreFull(f"{path}: no room for the event", MAKE_ROOM) from None
    except _NOT_WHAT_WAS_WRITTEN as error:
        raise StoreCorrupt(f"{path}: {error}", SALVAGE) from error
    except apsw.IOError as error:
        if getattr(error, "extendedresult", 0) == apsw.SQLITE_IOERR_SHMSIZE:  # the index beside the log could not grow
            raise StoreFull(f"{path}: no room for the log's index", MAKE_ROOM) from None
        if getattr(error, "extendedresult", 0) == apsw.SQLITE_IOERR_SHORT_READ:
            raise StoreCorrupt(f"{path}: a part of it is missing", SALVAGE) from error
        raise StoreFailed(f"{path}: the disk failed ({error}): the last write may be lost", CHECK_DISK) from error
    except (apsw.ReadOnlyError, apsw.CantOpenError, apsw.PermissionsError) as error:
        raise StoreFailed(
            f"{path}: cannot be written: {error}", "mount the disk writable and give the agent's user the directory"
        ) from error
    except apsw.BusyError as error:
        raise StoreFailed(f"{path}: another program holds it: {error}", "end that program") from error
    except apsw.Error as error:
        raise StoreFailed(f"{path}: {error}", CHECK_DISK) from error


@contextmanager
def file_faults(path: Path) -> Iterator[None]:
    """Raises StoreFull or StoreFailed in place of OSError."""
    try:
        yield
    except OSError as error:
        if error.errno in _FULL:
            raise StoreFull(f"{path}: {error.strerror}", MAKE_ROOM) from None
        if error.errno in (errno.EROFS, errno.EACCES, errno.EPERM, errno.ENOTDIR, errno.ENOENT):
            raise StoreFailed(
                f"{path}: cannot be written: {error.strerror}",
                "check the path, mount the disk writable and give the agent's user the directory",
            ) from error
        raise StoreFailed(f"{path}: the disk failed: {error.strerror}", CHECK_DISK) from error
