"""What counts is what OpenSSL accepts, whatever libsodium says. The curve's own arithmetic makes the odd cases."""

import hashlib

import pytest
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey, Ed25519PublicKey

from edge_agent.wire import ed25519

P = 2**255 - 19
ORDER = 2**252 + 27742317777372353535851937790883648493
D = -121665 * pow(121666, P - 2, P) % P
Point = tuple[int, int]
MESSAGE = b"an event"


def add(one: Point, other: Point) -> Point:
    (x1, y1), (x2, y2) = one, other
    k = D * x1 * x2 * y1 * y2 % P
    return (x1 * y2 + x2 * y1) * pow(1 + k, P - 2, P) % P, (y1 * y2 + x1 * x2) * pow(1 - k, P - 2, P) % P


def times(number: int, point: Point) -> Point:
    found = 0, 1
    while number:
        if number & 1:
            found = add(found, point)
        point, number = add(point, point), number >> 1
    return found


def x_of(y: int) -> int | None:
    square = (y * y - 1) * pow(D * y * y + 1, P - 2, P) % P
    x = pow(square, (P + 3) // 8, P)
    if (x * x - square) % P:
        x = x * pow(2, (P - 1) // 4, P) % P
    return None if (x * x - square) % P else x


def written(point: Point, y_above: int = 0) -> bytes:
    return (point[1] + y_above | (point[0] & 1) << 255).to_bytes(32, "little")


def of_order_8() -> Point:
    for y in range(3, 100):
        if (x := x_of(y)) is not None and times(4, found := times(ORDER, (x, y))) != (0, 1):
            return found
    raise AssertionError


_Y = 4 * pow(5, P - 2, P) % P
_X = x_of(_Y) or 0
BASE = _X if _X % 2 == 0 else P - _X, _Y
SMALL = of_order_8()
SECRET = int.from_bytes(hashlib.sha512(b"secret").digest(), "little") % ORDER


def challenge(r: bytes, key: bytes, message: bytes) -> int:
    return int.from_bytes(hashlib.sha512(r + key + message).digest(), "little") % ORDER


def made(
    key: bytes, of_r: Point = (0, 1), message: bytes = MESSAGE, secret: int = SECRET
) -> tuple[bytes, bytes, bytes]:
    """A signature by `secret` whose R has `of_r` added to it."""
    r = written(add(times(77, BASE), of_r))
    return key, message, r + ((77 + challenge(r, key, message) * secret) % ORDER).to_bytes(32, "little")


def of_mixed_order() -> tuple[bytes, bytes, bytes]:
    """A key with a part of order 8, and a message whose challenge takes that part away."""
    public = add(times(SECRET, BASE), SMALL)
    for n in range(200):
        found = made(written(public), message=b"%d" % n)
        if challenge(found[2][:32], found[0], found[1]) % 8 == 0:
            return found
    raise AssertionError


OWN = times(SECRET, BASE)
GOOD = made(written(OWN))
ABOVE = int.from_bytes(GOOD[2][32:], "little") + ORDER
KEPT = ed25519.COFACTORED_KEY, ed25519.COFACTORED_MESSAGE, ed25519.COFACTORED_SIGNATURE
IDENTITY = 0, 1
CASES = [
    ("as signed", GOOD, True),
    ("another message", (GOOD[0], b"another", GOOD[2]), False),
    ("another key", (written(BASE), GOOD[1], GOOD[2]), False),
    ("S and the order", (*GOOD[:2], GOOD[2][:32] + ABOVE.to_bytes(32, "little")), False),
    ("true only with the cofactor", made(written(OWN), SMALL), False),
    ("true only with the cofactor, kept", KEPT, False),
    ("a key of small order", made(written(IDENTITY), secret=0), True),
    ("a key of small order in another form", made(written(IDENTITY, P), secret=0), True),
    ("a key of mixed order", of_mixed_order(), True),
    ("R in another form", (*GOOD[:2], written(IDENTITY, P) + GOOD[2][32:]), False),
    ("no signature", (*GOOD[:2], b""), False),
    ("cut off", (*GOOD[:2], GOOD[2][:63]), False),
    ("too long", (*GOOD[:2], GOOD[2] + b"\0"), False),
    ("its last byte at the message's beginning", (GOOD[0], GOOD[2][63:] + GOOD[1], GOOD[2][:63]), False),
    ("the message's first byte at its end", (GOOD[0], GOOD[1][1:], GOOD[2] + GOOD[1][:1]), False),
]  # fmt: skip


@pytest.mark.parametrize("said", ["libsodium first", "OpenSSL alone"])
@pytest.mark.parametrize(("case", "counts"), [case[1:] for case in CASES], ids=[case[0] for case in CASES])
def test_what_counts_is_what_openssl_accepts(
    case: tuple[bytes, bytes, bytes], counts: bool, said: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    der, message, signature = case
    key = Ed25519PublicKey.from_public_bytes(der)
    assert ed25519.by_openssl(key, message, signature) is counts
    monkeypatch.setattr(ed25519, "_EXACT", said == "libsodium first")
    assert ed25519.signed(key, message, signature) is counts


def test_every_flipped_bit_is_refused_by_both() -> None:
    secret = Ed25519PrivateKey.from_private_bytes(bytes(range(32)))
    signature, key = secret.sign(MESSAGE), secret.public_key()
    assert ed25519.signed(key, MESSAGE, signature)
    for bit in range(len(signature) * 8):
        changed = bytearray(signature)
        changed[bit // 8] ^= 1 << bit % 8
        assert ed25519.signed(key, MESSAGE, bytes(changed)) is ed25519.by_openssl(key, MESSAGE, bytes(changed)) is False


def test_libsodium_is_asked_as_long_as_it_leaves_the_cofactor_out(monkeypatch: pytest.MonkeyPatch) -> None:
    assert ed25519.exact()
    assert ed25519._EXACT
    monkeypatch.setattr(ed25519, "crypto_sign_open", lambda signed, key: signed[64:])  # one that would accept it
    assert not ed25519.exact()


def test_what_libsodium_accepts_openssl_is_not_asked_about(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(ed25519, "by_openssl", lambda *_: pytest.fail("asked"))
    assert ed25519.signed(Ed25519PublicKey.from_public_bytes(GOOD[0]), *GOOD[1:])
