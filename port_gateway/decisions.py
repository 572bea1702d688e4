"""What officers decide over inspections, and whether the booth's chain holds it.

decide ─► decision (pending) and a message for the booth ─► Watch ─► DecisionRecorded in the booth's chain ─► chained
"""

import logging
from collections.abc import Iterator
from dataclasses import dataclass

import apsw
from google.protobuf.message import DecodeError

from edge_agent.domain.errors import Permanent
from edge_agent.domain.finding import Decision
from edge_agent.wire.codec_findings import DECISIONS, MAX_OFFICER, MAX_REASON
from edge_agent.wire.envelope import read_envelope
from edge_agent.wire.identity import SpiffeId
from edge_agent.wire.refused import Refused
from edge_agent.wire.v1alpha1.event_pb2 import Event
from edge_agent.wire.v1alpha1.findings_pb2 import OfficerDecision
from port_gateway.alarms import note_alarm
from port_gateway.booth_messages import new_message_id, post
from port_gateway.retention_index import deleted_inspection

log = logging.getLogger(__name__)

MAX_INSPECTION_ID = 64
_LATER = 2**62
_NAMES = {value: name.value for name, value in DECISIONS.items()}


class InspectionUnknown(Permanent):
    """No booth of this port has such an inspection, or several have."""


class DecisionRefused(Permanent):
    """What was given is no decision."""


@dataclass(frozen=True, slots=True)
class Decided:
    """One decision. `chained_seq` is its place in the booth's chain; None while it is on its way (`waits`), and where
    the booth never took it or chained another one.
    """

    message_id: bytes
    booth_id: str
    inspection_id: str
    decision: str
    officer: str
    reason: str
    by_whom: str
    decided_utc_us: int
    chained_seq: int | None
    waits: bool = True

    @property
    def state(self) -> str:
        if self.chained_seq is not None:
            return "chained"
        return "pending" if self.waits else "not chained"


def note_inspection(db: apsw.Connection, booth_id: str, event: Event, now_us: int, cursor: int | None = None) -> None:
    """In the transaction that keeps the event: which booth names the inspection, and from which cursor on (without one:
    as the last that came). It is the booth's that named it first; another is told to a person.
    """
    match event.WhichOneof("body"):
        case "inspection_opened":
            row = (event.inspection_opened.inspection_id, booth_id, event.inspection_opened.lane_id)
        case "inspection_closed":
            closed = event.inspection_closed.inspection
            row = (closed.id, booth_id, closed.lane_id)
        case _:
            return
    if not 0 < len(row[0]) <= MAX_INSPECTION_ID:
        return
    now = "SELECT seq FROM sqlite_sequence WHERE name = 'event'"
    place = cursor if cursor is not None else db.execute(now).get
    new = db.execute("SELECT 1 FROM inspection WHERE inspection_id = ? AND booth_id = ?", row[:2]).get is None
    db.execute(
        "INSERT INTO inspection VALUES (?,?,?,?) ON CONFLICT DO UPDATE SET cursor = excluded.cursor"
        " WHERE cursor IS NULL OR cursor > excluded.cursor",
        (*row, place),
    )
    others = "SELECT booth_id FROM inspection WHERE inspection_id = ? AND booth_id <> ?"
    if new and (other := db.execute(others, row[:2]).get) is not None:
        later, first = (other, booth_id) if cursor is not None else (booth_id, other)
        detail = f"{later} names inspection {row[0]!r}, which is of {first}: ask whether its key is its own"
        log.error("INSPECTION_CLAIMED: %s", detail)
        note_alarm(db, (str(later), event.epoch, event.seq), "INSPECTION_CLAIMED", detail, b"", now_us)


def note_chained(db: apsw.Connection, booth_id: str, event: Event, now_us: int) -> None:
    """In the transaction that keeps the event: the booth's chain holds the decision, if it says what was decided."""
    if event.WhichOneof("body") != "decision_recorded":
        return
    recorded = event.decision_recorded
    row = db.execute(
        "SELECT inspection_id, decision, officer, reason FROM decision"
        " WHERE booth_id = ? AND message_id = ? AND chained_seq IS NULL",
        (booth_id, recorded.message_id),
    ).fetchone()
    if row is None:
        return
    said = _NAMES.get(recorded.decision, "another decision")
    if row != (recorded.inspection_id, said, recorded.officer, recorded.reason):
        detail = f"the chain says {said}, and the officer decided {row[1]}"
        log.error("%s, sequence %d: %s", booth_id, event.seq, detail)
        note_alarm(db, (booth_id, event.epoch, event.seq), "DECISION_CONTRADICTED", detail, b"", now_us)
        return
    db.execute(
        "UPDATE decision SET chained_seq = ?, chained_utc_us = ? WHERE booth_id = ? AND message_id = ?",
        (min(event.seq, 2**63 - 1), now_us, booth_id, recorded.message_id),
    )


def forget_officers(db: apsw.Connection, booth_id: str, inspection_id: str) -> None:
    """The events of this inspection are over, and no message on it waits: so is who decided over it, and why."""
    db.execute(
        "UPDATE decision SET officer = '', reason = '', by_whom = '' WHERE booth_id = ? AND inspection_id = ?",
        (booth_id, inspection_id),
    )


