"""The list of expected crossings: what is changed by command or runs out, and what of it a booth is to be told.

Every change takes the next revision; a row keeps its last one. What a booth has not seen is what has a higher revision
than it holds, in that order. A row whose crossing is no longer expected stays without it until booths have been told.
"""

import json
import logging
import secrets
from collections.abc import Collection, Iterable, Iterator, Sequence
from concurrent.futures import Future
from dataclasses import dataclass, field

import apsw

from edge_agent.domain.clock import Clock
from edge_agent.domain.errors import Permanent, StoreCorrupt
from edge_agent.domain.expected import ExpectationFault, ExpectationList, ExpectationMistake, ExpectedCrossing
from edge_agent.wire.codec_expected import crossing_message, crossing_of, microseconds
from edge_agent.wire.v1alpha1.expected_pb2 import ExpectedCrossing as Message
from port_gateway.clock_doubt import ClockDoubt
from port_gateway.store import Store

log = logging.getLogger(__name__)

# Several days of the busiest land port; the list stays within some tens of megabytes.
MAX_EXPECTED = 50_000
# A shuttle drives some ten times a day; a thousand for one plate is a mistake in a file.
MAX_FOR_A_PLATE = 20
PAGE_RECORDS = 200
PAGE_BYTES = 128 * 1024
# A booth that was away for longer gets the whole list.
TELL_S = 7 * 86_400
MAX_MARKS = 100_000
EXPIRE_GROUP = 1_000
MAX_CHANGES = 10_000
MAX_WORDS = 300


class ExpectationsRefused(Permanent):
    """Expectations that the list does not take; `found` names each by its place among those given."""

    def __init__(self, found: Sequence[tuple[int, ExpectationMistake]]) -> None:
        self.found = tuple(found)
        super().__init__("; ".join(f"{m.fault}: {m.field}: {m.wrong}" for _, m in self.found), self.found[0][1].remedy)


@dataclass(frozen=True, slots=True)
class Changed:
    """What a command did, and the list's revision behind it. `same` were expected already, word for word."""

    put: int
    same: int
    removed: int
    revision: int


@dataclass(frozen=True, slots=True)
class Place:
    """Up to which revision a booth was told. `whole`: of the list as it stands, from its beginning."""

    after: int
    whole: bool


@dataclass(frozen=True, slots=True)
class Page:
    """What a booth is told next; with `newest` it holds all that is for it. `whole`: it begins anew."""

    list: ExpectationList
    whole: bool
    newest: bool
    put: tuple[Message, ...] = ()
    removed: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True)
class Given:
    """Expectations that a person or a program gave, with who it was and what they did, in words."""

    crossings: tuple[ExpectedCrossing, ...]
    who: str
    what: str
    booths: Collection[str] = field(default=())  # registered


