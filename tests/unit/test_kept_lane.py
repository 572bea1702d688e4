"""A lane that a restart takes up: what the first run heard, where it ended, and what the second makes of it."""

import json
from collections.abc import Callable, Mapping
from dataclasses import replace
from itertools import pairwise
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from edge_agent.config import LaneSetup
from edge_agent.domain.clock import ClockState, Instant
from edge_agent.domain.event import AlarmRaised, Draft, InspectionClosed, InspectionOpened
from edge_agent.domain.evidence import Evidence, EvidenceKind
from edge_agent.domain.inspection import Abandoned, Inspection
from edge_agent.domain.observation import Body, DeviceState, Observation
from edge_agent.heard import overview
from edge_agent.inspection.records import LaneRules
from edge_agent.inspection.whereabouts import End, Place
from edge_agent.kept_lane import LOST, Kept, KeptLane, TakenUp, remember, take_up
from edge_agent.ledger.lane_journal import LaneJournal
from edge_agent.ledger.lately import Lately, of_events
from edge_agent.ledger.store import Unfinished
from edge_agent.wire.chain import Head
from edge_agent.wire.codec import event_payload
from edge_agent.wire.v1alpha1.event_pb2 import Event
from tests.unit.inspection.script import (
    ARRIVES,
    DEPARTS,
    PROVIDERS,
    alarm,
    code,
    instant,
    occupancy,
    picture,
    plate,
    sample,
    scan,
    seal,
    status,
)

PLACES = {"front": Place(-6, 2, End.FRONT), "portal": Place(0, 0.5), "rear": Place(3, 2, End.REAR)}


class Booth:
    """One lane of a booth over several runs; `events` is its ledger."""

    def __init__(self, folder: Path, places: Mapping[str, Place] | None = None, resume_s: float = 60.0) -> None:
        self.folder = folder
        rules = LaneRules("1", (), settle_s=3.0, places=places or {}, resume_s=resume_s)
        self.setup = LaneSetup(rules, PROVIDERS, (), ())
        self.events: list[Draft] = []
        self.files: dict[bytes, bytes] = {}
        self.shed = set[bytes]()
        self.lane: KeptLane
        self.now = 0.0
        self.start(instant(0))
        for provider in PROVIDERS:
            self.at(0, provider.device_id, status(DeviceState.ONLINE))
        self.events.clear()

    def start(self, now: Instant, boot: str = "one", limits: tuple[int, int] = (1_000_000, 10_000)) -> TakenUp:
        journal = LaneJournal(self.folder, "1", *limits)
        closed = {i.id for i in self.closed}
        opened = [d for d in self.events if isinstance(d.body, InspectionOpened)]
        unfinished = [Unfinished(d.body.inspection_id, "1", d.at) for d in opened if d.body.inspection_id not in closed]  # type: ignore[union-attr]
        kept = Kept(
            unfinished,
            lambda d: (d.at, d.body) in [(e.at, e.body) for e in self.events],
            self.files.get,
            self.shed.__contains__,
            self.lately,
        )
        taken = take_up(self.setup, journal, kept, now, boot)
        self.lane = taken.lane
        self.events += taken.drafts
        taken.begin()
        return taken

    def at(self, seconds: float, device: str, body: Body, evidence: tuple[Evidence, ...] = ()) -> "Booth":
        self.until(seconds)
        self.now = seconds
        said = Observation(f"{device} {seconds}", device, "1", instant(seconds), body, b"raw\x00", evidence)
        self.events += self.lane.observe(said)
        return self

    def until(self, seconds: float) -> "Booth":
        while (wake := self.lane.next_wake()) is not None and wake <= seconds:
            self.now = max(self.now, wake)  # what it waits for may have been over before
            self.events += self.lane.woke(instant(self.now))
        return self

    @property
    def lately(self) -> Lately:
        """What the ledger knows of vehicles that left."""
        events = (Event.FromString(event_payload(d, Head("", b""))) for d in self.events)
        return of_events(events).get("1", Lately())

    @property
    def closed(self) -> list[Inspection]:
        return [d.body.inspection for d in self.events if isinstance(d.body, InspectionClosed)]


