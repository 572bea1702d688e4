"""Verification of one booth's chain, envelope by envelope. docs/wire.md gives the same steps in prose.

    1. The envelope has at most 128 KiB, parses as DSSE, holds exactly one signature and this payload type.
    2. Its key is the booth's registered device key, or the session key of the last verified SessionOpened;
       chosen by key id among those two kinds, never taken from the envelope.
    3. The signature verifies over PAE(payload type, payload). Only now is the payload parsed.
    4. The payload is an Event with an id, a time and a body, and names this booth and this epoch.
    5. Its sequence is the head's plus one. Lower: REPLAYED or FORK (the caller, who holds the store, tells which);
       higher: GAP, unless all between were lost with a damaged ledger, and a later one of the booth says so (gaps.py).
    6. Its previous_sha256 is the head's, if nothing lies between.
    7. A SessionOpened is signed by a device key and names a new session key; everything else is signed by the
       session key. The first event of an epoch is therefore a SessionOpened.
    8. The device key that signed, or that vouched for the session, has not ended before this sequence. A KeyRotated
       ends it, and names another that has not ended before it, either, and signed for itself (rotation.py).

Pure: no input or output, no clock. `verify_next` raises Refused or returns; there is no boolean to forget.
"""

from collections.abc import Mapping
from dataclasses import dataclass, field

from google.protobuf.message import DecodeError

from edge_agent.domain.errors import IdentityInvalid
from edge_agent.wire.chain import Head
from edge_agent.wire.envelope import check_signature, envelope_sha256, read_envelope
from edge_agent.wire.gaps import Gaps, may_pass_over
from edge_agent.wire.identity import PublicKey, key_id, load_public_key
from edge_agent.wire.refused import RefusalCode, Refused
from edge_agent.wire.rotation import new_key
from edge_agent.wire.v1alpha1.event_pb2 import Event, EventLink


@dataclass(frozen=True, slots=True)
class KeyEnd:
    """The last sequence of an epoch for which a device key counts, by itself or by a session; `code` says why."""

    through_seq: int
    code: RefusalCode


@dataclass(frozen=True, slots=True)
class Chain:
    """What a verifier knows between two envelopes of one epoch.

    `device_keys` by key id: the registered keys of the booth; `ends` by key id, of those that ended. `session` is
    None before the first session. `missing` is what a later ledger of this booth says that this one lost.
    """

    head: Head
    device_keys: Mapping[str, PublicKey]
    session: "Session | None" = None
    ends: Mapping[str, KeyEnd] = field(default_factory=dict)
    missing: Gaps = ()


@dataclass(frozen=True, slots=True)
class Session:
    """The key that a verified SessionOpened named, with its key id, and the id of the device key that vouched for it.

    Without `device_key_id` the session has no end but its own.
    """

    key_id: str
    key: PublicKey
    device_key_id: str = ""

    @classmethod
    def of(cls, key: PublicKey, device_key_id: str = "") -> "Session":
        return cls(key_id(key), key, device_key_id)


@dataclass(frozen=True, slots=True)
class Verified:
    """An event that may be relied on, the bytes that prove it, and the chain after it."""

    event: Event
    envelope: bytes
    sha256: bytes
    chain: Chain

    @property
    def seq(self) -> int:
        """Its sequence."""
        return self.event.seq


def verify_next(chain: Chain, envelope: bytes) -> Verified:
    """Verify `envelope` as the next link of `chain`. Raises Refused with the code of the first failed step."""
    event, device_key_id = verify_event(chain, envelope)
    head = chain.head
    follows(chain, event)
    sha256 = envelope_sha256(envelope)
    session = _session_after(chain, event, device_key_id)
    counts_still(chain, session, event.seq)
    device_keys, ends = chain.device_keys, chain.ends
    if event.WhichOneof("body") == "key_rotated":
        device_keys, ends = _handed_over(chain, event, session)
    return Verified(
        event, envelope, sha256, Chain(head.at(event.seq, sha256), device_keys, session, ends, chain.missing)
    )


def follows(chain: Chain, event: Event | EventLink) -> None:
    """Steps 5 and 6: returns if `event` is the next link behind the head. Raises Refused."""
    head = chain.head
    if event.seq <= head.seq:
        raise Refused(RefusalCode.REPLAYED, f"the chain stands at {head.seq} already", event.seq)
    if event.seq > head.seq + 1:
        if may_pass_over(chain.missing, head.seq + 1, event.seq - 1):
            return
        raise Refused(RefusalCode.GAP, f"the chain stands at {head.seq}", event.seq)
    if event.previous_sha256 != head.sha256:
        raise Refused(RefusalCode.BROKEN_CHAIN, "previous_sha256 is not the hash of the envelope before", event.seq)


