"""What signs events: the booth's device key, opened by URI, and a session key that lives in memory."""

from collections.abc import Callable
from pathlib import Path
from typing import Protocol

from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec, ed25519

from edge_agent.domain.errors import IdentityInvalid
from edge_agent.wire.identity import key_id, load_private_key


class Signer(Protocol):
    """Signs messages with one key. `key_id` is lower-case hex SHA-256 of its SubjectPublicKeyInfo."""

    @property
    def key_id(self) -> str: ...

    def sign(self, message: bytes) -> bytes: ...


class DeviceSigner:
    """The booth's own key, P-256: signs the start of every session, as ECDSA with SHA-256 in DER."""

    def __init__(self, key: ec.EllipticCurvePrivateKey) -> None:
        self._key = key
        self.key_id = key_id(key.public_key())

    def sign(self, message: bytes) -> bytes:
        return self._key.sign(message, ec.ECDSA(hashes.SHA256()))


class SessionSigner:
    """A fresh Ed25519 key for one run of the agent. It is never written anywhere.

    A hardware key signs a few times a second; it vouches once a start for this one, which signs the events.
    `public_key` is its SubjectPublicKeyInfo in DER.
    """

    def __init__(self) -> None:
        self._key = ed25519.Ed25519PrivateKey.generate()
        public = self._key.public_key()
        self.key_id = key_id(public)
        self.public_key = public.public_bytes(
            serialization.Encoding.DER, serialization.PublicFormat.SubjectPublicKeyInfo
        )

    def sign(self, message: bytes) -> bytes:
        return self._key.sign(message)


def _from_file(rest: str) -> Signer:
    return DeviceSigner(load_private_key(Path(rest.removeprefix("//"))))


# URI scheme -> what opens the rest of the URI. A key in hardware is one more row.
SCHEMES: dict[str, Callable[[str], Signer]] = {
    "file": _from_file,  # file:keys/booth.key or file:///etc/…/booth.key, a PEM file with a P-256 key
}


def open_signer(uri: str) -> Signer:
    """The device key that `uri` names, e.g. `file:keys/booth.key`. Raises IdentityInvalid.

    Messages never repeat the URI beyond its scheme: it may carry a PIN.
    """
    scheme, colon, rest = uri.partition(":")
    known = ", ".join(f"{name}:" for name in SCHEMES)
    if not colon or scheme not in SCHEMES:
        shown = f"scheme {scheme[:20]!r}" if colon else "no scheme"
        raise IdentityInvalid(f"the signer's URI has {shown}, which is not known here", f"use one of: {known}")
    return SCHEMES[scheme](rest)
