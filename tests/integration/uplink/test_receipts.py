"""A port signs with every acknowledgement; one whose root is not this ledger's is an alarm, and nothing is believed."""

import asyncio
import contextlib
from collections.abc import AsyncIterator
from dataclasses import dataclass, replace
from typing import Any

import apsw
import pytest
from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.asymmetric import ec

from edge_agent.ledger.store import DATABASE
from edge_agent.uplink.link import LinkState
from edge_agent.wire.chain import Head
from edge_agent.wire.checkpoint import Checkpoint, origin_of, read_checkpoint, sign_checkpoint
from edge_agent.wire.identity import load_private_key
from edge_agent.wire.tree import Tree
from edge_agent.wire.v1alpha1 import services_pb2 as wire
from edge_agent.wire.verify import Chain
from tests.integration.ledger.conftest import AT, Booth, alarm
from tests.integration.uplink.conftest import Site, TestPort


@dataclass
class SigningPort(TestPort):
    """Signs for what it holds, or for something else."""

    __test__ = False

    key: ec.EllipticCurvePrivateKey | None = None
    origin: str = ""
    instead: str = ""

    async def StreamEvents(self, request_iterator: Any, context: Any) -> AsyncIterator[wire.StreamEventsResponse]:
        async for response in super().StreamEvents(request_iterator, context):
            if response.WhichOneof("message") == "ack":
                response.ack.receipt = self.receipt()
            yield response

    def receipt(self) -> bytes:
        tree, _ = Tree().extended(self.hashes[1:])
        held = Checkpoint(self.origin, tree.size, tree.root(), AT.utc)
        match self.instead:
            case "root":
                held = replace(held, root=bytes(32))
            case "size":
                held = replace(held, size=held.size + 1)
            case "origin":
                held = replace(held, origin=self.origin.replace("lane-1", "lane-2"))
            case "no time":
                held = replace(held, held=None)
            case _:
                pass
        key = ec.generate_private_key(ec.SECP256R1()) if self.instead == "key" else self.key
        assert key is not None
        sign = lambda text: key.sign(text, ec.ECDSA(hashes.SHA256()))  # noqa: E731
        note = sign_checkpoint(held, "spiffe://uslrd/gateway/main", key.public_key(), sign)
        return b"no note" if self.instead == "form" else note


def signing(site: Site, booth_id: str, epoch: bytes, instead: str = "") -> SigningPort:
    chain = Chain(Head(booth_id, epoch), site.booth.device_keys)
    key = load_private_key(site.keys / "gateway.key")
    return SigningPort(chain, key=key, origin=origin_of(booth_id, epoch), instead=instead)


def kept(booth: Booth) -> list[Checkpoint]:
    with contextlib.closing(apsw.Connection(str(booth.directory / DATABASE))) as database:
        rows = database.execute("SELECT note FROM receipt ORDER BY size").fetchall()
    return [read_checkpoint(bytes(row[0])) for row in rows]  # type: ignore[arg-type]


async def until(condition: Any) -> None:
    async with asyncio.timeout(20):
        while not condition():
            await asyncio.sleep(0.01)


async def test_receipts_are_verified_and_kept(site: Site) -> None:
    async with site.booth.open() as ledger:
        port = signing(site, ledger.outbox.booth_id, ledger.outbox.epoch)
        async with site.serving(port):
            for goes in (300, 40):  # the second time the stream begins in the middle
                for number in range(goes):
                    await ledger.recorder.record(alarm(number))
                async with site.sending(ledger):
                    await until(lambda: ledger.outbox.acked_through() == ledger.recorder.head.seq)
        tree = ledger.outbox.tree(341)
    receipts = kept(site.booth)
    assert (receipts[-1].size, receipts[-1].root) == (341, tree.root())
    assert all(state is not LinkState.FORKED for state in site.states())


@pytest.mark.parametrize(
    ("instead", "state", "said"),
    [
        ("root", LinkState.FORKED, "FORK: the port signed for 4 events with the root 0000"),
        ("size", LinkState.FORKED, "FORK: the port signed for 5 events"),
        ("origin", LinkState.FORKED, "receipt is for 'spiffe://uslrd/booth/lane-2/"),
        ("no time", LinkState.FORKED, "receipt is for 'spiffe://uslrd/booth/lane-1/"),
        ("key", LinkState.REFUSED, "receipt does not verify: NOTE_NOT_SIGNED: the checkpoint is not signed by"),
        ("form", LinkState.REFUSED, "receipt does not verify: NOTE_MALFORMED: not a checkpoint"),
    ],
)
async def test_another_receipt_is_an_alarm(site: Site, instead: str, state: LinkState, said: str) -> None:
    async with site.booth.open() as ledger:
        for number in range(3):
            await ledger.recorder.record(alarm(number))
        port = signing(site, ledger.outbox.booth_id, ledger.outbox.epoch, instead)
        async with site.serving(port), site.sending(ledger):
            await until(lambda: state in site.states())
        assert ledger.outbox.acked_through() == 0, "what it acknowledged with it is not believed"
    assert any(said in detail for _, detail in site.links), site.links
    assert kept(site.booth) == []
