"""The gateway signs what it holds of a chain: the root of the same tree that the booth computes."""

import contextlib
from collections.abc import Sequence

import apsw
import pytest

from edge_agent.wire.checkpoint import Checkpoint, open_checkpoint, origin_of
from edge_agent.wire.envelope import envelope_sha256
from edge_agent.wire.tree import Tree, inclusion_proof, verify_inclusion
from port_gateway.cli import main
from port_gateway.trees import ChainNodes
from tests.integration.port_gateway.conftest import Port, Stream
from tests.unit.port_gateway.signing import Ledger


def opened(port: Port, receipt: bytes) -> Checkpoint:
    return open_checkpoint(receipt, port.gateway.identity, port.gateway.key.public_key())


def root(envelopes: Sequence[bytes]) -> bytes:
    return Tree().extended(envelope_sha256(envelope) for envelope in envelopes)[0].root()


async def send(port: Port, ledger: Ledger, *batches: int) -> list[bytes]:
    """Send the next events of the ledger in batches of these sizes, each acknowledged before the next; the receipts."""
    receipts = []
    async with port.ingest() as stub:
        stream = Stream(stub)
        at = (await stream.hello(ledger.hello())).durable_through
        for size in batches:
            await stream.send(at + 1, *ledger.envelopes[at : at + size])
            at += size
            receipts.append((await stream.acked(at)).receipt)
    return receipts


async def test_every_acknowledgement_carries_a_receipt(port: Port) -> None:
    ledger = port.ledger()
    ledger.grow(699)
    async with port.serving():
        receipts = await send(port, ledger, 1, 2, 250, 3, 200)
    async with port.serving():  # and after a restart
        receipts += await send(port, ledger, 100, 144)
    sizes = [1, 3, 253, 256, 456, 556, 700]
    for size, receipt in zip(sizes, receipts, strict=True):
        held = opened(port, receipt)
        assert (held.origin, held.size) == (origin_of(ledger.booth_id, ledger.epoch), size)
        assert held.root == root(ledger.envelopes[:size])
        assert held.held is not None


async def test_a_heartbeat_repeats_the_receipt(served: Port) -> None:
    ledger = served.ledger()
    async with served.ingest() as stub:
        stream = Stream(stub)
        await stream.hello(ledger.hello())
        assert (await stream.acked(0)).receipt == b""  # nothing is held
        await stream.send(1, *ledger.envelopes)
        ack = await stream.acked(1)
        assert (await stream.read()).ack == ack
    async with served.ingest() as stub:  # nothing new is sent: the receipt for what is held comes all the same
        stream = Stream(stub)
        await stream.hello(ledger.hello())
        assert opened(served, (await stream.acked(1)).receipt).size == 1


@pytest.mark.parametrize("left", [0, 1], ids=["no tile", "one of three"])
async def test_an_inbox_that_has_no_tiles_yet(port: Port, left: int) -> None:
    ledger = port.ledger()
    ledger.grow(799)
    async with port.serving():
        await send(port, ledger, 256, 256, 256)
    with contextlib.closing(apsw.Connection(str(port.settings().database))) as db:
        db.execute("DELETE FROM tile WHERE position >= ?", (left,))
    async with port.serving():
        receipts = await send(port, ledger, 20)
    assert opened(port, receipts[0]).root == root(ledger.envelopes[:788])
    with contextlib.closing(apsw.Connection(str(port.settings().database))) as db:
        assert db.execute("SELECT count(*) FROM tile").get == 3
        nodes = ChainNodes(db, ledger.booth_id, ledger.epoch)
        proof = inclusion_proof(nodes, 300, 788)
    verify_inclusion(envelope_sha256(ledger.envelopes[300]), 300, 788, proof, root(ledger.envelopes[:788]))


async def test_verify_looks_at_the_tree(port: Port, capsys: pytest.CaptureFixture[str]) -> None:
    ledger = port.ledger()
    ledger.grow(299)
    async with port.serving():
        await send(port, ledger, 200, 100)
    assert main(["verify", str(port.write_config())]) == 0
    with contextlib.closing(apsw.Connection(str(port.settings().database))) as db:
        db.execute("UPDATE tile SET sha256 = zeroblob(32)")
    assert main(["verify", str(port.write_config())]) == 1
    assert "STORE_CORRUPT: cursor 256" in capsys.readouterr().err
