"""What the port has to say to one booth of one vehicle: kept until an event of that booth's chain says that it has it.

    post ─► booth_message ─► Watch, at every connection ─► the booth's ledger ─► its event arrives ─► settled

Posting and settling are parts of somebody else's transaction: a decision is kept with its message, an event with what
it settles.
"""

import secrets
from typing import assert_never

import apsw

from edge_agent.domain.errors import Permanent
from edge_agent.wire.v1alpha1.event_pb2 import Event
from edge_agent.wire.v1alpha1.findings_pb2 import OfficerDecision, PortFindings
from edge_agent.wire.v1alpha1.watch_pb2 import WatchResponse
from port_gateway.store import Store

MESSAGE_ID_BYTES = 16
# A booth that is away for weeks; beyond this somebody must look why it does not come back.
MAX_WAITING = 10_000
PAGE = 50


class TooManyMessages(Permanent):
    """A booth has not taken what waits for it."""


def new_message_id() -> bytes:
    """16 random bytes."""
    return secrets.token_bytes(MESSAGE_ID_BYTES)


def post(db: apsw.Connection, booth_id: str, message: OfficerDecision | PortFindings, now_us: int) -> None:
    """Let the booth be told. A message with the same id is posted once. Raises TooManyMessages."""
    match message:
        case OfficerDecision():
            response = WatchResponse(decision=message)
        case PortFindings():
            response = WatchResponse(findings=message)
        case _:
            assert_never(message)
    waiting = db.execute("SELECT count(*) FROM booth_message WHERE booth_id = ?", (booth_id,)).get
    if isinstance(waiting, int) and waiting >= MAX_WAITING:
        raise TooManyMessages(f"{waiting} messages wait for {booth_id}", "see why that booth does not take them")
    db.execute(
        "INSERT OR IGNORE INTO booth_message (booth_id, message_id, message, posted_utc_us) VALUES (?,?,?,?)",
        (booth_id, message.message_id, response.SerializeToString(), now_us),
    )


def settle(db: apsw.Connection, booth_id: str, event: Event) -> None:
    """The booth's event says that it has what it was told."""
    settled = settled_by(event)
    if settled:
        db.execute("DELETE FROM booth_message WHERE booth_id = ? AND message_id = ?", (booth_id, settled))


def settled_by(event: Event) -> bytes:
    """The id of the port's message that this event makes durable; b'' if it makes none."""
    match event.WhichOneof("body"):
        case "findings_added":
            return event.findings_added.message_id
        case "decision_recorded":
            return event.decision_recorded.message_id
        case _:
            return b""


def waiting(store: Store, booth_id: str, after: int) -> list[tuple[int, WatchResponse]]:
    """What waits for this booth behind the number `after`, oldest first, each with its number; at most PAGE."""
    with store.reading() as db:
        rows = db.execute(
            "SELECT number, message FROM booth_message WHERE booth_id = ? AND number > ? ORDER BY number LIMIT ?",
            (booth_id, after, PAGE),
        ).fetchall()
    return [(int(str(n)), WatchResponse.FromString(m)) for n, m in rows if isinstance(m, bytes)]


def waits_for(db: apsw.Connection, booth_id: str, inspection_id: str) -> bool:
    """Whether the booth has still to be told something of this inspection."""
    query = (
        "SELECT 1 FROM booth_message WHERE booth_id = ?1 AND message_id IN"
        " (SELECT message_id FROM decision WHERE inspection_id = ?2 AND booth_id = ?1 UNION ALL"
        " SELECT message_id FROM watch_list_hit WHERE booth_id = ?1 AND inspection_id = ?2) LIMIT 1"
    )
    return db.execute(query, (booth_id, inspection_id)).get is not None


def newest(store: Store) -> int:
    """The number of the last message posted to any booth that is still waiting."""
    with store.reading() as db:
        return int(str(db.execute("SELECT coalesce(max(number), 0) FROM booth_message").get))
