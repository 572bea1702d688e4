import asyncio
import stat
from pathlib import Path

import pytest

from edge_agent.domain.clock import SystemClock
from edge_agent.domain.errors import IdentityInvalid, StoreFailed
from edge_agent.domain.event import Draft, SessionOpened
from edge_agent.ledger import database
from edge_agent.ledger.batch import Recorded
from edge_agent.ledger.check import verify_ledger
from edge_agent.ledger.outbox import LedgerReader
from edge_agent.ledger.store import DATABASE
from edge_agent.wire.refused import Refused
from tests.integration.ledger.conftest import AT, Booth, alarm, closed, opened, picture


async def test_a_new_ledger_begins_with_a_session_and_verifies(booth: Booth) -> None:
    async with booth.open() as ledger:
        first = await ledger.recorder.record(alarm(1))
        assert first.seq == 2
        assert ledger.recorder.head.sha256 == first.sha256
        assert ledger.outbox.extent() == (1, 2, first.sha256)
        assert ledger.outbox.sha256_at(2) == first.sha256
    assert verify_ledger(booth.directory, booth.device_keys).seq == 2


async def test_the_chain_goes_on_after_a_restart_under_a_new_session(booth: Booth) -> None:
    heads = []
    for _ in range(3):
        async with booth.open() as ledger:
            await ledger.recorder.record(alarm(1))
            heads.append(ledger.recorder.head)
    assert [head.seq for head in heads] == [2, 4, 6]
    assert len({head.epoch for head in heads}) == 1
    assert verify_ledger(booth.directory, booth.device_keys) == heads[-1]


async def test_concurrent_callers_stand_in_the_order_of_their_calls(booth: Booth) -> None:
    async with booth.open(max_waiting=16) as ledger:
        recorded = await asyncio.gather(*(ledger.recorder.record(alarm(n)) for n in range(500)))
        assert [r.seq for r in recorded] == list(range(2, 502))
        envelopes = ledger.outbox.after(0, 1000, 10_000_000)
        assert len(envelopes) == 501
        assert all(b"GA,%06d" % n in envelopes[n + 1] for n in range(500))
    assert verify_ledger(booth.directory, booth.device_keys).seq == 501


async def test_listeners_hear_of_what_is_durable(booth: Booth) -> None:
    async with booth.open() as ledger:
        seen: list[int] = []
        ledger.recorder.notify(lambda: seen.append(ledger.outbox.extent()[1]))
        await ledger.recorder.record(alarm(1))
        assert seen == [2]


async def test_a_draft_that_cannot_be_an_event_leaves_the_chain_untouched(booth: Booth) -> None:
    too_large = Draft(opened("x" * 200_000).body, AT)
    async with booth.open() as ledger:
        results = await asyncio.gather(
            ledger.recorder.record(alarm(1)),
            ledger.recorder.record(too_large),
            ledger.recorder.record(opened("\ud800")),
            ledger.recorder.record(alarm(-1)),
            ledger.recorder.record(alarm(2)),
            return_exceptions=True,
        )
        assert isinstance(results[1], Refused)
        assert isinstance(results[2], ValueError)
        assert isinstance(results[3], ValueError)
        assert [r.seq for r in results if isinstance(r, Recorded)] == [2, 3]
    assert verify_ledger(booth.directory, booth.device_keys).seq == 3


async def test_nobody_else_opens_a_session(booth: Booth) -> None:
    async with booth.open() as ledger:
        with pytest.raises(ValueError, match="by the recorder alone"):
            await ledger.recorder.record(Draft(SessionOpened(b"", "1"), SystemClock().now()))


async def test_inspections_that_a_former_run_left_open_are_told(booth: Booth) -> None:
    async with booth.open() as ledger:
        for draft in (opened("a"), opened("b"), closed("a"), opened("c")):
            await ledger.recorder.record(draft)
        assert ledger.recorder.unfinished() == ()
    async with booth.open() as ledger:
        unfinished = ledger.recorder.unfinished()
        assert [(u.inspection_id, u.lane_id, u.opened) for u in unfinished] == [
            ("b", "lane-1", AT),
            ("c", "lane-1", AT),
        ]
        await ledger.recorder.record(closed("b"))
        await ledger.recorder.record(closed("c"))
    async with booth.open() as ledger:
        assert ledger.recorder.unfinished() == ()


async def test_the_cursor_and_the_states_of_evidence_survive(booth: Booth) -> None:
    kept, sent, lost = (picture(10, fill) for fill in (b"a", b"b", b"c"))
    async with booth.open() as ledger:
        await ledger.recorder.record(alarm(1, kept, sent, lost))
        await ledger.recorder.record(alarm(2, kept))
        assert [p[1:] for p in ledger.outbox.pending_blobs(0, 10)] == [(e.sha256, 10) for e in (kept, sent, lost)]
        assert len(ledger.outbox.pending_blobs(1, 1)) == 1
        ledger.outbox.acked(1)
        ledger.outbox.acked(2)
        ledger.outbox.blob_sent(sent.sha256)
        ledger.outbox.blob_lost(lost.sha256)
    async with booth.open() as ledger:
        assert ledger.outbox.acked_through() == 2
        assert [p.sha256 for p in ledger.outbox.pending_blobs(0, 10)] == [kept.sha256]
        assert ledger.outbox.blob_states() == {"kept": 1, "sent": 1, "lost": 1}
        await ledger.recorder.record(alarm(3, lost))  # brought again: worth another try
        assert {p.sha256 for p in ledger.outbox.pending_blobs(0, 10)} == {kept.sha256, lost.sha256}


