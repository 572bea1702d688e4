"""The booth's copy of what the port expects, in an SQLite file of its own.

A page is taken up whole or not at all; a list that comes anew takes the place of the old one when all of it is here,
and until then the old one is looked in. A commit is not synced: after a power cut the file is as it was some seconds
before, and the port sends what is missing. A file that does not hold what was written is set aside, and all is fetched.
"""

import logging
import threading
from collections.abc import Iterator, Sequence
from contextlib import closing, contextmanager, suppress
from datetime import datetime
from importlib.resources import files
from pathlib import Path
from typing import Any

import apsw
from google.protobuf.message import DecodeError

from edge_agent.domain.errors import PortRefused, StoreCorrupt, StoreFailed, StoreFull
from edge_agent.domain.expected import ExpectationList, ExpectedCrossing, IdentifierKind
from edge_agent.domain.identifiers import fold_plate
from edge_agent.wire.codec_expected import ExpectationUnreadable, crossing_of, list_message, list_of, microseconds
from edge_agent.wire.v1alpha1 import expected_pb2 as wire
from edge_agent.wire.v1alpha1.watch_pb2 import ExpectationsPage

log = logging.getLogger(__name__)

FOLDER, DATABASE = "expected", "expected.sqlite3"
DAMAGED = "damaged.sqlite3"  # the last file that was set aside
APPLICATION_ID = 0x45644578  # "EdEx"
SCHEMA = 1
# More than a port keeps; beyond it the port is not what it should be, and the booth's disk is not its own.
MAX_HELD = 60_000
MAX_CANDIDATES = 500
BUSY_MS = 2_000
_CODE_WITHOUT_DIGIT = 10


