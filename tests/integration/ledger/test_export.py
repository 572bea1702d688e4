"""`edge-agent ledger export`: a pack out of a real ledger, with the port's receipt, verified by its own script."""

from pathlib import Path

import pytest
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec

from edge_agent.domain.clock import SystemClock
from edge_agent.domain.errors import StoreFailed
from edge_agent.ledger.export import export
from edge_agent.ledger.identity import BoothIdentity
from edge_agent.pack.collect import NotFound
from edge_agent.pack.write import Written
from edge_agent.wire.checkpoint import Checkpoint, origin_of, sign_checkpoint
from tests.integration.ledger.conftest import AT, Booth, alarm, closed, opened, picture
from tests.integration.ledger.old_ledger import write_old_ledger
from tests.integration.ledger.test_trees import trim
from tests.unit.pack.port_of_entry import verify
from tests.unit.port_gateway.signing import Party

INSPECTION = "3f8a5d2e-0c41-4a6e-9d57-1b2c3d4e5f60"


def written(booth: Booth, what: str | int, out: Path) -> Written:
    identity = BoothIdentity(f"file:{booth.keys}/{booth.name}.key", booth.keys / f"{booth.name}.crt")
    return export(booth.directory, what, out, identity, SystemClock(), "0.1-test")


async def test_one_inspection_with_and_without_a_receipt(booth: Booth, tmp_path: Path) -> None:
    gateway = Party(tmp_path / "gateway", "spiffe://uslrd/gateway/main", ("localhost",))
    async with booth.open() as ledger:
        for number in range(270):
            await ledger.recorder.record(alarm(number))
        await ledger.recorder.record(opened(INSPECTION))
        last = closed(INSPECTION)
        record = await ledger.recorder.record(type(last)(last.body, AT, (picture(5_000), picture(20, b"y"))))
        await ledger.recorder.record(alarm(1))
        booth_pack = written(booth, INSPECTION, tmp_path / "booth-alone")  # beside the agent

        size = record.seq
        origin = origin_of(ledger.outbox.booth_id, ledger.outbox.epoch)
        held = Checkpoint(origin, size, ledger.outbox.tree(size).root(), AT.utc)
        note = sign_checkpoint(
            held,
            gateway.identity,
            gateway.key.public_key(),
            lambda text: gateway.key.sign(text, ec.ECDSA(hashes.SHA256())),
        )
        ledger.outbox.received(size, note, gateway.certificate.public_bytes(serialization.Encoding.DER))
        await ledger.recorder.record(alarm(2))
    status, said = verify(tmp_path / "booth-alone")
    assert status == 0, said
    assert "VERIFIED: 3 events by spiffe://uslrd/booth/lane-1, 3 proofs, 2 pieces of evidence\n" in said
    assert "in the chain of 274 events that the booth signed" in said
    assert booth_pack.size < 70_000
    (booth.directory / "evidence" / picture(20, b"y").sha256.hex()[:2]).rename(tmp_path / "gone")
    written(booth, INSPECTION, tmp_path / "both")
    status, said = verify(tmp_path / "both")
    assert status == 0, said
    assert "3 events by spiffe://uslrd/booth/lane-1, 6 proofs, 1 piece of evidence, 1 absent" in said
    assert "its file is missing at the booth" in said
    assert f"in the chain of {size} events that spiffe://uslrd/gateway/main held at 2026-03-01T12:00:00Z" in said


async def test_after_a_crash_the_last_commit_is_covered(booth: Booth, tmp_path: Path) -> None:
    async with booth.open() as ledger:
        await ledger.recorder.record(alarm(1))
    written(booth, 2, tmp_path / "pack")
    assert verify(tmp_path / "pack")[0] == 0


async def test_a_session_that_was_trimmed(booth: Booth, tmp_path: Path) -> None:
    async with booth.open() as ledger:
        for number in range(300):
            await ledger.recorder.record(alarm(number))
    trim(booth, 280)
    written(booth, 290, tmp_path / "pack")
    status, said = verify(tmp_path / "pack")
    assert (status, "VERIFIED: 2 events" in said) == (0, True), said
    with pytest.raises(NotFound, match="no event with sequence 5 is held"):
        written(booth, 5, tmp_path / "trimmed")


def test_an_old_ledger_is_opened_by_the_agent_first(booth: Booth, tmp_path: Path) -> None:
    write_old_ledger(booth)
    with pytest.raises(StoreFailed, match="start the agent of this version once"):
        written(booth, 1, tmp_path / "pack")
