"""A database that does not hold what was written to it, or is another's: found, named, and never begun anew."""

import asyncio

import apsw
import pytest

from edge_agent.domain.errors import StoreCorrupt, StoreFailed
from edge_agent.ledger.check import verify_ledger
from edge_agent.ledger.store import DATABASE
from edge_agent.wire.refused import Refused
from tests.integration.ledger.conftest import Booth, alarm, opened


async def _filled(booth: Booth, events: int) -> None:
    async with booth.open() as ledger:
        await asyncio.gather(*(ledger.recorder.record(alarm(n)) for n in range(events)))


def _execute(booth: Booth, *statements: str) -> None:
    database = apsw.Connection(str(booth.directory / DATABASE))
    for statement in statements:
        database.execute(statement)
    database.close()


def _flip(booth: Booth, find: bytes) -> None:
    path = booth.directory / DATABASE
    data = bytearray(path.read_bytes())
    at = data.find(find)
    assert at > 0
    data[at + 3] ^= 0x20
    path.write_bytes(data)


async def test_one_changed_byte_within_an_event_is_found_and_named(booth: Booth) -> None:
    await _filled(booth, 50)
    _flip(booth, b"GA,000020")
    with pytest.raises(Refused) as refused:
        verify_ledger(booth.directory, booth.device_keys)
    assert refused.value.seq == 22
    assert refused.value.code.name == "BAD_SIGNATURE"


async def test_a_changed_last_event_is_found_at_the_start(booth: Booth) -> None:
    await _filled(booth, 50)
    _flip(booth, b"GA,000049")
    with pytest.raises(StoreCorrupt, match="last event, sequence 51") as error:
        async with booth.open():
            pass
    assert "copy the whole directory away" in error.value.remedy


async def test_a_changed_page_is_found_at_the_start(booth: Booth) -> None:
    await _filled(booth, 200)
    path = booth.directory / DATABASE
    data = bytearray(path.read_bytes())
    data[4096 * 10 : 4096 * 10 + 64] = bytes(range(64))
    path.write_bytes(data)
    with pytest.raises(StoreCorrupt):
        async with booth.open():
            pass


async def test_a_missing_event_is_found_at_the_start(booth: Booth) -> None:
    await _filled(booth, 50)
    _execute(booth, "DELETE FROM event WHERE seq = 20")
    with pytest.raises(StoreCorrupt, match="holds 50 events between sequence 1 and 51"):
        async with booth.open():
            pass
    with pytest.raises(Refused, match="GAP at sequence 21"):
        verify_ledger(booth.directory, booth.device_keys)


async def test_an_event_put_in_place_of_another_breaks_the_chain(booth: Booth) -> None:
    await _filled(booth, 50)
    _execute(
        booth,
        "UPDATE event SET (envelope, sha256) = (SELECT envelope, sha256 FROM event WHERE seq = 19) WHERE seq = 20",
    )
    with pytest.raises(Refused, match="REPLAYED at sequence 20"):
        verify_ledger(booth.directory, booth.device_keys)


@pytest.mark.parametrize(
    "left", [b"", None, b"this is no database at all, and long enough to be read as a header" * 20]
)
async def test_a_database_that_is_gone_is_never_begun_anew(booth: Booth, left: bytes | None) -> None:
    await _filled(booth, 5)
    path = booth.directory / DATABASE
    path.unlink()
    if left is not None:
        path.write_bytes(left)
    with pytest.raises(StoreCorrupt) as error:
        async with booth.open():
            pass
    assert "do not delete it" in error.value.remedy
    assert not path.exists() or path.read_bytes() == left


async def test_a_database_of_another_life_is_refused(booth: Booth) -> None:
    await _filled(booth, 5)
    (booth.directory / "epoch").write_text("00" * 16 + "\n")
    with pytest.raises(StoreCorrupt, match="the rest of 0000"):
        async with booth.open():
            pass


async def test_a_database_of_another_program_is_refused(booth: Booth) -> None:
    booth.directory.mkdir()
    _execute(booth, "CREATE TABLE theirs (x)")
    with pytest.raises(StoreCorrupt, match="another program"):
        async with booth.open():
            pass


async def test_a_newer_schema_is_refused(booth: Booth) -> None:
    await _filled(booth, 5)
    _execute(booth, "PRAGMA user_version = 99")
    with pytest.raises(StoreFailed, match="newer edge-agent"):
        async with booth.open():
            pass


async def test_a_database_that_no_longer_says_whose_it_is(booth: Booth) -> None:
    await _filled(booth, 5)
    _execute(booth, "DELETE FROM meta WHERE key = 'epoch'")
    with pytest.raises(StoreCorrupt, match="whose ledger"):
        async with booth.open():
            pass
    with pytest.raises(StoreCorrupt, match="whose ledger"):
        verify_ledger(booth.directory, booth.device_keys)


async def test_a_last_event_that_does_not_follow_is_found_at_the_start(booth: Booth) -> None:
    await _filled(booth, 5)
    _execute(
        booth, "UPDATE event SET (envelope, sha256) = (SELECT envelope, sha256 FROM event WHERE seq = 5) WHERE seq = 6"
    )
    with pytest.raises(StoreCorrupt, match="does not follow"):
        async with booth.open():
            pass


async def test_a_hash_that_is_not_its_events_is_found(booth: Booth) -> None:
    await _filled(booth, 5)
    _execute(booth, "UPDATE event SET sha256 = zeroblob(32) WHERE seq = 3")
    with pytest.raises(Refused, match="BROKEN_CHAIN at sequence 3"):
        verify_ledger(booth.directory, booth.device_keys)


async def test_the_ledger_of_a_booth_whose_key_is_unknown_does_not_verify(booth: Booth) -> None:
    await _filled(booth, 5)
    with pytest.raises(Refused, match="UNKNOWN_KEY at sequence 1"):
        verify_ledger(booth.directory, {})


async def test_an_unreadable_event_of_an_open_inspection_is_a_corrupt_store(booth: Booth) -> None:
    async with booth.open() as ledger:
        await ledger.recorder.record(opened("a"))
        await ledger.recorder.record(alarm(1))
    _execute(booth, "UPDATE event SET envelope = zeroblob(90) WHERE seq = 2")
    with pytest.raises(StoreCorrupt, match="sequence 2 is not what was written"):
        async with booth.open():
            pass
