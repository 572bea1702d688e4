import asyncio
import contextlib
import threading
from collections.abc import Callable
from concurrent.futures import Future
from pathlib import Path

import apsw
import pytest

from edge_agent.domain.errors import Fatal, Permanent, Recoverable, StoreCorrupt, StoreFailed, StoreFull
from port_gateway.store import Store, offline


def put(name: str, size: int = 1) -> Callable[[apsw.Connection], None]:
    def write(db: apsw.Connection) -> None:
        db.execute("INSERT INTO reader VALUES (?, ?, 1, 1)", (name, "x" * size))

    return write


def names(store: Store) -> set[str]:
    with store.reading() as db:
        return {str(row[0]) for row in db.execute("SELECT identity FROM reader")}


def gate(store: Store) -> tuple[threading.Event, "Future[None]"]:
    """Holds the writer, so that what is submitted meanwhile becomes one group."""
    go, entered = threading.Event(), threading.Event()

    def wait(db: apsw.Connection) -> None:
        entered.set()
        go.wait()

    future = store.submit(wait)
    assert entered.wait(30)
    return go, future


def test_what_is_acknowledged_is_synced(store: Store) -> None:
    db = store._db
    assert (db.execute("PRAGMA journal_mode").get, db.execute("PRAGMA synchronous").get) == ("wal", 2)
    store.submit(put("a")).result(10)
    with offline(store.path) as other:
        assert other.execute("SELECT count(*) FROM reader").get == 1


def test_jobs_that_wait_are_committed_together(store: Store) -> None:
    commits: list[None] = []
    store.on_commit = lambda: commits.append(None)
    go, first = gate(store)
    futures = [store.submit(put(f"n{n}")) for n in range(100)]
    go.set()
    for future in [first, *futures]:
        future.result(10)
    assert len(commits) == 2
    assert len(names(store)) == 100


def test_an_error_of_one_job_undoes_that_job_alone(store: Store) -> None:
    def fails(db: apsw.Connection) -> None:
        put("undone")(db)
        raise Permanent("no")

    go, _ = gate(store)
    before, bad, after = (store.submit(work) for work in (put("before"), fails, put("after")))
    go.set()
    before.result(10)
    after.result(10)
    with pytest.raises(Permanent, match="no"):
        bad.result(10)
    assert names(store) == {"before", "after"}


def test_a_full_store_takes_nothing_and_recovers(store: Store) -> None:
    store.submit(put("first")).result(10)
    store.submit(lambda db: Store.limit(db, 1)).result(10)
    go, _ = gate(store)
    group = [store.submit(put("small")), store.submit(put("large", 10**6))]
    go.set()
    for future in group:
        with pytest.raises(StoreFull):
            future.result(10)
    assert names(store) == {"first"}
    store.submit(lambda db: Store.limit(db, 10**9)).result(10)
    store.submit(put("large", 10**6)).result(10)
    assert names(store) == {"first", "large"}


@pytest.mark.parametrize(("raised", "expected"), [(apsw.IOError, StoreFailed), (apsw.CorruptError, StoreCorrupt)])
def test_after_an_io_error_nothing_is_accepted(store: Store, raised: type[apsw.Error], expected: type[Fatal]) -> None:
    told: list[Fatal] = []
    store.on_failure = told.append

    def fails(db: apsw.Connection) -> None:
        raise raised("the disk")

    go, _ = gate(store)
    group = [store.submit(put("lost")), store.submit(fails)]
    go.set()
    for future in group:
        with pytest.raises(expected):
            future.result(10)
    assert [type(error) for error in told] == [expected]
    with pytest.raises(expected):
        store.submit(put("later"))
    assert names(store) == set()


def test_a_second_process_that_keeps_the_lock_is_named(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("port_gateway.store.BUSY_TIMEOUT_MS", 50)
    with contextlib.closing(Store(tmp_path / "inbox.sqlite")) as store:
        other = apsw.Connection(str(store.path))
        other.execute("BEGIN IMMEDIATE")
        with pytest.raises(Recoverable, match="locked"):
            store.submit(put("a")).result(10)
        other.execute("ROLLBACK")
        other.close()
        store.submit(put("a")).result(10)


def test_what_is_no_inbox_is_refused(tmp_path: Path) -> None:
    garbage = tmp_path / "garbage"
    garbage.write_bytes(b"not a database, but long enough to be looked at" * 100)
    with pytest.raises(StoreCorrupt):
        Store(garbage)
    other = tmp_path / "other"
    with contextlib.closing(apsw.Connection(str(other))) as db:
        db.execute("CREATE TABLE something (x)")
    with pytest.raises(StoreCorrupt, match="not an inbox"):
        Store(other)
    newer = tmp_path / "newer"
    Store(newer).close()
    with contextlib.closing(apsw.Connection(str(newer))) as db:
        db.execute("PRAGMA user_version=99")
    with pytest.raises(StoreCorrupt, match="schema 99"):
        Store(newer)
    with pytest.raises(StoreFailed, match="no inbox"), offline(tmp_path / "missing"):
        pass


def test_a_closed_store_takes_nothing(tmp_path: Path) -> None:
    store = Store(tmp_path / "inbox.sqlite")
    last = store.submit(put("a"))
    store.close()
    last.result(0)
    store.close()
    with pytest.raises(Recoverable, match="closed"):
        store.submit(put("b"))


async def test_who_leaves_while_a_write_is_on_its_way_does_not_stop_the_writer(store: Store) -> None:
    go, _ = gate(store)
    leaving = asyncio.wrap_future(store.submit(put("left")))
    await asyncio.sleep(0)
    leaving.cancel()
    await asyncio.wait([leaving])
    await asyncio.sleep(0)
    go.set()
    store.submit(put("next")).result(10)
    assert names(store) == {"left", "next"}
