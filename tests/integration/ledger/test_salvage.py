"""A ledger that is damaged anywhere opens clean or is refused and salvaged, and no event that is whole is lost."""

import asyncio
import random
import shutil
import time
from dataclasses import dataclass
from pathlib import Path

import pytest

from edge_agent.domain.errors import StoreCorrupt, StoreFailed
from edge_agent.domain.event import AlarmRaised, Draft
from edge_agent.domain.observation import RadiationKind
from edge_agent.ledger.check import verify_ledger
from edge_agent.ledger.database import EPOCH_FILE
from edge_agent.ledger.outbox import LedgerReader
from edge_agent.ledger.salvage import SALVAGED, Salvaged, is_whole, salvage, whole_events
from edge_agent.ledger.store import DATABASE
from edge_agent.wire.envelope import read_envelope
from edge_agent.wire.v1alpha1 import event_pb2 as wire
from tests.integration.ledger.conftest import AT, Booth, alarm, picture
from tests.proofs.power_cuts import in_memory

LONG = Draft(AlarmRaised("", "lane-1", "portal", RadiationKind.GAMMA, tuple(range(250)), b"x" * 4_000), AT)
EVIDENCE = [picture(500, b"%d" % n) for n in range(3)]


@dataclass
class Origin:
    """A ledger as a kill leaves it, part of it in its log; and as a stop in good order does."""

    booth: Booth
    killed: Path
    stopped: Path
    envelopes: list[bytes]


@pytest.fixture(scope="module")
def origin(tmp_path_factory: pytest.TempPathFactory) -> Origin:
    folder = tmp_path_factory.mktemp("salvage")
    booth = Booth(folder / "keys", folder / "ledger")

    async def write() -> list[bytes]:
        for _ in range(2):
            async with booth.open() as ledger:
                for n in range(4):
                    await asyncio.gather(*(ledger.recorder.record(alarm(n)) for n in range(15)))
                    await ledger.recorder.record(LONG)
                    if n < 3:
                        await ledger.recorder.record(alarm(n, EVIDENCE[n]))
                envelopes = list(ledger.outbox.after(0, 10_000, 10**9))
                shutil.copytree(booth.directory, folder / "killed", dirs_exist_ok=True)
        return envelopes

    envelopes = asyncio.run(write())
    assert (folder / "killed" / f"{DATABASE}-wal").stat().st_size > 50_000
    return Origin(booth, folder / "killed", booth.directory, envelopes)


def _copy(origin: Origin, of: Path, to: Path) -> Booth:
    shutil.copytree(of, to)
    booth = Booth.__new__(Booth)
    booth.keys, booth.directory, booth.name, booth.room = origin.booth.keys, to, origin.booth.name, []
    booth.room_changed = asyncio.Event()
    return booth


def _damage(folder: Path, rng: random.Random) -> str:
    """One fault somewhere in the database or its log; says what."""
    files = [path for path in (folder / DATABASE, folder / f"{DATABASE}-wal") if path.exists()]
    path = rng.choices(files, [file.stat().st_size for file in files])[0]
    data = bytearray(path.read_bytes())
    at, what = rng.randrange(len(data)), rng.choice(("flip", "flip", "cut", "tear"))
    if what == "flip":
        data[at] ^= 1 << rng.randrange(8)
    elif what == "cut":
        del data[at:]
    else:
        at -= at % 512
        data[at : at + 512] = rng.randbytes(512) if rng.random() < 0.5 else bytes(512)
    path.write_bytes(data)
    return f"{what} of {path.name} at {at}"


def _verifiable(origin: Origin, raw: bytes) -> set[bytes]:
    """Events that stand in these bytes in one piece, and so does the opening of their session."""
    whole, opened = set[bytes](), False
    for envelope in origin.envelopes:
        if b"0*0\x05\x06\x03+ep" in envelope:  # a session's key
            opened = envelope in raw
        if opened and envelope in raw:
            whole.add(envelope)
    return whole


def _held(folder: Path) -> set[bytes]:
    reader = LedgerReader(folder)
    try:
        rows = reader._rows("SELECT envelope FROM event")
        return {row[0] for row in rows}
    finally:
        reader.close()


def _salvaged(booth: Booth) -> Salvaged:
    return salvage(booth.directory, booth.booth_id, booth.device_keys)


