"""The end of events at the port: the bytes go, their place in the chain and their digest stay.

    event ─► event_kept (its days count from here) ─► inspection over, none held ─► event_deletion + deleted_event,
                                                                                  envelope empty: one commit

What vehicles and people were is in events about vehicles alone: these have an end. What holds the chain together
(sessions, keys), how lanes and devices did, and what was deleted stays for ever. All events of an inspection go
together, and not before the evidence that they name. Nothing of this is in the way of an event that comes in: the table
is filled behind them, while the clock is believed (clock_doubt.py).
"""

import hashlib
import zlib
from collections.abc import Iterator
from dataclasses import dataclass

import apsw
from google.protobuf.message import DecodeError

from edge_agent.domain.clock import Clock
from edge_agent.domain.counted import counted
from edge_agent.domain.retention import KeptDays, Standing
from edge_agent.wire.envelope import read_envelope
from edge_agent.wire.quarantine import MAX_QUARANTINED_BYTES
from edge_agent.wire.refused import Refused
from edge_agent.wire.standing import inspection_of, standing_of
from edge_agent.wire.v1alpha1.event_pb2 import Event
from port_gateway.booth_messages import waits_for
from port_gateway.decisions import MAX_INSPECTION_ID, forget_officers, note_inspection
from port_gateway.evidence import EvidenceFiles
from port_gateway.moments import DAY_US, UNDATED_US
from port_gateway.retention_index import named
from port_gateway.sealed_roots import Chain, seal_root
from port_gateway.store import Store

# Bodies that may say which vehicle passed, what it carried or who decided over it.
OF_VEHICLES = frozenset(
    {
        "inspection_opened",
        "inspection_closed",
        "alarm_raised",
        "unassigned",
        "scan_received",
        "findings_added",
        "decision_recorded",
    }
)
# One step's events: acknowledgements wait for a step.
LOOKED = 256
STEP = 64
# Of one inspection; a longer one goes in parts.
TOGETHER = 512
_NEVER_US = 2**62


@dataclass(frozen=True, slots=True)
class EndOfEvents:
    """Events that are over: of an inspection, or a single one about none (then `cursors` has it alone)."""

    booth_id: str
    inspection_id: str
    standing: Standing
    cursors: tuple[int, ...]


@dataclass(frozen=True, slots=True)
class _Together:
    """Events that go together: all of an inspection at one booth, or a single one about none. `cursors` are the first
    TOGETHER of them; `standing` and `since_us` the highest of all.
    """

    booth_id: str
    inspection_id: str
    cursors: tuple[int, ...]
    standing: int
    since_us: int

    def look_again(self, db: apsw.Connection, at_us: int) -> None:
        """In a transaction."""
        if self.inspection_id:
            where, values = "inspection_id = ? AND booth_id = ?", (self.inspection_id, self.booth_id)
            db.execute(f"UPDATE event_kept SET look_utc_us = ? WHERE {where}", (at_us, *values))  # noqa: S608
        else:
            db.execute("UPDATE event_kept SET look_utc_us = ? WHERE cursor = ?", (at_us, self.cursors[0]))