class Expectations:
    """The list, in the inbox's database. Reads may block: call them from a thread."""

    def __init__(self, store: Store, clock: Clock) -> None:
        self._store, self._clock = store, clock
        self._doubt = ClockDoubt(store, clock)
        self._told = ""

    # --- changes --------------------------------------------------------------------------------------------
    def put(self, given: Given) -> "Future[Changed]":
        """All of them or none; one with an id that is expected already takes its place.

        The future fails with ExpectationsRefused, which names every mistake.
        """
        now = self._now_us()
        messages = [crossing_message(one).SerializeToString(deterministic=True) for one in given.crossings]

        def write(db: apsw.Connection) -> Changed:
            change = _Change(db)
            known = change.messages([one.id for one in given.crossings])
            new = [
                (one, message)
                for one, message in zip(given.crossings, messages, strict=True)
                if known.get(one.id) != message
            ]
            change.put(new)
            found = sorted([*_unplaced(given), *change.crowded(given.crossings)], key=lambda one: one[0])
            if (live := change.live()) > MAX_EXPECTED:
                wrong = f"{live} would be expected, the port keeps {MAX_EXPECTED}"
                say = "remove those that have come, or give them nearer to their window"
                found.append((0, ExpectationMistake(ExpectationFault.TOO_MANY, "id", wrong, say)))
            if found:
                raise ExpectationsRefused(found)
            if new:
                note_change(db, now, given.who, given.what)
            return Changed(len(new), len(messages) - len(new), 0, change.done())

        return self._store.submit(write)

    def remove(self, ids: Sequence[str], who: str, what: str) -> "Future[Changed]":
        """All of them or none. The future fails with Permanent where one is not expected."""
        now = self._now_us()

        def write(db: apsw.Connection) -> Changed:
            change = _Change(db)
            known = change.messages(ids)
            unknown = [id for id in ids if id not in known]
            if unknown:
                wrong = f"not expected: {', '.join(map(repr, unknown[:20]))}"
                raise Permanent(wrong, "`port-gateway expect list` shows what is; nothing was removed")
            change.take_out(list(dict.fromkeys(ids)), now)
            note_change(db, now, who, what)
            return Changed(0, 0, len(set(ids)), change.done())

        return self._store.submit(write)

    def expire(self) -> "Future[int]":
        """Take out what has run out, and forget what booths were told long ago; how many, at most EXPIRE_GROUP.

        Nothing while the clock is in doubt: a list that is gone comes back by a new import alone.
        """
        now = self._now_us()

        def write(db: apsw.Connection) -> int:
            due = db.execute(
                "SELECT id, message IS NULL, revision FROM expected WHERE forget_utc_us <= ? LIMIT ?",
                (now, EXPIRE_GROUP),
            ).fetchall()
            if not due or self._doubted(db):
                return 0
            change = _Change(db)
            change.take_out([str(id) for id, gone, _ in due if not gone], now)
            forgotten = [(str(id),) for id, gone, _ in due if gone]
            db.executemany("DELETE FROM expected WHERE id = ?", forgotten)
            db.executemany("DELETE FROM expected_booth WHERE id = ?", forgotten)
            told = max((int(str(revision)) for _, gone, revision in due if gone), default=0)
            newest = change.done()
            # Who holds an older revision than this may not have been told, and gets the whole list.
            db.execute("DELETE FROM expected_revision WHERE revision < ?", (max(told, newest - MAX_MARKS),))
            return len(due)

        return self._store.submit(write)

    def _doubted(self, db: apsw.Connection) -> bool:
        """Whether the clock is in doubt; said once for each reason."""
        doubt = self._doubt.reason(db)
        if doubt and doubt != self._told:
            log.warning("expectations that have run out stay: %s", doubt)
        self._told = doubt
        return bool(doubt)

    # --- what booths are told -------------------------------------------------------------------------------
    def revision(self) -> int:
        """Of the list as it stands."""
        with self._store.reading() as db:
            return _list(db)[1]

    def begin(self, held: ExpectationList | None) -> Place:
        """Where a booth goes on that says it holds `held`; at the beginning if this list was never in that state."""
        with self._store.reading() as db:
            list_id, _ = _list(db)
            known = held is not None and held.list_id == list_id and _mark(db, held.revision) == held.mark
        return Place(held.revision, whole=False) if held is not None and known else Place(0, whole=True)

    def page(self, booth_id: str, everywhere: bool, place: Place) -> Page:
        """What follows `place` for this booth. `everywhere`: it is one of this port's own."""
        with self._store.reading() as db:
            list_id, newest = _list(db)
            rows = db.execute(
                "SELECT e.revision, e.id, e.message, e.everywhere AND ?1 OR coalesce(b.now, 0)"
                " FROM expected e LEFT JOIN expected_booth b ON b.booth_id = ?2 AND b.id = e.id"
                " WHERE e.revision > ?3 AND (e.was_everywhere AND ?1 OR b.id IS NOT NULL) ORDER BY e.revision",
                (everywhere, booth_id, place.after),
            )
            put, removed, size, through = list[Message](), list[str](), 0, place.after
            for revision, id, message, here in rows:
                if len(put) + len(removed) >= PAGE_RECORDS or size >= PAGE_BYTES:
                    break
                through = int(str(revision))
                if isinstance(message, bytes) and here:
                    put.append(_told(message))
                    size += len(message)
                elif not place.whole:
                    removed.append(str(id))
                    size += len(str(id))
            else:
                through = newest
            stands = ExpectationList(list_id, through, _mark(db, through) or 0)
        return Page(stands, place.whole, through == newest, tuple(put), tuple(removed))

    def kept(self, booth_id: str, revision: int) -> "Future[None]":
        """A booth holds all that is for it, up to this revision."""
        now = self._now_us()

        def write(db: apsw.Connection) -> None:
            db.execute("INSERT OR REPLACE INTO expected_kept VALUES (?,?,?)", (booth_id, revision, now))

        return self._store.submit(write)

    def _now_us(self) -> int:
        return round(self._clock.now().utc.timestamp() * 1e6)


