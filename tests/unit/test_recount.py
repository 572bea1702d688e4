"""A run that ended without a word is counted from its ledger: no vehicle twice, none lost, no time that nobody saw."""

from collections.abc import Iterable
from dataclasses import dataclass, replace
from datetime import UTC, datetime, timedelta
from itertools import count, pairwise

from hypothesis import given, settings
from hypothesis import strategies as st

from edge_agent.domain.clock import ClockState, Instant
from edge_agent.domain.event import Draft, InspectionClosed, Recorded, SessionOpened
from edge_agent.domain.observation import Body, DeviceState, Observation
from edge_agent.domain.statistics import QUARTER_S, LaneStatistics, PartEnd
from edge_agent.inspection.lane import Lane
from edge_agent.inspection.records import LaneRules
from edge_agent.inspection.recount import recount
from edge_agent.inspection.statistics import Statistics
from edge_agent.ledger.uncounted import recorded_of
from edge_agent.wire.chain import Head
from edge_agent.wire.codec import event_payload
from edge_agent.wire.v1alpha1.event_pb2 import Event
from tests.unit.inspection.script import ARRIVES, DEPARTS, PROVIDERS, alarm, code, plate, seal, status

NOON = datetime(2026, 1, 15, 12, tzinfo=UTC)
RULES = LaneRules("1", (), settle_s=3.0)
FIGURES = ("arrived", "complete", "incomplete", "abandoned", "gamma_alarms", "unassigned", "vehicles")


@dataclass
class Booth:
    """One lane over several runs of the agent. `ledger` holds what is durable, as bytes; a kill is a new `start`."""

    now_s: float = 0.0

    def __post_init__(self) -> None:
        self.ledger: list[bytes] = []
        self._ids = count(1)
        self.start()

    def instant(self) -> Instant:
        at = self.now_s
        return Instant(NOON + timedelta(seconds=at), round((5000 + at) * 1e9), ClockState.SYNCHRONISED)

    def record(self, drafts: Iterable[Draft]) -> None:
        self.ledger += [event_payload(draft, Head("booth", b"")) for draft in drafts]

    def recorded(self) -> list[Recorded]:
        return [recorded_of(Event.FromString(payload)) for payload in self.ledger]

    def start(self, killed_after: int | None = None) -> list[LaneStatistics]:
        """The agent starts; with `killed_after` it is killed when it has recorded so many of the parts."""
        self.record([Draft(SessionOpened(b"key", "0"), self.instant())])
        parts = recount(RULES, PROVIDERS, self.recorded(), self.instant())
        self.record(parts[:killed_after])
        self.lane = Lane(RULES, PROVIDERS, lambda: f"inspection-{next(self._ids)}")
        self.statistics = Statistics(RULES, PROVIDERS)
        self.statistics.look(self.instant())
        return [part.body for part in parts if isinstance(part.body, LaneStatistics)]

    def until(self, seconds: float) -> "Booth":
        """As the line does it: each is woken when it wants."""
        while (wake := min(self._wakes())) <= seconds:
            self.now_s = max(self.now_s, wake)
            self._follows(self.lane.woke(self.instant()))
        self.now_s = seconds
        return self

    def _wakes(self) -> list[float]:
        wakes = (self.lane.next_wake(), self.statistics.next_wake())
        return [wake - 5000 for wake in wakes if wake is not None]

    def at(self, seconds: float, device: str, body: Body) -> "Booth":
        self.until(seconds)
        said = Observation(f"o{next(self._ids)}", device, "1", self.instant(), body)
        self._follows(self.lane.observe(said))
        return self

    def _follows(self, drafts: list[Draft]) -> None:
        ended = self.statistics.look(self.instant())
        self.statistics.take(drafts)
        self.record([*ended, *drafts])

    def stop(self) -> None:
        self._follows(self.lane.stop(self.instant(), "stopped"))
        self.record(self.statistics.stop(self.instant()))

    @property
    def parts(self) -> list[LaneStatistics]:
        bodies = [one.draft.body for one in self.recorded() if one.draft is not None]
        return [body for body in bodies if isinstance(body, LaneStatistics)]

    def truck(self, seconds: float) -> "Booth":
        """Six seconds in the portal, and three until it has settled."""
        self.at(seconds, "portal", ARRIVES).at(seconds + 1, "portal", alarm(900))
        return self.at(seconds + 6, "portal", DEPARTS).until(seconds + 10)


