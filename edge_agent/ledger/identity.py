"""The files of a booth's identity: the pair in force, and one that follows it.

    booth.key  booth.crt            in force: the port knows this certificate
    booth.key.next  booth.crt.next  what `keys rotate` prepared, or a renewed certificate (then without a key)
    booth.crt.former                certificates of keys that were handed over: they verify this booth's own old events

The ledger says which key signs (`handed_over`); the port says which certificate it takes, by taking it. Files are only
ever renamed whole, the certificate first: whatever a kill leaves, there is a key for each certificate. A key in a token
keeps its name there, and its certificate chooses it.
"""

import os
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime
from pathlib import Path

from cryptography import x509
from cryptography.hazmat.primitives import serialization
from cryptography.hazmat.primitives.asymmetric import ec

from edge_agent.domain.errors import IdentityInvalid
from edge_agent.ledger.pkcs11_key import make_token_key
from edge_agent.ledger.pkcs11_uri import parse_key_uri
from edge_agent.ledger.signer import DeviceKey, file_of, open_signer, split_uri
from edge_agent.ledger.x509_key import X509Key
from edge_agent.wire.identity import (
    CERTIFICATE_FAULTS,
    PublicKey,
    SpiffeId,
    certificate_key,
    identity_of,
    key_id,
    load_certificate,
    load_private_key,
    self_signed,
    signing_request,
    write_certificate,
    write_private_key,
)


@dataclass(frozen=True, slots=True)
class Held:
    """A certificate with its key."""

    key: DeviceKey
    certificate: Path

    @property
    def der(self) -> bytes:
        return load_certificate(self.certificate).public_bytes(serialization.Encoding.DER)


@dataclass(frozen=True, slots=True)
class HandedOver:
    """The id of the key that a ledger was handed over to, and of those that ended by it."""

    key: str
    retired: frozenset[str]


