"""Whatever devices say of several vehicles in whatever order, over kills and stops, with crossings announced before and
after their vehicle: each observation is in one record, or reported, once; and so is what is found of each vehicle."""

import json
from collections import Counter
from collections.abc import Mapping
from datetime import timedelta
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from edge_agent.domain.clock import Instant
from edge_agent.domain.event import (
    AlarmRaised,
    Draft,
    FindingsAdded,
    InspectionClosed,
    InspectionOpened,
    ScanReceived,
    Unassigned,
)
from edge_agent.domain.evidence import Evidence, EvidenceKind
from edge_agent.domain.expected import ExpectationMatch, ExpectedCrossing, ExpectedPlate, MatchOutcome
from edge_agent.domain.inspection import Inspection
from edge_agent.domain.observation import (
    Body,
    ContainerCodeRead,
    DeviceState,
    Observation,
    PlateRead,
    RadiationAlarm,
    ScanImage,
    SealRead,
    SealState,
    TagRead,
)
from edge_agent.inspection.expected import match
from edge_agent.inspection.lane import Lane
from edge_agent.inspection.whereabouts import End, Place
from edge_agent.kept_lane import TakenUp
from tests.unit.inspection.script import (
    ARRIVES,
    DEPARTS,
    START,
    alarm,
    code,
    instant,
    occupancy,
    plate,
    sample,
    scan,
    seal,
    seal_state,
    spectrum,
    status,
    tag,
    weight,
)
from tests.unit.test_kept_lane import Booth

PLACES = {
    "entry": Place(-15, 0.5),
    "front": Place(-6, 2, End.FRONT),
    "portal": Place(0, 0.5),
    "rear": Place(3, 2, End.REAR),
    "scanner": Place(3, 3),
}
PLATES = ("AAA111", "BBB222", "CCC333")
_SAYS = {AlarmRaised: RadiationAlarm, ScanReceived: ScanImage}
READS = (PlateRead, ContainerCodeRead, SealRead, SealState, TagRead)
CROSSINGS = {text: ExpectedCrossing(text, START + timedelta(days=1), plates=(ExpectedPlate(text),)) for text in PLATES}


class Compared(Booth):
    """As the line has it: what closes is compared with what is announced, and what comes later with what had closed."""

    def __init__(self, folder: Path, places: Mapping[str, Place] | None) -> None:
        self.announced: list[ExpectedCrossing] = []
        self.said: list[Observation] = []
        self.last = 0
        super().__init__(folder, places)

    def match(self, inspection: Inspection) -> ExpectationMatch:
        return match(inspection, self.announced, None, None)

    def start(self, now: Instant, boot: str = "one", limits: tuple[int, int] = (1_000_000, 10_000)) -> TakenUp:
        before = len(self.events)
        taken = super().start(now, boot, limits)
        self.events[before:] = [self._compared(draft, taken.heard_by) for draft in self.events[before:]]
        return taken

    def until(self, seconds: float) -> "Compared":
        while (wake := self.lane.next_wake()) is not None and wake <= seconds:
            self.now = max(self.now, wake)
            self.events += [self._compared(draft, self.lane) for draft in self.lane.woke(instant(self.now))]
        return self

    def at(self, seconds: float, device: str, body: Body, evidence: tuple[Evidence, ...] = ()) -> "Compared":
        self.until(seconds)
        self.now = seconds
        said = Observation(f"o{len(self.said)}", device, "1", instant(seconds), body, b"raw", evidence)
        self.said.append(said)
        self.last = len(self.events)
        self.events += [self._compared(draft, self.lane) for draft in self.lane.observe(said)]
        return self

    def announce(self, seconds: float, plate: str) -> None:
        self.until(seconds)
        if CROSSINGS[plate] not in self.announced:
            self.announced.append(CROSSINGS[plate])
        self.lane.expectations_changed()
        while self.lane.looking:
            self.events += self.lane.announced(self.match, instant(seconds))
        self.last = len(self.events)

    def _compared(self, draft: Draft, lane: Lane) -> Draft:
        body = draft.body
        if not isinstance(body, InspectionClosed):
            return draft
        return Draft(
            InspectionClosed(lane.compared(body.inspection, self.match(body.inspection))), draft.at, draft.evidence
        )