def online() -> Booth:
    booth = Booth()
    for provider in PROVIDERS:
        booth.at(1, provider.device_id, status(DeviceState.ONLINE))
    return booth


def test_rule_1_what_follows_the_last_part_and_no_more() -> None:
    booth = online().truck(100).truck(QUARTER_S + 30).truck(QUARTER_S + 130)
    [quarter] = booth.parts
    assert (quarter.ended, quarter.vehicles) == (PartEnd.QUARTER, 1)
    booth.until(QUARTER_S + 300)  # nothing happens: this time leaves no trace
    [part] = booth.start()
    assert (part.ended, part.vehicles, part.arrived, part.gamma_alarms) == (PartEnd.CUT_OFF, 2, 2, 2)
    assert part.quarter_utc_us == round(NOON.timestamp() * 1e6) + QUARTER_S * 1_000_000
    assert part.begin == replace(booth.instant(), utc=quarter.end.utc, monotonic_ns=quarter.end.monotonic_ns)
    assert part.dwell.count == 2
    assert [round(gap) for gap in (part.gap.min_s, part.gap.max_s)] == [91, 821], "counted from a vehicle before, too"
    assert {d.device_id: round(d.up_s) for d in part.devices} == dict.fromkeys((p.device_id for p in PROVIDERS), 139)


def test_rule_1_a_run_in_its_first_quarter_counts_from_its_beginning() -> None:
    booth = online().truck(100)
    [part] = booth.start()
    assert (part.vehicles, round(part.covered_s), part.ended) == (1, 109, PartEnd.CUT_OFF)


def test_rule_1_a_session_opened_while_the_agent_ran_begins_no_run() -> None:
    def killed_at(seconds: float, *opened: float) -> list[LaneStatistics]:
        booth = online()
        for second in (100, QUARTER_S + 30, QUARTER_S + 130):
            if second in opened:
                booth.record([Draft(SessionOpened(b"next", "0", while_running=True), booth.instant())])
            booth.truck(second)
        booth.until(seconds)
        return booth.start()

    plain = killed_at(QUARTER_S + 300)
    assert [part.vehicles for part in plain] == [2]
    for opened in ((100,), (QUARTER_S + 30,), (QUARTER_S + 130,), (100, QUARTER_S + 30, QUARTER_S + 130)):
        assert killed_at(QUARTER_S + 300, *opened) == plain


def test_rule_1_what_follows_the_part_that_ended_when_the_agent_stood_still() -> None:
    booth = online().truck(100)
    booth.now_s += 200
    booth.truck(booth.now_s + 1)
    assert [(part.ended, part.vehicles) for part in booth.parts] == [(PartEnd.STALLED, 1)]
    [part] = booth.start()
    assert (part.vehicles, round(part.covered_s)) == (1, 10)


def test_rule_1_a_run_that_was_stopped_has_nothing_left() -> None:
    booth = online().truck(100)
    booth.stop()
    booth.now_s += 20  # another lane takes longer
    other = Observation("o", "other", "2", booth.instant(), ARRIVES)
    booth.record(Lane(replace(RULES, lane_id="2"), PROVIDERS, lambda: "another").observe(other))
    assert booth.start() == []
    assert sum(part.vehicles for part in booth.parts) == 1


def test_rule_2_the_last_event_of_whatever_lane_says_that_the_agent_lived() -> None:
    booth = online().truck(100).until(200)
    other = Observation("o", "other", "2", booth.instant(), ARRIVES)
    booth.record(Lane(replace(RULES, lane_id="2"), PROVIDERS, lambda: "another").observe(other))
    [part] = booth.start()
    assert (round(part.covered_s), part.vehicles) == (200, 1)


