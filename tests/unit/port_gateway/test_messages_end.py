"""Messages that wait for a booth which never comes back."""

from dataclasses import replace
from datetime import timedelta
from pathlib import Path

import pytest

from edge_agent.domain.clock import Instant, SystemClock
from edge_agent.domain.finding import Decision
from edge_agent.domain.retention import PORT_DAYS, KeptDays
from edge_agent.wire.codec_findings import decision_of
from edge_agent.wire.identity import SpiffeId
from port_gateway.clock_doubt import believe
from port_gateway.decisions import decide, read_decisions
from port_gateway.evidence import EvidenceFiles
from port_gateway.inbox import Inbox
from port_gateway.messages_end import EndOfMessages
from port_gateway.retention import Retention
from port_gateway.retention_events import EventRetention
from port_gateway.retention_worker import RetentionWorker
from port_gateway.store import Store
from port_gateway.watch_list import Entry, put
from tests.unit.port_gateway.findings import AtPort
from tests.unit.port_gateway.signing import Party, device_event

GATEWAY = SpiffeId.parse("spiffe://uslrd/gateway/main")


class Clock(SystemClock):
    """The port's, moved by the test."""

    days = 0.0

    def now(self) -> Instant:
        now = super().now()
        return replace(now, utc=now.utc + timedelta(days=self.days))

    def monotonic(self) -> float:
        return super().monotonic() + self.days * 86_400

    def us(self) -> int:
        return round(self.now().utc.timestamp() * 1e6)


@pytest.fixture
def clock() -> Clock:
    return Clock()


@pytest.fixture
def port(store: Store, clock: Clock, booth: Party) -> AtPort:
    """A vehicle that is watched for has passed, and an officer holds it."""
    port = AtPort(store, Inbox(store, clock), booth)
    port.run(lambda db: put(db, [Entry("w-1", "plate", "AB1203", "stolen")], "operator", "added", clock.us()))
    port.closes("i-1", plates=("AB1203",))
    port.says(device_event())
    what = ("i-1", Decision.HOLD, "R. Vega", "papers", "operator")
    port.run(lambda db: decide(db, GATEWAY, *what, 7))  # posted by a clock at 1970
    return port


def worker(port: AtPort, clock: Clock, folder: Path) -> RetentionWorker:
    files, days = EvidenceFiles(folder / "evidence"), KeptDays(1, 1, 1)
    events = EventRetention(port.store, files, days, clock)
    return RetentionWorker(Retention(port.store, files, PORT_DAYS, clock), events, port.store, clock, 300)


def state(port: AtPort) -> tuple[str, str]:
    with port.store.reading() as db:
        [one] = read_decisions(db)
    return one.state, one.officer


def codes(port: AtPort) -> list[str]:
    return [str(code) for code, _ in port.rows("SELECT code, detail FROM alarm ORDER BY id")]


def test_they_are_taken_out_after_ninety_days_and_the_events_with_them(
    port: AtPort, clock: Clock, tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    keeper = worker(port, clock, tmp_path)
    for day in range(0, 89, 20):
        clock.days = day
        keeper.turn()
    assert len(port.waiting()) == 2
    assert port.rows("SELECT count(*) FROM deleted_event") == [(0,)], "the booth has still to be told"
    assert state(port) == ("pending", "R. Vega")
    clock.days = 90.1
    keeper.turn()
    assert port.waiting() == []
    assert codes(port) == ["MESSAGE_NOT_TAKEN"] * 2
    [found, decision] = [str(row[0]) for row in port.rows("SELECT detail FROM alarm ORDER BY id")]
    assert found == "what was found of inspection 'i-1' waited for this booth for 90 days, and was taken out"
    assert decision.startswith("an officer's decision over inspection 'i-1'")
    assert "AB1203" not in caplog.text
    assert state(port) == ("not chained", "R. Vega")
    clock.days = 91.2
    keeper.turn()
    assert port.rows("SELECT count(*) FROM deleted_event") == [(1,)]
    assert state(port) == ("not chained", "")


def test_a_booth_that_comes_late_is_believed_all_the_same(port: AtPort, clock: Clock) -> None:
    said = decision_of(port.waiting()[1].decision, "1")
    end = EndOfMessages(port.store, clock)
    assert end.run() == 0
    clock.days = 91
    assert end.run() == 2
    port.says(said)
    assert state(port) == ("chained", "R. Vega")


def test_a_clock_that_is_wrong_takes_nothing_out(port: AtPort, clock: Clock, tmp_path: Path) -> None:
    keeper = worker(port, clock, tmp_path)
    assert keeper.turn() == 0
    ahead = Clock()
    ahead.days = 400
    worker(port, ahead, tmp_path).turn()
    assert len(port.waiting()) == 2
    port.run(lambda db: believe(db, ahead.us()))
    end = EndOfMessages(port.store, ahead)
    end.undate()  # nobody knows which of the two times was right
    assert end.run() == 0
    assert len(port.waiting()) == 2


def test_a_kill_between_two_steps_says_each_once(port: AtPort, clock: Clock, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("port_gateway.messages_end.STEP", 1)
    end = EndOfMessages(port.store, clock)
    assert end.run() == 0
    clock.days = 91
    port.store.submit(end._step).result(10)
    assert (len(port.waiting()), len(codes(port))) == (1, 1)
    assert EndOfMessages(port.store, clock).run() == 1
    assert (len(port.waiting()), len(codes(port))) == (0, 2)
