"""Evidence that goes by its class at the booth: what waits for a finding, and what is kept for less time."""

import asyncio
from contextlib import AbstractAsyncContextManager
from dataclasses import replace

import apsw
import pytest

from edge_agent.domain.event import (
    AlarmRaised,
    DecisionRecorded,
    Draft,
    EventBody,
    FindingsAdded,
    InspectionClosed,
    StorageLevel,
    StorageState,
)
from edge_agent.domain.evidence import Evidence, EvidenceKind
from edge_agent.domain.finding import Cause, Decision, Finding, Origin, Recommendation, Severity
from edge_agent.domain.inspection import Abandoned, Complete, Inspection
from edge_agent.domain.observation import RadiationKind
from edge_agent.domain.retention import BOOTH_DAYS, DAY_S, BoothRetention, KeptDays
from edge_agent.ledger import housekeeping
from edge_agent.ledger.check import verify_ledger
from edge_agent.ledger.housekeeping import DELETE_S, Keeping
from edge_agent.ledger.recorder import Ledger
from edge_agent.ledger.salvage import salvage
from edge_agent.ledger.store import DATABASE, EVIDENCE
from edge_agent.wire.envelope import read_envelope
from edge_agent.wire.v1alpha1 import event_pb2 as wire
from edge_agent.wire.v1alpha1.retention_pb2 import DELETION_REASON_NO_FINDING, DELETION_REASON_RETENTION_OVER
from tests.integration.ledger.conftest import AT, Booth, HandClock, until

WAIT_S, LONGEST_S = 900.0, DAY_S
RULES = BoothRetention(BOOTH_DAYS, WAIT_S, LONGEST_S)
FRAME = Evidence(EvidenceKind.FRAME, "image/jpeg", b"a whole frame")
CROP = Evidence(EvidenceKind.PLATE_CROP, "image/jpeg", b"a plate")


@pytest.fixture
def clock() -> HandClock:
    return HandClock()


@pytest.fixture(autouse=True)
def a_disk_with_room(monkeypatch: pytest.MonkeyPatch) -> None:
    level = StorageLevel(StorageState.NORMAL, 1, 100)
    monkeypatch.setattr(housekeeping, "measure", lambda *_: level)


def opening(
    booth: Booth, clock: HandClock, rules: BoothRetention | None = RULES
) -> AbstractAsyncContextManager[Ledger]:
    return booth.open(clock=clock, keeping=Keeping(14 * DAY_S, by_class=rules))


def closed(inspection: str, *evidence: Evidence, abandoned: bool = False) -> Draft:
    outcome = Abandoned("test") if abandoned else Complete()
    return Draft(InspectionClosed(Inspection(inspection, "1", AT, AT, outcome)), AT, evidence)


def finding(severity: Severity) -> EventBody:
    found = Finding("r", severity, Recommendation.REFER, "k")
    return FindingsAdded("i", "1", Origin.PORT, Cause.WATCH_LIST, (found,), b"m" * 16)


FOUND: dict[str, EventBody] = {
    "alarm": AlarmRaised("i", "1", "portal", RadiationKind.GAMMA, (1,), b""),
    "finding": finding(Severity.WARNING),
    "decision": DecisionRecorded("i", "1", Decision.HOLD, "officer", "why", 1, b"d" * 16),
}
NOT_FOUND: dict[str, EventBody] = {
    "notice": finding(Severity.NOTICE),
    "release": DecisionRecorded("i", "1", Decision.RELEASE, "officer", "why", 1, b"d" * 16),
    "of another": AlarmRaised("j", "1", "portal", RadiationKind.GAMMA, (1,), b""),
}


def files(booth: Booth) -> set[str]:
    return {path.name for path in (booth.directory / EVIDENCE).rglob("*") if path.is_file()}


def pending(ledger: Ledger) -> set[bytes]:
    return {blob.sha256 for blob in ledger.outbox.pending_blobs(0, 99)}


def deleted(ledger: Ledger) -> list[wire.Event]:
    events = [wire.Event.FromString(read_envelope(e)[0]) for e in ledger.outbox.after(0, 999, 10**8)]
    return [event for event in events if event.WhichOneof("body") == "evidence_deleted"]


async def acknowledge_all(ledger: Ledger) -> None:
    head = ledger.recorder.head.seq
    ledger.outbox.acked(head)
    await until(lambda: ledger.outbox.acked_through() == head)