async def test_evidence_lies_under_its_digest_and_is_verified_when_read(booth: Booth) -> None:
    async with booth.open() as ledger:
        evidence = picture(100_000)
        await ledger.recorder.record(alarm(1, evidence))
        name = evidence.sha256.hex()
        path = booth.directory / "evidence" / name[:2] / name[2:4] / name
        assert path.read_bytes() == evidence.data
        assert ledger.outbox.read_blob(evidence.sha256) == evidence.data
        path.write_bytes(b"y" * 100_000)
        assert ledger.outbox.read_blob(evidence.sha256) is None
        await ledger.recorder.record(alarm(2, evidence))  # the same evidence again mends it
        assert ledger.outbox.read_blob(evidence.sha256) == evidence.data
        path.unlink()
        assert ledger.outbox.read_blob(evidence.sha256) is None


async def test_half_written_evidence_is_removed_at_the_start(booth: Booth) -> None:
    async with booth.open():
        pass
    leftover = booth.directory / "evidence" / "unfinished" / "abc"
    leftover.write_bytes(b"half")
    async with booth.open():
        assert not leftover.exists()


async def test_only_the_owner_may_read_it(booth: Booth) -> None:
    async with booth.open() as ledger:
        await ledger.recorder.record(alarm(1, picture(10)))
        for path in (booth.directory, *booth.directory.rglob("*")):
            wanted = 0o700 if path.is_dir() else 0o600
            assert stat.S_IMODE(path.stat().st_mode) == wanted, path
        assert {p.name for p in booth.directory.iterdir()} >= {DATABASE, DATABASE + "-wal", "lock", "epoch", "evidence"}


async def test_a_second_agent_is_refused(booth: Booth) -> None:
    async with booth.open() as ledger:
        with pytest.raises(StoreFailed, match="another agent is writing"):
            async with booth.open():
                pass
        await ledger.recorder.record(alarm(1))
    async with booth.open():
        pass


async def test_the_ledger_of_another_booth_is_refused(booth: Booth, tmp_path: Path) -> None:
    async with booth.open():
        pass
    other = Booth(tmp_path / "keys", booth.directory, name="lane-2")
    with pytest.raises(IdentityInvalid, match=r"ledger of spiffe://uslrd/booth/lane-1, and this agent is .*lane-2"):
        async with other.open():
            pass


async def test_a_closed_ledger_accepts_nothing(booth: Booth) -> None:
    async with booth.open() as ledger:
        pass
    with pytest.raises(StoreFailed, match="closed"):
        await ledger.recorder.record(alarm(1))


async def test_what_was_handed_over_before_closing_is_kept(booth: Booth) -> None:
    async with booth.open() as ledger:
        calls = [asyncio.ensure_future(ledger.recorder.record(alarm(n))) for n in range(100)]
        await asyncio.sleep(0)
    assert [r.seq for r in await asyncio.gather(*calls)] == list(range(2, 102))
    assert verify_ledger(booth.directory, booth.device_keys).seq == 101


async def test_a_cancelled_caller_leaves_the_chain_whole(booth: Booth) -> None:
    async with booth.open() as ledger:
        calls = [asyncio.ensure_future(ledger.recorder.record(alarm(n))) for n in range(20)]
        await asyncio.sleep(0)
        for call in calls[::2]:
            call.cancel()
        await asyncio.gather(*calls, return_exceptions=True)
        last = await ledger.recorder.record(alarm(20))
    assert verify_ledger(booth.directory, booth.device_keys).seq == last.seq


async def test_a_reader_beside_the_agent_sees_bounded_portions(booth: Booth) -> None:
    async with booth.open() as ledger:
        for n in range(5):
            await ledger.recorder.record(alarm(n))
        reader = LedgerReader(booth.directory)
        try:
            size = len(reader.after(1, 1, 1)[0])
            assert len(reader.after(1, 10, 1)) == 1, "one, however large"
            assert len(reader.after(1, 10, 3 * size)) == 3
            assert len(reader.after(1, 2, 10**6)) == 2
            assert reader.after(6, 10, 10**6) == []
            assert reader.sha256_at(7) is None
            assert reader.sha256_at(0) == bytes(32)
        finally:
            reader.close()


async def test_a_reader_waits_for_a_ledger_that_is_being_made(booth: Booth) -> None:
    booth.directory.mkdir()
    (booth.directory / DATABASE).touch()  # as it lies there at first
    async with asyncio.TaskGroup() as group:
        reading = group.create_task(asyncio.to_thread(LedgerReader, booth.directory))
        await asyncio.sleep(0.05)
        async with booth.open() as ledger:
            reader = await reading
            assert reader.extent() == ledger.outbox.extent()
            reader.close()


def test_a_ledger_that_was_never_made_is_not_called_corrupt(booth: Booth, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(database, "MADE_WITHIN_S", 0.05)
    booth.directory.mkdir()
    (booth.directory / DATABASE).touch()
    for read in (LedgerReader, lambda folder: verify_ledger(folder, booth.device_keys)):
        with pytest.raises(StoreFailed, match="is being made"):
            read(booth.directory)
