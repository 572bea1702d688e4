import contextlib
import random
from pathlib import Path

import apsw
import pytest

from edge_agent.domain.clock import SystemClock
from edge_agent.domain.errors import EdgeAgentError, StoreCorrupt
from edge_agent.domain.evidence import EvidenceKind, EvidenceRef
from edge_agent.wire.chain import Head
from edge_agent.wire.envelope import envelope_sha256
from edge_agent.wire.identity import key_id
from edge_agent.wire.refused import RefusalCode, Refused
from edge_agent.wire.verify import Chain, Verified, verify_next
from port_gateway import inbox as module
from port_gateway.alarms import MAX_ALARMS_A_CODE
from port_gateway.audit import audit
from port_gateway.audit_tokens import Fault
from port_gateway.config import Identity, Settings
from port_gateway.evidence import EvidenceFiles
from port_gateway.inbox import HeadMoved, Inbox
from port_gateway.store import Store
from port_gateway.trust import TrustStore
from tests.unit.port_gateway.signing import Ledger, Party, device_event


def verified(ledger: Ledger) -> list[Verified]:
    keys = {key_id(ledger.device_key.public_key()): ledger.device_key.public_key()}
    chain, found = Chain(Head(ledger.booth_id, ledger.epoch), keys), []
    for envelope in ledger.envelopes:
        found.append(verify_next(chain, envelope))
        chain = found[-1].chain
    return found


def test_a_chain_goes_on_where_it_stood(inbox: Inbox, booth: Party) -> None:
    ledger = Ledger(booth.identity, booth.key)
    ledger.grow(3)
    start = Head(booth.identity, ledger.epoch)
    keys = {key_id(booth.key.public_key()): booth.key.public_key()}
    assert inbox.chain(start, dict(keys)) == Chain(start, keys)
    inbox.append(start, verified(ledger)).result(10)
    chain = inbox.chain(start, dict(keys))
    assert chain.head == ledger.head
    envelope = ledger.add(device_event())
    assert verify_next(chain, envelope).event.seq == 5  # the session key came back too
    assert inbox.held_sha256(booth.identity, ledger.epoch, 4) == envelope_sha256(ledger.envelopes[3])
    assert inbox.held_sha256(booth.identity, ledger.epoch, 5) is None


def test_two_writers_of_one_chain_cannot_both_win(inbox: Inbox, booth: Party) -> None:
    ledger = Ledger(booth.identity, booth.key)
    ledger.grow(1)
    start = Head(booth.identity, ledger.epoch)
    both = [inbox.append(start, verified(ledger)), inbox.append(start, verified(ledger))]
    both[0].result(10)
    with pytest.raises(HeadMoved):
        both[1].result(10)
    assert [stored.envelope for stored in inbox.page(0, None, 100)[0]] == ledger.envelopes


def test_pages_move_on_past_other_booths(inbox: Inbox, booth: Party) -> None:
    ledger = Ledger(booth.identity, booth.key)
    ledger.grow(9)
    inbox.append(Head(booth.identity, ledger.epoch), verified(ledger)).result(10)
    found, through = inbox.page(0, None, 4)
    assert ([s.cursor for s in found], through) == ([1, 2, 3, 4], 4)
    assert inbox.page(4, ("spiffe://uslrd/booth/other",), 100) == ([], 10)
    assert inbox.page(10, None, 100) == ([], 10)
    assert inbox.page(99, None, 100) == ([], 99)


