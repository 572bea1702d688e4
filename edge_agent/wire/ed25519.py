"""Ed25519 verified in half the time: libsodium is asked first, and OpenSSL has the last word.

What counts is what OpenSSL accepts: RFC 8032 §5.1.7 without the cofactor, S below the group's order, R compared as
bytes. libsodium computes the same and refuses more (keys and R of small order, keys in another form than the one):
OpenSSL is asked about all that it refuses. It must accept nothing more; a version that multiplies by the cofactor would
(it was never promised not to), so it is tried once with such a signature, and then not asked at all.
"""

from cryptography.exceptions import InvalidSignature
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PublicKey
from nacl.bindings import crypto_sign_open
from nacl.exceptions import CryptoError

SIGNATURE_BYTES = 64

# Made for this: R has a part of order 8, so that S·B = R + k·A holds only after multiplication by the cofactor.
COFACTORED_KEY = bytes.fromhex("0f7608783489684c04726001595638e5258c2ed0bdb3d18d9e3453ea8bb458ad")
COFACTORED_SIGNATURE = bytes.fromhex(
    "186ed2bdbd1a36f6437c5168b0221914018ea4f32a1c3fcd1c1794d64fbd596e"
    "9b00c01af6d3748da72e7119a77f3b57808824b1ec847299dffccd9fbf606a00"
)
COFACTORED_MESSAGE = b"of order 8"


def signed(key: Ed25519PublicKey, message: bytes, signature: bytes) -> bool:
    """Whether `key` signed `message`. Other threads run meanwhile: both libraries let go of the interpreter."""
    if len(signature) != SIGNATURE_BYTES:  # libsodium takes both as one string: nothing may move between them
        return False
    if _EXACT and _by_libsodium(key.public_bytes_raw(), message, signature):
        return True
    return by_openssl(key, message, signature)


def by_openssl(key: Ed25519PublicKey, message: bytes, signature: bytes) -> bool:
    """The same from OpenSSL alone."""
    try:
        key.verify(signature, message)
    except InvalidSignature:
        return False
    return True


def _by_libsodium(key: bytes, message: bytes, signature: bytes) -> bool:
    try:
        crypto_sign_open(signature + message, key)
    except CryptoError:
        return False
    return True


def exact() -> bool:
    """Whether this libsodium leaves the cofactor out, so that OpenSSL accepts all that it accepts."""
    return not _by_libsodium(COFACTORED_KEY, COFACTORED_MESSAGE, COFACTORED_SIGNATURE)


_EXACT = exact()
