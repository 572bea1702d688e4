"""SQLite under the inbox: WAL, synchronous=FULL, one writer thread that commits the work of all booths together.

    submit(job) ─► queue ─► BEGIN … job, job, job … COMMIT (fsync) ─► every job's future is set

Nothing is told to a booth before its future is set. Disk full fails the group and leaves the store as it was;
an I/O error may hide a lost write, and corruption is corruption: both stop the store for good (domain/errors.py).
"""

import contextlib
import queue
import threading
from collections.abc import Callable, Iterator
from concurrent.futures import Future
from importlib import resources
from pathlib import Path
from typing import Generic, TypeVar

import apsw

from edge_agent.domain.errors import EdgeAgentError, Fatal, Recoverable, StoreCorrupt, StoreFailed, StoreFull
from port_gateway.evidence_index import note_all_evidence
from port_gateway.lane_quarters import note_anew, note_words, words_changed
from port_gateway.retention_index import note_all_uses

T = TypeVar("T")

APPLICATION_ID = 0x45504757  # "EPGW": a wrong path is told from a damaged inbox
MIGRATIONS = (
    "0001.sql",
    "0002.sql",
    "0003.sql",
    "0004.sql",
    "0005.sql",
    "0006.sql",
    "0007.sql",
    "0008.sql",
    "0009.sql",
    "0010.sql",
    "0011.sql",
    "0012.sql",
    "0013.sql",
    "0014.sql",
)  # the n-th brings an inbox from user_version n - 1 to n, in a transaction of its own
_SERVE_ONCE = "start `port-gateway serve` once: it brings the inbox to the new schema"
# Another process (`trust add`) holds the write lock for milliseconds.
BUSY_TIMEOUT_MS = 10_000
# Events wait so long for readers to let go of the log, where it is emptied.
LOG_TIMEOUT_MS = 100
# One group's jobs; bounds the time to the first acknowledgement of the group.
MAX_GROUP = 256


@contextlib.contextmanager
def _in_words(path: Path) -> Iterator[None]:
    """SQLite's errors as ours."""
    try:
        yield
    except apsw.FullError:
        raise StoreFull(f"{path}: no room for more events", "free disk space or raise limits.database_bytes") from None
    except _NOT_WHAT_WAS_WRITTEN as error:
        raise StoreCorrupt(
            f"{path}: does not hold what was written to it ({error})",
            "stop the gateway, keep a copy of the data folder, and restore it from a backup; booths send again",
        ) from None
    except apsw.BusyError:
        raise Recoverable(f"{path}: locked by another process", "end the other process, then try again") from None
    except OSError as error:
        raise StoreFailed(f"{path}: {error.strerror}", "check `data` in the settings, and the disk") from None
    except (apsw.IOError, apsw.CantOpenError, apsw.ReadOnlyError, apsw.PermissionsError, apsw.NoMemError) as error:
        raise StoreFailed(f"{path}: {error}", "check the disk and the folder's permissions, then start again") from None


# A damaged file also shows as text that is no UTF-8, and as a table that is not there.
_NOT_WHAT_WAS_WRITTEN = (
    apsw.CorruptError,
    apsw.NotADBError,
    apsw.ConstraintError,
    apsw.MismatchError,
    apsw.SQLError,
    UnicodeDecodeError,
)


class _Job(Generic[T]):
    def __init__(self, work: Callable[[apsw.Connection], T]) -> None:
        self._work = work
        self.future: Future[T] = Future()
        self.future.set_running_or_notify_cancel()  # whoever waits for it may leave: it is done all the same
        self._value: T | None = None
        self._error: EdgeAgentError | None = None

    def run(self, db: apsw.Connection) -> None:
        """An error of our own undoes this job alone; SQLite's errors end the whole group."""
        db.execute("SAVEPOINT job")
        try:
            self._value, self._error = self._work(db), None
        except EdgeAgentError as error:
            db.execute("ROLLBACK TO job")
            self._error = error
        db.execute("RELEASE job")

    def done(self) -> None:
        if self._error is not None:
            self.future.set_exception(self._error)
        else:
            self.future.set_result(self._value)  # type: ignore[arg-type]

    def failed(self, error: BaseException) -> None:
        self.future.set_exception(error)