def test_a_page_looks_at_so_many_events_alone(inbox: Inbox, booth: Party, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(module, "SCAN_CURSORS", 4)
    ledger = Ledger(booth.identity, booth.key)
    ledger.grow(9)
    inbox.append(Head(booth.identity, ledger.epoch), verified(ledger)).result(10)
    found: list[tuple[list[int], int]] = []
    while not found or found[-1][1] < 10:
        page, through = inbox.page(found[-1][1] if found else 0, ("spiffe://uslrd/booth/other",), 100)
        found.append(([stored.cursor for stored in page], through))
    assert found == [([], 4), ([], 8), ([], 10)]
    assert [s.cursor for s in inbox.page(3, None, 100)[0]] == [4, 5, 6, 7]


def test_alarms_are_bounded_and_not_repeated(inbox: Inbox, booth: Party, store: Store) -> None:
    head = Head(booth.identity, bytes(16))
    for n in range(MAX_ALARMS_A_CODE + 5):
        refused = Refused(RefusalCode.FORK, "another event", 2**64 - 1 if n == 0 else n // 2)
        future = inbox.alarm(head, refused, b"")
    future.result(10)
    for n in range(2 * MAX_ALARMS_A_CODE):
        future = inbox.alarm(head, Refused(RefusalCode.GAP, "more", n), b"")
    future.result(10)
    with store.reading() as db:
        assert db.execute("SELECT count(*) FROM alarm").get == (MAX_ALARMS_A_CODE + 5) // 2 + 2 + MAX_ALARMS_A_CODE, (
            "no code keeps another out"
        )


# --- audit --------------------------------------------------------------------------------------------------------
@pytest.fixture
def filled(tmp_path: Path, booth: Party) -> Settings:
    """A data folder with a chain of two sessions and one piece of evidence, closed."""
    settings = Settings(identity=Identity(key=tmp_path, certificate=tmp_path), listen="h:1", data=tmp_path / "data")
    ledger = Ledger(booth.identity, booth.key)
    files = EvidenceFiles(settings.evidence)
    with contextlib.closing(Store(settings.database)) as store:
        trust = TrustStore(store, SystemClock())
        trust.add([booth.certificate])
        data = b"a picture"
        sha256 = envelope_sha256(data)
        with files.upload(trust.current().registered[0].identity, sha256, len(data), 0) as upload:
            upload.write(data)
            assert upload.finish()
        for ref in (sha256, bytes(32)):
            ledger.add(device_event(), evidence=(EvidenceRef(EvidenceKind.FRAME, "image/jpeg", ref, len(data)),))
        ledger.grow(20)
        ledger.open_session()
        ledger.grow(20)
        Inbox(store, SystemClock()).append(Head(booth.identity, ledger.epoch), verified(ledger)).result(10)
    return settings


def test_a_whole_folder_is_counted(filled: Settings) -> None:
    counts, alarms = audit(filled)
    assert (counts.events, counts.chains, counts.sessions, counts.booths) == (44, 1, 2, 1)
    assert (counts.evidence_whole, counts.evidence_missing, counts.evidence_at_booth, alarms) == (1, 0, 1, [])


TAMPERINGS = {
    (
        "UPDATE event SET envelope = CAST(replace(envelope, x'63616d657261', x'63616d657262') AS BLOB) WHERE seq = 7"
    ): "BAD_SIGNATURE",
    "DELETE FROM event WHERE seq = 7": "GAP",
    "DELETE FROM event WHERE seq > 40": "STORE_CORRUPT",
    "DELETE FROM chain": "STORE_CORRUPT",
    "DELETE FROM event": "STORE_CORRUPT",
    "UPDATE event SET seq = 100 WHERE seq = 44": "STORE_CORRUPT",
    "UPDATE event SET sha256 = zeroblob(32) WHERE seq = 9": "STORE_CORRUPT",
    "UPDATE event SET booth_id = 'spiffe://uslrd/booth/lane-2' WHERE seq = 9": "NOT_TRUSTED",
    "INSERT INTO event SELECT 99, booth_id, epoch, 99, sha256, envelope, 1 FROM event WHERE seq = 30": "REPLAYED",
    "DELETE FROM trust": "NOT_TRUSTED",
}


@pytest.mark.parametrize(("tampering", "name"), TAMPERINGS.items())
def test_tampering_is_named(filled: Settings, tampering: str, name: str) -> None:
    with contextlib.closing(apsw.Connection(str(filled.database))) as db:
        db.execute(tampering)
        assert db.total_changes()
    with pytest.raises(Fault) as caught:
        audit(filled)
    assert caught.value.name == name


def test_other_bytes_in_a_file_of_evidence_are_named(filled: Settings) -> None:
    (path,) = [p for p in filled.evidence.glob("??/??/*") if p.is_file()]
    path.write_bytes(b"a picturf")
    with pytest.raises(Fault, match=path.name) as caught:
        audit(filled)
    assert caught.value.name == "EVIDENCE_CORRUPT"


def test_one_flipped_byte_anywhere_is_named_or_changes_nothing(filled: Settings) -> None:
    good = filled.database.read_bytes()
    wal = filled.database.with_name(filled.database.name + "-wal")
    assert not wal.exists() or wal.stat().st_size == 0  # closed: all of it is in the one file
    places = random.Random(4).sample(range(len(good)), 200)
    named = 0
    for place in places:
        filled.database.write_bytes(good[:place] + bytes([good[place] ^ 0x10]) + good[place + 1 :])
        try:
            counts, _ = audit(filled)
        except EdgeAgentError as error:
            named += isinstance(error, Fault | StoreCorrupt)
        else:
            assert (counts.events, counts.chains, counts.sessions) == (44, 1, 2)
    assert named > 12  # most of the file is tables of which none of these events fills one


def test_a_chain_without_its_last_event_is_not_served(filled: Settings) -> None:
    with contextlib.closing(apsw.Connection(str(filled.database))) as db:
        db.execute("DELETE FROM event WHERE seq = 44")
    with contextlib.closing(Store(filled.database)) as store, pytest.raises(StoreCorrupt, match="sequence 44"):
        Inbox(store, SystemClock())
