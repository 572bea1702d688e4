"""A booth that hands over to a new device key, and everything that is no such thing."""

from datetime import UTC, datetime

import pytest
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec

from edge_agent.domain.event import KeyRotated, SessionOpened
from edge_agent.wire.identity import SpiffeId, key_id, self_signed, spki
from edge_agent.wire.refused import RefusalCode, Refused
from edge_agent.wire.rotation import possession_message
from edge_agent.wire.verify import Chain, KeyEnd, verify_next
from tests.unit.wire.booth import BOOTH, EPOCH, Booth

NOW = datetime(2026, 3, 1, tzinfo=UTC)


def certificate(key: ec.EllipticCurvePrivateKey, booth: str = BOOTH) -> bytes:
    return self_signed(key, SpiffeId.parse(booth), NOW).public_bytes(serialization.Encoding.DER)


def rotated(
    old: ec.EllipticCurvePrivateKey,
    new: ec.EllipticCurvePrivateKey,
    booth: str = BOOTH,
    epoch: bytes = EPOCH,
    signer: ec.EllipticCurvePrivateKey | None = None,
) -> KeyRotated:
    der = certificate(new, booth)
    message = possession_message(BOOTH, epoch, key_id(old.public_key()), der)
    return KeyRotated(der, (signer or new).sign(message, ec.ECDSA(hashes.SHA256())))


def new_device() -> ec.EllipticCurvePrivateKey:
    return ec.generate_private_key(ec.SECP256R1())


@pytest.fixture
def booth() -> Booth:
    return Booth()


def verified(chain: Chain, *envelopes: bytes) -> Chain:
    for envelope in envelopes:
        chain = verify_next(chain, envelope).chain
    return chain


def code(chain: Chain, envelope: bytes) -> RefusalCode:
    with pytest.raises(Refused) as refused:
        verify_next(chain, envelope)
    return refused.value.code


def test_the_new_key_goes_on_and_the_old_one_and_its_session_do_not(booth: Booth) -> None:
    old, new = booth.device, new_device()
    before = verified(booth.chain(), booth.opening(), booth.event())
    after = verified(before, booth.event(rotated(old, new)))
    assert after.ends == {key_id(old.public_key()): KeyEnd(3, RefusalCode.KEY_RETIRED)}
    assert set(after.device_keys) == {key_id(old.public_key()), key_id(new.public_key())}
    opening = booth.payload(SessionOpened(spki(booth.session.public_key()), "test"))
    assert code(after, booth.by_session(booth.payload())) is RefusalCode.KEY_RETIRED
    assert code(after, booth.by_device(opening)) is RefusalCode.KEY_RETIRED
    booth.device = new
    chain = verified(after, booth.opening(), booth.event())
    # And once more.
    third = new_device()
    chain = verified(chain, booth.event(rotated(new, third)))
    booth.device = third
    verified(chain, booth.opening(), booth.event())


@pytest.mark.parametrize("case", ["other signer", "other epoch", "other old key", "nothing", "too long"])
def test_a_key_that_the_booth_does_not_hold_is_not_taken(booth: Booth, case: str) -> None:
    chain = verified(booth.chain(), booth.opening())
    new = new_device()
    body = {
        "other signer": lambda: rotated(booth.device, new, signer=booth.device),
        "other epoch": lambda: rotated(booth.device, new, epoch=bytes(16)),
        "other old key": lambda: rotated(new_device(), new),
        "nothing": lambda: KeyRotated(certificate(new), b""),
        "too long": lambda: KeyRotated(certificate(new), bytes(129)),
    }[case]()
    assert code(chain, booth.event(body)) is RefusalCode.NOT_POSSESSED


@pytest.mark.parametrize(
    ("case", "expected"),
    [
        ("no certificate", RefusalCode.MALFORMED_EVENT),
        ("too large", RefusalCode.MALFORMED_EVENT),
        ("another booth's", RefusalCode.WRONG_BOOTH),
        ("the same key", RefusalCode.WRONG_SIGNER),
        ("signed by the device key", RefusalCode.WRONG_SIGNER),
    ],
)
def test_what_is_no_rotation(booth: Booth, case: str, expected: RefusalCode) -> None:
    chain = verified(booth.chain(), booth.opening())
    good = rotated(booth.device, new_device())
    if case == "signed by the device key":
        assert code(chain, booth.by_device(booth.payload(good))) is expected
        return
    body = {
        "no certificate": lambda: KeyRotated(b"", good.possession),
        "too large": lambda: KeyRotated(good.certificate + bytes(8192), good.possession),
        "another booth's": lambda: rotated(booth.device, new_device(), "spiffe://uslrd/booth/lane-2"),
        "the same key": lambda: rotated(booth.device, booth.device),
    }[case]()
    assert code(chain, booth.event(body)) is expected


@pytest.mark.parametrize("case", ["subject", "signature", "issuer", "curve", "version"])
def test_a_certificate_that_the_library_only_half_reads_is_malformed(booth: Booth, case: str) -> None:
    chain = verified(booth.chain(), booth.opening())
    new = new_device()
    der = bytearray(certificate(new))
    first = der.find(b"booth lane-1")
    at, value = {
        "subject": (der.rfind(b"booth lane-1"), 0xFF),  # no UTF-8
        "signature": (len(der) - 1, der[-1] ^ 1),
        "issuer": (first, ord("B")),
        "curve": (der.find(bytes.fromhex("06082a8648ce3d030107")) + 9, 0x7F),
        "version": (der.find(bytes.fromhex("a003020102")) + 4, 7),
    }[case]
    der[at] = value
    message = possession_message(BOOTH, EPOCH, key_id(booth.device.public_key()), bytes(der))
    body = KeyRotated(bytes(der), new.sign(message, ec.ECDSA(hashes.SHA256())))
    assert code(chain, booth.event(body)) is RefusalCode.MALFORMED_EVENT


def test_a_reader_that_knows_of_later_ends_follows_every_rotation(booth: Booth) -> None:
    old, new, third = booth.device, new_device(), new_device()
    envelopes = [booth.opening(), booth.event(rotated(old, new))]
    booth.device = new
    envelopes += [booth.opening(), booth.event(rotated(new, third))]
    start = Booth(old).chain()
    ends = {key_id(old.public_key()): KeyEnd(2, RefusalCode.KEY_RETIRED)}
    for end in (KeyEnd(4, RefusalCode.KEY_RETIRED), KeyEnd(4, RefusalCode.KEY_REVOKED)):
        known = Chain(start.head, start.device_keys, None, {**ends, key_id(new.public_key()): end})
        assert verified(known, *envelopes).head.seq == 4


def test_nobody_hands_over_to_a_key_that_ended(booth: Booth) -> None:
    old, new = booth.device, new_device()
    chain = verified(booth.chain(), booth.opening(), booth.event(rotated(old, new)))
    booth.device = new
    chain = verified(chain, booth.opening())
    assert code(chain, booth.event(rotated(new, old))) is RefusalCode.KEY_RETIRED


def test_a_revoked_key_hands_over_no_more(booth: Booth) -> None:
    chain, mine = booth.chain(), key_id(booth.device.public_key())
    ended = Chain(chain.head, chain.device_keys, None, {mine: KeyEnd(1, RefusalCode.KEY_REVOKED)})
    chain = verified(ended, booth.opening())
    assert code(chain, booth.event(rotated(booth.device, new_device()))) is RefusalCode.KEY_REVOKED