class Store:
    """An open inbox file. Close it; also when it has failed."""

    def __init__(self, path: Path, max_bytes: int | None = None) -> None:
        """Opens or creates `path`. Raises StoreCorrupt, StoreFailed, StoreFull, Recoverable (locked)."""
        self.path = path
        self.on_commit: Callable[[], None] = lambda: None  # called on the writer's thread
        self.on_failure: Callable[[Fatal], None] = lambda error: None  # likewise, at most once
        self._failure: Fatal | None = None
        self._closed = False
        self._full = False
        self._locked = False
        self._log_over = False
        self._jobs: queue.SimpleQueue[_Job[object] | None] = queue.SimpleQueue()
        self._submitting = threading.Lock()
        self._readers: queue.SimpleQueue[apsw.Connection] = queue.SimpleQueue()
        with _in_words(path):
            path.parent.mkdir(parents=True, exist_ok=True, mode=0o700)
            path.touch(mode=0o600)  # the watch list is its owner's to read; SQLite's files beside it follow
            self._db = apsw.Connection(str(path))
            try:
                self._prepare(max_bytes)
            except BaseException:
                self._db.close()
                raise
        self._thread = threading.Thread(target=self._write, name="inbox-writer")
        self._thread.start()

    def _prepare(self, max_bytes: int | None) -> None:
        db = self._db
        db.set_busy_timeout(BUSY_TIMEOUT_MS)
        db.execute("PRAGMA journal_mode=WAL")
        db.execute("PRAGMA synchronous=FULL")
        db.execute("PRAGMA secure_delete=ON")  # what is deleted is overwritten in the file
        while self._migrate():
            pass
        _check_kind(db, self.path)
        if words_changed(db):
            self._note_anew()
        if max_bytes is not None:  # a full inbox is brought to the new schema all the same
            self.limit(db, max_bytes)

    def _migrate(self) -> bool:
        """One migration, if one is due: whole or not at all. `trust add` may be opening the same inbox."""
        db = self._db
        db.execute("BEGIN IMMEDIATE")
        try:
            version = _number(db, "PRAGMA user_version")
            new = _number(db, "PRAGMA schema_version") == 0
            due = new or (_number(db, "PRAGMA application_id") == APPLICATION_ID and version < len(MIGRATIONS))
            if due:
                db.execute(script(MIGRATIONS[version]))
                if MIGRATIONS[version] == "0006.sql":
                    note_all_evidence(db)
                if MIGRATIONS[version] == "0009.sql":
                    note_all_uses(db)
                if MIGRATIONS[version] == "0010.sql":
                    self._owner_only()
                if MIGRATIONS[version] == "0014.sql":
                    note_words(db)
                db.execute(f"PRAGMA application_id={APPLICATION_ID}")
                db.execute(f"PRAGMA user_version={version + 1}")
            db.execute("COMMIT")
        except BaseException:
            if db.in_transaction:
                db.execute("ROLLBACK")
            raise
        return due

    def _note_anew(self) -> None:
        self._db.execute("BEGIN IMMEDIATE")
        try:
            note_anew(self._db)
            self._db.execute("COMMIT")
        except BaseException:
            if self._db.in_transaction:
                self._db.execute("ROLLBACK")
            raise

    def _owner_only(self) -> None:
        """An inbox of before the watch list may lie there for others to read."""
        for name in ("", "-wal", "-shm"):
            with contextlib.suppress(FileNotFoundError, PermissionError):
                Path(f"{self.path}{name}").chmod(0o600)

    @staticmethod
    def limit(db: apsw.Connection, max_bytes: int) -> None:
        """The file grows no further than about `max_bytes`; then the store is full."""
        pages = max(1, max_bytes // _number(db, "PRAGMA page_size"))
        db.execute(f"PRAGMA max_page_count={pages}")

    @property
    def writable(self) -> bool:
        """Whether events can be kept, as far as is known: by the last commit, and `has_room`."""
        return not self._full and not self._locked and self._failure is None

    def has_room(self) -> None:
        """A full store was tried with more than a small row, and took it."""
        self._full = False

    def submit(self, work: Callable[[apsw.Connection], T]) -> Future[T]:
        """Run `work` in the next commit. The future is set when it is durable, or with the error.

        `work` sees its own group's earlier jobs. Raises the store's failure when there has been one.
        """
        job = _Job(work)
        with self._submitting:
            if self._failure is not None:
                raise self._failure
            if self._closed:
                raise Recoverable(f"{self.path}: closed", "start the gateway again")
            self._jobs.put(job)  # type: ignore[arg-type]
        return job.future

    def empty_log(self) -> None:
        """What was overwritten in the file still stands in SQLite's log, for months where little comes: cut that off.
        While a reader needs the log, it stays as it is.
        """
        self._log_over = True
        self.submit(lambda db: None).result()

    @contextlib.contextmanager
    def reading(self) -> Iterator[apsw.Connection]:
        """A connection inside one read transaction: a consistent picture. For one thread at a time."""
        with _in_words(self.path):
            try:
                db = self._readers.get_nowait()
            except queue.Empty:
                db = open_reader(self.path)
            try:
                db.execute("BEGIN")
                yield db
                db.execute("COMMIT")
            except BaseException:
                db.close()
                raise
            if self._closed:
                db.close()
            else:
                self._readers.put(db)

    def close(self) -> None:
        """Commits what was submitted, then closes. May be called twice."""
        with self._submitting:
            if self._closed:
                return
            self._closed = True
            self._jobs.put(None)
        self._thread.join()
        with contextlib.suppress(queue.Empty):
            while True:
                self._readers.get_nowait().close()
        self._db.close()

    # --- the writer's thread ----------------------------------------------------------------------------------
    def _write(self) -> None:
        while (group := self._take()) is not None:
            self._commit(group)

    def _take(self) -> list[_Job[object]] | None:
        first = self._jobs.get()
        if first is None:
            return None
        group = [first]
        with contextlib.suppress(queue.Empty):
            while len(group) < MAX_GROUP:
                job = self._jobs.get_nowait()
                if job is None:
                    self._jobs.put(None)  # nothing follows it: submit() refuses once closed
                    break
                group.append(job)
        return group

    def _commit(self, group: list[_Job[object]]) -> None:
        if self._failure is not None:
            for job in group:
                job.failed(self._failure)
            return
        try:
            with _in_words(self.path):
                if self._log_over:
                    self._cut_log()
                self._db.execute("BEGIN IMMEDIATE")
                for job in group:
                    job.run(self._db)
                self._db.execute("COMMIT")
        except EdgeAgentError as error:
            self._undo(group, error)
            return
        except BaseException as error:
            self._undo(group, StoreFailed(f"{self.path}: the writer stopped: {error!r}", "report this fault"))
            raise
        self._locked = False
        self.on_commit()
        for job in group:
            job.done()

    def _cut_log(self) -> None:
        self._log_over = False
        self._db.set_busy_timeout(LOG_TIMEOUT_MS)
        try:
            self._db.execute("PRAGMA wal_checkpoint(TRUNCATE)").fetchall()
        except (apsw.BusyError, apsw.FullError):
            return
        finally:
            self._db.set_busy_timeout(BUSY_TIMEOUT_MS)

    def _undo(self, group: list[_Job[object]], error: EdgeAgentError) -> None:
        if isinstance(error, StoreFull):
            self._full = True
        elif isinstance(error, Recoverable):
            self._locked = True
        if isinstance(error, Fatal):
            with self._submitting:
                self._failure = error
        # A full disk has rolled back by itself in some cases; on a fatal error the state no longer matters.
        with contextlib.suppress(apsw.Error):
            if self._db.in_transaction:
                self._db.execute("ROLLBACK")
        for job in group:
            job.failed(error)
        if isinstance(error, Fatal):
            self.on_failure(error)


def open_reader(path: Path) -> apsw.Connection:
    """A connection that cannot write, for one thread."""
    db = apsw.Connection(str(path), flags=apsw.SQLITE_OPEN_READONLY)
    db.set_busy_timeout(BUSY_TIMEOUT_MS)
    return db


@contextlib.contextmanager
def offline(path: Path) -> Iterator[apsw.Connection]:
    """The inbox at `path` in one read transaction, without a writer. Raises StoreCorrupt, StoreFailed."""
    if not path.exists():
        raise StoreFailed(f"{path}: there is no inbox", "check `data` in the settings; `serve` makes the inbox")
    with _in_words(path), contextlib.closing(open_reader(path)) as db:
        _check_kind(db, path)
        if words_changed(db):
            raise StoreFailed(f"{path}: counts lanes in the words of another version", _SERVE_ONCE)
        db.execute("BEGIN")
        yield db


def script(name: str) -> str:
    """The statements of one migration."""
    return resources.files("port_gateway").joinpath("schema", name).read_text()


def _check_kind(db: apsw.Connection, path: Path) -> None:
    if _number(db, "PRAGMA application_id") != APPLICATION_ID:
        raise StoreCorrupt(f"{path}: not an inbox of the port gateway", "check `data` in the settings")
    version = _number(db, "PRAGMA user_version")
    if version > len(MIGRATIONS):
        raise StoreCorrupt(
            f"{path}: has schema {version}, this gateway knows {len(MIGRATIONS)}",
            "use the gateway version that wrote it, or a newer one",
        )
    if version < len(MIGRATIONS):
        raise StoreFailed(
            f"{path}: has schema {version}, this gateway works with {len(MIGRATIONS)}",
            _SERVE_ONCE,
        )


def _number(db: apsw.Connection, query: str) -> int:
    value = db.execute(query).get
    assert isinstance(value, int)  # noqa: S101 - SQLite's pragmas
    return value
