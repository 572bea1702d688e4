"""An entry that is new finds the vehicles that have passed already."""

from dataclasses import replace
from datetime import timedelta
from pathlib import Path

import pytest

from edge_agent.domain.clock import Instant, SystemClock
from edge_agent.domain.errors import Permanent
from edge_agent.domain.retention import KeptDays
from edge_agent.wire.codec_findings import findings_added_of
from port_gateway import look_back as module
from port_gateway.clock_doubt import believe
from port_gateway.evidence import EvidenceFiles
from port_gateway.inbox import Inbox
from port_gateway.look_back import MAX_DAYS, LookedBack, checked_since, look_back
from port_gateway.moments import DAY_US
from port_gateway.retention_events import EventRetention
from port_gateway.store import Store
from port_gateway.watch_list import Entry, put
from tests.unit.port_gateway.findings import AtPort
from tests.unit.port_gateway.signing import Party, device_event

NEW = Entry("w-1", "plate", "AB-1203", "stolen tractor")
OLD = Entry("w-0", "plate", "XY-9999", "watched for from the first")
NOW_US = round(SystemClock().now().utc.timestamp() * 1e6)


class DaysAgo(SystemClock):
    days = 0.0

    def now(self) -> Instant:
        now = super().now()
        return replace(now, utc=now.utc - timedelta(days=self.days))


@pytest.fixture
def clock() -> DaysAgo:
    return DaysAgo()


@pytest.fixture
def port(store: Store, clock: DaysAgo, booth: Party) -> AtPort:
    port = AtPort(store, Inbox(store, clock), booth)
    port.run(lambda db: put(db, [OLD], "operator", "added", NOW_US))
    for days, number, plate in ((20, 1, "AB1203"), (9, 2, "AB1283"), (8, 3, "CD0001"), (7, 4, "AB1203")):
        clock.days = days
        port.closes(f"i-{number}", plates=(plate, "XY9999") if number == 3 else (plate,))
        port.says(device_event())
    clock.days = 0
    return port


def hits(port: AtPort) -> list[object]:
    return port.rows("SELECT inspection_id, id, near FROM watch_list_hit ORDER BY inspection_id, id")


def test_vehicles_since_then_become_findings_as_if_they_had_closed_now(port: AtPort) -> None:
    port.run(lambda db: put(db, [NEW], "operator", "added", NOW_US))
    assert hits(port) == [("i-3", "w-0", 0)]
    assert look_back(port.store, ["w-1"], NOW_US - 10 * DAY_US, NOW_US) == LookedBack(3, 2, True)
    assert hits(port) == [("i-2", "w-1", 1), ("i-3", "w-0", 0), ("i-4", "w-1", 0)]
    told = [findings_added_of(message.findings, "1") for message in port.waiting()]
    assert [(one.inspection_id, one.cause) for one in told] == [(f"i-{n}", "watch_list") for n in (3, 2, 4)]
    port.run(lambda db: put(db, [replace(NEW, id="w-2", text="CD-0001")], "operator", "added", NOW_US))
    # A second time nothing is new, and what the booth says that it holds is noted as ever.
    assert look_back(port.store, ["w-1"], NOW_US - 10 * DAY_US, NOW_US) == LookedBack(3, 0, True)
    assert look_back(port.store, ["w-1"], NOW_US - 17 * DAY_US // 2, NOW_US) == LookedBack(2, 0, True)
    assert len(hits(port)) == 3
    port.says(told[1])
    assert port.rows("SELECT inspection_id FROM watch_list_hit WHERE chained_seq IS NOT NULL") == [("i-2",)]
    assert len(port.waiting()) == 2


def test_an_entry_among_many_that_are_near(port: AtPort) -> None:
    near = [replace(NEW, id=f"a-{n}", text=f"AB120{n % 10}") for n in range(80)]
    port.run(lambda db: put(db, [*near, NEW], "operator", "added", NOW_US))
    assert look_back(port.store, ["w-1"], NOW_US - 10 * DAY_US, NOW_US) == LookedBack(3, 2, True)


def test_it_reads_in_pages_and_ends_when_everything_fits(port: AtPort, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(module, "_PAGE", 2)
    port.run(lambda db: put(db, [NEW], "operator", "added", NOW_US))
    monkeypatch.setattr(module, "MAX_FOUND", 1)
    assert look_back(port.store, ["w-1"], NOW_US - 30 * DAY_US, NOW_US).whole is False
    assert len(hits(port)) == 2
    monkeypatch.setattr(module, "MAX_FOUND", 100)
    assert look_back(port.store, ["w-1"], NOW_US - 30 * DAY_US, NOW_US) == LookedBack(4, 2, True)


def test_what_cannot_be_read_or_is_deleted_is_passed_over(port: AtPort) -> None:
    port.run(lambda db: put(db, [NEW], "operator", "added", NOW_US))
    port.run(lambda db: db.execute("UPDATE event SET envelope = x'' WHERE seq = 2"))
    port.run(lambda db: db.execute("UPDATE event SET envelope = x'ff' WHERE seq = 4"))
    assert look_back(port.store, ["w-1"], NOW_US - 30 * DAY_US, NOW_US) == LookedBack(2, 1, True)


@pytest.mark.parametrize("days", [-1, MAX_DAYS + 1, 36_500])
def test_a_day_that_is_too_far(days: int) -> None:
    with pytest.raises(Permanent, match="not within the last 90 days"):
        checked_since(NOW_US - days * DAY_US, NOW_US)


def test_a_clock_that_ran_wrong_for_a_while_hides_no_vehicle(
    store: Store, clock: DaysAgo, booth: Party, tmp_path: Path
) -> None:
    """Six days ago the gateway began with a clock at 1970, which was set some hours later."""
    port = AtPort(store, Inbox(store, clock), booth)
    for days, number in ((30, 1), (9, 2), (20_000, 3), (20_000, 4), (20_000, 5), (20_000, 6), (5, 7)):
        clock.days = days
        port.closes(f"i-{number}", plates=("AB1203",))
        clock.days = min(days, 6.0) if days > 1_000 else days
        for _ in EventRetention(store, EvidenceFiles(tmp_path), KeptDays(None, None, None), clock).run():
            pass
    clock.days = 0
    port.run(lambda db: believe(db, NOW_US - DAY_US))
    clock.days = 20_000  # and now again, since the last look
    port.closes("i-8", plates=("AB1203",))
    port.run(lambda db: put(db, [NEW], "operator", "added", NOW_US))
    assert look_back(port.store, ["w-1"], NOW_US - 10 * DAY_US, NOW_US) == LookedBack(7, 7, True)
    assert [row[0] for row in port.rows("SELECT inspection_id FROM watch_list_hit ORDER BY 1")] == [
        f"i-{n}" for n in range(2, 9)
    ]
