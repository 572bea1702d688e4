"""Ledgers that were damaged and salvaged: which of a booth's epochs another one replaces, and what each of them lost.

It stands in the first event of the epoch in its place, which the inbox holds: nothing more is kept of it.
"""

import logging

import apsw
from google.protobuf.message import DecodeError

from edge_agent.wire.chain import Head
from edge_agent.wire.envelope import read_envelope
from edge_agent.wire.gaps import Gaps, Lost
from edge_agent.wire.refused import Refused
from edge_agent.wire.v1alpha1.event_pb2 import Event
from port_gateway.alarms import note_alarm

log = logging.getLogger(__name__)


def replaced_epochs(db: apsw.Connection, booth_id: str) -> dict[bytes, Gaps]:
    """The epochs of a booth that another one of its held epochs replaces, and the sequences that are missing there."""
    lost = Lost()
    rows = db.execute(
        "SELECT e.envelope FROM chain c JOIN event e ON e.booth_id = c.booth_id AND e.epoch = c.epoch AND e.seq = 1"
        " WHERE c.booth_id = ? ORDER BY e.cursor",  # as readers have them
        (booth_id,),
    )
    for (envelope,) in rows:
        try:
            first = Event.FromString(read_envelope(bytes(envelope))[0])
        except (Refused, DecodeError, TypeError):
            raise apsw.CorruptError(f"the first event of an epoch of {booth_id} cannot be read") from None
        lost.add(first)
    return lost.by_epoch


def note_missing(db: apsw.Connection, head: Head, seq: int, envelope: bytes, at_utc_us: int) -> None:
    """The chain goes on from `head` with `seq`, over what was lost: a person must know of it."""
    detail = f"events through {seq - 1} were lost with the booth's damaged ledger, as the one in its place says"
    log.error("%s: EVENTS_MISSING: %d to %d of epoch %s", head.booth_id, head.seq + 1, seq - 1, head.epoch.hex())
    note_alarm(db, (head.booth_id, head.epoch, head.seq + 1), "EVENTS_MISSING", detail, envelope, at_utc_us)