class ExpectationStore:
    """May be used from any thread. Raises StoreCorrupt, StoreFull, StoreFailed."""

    def __init__(self, path: Path | None) -> None:
        """Opens or creates the file; None keeps the copy in memory alone."""
        self.path = path
        self._one_at_a_time = threading.Lock()
        with self._faults():
            if path is not None:
                path.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
                path.touch(mode=0o600)
            self._db = apsw.Connection(":memory:" if path is None else str(path))
            try:
                self._prepare()
            except BaseException:
                self._db.close()
                raise

    @classmethod
    def opened(cls, folder: Path) -> "ExpectationStore":
        """The copy in this folder. What cannot be used is set aside or done without, and said: a lane never waits."""
        path = folder / DATABASE
        try:
            try:
                return cls(path)
            except StoreCorrupt as error:
                log.error("%s; it is set aside as %s, and the port sends the list again", error.wrong, DAMAGED)
                set_aside(path)
                return cls(path)
        except (StoreCorrupt, StoreFailed, StoreFull) as error:
            log.error("what the port expects is kept in memory only, until a restart: %s", error)
            return cls(None)

    def _prepare(self) -> None:
        db = self._db
        db.set_busy_timeout(BUSY_MS)
        db.execute("PRAGMA journal_mode = WAL").fetchall()
        db.execute("PRAGMA synchronous = NORMAL")
        db.execute("PRAGMA journal_size_limit = 4194304")
        if db.execute("PRAGMA user_version").get == 0 and db.execute("SELECT count(*) FROM sqlite_schema").get == 0:
            with db:
                db.execute((files("edge_agent.expectations") / "schema" / "0001.sql").read_text())
                db.execute(f"PRAGMA application_id = {APPLICATION_ID}")
                db.execute(f"PRAGMA user_version = {SCHEMA}")
        found = db.execute("PRAGMA quick_check(1)").get
        kind = db.execute("PRAGMA application_id").get, db.execute("PRAGMA user_version").get
        if found != "ok" or kind != (APPLICATION_ID, SCHEMA):
            raise StoreCorrupt(f"{self.path}: {found if found != 'ok' else 'of another program or version'}")

    def close(self) -> None:
        with self._one_at_a_time, suppress(apsw.Error):
            self._db.close()

    # --- what is held -----------------------------------------------------------------------------------------
    def held(self) -> tuple[ExpectationList | None, int | None]:
        """The state of the list, and when the port last said that it is the newest (µs since 1970, booth's clock)."""
        with self._reading() as db:
            return _held(db)

    def count(self) -> int:
        """How many crossings are expected here."""
        with self._reading() as db:
            return _count(db)

    def candidates(self, texts: Sequence[tuple[IdentifierKind, str]], now: datetime | None) -> list[ExpectedCrossing]:
        """What may be a vehicle of which these plates and codes were read; `now`: without those that have run out."""
        found: dict[str, ExpectedCrossing] = {}
        with self._reading() as db:
            generation = db.execute("SELECT generation FROM held").get
            for kind, text in texts:
                head, tail = _halves(kind, text)
                for condition, value in (("(head, tail) = (?3, ?4)", 0), ("head = ?3", 0), ("tail = ?4", 0)):
                    rows: list[tuple[Any, ...]] = db.execute(
                        "SELECT c.id, c.message FROM identifier i JOIN crossing c USING (generation, id)"  # noqa: S608
                        f" WHERE i.generation = ?1 AND i.kind = ?2 AND {condition}"
                        " AND length(head) = length(?3) AND length(tail) = length(?4)"
                        " AND c.expires_utc_us > ?5 LIMIT ?6",
                        (
                            generation,
                            kind.value,
                            head,
                            tail,
                            value if now is None else microseconds(now),
                            MAX_CANDIDATES,
                        ),
                    ).fetchall()
                    for id, message in rows:
                        if id not in found:
                            found[id] = crossing_of(wire.ExpectedCrossing.FromString(message))
        return list(found.values())

    # --- changes ----------------------------------------------------------------------------------------------
    def begin(self) -> None:
        """A connection begins: what came of a list that was being sent anew is dropped."""
        with self._writing() as db:
            db.execute("DELETE FROM crossing WHERE generation > (SELECT generation FROM held)")
            db.execute("DELETE FROM identifier WHERE generation > (SELECT generation FROM held)")

    def keep(self, page: ExpectationsPage, now: datetime) -> int:
        """Take up one page; how many crossings came with it. Raises PortRefused."""
        crossings = list(_readable(page))
        with self._writing() as db:
            current = int(str(db.execute("SELECT generation FROM held").get))
            generation = current + 1 if page.whole else current
            for id in (*page.removed, *(crossing.id for crossing, _ in crossings)):
                db.execute("DELETE FROM crossing WHERE generation = ? AND id = ?", (generation, id))
                db.execute("DELETE FROM identifier WHERE generation = ? AND id = ?", (generation, id))
            db.executemany(
                "INSERT INTO crossing VALUES (?,?,?,?)",
                [(generation, one.id, message, microseconds(one.expires)) for one, message in crossings],
            )
            db.executemany(
                "INSERT OR IGNORE INTO identifier VALUES (?,?,?,?,?)",
                [(generation, one.id, *row) for one, _ in crossings for row in _rows(one)],
            )
            count = db.execute("SELECT count(*) FROM crossing WHERE generation = ?", (generation,)).get
            if isinstance(count, int) and count > MAX_HELD:
                raise PortRefused(f"the port expects more than {MAX_HELD} vehicles here", "look at its list")
            if page.whole and page.newest:
                db.execute("DELETE FROM crossing WHERE generation = ?", (current,))
                db.execute("DELETE FROM identifier WHERE generation = ?", (current,))
                db.execute("UPDATE held SET generation = ?", (generation,))
            if page.newest or not page.whole:
                db.execute("UPDATE held SET list = ?", (list_message(list_of(page.list)).SerializeToString(),))
            if page.newest:
                db.execute("UPDATE held SET confirmed_utc_us = ?", (microseconds(now),))
        return len(crossings)

    def confirm(self, held: ExpectationList, now: datetime) -> None:
        """The port says that this is the newest, and all that is for this booth is held."""
        with self._writing() as db:
            db.execute(
                "UPDATE held SET list = ?, confirmed_utc_us = ?",
                (list_message(held).SerializeToString(), microseconds(now)),
            )

    def drop_expired(self, now: datetime) -> None:
        """Nobody keeps what has run out, whether or not the port can say so."""
        with self._writing() as db:
            gone = db.execute("SELECT generation, id FROM crossing WHERE expires_utc_us <= ?", (microseconds(now),))
            rows = gone.fetchall()
            db.executemany("DELETE FROM identifier WHERE generation = ? AND id = ?", rows)
            db.executemany("DELETE FROM crossing WHERE generation = ? AND id = ?", rows)

    @contextmanager
    def _reading(self) -> Iterator[apsw.Connection]:
        with self._one_at_a_time, self._faults():
            yield self._db

    @contextmanager
    def _writing(self) -> Iterator[apsw.Connection]:
        with self._one_at_a_time, self._faults():
            self._db.execute("BEGIN IMMEDIATE")
            try:
                yield self._db
                self._db.execute("COMMIT")
            except BaseException:
                if not self._db.get_autocommit():  # SQLite may have rolled back by itself
                    self._db.execute("ROLLBACK")
                raise

    @contextmanager
    def _faults(self) -> Iterator[None]:
        with _in_words(self.path):
            yield