_HAPPENINGS = st.sampled_from(
    [
        *[(device, body) for device in ("entry", "portal") for body in (ARRIVES, DEPARTS)],
        *[("portal", body) for body in (sample(10, 10), alarm(90), occupancy(), spectrum("Cs-137"))],
        *[("portal", status(state)) for state in (DeviceState.OFFLINE, DeviceState.ONLINE)],
        *[("front", plate(text)) for text in PLATES],
        *[("rear", code(text)) for text in ("CSQU3054383", "MSKU0383250")],
        *[("scanner", body) for body in (seal("ML-1"), tag("E280"), seal_state("HS1"), weight(30_000))],
        *[("x-ray", scan(f"s{n}", text)) for n, text in enumerate(("", "BBB222", "XYZ999"))],
        *PLATES,  # a crossing with it is announced
    ]
)
_RUN = st.tuples(
    st.lists(st.tuples(st.floats(0.01, 12), _HAPPENINGS), max_size=25), st.sampled_from(["stopped", "killed", "lost"])
)


@settings(max_examples=80, deadline=None)
@given(st.booleans(), st.lists(_RUN, min_size=1, max_size=3))
def test_nothing_is_lost_or_doubled_over_kills_and_announcements(
    tmp_path_factory: pytest.TempPathFactory,
    row: bool,
    runs: list[tuple[list[tuple[float, tuple[str, Body] | str]], str]],
) -> None:
    booth, now = Compared(tmp_path_factory.mktemp("booth"), PLACES if row else None), 10.0
    booth.said.clear()
    for happenings, ends in runs:
        booth.last = len(booth.events)
        for gap, happening in happenings:
            now += gap
            if isinstance(happening, str):
                booth.announce(now, happening)
            else:
                booth.at(now, *happening)
        if ends == "stopped":
            booth.events += booth.lane.stop(instant(now), "stopped")
        elif ends == "lost":
            del booth.events[booth.last :]  # what the last thing heard led to was not durable
        now += 5
        booth.start(instant(now))
    booth.until(now + 2000)
    booth.events += booth.lane.give_up_all(instant(now + 2000), "the end")
    _accounted(booth)
    _found(booth)


def _accounted(booth: Compared) -> None:
    bodies = [draft.body for draft in booth.events]
    opened = [body.inspection_id for body in bodies if isinstance(body, InspectionOpened)]
    closed = [body.inspection.id for body in bodies if isinstance(body, InspectionClosed)]
    assert sorted(opened) == sorted(set(opened)) == sorted(closed)
    files = [e for draft in booth.events for e in draft.evidence if e.kind is EvidenceKind.RAW_CAPTURE]
    captured = Counter(json.loads(line)["id"] for file in files for line in file.data.splitlines())
    unassigned = Counter(body.observation.id for body in bodies if isinstance(body, Unassigned))
    assert max([*captured.values(), *unassigned.values()], default=1) == 1
    assert not captured.keys() & unassigned.keys()
    told = [body.observation.body for body in bodies if isinstance(body, Unassigned)]
    for said in booth.said:
        if isinstance(said.body, READS):
            assert said.id in captured or said.id in unassigned or said.body in told, said
    for kind in (AlarmRaised, ScanReceived):
        at = [draft.at for draft in booth.events if isinstance(draft.body, kind)]
        said_at = [one.at for one in booth.said if isinstance(one.body, _SAYS[kind])]
        assert sorted(one.utc for one in at) == sorted(one.utc for one in said_at)


def _found(booth: Compared) -> None:
    """Announcements are compared once: with the record when it closes, or later, and then it says so."""
    late = Counter(
        draft.body.inspection_id
        for draft in booth.events
        if isinstance(draft.body, FindingsAdded) and any(f.rule == "late_expectation" for f in draft.body.findings)
    )
    assert set(late.values()) <= {1}
    for inspection in booth.closed:
        rules = {finding.rule for finding in inspection.findings}
        expectation = inspection.expectation
        assert expectation is not None
        assert ("no_expectation" in rules) <= (expectation.outcome is MatchOutcome.NONE)
        assert (inspection.id in late) <= (expectation.outcome is MatchOutcome.NONE)
        read = {text for seen in inspection.plates for text in (seen.vote.text, *seen.vote.others)}
        if expectation.outcome is MatchOutcome.MATCHED:
            assert set(expectation.expectation_ids) & read
