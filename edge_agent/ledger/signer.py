"""What signs events: the booth's device key, opened by URI, and a session key that lives in memory."""

import re
from pathlib import Path
from typing import Protocol

from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec, ed25519

from edge_agent.domain.errors import IdentityInvalid
from edge_agent.ledger.pkcs11_key import open_token_key
from edge_agent.ledger.pkcs11_uri import parse_key_uri
from edge_agent.ledger.secrets import read_secret
from edge_agent.wire.identity import key_id, load_private_key


class Signer(Protocol):
    """Signs messages with one key. `key_id` is lower-case hex SHA-256 of its SubjectPublicKeyInfo."""

    @property
    def key_id(self) -> str: ...

    def sign(self, message: bytes) -> bytes: ...


class DeviceKey(Signer, Protocol):
    """The booth's own key, P-256: signs the opening of every session, and speaks for the booth in TLS.

    It signs as ECDSA with SHA-256 in DER, and may raise TokenUnavailable or IdentityInvalid.
    """

    @property
    def public_key(self) -> ec.EllipticCurvePublicKey: ...

    def pem(self) -> bytes | None:
        """The private key in PEM form, unencrypted, for TLS; None when it cannot leave its token."""
        ...


class FileKey:
    """A device key from a PEM file."""

    def __init__(self, key: ec.EllipticCurvePrivateKey) -> None:
        self._key = key
        self.public_key = key.public_key()
        self.key_id = key_id(self.public_key)

    def sign(self, message: bytes) -> bytes:
        return self._key.sign(message, ec.ECDSA(hashes.SHA256()))

    def pem(self) -> bytes | None:
        form, plain = serialization.PrivateFormat.PKCS8, serialization.NoEncryption()
        return self._key.private_bytes(serialization.Encoding.PEM, form, plain)


class SessionSigner:
    """A fresh Ed25519 key for one session of a running agent. It is never written anywhere.

    A hardware key signs a few times a second; it vouches once a session for this one, which signs the events.
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


class Opener(Protocol):
    """Opens what stands behind a URI's scheme: relative paths from `folder`, the key with the id `wanted` if given."""

    def __call__(self, rest: str, folder: Path, wanted: str | None) -> DeviceKey: ...


def _from_file(rest: str, folder: Path, wanted: str | None) -> DeviceKey:
    path, passphrase = file_of(rest, folder)
    key = FileKey(load_private_key(path, passphrase))
    following = path.with_name(path.name + ".next")  # see identity.py
    if wanted not in (None, key.key_id) and following.exists():
        other = FileKey(load_private_key(following, passphrase))
        return other if other.key_id == wanted else key
    return key


def file_of(rest: str, folder: Path) -> tuple[Path, bytes | None]:
    """The file that stands behind `file:`, and its passphrase. Raises IdentityInvalid."""
    path, question, query = rest.removeprefix("//").partition("?")
    if not question:
        return folder / path, None
    name, _, where = query.partition("=")
    if name != "passphrase-file" or "&" in where:
        raise IdentityInvalid("the key's file: URI has a query that is not known here", f"write it as {_FILE}")
    return folder / path, read_secret(folder / where, "the key's passphrase")


def _from_token(rest: str, folder: Path, wanted: str | None) -> DeviceKey:
    return open_token_key(parse_key_uri(rest, folder), wanted)


_FILE = "file:keys/booth.key?passphrase-file=/run/credentials/edge-agent.service/passphrase"
# URI scheme -> what opens the rest of the URI.
SCHEMES: dict[str, Opener] = {"file": _from_file, "pkcs11": _from_token}


def open_signer(uri: str, folder: Path = Path(), wanted: str | None = None) -> DeviceKey:
    """The device key that `uri` names: a path, `file:…?passphrase-file=…` or `pkcs11:…` (RFC 7512).

    Relative paths are taken from `folder`; `wanted` is the key id that a certificate asks for, and chooses among
    several keys of one name. Raises IdentityInvalid, TokenUnavailable. Messages never repeat the URI.
    """
    scheme, rest = split_uri(uri)
    if scheme not in SCHEMES:
        known = ", ".join(f"{name}:" for name in SCHEMES)
        wrong = f"the key's URI has the scheme {scheme[:20]!r}, which is not known here"
        raise IdentityInvalid(wrong, f"give a path, or use one of: {known}")
    return SCHEMES[scheme](rest, folder, wanted)


def split_uri(uri: str) -> tuple[str, str]:
    """The scheme and what follows it; a bare path is one of `file:`."""
    match = _SCHEME.match(uri)
    return (match[1].lower(), uri[match.end() :]) if match else ("file", uri)


_SCHEME = re.compile(r"([A-Za-z][A-Za-z0-9+.-]*):")
