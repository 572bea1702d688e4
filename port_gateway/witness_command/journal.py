"""What a witness has cosigned: one row a log, durable before any answer. Losing it is losing the witness.

submission ─► BEGIN IMMEDIATE ─► compare with the row ─► new row ─► COMMIT (fsync) ─► only then the signature
"""

import contextlib
import threading
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import NamedTuple, cast

import apsw

from edge_agent.domain.errors import Permanent, StoreCorrupt, StoreFailed, StoreFull
from edge_agent.wire.add_checkpoint import Declined, Head, Seen, Submission, judge
from edge_agent.wire.tree import EMPTY_ROOT

APPLICATION_ID = 0x45505754  # "EPWT"
# Of one key: a port has a few dozen booths, and a booth a new epoch every few years.
MAX_LOGS = 10_000
# Proofs of misbehaviour: the first ones count.
MAX_REFUSALS = 1000
_SCHEMA = """
CREATE TABLE log (
    origin          TEXT PRIMARY KEY,
    key             TEXT NOT NULL,     -- the log's verifier key
    size            INTEGER NOT NULL,
    root            BLOB NOT NULL,
    note            BLOB NOT NULL,     -- the checkpoint as the log signed it
    cosigned_utc_s  INTEGER NOT NULL
) STRICT, WITHOUT ROWID;
CREATE INDEX log_of ON log (key);
CREATE TABLE refusal (                 -- of what a known log signed: it has shown two chains, or its proof was wrong
    number     INTEGER PRIMARY KEY AUTOINCREMENT,
    origin     TEXT NOT NULL,
    seen_size  INTEGER NOT NULL,       -- what had been cosigned then
    seen_note  BLOB NOT NULL,
    status     INTEGER NOT NULL,
    why        TEXT NOT NULL,
    request    BLOB NOT NULL,
    at_utc_s   INTEGER NOT NULL,
    UNIQUE (origin, seen_size, status)
) STRICT;
"""


class Kept(NamedTuple):
    """The latest cosigned checkpoint of a log."""

    origin: str
    key: str
    size: int
    root: bytes
    cosigned_utc_s: int


@dataclass(frozen=True, slots=True)
class Refusal:
    """A submission that did not fit what had been cosigned; both notes are signed by the log."""

    origin: str
    seen_size: int
    status: int
    why: str
    at_utc_s: int
    seen_note: bytes
    note: bytes


def make_journal(path: Path) -> None:
    """An empty one. Raises Permanent when there is one already, StoreFailed."""
    if path.exists():
        raise Permanent(f"{path} exists already", "a witness never begins anew under its old key")
    with _in_words(path), contextlib.closing(apsw.Connection(str(path))) as db:
        path.chmod(0o600)
        db.execute("PRAGMA journal_mode=WAL")
        db.execute("PRAGMA synchronous=FULL")
        with db:
            db.execute(_SCHEMA)
            db.execute(f"PRAGMA application_id={APPLICATION_ID}")


