"""What a forger sends in place of a booth's envelopes and streams, each by its random numbers."""

import random

from cryptography.hazmat.primitives.asymmetric import ed25519

from edge_agent.wire.envelope import MAX_ENVELOPE_BYTES, PAYLOAD_TYPE, pae, read_envelope
from edge_agent.wire.identity import key_id
from edge_agent.wire.v1alpha1 import services_pb2 as wire
from edge_agent.wire.v1alpha1.envelope_pb2 import Envelope, Signature
from edge_agent.wire.v1alpha1.event_pb2 import Event
from tests.unit.port_gateway.signing import Ledger


def bytes_changed(data: bytes, rng: random.Random) -> bytes:
    """One to four small changes anywhere."""
    changed = bytearray(data)
    for _ in range(rng.choice((1, 1, 1, 2, 4))):
        at = rng.randrange(len(changed) + 1)
        match rng.randrange(6):
            case 0 if at < len(changed):
                changed[at] ^= 1 << rng.randrange(8)
            case 1 if at < len(changed):
                changed[at] = rng.choice((0, 1, 0x7F, 0x80, 0xFF, rng.randrange(256)))
            case 2:
                changed[at:at] = rng.randbytes(rng.choice((1, 2, 16, 300)))
            case 3:
                del changed[at : at + rng.choice((1, 2, 16, 300))]
            case 4:
                changed[at:at] = changed[rng.randrange(len(changed) + 1) :][:64]
            case _:
                del changed[at:]
    return bytes(changed)


def _field(number: int, rng: random.Random) -> bytes:
    """A field that no version knows, or one twice."""
    value = rng.randbytes(rng.randrange(5))
    return bytes([number << 3 | 2, len(value)]) + value


class Forger:
    """Has everything that was ever sent, keys of its own, and no key of the booth's."""

    def __init__(self, ledger: Ledger, other: Ledger) -> None:
        self._genuine, self._others = ledger.envelopes, other.envelopes
        self._key = ed25519.Ed25519PrivateKey.generate()

    def envelope(self, seq: int, rng: random.Random) -> bytes:
        """In place of the one at `seq`."""
        genuine = self._genuine[seq - 1]
        match rng.randrange(10):
            case 0 | 1 | 2 | 3:
                return bytes_changed(genuine, rng)
            case 4:
                return self._rebuilt(genuine, rng)
            case 5:
                return self._signed_by_another(genuine, rng)
            case 6:  # another of the chain: a gap, a replay
                return rng.choice(self._genuine[: seq - 1] + self._genuine[seq:])
            case 7:
                return rng.choice(self._others)
            case 8:
                return genuine + b"".join(_field(rng.randrange(1, 16), rng) for _ in range(rng.randrange(1, 4)))
            case _:
                return rng.choice((b"", rng.randbytes(rng.randrange(2000)), genuine * rng.choice((2, 200)),
                                   rng.randbytes(1) * (MAX_ENVELOPE_BYTES + rng.randrange(-1, 2))))  # fmt: skip

    def _rebuilt(self, data: bytes, rng: random.Random) -> bytes:
        """Parts changed, the whole well-formed."""
        envelope = Envelope.FromString(data)
        signature = envelope.signatures[0]
        match rng.randrange(6):
            case 0:
                envelope.payload = bytes_changed(envelope.payload, rng)
            case 1:
                signature.sig = bytes_changed(signature.sig, rng)
            case 2:
                envelope.payload_type = rng.choice(("", PAYLOAD_TYPE + " ", PAYLOAD_TYPE.upper(), "text/plain"))
            case 3:
                signature.keyid = rng.choice(("", signature.keyid[:-1], signature.keyid.upper(), "0" * 64))
            case 4:
                envelope.signatures.append(signature)
            case _:
                event = Event.FromString(envelope.payload)
                event.seq = rng.choice((0, 1, event.seq + 1, 2**63 - 1, 2**64 - 1))
                envelope.payload = event.SerializeToString()
        return envelope.SerializeToString()

    def _signed_by_another(self, data: bytes, rng: random.Random) -> bytes:
        """A whole event, signed by a key that is not the booth's, under its own or the booth's key id."""
        payload, signature = read_envelope(data)
        keyid = rng.choice((signature.keyid, key_id(self._key.public_key())))
        signed = Signature(sig=self._key.sign(pae(PAYLOAD_TYPE, payload)), keyid=keyid)
        return Envelope(payload=payload, payload_type=PAYLOAD_TYPE, signatures=[signed]).SerializeToString()


def requests(forger: Forger, ledger: Ledger, first: int, rng: random.Random) -> list[bytes]:
    """A stream's messages as bytes: a hello and batches from sequence `first` on, one of them spoilt somewhere, or in
    another order."""
    envelopes = ledger.envelopes[first - 1 :]
    for _ in range(rng.randrange(2)):
        at = rng.randrange(len(envelopes))
        envelopes[at] = forger.envelope(first + at, rng)
    batches = [wire.Batch(first_seq=first + n, envelopes=envelopes[n : n + 16]) for n in range(0, len(envelopes), 16)]
    messages = [wire.StreamEventsRequest(hello=ledger.hello())]
    messages += [wire.StreamEventsRequest(batch=batch) for batch in batches]
    said = [message.SerializeToString() for message in messages]
    for _ in range(rng.choice((0, 1, 1, 2))):
        at = rng.randrange(len(said))
        match rng.randrange(5):
            case 0 | 1:
                said[at] = bytes_changed(said[at], rng)
            case 2:
                said.insert(at, rng.choice(said))
            case 3:
                said.pop(at)
                said = said or [b""]
            case _:
                rng.shuffle(said)
    return said