class _Change:
    """One transaction's changes, under revisions that follow each other."""

    def __init__(self, db: apsw.Connection) -> None:
        self._db = db
        self._revision = _list(db)[1]
        self._mark = secrets.randbits(63)

    def messages(self, ids: Sequence[str]) -> dict[str, bytes]:
        """Of those that are expected, by id."""
        rows = self._db.execute(
            "SELECT id, message FROM expected WHERE message IS NOT NULL AND id IN (SELECT value FROM json_each(?))",
            (json.dumps(ids),),
        )
        return {str(id): message for id, message in rows if isinstance(message, bytes)}

    def live(self) -> int:
        """How many are expected."""
        return int(str(self._db.execute("SELECT count(*) FROM expected WHERE message IS NOT NULL").get))

    def put(self, new: Sequence[tuple[ExpectedCrossing, bytes]]) -> None:
        """A running gateway waits for the whole transaction: each table is written in one go."""
        many, revisions = self._db.executemany, self._next(len(new))
        many(
            "INSERT INTO expected VALUES (?1,?2,?3,?4,?4,?5) ON CONFLICT (id) DO UPDATE SET revision = ?2,"
            " message = ?3, everywhere = ?4, was_everywhere = was_everywhere OR ?4, forget_utc_us = ?5",
            [
                (one.id, revision, message, not one.booth_ids, microseconds(one.expires))
                for revision, (one, message) in zip(revisions, new, strict=True)
            ],
        )
        many("UPDATE expected_booth SET now = 0 WHERE id = ?", [(one.id,) for one, _ in new])
        many(
            "INSERT OR REPLACE INTO expected_booth VALUES (?,?,1)",
            [(booth, one.id) for one, _ in new for booth in one.booth_ids],
        )
        many("DELETE FROM expected_plate WHERE id = ?", [(one.id,) for one, _ in new])
        many("INSERT INTO expected_plate VALUES (?,?)", [(text, one.id) for one, _ in new for text in _texts(one)])

    def take_out(self, ids: Sequence[str], now_us: int) -> None:
        forget = now_us + TELL_S * 1_000_000
        self._db.executemany(
            "UPDATE expected SET revision = ?, message = NULL, forget_utc_us = ? WHERE id = ?",
            [(revision, forget, id) for revision, id in zip(self._next(len(ids)), ids, strict=True)],
        )
        self._db.executemany("DELETE FROM expected_plate WHERE id = ?", [(id,) for id in ids])

    def crowded(self, crossings: Sequence[ExpectedCrossing]) -> Iterator[tuple[int, ExpectationMistake]]:
        rows = self._db.execute(
            "SELECT plate, count(*) FROM expected_plate WHERE plate IN (SELECT value FROM json_each(?))"
            " GROUP BY plate HAVING count(*) > ?",
            (json.dumps(sorted({text for one in crossings for text in _texts(one)})), MAX_FOR_A_PLATE),
        )
        counts = dict(rows)
        for index, one in enumerate(crossings):
            for text in _texts(one):
                if text in counts:
                    wrong = f"{counts[text]} expectations would name {text}, at most {MAX_FOR_A_PLATE} may at once"
                    say = "remove those that have come; a vehicle that comes often is expected anew each day"
                    yield index, ExpectationMistake(ExpectationFault.TOO_MANY_FOR_A_PLATE, "plates", wrong, say)

    def done(self) -> int:
        """The list's revision behind all changes."""
        self._db.execute("UPDATE expected_list SET revision = ?", (self._revision,))
        return self._revision

    def _next(self, count: int) -> range:
        """So many new revisions."""
        revisions = range(self._revision + 1, self._revision + 1 + count)
        self._revision += count
        self._db.executemany("INSERT INTO expected_revision VALUES (?,?)", [(one, self._mark) for one in revisions])
        return revisions