def read_status(folder: Path) -> tuple[ExpectationList | None, int, int | None]:
    """What is held there, of how many crossings, and when it was confirmed last; beside an agent, and without writing.

    Raises StoreCorrupt, StoreFailed.
    """
    path = folder / DATABASE
    if not path.exists():
        return None, 0, None
    with _in_words(path), closing(apsw.Connection(str(path), flags=apsw.SQLITE_OPEN_READONLY)) as db:
        db.set_busy_timeout(BUSY_MS)
        held, confirmed = _held(db)
        return held, _count(db), confirmed


def read_crossings(folder: Path) -> Iterator[wire.ExpectedCrossing]:
    """All that is held there, also of a list that is being sent anew; beside an agent, and without writing.

    Raises StoreCorrupt, StoreFailed.
    """
    path = folder / DATABASE
    if not path.exists():
        return
    with _in_words(path), closing(apsw.Connection(str(path), flags=apsw.SQLITE_OPEN_READONLY)) as db:
        db.set_busy_timeout(BUSY_MS)
        rows: list[tuple[Any, ...]] = db.execute("SELECT message FROM crossing ORDER BY generation, id").fetchall()
    for (message,) in rows:
        try:
            yield wire.ExpectedCrossing.FromString(message)
        except DecodeError:
            raise StoreCorrupt(f"{path}: an expectation cannot be read") from None


def _held(db: apsw.Connection) -> tuple[ExpectationList | None, int | None]:
    rows: list[tuple[Any, ...]] = db.execute("SELECT list, confirmed_utc_us FROM held").fetchall()
    value, confirmed = rows[0]
    return None if value is None else list_of(wire.ExpectationList.FromString(value)), confirmed


def _count(db: apsw.Connection) -> int:
    query = "SELECT count(*) FROM crossing WHERE generation = (SELECT generation FROM held)"
    return int(str(db.execute(query).get))


@contextmanager
def _in_words(path: Path | None) -> Iterator[None]:
    """SQLite's and the file system's errors as ours."""
    try:
        yield
    except apsw.FullError:
        raise StoreFull(f"{path}: no room for what the port expects", "free space under the ledger") from None
    except (*_NOT_WHAT_WAS_WRITTEN, ExpectationUnreadable) as error:
        raise StoreCorrupt(f"{path}: does not hold what was written to it ({error})") from None
    except (apsw.Error, OSError) as error:
        raise StoreFailed(f"{path}: {error}", "check the disk and the folder's permissions") from None


def set_aside(path: Path) -> None:
    """The damaged file in place of the one that was set aside before; its log with it."""
    with suppress(OSError):
        path.replace(path.with_name(DAMAGED))
        for suffix in ("-wal", "-shm"):
            path.with_name(path.name + suffix).unlink(missing_ok=True)


def _readable(page: ExpectationsPage) -> Iterator[tuple[ExpectedCrossing, bytes]]:
    """Those of the page that are possible; the others are said, and left out."""
    seen: dict[str, tuple[ExpectedCrossing, bytes]] = {}
    for message in page.put:
        try:
            crossing = crossing_of(message)
        except ExpectationUnreadable as error:
            log.error("the port sent what cannot be expected: %s", error)
            continue
        seen[crossing.id] = crossing, message.SerializeToString()
    return iter(seen.values())


def _rows(crossing: ExpectedCrossing) -> Iterator[tuple[str, str, str]]:
    for plate in crossing.plates:
        yield (IdentifierKind.PLATE.value, *_halves(IdentifierKind.PLATE, plate.text))
    for code in crossing.container_codes:
        yield (IdentifierKind.CONTAINER_CODE.value, *_halves(IdentifierKind.CONTAINER_CODE, code))


def _halves(kind: IdentifierKind, text: str) -> tuple[str, str]:
    folded = fold_plate(text)
    if kind is IdentifierKind.CONTAINER_CODE:  # the check digit may not have been read
        folded = folded[:_CODE_WITHOUT_DIGIT]
    return folded[: len(folded) // 2], folded[len(folded) // 2 :]


_NOT_WHAT_WAS_WRITTEN: tuple[Any, ...] = (
    apsw.CorruptError,
    apsw.NotADBError,
    apsw.ConstraintError,
    apsw.MismatchError,
    apsw.SQLError,
    DecodeError,
    UnicodeDecodeError,
    TypeError,
    ValueError,
    IndexError,
)
