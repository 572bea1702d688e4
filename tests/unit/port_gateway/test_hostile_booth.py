"""A booth whose key was stolen: what its signed words may not do at the port."""

import hashlib
from collections.abc import Callable
from dataclasses import replace
from datetime import timedelta
from pathlib import Path

import pytest

from edge_agent.domain import event as domain
from edge_agent.domain.clock import Instant, SystemClock
from edge_agent.domain.evidence import EvidenceKind, EvidenceRef
from edge_agent.domain.finding import Decision
from edge_agent.domain.observation import RadiationKind
from edge_agent.domain.retention import PORT_DAYS, PORT_EVENT_DAYS, DeletionReason, EvidenceDeleted
from edge_agent.wire.codec import event_payload
from edge_agent.wire.codec_findings import decision_of
from edge_agent.wire.envelope import envelope_sha256
from edge_agent.wire.identity import SpiffeId
from edge_agent.wire.v1alpha1.event_pb2 import Event
from edge_agent.wire.v1alpha1.findings_pb2 import DECISION_RELEASE
from port_gateway.clock_doubt import believe
from port_gateway.decisions import decide, read_decisions
from port_gateway.evidence import EvidenceFiles
from port_gateway.inbox import Inbox
from port_gateway.moments import UNDATED_US
from port_gateway.retention import Retention
from port_gateway.retention_events import EventRetention
from port_gateway.retention_records import hold, read_status
from port_gateway.retention_worker import RetentionWorker
from port_gateway.store import Store
from port_gateway.trust_command.cli import show
from tests.unit.port_gateway.findings import AtPort, closed
from tests.unit.port_gateway.signing import INSTANT, Party, sign

ID = "3f8a5d2e-0c41-4a6e-9d57-1b2c3d4e5f61"


class Clock(SystemClock):
    days = 0

    def now(self) -> Instant:
        now = super().now()
        return replace(now, utc=now.utc + timedelta(days=self.days))


@pytest.fixture
def port(store: Store, inbox: Inbox, booth: Party) -> AtPort:
    return AtPort(store, inbox, booth)


@pytest.fixture
def files(tmp_path: Path) -> EvidenceFiles:
    (tmp_path / "evidence").mkdir()
    return EvidenceFiles(tmp_path / "evidence")


def ref(data: bytes) -> EvidenceRef:
    return EvidenceRef(EvidenceKind.PLATE_CROP, "image/jpeg", hashlib.sha256(data).digest(), len(data))


def arrived(files: EvidenceFiles, data: bytes) -> Path:
    path = files.path(hashlib.sha256(data).digest())
    path.parent.mkdir(parents=True)
    path.write_bytes(data)
    return path


def keeper(port: AtPort, files: EvidenceFiles, clock: SystemClock) -> RetentionWorker:
    evidence = Retention(port.store, files, PORT_DAYS, clock)
    return RetentionWorker(evidence, EventRetention(port.store, files, PORT_EVENT_DAYS, clock), port.store, clock, 300)


def forged(
    port: AtPort, body: domain.EventBody, change: Callable[[Event], object], evidence: tuple[EvidenceRef, ...] = ()
) -> None:
    """What no agent writes, signed all the same."""
    ledger = port.ledger
    event = Event.FromString(event_payload(domain.Draft(body, INSTANT), ledger.head, evidence))
    change(event)
    ledger.envelopes.append(sign(event.SerializeToString(), ledger.session_key))
    ledger.head = ledger.head.after(envelope_sha256(ledger.envelopes[-1]))
    port._take(ledger.envelopes[-1])


def alarm() -> domain.AlarmRaised:
    return domain.AlarmRaised(ID, "1", "portal", RadiationKind.GAMMA, (1,), b"")


# --- evidence ---------------------------------------------------------------------------------------------------------
@pytest.mark.parametrize("kept_by", ["a legal hold", "an alarm"])
def test_a_booths_word_takes_away_nothing_that_is_kept(port: AtPort, files: EvidenceFiles, kept_by: str) -> None:
    port.closes(ID, ref(b"crop"))
    crop = arrived(files, b"crop")
    if kept_by == "an alarm":
        port.says(alarm())
    else:
        port.run(lambda db: hold(db, ID, "court order 17", "counsel", 1))
    port.says(EvidenceDeleted((ref(b"crop").sha256,), 4, DeletionReason.NO_FINDING))
    assert port.inbox.deleted(ref(b"crop").sha256) is None
    assert sum(Retention(port.store, files, PORT_DAYS, SystemClock()).run()) == 0
    assert crop.exists()


