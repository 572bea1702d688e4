"""Every commit signs a checkpoint over the whole chain; the tree is never rebuilt from all of its events."""

import asyncio
import contextlib

import apsw
import pytest

from edge_agent.domain.errors import StoreCorrupt
from edge_agent.ledger.check import verify_ledger
from edge_agent.ledger.export import LedgerChain
from edge_agent.ledger.outbox import LedgerReader
from edge_agent.ledger.seal import Sealed
from edge_agent.ledger.signer import SessionSigner
from edge_agent.ledger.store import DATABASE, Store
from edge_agent.ledger.trees import LedgerTree
from edge_agent.wire.chain import Head
from edge_agent.wire.checkpoint import Checkpoint, open_checkpoint, origin_of
from edge_agent.wire.envelope import envelope_sha256
from edge_agent.wire.tree import Tree, inclusion_proof, verify_inclusion
from edge_agent.wire.verify import Chain, verify_next
from tests.integration.ledger.conftest import Booth, alarm
from tests.integration.ledger.old_ledger import write_old_ledger


def rows(booth: Booth, query: str, *values: int | bytes) -> list[tuple[object, ...]]:
    with contextlib.closing(apsw.Connection(str(booth.directory / DATABASE))) as database:
        return database.execute(query, values).fetchall()


def trim(booth: Booth, through: int) -> None:
    """As edge_agent/ledger/trimming.py does it, at any sequence; all is of one session."""
    sessions = rows(booth, "SELECT envelope FROM event WHERE seq = 1") or rows(booth, "SELECT session FROM kept")
    [(last,)] = rows(booth, "SELECT sha256 FROM event WHERE seq = ?", through)
    assert isinstance(last, bytes)
    assert isinstance(sessions[0][0], bytes)
    rows(booth, "DELETE FROM event WHERE seq <= ?", through)
    rows(booth, "UPDATE kept SET trimmed_seq = ?, trimmed_sha256 = ?, session = ?", through, last, sessions[0][0])


def checked(booth: Booth) -> list[Checkpoint]:
    """Every checkpoint kept, verified with the session key that the chain vouches for at its size."""
    [(epoch,)] = rows(booth, "SELECT value FROM meta WHERE key = 'epoch'")
    assert isinstance(epoch, bytes)
    origin = origin_of(booth.booth_id, epoch)
    notes = {row[0]: row[1] for row in rows(booth, "SELECT size, note FROM checkpoint")}
    chain, tree, found = Chain(Head(booth.booth_id, epoch), booth.device_keys), Tree(), []
    for (envelope,) in rows(booth, "SELECT envelope FROM event ORDER BY seq"):
        assert isinstance(envelope, bytes)
        chain = verify_next(chain, envelope).chain
        tree, _ = tree.extended([envelope_sha256(envelope)])
        note = notes.pop(tree.size, None)
        if note is not None:
            assert isinstance(note, bytes)
            assert chain.session is not None
            found.append(open_checkpoint(note, origin, chain.session.key))
            assert (found[-1].size, found[-1].root) == (tree.size, tree.root())
    assert not notes
    return found


async def test_the_newest_checkpoint_covers_everything(booth: Booth) -> None:
    async with booth.open() as ledger:
        for number in range(3):
            recorded = await ledger.recorder.record(alarm(number))
            assert [one.size for one in checked(booth)] == [recorded.seq]  # and the one before is not needed any more
    async with booth.open() as ledger:
        for number in range(600):
            await ledger.recorder.record(alarm(number))
    sizes = [one.size for one in checked(booth)]
    assert sizes == [256, 512, 605]
    assert [row[0] for row in rows(booth, "SELECT position FROM tile")] == [0, 1]


async def test_events_that_wait_together_are_covered_together(booth: Booth) -> None:
    async with booth.open() as ledger:
        records = [ledger.recorder.record(alarm(number)) for number in range(300)]
        await asyncio.gather(*records)
    assert checked(booth)[-1].size == 301


async def test_an_old_ledger_is_read_whole_once(booth: Booth) -> None:
    write_old_ledger(booth)
    async with booth.open() as ledger:
        await ledger.recorder.record(alarm(1))
    assert [one.size for one in checked(booth)] == [9]


