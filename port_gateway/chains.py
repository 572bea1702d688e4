"""Every chain of a stream of envelopes, verified as a back-office does it: from the registered certificates alone."""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field

from cryptography import x509
from google.protobuf.message import DecodeError

from edge_agent.domain.errors import IdentityInvalid
from edge_agent.wire.chain import Head
from edge_agent.wire.envelope import read_envelope
from edge_agent.wire.identity import PublicKey, certificate_key, identity_of, key_id
from edge_agent.wire.refused import RefusalCode, Refused
from edge_agent.wire.v1alpha1.event_pb2 import Event
from edge_agent.wire.verify import Chain, Verified, verify_next


def device_keys(booth_id: str, certificates: Iterable[bytes]) -> dict[str, PublicKey]:
    """The device keys in a booth's certificates (DER), by key id. Raises Refused(NOT_TRUSTED)."""
    keys = {}
    for der in certificates:
        try:
            certificate = x509.load_der_x509_certificate(der)
            if str(identity_of(certificate)) != booth_id:
                raise IdentityInvalid("it names another identity")
            key = certificate_key(certificate)
        except (ValueError, IdentityInvalid) as error:
            raise Refused(RefusalCode.NOT_TRUSTED, f"a certificate listed for {booth_id}: {error}") from None
        keys[key_id(key)] = key
    return keys


@dataclass(slots=True)
class Chains:
    """Where the chain of every booth and epoch stands. `keys` holds the device keys by booth."""

    keys: Mapping[str, Mapping[str, PublicKey]]
    standing: dict[tuple[str, bytes], Chain] = field(default_factory=dict)

    def verify(self, booth_id: str, envelope: bytes) -> Verified:
        """Verify `envelope` as the next of its chain. Raises Refused."""
        if booth_id not in self.keys:
            raise Refused(RefusalCode.NOT_TRUSTED, f"{booth_id} is no registered booth")
        epoch = _claimed_epoch(envelope)
        chain = self.standing.get((booth_id, epoch)) or Chain(Head(booth_id, epoch), self.keys[booth_id])
        verified = verify_next(chain, envelope)
        self.standing[booth_id, epoch] = verified.chain
        return verified


def _claimed_epoch(envelope: bytes) -> bytes:
    """Which chain the envelope says it belongs to. Only chooses the chain against which all of it is verified."""
    payload, _ = read_envelope(envelope)
    try:
        return Event.FromString(payload).epoch
    except DecodeError:
        raise Refused(RefusalCode.MALFORMED_EVENT, "the payload is no event") from None