class BoothIdentity:
    """Reads the files whenever it is asked: who renews a certificate by hand just replaces it.

    `key` is a path or URI, relative paths are taken from `folder`. Every method may raise IdentityInvalid or
    TokenUnavailable.
    """

    def __init__(self, key: str, certificate: Path, folder: Path = Path()) -> None:
        self._uri, self._folder, self._certificate = key, folder, folder / certificate
        self._next = self._certificate.with_name(self._certificate.name + ".next")
        self._former = self._certificate.with_name(self._certificate.name + ".former")
        self._signs = ""

    def current(self) -> Held:
        """What the port knows."""
        return self._held(self._certificate)

    def certificate(self) -> Path:
        """That of `current`, whether or not its key is at hand."""
        return self._certificate

    def next(self) -> Held | None:
        """What is to follow, if the key that signs is that of its certificate: the port may or may not know it yet."""
        held = self.prepared()
        return held if held is not None and held.key.key_id == self._signs else None

    def prepared(self) -> Held | None:
        """What `prepare` made and `promote` has not put in force."""
        return self._held(self._next) if self._next.exists() else None

    def signer(self, handed: HandedOver | None) -> DeviceKey:
        """The key that signs: that which the ledger was handed to, else that in force. `next` remembers it."""
        held = self.current()
        following = self.prepared()
        if handed is not None and held.key.key_id != handed.key:
            if following is not None and following.key.key_id == handed.key:
                held = following
            elif held.key.key_id in handed.retired:
                raise IdentityInvalid(
                    f"the ledger was handed over to the key {handed.key}, and the key here is {held.key.key_id}",
                    "name that key and its certificate in `identity`; without it, register a new one by `keys init`",
                )
        self._signs = held.key.key_id
        return held.key

    def expires(self, now: datetime) -> datetime | None:
        """When the certificate ends, if a third of its time or less is left and no other lies beside it; else None."""
        certificate = load_certificate(self._certificate)
        begins, ends = certificate.not_valid_before_utc, certificate.not_valid_after_utc
        return ends if now > ends - (ends - begins) / 3 and not self._next.exists() else None

    def request(self) -> bytes:
        """A PKCS#10 request in DER for the certificate's identity and key."""
        identity = identity_of(load_certificate(self._certificate))
        pem = signing_request(X509Key(self.current().key), identity)
        return x509.load_pem_x509_csr(pem).public_bytes(serialization.Encoding.DER)

    def accept(self, certificate: bytes) -> None:
        """The certificate (DER) that follows the one in force: of the same identity and key, and later."""
        try:
            renewed = x509.load_der_x509_certificate(certificate)
            whose = identity_of(renewed), renewed.public_key()
        except CERTIFICATE_FAULTS:
            raise IdentityInvalid("the port issued what is no certificate", "ask the port's operator") from None
        before = load_certificate(self._certificate)
        same = whose == (identity_of(before), before.public_key())
        if not same or renewed.not_valid_after_utc <= before.not_valid_after_utc:
            raise IdentityInvalid(
                "the port issued a certificate for another, or one that ends no later", "ask the port's operator"
            )
        self._replace(self._next, renewed)

    def prepare(self, identity: SpiffeId, now: datetime) -> Held:
        """A new key with a self-signed certificate, beside the pair in force. Goes on with what a kill left."""
        self.settle()
        found = self.prepared()
        if found is not None and found.key.key_id != self.current().key.key_id:
            return found
        certificate = load_certificate(self._certificate)
        if not certificate.not_valid_before_utc <= now <= certificate.not_valid_after_utc:
            raise IdentityInvalid(
                f"this machine's clock says {now:%Y-%m-%d %H:%M} UTC, outside of the present certificate's time",
                "set the clock; if the certificate has ended, register a new pair of `keys init` at the port",
            )
        scheme, rest = split_uri(self._uri)
        if scheme == "pkcs11":
            key: ec.EllipticCurvePrivateKey = X509Key(make_token_key(parse_key_uri(rest, self._folder), True)[0])
        else:
            path, passphrase = file_of(rest, self._folder)
            following = path.with_name(path.name + ".next")
            following.unlink(missing_ok=True)  # without its certificate it was never named to anybody
            key = ec.generate_private_key(ec.SECP256R1())
            write_private_key(following, key, passphrase)
        self._replace(self._next, self_signed(key, identity, now))
        return self._held(self._next)

    def promote(self) -> None:
        """The port takes the certificate that follows: it and its key are in force now."""
        if self._next.exists():
            formers, before = self._formers(), load_certificate(self._certificate)
            if before.public_key() != load_certificate(self._next).public_key() and before not in formers:
                self._replace(self._former, *formers, before)
            os.replace(self._next, self._certificate)
            _sync(self._certificate.parent)
        self.settle()

    def settle(self) -> None:
        """Finish a `promote` that a kill interrupted between certificate and key."""
        scheme, rest = split_uri(self._uri)
        if scheme != "file" or self._next.exists():
            return
        path, passphrase = file_of(rest, self._folder)
        following = path.with_name(path.name + ".next")
        if not following.exists():
            return
        in_force = certificate_key(load_certificate(self._certificate))
        if key_id(in_force) == key_id(load_private_key(following, passphrase).public_key()):
            os.replace(following, path)
            _sync(path.parent)

    def device_keys(self) -> Mapping[str, PublicKey]:
        """Every key that may have signed this booth's events, by key id."""
        return {key_id(certificate_key(c)): certificate_key(c) for c in self.certificates()}

    def certificates(self) -> list[x509.Certificate]:
        """Of every key that may have signed this booth's events."""
        following = [load_certificate(self._next)] if self._next.exists() else []
        return [*self._formers(), load_certificate(self._certificate), *following]

    def _held(self, certificate: Path) -> Held:
        wanted = key_id(certificate_key(load_certificate(certificate)))
        key = open_signer(self._uri, self._folder, wanted)
        if key.key_id != wanted:
            raise IdentityInvalid(f"the key does not belong to {certificate}", "give both files of one `keys init`")
        return Held(key, certificate)

    def _formers(self) -> list[x509.Certificate]:
        return x509.load_pem_x509_certificates(self._former.read_bytes()) if self._former.exists() else []

    def _replace(self, path: Path, *certificates: x509.Certificate) -> None:
        writing = path.with_name(path.name + ".part")
        writing.unlink(missing_ok=True)
        write_certificate(writing, *certificates)
        os.replace(writing, path)
        _sync(path.parent)


def _sync(folder: Path) -> None:
    descriptor = os.open(folder, os.O_RDONLY | os.O_DIRECTORY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)
