"""The log that a kill or a power cut left: SQLite drops all behind its first damaged frame, and in silence.

What is whole behind the damage is found by its own digests and signatures, and follows the chain again.
"""

import os
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import apsw

from edge_agent.domain.errors import IdentityInvalid
from edge_agent.domain.evidence import EvidenceKind, EvidenceRef
from edge_agent.ledger.evidence_files import sync_directory
from edge_agent.ledger.scan import find_in_log
from edge_agent.ledger.seal import Sealed
from edge_agent.wire.chain import Head
from edge_agent.wire.envelope import read_envelope
from edge_agent.wire.identity import PublicKey, load_public_key
from edge_agent.wire.refused import Refused
from edge_agent.wire.v1alpha1.event_pb2 import Event
from edge_agent.wire.verify import Chain, Session, verify_next

DAMAGED = "damaged"
_LOG = "ledger.sqlite3-wal"


def leftover_log(database: Path) -> bytes:
    """The bytes of the log beside `database`, before SQLite opens it; empty after a stop in good order."""
    log = database.with_name(f"{database.name}-wal")
    return log.read_bytes() if log.exists() else b""


def events_behind(
    log: bytes, database: apsw.Connection, head: Head, device_keys: Mapping[str, PublicKey]
) -> tuple[list[Sealed], int]:
    """The events in `log` that follow `head`, one after the other, signed by the session in force or a later one.

    And how many others of this epoch stand behind the head: a link before them is damaged.
    """
    if not log:
        return [], 0
    found: dict[bytes, list[bytes]] = {}
    for envelope in find_in_log(log):
        try:
            event = Event.FromString(read_envelope(envelope)[0])
        except Exception:  # noqa: BLE001, S112 - any bytes: only what verifies counts
            continue
        if event.epoch == head.epoch and event.seq > head.seq:
            found.setdefault(event.previous_sha256, []).append(envelope)
    if not found:
        return [], 0
    session = _session(database)
    chain, behind = Chain(head, device_keys, session), list[Sealed]()
    while following := _next(chain, found.get(chain.head.sha256, [])):
        sealed, chain = following
        behind.append(sealed)
    return behind, len(found) - len(behind)


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
            event.seq, event.id, body, inspection_id, envelope, verified.sha256, evidence, head
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
            return Session.of(load_public_key(Event.FromString(read_envelope(envelope)[0]).session_opened.public_key))
    except (Refused, IdentityInvalid):
        pass
    return None


def next_place(directory: Path) -> Path:
    """A new folder for what is damaged."""
    folder = directory / DAMAGED
    folder.mkdir(mode=0o700, exist_ok=True)
    last = max((int(place.name) for place in folder.iterdir() if place.name.isdigit()), default=0)
    place = folder / f"{last + 1:04}"
    place.mkdir(mode=0o700)
    sync_directory(folder)
    return place


def keep_aside(directory: Path, log: bytes) -> Path:
    """The log as it was found, once however often this is tried; where. Raises OSError, and leaves nothing then."""
    for kept in (directory / DAMAGED).glob(f"*/{_LOG}"):
        if kept.stat().st_size == len(log) and kept.read_bytes() == log:
            return kept.parent
    place = next_place(directory)
    try:
        descriptor = os.open(place / _LOG, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600)
        with os.fdopen(descriptor, "wb") as file:
            file.write(log)
            file.flush()
            os.fsync(file.fileno())
        sync_directory(place)
    except OSError:
        (place / _LOG).unlink(missing_ok=True)
        place.rmdir()
        raise
    return place
