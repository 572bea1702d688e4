"""The log that a kill or a power cut left: SQLite drops all behind its first damaged frame, and in silence.

What is whole behind the damage is found by its own digests and signatures, and follows the chain again. Of what does
not, an event that was accepted is told from one that a power cut tore while it was written (wal.py).
"""

import logging
import os
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import apsw

from edge_agent.domain.errors import IdentityInvalid
from edge_agent.domain.evidence import EvidenceKind, EvidenceRef
from edge_agent.ledger.evidence_files import sync_directory
from edge_agent.ledger.scan import find_in_log
from edge_agent.ledger.seal import Sealed
from edge_agent.ledger.wal import surely_durable
from edge_agent.ledger.whole import believed, checkpointed_through
from edge_agent.wire.chain import Head
from edge_agent.wire.envelope import read_envelope
from edge_agent.wire.identity import PublicKey, load_public_key
from edge_agent.wire.refused import Refused
from edge_agent.wire.standing import standing_of
from edge_agent.wire.v1alpha1.event_pb2 import Event
from edge_agent.wire.verify import Chain, Session, verify_next

DAMAGED = "damaged"
_LOG = "ledger.sqlite3-wal"
# So many logs stay aside, the newest: what was accepted in them stands in the chain.
KEPT_LOGS = 10

log = logging.getLogger(__name__)


def leftover_log(database: Path) -> bytes:
    """The bytes of the log beside `database`, before SQLite opens it; empty after a stop in good order."""
    log = database.with_name(f"{database.name}-wal")
    return log.read_bytes() if log.exists() else b""


@dataclass(frozen=True, slots=True)
class Behind:
    """What a log holds behind the head: events that follow it, how many others, and through where it was accepted."""

    events: tuple[Sealed, ...] = ()
    others: int = 0
    accepted_through: int = 0

    def lost(self, head: Head) -> bool:
        """Whether an event was accepted, and does not follow: something before it is damaged."""
        return self.accepted_through > (self.events[-1].seq if self.events else head.seq)


def events_behind(data: bytes, database: apsw.Connection, head: Head, device_keys: Mapping[str, PublicKey]) -> Behind:
    """The events in the log `data` that follow `head`, one after the other, signed by sessions that are vouched for.

    Others of this epoch stand behind the head without following it. Those in transactions that were surely durable were
    accepted, and so was what a checkpoint there is over.
    """
    if not data:
        return Behind()
    session = _session(database)
    in_log = (envelope for envelope in find_in_log(data) if _is_behind(head, envelope))
    whole, sessions = believed(in_log, head, device_keys, [] if session is None else [session])
    found: dict[bytes, list[bytes]] = {}
    for one in whole:
        found.setdefault(one.event.previous_sha256, []).append(one.envelope)
    durable = surely_durable(data)
    accepted = checkpointed_through(durable, head, sessions)
    if whole:
        durably = set(find_in_log(durable))
        accepted = max([accepted, *(one.event.seq for one in whole if one.envelope in durably)])
    chain, behind = Chain(head, device_keys, session), list[Sealed]()
    while following := _next(chain, found.get(chain.head.sha256, [])):
        sealed, chain = following
        behind.append(sealed)
    return Behind(tuple(behind), len(whole) - len(behind), accepted)


def _is_behind(head: Head, envelope: bytes) -> bool:
    try:
        event = Event.FromString(read_envelope(envelope)[0])
    except Exception:  # noqa: BLE001 - any bytes: only what verifies counts
        return False
    return event.epoch == head.epoch and event.seq > head.seq


def _next(chain: Chain, candidates: list[bytes]) -> tuple[Sealed, Chain] | None:
    for envelope in candidates:
        try:
            verified = verify_next(chain, envelope)
        except Refused:
            continue
        event = verified.event
        evidence = tuple(
            EvidenceRef(EvidenceKind(ref.kind), ref.media_type, ref.sha256, ref.size) for ref in event.evidence
        )
        body = event.WhichOneof("body") or ""
        inner: Any = getattr(event, body)
        inspection_id = inner.inspection.id if body == "inspection_closed" else getattr(inner, "inspection_id", "")
        if body == "unassigned":
            inspection_id = ""
        head = verified.chain.head
        return Sealed(
            *(event.seq, event.id, body, inspection_id, envelope, verified.sha256, evidence, head),
            standing=standing_of(event),
        ), verified.chain
    return None


def _session(database: apsw.Connection) -> Session | None:
    envelope = database.execute(
        "SELECT envelope FROM event WHERE kind = 'session_opened' ORDER BY seq DESC LIMIT 1"
    ).get
    if not isinstance(envelope, bytes):
        envelope = database.execute("SELECT session FROM kept").get
    try:
        if isinstance(envelope, bytes):
            payload, signature = read_envelope(envelope)
            key = load_public_key(Event.FromString(payload).session_opened.public_key)
            return Session.of(key, signature.keyid)  # it may be about to hand over from that device key
    except (Refused, IdentityInvalid):
        pass
    return None


def places(directory: Path) -> list[Path]:
    """The folders with what was damaged, oldest first."""
    return sorted(
        (place for place in (directory / DAMAGED).glob("*") if place.name.isdigit()), key=lambda place: int(place.name)
    )


def next_place(directory: Path) -> Path:
    """A new folder for what is damaged."""
    folder = directory / DAMAGED
    folder.mkdir(mode=0o700, exist_ok=True)
    last = [0, *(int(place.name) for place in places(directory))][-1]
    place = folder / f"{last + 1:04}"
    place.mkdir(mode=0o700)
    sync_directory(folder)
    return place


def keep_aside(directory: Path, data: bytes) -> Path:
    """The log as it was found, once however often this is tried; where. Raises OSError, and leaves nothing then."""
    for kept in (directory / DAMAGED).glob(f"*/{_LOG}"):
        if kept.stat().st_size == len(data) and kept.read_bytes() == data:
            return kept.parent
    place = next_place(directory)
    try:
        descriptor = os.open(place / _LOG, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600)
        with os.fdopen(descriptor, "wb") as file:
            file.write(data)
            file.flush()
            os.fsync(file.fileno())
        sync_directory(place)
    except OSError:
        (place / _LOG).unlink(missing_ok=True)
        place.rmdir()
        raise
    logs = [folder for folder in places(directory) if os.listdir(folder) == [_LOG]]
    for old in logs[:-KEPT_LOGS]:
        log.warning("%s is removed: all that was accepted in that log stands in the chain", old)
        (old / _LOG).unlink()
        old.rmdir()
    return place