def decide(
    db: apsw.Connection,
    gateway: SpiffeId,
    inspection_id: str,
    decision: Decision,
    officer: str,
    reason: str,
    by_whom: str,
    now_us: int,
    booth: str = "",
) -> Decided:
    """Keep the decision, and let the booth be told. In a transaction.

    An inspection is the booth's whose verified chain named it first; `booth` names another one of this port.
    Raises InspectionUnknown, DecisionRefused, or TooManyMessages of the booth.
    """
    for what, text, limit in (("officer", officer, MAX_OFFICER), ("reason", reason, MAX_REASON)):
        size = len(text.encode(errors="replace"))
        if not text.strip() or size > limit or not text.isprintable():
            raise DecisionRefused(f"--{what}: {size} bytes", f"say it in one line, 1 to {limit} bytes of UTF-8")
    booth_id = _booth_of(db, gateway, inspection_id, booth)
    message = OfficerDecision(
        message_id=new_message_id(),
        inspection_id=inspection_id,
        decision=DECISIONS[decision],
        officer=officer,
        reason=reason,
        decided_utc_us=now_us,
    )
    decided = Decided(
        message.message_id, booth_id, inspection_id, decision.value, officer, reason, by_whom, now_us, None
    )
    db.execute(
        "INSERT INTO decision (message_id, booth_id, inspection_id, decision, officer, reason, by_whom, decided_utc_us)"
        " VALUES (?,?,?,?,?,?,?,?)",
        (message.message_id, booth_id, inspection_id, decision.value, officer, reason, by_whom, now_us),
    )
    post(db, booth_id, message, now_us)
    return decided


def _booth_of(db: apsw.Connection, gateway: SpiffeId, inspection_id: str, booth: str) -> str:
    if not 0 < len(inspection_id) <= MAX_INSPECTION_ID:
        raise InspectionUnknown(f"an inspection id of length {len(inspection_id)}", "give it as `tail` shows it")
    rows = db.execute("SELECT booth_id, cursor FROM inspection WHERE inspection_id = ?", (inspection_id,)).fetchall()
    booths = {str(booth_id): at if isinstance(at, int) else _LATER for booth_id, at in rows}
    for booth_id, at in _named_before(db, inspection_id):
        booths[booth_id] = min(at, booths.get(booth_id, _LATER))
    if not booths:
        raise InspectionUnknown(
            f"no event here opens or closes an inspection {inspection_id!r}", "`port-gateway tail` shows ids"
        )
    own = {one: at for one, at in booths.items() if SpiffeId.parse(one).port == gateway.port}
    if not own:
        raise InspectionUnknown(
            f"the inspection {inspection_id!r} is of {', '.join(sorted(booths))}, not of this port {gateway.port}",
            "let its own port decide",
        )
    chosen = [one for one in own if not booth or one == booth or one.rpartition("/")[2] == booth]
    if not chosen:
        raise InspectionUnknown(
            f"{booth!r} has no inspection {inspection_id!r} ({', '.join(sorted(own))})", "say which: --booth NAME"
        )
    first = min(chosen, key=lambda one: own[one])  # whoever names it later has it from others
    gone = deleted_inspection(db, inspection_id, first)
    if gone:
        raise InspectionUnknown(f"inspection {inspection_id}: {gone}", "there is nothing left to decide over")
    return first


def _named_before(db: apsw.Connection, inspection_id: str) -> Iterator[tuple[str, int]]:
    """The booth and the cursor of events that are older than the table, until `events_looked` has come through them."""
    value = dict(db.execute("SELECT key, value FROM meta WHERE key IN ('events_looked', 'events_before')"))
    rows = db.execute(
        "SELECT booth_id, cursor, envelope FROM event WHERE cursor > ? AND cursor <= ? AND instr(envelope, ?) > 0",
        (value.get("events_looked", 0), value.get("events_before", 0), inspection_id.encode()),
    ).fetchall()
    for booth_id, cursor, envelope in rows:
        try:
            event = Event.FromString(read_envelope(envelope if isinstance(envelope, bytes) else b"")[0])
        except (Refused, DecodeError):
            continue
        if inspection_id in (event.inspection_opened.inspection_id, event.inspection_closed.inspection.id):
            yield str(booth_id), int(str(cursor))


def read_decisions(db: apsw.Connection, inspection_id: str = "", pending: bool = False) -> Iterator[Decided]:
    """Oldest first."""
    rows = db.execute(
        "SELECT message_id, booth_id, inspection_id, decision, officer, reason, by_whom, decided_utc_us, chained_seq,"
        " EXISTS (SELECT 1 FROM booth_message m WHERE m.booth_id = d.booth_id AND m.message_id = d.message_id)"
        " FROM decision d WHERE (? = '' OR inspection_id = ?) AND (? = 0 OR chained_seq IS NULL) ORDER BY number",
        (inspection_id, inspection_id, int(pending)),
    )
    for message_id, *rest in rows:
        yield Decided(bytes(message_id), *rest)