def mid_vehicle(folder: Path, places: Mapping[str, Place] | None = None, resume_s: float = 60.0) -> Booth:
    """A truck was seen, stands in the portal and raised an alarm."""
    booth = Booth(folder, places, resume_s).at(10, "front", plate("AAA111"), picture("a truck"))
    return booth.at(12, "portal", ARRIVES).at(13, "portal", alarm(900)).at(14, "portal", sample(900, 800))


@pytest.mark.parametrize("places", [None, PLACES], ids=["one at a time", "a row"])
@pytest.mark.parametrize("stopped", [False, True], ids=["killed", "stopped"])
def test_rule_14_a_truck_in_the_lane_is_one_inspection_over_a_restart(
    tmp_path: Path, places: Mapping[str, Place] | None, stopped: bool
) -> None:
    booth = mid_vehicle(tmp_path, places)
    if stopped:
        booth.events += booth.lane.stop(instant(14.5), "the agent was stopped")
    [opened] = [d.body for d in booth.events if isinstance(d.body, InspectionOpened)]
    assert not booth.closed
    booth.start(instant(20))
    booth.at(21, "portal", status(DeviceState.ONLINE)).at(22, "portal", ARRIVES).at(25, "portal", DEPARTS)
    booth.at(25.1, "portal", occupancy(7, gamma_alarm=True)).at(26, "rear", code("CSQU3054383")).until(200)
    [inspection] = booth.closed
    assert inspection.id == opened.inspection_id
    assert inspection.plate is not None
    assert inspection.plate.text == "AAA111"
    assert [c.vote.text for c in inspection.container_codes] == ["CSQU3054383"]
    assert [o.number for o in inspection.radiation] == [7]
    assert [(a.since, a.until, a.stopped) for a in inspection.resumed] == [
        (instant(14.5 if stopped else 14), instant(20), stopped)
    ]
    evidence = next(d.evidence for d in booth.events if isinstance(d.body, InspectionClosed))
    assert picture("a truck")[0] in evidence, "its picture was kept, too"
    [capture] = [e for e in evidence if e.kind is EvidenceKind.RAW_CAPTURE]
    ids = [json.loads(line)["id"] for line in capture.data.splitlines()]
    assert len(ids) == len(set(ids)) == inspection.observations
    assert len([d for d in booth.events if isinstance(d.body, AlarmRaised)]) == 1


def test_two_restarts_and_two_trucks_in_a_row(tmp_path: Path) -> None:
    booth = mid_vehicle(tmp_path, PLACES).at(15, "front", plate("BBB222"))
    booth.start(instant(18))
    booth.at(19, "portal", ARRIVES).at(20, "front", plate("BBB222"))
    booth.start(instant(24))
    booth.at(25, "portal", ARRIVES).at(27, "portal", DEPARTS).at(29, "portal", ARRIVES).at(33, "portal", DEPARTS)
    booth.until(200)
    assert [(i.plate.text, len(i.resumed)) for i in booth.closed if i.plate] == [("AAA111", 2), ("BBB222", 2)]


def test_an_absence_that_was_too_long_ends_it_with_all_that_was_learnt(tmp_path: Path) -> None:
    booth = mid_vehicle(tmp_path, resume_s=30)
    booth.start(instant(50))
    [inspection] = booth.closed
    assert inspection.outcome == Abandoned("the agent was not running for 36 s of this passage, over 30 s")
    assert inspection.plate is not None
    assert inspection.plate.text == "AAA111"
    assert len(inspection.resumed) == 1
    booth.at(51, "portal", ARRIVES)
    assert len([d for d in booth.events if isinstance(d.body, InspectionOpened)]) == 2