class EventRetention:
    """Over an open store. Blocks: use it from a thread, and only while the clock is believed."""

    def __init__(self, store: Store, files: EvidenceFiles, days: KeptDays, clock: Clock) -> None:
        self._store, self._files, self._days, self._clock = store, files, days, clock

    def run(self) -> Iterator[int]:
        """Look at what came, then delete all that is over; after each step how many events it deleted."""
        while self._look_at_new():
            pass
        self._store.submit(self._settings_as_they_are).result()
        while (step := self._store.submit(self._step).result()) is not None:
            yield step
        while self._store.submit(self._alarms).result():
            pass

    def over(self) -> Iterator[EndOfEvents]:
        """What `run` would delete now of the events it has looked at; nothing is changed."""
        now = self._now_us()
        after = 0
        while True:
            with self._store.reading() as db:
                row = db.execute(
                    "SELECT cursor, booth_id, inspection_id FROM event_kept WHERE cursor > ? ORDER BY cursor LIMIT 1",
                    (after,),
                ).fetchone()
                if row is None:
                    return
                after = int(row[0])
                found = self._if_over(db, _together(db, after, str(row[1]), str(row[2])), now)
            if isinstance(found, EndOfEvents) and found.cursors[0] == after:
                yield found

    def undate(self, since_us: int) -> None:
        """The clock was set: what is dated from `since_us` on counts from when a clock is believed again."""
        query = "UPDATE event_kept SET since_utc_us = ?, look_utc_us = 0 WHERE since_utc_us >= ? AND since_utc_us < ?"

        def write(db: apsw.Connection) -> None:
            db.execute(query, (UNDATED_US, since_us, UNDATED_US))

        self._store.submit(write).result()

    # --- what came --------------------------------------------------------------------------------------------
    def _look_at_new(self) -> bool:
        """The next events; whether there were any."""
        with self._store.reading() as db:
            looked, before = _meta(db, "events_looked"), _meta(db, "events_before")
            rows = db.execute(
                "SELECT cursor, booth_id, envelope FROM event WHERE cursor > ? ORDER BY cursor LIMIT ?",
                (looked, LOOKED),
            ).fetchall()
        found = [(int(str(c)), str(b), _read(e)) for c, b, e in rows if isinstance(e, bytes) and e]
        about = [
            (cursor, booth_id, *what)
            for cursor, booth_id, event in found
            if (what := _about_vehicles(event)) is not None
        ]
        last = int(str(rows[-1][0])) if rows else looked

        def write(db: apsw.Connection) -> None:
            now = self._now_us()
            if _meta(db, "events_looked") != looked:
                return  # `retention run` looks beside a running gateway
            db.executemany(
                "INSERT OR IGNORE INTO event_kept VALUES (?,?,?,?,?,?)",
                [(*one, now, self._due(Standing(one[3]), now)) for one in about],  # no sooner, whatever is found later
            )
            for cursor, booth_id, event in found:
                if cursor <= before and event is not None:
                    note_inspection(db, booth_id, event, now, cursor)
            db.execute("UPDATE meta SET value = ? WHERE key = 'events_looked'", (last,))

        if rows:
            self._store.submit(write).result()
        return bool(rows)

    def _settings_as_they_are(self, db: apsw.Connection) -> None:
        """Other days than last time: look at everything again. And what has no date yet gets one."""
        days = zlib.crc32(repr(self._days).encode())
        if _meta(db, "events_days") != days:
            db.execute("UPDATE event_kept SET look_utc_us = 0")
            db.execute("INSERT OR REPLACE INTO meta VALUES ('events_days', ?)", (days,))
        db.execute(
            "UPDATE event_kept SET since_utc_us = ? WHERE look_utc_us = 0 AND since_utc_us = ?",
            (self._now_us(), UNDATED_US),
        )

    # --- what is over -----------------------------------------------------------------------------------------
    def _step(self, db: apsw.Connection) -> int | None:
        """Look at the next events that are due; how many went, None when nothing is due."""
        now, went, none = self._now_us(), 0, True
        chains: set[Chain] = set()
        for _ in range(STEP):
            row = db.execute(
                "SELECT cursor, booth_id, inspection_id FROM event_kept WHERE look_utc_us <= ?"
                " ORDER BY look_utc_us LIMIT 1",
                (now,),
            ).fetchone()
            if row is None or went >= STEP:
                break
            none = False
            together = _together(db, int(str(row[0])), str(row[1]), str(row[2]))
            over = self._if_over(db, together, now)
            if isinstance(over, EndOfEvents):
                chains |= _chains_of(db, over)
                self._delete(db, over, now)
                went += len(over.cursors)
            else:
                together.look_again(db, over)
        for chain in chains:
            seal_root(db, chain)
        return None if none else went

    def _if_over(self, db: apsw.Connection, together: _Together, now: int) -> EndOfEvents | int:
        """What goes; else when to look again."""
        place = together.booth_id, together.inspection_id
        value = db.execute(
            "SELECT standing FROM inspection_standing WHERE booth_id = ? AND inspection_id = ?", place
        ).get
        known = value if isinstance(value, int) and together.inspection_id else 0
        standing = Standing(max(together.standing, known))
        due = self._due(standing, together.since_us)
        if due > now:
            return due
        if any(_is_head(db, cursor) for cursor in together.cursors) or self._kept_by(db, *place, together.cursors):
            return now + DAY_US
        return EndOfEvents(*place, standing, together.cursors)

    def _due(self, standing: Standing, since_us: int) -> int:
        days = self._days.of(standing)
        return _NEVER_US if days is None else since_us + round(days * DAY_US)

    def _kept_by(self, db: apsw.Connection, booth_id: str, inspection: str, cursors: tuple[int, ...]) -> bool:
        """Whether a hold, a message that waits for the booth, or evidence that is still here keeps these events."""
        about = {inspection} - {""}
        if not inspection:
            event = _event(db, cursors[0])
            about = {inspection_of(event)} - {""} if event is not None else set()
            digests = [ref.sha256 for ref in named(event)] if event is not None else []
        else:
            digests = _used(db, booth_id, inspection)
        if any(db.execute("SELECT 1 FROM legal_hold WHERE inspection_id = ?", (one,)).get for one in about):
            return True
        if any(waits_for(db, booth_id, one) for one in about):
            return True
        return any(
            self._files.complete(sha256) and db.execute("SELECT 1 FROM evidence_use WHERE sha256 = ?", (sha256,)).get
            for sha256 in digests
        )

    def _delete(self, db: apsw.Connection, over: EndOfEvents, now: int) -> None:
        kept = counted(self._days.of(over.standing) or 0, "day", form="g")
        rule = f"events of inspections with standing {over.standing.name.lower()} are kept for {kept}"
        size = 0
        for cursor in over.cursors:
            length = db.execute("SELECT length(envelope) FROM event WHERE cursor = ?", (cursor,)).get
            size += length if isinstance(length, int) else 0
        _never_came(db, over, rule, now)
        db.execute(
            "INSERT INTO event_deletion (at_utc_us, booth_id, inspection_id, rule, events, bytes) VALUES (?,?,?,?,?,?)",
            (now, over.booth_id, over.inspection_id, rule, len(over.cursors), size),
        )
        number = db.last_insert_rowid()
        for cursor in over.cursors:
            db.execute("UPDATE event SET envelope = x'' WHERE cursor = ?", (cursor,))
            db.execute("INSERT OR REPLACE INTO deleted_event VALUES (?,?)", (cursor, number))
            db.execute("DELETE FROM event_kept WHERE cursor = ?", (cursor,))
        if over.inspection_id:
            forget_officers(db, over.booth_id, over.inspection_id)

    def _alarms(self, db: apsw.Connection) -> bool:
        """What was refused was kept as it came: after the longest time its digest takes its place."""
        before = self._now_us() - self._due(Standing.REFERRED, 0)
        rows = db.execute(
            "SELECT id, envelope FROM alarm WHERE received_utc_us <= ? AND length(envelope) > 32 LIMIT ?",
            (before, STEP),
        ).fetchall()
        for number, envelope in rows:
            digest = hashlib.sha256(envelope if isinstance(envelope, bytes) else b"").digest()
            db.execute("UPDATE OR REPLACE alarm SET envelope = ? WHERE id = ?", (digest, number))
        return bool(rows)

    def _now_us(self) -> int:
        return round(self._clock.now().utc.timestamp() * 1e6)


