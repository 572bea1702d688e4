"""Ledgers of the first schema are taken over, whole; a migration that is interrupted leaves them as they were."""

import contextlib
from collections.abc import Iterator

import apsw
import pytest

from edge_agent.domain.errors import Fatal, StoreCorrupt, StoreFull
from edge_agent.ledger import database
from edge_agent.ledger.check import verify_ledger
from edge_agent.ledger.database import MIGRATIONS
from edge_agent.ledger.outbox import LedgerReader
from edge_agent.ledger.store import DATABASE, Store
from tests.integration.ledger.conftest import Booth, alarm
from tests.integration.ledger.failing_disk import FailingDisk
from tests.integration.ledger.old_ledger import PICTURES, schema_of, write_old_ledger


@pytest.fixture
def disk() -> Iterator[FailingDisk]:
    disk = FailingDisk("failing-disk")
    yield disk
    disk.unregister()


async def test_an_old_ledger_goes_on_with_all_that_it_held(booth: Booth) -> None:
    events = write_old_ledger(booth)
    assert verify_ledger(booth.directory, booth.device_keys).seq == 7  # also before the agent has opened it
    async with booth.open() as ledger:
        assert schema_of(booth.directory / DATABASE) == len(MIGRATIONS)
        assert ledger.recorder.head.seq == 8
        assert [u.inspection_id for u in ledger.recorder.unfinished()] == ["a"]
        outbox = ledger.outbox
        assert outbox.after(0, 10, 1_000_000)[:7] == [event.envelope for event in events]
        assert outbox.acked_through() == 4
        assert [blob.sha256 for blob in outbox.pending_blobs(0, 10)] == [one.sha256 for one in PICTURES[2:]]
        assert outbox.blob_states() == {"kept": 2, "sent": 2}
        await ledger.recorder.record(alarm(10, PICTURES[0]))
    assert verify_ledger(booth.directory, booth.device_keys).seq == 9


@pytest.mark.parametrize("fault", ["write", "full", "sync"])
def test_an_interrupted_migration_leaves_the_old_file_usable(booth: Booth, disk: FailingDisk, fault: str) -> None:
    events = write_old_ledger(booth)
    path = booth.directory / DATABASE
    interrupted = 0
    while True:
        interrupted += 1
        disk.fail_at(fault, interrupted)
        with contextlib.suppress(Fatal, StoreFull):
            Store.open(booth.directory, booth.booth_id, disk.name).close()
        if not disk.failed:
            break
        disk.fail_at("", 0)
        if schema_of(path) == 1:  # what the old version reads of it
            old = apsw.Connection(str(path))
            assert old.execute("SELECT count(*), (SELECT count(*) FROM blob) FROM event").fetchall() == [(7, 4)]
            assert old.execute("PRAGMA integrity_check").get == "ok"
            old.close()
    assert interrupted > (1 if fault == "sync" else 5)
    store = Store.open(booth.directory, booth.booth_id)
    assert store.head() == events[-1].head_after
    store.close()


def test_a_migration_that_cannot_be_done_is_undone(booth: Booth, monkeypatch: pytest.MonkeyPatch) -> None:
    write_old_ledger(booth)
    real = database.script
    monkeypatch.setattr(database, "script", lambda name: "\n".join((real(name), "DROP TABLE no_such;")))
    with pytest.raises(Fatal, match="no_such"):
        Store.open(booth.directory, booth.booth_id)
    assert schema_of(booth.directory / DATABASE) == 1
    monkeypatch.undo()
    Store.open(booth.directory, booth.booth_id).close()
    reader = LedgerReader(booth.directory)
    assert reader.extent().newest == 7
    reader.close()


def test_a_ledger_whose_file_is_emptied_is_not_begun_anew(booth: Booth) -> None:
    write_old_ledger(booth)
    path = booth.directory / DATABASE
    path.unlink()
    empty = apsw.Connection(str(path))  # a database, and nothing in it
    empty.execute("PRAGMA journal_mode = wal").fetchall()
    empty.close()
    with pytest.raises(StoreCorrupt, match="events were written here"):
        Store.open(booth.directory, booth.booth_id)