def of_chain(head: Head, event: Event | EventLink) -> None:
    """The end of step 4: returns if `event` names this booth and this epoch. Raises Refused."""
    if event.booth_id != head.booth_id:
        raise Refused(RefusalCode.WRONG_BOOTH, f"the event names {event.booth_id[:200]!r}", event.seq)
    if event.epoch != head.epoch:
        raise Refused(RefusalCode.WRONG_EPOCH, f"the event names epoch {event.epoch[:16].hex()}", event.seq)


def counts_still(chain: Chain, session: Session, seq: int) -> None:
    """Step 8: returns if the device key behind `session` has not ended before `seq`. Raises Refused."""
    end = chain.ends.get(session.device_key_id)
    if end is not None and seq > end.through_seq:
        detail = f"the device key {session.device_key_id[:16]}… counts through sequence {end.through_seq} only"
        raise Refused(end.code, detail, seq)


def verify_event(chain: Chain, envelope: bytes) -> tuple[Event, str | None]:
    """Steps 1 to 4, wherever in the chain: the event, and the device key's id if one signed it. Raises Refused."""
    payload, signature = read_envelope(envelope)
    key, by_device = signer(chain, signature.keyid)
    check_signature(key, payload, signature.sig)
    event = _parse(payload)
    of_chain(chain.head, event)
    return event, signature.keyid if by_device else None


def signer(chain: Chain, keyid: str) -> tuple[PublicKey, bool]:
    """Step 2: the key of this id, and whether it is a device key. Raises Refused(UNKNOWN_KEY)."""
    if chain.session is not None and keyid == chain.session.key_id:
        return chain.session.key, False
    if keyid in chain.device_keys:
        return chain.device_keys[keyid], True
    raise Refused(RefusalCode.UNKNOWN_KEY, f"no key of this booth has the id {keyid[:64]!r}")


def _parse(payload: bytes) -> Event:
    try:
        event = Event.FromString(payload)
    except DecodeError:
        raise Refused(RefusalCode.MALFORMED_EVENT, "signed, but no event") from None
    if event.WhichOneof("body") is None or not event.HasField("at") or not event.id or event.seq == 0:
        raise Refused(RefusalCode.MALFORMED_EVENT, "an event has a sequence, an id, a time and a body", event.seq)
    for ref in event.evidence:
        if len(ref.sha256) != 32:
            raise Refused(RefusalCode.MALFORMED_EVENT, "an evidence digest has 32 bytes", event.seq)
    return event


def _session_after(chain: Chain, event: Event, device_key_id: str | None) -> Session:
    if event.WhichOneof("body") != "session_opened":
        if device_key_id is not None or chain.session is None:
            raise Refused(RefusalCode.WRONG_SIGNER, "signed by the device key, not by a session key", event.seq)
        return chain.session
    if device_key_id is None:
        raise Refused(RefusalCode.WRONG_SIGNER, "a session is opened by the device key alone", event.seq)
    try:
        session = Session.of(load_public_key(event.session_opened.public_key), device_key_id)
    except IdentityInvalid as error:
        raise Refused(RefusalCode.MALFORMED_EVENT, f"session key: {error.wrong}", event.seq) from None
    if session.key_id in chain.device_keys:
        raise Refused(RefusalCode.WRONG_SIGNER, "a device key cannot be its own session key", event.seq)
    return session


def _handed_over(chain: Chain, event: Event, session: Session) -> tuple[Mapping[str, PublicKey], Mapping[str, KeyEnd]]:
    """The device keys and their ends after a KeyRotated of `session`."""
    old = session.device_key_id
    new_id, key = new_key(event.key_rotated, chain.head.booth_id, chain.head.epoch, old, event.seq)
    end = chain.ends.get(new_id)
    if end is not None and end.through_seq < event.seq:  # a reader is told of later ends, too, before it begins
        raise Refused(end.code, "a booth does not hand over to a key that ended", event.seq)
    if new_id == session.key_id:
        raise Refused(RefusalCode.WRONG_SIGNER, "a session's key does not become a device key", event.seq)
    ends = {**chain.ends, old: chain.ends.get(old, KeyEnd(event.seq, RefusalCode.KEY_RETIRED))}
    if ends[old].through_seq > event.seq:
        ends[old] = KeyEnd(event.seq, RefusalCode.KEY_RETIRED)
    return {**chain.device_keys, new_id: key}, ends