def _unplaced(given: Given) -> Iterator[tuple[int, ExpectationMistake]]:
    """Booths that nobody knows: such a vehicle would be expected nowhere."""
    for index, crossing in enumerate(given.crossings):
        for booth in crossing.booth_ids:
            if booth not in given.booths:
                say = "`port-gateway trust list` shows the booths; register it first, or correct the name"
                wrong = f"no booth {booth} is registered"
                yield index, ExpectationMistake(ExpectationFault.PLACE_INVALID, "booths", wrong, say)


def _texts(crossing: ExpectedCrossing) -> list[str]:
    return sorted({plate.text for plate in crossing.plates})


def _told(message: bytes) -> Message:
    """As a booth gets it: at which other booths the vehicle is expected is not its business."""
    told = Message.FromString(message)
    told.ClearField("booth_ids")
    return told


def _list(db: apsw.Connection) -> tuple[bytes, int]:
    row = db.execute("SELECT list_id, revision FROM expected_list").fetchone()
    if row is None:
        raise StoreCorrupt("the list of expectations has no beginning", "restore the data folder from a backup")
    return row[0], row[1]


def _mark(db: apsw.Connection, revision: int) -> int | None:
    if not 0 <= revision < 2**63:
        return None
    value = db.execute("SELECT mark FROM expected_revision WHERE revision = ?", (revision,)).get
    return value if isinstance(value, int) else None


# --- what commands read -----------------------------------------------------------------------------------------------


def read_expected(db: apsw.Connection, plate: str = "") -> Iterator[ExpectedCrossing]:
    """What is expected, in the order of ids; with `plate`, what names it."""
    rows: Iterable[tuple[object, ...]] = db.execute(
        "SELECT message FROM expected WHERE message IS NOT NULL"
        " AND (?1 = '' OR id IN (SELECT id FROM expected_plate WHERE plate = ?1)) ORDER BY id",
        (plate,),
    )
    for (message,) in rows:
        if isinstance(message, bytes):
            yield crossing_of(Message.FromString(message))


def read_kept(db: apsw.Connection) -> tuple[int, list[tuple[str, int, int]]]:
    """The list's revision, and of each booth that ever asked the one that it holds, and since when (µs since 1970)."""
    rows = db.execute("SELECT booth_id, revision, kept_utc_us FROM expected_kept ORDER BY booth_id")
    return _list(db)[1], [(str(booth), int(str(revision)), int(str(at))) for booth, revision, at in rows]


def note_change(db: apsw.Connection, now_us: int, who: str, what: str) -> None:
    """Who changed what, for `expect changes`; the last MAX_CHANGES are kept."""
    db.execute(
        "INSERT INTO expected_change (at_utc_us, who, what) VALUES (?,?,?)", (now_us, who[:MAX_WORDS], what[:MAX_WORDS])
    )
    db.execute(
        "DELETE FROM expected_change WHERE number <= (SELECT max(number) FROM expected_change) - ?", (MAX_CHANGES,)
    )


def read_changes(db: apsw.Connection) -> Iterator[tuple[int, str, str]]:
    """When (µs since 1970), who and what, newest first."""
    rows = db.execute("SELECT at_utc_us, who, what FROM expected_change ORDER BY number DESC")
    return ((int(str(at)), str(who), str(what)) for at, who, what in rows)
