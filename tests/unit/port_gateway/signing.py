"""A booth that signs real chains, and whatever a forger would: the other side of the gateway's tests."""

from datetime import UTC, datetime
from pathlib import Path

from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec, ed25519

from edge_agent.domain import event as domain
from edge_agent.domain.clock import ClockState, Instant
from edge_agent.domain.evidence import EvidenceRef
from edge_agent.domain.observation import DeviceState, DeviceStatus
from edge_agent.wire.chain import Head
from edge_agent.wire.codec import event_payload
from edge_agent.wire.envelope import PAYLOAD_TYPE, envelope_sha256, pae, write_envelope
from edge_agent.wire.identity import SpiffeId, create_identity, key_id, load_certificate, load_private_key, spki
from edge_agent.wire.v1alpha1 import services_pb2 as wire
from edge_agent.wire.v1alpha1.event_pb2 import Event

NOW = datetime(2026, 3, 1, 12, tzinfo=UTC)
INSTANT = Instant(NOW, 5_000_000_000, ClockState.SYNCHRONISED)
PrivateKey = ec.EllipticCurvePrivateKey | ed25519.Ed25519PrivateKey


class Party:
    """A key and a certificate in files, valid around the real now or around `now`."""

    def __init__(self, folder: Path, identity: str, hosts: tuple[str, ...] = (), now: datetime | None = None) -> None:
        self.identity = identity
        parsed = SpiffeId.parse(identity)
        moment = now or datetime.now(UTC)  # noqa: TID251 - real TLS needs the real time
        self.key_path, self.certificate_path = create_identity(folder, parsed.name, parsed, moment, hosts)
        self.key = load_private_key(self.key_path)
        self.certificate = load_certificate(self.certificate_path)

    @property
    def certificate_der(self) -> bytes:
        return self.certificate.public_bytes(serialization.Encoding.DER)

    @property
    def pair(self) -> tuple[bytes, bytes]:
        return self.key_path.read_bytes(), self.certificate_path.read_bytes()


class Ledger:
    """One epoch of a booth's ledger, in memory. `envelopes[0]` is sequence 1, a SessionOpened."""

    def __init__(self, booth_id: str, device_key: ec.EllipticCurvePrivateKey, epoch: bytes = bytes(range(16))) -> None:
        self.booth_id = booth_id
        self.device_key = device_key
        self.epoch = epoch
        self.head = Head(booth_id, epoch)
        self.session_key = ed25519.Ed25519PrivateKey.generate()
        self.envelopes: list[bytes] = []
        self.open_session()

    def open_session(self) -> bytes:
        self.session_key = ed25519.Ed25519PrivateKey.generate()
        body = domain.SessionOpened(spki(self.session_key.public_key()), "0.1-test")
        return self.add(body, self.device_key)

    def add(
        self, body: domain.EventBody, key: PrivateKey | None = None, evidence: tuple[EvidenceRef, ...] = ()
    ) -> bytes:
        payload = event_payload(domain.Draft(body, INSTANT), self.head, evidence)
        envelope = sign(payload, key or self.session_key)
        self.envelopes.append(envelope)
        self.head = self.head.after(envelope_sha256(envelope))
        return envelope

    def grow(self, count: int, detail: str = "") -> list[bytes]:
        return [self.add(device_event(f"camera-{n % 3}", detail)) for n in range(count)]

    def large(self, size: int) -> bytes:
        """An event with a text of so many bytes: more than an agent would write, and within the envelope's limit."""
        event = Event.FromString(event_payload(domain.Draft(device_event(), INSTANT), self.head))
        event.device_changed.status.detail = "x" * size
        envelope = sign(event.SerializeToString(), self.session_key)
        self.envelopes.append(envelope)
        self.head = self.head.after(envelope_sha256(envelope))
        return envelope

    def hello(self) -> wire.Hello:
        return wire.Hello(
            booth_id=self.booth_id,
            epoch=self.epoch,
            oldest_seq=1 if self.envelopes else 0,
            newest_seq=self.head.seq,
            chain_head=self.head.sha256,
            agent_version="0.1-test",
        )


def device_event(device_id: str = "camera-1", detail: str = "") -> domain.DeviceChanged:
    return domain.DeviceChanged(device_id, "lane-1", DeviceStatus(DeviceState.ONLINE, detail))


def sign(payload: bytes, key: PrivateKey) -> bytes:
    message = pae(PAYLOAD_TYPE, payload)
    if isinstance(key, ec.EllipticCurvePrivateKey):
        signature = key.sign(message, ec.ECDSA(hashes.SHA256()))
    else:
        signature = key.sign(message)
    return write_envelope(payload, signature, key_id(key.public_key()))