class Journal:
    """An open journal, for all threads. Close it."""

    def __init__(self, path: Path) -> None:
        """Raises StoreFailed (not there), StoreCorrupt."""
        if not path.exists():
            raise StoreFailed(
                f"{path}: what this witness cosigned is not there",
                'where it is lost, the witness\'s key is retired (docs/operate.md, "Witnesses")',
            )
        self.path = path
        self._lock = threading.Lock()
        self._failed = False
        with _in_words(path):
            self._db = apsw.Connection(str(path), flags=apsw.SQLITE_OPEN_READWRITE)
            self._db.set_busy_timeout(5000)
            self._db.execute("PRAGMA synchronous=FULL")
            if self._db.execute("PRAGMA application_id").get != APPLICATION_ID:
                self._db.close()
                raise StoreCorrupt(f"{path}: not the state of a witness", "check `state` in the settings")

    def close(self) -> None:
        with self._lock:
            self._db.close()

    def advance(self, submission: Submission, head: Head, request: bytes, now_s: Callable[[], int]) -> int:
        """When it returns, `head` is durably the latest of its log: the time to sign with.

        Raises Declined; StoreFull (nothing has changed); StoreFailed, StoreCorrupt (nothing is to be signed any more).
        """
        with self._lock, self._fatal(), _in_words(self.path):
            db = self._db
            db.execute("BEGIN IMMEDIATE")
            try:
                seen, note = self._seen(head.origin)
                try:
                    at_s = now_s()
                    self._judge(submission, head, seen)
                except Declined as declined:
                    if declined.status == 422 or (declined.status == 409 and submission.old == seen.size):
                        self._refused(head.origin, seen, note, declined, request, at_s)
                    db.execute("COMMIT")
                    raise
                row = (head.origin, str(head.by), head.size, head.root, submission.note, at_s)
                db.execute("INSERT OR REPLACE INTO log VALUES (?,?,?,?,?,?)", row)
                db.execute("COMMIT")
            except BaseException:
                if db.in_transaction:
                    db.execute("ROLLBACK")
                raise
            return at_s

    def logs(self) -> list[Kept]:
        with self._lock, _in_words(self.path):
            rows = self._db.execute("SELECT origin, key, size, root, cosigned_utc_s FROM log ORDER BY origin")
            return [Kept(*row) for row in cast("list[tuple[str, str, int, bytes, int]]", rows.fetchall())]

    def refusals(self) -> list[Refusal]:
        with self._lock, _in_words(self.path):
            rows = self._db.execute(
                "SELECT origin, seen_size, status, why, at_utc_s, seen_note, request FROM refusal ORDER BY number"
            )
            found = cast("list[tuple[str, int, int, str, int, bytes, bytes]]", rows.fetchall())
            return [Refusal(*row[:-1], row[-1].partition(b"\n\n")[2]) for row in found]

    def _seen(self, origin: str) -> tuple[Seen, bytes]:
        row = self._db.execute("SELECT size, root, note FROM log WHERE origin = ?", (origin,)).fetchone()
        return (Seen(0, EMPTY_ROOT), b"") if row is None else (Seen(row[0], row[1]), row[2])

    def _judge(self, submission: Submission, head: Head, seen: Seen) -> None:
        judge(submission, head, seen)
        if seen.size == 0:
            count = self._db.execute("SELECT count(*) FROM log WHERE key = ?", (str(head.by),)).get
            if not isinstance(count, int) or count >= MAX_LOGS:
                raise Declined(429, f"{head.by.name} has {MAX_LOGS} logs here already")

    def _refused(self, origin: str, seen: Seen, note: bytes, declined: Declined, request: bytes, at_s: int) -> None:
        count = self._db.execute("SELECT count(*) FROM refusal").get
        if isinstance(count, int) and count < MAX_REFUSALS:
            row = (origin, seen.size, note, declined.status, declined.wrong, request, at_s)
            self._db.execute(
                "INSERT OR IGNORE INTO refusal (origin, seen_size, seen_note, status, why, request, at_utc_s)"
                " VALUES (?,?,?,?,?,?,?)",
                row,
            )

    @contextlib.contextmanager
    def _fatal(self) -> Iterator[None]:
        """After a fault that may hide a lost write nothing more is cosigned."""
        if self._failed:
            raise StoreFailed(f"{self.path}: has failed before", "start the witness again")
        try:
            yield
        except (StoreFailed, StoreCorrupt):
            self._failed = True
            raise


@contextlib.contextmanager
def _in_words(path: Path) -> Iterator[None]:
    try:
        yield
    except apsw.FullError:
        raise StoreFull(f"{path}: no room", "free disk space") from None
    except (apsw.CorruptError, apsw.NotADBError, apsw.SQLError) as error:
        raise StoreCorrupt(f"{path}: does not hold what was written to it ({error})", "keep a copy, and look") from None
    except (apsw.Error, OSError) as error:
        raise StoreFailed(f"{path}: {error}", "check the disk and the folder's permissions") from None
