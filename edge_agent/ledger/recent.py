"""Whether a draft of the last moment before a kill became an event."""

from collections.abc import Callable
from typing import Any

from edge_agent.domain.event import Draft
from edge_agent.ledger.outbox import LedgerReader
from edge_agent.wire.chain import Head
from edge_agent.wire.codec import event_payload
from edge_agent.wire.envelope import read_envelope
from edge_agent.wire.v1alpha1.event_pb2 import Event

# Between a draft's own event and the end of the ledger lies what the booth's other lanes said in that moment, and what
# a start adds.
LAST_EVENTS = 1024
_BYTES = 64 * 1024 * 1024


def recorded_in(reader: LedgerReader) -> Callable[[Draft], bool]:
    """Tells of a draft whether it is among the ledger's last events. Raises StoreFailed, StoreCorrupt."""
    known: set[tuple[str, ...]] | None = None

    def recorded(draft: Draft) -> bool:
        nonlocal known
        if known is None:
            begin = max(0, reader.extent().newest - LAST_EVENTS)
            envelopes = reader.after(begin, LAST_EVENTS, _BYTES)
            known = {_key(Event.FromString(read_envelope(envelope)[0])) for envelope in envelopes}
        return _key(Event.FromString(event_payload(draft, Head("", b"")))) in known

    return recorded


def _key(event: Event) -> tuple[str, ...]:
    """What tells one event of a lane from every other, without what a start changes (the monotonic clock)."""
    body = event.WhichOneof("body") or ""
    said: Any = getattr(event, body) if body else event
    inspection = said.inspection.id if body == "inspection_closed" else getattr(said, "inspection_id", "")
    names = (getattr(said, name, "") for name in ("device_id", "observation_id", "kind"))
    return (body, str(event.at.utc_us), inspection, *map(str, names))
