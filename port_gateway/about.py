"""What the port holds on one plate: events, evidence present or deleted, and expected crossings."""

import contextlib
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import apsw
from google.protobuf.message import DecodeError

from edge_agent.pack.about import About, Held, about, expected_in_words
from edge_agent.wire.envelope import read_envelope
from edge_agent.wire.refused import Refused
from edge_agent.wire.v1alpha1.event_pb2 import Event
from edge_agent.wire.v1alpha1.expected_pb2 import ExpectedCrossing
from port_gateway.config import Settings
from port_gateway.evidence import EvidenceFiles
from port_gateway.moments import moment
from port_gateway.retention_index import STAYS, deleted, stays_at_booth
from port_gateway.store import offline


def about_plate(settings: Settings, plate: str, folded: bool) -> About:
    """May run beside a serving gateway. Raises Permanent (no plate), StoreFailed, StoreCorrupt."""
    files, rules = EvidenceFiles(settings.evidence), settings.retention.days.rules()
    with offline(settings.database) as db:

        def events() -> Iterator[Held]:
            rows: Iterator[tuple[Any, ...]] = db.execute("SELECT booth_id, seq, envelope FROM event ORDER BY cursor")
            for booth_id, seq, envelope in rows:
                with contextlib.suppress(Refused, DecodeError):  # in quarantine: what cannot be read cannot be searched
                    yield Held(str(booth_id), int(seq), Event.FromString(read_envelope(bytes(envelope))[0]))

        def place(_: str, sha256: bytes) -> Path | str:
            gone = deleted(db, sha256)
            if gone is not None:
                return f"deleted on {moment(gone.at_utc_us)} at the {gone.place}: {gone.rule}"
            if files.complete(sha256):
                return files.path(sha256)
            return STAYS if stays_at_booth(db, sha256, rules) else "it has not arrived at the port"

        found = about(events, place, plate, folded)
        found.expected = list(_expected(db, found.plate, folded))
        found.unsearched = list(_unsearched(db))
    return found


def _expected(db: apsw.Connection, plate: str, folded: bool) -> Iterator[str]:
    rows: Iterator[tuple[Any, ...]] = db.execute("SELECT message FROM expected WHERE message IS NOT NULL")
    for (message,) in rows:
        crossing = ExpectedCrossing.FromString(bytes(message))
        if words := expected_in_words(crossing, plate, folded):
            yield words


def _unsearched(db: apsw.Connection) -> Iterator[str]:
    unread = "SELECT count(*) FROM quarantine q JOIN event e USING (cursor) WHERE released_cursor IS NULL"
    for query, words in (
        (f"{unread} AND length(envelope) > 0", "events in quarantine, which this version cannot read"),
        ("SELECT count(*) FROM alarm WHERE length(envelope) > 32", "events that were refused, kept with their alarms"),
        ("SELECT count(*) FROM deleted_event", "events of which retention left the digest alone"),
    ):
        count = db.execute(query).get
        if isinstance(count, int) and count:
            yield f"{count} {words}"
