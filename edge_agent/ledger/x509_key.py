"""A device key as `cryptography` wants one to sign certificates and requests, wherever the key itself lies."""

from typing import Never

from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec

from edge_agent.ledger.signer import DeviceKey


class X509Key(ec.EllipticCurvePrivateKey):
    """Signs with ECDSA and SHA-256; gives nothing away."""

    def __init__(self, key: DeviceKey) -> None:
        self._key = key

    @property
    def curve(self) -> ec.EllipticCurve:
        return ec.SECP256R1()

    @property
    def key_size(self) -> int:
        return 256

    def public_key(self) -> ec.EllipticCurvePublicKey:
        return self._key.public_key

    def sign(self, data: object, signature_algorithm: ec.EllipticCurveSignatureAlgorithm) -> bytes:
        if not isinstance(data, bytes) or not isinstance(signature_algorithm.algorithm, hashes.SHA256):
            raise TypeError("a device key signs bytes with SHA-256")
        return self._key.sign(data)

    def exchange(self, algorithm: object, peer_public_key: object) -> Never:
        raise TypeError("a device key only signs")

    def private_numbers(self) -> Never:
        raise TypeError("a device key stays where it is")

    def private_bytes(
        self,
        encoding: serialization.Encoding,
        format: serialization.PrivateFormat,
        encryption_algorithm: serialization.KeySerializationEncryption,
    ) -> Never:
        raise TypeError("a device key stays where it is")

    def __copy__(self) -> "X509Key":
        return self

    def __deepcopy__(self, memo: object) -> "X509Key":
        return self
