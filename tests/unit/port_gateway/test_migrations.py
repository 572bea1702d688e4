"""An inbox of an older schema is brought up to date, whole or not at all."""

import contextlib
from pathlib import Path

import apsw
import pytest

from edge_agent.domain.clock import SystemClock
from edge_agent.domain.errors import StoreCorrupt, StoreFailed, StoreFull
from edge_agent.domain.evidence import EvidenceKind, EvidenceRef
from edge_agent.wire.chain import Head
from edge_agent.wire.identity import key_id, spki
from edge_agent.wire.verify import Chain, verify_next
from port_gateway import store as module
from port_gateway.inbox import Inbox
from port_gateway.store import MIGRATIONS, Store, offline
from tests.unit.port_gateway.signing import Ledger, Party, device_event

PICTURE = EvidenceRef(EvidenceKind.FRAME, "image/jpeg", b"p" * 32, 9)
NEXT = "CREATE TABLE more (id INTEGER PRIMARY KEY) STRICT; INSERT INTO more SELECT cursor FROM event;"


@pytest.fixture
def old(tmp_path: Path, booth: Party) -> Path:
    """An inbox as the first schema left it: written by its own statements, as they were."""
    path = tmp_path / "inbox.sqlite"
    ledger = Ledger(booth.identity, booth.key)
    ledger.grow(3)
    ledger.add(device_event(), evidence=(PICTURE,))
    key = booth.key.public_key()
    chain = Chain(Head(booth.identity, ledger.epoch), {key_id(key): key})
    database = apsw.Connection(str(path))
    database.execute("PRAGMA journal_mode=WAL").fetchall()
    with database:
        database.execute((Path(module.__file__).parent / "schema" / "0001.sql").read_text())
        database.execute("PRAGMA application_id=1162889047")  # "EPGW"
        database.execute("PRAGMA user_version=1")
        for envelope in ledger.envelopes:
            verified = verify_next(chain, envelope)
            chain = verified.chain
            database.execute(
                "INSERT INTO event (booth_id, epoch, seq, sha256, envelope, received_utc_us) VALUES (?,?,?,?,?,?)",
                (booth.identity, ledger.epoch, verified.event.seq, verified.sha256, envelope, 7),
            )
        assert chain.session is not None
        session = spki(chain.session.key)
        database.execute(
            "INSERT INTO session VALUES (?,?,?,?,?)", (booth.identity, ledger.epoch, chain.session.key_id, session, 1)
        )
        database.execute(
            "INSERT INTO chain VALUES (?,?,?,?,?)",
            (booth.identity, ledger.epoch, chain.head.seq, chain.head.sha256, session),
        )
    database.close()
    return path


def with_next(monkeypatch: pytest.MonkeyPatch, statements: str) -> None:
    real = module.script
    monkeypatch.setattr(module, "MIGRATIONS", (*MIGRATIONS, "next.sql"))
    monkeypatch.setattr(module, "script", lambda name: statements if name == "next.sql" else real(name))


def version_of(path: Path) -> object:
    with contextlib.closing(apsw.Connection(str(path))) as database:
        return database.execute("PRAGMA user_version").get


def test_an_inbox_of_the_first_schema_is_taken_over(old: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    with_next(monkeypatch, NEXT)
    with pytest.raises(StoreFailed, match="start `port-gateway serve` once"), offline(old):
        pass
    with contextlib.closing(Store(old)) as store:
        page, _ = Inbox(store, SystemClock()).page(0, None, 10)
        assert len(page) == 5
        with store.reading() as db:
            assert db.execute("SELECT count(*) FROM more").get == 5
            named = db.execute("SELECT sha256, booth_id FROM evidence_ref").fetchall()
    assert named == [(PICTURE.sha256, "spiffe://uslrd/booth/lane-1")]
    assert version_of(old) == len(MIGRATIONS) + 1
    with contextlib.closing(Store(old)):  # a second time there is nothing to do
        pass


def test_a_full_inbox_is_taken_over_and_is_full_afterwards(old: Path) -> None:
    with contextlib.closing(Store(old, max_bytes=4096)) as store:
        assert version_of(old) == len(MIGRATIONS)
        with pytest.raises(StoreFull):
            store.submit(lambda db: db.execute("CREATE TABLE more AS SELECT zeroblob(100000)")).result(10)


def test_a_back_office_of_an_older_inbox_goes_on_reading_every_port(old: Path) -> None:
    offices = ("spiffe://usotm/back-office/customs", "spiffe://usotm/back-office/former")
    with contextlib.closing(apsw.Connection(str(old))) as database:
        for n, booth in enumerate(
            ("spiffe://uslrd/booth/lane-1", "spiffe://uslrd/booth/lane-2", "spiffe://x-1/booth/a")
        ):
            database.execute("INSERT INTO trust VALUES (?,?,'booth',?,1,NULL)", (n, booth, bytes([n])))
        for n, office in enumerate(offices, 10):
            database.execute(
                "INSERT INTO trust VALUES (?,?,'back-office',?,1,?)", (n, office, bytes([n]), [None, 2][n - 10])
            )
    with contextlib.closing(Store(old)) as store, store.reading() as db:
        given = set(db.execute("SELECT identity, port FROM readable_port"))
    assert given == {(offices[0], "uslrd"), (offices[0], "x-1")}


def test_a_migration_that_fails_leaves_the_inbox_as_it_was(old: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    with contextlib.closing(Store(old)):
        pass
    with_next(monkeypatch, f"{NEXT} CREATE TABLE more (x);")  # twice the same
    with pytest.raises(StoreCorrupt):
        Store(old)
    monkeypatch.undo()
    assert version_of(old) == len(MIGRATIONS)
    with contextlib.closing(Store(old)) as store:
        assert len(Inbox(store, SystemClock()).page(0, None, 10)[0]) == 5


def test_a_file_of_another_program_is_left_alone(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    path = tmp_path / "inbox.sqlite"
    with contextlib.closing(apsw.Connection(str(path))) as database:
        database.execute("CREATE TABLE theirs (x)")
    with_next(monkeypatch, NEXT)
    with pytest.raises(StoreCorrupt, match="not an inbox"):
        Store(path)
    with contextlib.closing(apsw.Connection(str(path))) as database:
        assert database.execute("SELECT group_concat(name) FROM sqlite_schema").get == "theirs"
