"""A booth that signs by hand, so that a test can sign wrongly."""

from dataclasses import dataclass, field

from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.asymmetric import ec, ed25519

from edge_agent.domain.event import Draft, EventBody, InspectionOpened, SessionOpened
from edge_agent.wire.chain import Head
from edge_agent.wire.codec import event_payload
from edge_agent.wire.envelope import PAYLOAD_TYPE, envelope_sha256, pae, write_envelope
from edge_agent.wire.identity import key_id, spki
from edge_agent.wire.verify import Chain
from tests.unit.inspection.script import instant

BOOTH = "spiffe://uslrd/booth/lane-1"
EPOCH = bytes(range(16))


@dataclass
class Booth:
    device: ec.EllipticCurvePrivateKey = field(default_factory=lambda: ec.generate_private_key(ec.SECP256R1()))
    session: ed25519.Ed25519PrivateKey = field(default_factory=ed25519.Ed25519PrivateKey.generate)
    head: Head = field(default_factory=lambda: Head(BOOTH, EPOCH))

    def chain(self) -> Chain:
        """What a verifier knows at the beginning."""
        key = self.device.public_key()
        return Chain(Head(BOOTH, EPOCH), {key_id(key): key})

    def payload(self, body: EventBody | None = None) -> bytes:
        return event_payload(Draft(body or InspectionOpened("i", "1", "presence"), instant(1)), self.head)

    def by_device(self, payload: bytes, payload_type: str = PAYLOAD_TYPE) -> bytes:
        signature = self.device.sign(pae(payload_type, payload), ec.ECDSA(hashes.SHA256()))
        return write_envelope(payload, signature, key_id(self.device.public_key()))

    def by_session(self, payload: bytes, payload_type: str = PAYLOAD_TYPE) -> bytes:
        return write_envelope(payload, self.session.sign(pae(payload_type, payload)), key_id(self.session.public_key()))

    def opening(self) -> bytes:
        return self.push(self.by_device(self.payload(SessionOpened(spki(self.session.public_key()), "test"))))

    def event(self, body: EventBody | None = None) -> bytes:
        return self.push(self.by_session(self.payload(body)))

    def push(self, envelope: bytes) -> bytes:
        self.head = self.head.after(envelope_sha256(envelope))
        return envelope
