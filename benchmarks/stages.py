"""What one event costs, stage by stage, in processor time, and the raw cost of its cryptography in the same run.

    python -m benchmarks.stages [--events N] [--json]

One thread does one stage for all events before the next begins; batches have 64. Processor time does not grow when
other programs run beside it, but for what they take of the caches and of the core's other half. What gRPC, TLS and the
event loop add is in `benchmarks.pipeline`, which tells the gateway's whole processor time for an event.
"""

import argparse
import json
import tempfile
import time
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.asymmetric import ec, ed25519
from nacl.bindings import crypto_sign_open

from benchmarks.pipeline import BOOTH, CLOCK, draft
from edge_agent.domain.event import Draft, SessionOpened
from edge_agent.ledger.seal import Sealed, seal
from edge_agent.ledger.signer import SessionSigner
from edge_agent.ledger.store import Store
from edge_agent.uplink.window import SendWindow
from edge_agent.wire.chain import Head
from edge_agent.wire.codec import event_payload
from edge_agent.wire.envelope import PAYLOAD_TYPE, envelope_sha256, pae, write_envelope
from edge_agent.wire.identity import key_id
from edge_agent.wire.tree import Tree
from edge_agent.wire.v1alpha1.services_pb2 import StreamEventsRequest, Welcome
from edge_agent.wire.verify import Chain
from port_gateway.inbox import Inbox
from port_gateway.receive import Judged, judge_batch
from port_gateway.store import Store as PortStore

TOGETHER = 64


class DeviceKey:
    """A P-256 key in memory."""

    def __init__(self) -> None:
        self.key = ec.generate_private_key(ec.SECP256R1())
        self.key_id = key_id(self.key.public_key())

    def sign(self, message: bytes) -> bytes:
        return self.key.sign(message, ec.ECDSA(hashes.SHA256()))


class Costs:
    """Microseconds of processor time for an event, by stage."""

    def __init__(self, events: int) -> None:
        self._events = events
        self.us: dict[str, float] = {}

    def of(self, stage: str, work: Callable[[], Any]) -> Any:
        began = time.process_time()
        done = work()
        self.us[stage] = (time.process_time() - began) * 1e6 / self._events
        return done


def chain_of(events: int, head: Head, device: DeviceKey) -> list[Sealed]:
    session = SessionSigner()
    sealed = [seal(Draft(SessionOpened(session.public_key, "bench"), CLOCK.now()), head, device)]
    for _ in range(events - 1):
        sealed.append(seal(draft(), sealed[-1].head_after, session))
    return sealed


def measure(events: int, folder: Path) -> dict[str, float]:
    costs, device, session = Costs(events), DeviceKey(), SessionSigner()
    store = Store.open(folder / "ledger", str(BOOTH))
    begin = store.head()
    sealed = chain_of(events, begin, device)
    envelopes, one = [event.envelope for event in sealed], draft()
    groups = [range(n, min(n + TOGETHER, events)) for n in range(0, events, TOGETHER)]

    payloads = costs.of("booth: serialise", lambda: [event_payload(one, begin) for _ in range(events)])
    key = ed25519.Ed25519PrivateKey.generate()
    signed = costs.of("raw: one Ed25519 signature", lambda: [key.sign(payload) for payload in payloads])
    public = key.public_key()
    costs.of("raw: one Ed25519 verification", lambda: [public.verify(*pair) for pair in zip(signed, payloads)])  # noqa: B905
    raw, together = public.public_bytes_raw(), [s + p for s, p in zip(signed, payloads, strict=True)]
    costs.of("raw: the same by libsodium", lambda: [crypto_sign_open(one, raw) for one in together])
    costs.of(
        "booth: sign, and make the envelope",
        lambda: [write_envelope(p, session.sign(pae(PAYLOAD_TYPE, p)), session.key_id) for p in payloads],
    )
    costs.of("booth: hash and chain", lambda: [begin.after(envelope_sha256(e)) for e in envelopes])
    costs.of("booth: SQLite, 64 a commit", lambda: _stored(store, sealed, groups))
    store.close()
    messages = costs.of("booth: window and message", lambda: _sent(begin, envelopes, groups))
    batches = costs.of("port: read the message", lambda: [_read(message) for message in messages])
    inbox_store = PortStore(folder / "inbox.sqlite")
    inbox = Inbox(inbox_store, CLOCK)
    chain = Chain(begin, {device.key_id: device.key.public_key()})
    judged = costs.of("port: verify", lambda: _judged(inbox, chain, batches))
    costs.of("port: Merkle tree", lambda: _tree(judged))
    costs.of("port: SQLite, 64 a commit", lambda: _kept(inbox, begin, judged))
    inbox_store.close()
    return {**costs.us, "bytes of an envelope": float(len(envelopes[-1]))}


def _stored(store: Store, sealed: Sequence[Sealed], groups: Sequence[range]) -> None:
    for group in groups:
        store.append(sealed[group.start : group.stop])


def _sent(begin: Head, envelopes: Sequence[bytes], groups: Sequence[range]) -> list[bytes]:
    window = SendWindow(str(BOOTH), begin.epoch, 1, len(envelopes), envelope_sha256(envelopes[-1]))
    most = (1 << 31) - 1
    window.welcomed(
        Welcome(chain_head=begin.sha256, window_records=most, window_bytes=most, max_batch_bytes=most), begin.sha256
    )
    return [StreamEventsRequest(batch=window.batch(envelopes[g.start : g.stop])).SerializeToString() for g in groups]


def _read(message: bytes) -> list[bytes]:
    return list(StreamEventsRequest.FromString(message).batch.envelopes)


def _judged(inbox: Inbox, chain: Chain, batches: Sequence[Sequence[bytes]]) -> list[Judged]:
    found = []
    for batch in batches:
        found.append(judge_batch(inbox, chain, {}, chain.head.seq + 1, batch))
        chain = found[-1].chain
        assert found[-1].refused is None
    return found


def _tree(judged: Sequence[Judged]) -> Tree:
    tree = Tree()
    for one in judged:
        tree, _ = tree.extended(verified.sha256 for verified in one.verified)
    return tree


def _kept(inbox: Inbox, begin: Head, judged: Sequence[Judged]) -> None:
    """Each group is waited for, as one booth alone would be."""
    before = begin
    for one in judged:
        inbox.append(before, one.verified).result()
        before = one.chain.head


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--events", type=int, default=10_000)
    parser.add_argument("--rounds", type=int, default=3, help="of each stage the cheapest of so many (default: 3)")
    parser.add_argument("--json", action="store_true", help="print one JSON object")
    options = parser.parse_args()
    runs = []
    for _ in range(options.rounds):
        with tempfile.TemporaryDirectory() as folder:
            runs.append(measure(options.events, Path(folder)))
    figures = {stage: min(run[stage] for run in runs) for stage in runs[0]}
    if options.json:
        print(json.dumps(figures))
        return
    verification = figures["raw: one Ed25519 verification"]
    print(f"{'stage':<40} {'µs an event':>12} {'of a verification':>18}")
    for name, value in figures.items():
        print(f"{name:<40} {value:>12.1f} {'' if name.startswith('bytes') else f'{value / verification:.2f}':>18}")


if __name__ == "__main__":
    main()