def test_rule_2_another_lane_records_after_the_quarters_end_what_this_one_did_not() -> None:
    booth = online().truck(100)
    booth.now_s = QUARTER_S + 5  # the agent lives; this lane was not looked at before the kill
    for second in range(150, QUARTER_S, 100):
        booth.now_s = second
        booth.record(
            Lane(replace(RULES, lane_id="2"), PROVIDERS, lambda: "x").observe(
                Observation("o", "other", "2", booth.instant(), status(DeviceState.ONLINE))
            )
        )
    booth.now_s = QUARTER_S + 5
    booth.record(
        Lane(replace(RULES, lane_id="2"), PROVIDERS, lambda: "x").observe(
            Observation("o", "other", "2", booth.instant(), status(DeviceState.ONLINE))
        )
    )
    parts = booth.start()
    assert [(round(part.covered_s), part.vehicles, part.ended) for part in parts] == [
        (QUARTER_S, 1, PartEnd.CUT_OFF),
        (5, 0, PartEnd.CUT_OFF),
    ]


def test_rule_3_kills_during_starts_count_each_part_once() -> None:
    booth = online().truck(100)
    booth.now_s = 120
    assert len(booth.start(killed_after=0)) == 1
    booth.now_s = 130
    assert len(booth.start()) == 1, "it was not recorded"
    booth.now_s = 140
    assert booth.start() == []
    assert sum(part.vehicles for part in booth.parts) == 1


def test_rule_4_nothing_is_counted_of_a_run_whose_beginning_is_not_known() -> None:
    booth = online().truck(100)
    del booth.ledger[0]
    assert booth.start() == []


def test_an_agent_that_counted_nothing_leaves_nothing_to_count() -> None:
    booth = online()
    for n in range(5):
        booth.truck(100 + n * QUARTER_S)
    kept = [payload for payload in booth.ledger if Event.FromString(payload).WhichOneof("body") != "lane_statistics"]
    booth.ledger = kept
    assert booth.start() == []


_HAPPENINGS = st.sampled_from(
    [
        *[("portal", body) for body in (ARRIVES, DEPARTS, alarm(90))],
        *[("portal", status(state)) for state in (DeviceState.OFFLINE, DeviceState.ONLINE)],
        *[("front", plate(text)) for text in ("AAA111", "BBB222")],
        ("rear", code("CSQU3054383")),
        ("scanner", seal("ML-1")),
        None,
    ]
)
_RUN = st.lists(st.tuples(st.floats(0, 300), _HAPPENINGS), max_size=25)


@settings(max_examples=40, deadline=None)
@given(st.lists(st.tuples(_RUN, st.integers(0, 12), st.integers(0, 2)), min_size=1, max_size=3), st.booleans())
def test_killed_wherever_each_event_is_counted_once(
    runs: list[tuple[list[tuple[float, tuple[str, Body] | None]], int, int]], stopped: bool
) -> None:
    """Runs that are killed at any event, also while they record their counts: what is counted is what the ledger
    holds, and no time is covered twice."""
    booth = Booth()
    for happenings, lost, killed_after in runs:
        began = len(booth.ledger)
        for gap, happening in happenings:
            if happening is None:
                booth.now_s += gap  # nobody looks
            else:
                booth.at(booth.now_s + gap, *happening)
        if stopped:
            booth.stop()
        else:
            del booth.ledger[max(began, len(booth.ledger) - lost) :]  # what a kill did not let it record
        booth.start(killed_after)
        booth.now_s += 1
    booth.start()
    held = [one.draft.body for one in booth.recorded() if one.draft is not None]
    parts = booth.parts
    kinds = [type(body).__name__ for body in held]
    closed = [body.inspection.outcome for body in held if isinstance(body, InspectionClosed)]
    assert {figure: sum(getattr(part, figure) for part in parts) for figure in FIGURES} == {
        "arrived": kinds.count("InspectionOpened"),
        "complete": sum(type(outcome).__name__ == "Complete" for outcome in closed),
        "incomplete": 0,
        "abandoned": sum(type(outcome).__name__ == "Abandoned" for outcome in closed),
        "gamma_alarms": kinds.count("AlarmRaised"),
        "unassigned": kinds.count("Unassigned"),
        "vehicles": len(closed),
    }
    ends = sorted((part.begin.monotonic_ns, part.end.monotonic_ns) for part in parts)
    assert all(one[1] <= other[0] + 1000 for one, other in pairwise(ends))
    assert all(part.covered_s <= QUARTER_S + 0.001 for part in parts)
    for part in parts:
        spent = [d.up_s + d.down_s + d.unknown_s for d in part.devices]
        assert all(abs(one - part.covered_s) < 0.001 for one in spent)
