"""Receipts of long ago with the word of others: a few stay, and prove all that the others proved."""

import contextlib
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import cast

import pytest
from cryptography.hazmat.primitives.asymmetric import ed25519

from edge_agent.domain.clock import ClockState, Instant, SystemClock
from edge_agent.wire.checkpoint import read_checkpoint, split_note
from edge_agent.wire.cosignature import cosign, witness_key
from edge_agent.wire.identity import identity_of
from port_gateway import receipts_end
from port_gateway.cli import main
from port_gateway.moments import DAY_US
from port_gateway.receipts_end import EndOfReceipts
from port_gateway.trees import ChainNodes, Receipts
from port_gateway.witnessed import WitnessedReceipt, keep_cosignature
from tests.integration.port_gateway.conftest import Port
from tests.integration.port_gateway.witnesses import WitnessDesk, statements
from tests.time_authority import Tsa
from tests.unit.pack.port_of_entry import verify

A, B = (ed25519.Ed25519PrivateKey.generate() for _ in "ab")
# How many events each receipt covers, days ago, and who cosigned it.
KEPT = [
    (2, 500.0, "ab"),
    (3, 499.0, "a"),
    (4, 498.0, "ab"),  # of these thirty days the last by both
    (5, 497.0, "a"),  # and the last of all
    (6, 100.4, "a"),
    (7, 100.2, "b"),  # of its day the last of b's
    (8, 100.1, "a"),
    (9, 22.2, "a"),  # of the last month
    (10, 20.1, "ab"),
]


class Clock:
    """In the middle of the day 30,000 since 1970, moved by the test."""

    days = 30_000.5

    def now(self) -> Instant:
        utc = datetime(1970, 1, 1, tzinfo=UTC) + timedelta(days=self.days)
        return Instant(utc, round(self.days * 86_400e9), ClockState.SYNCHRONISED)

    def monotonic(self) -> float:
        return self.days * 86_400


@pytest.fixture
def desk(port: Port) -> Iterator[WitnessDesk]:
    with contextlib.closing(port.store()) as store:
        desk = WitnessDesk(port, cast("Tsa", None), store)
        desk.receive(8)
        gateway, chain = port.gateway, (desk.ledger.booth_id, desk.ledger.epoch)
        receipts = Receipts(identity_of(gateway.certificate), gateway.key, SystemClock())
        for size, ago, by in KEPT:
            with store.reading() as db:
                tree, _ = ChainNodes(db, *chain).tree(size)
            receipt = WitnessedReceipt(
                chain, size, receipts.sign(desk.head_at(size), tree), gateway.certificate_der, ()
            )
            for name in by:
                one = cosign(split_note(receipt.note)[0], f"witness.example/{name}", A if name == "a" else B, 7)
                at_us = round((Clock.days - ago) * DAY_US)
                store.submit(lambda db, of=receipt, one=one, at=at_us: keep_cosignature(db, of, one, at)).result()  # type: ignore[misc]
        lines = [
            f"witness {name} {witness_key(f'witness.example/{name}', key.public_key())} http://127.0.0.1:9\n"
            for name, key in (("a", A), ("b", B))
        ]
        desk.policy(*lines)
        yield desk


def kept(desk: WitnessDesk) -> list[int]:
    with desk.store.reading() as db:
        sizes = [int(str(row[0])) for row in db.execute("SELECT size FROM witnessed ORDER BY size")]
        also = {int(str(row[0])) for row in db.execute("SELECT size FROM cosignature")}
    assert also == set(sizes)
    return sizes


def test_old_ones_go_where_a_later_one_says_as_much(desk: WitnessDesk, capsys: pytest.CaptureFixture[str]) -> None:
    clock = Clock()
    end = EndOfReceipts(desk.store, clock)
    assert sum(end.run()) == 3
    assert kept(desk) == [4, 5, 7, 8, 9, 10]
    assert sum(end.run()) == 0
    clock.days += 400
    assert sum(end.run()) == 1
    assert kept(desk) == [4, 5, 7, 8, 10]
    clock.days += 36_500
    assert sum(end.run()) == 0, "the last of each thirty days stay, and the newest in any case"
    assert main(["verify", str(desk.config()), "--witnesses", str(desk.path)]) == 0
    assert "witnessed by 2 of 2 through event 10 of 12" in capsys.readouterr().out
    status, said = verify(export(desk, 2), "-w", str(desk.path))  # its own receipt is gone
    assert (status, "witnessed by 2 of 2 of those that were given with -w, which is enough:" in said) == (0, True), said


def export(desk: WitnessDesk, seq: int) -> Path:
    out = desk.port.folder / f"pack-{seq}"
    assert main(["export", str(desk.config()), "--booth", desk.ledger.booth_id, "--seq", str(seq), str(out)]) == 0
    return out


def test_a_kill_between_two_steps(
    desk: WitnessDesk, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr(receipts_end, "STEP", 1)
    assert next(EndOfReceipts(desk.store, Clock()).run()) == 1
    assert len(kept(desk)) == 8
    assert main(["verify", str(desk.config()), "--witnesses", str(desk.path)]) == 0
    assert sum(EndOfReceipts(desk.store, Clock()).run()) == 2
    assert kept(desk) == [4, 5, 7, 8, 9, 10]


def test_time_tokens_go_likewise(desk: WitnessDesk, tmp_path: Path) -> None:
    with Tsa(tmp_path / "tsa").serving() as tsa:
        desk.tsa = tsa
        for _ in range(3):
            desk.receive(1)
            desk.tokens().turn()
    for size, days in ((13, 102), (14, 100.9), (15, 100.8)):
        at = round((Clock.days - days) * DAY_US)
        statements(desk, f"UPDATE time_token SET kept_utc_us = {at} WHERE size = {size}")  # noqa: S608
    assert sum(EndOfReceipts(desk.store, Clock()).run()) == 3 + 1, "of two days the last of each"
    stamped = desk.stamped(2)
    assert stamped is not None
    assert read_checkpoint(stamped.note).size == 13
    stamped = desk.stamped(14)
    assert stamped is not None
    assert read_checkpoint(stamped.note).size == 15
    assert main(["verify", str(desk.config())]) == 0