async def fill(booth: Booth, count: int) -> Tree:
    async with booth.open() as ledger:
        for number in range(count - 1):
            await ledger.recorder.record(alarm(number))
        return ledger.outbox.tree(count)


async def test_proofs_of_what_is_kept_after_the_rest_was_trimmed(booth: Booth) -> None:
    whole = await fill(booth, 700)
    leaves = [bytes(row[0]) for row in rows(booth, "SELECT sha256 FROM event ORDER BY seq")]  # type: ignore[call-overload]
    for through in (10, 300, 512, 600):
        trim(booth, through)
        reader = LedgerReader(booth.directory)
        assert reader.tree(700) == whole
        assert reader.tree(through) == Tree().extended(leaves[:through])[0]
        reader.close()
        with contextlib.closing(apsw.Connection(str(booth.directory / DATABASE))) as database:
            chain = LedgerChain(database, booth.directory)
            for seq in (through + 1, 699):
                proof = inclusion_proof(chain, seq - 1, 700)
                verify_inclusion(leaves[seq - 1], seq - 1, 700, proof, whole.root())
    assert len(rows(booth, "SELECT seq FROM trimmed_leaf")) == 600 - 512
    Store.open(booth.directory, booth.booth_id).close()


async def test_a_tree_with_holes_is_not_gone_on_with(booth: Booth) -> None:
    await fill(booth, 300)
    trim(booth, 280)
    rows(booth, "DELETE FROM tile")
    with pytest.raises(StoreCorrupt, match="44 of 300 hashes of its tree"):
        Store.open(booth.directory, booth.booth_id)


def test_no_key_signs_before_the_chain_vouches_for_it(booth: Booth) -> None:
    Store.open(booth.directory, booth.booth_id).close()
    head = Head(booth.booth_id, bytes(16))
    opening, other = (
        Sealed(1, "", kind, "", b"", bytes(32), (), head.after(bytes(32)))
        for kind in ("session_opened", "alarm_raised")
    )
    with contextlib.closing(apsw.Connection(str(booth.directory / DATABASE))) as database:
        tree = LedgerTree(database, booth.directory / DATABASE, head)
        tree.sign_with(SessionSigner())
        for durable, signs in [(False, False), (True, True)]:
            with contextlib.suppress(ZeroDivisionError), database:
                grown = tree.grow([opening])
                _ = 1 / durable  # a disk without room
                tree.grown(grown, [opening])
            with contextlib.suppress(ZeroDivisionError), database:
                tree.grow([other])
                assert (database.execute("SELECT count(*) FROM checkpoint").get == 1) == signs
                _ = 1 / 0


async def test_check_looks_at_tree_and_checkpoints(booth: Booth) -> None:
    await fill(booth, 600)
    assert verify_ledger(booth.directory, booth.device_keys).seq == 600
    [(note,)] = rows(booth, "SELECT note FROM checkpoint WHERE size = 256")
    assert isinstance(note, bytes)
    [(tile,)] = rows(booth, "SELECT sha256 FROM tile WHERE position = 1")
    assert isinstance(tile, bytes)
    rows(booth, "UPDATE tile SET sha256 = zeroblob(32) WHERE position = 1")
    with pytest.raises(StoreCorrupt, match="level 8, position 1, of its tree is not of this chain"):
        verify_ledger(booth.directory, booth.device_keys)
    rows(booth, "UPDATE tile SET sha256 = ? WHERE position = 1", tile)
    rows(booth, "UPDATE checkpoint SET note = ? WHERE size = 512", note)
    with pytest.raises(StoreCorrupt, match="the checkpoint at 512 is not of this chain"):
        verify_ledger(booth.directory, booth.device_keys)
    other = b"B" if note[-9:-8] == b"A" else b"A"
    rows(booth, "UPDATE checkpoint SET note = ? WHERE size = 512", note[:-9] + other + note[-8:])
    with pytest.raises(StoreCorrupt, match=r"the checkpoint at 512 \(NOTE_BAD_SIGNATURE: the checkpoint's signature"):
        verify_ledger(booth.directory, booth.device_keys)
