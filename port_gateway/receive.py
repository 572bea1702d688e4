"""What a batch is worth: each envelope verified, known already, or refused. Decides; writes nothing.

An envelope at a sequence that is held: the same bytes are acknowledged again; other bytes that verify are a fork.
A held envelope that claims a new sequence is a replay. Everything else is for wire/verify.py. What is signed and
linked and has content that cannot be read goes into quarantine.
"""

import contextlib
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from edge_agent.wire.chain import Head
from edge_agent.wire.envelope import envelope_sha256, read_envelope
from edge_agent.wire.quarantine import MAX_QUARANTINED_BYTES, OF_CONTENT, signed_link, verify_link
from edge_agent.wire.refused import RefusalCode, Refused
from edge_agent.wire.v1alpha1.event_pb2 import Event, EventLink
from edge_agent.wire.v1alpha1.services_pb2 import Hello
from edge_agent.wire.verify import Chain, Verified, verify_event, verify_next
from port_gateway.inbox import Inbox
from port_gateway.quarantine import Quarantined


@dataclass(frozen=True, slots=True)
class Judged:
    """A batch up to its end or its first refusal: what is to be kept. `refused_envelope` belongs to `refused`."""

    verified: tuple[Verified | Quarantined, ...]
    chain: Chain
    refused: Refused | None = None
    refused_envelope: bytes = b""


def judge_hello(hello: Hello, chain: Chain) -> None:
    """Whether the booth's ledger can go on from what the port holds. Raises Refused: FORK, GAP."""
    head = chain.head
    if hello.salvaged:  # its last events may be lost, and so may others
        if hello.newest_seq == head.seq and head.seq > 0 and hello.chain_head != head.sha256:
            raise Refused(RefusalCode.FORK, "the last event salvaged is not the one that the port holds", head.seq)
        return
    if head.seq == 0 and hello.oldest_seq > 1:
        raise Refused(RefusalCode.GAP, f"the booth holds nothing before {hello.oldest_seq}, and the port nothing", 1)
    if hello.newest_seq < head.seq:
        detail = f"the booth's ledger ends at {hello.newest_seq}, and the port holds {head.seq}: it was set back"
        raise Refused(RefusalCode.FORK, detail, hello.newest_seq + 1)
    if hello.newest_seq == head.seq and head.seq > 0 and hello.chain_head != head.sha256:
        raise Refused(RefusalCode.FORK, "the booth's last event is not the one that the port holds", head.seq)
    if hello.oldest_seq > head.seq + 1:
        detail = f"the port holds {head.seq}, and the booth nothing before {hello.oldest_seq}"
        raise Refused(RefusalCode.GAP, detail, head.seq + 1)


def judge_batch(
    inbox: Inbox, chain: Chain, in_flight: Mapping[int, bytes], first_seq: int, envelopes: Sequence[bytes]
) -> Judged:
    """Judge `envelopes` from `first_seq` on against `chain`.

    `in_flight` holds the digests of events that are verified and not yet in the inbox. CPU and disk: from a thread.
    """
    verified: list[Verified | Quarantined] = []
    digests = dict(in_flight)
    for seq, envelope in enumerate(envelopes, first_seq):
        try:
            if seq <= chain.head.seq:
                _held_already(inbox, chain, digests, seq, envelope)
                continue
            new = _verify_new(inbox, chain, digests, envelope)
            if new.seq != seq:
                raise Refused(RefusalCode.PROTOCOL, f"the batch says {seq}, the event {new.seq}")
        except Refused as refused:
            placed = Refused(refused.code, refused.detail, refused.seq or seq)
            return Judged(tuple(verified), chain, placed, envelope)
        verified.append(new)
        chain = new.chain
        digests[seq] = new.sha256
    return Judged(tuple(verified), chain)


def _held_already(inbox: Inbox, chain: Chain, digests: Mapping[int, bytes], seq: int, envelope: bytes) -> None:
    """Returns if `envelope` is the one held at `seq`. Raises Refused."""
    held = _digest(inbox, chain.head, digests, seq)
    if held == envelope_sha256(envelope):
        return
    if held is None:
        raise _passed_over(seq)
    event = _verify_old(inbox, chain, envelope)
    if event.seq != seq:
        raise Refused(RefusalCode.PROTOCOL, f"the batch says {seq}, the event {event.seq}")
    raise Refused(RefusalCode.FORK, "another event with this sequence is held", seq)


def _verify_new(inbox: Inbox, chain: Chain, digests: Mapping[int, bytes], envelope: bytes) -> Verified | Quarantined:
    try:
        return verify_next(chain, envelope)
    except Refused as refused:
        if refused.code in OF_CONTENT:
            with contextlib.suppress(Refused):
                return Quarantined(verify_link(chain, envelope), refused.code, refused.detail)
        elif refused.code not in (RefusalCode.REPLAYED, RefusalCode.UNKNOWN_KEY):
            raise
        # Of an earlier session, or from the past: the inbox knows which.
        event = _verify_old(inbox, chain, envelope)
        if event.seq > chain.head.seq:
            raise
        held = _digest(inbox, chain.head, digests, event.seq)
        if held is None:
            raise _passed_over(event.seq) from None
        if held == envelope_sha256(envelope):
            raise Refused(RefusalCode.REPLAYED, "this event is held already", event.seq) from None
        raise Refused(RefusalCode.FORK, "another event with this sequence is held", event.seq) from None


def _verify_old(inbox: Inbox, chain: Chain, envelope: bytes) -> Event | EventLink:
    """Verify an event signed by any session that this chain has had; its link, if its content cannot be read.

    Raises Refused.
    """
    session = chain.session
    with contextlib.suppress(Refused):  # verify_event says why
        _, signature = read_envelope(envelope, MAX_QUARANTINED_BYTES)
        session = inbox.session(chain.head.booth_id, chain.head.epoch, signature.keyid) or session
    signers = Chain(chain.head, chain.device_keys, session)
    try:
        return verify_event(signers, envelope)[0]
    except Refused as refused:
        if refused.code in OF_CONTENT:
            with contextlib.suppress(Refused):
                return signed_link(signers, envelope)
        raise


def _passed_over(seq: int) -> Refused:
    return Refused(RefusalCode.GAP, "the booth said that this event is missing, and the chain has gone on", seq)


def _digest(inbox: Inbox, head: Head, digests: Mapping[int, bytes], seq: int) -> bytes | None:
    return digests.get(seq) or inbox.held_sha256(head.booth_id, head.epoch, seq)
