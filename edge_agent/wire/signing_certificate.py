"""RFC 5035: a time token names, in what is signed, the very certificate by which it is to be verified.

Issuer and serial alone would let another certificate for the same key stand in its place. Pure: no input or output.
"""

import hashlib
from collections.abc import Iterator
from typing import NamedTuple

_SIGNED_DATA = bytes.fromhex("2a864886f70d010702")
_SIGNING_CERTIFICATE = bytes.fromhex("2a864886f70d010910020c")
_SIGNING_CERTIFICATE_V2 = bytes.fromhex("2a864886f70d010910022f")
_DIGESTS = {
    bytes.fromhex("608648016503040201"): "sha256",
    bytes.fromhex("608648016503040202"): "sha384",
    bytes.fromhex("608648016503040203"): "sha512",
}
_SEQUENCE, _SET, _OID, _OCTETS, _CONTEXT_0 = 0x30, 0x31, 0x06, 0x04, 0xA0


class _Part(NamedTuple):
    tag: int
    content: bytes


def names_signer(token: bytes, signer: bytes) -> bool:
    """Whether `token` (ContentInfo, DER) names `signer` (certificate, DER) first in its signed attributes.

    Raises ValueError where it is not of that form, or names none.
    """
    kind, content = _parts(_one(_parts(token), _SEQUENCE))
    if kind.content != _SIGNED_DATA:
        raise ValueError("no signed data")
    signed_data = list(_parts(_one(_parts(content.content), _SEQUENCE)))
    information = list(_parts(_one(_parts(signed_data[-1].content), _SEQUENCE)))
    attributes = next((part for part in information if part.tag == _CONTEXT_0), None)
    if signed_data[-1].tag != _SET or attributes is None:
        raise ValueError("no signed attributes")
    found = dict[bytes, bytes]()
    for attribute in _parts(attributes.content):
        name, values = _parts(attribute.content)
        if name.content in found:
            raise ValueError("an attribute comes twice")
        found[name.content] = values.content
    version_2 = _SIGNING_CERTIFICATE_V2 in found
    value = found.get(_SIGNING_CERTIFICATE_V2, found.get(_SIGNING_CERTIFICATE))
    if value is None:
        raise ValueError("it names no certificate of its signer")
    certificates = next(_parts(_one(_parts(value), _SEQUENCE)))
    first = list(_parts(next(_parts(certificates.content)).content))
    digest = "sha256" if version_2 else "sha1"  # the default of RFC 5035, and all that RFC 2634 has
    if version_2 and first[0].tag == _SEQUENCE:
        oid = next(_parts(first.pop(0).content)).content
        if oid not in _DIGESTS:
            raise ValueError("it names its signer's certificate by a digest that does not count")
        digest = _DIGESTS[oid]
    if first[0].tag != _OCTETS:
        raise ValueError("no digest of a certificate")
    return hashlib.new(digest, signer, usedforsecurity=False).digest() == first[0].content


def _one(parts: Iterator[_Part], tag: int) -> bytes:
    found = list(parts)
    if len(found) != 1 or found[0].tag != tag:
        raise ValueError("not of the form of a time token")
    return found[0].content


def _parts(data: bytes) -> Iterator[_Part]:
    """The elements of DER, one after the other. Raises ValueError."""
    at = 0
    while at < len(data):
        if at + 2 > len(data):
            raise ValueError("cut off")
        tag, size, at = data[at], data[at + 1], at + 2
        if size & 0x80:
            width = size & 0x7F
            if not 1 <= width <= 4 or at + width > len(data):
                raise ValueError("a length that is none")
            size, at = int.from_bytes(data[at : at + width], "big"), at + width
        if at + size > len(data):
            raise ValueError("cut off")
        yield _Part(tag, data[at : at + size])
        at += size