def _damaged_anywhere(origin: Origin, tmp_path: Path, cases: int, seed: int) -> int:
    refused = 0
    for case in range(cases):
        rng = random.Random(f"{seed} {case}")
        booth = _copy(origin, rng.choice((origin.killed, origin.stopped)), tmp_path / str(case))
        what = f"seed {seed}, case {case}: {_damage(booth.directory, rng)}"
        raw = b"".join(path.read_bytes() for path in booth.directory.glob(f"{DATABASE}*"))
        whole = _verifiable(origin, raw)
        epoch = wire.Event.FromString(read_envelope(origin.envelopes[0])[0]).epoch
        began = time.monotonic()
        if is_whole(booth.directory, booth.booth_id, booth.device_keys):
            held = _held(booth.directory)
            aside = sorted((booth.directory / "damaged").glob("*"))
            if aside:
                held |= {
                    w.envelope
                    for w in whole_events([booth.directory, *aside], booth.booth_id, epoch, booth.device_keys)
                }
            verify_ledger(booth.directory, booth.device_keys)
        else:
            refused += 1
            done = _salvaged(booth)
            held = _held(done.kept_in)
            assert done.replaced.found == len(held), what
            assert is_whole(booth.directory, booth.booth_id, booth.device_keys), what
        assert time.monotonic() - began < 10, what
        assert held <= set(origin.envelopes), what
        assert whole <= held, f"{what}: {len(whole - held)} whole events were lost"
        if what.split(": ")[1].startswith("flip"):
            assert len(origin.envelopes) - len(held) <= 1, what
    return refused


def test_sixty_ledgers_damaged_anywhere(origin: Origin) -> None:
    with in_memory() as folder:
        assert _damaged_anywhere(origin, folder, 60, 20260301) > 10


@pytest.mark.proof
@pytest.mark.timeout(400)
def test_a_thousand_ledgers_damaged_anywhere(origin: Origin) -> None:
    with in_memory() as folder:
        assert _damaged_anywhere(origin, folder, 1_000, 7) > 200


async def test_the_new_ledger_says_what_it_replaces_and_sends_the_evidence(origin: Origin, tmp_path: Path) -> None:
    booth = _copy(origin, origin.stopped, tmp_path / "case")
    old = bytes.fromhex((booth.directory / EPOCH_FILE).read_text().strip())
    data = bytearray((booth.directory / DATABASE).read_bytes())
    at = data.find(origin.envelopes[69])
    data[at + 30] ^= 1
    (booth.directory / DATABASE).write_bytes(data)
    with pytest.raises(StoreCorrupt, match="the event at sequence 70 is not what was written"):
        async with booth.open():
            pass
    done = _salvaged(booth)
    assert done.kept_in == booth.directory / SALVAGED / old.hex()
    assert done.evidence == len(EVIDENCE)
    for _ in range(2):  # said once, by the first event alone
        async with booth.open() as ledger:
            assert {blob.sha256 for blob in ledger.outbox.pending_blobs(0, 99)} == {one.sha256 for one in EVIDENCE}
            events = [wire.Event.FromString(read_envelope(e)[0]) for e in ledger.outbox.after(0, 10, 10**6)]
    assert events[0].epoch != old
    replaces = events[0].session_opened.replaces
    last = wire.Event.FromString(read_envelope(origin.envelopes[-1])[0])
    assert (replaces.epoch, replaces.last_seq, replaces.found) == (old, last.seq, len(origin.envelopes) - 1)
    assert [(gap.first_seq, gap.last_seq) for gap in replaces.missing] == [(70, 70)]
    assert not events[1].session_opened.HasField("replaces")
    assert verify_ledger(booth.directory, booth.device_keys).seq == 2
    reader = LedgerReader(done.kept_in)
    assert reader.after(70, 5, 10**6) == origin.envelopes[70:75]
    reader.close()


async def test_a_second_salvage_forgets_nothing_of_the_first(origin: Origin, tmp_path: Path) -> None:
    booth = _copy(origin, origin.stopped, tmp_path / "case")
    first = _salvaged(booth)
    later = picture(600)
    async with booth.open() as ledger:
        await ledger.recorder.record(alarm(1, later))
    second = _salvaged(booth)
    assert second.evidence == len(EVIDENCE) + 1
    async with booth.open() as ledger:
        opening = wire.Event.FromString(read_envelope(ledger.outbox.after(0, 1, 10**6)[0])[0])
        replaces = opening.session_opened.replaces
        assert replaces.epoch == second.replaced.epoch
        assert list(replaces.earlier) == [first.replaced.epoch]  # the port may know that one only
        pending = {blob.sha256 for blob in ledger.outbox.pending_blobs(0, 99)}
    assert pending == {one.sha256 for one in (*EVIDENCE, later)}
    assert _held(first.kept_in) == set(origin.envelopes)


