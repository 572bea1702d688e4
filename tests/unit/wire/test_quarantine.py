"""What may go into quarantine: signed by the session, at its place, and not understood. Nothing else."""

from collections.abc import Callable
from dataclasses import replace

import pytest
from cryptography.hazmat.primitives.asymmetric import ed25519

from edge_agent.wire.chain import Head
from edge_agent.wire.envelope import MAX_ENVELOPE_BYTES, envelope_sha256, pae, write_envelope
from edge_agent.wire.identity import key_id
from edge_agent.wire.quarantine import MAX_QUARANTINED_BYTES, OF_CONTENT, signed_link, verify_link
from edge_agent.wire.refused import RefusalCode, Refused
from edge_agent.wire.v1alpha1.envelope_pb2 import Envelope, Signature
from edge_agent.wire.v1alpha1.event_pb2 import Event
from edge_agent.wire.verify import Chain, KeyEnd, verify_next
from tests.unit.wire.booth import EPOCH, Booth

# A field that no version has; a text that is no UTF-8, as an inspection's id.
NEWER = b"\xfa\x3f\x02hi"
NO_TEXT = b"\x8a\x01\x04\x0a\x02\xff\xfe"


@pytest.fixture
def booth() -> Booth:
    return Booth()


def link(booth: Booth, **changes: object) -> bytes:
    head = booth.head
    first = {"booth_id": head.booth_id, "epoch": head.epoch, "seq": head.seq + 1, "previous_sha256": head.sha256}
    return Event(**{**first, **changes}).SerializeToString()  # type: ignore[arg-type]


def started(booth: Booth) -> Chain:
    return verify_next(booth.chain(), booth.opening()).chain


@pytest.mark.parametrize("rest", [NEWER, NO_TEXT, b"\xfa\x3f\x80\x80\x08" + bytes(MAX_ENVELOPE_BYTES)])
def test_the_chain_goes_on_over_content_that_cannot_be_read(booth: Booth, rest: bytes) -> None:
    chain = started(booth)
    poison = booth.push(booth.by_session(link(booth) + rest))
    with pytest.raises(Refused) as caught:
        verify_next(chain, poison)
    assert caught.value.code in OF_CONTENT
    passed = verify_link(chain, poison)
    assert (passed.seq, passed.sha256, passed.envelope) == (2, envelope_sha256(poison), poison)
    assert verify_next(passed.chain, booth.event()).event.seq == 3


def other_key(booth: Booth) -> bytes:
    key = ed25519.Ed25519PrivateKey.generate()
    good = booth.by_session(link(booth) + NEWER)
    return good.replace(key_id(booth.session.public_key()).encode(), key_id(key.public_key()).encode())


def bad_signature(booth: Booth) -> bytes:
    return write_envelope(link(booth) + NEWER, bytes(64), key_id(booth.session.public_key()))


def another_type(booth: Booth) -> bytes:
    """Signed as that type, too."""
    payload, kind = link(booth) + NEWER, "application/x"
    signature = Signature(sig=booth.session.sign(pae(kind, payload)), keyid=key_id(booth.session.public_key()))
    return Envelope(payload=payload, payload_type=kind, signatures=[signature]).SerializeToString()


