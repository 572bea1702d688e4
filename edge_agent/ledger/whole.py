"""What is believed of bytes found in a damaged ledger: events and checkpoints that verify by their signatures."""

import re
from collections.abc import Iterable, Mapping
from dataclasses import dataclass

from edge_agent.domain.errors import IdentityInvalid, ProofInvalid
from edge_agent.wire.chain import Head
from edge_agent.wire.checkpoint import open_checkpoint, origin_of
from edge_agent.wire.envelope import envelope_sha256, read_envelope
from edge_agent.wire.identity import PublicKey, load_public_key
from edge_agent.wire.refused import Refused
from edge_agent.wire.v1alpha1.event_pb2 import Event
from edge_agent.wire.verify import Chain, Session, verify_event

Sessions = Mapping[str, Session]
"""By key id."""


@dataclass(frozen=True, slots=True)
class Whole:
    """An event that verifies by its signature."""

    event: Event
    envelope: bytes
    sha256: bytes


def believed(
    envelopes: Iterable[bytes], head: Head, device_keys: Mapping[str, PublicKey], known: Iterable[Session] = ()
) -> tuple[list[Whole], Sessions]:
    """Events of the booth and epoch of `head`, in no order, and the sessions that openings among them vouch for.

    `known` are sessions whose opening is believed already.
    """
    chain = Chain(head, device_keys)
    sessions = {session.key_id: session for session in known}
    rest, found = list[tuple[bytes, str]](), list[Whole]()
    for envelope in {envelope_sha256(envelope): envelope for envelope in envelopes}.values():
        try:
            keyid = read_envelope(envelope)[1].keyid
            if keyid in device_keys:
                event, _ = verify_event(chain, envelope)
                session = Session.of(load_public_key(event.session_opened.public_key), keyid)
                sessions[session.key_id] = session
            rest.append((envelope, keyid))
        except (Refused, IdentityInvalid):
            continue
    for envelope, keyid in rest:
        if keyid not in device_keys and keyid not in sessions:
            continue
        try:
            event, _ = verify_event(Chain(head, device_keys, sessions.get(keyid)), envelope)
        except Refused:
            continue
        found.append(Whole(event, envelope, envelope_sha256(envelope)))
    return found, sessions


def checkpointed_through(data: bytes, head: Head, sessions: Sessions) -> int:
    """The most events of this chain that a checkpoint in these bytes, signed by one of the sessions, is over."""
    origin = origin_of(head.booth_id, head.epoch).encode()
    note = re.compile(
        re.escape(origin) + rb"\n[1-9][0-9]{0,17}\n[A-Za-z0-9+/]{43}=\n\n"
        rb"\xe2\x80\x94 " + re.escape(origin) + rb" [A-Za-z0-9+/=]{92,120}\n"
    )
    notes = {match[0]: int(match[0].split(b"\n")[1]) for match in note.finditer(data)}
    for one in sorted(notes, key=lambda one: -notes[one]):
        if any(_signed(one, origin.decode(), session.key) for session in sessions.values()):
            return notes[one]
    return 0


def _signed(note: bytes, origin: str, key: PublicKey) -> bool:
    try:
        return open_checkpoint(note, origin, key).origin == origin
    except ProofInvalid:
        return False