async def look(ledger: Ledger) -> None:
    """The recorder takes its next steps; what they would do is done on return."""
    for _ in range(3):
        await ledger.recorder.record(Draft(AlarmRaised("", "1", "x", RadiationKind.GAMMA, (0,), b""), AT))
        await asyncio.sleep(0.01)


async def test_a_whole_frame_waits_for_a_finding_and_goes_without_one(booth: Booth, clock: HandClock) -> None:
    async with opening(booth, clock) as ledger:
        await ledger.recorder.record(closed("i", FRAME, CROP))
        assert pending(ledger) == {CROP.sha256}  # the frame is not offered
        assert files(booth) == {FRAME.sha256.hex(), CROP.sha256.hex()}
        clock.forward(WAIT_S + 120)  # the port has not acknowledged the record yet
        await look(ledger)
        assert FRAME.sha256.hex() in files(booth)
        await acknowledge_all(ledger)
        clock.forward(WAIT_S - 60)
        await look(ledger)
        assert FRAME.sha256.hex() in files(booth)
        clock.forward(120)
        await look(ledger)
        await until(lambda: files(booth) == {CROP.sha256.hex()})
        (said,) = deleted(ledger)
        assert list(said.evidence_deleted.sha256) == [FRAME.sha256]
        assert (said.evidence_deleted.size, said.evidence_deleted.reason) == (13, DELETION_REASON_NO_FINDING)
        assert ledger.outbox.blob_states() == {"kept": 1, "deleted": 1}
        ledger.outbox.offer_again()
        ledger.outbox.blob_sent(FRAME.sha256)  # said too late by a link that was slow
        await look(ledger)
        assert ledger.outbox.blob_states() == {"kept": 1, "deleted": 1}
    verify_ledger(booth.directory, booth.device_keys)


async def test_without_the_port_it_waits_a_day_of_running_at_the_most(booth: Booth, clock: HandClock) -> None:
    async with opening(booth, clock) as ledger:
        await ledger.recorder.record(closed("i", FRAME))
        clock.forward(LONGEST_S - 60)
        await look(ledger)
        assert files(booth) == {FRAME.sha256.hex()}
    clock.seconds = 5.0  # the machine was restarted; what a restart takes from the count is kept so much longer
    async with opening(booth, clock) as ledger:
        await look(ledger)
        clock.forward(LONGEST_S)
        await look(ledger)
        await until(lambda: not files(booth))
        assert len(deleted(ledger)) == 1


@pytest.mark.parametrize("body", FOUND.values(), ids=FOUND)
async def test_what_is_found_in_time_sends_it(booth: Booth, clock: HandClock, body: EventBody) -> None:
    async with opening(booth, clock) as ledger:
        await ledger.recorder.record(closed("i", FRAME))
        await ledger.recorder.record(Draft(body, AT))
        assert pending(ledger) == {FRAME.sha256}
        await acknowledge_all(ledger)
        clock.forward(2 * LONGEST_S)
        await look(ledger)
        assert files(booth) == {FRAME.sha256.hex()}
        assert not deleted(ledger)


@pytest.mark.parametrize("body", NOT_FOUND.values(), ids=NOT_FOUND)
async def test_what_is_no_finding_of_it_does_not(booth: Booth, clock: HandClock, body: EventBody) -> None:
    async with opening(booth, clock) as ledger:
        await ledger.recorder.record(closed("i", FRAME))
        await ledger.recorder.record(Draft(body, AT))
        assert pending(ledger) == set()
        clock.forward(LONGEST_S + 60)
        await look(ledger)
        await until(lambda: not files(booth))


async def test_what_was_found_before_it_closed_or_by_its_own_record(booth: Booth, clock: HandClock) -> None:
    other = replace(FRAME, data=b"another")
    async with opening(booth, clock) as ledger:
        await ledger.recorder.record(Draft(FOUND["alarm"], AT))
        await ledger.recorder.record(closed("i", FRAME))
        await ledger.recorder.record(closed("k", other, abandoned=True))
        assert pending(ledger) == {FRAME.sha256, other.sha256}


async def test_the_same_bytes_stay_for_the_inspection_with_a_finding(booth: Booth, clock: HandClock) -> None:
    async with opening(booth, clock) as ledger:
        await ledger.recorder.record(closed("i", FRAME))
        await ledger.recorder.record(closed("k", FRAME))
        assert pending(ledger) == set()
        await ledger.recorder.record(Draft(FOUND["alarm"], AT))  # of the first of the two
        assert pending(ledger) == {FRAME.sha256}
        await ledger.recorder.record(closed("m", FRAME))
        assert pending(ledger) == {FRAME.sha256}