def test_after_the_machine_was_started_anew_the_wall_clock_tells_if_it_can(tmp_path: Path) -> None:
    later = replace(instant(20), monotonic_ns=5_000_000_000)
    booth = mid_vehicle(tmp_path)
    booth.start(later, boot="two")
    assert not booth.closed
    booth.events += booth.lane.give_up_all(later, "end")
    [inspection] = booth.closed
    assert inspection.resumed[0].seconds == 6
    assert inspection.opened.utc == instant(10).utc


@pytest.mark.parametrize("first", [True, False])
def test_and_if_it_cannot_the_inspection_ends(tmp_path: Path, first: bool) -> None:
    booth = Booth(tmp_path)
    unsure = replace(instant(12), clock_state=ClockState.UNSYNCHRONISED)
    booth.events += booth.lane.observe(Observation("o", "portal", "1", unsure if first else instant(12), ARRIVES))
    now = replace(instant(20), monotonic_ns=5_000_000_000)
    booth.start(now if first else replace(now, clock_state=ClockState.UNKNOWN), boot="two")
    [inspection] = booth.closed
    assert isinstance(inspection.outcome, Abandoned)
    assert "its clock cannot tell" in inspection.outcome.why


def test_rule_14_another_vehicle_where_the_first_had_stood_is_an_inspection_of_its_own(tmp_path: Path) -> None:
    booth = mid_vehicle(tmp_path)
    booth.start(instant(40))
    booth.at(41, "portal", ARRIVES).at(42, "front", plate("XYZ789")).at(45, "portal", DEPARTS).until(200)
    assert [(i.plate.text, str(i.outcome)) for i in booth.closed if i.plate] == [
        ("AAA111", "Abandoned(why='another vehicle stood there when the agent was back')"),
        ("XYZ789", "Complete()"),
    ]


def test_rule_14_one_misread_character_does_not_make_another_vehicle(tmp_path: Path) -> None:
    booth = mid_vehicle(tmp_path)
    booth.start(instant(20))
    booth.at(21, "front", plate("AAA118")).at(22, "front", plate("XYZ789")).until(200)
    assert len(booth.closed) == 1


def test_what_the_last_thing_heard_led_to_is_recorded_once(tmp_path: Path) -> None:
    booth = mid_vehicle(tmp_path)
    raised = [d for d in booth.events if isinstance(d.body, AlarmRaised)]
    assert booth.start(instant(15)).drafts == ()
    raised.append(booth.at(15.5, "portal", alarm(902)).events[-1])
    assert booth.start(instant(15.7)).drafts == (), "the ledger has it"
    booth.at(16, "portal", alarm(901))
    last = booth.events.pop()  # killed before it was committed
    assert booth.start(instant(17)).drafts == (last,)
    assert booth.start(instant(18)).drafts == ()
    assert [d for d in booth.events if isinstance(d.body, AlarmRaised)] == [*raised, last]


def test_a_scan_is_joined_after_a_restart_by_its_file_in_the_ledger(tmp_path: Path) -> None:
    file = Evidence(EvidenceKind.SCAN, "application/dicom", b"DICM")
    booth = mid_vehicle(tmp_path).at(16, "x-ray", scan("s1", "AAA111"), (file,))
    booth.files[file.sha256] = file.data
    assert b"RElDTQ" not in (tmp_path / "lanes" / "1.heard").read_bytes(), "scans are large, and kept already"
    booth.start(instant(20))
    booth.until(200)
    assert [s.scan.scan_id for s in booth.closed[0].scans] == ["s1"]


def test_a_scan_whose_file_is_not_in_the_ledger_comes_again(tmp_path: Path) -> None:
    file = Evidence(EvidenceKind.SCAN, "application/dicom", b"DICM")
    booth = mid_vehicle(tmp_path).at(16, "x-ray", scan("s1", "AAA111"), (file,))
    booth.events.pop()
    assert booth.start(instant(20)).drafts == ()
    booth.until(200)
    assert booth.closed[0].scans == ()


