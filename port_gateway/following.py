"""What follows from an event that is kept: part of the transaction that keeps it."""

import apsw

from edge_agent.wire.v1alpha1.event_pb2 import Event
from port_gateway import watch_list
from port_gateway.booth_messages import settle
from port_gateway.decisions import note_chained, note_inspection


def follow(db: apsw.Connection, booth_id: str, event: Event, now_us: int) -> None:
    """Whose an inspection is, whether it is watched for, and what the booth's chain holds of what it was told."""
    note_inspection(db, booth_id, event, now_us)
    watch_list.compare(db, booth_id, event, now_us)
    watch_list.told(db, booth_id, event)
    note_chained(db, booth_id, event, now_us)
    settle(db, booth_id, event)