def _about_vehicles(event: Event | None) -> tuple[str, int] | None:
    """The inspection and the standing that an event says; None of an event that stays."""
    kind = event.WhichOneof("body") if event is not None else None
    if event is None or kind is None:  # in quarantine, as of a later version: it may say anything
        return "", int(Standing.REFERRED)
    if kind not in OF_VEHICLES:
        return None
    inspection = inspection_of(event)
    if len(inspection) > MAX_INSPECTION_ID:  # no agent's
        inspection = ""
    if kind == "scan_received" and not inspection:  # a later record may be about it
        return "", int(Standing.REFERRED)
    return inspection, int(standing_of(event))


def _together(db: apsw.Connection, cursor: int, booth_id: str, inspection: str) -> _Together:
    """What goes with the event at this cursor."""
    where = "inspection_id = ? AND booth_id = ?"
    values: list[str | int] = [inspection, booth_id]
    if not inspection:
        where, values = "cursor = ?", [cursor]
    query = f"SELECT max(standing), max(since_utc_us) FROM event_kept WHERE {where}"  # noqa: S608
    highest = db.execute(query, values).fetchone()
    rows = db.execute(
        f"SELECT cursor FROM event_kept WHERE {where} ORDER BY cursor LIMIT ?",  # noqa: S608
        (*values, TOGETHER),
    )
    cursors = tuple(int(str(row[0])) for row in rows)
    standing, since = (int(str(one)) for one in highest or (0, 0))
    return _Together(booth_id, inspection, cursors, standing, since)