@pytest.mark.parametrize("kept_by", ["a legal hold", "an alarm"])
def test_a_hold_that_comes_behind_a_booths_word_counts(port: AtPort, files: EvidenceFiles, kept_by: str) -> None:
    port.closes(ID, ref(b"crop"))
    port.says(EvidenceDeleted((ref(b"crop").sha256,), 4, DeletionReason.NO_FINDING))
    if kept_by == "an alarm":
        port.says(alarm())
    else:
        port.run(lambda db: hold(db, ID, "court order 17", "counsel", 1))
    assert sum(Retention(port.store, files, PORT_DAYS, SystemClock()).run()) == 0
    assert port.inbox.deleted(ref(b"crop").sha256) is None, "it is waited for"
    crop = arrived(files, b"crop")
    assert sum(Retention(port.store, files, PORT_DAYS, SystemClock()).run()) == 0
    assert crop.exists()


def test_a_booths_word_takes_away_nothing_that_the_port_has(
    port: AtPort, files: EvidenceFiles, caplog: pytest.LogCaptureFixture
) -> None:
    port.closes(ID, ref(b"crop"), ref(b"never"))
    crop, clock = arrived(files, b"crop"), Clock()
    port.says(EvidenceDeleted((ref(b"crop").sha256, ref(b"never").sha256), 4, DeletionReason.NO_FINDING))
    assert port.inbox.deleted(ref(b"crop").sha256) is None
    retention = Retention(port.store, files, PORT_DAYS, clock)
    assert sum(retention.run()) == 0
    assert crop.exists()
    assert port.inbox.deleted(ref(b"crop").sha256) is None
    assert port.inbox.deleted(ref(b"never").sha256) is not None
    assert f"{port.ledger.booth_id} called 1 piece of evidence deleted" in caplog.text
    clock.days = 31
    assert sum(retention.run()) == 1, "its own days count on"
    assert not crop.exists()


def test_a_booths_word_is_looked_at_while_the_clock_is_in_doubt(port: AtPort, files: EvidenceFiles) -> None:
    port.closes(ID, ref(b"never"))
    clock = Clock()
    worker = keeper(port, files, clock)
    clock.days = 800
    port.says(EvidenceDeleted((ref(b"never").sha256,), 4, DeletionReason.NO_FINDING))
    assert worker.turn() == 0
    assert port.inbox.deleted(ref(b"never").sha256) is not None


@pytest.mark.parametrize("digest", [b"", b"x", b"x" * 300])
def test_a_scans_file_without_a_digest_does_not_end_retention(
    port: AtPort, files: EvidenceFiles, digest: bytes
) -> None:
    def change(event: Event) -> None:
        event.inspection_closed.inspection.scans.add().files.add(sha256=digest, kind="frame", size=1)

    forged(port, domain.InspectionClosed(closed(ID)), change)
    port.says(EvidenceDeleted((digest,), 1, DeletionReason.NO_FINDING))
    port.closes("i-2", replace(ref(b"frame"), kind=EvidenceKind.FRAME))
    frame = arrived(files, b"frame")
    worker = keeper(port, files, SystemClock())
    assert worker.turn() == 1
    assert not frame.exists()


def test_sizes_that_no_file_has_add_up(port: AtPort) -> None:
    def change(event: Event) -> None:
        for one in event.evidence:
            one.size = 2**64 - 1

    forged(port, domain.InspectionClosed(closed(ID)), change, (ref(b"a"), ref(b"b"), ref(b"c")))
    with port.store.reading() as db:
        [(kind, standing, pieces, _)] = read_status(db).kept
    assert (kind, standing, pieces) == ("plate_crop", "clear", 3)


def test_an_inspection_rises_once_however_often_its_booth_says_so(port: AtPort) -> None:
    port.closes(ID, *(ref(b"%d" % n) for n in range(500)))
    port.says(alarm())
    before = port.run(lambda db: db.total_changes())
    for _ in range(10):
        port.says(alarm())
    assert port.run(lambda db: db.total_changes()) - before < 100


