"""Each step of wire/verify.py refuses what it is there for, by its code."""

import pytest
from cryptography.hazmat.primitives.asymmetric import ec, ed25519
from hypothesis import given, settings
from hypothesis import strategies as st

from edge_agent.domain.event import SessionOpened
from edge_agent.wire.chain import Head
from edge_agent.wire.envelope import MAX_ENVELOPE_BYTES, PAYLOAD_TYPE, pae
from edge_agent.wire.identity import key_id, spki
from edge_agent.wire.refused import RefusalCode, Refused
from edge_agent.wire.v1alpha1.envelope_pb2 import Envelope, Signature
from edge_agent.wire.v1alpha1.event_pb2 import Event
from edge_agent.wire.verify import Chain, verify_next
from tests.unit.wire.booth import BOOTH, EPOCH, Booth


@pytest.fixture
def booth() -> Booth:
    return Booth()


def refusal(chain: Chain, envelope: bytes) -> RefusalCode:
    with pytest.raises(Refused) as caught:
        verify_next(chain, envelope)
    return caught.value.code


def started(booth: Booth) -> Chain:
    return verify_next(booth.chain(), booth.opening()).chain


def test_a_good_chain(booth: Booth) -> None:
    chain = started(booth)
    for seq in range(2, 6):
        verified = verify_next(chain, booth.event())
        chain = verified.chain
        assert verified.event.seq == seq
        assert chain.head.sha256 == verified.sha256
    event = Event.FromString(booth.payload())
    event.evidence.add(kind="frame", sha256=bytes(32))
    chain = verify_next(chain, booth.push(booth.by_session(event.SerializeToString()))).chain
    booth.session = ed25519.Ed25519PrivateKey.generate()
    chain = verify_next(chain, booth.opening()).chain
    assert verify_next(chain, booth.event()).event.seq == 8


def test_pae_counts_bytes() -> None:
    assert pae("http://example.com/HelloWorld", b"hello world") == (
        b"DSSEv1 29 http://example.com/HelloWorld 11 hello world"
    )
    assert pae("é", b"") == b"DSSEv1 2 \xc3\xa9 0 "


@pytest.mark.parametrize(
    ("envelope", "code"),
    [
        (b"", RefusalCode.MALFORMED_ENVELOPE),
        (b"\xff\xff", RefusalCode.MALFORMED_ENVELOPE),
        (bytes(MAX_ENVELOPE_BYTES + 1), RefusalCode.OVERSIZED),
        (Envelope(payload_type=PAYLOAD_TYPE, signatures=[Signature()] * 2).SerializeToString(),
         RefusalCode.MALFORMED_ENVELOPE),
        (Envelope(payload_type="text/plain", signatures=[Signature()]).SerializeToString(),
         RefusalCode.WRONG_PAYLOAD_TYPE),
        (Envelope(payload_type=PAYLOAD_TYPE, signatures=[Signature(keyid="0" * 64)]).SerializeToString(),
         RefusalCode.UNKNOWN_KEY),
    ],
)  # fmt: skip
def test_steps_1_and_2_the_envelope_and_its_key(booth: Booth, envelope: bytes, code: RefusalCode) -> None:
    assert refusal(booth.chain(), envelope) is code


def test_step_2_another_booths_key(booth: Booth) -> None:
    stranger = Booth()
    assert refusal(started(booth), stranger.by_session(booth.payload())) is RefusalCode.UNKNOWN_KEY


def test_step_2_the_session_before_last(booth: Booth) -> None:
    chain = started(booth)
    old = booth.session
    booth.session = ed25519.Ed25519PrivateKey.generate()
    chain = verify_next(chain, booth.opening()).chain
    booth.session = old
    assert refusal(chain, booth.event()) is RefusalCode.UNKNOWN_KEY


def test_step_3_a_retyped_payload(booth: Booth) -> None:
    chain = started(booth)
    assert refusal(chain, booth.by_session(booth.payload(), "text/plain")) is RefusalCode.BAD_SIGNATURE


def test_step_3_signatures_of_any_length(booth: Booth) -> None:
    chain = started(booth)
    for signature in (b"", b"x", b"x" * 64, b"x" * 10_000):
        for keyid in chain.device_keys, [key_id(booth.session.public_key())]:
            envelope = Envelope(
                payload=booth.payload(),
                payload_type=PAYLOAD_TYPE,
                signatures=[Signature(sig=signature, keyid=next(iter(keyid)))],
            )
            assert refusal(chain, envelope.SerializeToString()) is RefusalCode.BAD_SIGNATURE