def _used(db: apsw.Connection, booth_id: str, inspection: str) -> list[bytes]:
    rows = db.execute(
        "SELECT sha256 FROM evidence_use WHERE inspection_id = ? AND booth_id = ?", (inspection, booth_id)
    )
    return [bytes(sha256) for (sha256,) in rows if isinstance(sha256, bytes)]


def _never_came(db: apsw.Connection, over: EndOfEvents, rule: str, now: int) -> None:
    """Evidence that no event names any more is not waited for."""
    if not over.inspection_id:
        event = _event(db, over.cursors[0])
        digests = [ref.sha256 for ref in named(event)] if event is not None else []
    else:
        digests = _used(db, over.booth_id, over.inspection_id)
    own = "FROM evidence_use WHERE sha256 = ? AND booth_id = ? AND inspection_id = ?"
    for sha256 in digests:
        place = (sha256, over.booth_id, over.inspection_id)
        row = db.execute(f"SELECT kind, size {own}", place).fetchone()
        db.execute(f"DELETE {own}", place)
        if row is not None and db.execute("SELECT 1 FROM evidence_use WHERE sha256 = ?", (sha256,)).get is None:
            db.execute("INSERT OR IGNORE INTO deleted_evidence VALUES (?,?,'port',?,?,?)", (sha256, now, rule, *row))


def _chains_of(db: apsw.Connection, over: EndOfEvents) -> set[Chain]:
    found = [
        db.execute("SELECT booth_id, epoch FROM event WHERE cursor = ?", (cursor,)).fetchone()
        for cursor in over.cursors
    ]
    return {(str(row[0]), bytes(row[1])) for row in found if row is not None and isinstance(row[1], bytes)}


def _is_head(db: apsw.Connection, cursor: int) -> bool:
    """Whether it ends its chain: what follows a deleted event is what shows its digest to be right."""
    query = "SELECT 1 FROM event e JOIN chain c USING (booth_id, epoch, seq) WHERE e.cursor = ?"
    return db.execute(query, (cursor,)).get is not None


def _event(db: apsw.Connection, cursor: int) -> Event | None:
    return _read(db.execute("SELECT envelope FROM event WHERE cursor = ?", (cursor,)).get)


def _read(envelope: object) -> Event | None:
    if not isinstance(envelope, bytes):
        return None
    try:
        return Event.FromString(read_envelope(envelope, MAX_QUARANTINED_BYTES)[0])
    except (Refused, DecodeError):
        return None


def _meta(db: apsw.Connection, key: str) -> int:
    value = db.execute("SELECT value FROM meta WHERE key = ?", (key,)).get
    return value if isinstance(value, int) else 0