def test_a_scan_whose_file_was_shed_meanwhile_is_in_the_record_all_the_same(tmp_path: Path) -> None:
    file = Evidence(EvidenceKind.SCAN, "application/dicom", b"DICM")
    booth = mid_vehicle(tmp_path).at(16, "x-ray", scan("s1", "AAA111"), (file,))
    booth.shed.add(file.sha256)
    assert booth.start(instant(20)).drafts == ()
    booth.until(200)
    assert [s.files for s in booth.closed[0].scans] == [(file.ref,)]


def test_of_two_inspections_the_one_that_the_ledger_does_not_know_is_lost_and_the_other_goes_on(tmp_path: Path) -> None:
    booth = mid_vehicle(tmp_path, PLACES).at(15, "front", plate("BBB222"))
    first, second = [d for d in booth.events if isinstance(d.body, InspectionOpened)]
    booth.events.remove(first)
    booth.at(15.5, "front", plate("BBB222"))
    booth.start(instant(20))
    assert [one.id for one in booth.lane.inspections] == [second.body.inspection_id]  # type: ignore[union-attr]
    booth.start(instant(22))
    assert [one.id for one in booth.lane.inspections] == [second.body.inspection_id]  # type: ignore[union-attr]
    booth.until(300)
    assert [i.id for i in booth.closed] == [second.body.inspection_id]  # type: ignore[union-attr]


def test_an_empty_lane_forgets_what_it_heard(tmp_path: Path) -> None:
    booth = mid_vehicle(tmp_path).at(17, "portal", DEPARTS).until(100)
    for t in range(200, 900, 200):
        booth.at(t, "portal", sample(3))
    kept = b"".join(path.read_bytes() for path in (tmp_path / "lanes").iterdir())
    assert b"AAA111" not in kept
    assert len(kept) < 2000


def damage(change: Callable[[bytes], bytes]) -> Callable[[Path], None]:
    def damaged(folder: Path) -> None:
        path = folder / "lanes" / "1.heard"
        path.write_bytes(change(path.read_bytes()))

    return damaged


@pytest.mark.parametrize(
    "wrong",
    [
        damage(lambda data: data[:40]),
        damage(lambda data: data.replace(b"AAA111", b"AAA112")),
        damage(lambda _: b""),
        damage(lambda _: b"\x00" * 500),
        lambda folder: (folder / "lanes" / "1.heard").unlink(),
        lambda folder: (folder / "lanes" / "1.trying").touch(),
    ],
    ids=["cut", "changed", "empty", "zeros", "gone", "ended at it"],
)
def test_what_cannot_be_taken_up_ends_as_lost(tmp_path: Path, wrong: Callable[[Path], None]) -> None:
    booth = mid_vehicle(tmp_path)
    wrong(tmp_path)
    booth.start(instant(20))
    assert [i.outcome for i in booth.closed] == [Abandoned(LOST)]
    booth.at(21, "portal", ARRIVES)
    booth.start(instant(22))
    booth.until(200)
    assert len(booth.closed) == 2, "and what comes next is kept again"
    assert booth.closed[1].resumed


def test_a_line_that_was_torn_by_the_kill_is_the_only_one_lost(tmp_path: Path) -> None:
    booth = mid_vehicle(tmp_path)
    damage(lambda data: data[:-20])(tmp_path)
    booth.start(instant(20))
    booth.until(200)
    assert booth.closed[0].observations == 3


@pytest.mark.parametrize("limits", [(20_000, 1000), (1_000_000, 50)], ids=["bytes", "lines"])
def test_a_lane_that_never_is_empty_does_not_fill_the_disk(
    tmp_path: Path, caplog: pytest.LogCaptureFixture, limits: tuple[int, int]
) -> None:
    booth = mid_vehicle(tmp_path)
    booth.start(instant(15), limits=limits)
    for n in range(100):
        booth.at(16 + n / 10, "portal", sample(n))
    assert not any((tmp_path / "lanes").iterdir())
    assert "could not be taken up after a restart" in caplog.text
    booth.events += booth.lane.stop(instant(40), "the agent was stopped")
    assert [i.outcome for i in booth.closed] == [Abandoned("the agent was stopped")]