def altered(booth: Booth, **fields: object) -> bytes:
    event = Event.FromString(booth.payload())
    for name, value in fields.items():
        if value is None:
            event.ClearField(name)  # type: ignore[arg-type]
        else:
            setattr(event, name, value)
    return booth.by_session(event.SerializeToString())


@pytest.mark.parametrize(
    ("fields", "code"),
    [
        ({"id": ""}, RefusalCode.MALFORMED_EVENT),
        ({"at": None}, RefusalCode.MALFORMED_EVENT),
        ({"body": None}, RefusalCode.MALFORMED_EVENT),
        ({"seq": 0}, RefusalCode.MALFORMED_EVENT),
        ({"booth_id": "spiffe://uslrd/booth/lane-2"}, RefusalCode.WRONG_BOOTH),
        ({"epoch": bytes(16)}, RefusalCode.WRONG_EPOCH),
        ({"seq": 1}, RefusalCode.REPLAYED),
        ({"seq": 3}, RefusalCode.GAP),
        ({"previous_sha256": bytes(32)}, RefusalCode.BROKEN_CHAIN),
    ],
)
def test_steps_4_to_6_the_event(booth: Booth, fields: dict[str, object], code: RefusalCode) -> None:
    assert refusal(started(booth), altered(booth, **fields)) is code


def test_step_4_signed_but_no_event(booth: Booth) -> None:
    chain = started(booth)
    assert refusal(chain, booth.by_session(b"\xff")) is RefusalCode.MALFORMED_EVENT
    event = Event.FromString(booth.payload())
    event.evidence.add(sha256=b"short")
    assert refusal(chain, booth.by_session(event.SerializeToString())) is RefusalCode.MALFORMED_EVENT


def test_step_7_who_may_sign_what(booth: Booth) -> None:
    assert refusal(booth.chain(), booth.by_device(booth.payload())) is RefusalCode.WRONG_SIGNER
    chain = started(booth)
    assert refusal(chain, booth.by_device(booth.payload())) is RefusalCode.WRONG_SIGNER
    opening = SessionOpened(spki(ed25519.Ed25519PrivateKey.generate().public_key()), "test")
    assert refusal(chain, booth.by_session(booth.payload(opening))) is RefusalCode.WRONG_SIGNER
    itself = SessionOpened(spki(booth.device.public_key()), "test")
    assert refusal(chain, booth.by_device(booth.payload(itself))) is RefusalCode.WRONG_SIGNER


CUT_SHORT = spki(ec.generate_private_key(ec.SECP256R1()).public_key())[:-1]


@pytest.mark.parametrize("key", [b"", b"junk", CUT_SHORT], ids=["none", "junk", "cut short"])
def test_step_7_a_session_key_that_is_none(booth: Booth, key: bytes) -> None:
    payload = booth.payload(SessionOpened(key, "test"))
    assert refusal(booth.chain(), booth.by_device(payload)) is RefusalCode.MALFORMED_EVENT


def test_step_7_a_session_key_of_another_kind(booth: Booth) -> None:
    key = spki(ec.generate_private_key(ec.SECP384R1()).public_key())
    payload = booth.payload(SessionOpened(key, "test"))
    assert refusal(booth.chain(), booth.by_device(payload)) is RefusalCode.MALFORMED_EVENT


def test_a_refusal_names_its_sequence() -> None:
    assert str(Refused(RefusalCode.GAP, "the chain stands at 3", 9)) == "GAP at sequence 9: the chain stands at 3"


_BOOTH = Booth()
_CHAIN = started(_BOOTH)
_GOOD = _BOOTH.by_session(_BOOTH.payload())


@settings(max_examples=500, deadline=None)
@given(st.integers(0, len(_GOOD) - 1), st.integers(1, 255))
def test_no_changed_byte_is_accepted_as_another_event(position: int, change: int) -> None:
    """A byte outside payload, type and signature (a length's spare encoding) can at most leave the event as it was."""
    changed = bytearray(_GOOD)
    changed[position] ^= change
    try:
        verified = verify_next(_CHAIN, bytes(changed))
    except Refused:
        return
    assert verified.event == verify_next(_CHAIN, _GOOD).event


@settings(max_examples=300, deadline=None)
@given(st.binary(max_size=300))
def test_garbage_is_refused_by_name(data: bytes) -> None:
    with pytest.raises(Refused):
        verify_next(Chain(Head(BOOTH, EPOCH), {}), data)
