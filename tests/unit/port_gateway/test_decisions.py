"""An officer's decision is kept, told to the booth that it is about, and shown as chained when its chain holds it."""

from pathlib import Path
from typing import Any

import apsw
import pytest

from edge_agent.domain.clock import SystemClock
from edge_agent.domain.event import InspectionOpened
from edge_agent.domain.finding import Decision
from edge_agent.domain.retention import KeptDays
from edge_agent.wire.codec_findings import MAX_OFFICER, MAX_REASON, decision_of
from edge_agent.wire.identity import SpiffeId
from port_gateway.decisions import Decided, DecisionRefused, InspectionUnknown, decide, read_decisions
from port_gateway.evidence import EvidenceFiles
from port_gateway.inbox import Inbox
from port_gateway.retention_events import EventRetention
from port_gateway.store import Store
from tests.unit.port_gateway.findings import AtPort
from tests.unit.port_gateway.signing import Party

GATEWAY = SpiffeId.parse("spiffe://uslrd/gateway/main")
NOW_US = 1_700_000_000_000_000


@pytest.fixture
def port(store: Store, inbox: Inbox, booth: Party) -> AtPort:
    port = AtPort(store, inbox, booth)
    port.says(InspectionOpened("i-1", "2", "plate"))
    return port


def decided(
    port: AtPort,
    inspection: str = "i-1",
    officer: str = "R. Vega",
    reason: str = "the seal is right",
    booth: str = "",
    gateway: SpiffeId = GATEWAY,
) -> Decided:
    def work(db: apsw.Connection) -> Decided:
        return decide(db, gateway, inspection, Decision.RELEASE, officer, reason, "operator", NOW_US, booth)

    found: Decided = port.run(work)
    return found


def listed(port: AtPort, **which: Any) -> list[Decided]:
    with port.store.reading() as db:
        return list(read_decisions(db, **which))


def test_from_the_officer_to_the_chain_and_back(port: AtPort) -> None:
    one = decided(port)
    assert (one.state, one.booth_id) == ("pending", port.ledger.booth_id)
    [message] = port.waiting()
    body = decision_of(message.decision, "2")
    assert (body.decision, body.officer, body.reason) == (Decision.RELEASE, "R. Vega", "the seal is right")
    assert body.decided_utc_us == NOW_US
    assert listed(port, pending=True) == [one]
    port.says(body)
    assert port.waiting() == []
    [after] = listed(port, inspection_id="i-1")
    assert (after.state, after.chained_seq) == ("chained", 3)
    assert listed(port, pending=True) == []
    port.says(body)  # a booth that says it twice
    assert listed(port) == [after]


def test_the_last_one_holds_and_every_one_is_kept(port: AtPort) -> None:
    decided(port)
    decided(port, reason="a second look")
    assert [one.reason for one in listed(port)] == ["the seal is right", "a second look"]
    assert [m.decision.reason for m in port.waiting()] == ["the seal is right", "a second look"]


@pytest.mark.parametrize(
    ("given", "words"),
    [
        ({"officer": ""}, "--officer: 0 bytes"),
        ({"officer": " "}, "--officer"),
        ({"officer": "é" * (MAX_OFFICER // 2 + 1)}, "1 to 100 bytes"),
        ({"reason": ""}, "--reason: 0 bytes"),
        ({"reason": "x" * (MAX_REASON + 1)}, "1 to 1000 bytes"),
        ({"reason": "two\nlines"}, "in one line"),
        ({"officer": "\udcff"}, "--officer: 1 bytes"),
    ],
)
def test_what_is_no_decision(port: AtPort, given: dict[str, Any], words: str) -> None:
    with pytest.raises(DecisionRefused, match=words):
        decided(port, **given)
    assert (listed(port), port.waiting()) == ([], [])


@pytest.mark.parametrize("inspection", ["i-2", "", "x" * 65, "spiffe"])
def test_an_inspection_that_nobody_named(port: AtPort, inspection: str) -> None:
    with pytest.raises(InspectionUnknown):
        decided(port, inspection)


def test_an_inspection_of_another_port(port: AtPort) -> None:
    with pytest.raises(InspectionUnknown, match="not of this port mxnld"):
        decided(port, gateway=SpiffeId.parse("spiffe://mxnld/gateway/main"))


def test_an_inspection_that_two_booths_name(port: AtPort, tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    other = AtPort(port.store, port.inbox, Party(tmp_path / "other", "spiffe://uslrd/booth/lane-2"))
    other.closes("i-1")
    assert decided(port).booth_id == "spiffe://uslrd/booth/lane-1", "of whoever named it first"
    assert f"{other.ledger.booth_id} names inspection 'i-1', which is of {port.ledger.booth_id}" in caplog.text
    with pytest.raises(InspectionUnknown, match="say which: --booth NAME"):
        decided(port, booth="lane-9")
    assert decided(port, booth="lane-2").booth_id == "spiffe://uslrd/booth/lane-2"
    assert decided(port, booth="spiffe://uslrd/booth/lane-1").booth_id == "spiffe://uslrd/booth/lane-1"
    assert (len(port.waiting()), len(other.waiting())) == (2, 1)


def test_an_inspection_of_before_the_table(port: AtPort, tmp_path: Path) -> None:
    port.run(lambda db: db.execute("DELETE FROM inspection"))
    port.run(lambda db: db.execute("UPDATE meta SET value = 2 WHERE key = 'events_before'"))
    assert decided(port).booth_id == port.ledger.booth_id
    other = AtPort(port.store, port.inbox, Party(tmp_path / "other", "spiffe://uslrd/booth/lane-2"))
    other.closes("i-1")  # it makes the row
    assert decided(port).booth_id == port.ledger.booth_id
    events = EventRetention(port.store, EvidenceFiles(tmp_path), KeptDays(None, None, None), SystemClock())
    assert sum(events.run()) == 0
    assert port.rows("SELECT cursor FROM inspection ORDER BY booth_id") == [(2,), (4,)]
    assert decided(port).booth_id == port.ledger.booth_id
    port.run(lambda db: db.execute("DELETE FROM inspection"))
    port.run(lambda db: db.execute("UPDATE meta SET value = 0 WHERE key = 'events_looked'"))
    port.run(lambda db: db.execute("UPDATE event SET envelope = CAST('??i-1' AS BLOB) WHERE seq = 2"))
    with pytest.raises(InspectionUnknown, match="no event here opens or closes"):
        decided(port)


def test_another_booth_cannot_say_that_it_holds_a_decision(port: AtPort, tmp_path: Path) -> None:
    decided(port)
    other = AtPort(port.store, port.inbox, Party(tmp_path / "other", "spiffe://uslrd/booth/lane-2"))
    other.says(decision_of(port.waiting()[0].decision, "2"))
    assert listed(port)[0].state == "pending"
    assert len(port.waiting()) == 1