_HAPPENINGS = st.sampled_from(
    [
        *[("portal", body) for body in (ARRIVES, DEPARTS, sample(10, 10), alarm(90), occupancy())],
        *[("exit", body) for body in (ARRIVES, DEPARTS)],
        *[("portal", status(state)) for state in (DeviceState.OFFLINE, DeviceState.ONLINE)],
        *[("front", plate(text)) for text in ("AAA111", "BBB222")],
        *[("rear", code(text)) for text in ("CSQU3054383", "MSKU0383250")],
        ("scanner", seal("ML-1")),
        ("x-ray", scan("s", "BBB222")),
    ]
)


@settings(max_examples=80, deadline=None)
@given(
    st.booleans(),
    st.lists(st.tuples(st.floats(0, 12) | st.just(90.0), _HAPPENINGS), max_size=30),  # 90 s: the lane may be empty
    st.lists(st.tuples(st.floats(0, 12), _HAPPENINGS), min_size=1, max_size=15),
)
def test_what_is_heard_again_leads_to_the_same(
    tmp_path_factory: pytest.TempPathFactory,
    row: bool,
    before: list[tuple[float, tuple[str, Body]]],
    after: list[tuple[float, tuple[str, Body]]],
) -> None:
    """Cut anywhere, the rest makes the same events as without the cut, but for the ids of what opens later."""
    folder = tmp_path_factory.mktemp("booth")
    booth = Booth(folder, PLACES | {"exit": Place(22, 0.5)} if row else None)
    now = 10.0
    for gap, (device, body) in before:
        now += gap
        booth.at(now, device, body)
    heard = LaneJournal(folder, "1").take()
    again = KeptLane(booth.setup, LaneJournal(folder / "other", "1"), "one")
    remember(again, booth.lately, overview(heard), instant(now))
    again.hear_again(heard, lambda _: b"", 0)
    assert [one.id for one in again.inspections] == [one.id for one in booth.lane.inspections]
    known = {one.id for one in again.inspections}
    lanes = [booth.lane, again]
    said: list[list[str]] = [[], []]
    for gap, (device, body) in [*after, (1000.0, ("portal", sample(1)))]:
        last, now = now, now + gap
        for lane, words in zip(lanes, said, strict=True):
            at = last
            while (wake := lane.next_wake()) is not None and wake <= now:
                at = max(at, wake)
                words += [_words(d, known) for d in lane.woke(instant(at))]
            one = Observation(f"{device} {now}", device, "1", instant(now), body, b"raw\x00")
            words += [_words(d, known) for d in lane.observe(one)]
    assert said[0] == said[1]


def _words(draft: Draft, known: set[str]) -> str:
    body = draft.body
    own = body.inspection.id if isinstance(body, InspectionClosed) else getattr(body, "inspection_id", "")
    text = repr(
        replace(body, inspection=replace(body.inspection, id="")) if isinstance(body, InspectionClosed) else body
    )
    for each in {own} - known:
        text = text.replace(each, "new") if each else text
    return f"{draft.at} {text} {[e.sha256 for e in draft.evidence]}"


def test_times_do_not_run_back(tmp_path: Path) -> None:
    booth = mid_vehicle(tmp_path)
    booth.start(replace(instant(20), monotonic_ns=5_000_000_000), boot="two")
    lines = LaneJournal(tmp_path, "1").take()
    times = [line["said"]["at"]["monotonic_ns"] for line in lines if "said" in line]
    assert all(one <= other for one, other in pairwise(times))
    assert times[-1] == 5_000_000_000 - 6_000_000_000
