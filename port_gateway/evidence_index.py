"""Whose events name a piece of evidence: a back-office may read what events name that it may read."""

from collections.abc import Collection

import apsw
from google.protobuf.message import DecodeError

from edge_agent.wire.envelope import read_envelope
from edge_agent.wire.refused import Refused
from edge_agent.wire.v1alpha1.event_pb2 import Event


def note_evidence(db: apsw.Connection, booth_id: str, event: Event) -> None:
    """What a verified event names may be read by whoever reads its booth."""
    db.executemany(
        "INSERT OR IGNORE INTO evidence_ref VALUES (?,?)", [(ref.sha256, booth_id) for ref in event.evidence]
    )


def note_all_evidence(db: apsw.Connection) -> None:
    """Once, in an inbox of before schema 6; what cannot be read was never let in, and is for `verify` to name.

    Written in the order of the table: one by one, each would land on another page.
    """
    db.execute("CREATE TEMP TABLE named (sha256, booth_id)")
    for booth_id, envelope in db.execute("SELECT booth_id, envelope FROM event"):
        try:
            event = Event.FromString(read_envelope(bytes(envelope))[0])
        except (Refused, DecodeError, TypeError):
            continue
        db.executemany("INSERT INTO named VALUES (?,?)", [(ref.sha256, str(booth_id)) for ref in event.evidence])
    db.execute("INSERT OR IGNORE INTO evidence_ref SELECT sha256, booth_id FROM named ORDER BY 1, 2; DROP TABLE named")


def named_by(db: apsw.Connection, sha256: bytes, booths: Collection[str]) -> bool:
    """Whether an event of one of these booths names it."""
    rows = db.execute("SELECT booth_id FROM evidence_ref WHERE sha256 = ?", (sha256,))
    return any(str(row[0]) in booths for row in rows)