def test_events_that_only_an_earlier_salvage_holds_are_kept(origin: Origin, tmp_path: Path) -> None:
    booth = _copy(origin, origin.stopped, tmp_path / "case")
    first = _salvaged(booth)
    shutil.rmtree(first.damaged_in)  # and the agent was never started in between
    second = _salvaged(booth)
    assert second.kept_in == first.kept_in
    assert _held(second.kept_in) == set(origin.envelopes)
    assert second.replaced == first.replaced


def test_a_salvage_that_is_interrupted_is_done_again(
    origin: Origin, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    for step in range(1, 8):
        booth = _copy(origin, origin.killed, tmp_path / str(step))
        (booth.directory / f"{DATABASE}-wal").unlink()
        with (booth.directory / DATABASE).open("r+b") as file:
            file.write(bytes(100))
        found = len(salvage_dry(booth))
        left = step

        def rename(self: Path, to: Path) -> Path:
            nonlocal left
            left -= 1
            if left == 0:
                raise OSError(5, "Input/output error")
            self.replace(to)
            return to

        with monkeypatch.context() as patch:
            patch.setattr(Path, "rename", rename)
            try:
                done = _salvaged(booth)
            except StoreFailed:
                assert not is_whole(booth.directory, booth.booth_id, booth.device_keys)  # never begun anew in silence
                patch.undo()
                done = _salvaged(booth)
        assert done.replaced.found == found
        assert is_whole(booth.directory, booth.booth_id, booth.device_keys)
        if left > 0:
            return
    raise AssertionError("it always failed")


def salvage_dry(booth: Booth) -> set[bytes]:
    epoch = bytes.fromhex((booth.directory / EPOCH_FILE).read_text().strip())
    return {w.envelope for w in whole_events([booth.directory], booth.booth_id, epoch, booth.device_keys)}


async def test_what_lies_behind_a_damaged_frame_of_the_log_is_taken_up_again(origin: Origin, tmp_path: Path) -> None:
    booth = _copy(origin, origin.killed, tmp_path / "case")
    log = booth.directory / f"{DATABASE}-wal"
    data = bytearray(log.read_bytes())
    data[32 + 8] ^= 1  # the first frame's salt: SQLite then sees an empty log
    log.write_bytes(data)
    async with booth.open() as ledger:
        assert ledger.outbox.after(0, 10_000, 10**9)[: len(origin.envelopes)] == origin.envelopes
    assert (booth.directory / "damaged" / "0001" / f"{DATABASE}-wal").read_bytes() == bytes(data)
    verify_ledger(booth.directory, booth.device_keys)


@pytest.mark.parametrize(("word", "other"), [(b"announced_seq ", b"announced_sep "), (b"length(", b"lenguh(")])
def test_a_damaged_schema_is_a_damaged_ledger(origin: Origin, tmp_path: Path, word: bytes, other: bytes) -> None:
    booth = _copy(origin, origin.stopped, tmp_path / "case")
    data = (booth.directory / DATABASE).read_bytes()
    assert word in data[:8192]
    (booth.directory / DATABASE).write_bytes(data.replace(word, other))
    assert not is_whole(booth.directory, booth.booth_id, booth.device_keys)
    assert _salvaged(booth).replaced.found == len(origin.envelopes)


async def test_another_booths_events_are_not_taken_over(origin: Origin, tmp_path: Path) -> None:
    booth = _copy(origin, origin.stopped, tmp_path / "case")
    with (booth.directory / DATABASE).open("r+b") as file:
        file.write(bytes(100))
    done = salvage(booth.directory, booth.booth_id, {})
    assert done.replaced.found == 0


async def test_a_ledger_in_use_is_left_alone(booth: Booth) -> None:
    async with booth.open():
        with pytest.raises(StoreFailed, match="another agent"):
            salvage(booth.directory, booth.booth_id, booth.device_keys)