def test_a_clock_that_was_wrong_from_the_start_deletes_nothing(
    port: AtPort, files: EvidenceFiles, caplog: pytest.LogCaptureFixture
) -> None:
    port.closes(ID, ref(b"crop"))
    crop, clock = arrived(files, b"crop"), Clock()
    assert keeper(port, files, clock).turn() == 0
    clock.days = 800
    for _ in range(2):  # the second start no more than the first
        port.inbox = Inbox(port.store, clock)
        port.closes("i-2", ref(b"crop of i-2"))  # by the same clock: no witness
        worker = keeper(port, files, clock)
        assert worker.turn() == 0
        assert crop.exists()
    assert "and was last believed at" in caplog.text
    second = arrived(files, b"crop of i-2")
    clock.days = 29  # right again, and the port was started anew
    worker = keeper(port, files, clock)
    assert worker.turn() == 0
    clock.days = 31
    assert worker.turn() == 0  # not restarted: the clock was set
    assert keeper(port, files, clock).turn() == 1
    assert not crop.exists()
    clock.days = 60
    assert keeper(port, files, clock).turn() == 0, "what came with the wrong clock counts from when it was right"
    clock.days = 62
    assert keeper(port, files, clock).turn() == 1
    assert not second.exists()


def test_what_comes_before_the_clock_is_set_counts_from_when_it_is(port: AtPort, files: EvidenceFiles) -> None:
    clock = Clock()
    clock.days = -15_000  # no battery
    port.inbox = Inbox(port.store, clock)
    port.closes(ID, ref(b"crop"))
    assert port.rows("SELECT received_utc_us FROM evidence_use") == [(UNDATED_US,)]
    crop, worker = arrived(files, b"crop"), keeper(port, files, clock)
    assert worker.turn() == 0
    assert port.rows("SELECT 1 FROM meta WHERE key = 'clock_believed_us'") == []
    clock.days = 0
    assert worker.turn() == 0
    assert keeper(port, files, clock).turn() == 0  # restarted as the log says: a person must say that it is right
    port.run(lambda db: believe(db, round(clock.now().utc.timestamp() * 1e6)))
    assert sum(Retention(port.store, files, PORT_DAYS, clock).run()) == 0
    assert crop.exists()
    clock.days = 29
    assert keeper(port, files, clock).turn() == 0
    clock.days = 31
    assert keeper(port, files, clock).turn() == 1
    assert not crop.exists()


# --- decisions --------------------------------------------------------------------------------------------------------
def test_a_chain_that_says_another_decision_does_not_hold_it(port: AtPort, caplog: pytest.LogCaptureFixture) -> None:
    port.closes("i-1")
    gateway = SpiffeId.parse("spiffe://uslrd/gateway/main")
    port.run(lambda db: decide(db, gateway, "i-1", Decision.HOLD, "R. Vega", "a seal is broken", "operator", 1))
    [message] = port.waiting()

    def change(event: Event) -> None:
        event.decision_recorded.decision = DECISION_RELEASE

    forged(port, decision_of(message.decision, "1"), change)
    with port.store.reading() as db:
        assert [one.state for one in read_decisions(db)] == ["not chained"]
    assert "sequence 3: the chain says release, and the officer decided hold" in caplog.text
    assert port.rows("SELECT code FROM alarm") == [("DECISION_CONTRADICTED",)]


# --- who can read it --------------------------------------------------------------------------------------------------
def test_an_inbox_of_before_the_watch_list_becomes_its_owners_alone(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    path = tmp_path / "old.sqlite"
    path.touch(mode=0o644)
    path.chmod(0o644)
    with monkeypatch.context() as before:
        from port_gateway import store

        before.setattr(store, "MIGRATIONS", store.MIGRATIONS[:9])
        Store(path).close()
    assert path.stat().st_mode & 0o777 == 0o644
    Store(path).close()
    assert path.stat().st_mode & 0o777 == 0o600


def test_a_booths_words_are_no_commands_to_a_terminal(capsys: pytest.CaptureFixture[str]) -> None:
    show({}, False, "inspection \x1b[2Jx\nnext\r")
    assert capsys.readouterr().out == "inspection ·[2Jx\nnext·\n"