NEVER: list[tuple[Callable[[Booth], bytes], RefusalCode]] = [
    (lambda b: b.by_device(link(b) + NEWER), RefusalCode.WRONG_SIGNER),
    (other_key, RefusalCode.WRONG_SIGNER),
    (bad_signature, RefusalCode.BAD_SIGNATURE),
    (lambda b: b.by_session(b"no event"), RefusalCode.MALFORMED_EVENT),
    (lambda b: b.by_session(link(b, previous_sha256=b"short") + NEWER), RefusalCode.MALFORMED_EVENT),
    (lambda b: b.by_session(link(b, booth_id="spiffe://uslrd/booth/lane-2") + NEWER), RefusalCode.WRONG_BOOTH),
    (lambda b: b.by_session(link(b, epoch=bytes(16)) + NEWER), RefusalCode.WRONG_EPOCH),
    (lambda b: b.by_session(link(b, seq=1) + NEWER), RefusalCode.REPLAYED),
    (lambda b: b.by_session(link(b, seq=3) + NEWER), RefusalCode.GAP),
    (lambda b: b.by_session(link(b, previous_sha256=bytes(32)) + NEWER), RefusalCode.BROKEN_CHAIN),
    (another_type, RefusalCode.WRONG_PAYLOAD_TYPE),
    (lambda b: b.by_session(link(b) + bytes([0x82, 0x01, 0x00])), RefusalCode.MALFORMED_EVENT),  # a session
    (lambda b: b.by_session(link(b) + bytes([0xBA, 0x01, 0x00]) + NO_TEXT), RefusalCode.MALFORMED_EVENT),  # a rotation
    (lambda b: b.by_session(link(b) + bytes(MAX_QUARANTINED_BYTES)), RefusalCode.OVERSIZED),
]


@pytest.mark.parametrize(("forge", "code"), NEVER)
def test_nothing_else_may_go_there(booth: Booth, forge: Callable[[Booth], bytes], code: RefusalCode) -> None:
    chain = started(booth)
    with pytest.raises(Refused) as caught:
        verify_link(chain, forge(booth))
    assert caught.value.code is code


PLACES: list[tuple[Callable[[Booth], bytes], int]] = [
    (lambda b: b.by_session(link(b) + NEWER), 2),
    (lambda b: b.by_device(link(b, seq=1) + NO_TEXT), 1),
    (lambda b: b.by_session(link(b, seq=7, previous_sha256=bytes(32)) + bytes([0x82, 0x01, 0x00])), 7),
]
NOWHERE: list[tuple[Callable[[Booth], bytes], RefusalCode]] = [
    (other_key, RefusalCode.UNKNOWN_KEY),
    (bad_signature, RefusalCode.BAD_SIGNATURE),
    (lambda b: b.by_session(b"no event"), RefusalCode.MALFORMED_EVENT),
    (lambda b: b.by_session(link(b, seq=0) + NEWER), RefusalCode.MALFORMED_EVENT),
    (lambda b: b.by_session(link(b, booth_id="spiffe://uslrd/booth/lane-2") + NEWER), RefusalCode.WRONG_BOOTH),
    (lambda b: b.by_session(link(b, epoch=bytes(16)) + NEWER), RefusalCode.WRONG_EPOCH),
    (lambda b: b.by_session(link(b) + bytes(MAX_QUARANTINED_BYTES)), RefusalCode.OVERSIZED),
]


@pytest.mark.parametrize(("sign", "seq"), PLACES)
def test_a_key_of_the_booth_signs_for_a_place(booth: Booth, sign: Callable[[Booth], bytes], seq: int) -> None:
    assert signed_link(started(booth), sign(booth)).seq == seq


@pytest.mark.parametrize(("forge", "code"), NOWHERE)
def test_and_nobody_else_does(booth: Booth, forge: Callable[[Booth], bytes], code: RefusalCode) -> None:
    chain = started(booth)
    with pytest.raises(Refused) as caught:
        signed_link(chain, forge(booth))
    assert caught.value.code is code


def test_it_needs_a_session_and_a_key_that_counts(booth: Booth) -> None:
    begin = booth.chain()
    with pytest.raises(Refused, match="only what the session key signed"):
        verify_link(begin, booth.by_session(link(booth) + NEWER))
    chain = started(booth)
    poison = booth.by_session(link(booth) + NEWER)
    (device,) = chain.device_keys
    ended = replace(chain, ends={device: KeyEnd(1, RefusalCode.KEY_REVOKED)})
    with pytest.raises(Refused) as caught:
        verify_link(ended, poison)
    assert caught.value.code is RefusalCode.KEY_REVOKED
    assert chain.head == Head(booth.head.booth_id, EPOCH, 1, booth.head.sha256)