async def test_settings_that_let_it_go_on_send_what_waits(booth: Booth, clock: HandClock) -> None:
    async with opening(booth, clock) as ledger:
        await ledger.recorder.record(closed("i", FRAME))
    async with opening(booth, clock, replace(RULES, days={EvidenceKind.FRAME: KeptDays(3, None, None)})) as ledger:
        assert pending(ledger) == {FRAME.sha256}
    async with opening(booth, clock) as ledger:  # and back: what was kept stays so
        assert pending(ledger) == {FRAME.sha256}


async def test_a_salvaged_ledger_goes_on_waiting(booth: Booth, clock: HandClock) -> None:
    other = replace(FRAME, data=b"another")
    async with opening(booth, clock) as ledger:
        await ledger.recorder.record(closed("i", FRAME, CROP))
        await ledger.recorder.record(closed("k", other, abandoned=True))
    data = bytearray((booth.directory / DATABASE).read_bytes())
    data[:100] = bytes(100)
    (booth.directory / DATABASE).write_bytes(data)
    assert salvage(booth.directory, booth.booth_id, booth.device_keys).evidence == 3
    async with opening(booth, clock) as ledger:
        assert pending(ledger) == {CROP.sha256, other.sha256}
        assert ledger.outbox.blob_states() == {"waiting": 1, "kept": 2}


async def test_a_class_of_its_own_time_goes_once_the_port_has_it(booth: Booth, clock: HandClock) -> None:
    rules = BoothRetention({EvidenceKind.PLATE_CROP: KeptDays(3, 5, None)})
    crops = [replace(CROP, data=name) for name in (b"clear", b"found", b"not sent", b"referred")]
    async with opening(booth, clock, rules) as ledger:
        for name, crop in zip("cins", crops, strict=True):
            await ledger.recorder.record(closed(name, crop))
        await ledger.recorder.record(Draft(FOUND["alarm"], AT))
        await ledger.recorder.record(
            Draft(DecisionRecorded("s", "1", Decision.HOLD, "officer", "why", 1, b"s" * 16), AT)
        )
        for crop in (crops[0], crops[1], crops[3]):
            ledger.outbox.blob_sent(crop.sha256)
        await until(lambda: ledger.outbox.blob_states() == {"kept": 1, "sent": 3})
        clock.forward(3 * DAY_S - 60)
        await look(ledger)
        assert len(files(booth)) == 4
        clock.forward(120)
        await look(ledger)
        await until(lambda: crops[0].sha256.hex() not in files(booth))
        clock.forward(2 * DAY_S)
        await look(ledger)
        await until(lambda: files(booth) == {crops[2].sha256.hex(), crops[3].sha256.hex()})
        reasons = [event.evidence_deleted.reason for event in deleted(ledger)]
        assert reasons == [DELETION_REASON_RETENTION_OVER] * 2


async def test_few_deletions_share_an_event(booth: Booth, clock: HandClock) -> None:
    async with opening(booth, clock) as ledger:
        for n in range(70):
            await ledger.recorder.record(closed(f"i{n}", replace(FRAME, data=b"%d" % n)))
        clock.forward(LONGEST_S + 60)
        await look(ledger)
        await until(lambda: len(files(booth)) == 6)  # one event's; the rest waits for more
        assert [len(event.evidence_deleted.sha256) for event in deleted(ledger)] == [64]
        clock.forward(DELETE_S)
        await look(ledger)
        await until(lambda: not files(booth))
        assert [len(event.evidence_deleted.sha256) for event in deleted(ledger)] == [64, 6]


async def test_a_kill_between_the_event_and_the_file(booth: Booth, clock: HandClock) -> None:
    async with opening(booth, clock) as ledger:
        await ledger.recorder.record(closed("i", FRAME))
    database = apsw.Connection(str(booth.directory / DATABASE))
    with database:
        database.execute("UPDATE blob SET state = 'deleted'")
        database.execute("INSERT INTO doomed SELECT sha256 FROM blob")
    database.close()
    async with opening(booth, clock) as ledger:
        await look(ledger)
        await until(lambda: not files(booth))
        await ledger.recorder.record(closed("k", FRAME, abandoned=True))  # the same bytes come again, and are wanted
        assert pending(ledger) == {FRAME.sha256}
        assert files(booth) == {FRAME.sha256.hex()}
