"""Lanes with positions, whatever devices say in any order: nothing is lost, doubled or mixed."""

import json
from random import Random

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from edge_agent.domain.event import InspectionClosed, Unassigned
from edge_agent.domain.evidence import EvidenceKind
from edge_agent.domain.observation import (
    Body,
    DeviceState,
    Direction,
    Observation,
    Presence,
    RadiationAlarm,
)
from edge_agent.inspection.whereabouts import End, Place
from tests.unit.inspection.script import (
    ARRIVES,
    DEPARTS,
    Script,
    alarm,
    code,
    instant,
    occupancy,
    plate,
    sample,
    seal,
    spectrum,
    status,
)
from tests.unit.inspection.test_row import PLACES, lane
from tests.unit.inspection.traffic import convoy, drive

_HAPPENINGS = st.sampled_from(
    [
        *[(device, body) for device in ("entry", "portal", "exit") for body in (ARRIVES, DEPARTS)],
        ("portal", Presence(True, Direction.BACKWARD)),
        ("portal", sample(10, 10)),
        ("portal", alarm(90, 90)),
        ("portal", occupancy()),
        ("portal", status(DeviceState.OFFLINE)),
        ("portal", status(DeviceState.ONLINE)),
        ("front", plate("AAA111")),
        ("front", plate("BBB222")),
        ("rear", code("CSQU3054383")),
        ("scanner", seal("ML-1234567")),
        ("n42", spectrum("Cs-137")),
    ]
)


@settings(max_examples=100, deadline=None)
@given(st.lists(st.tuples(st.floats(0, 12), st.floats(0, 3), _HAPPENINGS), max_size=40))
def test_no_observation_is_lost_or_doubled(happenings: list[tuple[float, float, tuple[str, Body]]]) -> None:
    """Readings of several vehicles in any order, some dated before: each is in one capture, an event, or context."""
    script = lane()
    script.observed.clear()
    now = 10.0
    of_the_given_up = set()
    for number, (gap, ago, (device, body)) in enumerate(happenings):
        now += gap
        script.until(now)
        dated = now if isinstance(body, Presence) else now - ago
        observation = Observation(f"n{number}", device, "1", instant(dated), body)
        script.observed.append(observation)
        before = script.lane._traffic.blocked_for(observation)
        script.drafts += script.lane.observe(observation)
        if before or script.lane._traffic.blocked_for(observation):
            of_the_given_up.add(observation.id)
    script.until(now + 1000)
    captured: list[str] = []
    unassigned: list[str] = []
    for draft in script.drafts:
        if isinstance(draft.body, Unassigned):
            unassigned.append(draft.body.observation.id)
        for evidence in draft.evidence:
            if evidence.kind is EvidenceKind.RAW_CAPTURE:
                captured += [json.loads(line)["id"] for line in evidence.data.splitlines()]
    words = script.said()
    assert sum(w.startswith("opened") for w in words) == sum(w.startswith("closed") for w in words)
    assert len(captured) == len(set(captured))
    assert len(unassigned) == len(set(unassigned))
    assert not set(captured) & set(unassigned)
    accounted = {*captured, *unassigned, *(o.id for o in script.lane._records.context), *of_the_given_up}
    for o in script.observed:
        own_event = isinstance(o.body, RadiationAlarm) or o.body in (DEPARTS, status(DeviceState.OFFLINE))
        own_event = own_event or o.body == status(DeviceState.ONLINE)
        repeat = any(p.body == o.body and p.id in unassigned for p in script.observed)
        assert o.id in accounted or own_event or repeat, o


LANES = {
    "a sensor first": {
        "entry": Place(-20, 0.5),
        "plates": Place(-12, 2, End.FRONT),
        "portal": Place(0, 0.5),
        "codes": Place(7.5, 4.5, End.FRONT),
    },
    "a camera first": {
        "plates": Place(-12, 2, End.FRONT),
        "portal": Place(0, 0.5),
        "codes": Place(3, 2, End.REAR),
        "seals": Place(4, 1, End.REAR),
        "exit": Place(25, 0.5),
    },
    "no presence sensor": {"plates": Place(-12, 2, End.FRONT), "codes": Place(3, 2, End.REAR)},
}


@pytest.mark.parametrize("places", LANES.values(), ids=LANES)
@pytest.mark.parametrize("seed", range(10))
def test_convoys_are_never_mixed(places: dict[str, Place], seed: int) -> None:
    """Trucks bumper to bumper that stop and go: each has one record, and all in it is its own."""
    random = Random(seed)
    trucks = convoy(random, random.randint(2, 5))
    said = drive(trucks, places, random)
    script = Script(expects=(), places=places)
    script.observed.clear()
    for one in said:
        script.at(one.at, one.device, one.body)
    script.until(said[-1].at + 500)
    truck_of = {o.id: one.truck for o, one in zip(script.observed, said, strict=True)}
    closed = [d for d in script.drafts if isinstance(d.body, InspectionClosed)]
    owners = []
    for draft in closed:
        [capture] = [e for e in draft.evidence if e.kind is EvidenceKind.RAW_CAPTURE]
        owners.append({truck_of[json.loads(line)["id"]] for line in capture.data.splitlines()})
    assert sorted(map(sorted, owners)) == [[n] for n in range(len(trucks))]


def test_rule_p12_a_plate_unlike_the_first_ones_is_the_next_trucks() -> None:
    script = lane("front", "portal").at(10, "front", plate("ADX1000")).at(10.5, "front", plate("ADX1000"))
    assert script.at(15, "front", plate("SNX2011")).said() == ["opened by plate"] * 2
    script.at(16, "portal", ARRIVES).at(18, "portal", DEPARTS).at(20, "portal", ARRIVES).at(22, "portal", DEPARTS)
    script.until(100).said()
    assert [(i.plate.text, i.observations) for i in script.closed if i.plate] == [("ADX1000", 4), ("SNX2011", 3)]


@pytest.mark.parametrize(
    "doubtful",
    [plate("SNX2011", 0.7), plate("SNX2011", likeness=0.6), plate("SHORTHAUL"), plate("800555")],
    ids=["unsure of it", "less of a plate", "letters", "digits"],
)
def test_rule_p12_what_may_be_lettering_is_the_next_trucks_at_the_second_look(doubtful: Body) -> None:
    script = lane("front", "portal").at(10, "front", plate("ADX1000")).at(15, "front", doubtful)
    assert script.said() == ["opened by plate", "unassigned PlateRead"]
    assert script.at(15.5, "front", doubtful).said() == ["opened by plate"]


def test_rule_p12_a_plate_of_another_series_than_the_regions_may_be_lettering() -> None:
    places = {name: PLACES[name] for name in ("front", "portal")}
    script = Script(expects=(), places=places, series={"AAA0000": 0.5})
    script.at(10, "front", plate("ADX1000")).at(15, "front", plate("22SNX2"))
    assert script.said() == ["opened by plate", "unassigned PlateRead"]
    assert script.at(16, "front", plate("SNX2011")).said() == ["opened by plate"]


def test_rule_p12_a_bad_look_and_lettering_open_nothing() -> None:
    script = lane("front", "portal").at(10, "front", plate("ADX1000")).at(12, "front", plate("AX1000"))
    script.at(12.5, "front", plate("HAULERS")).at(13, "front", plate("ADX1000")).at(14, "portal", ARRIVES)
    script.at(17, "portal", DEPARTS).until(100)
    assert script.said() == ["opened by plate", "unassigned PlateRead", "closed ADX1000 complete"]


def test_rule_p12_not_while_the_first_must_still_be_there() -> None:
    places = {"portal": Place(0, 0.5), "camera": Place(0.5, 6, End.FRONT)}
    script = Script(expects=(), places=places).at(10, "portal", ARRIVES).at(10.1, "camera", plate("ADX1000"))
    script.at(10.3, "camera", plate("HAULERS")).at(10.5, "camera", plate("HAULERS"))
    assert script.said() == ["opened by presence"]


def test_rule_p12_of_two_it_is_the_one_that_the_camera_has_not_read_otherwise() -> None:
    script = lane("entry", "front").at(10, "entry", ARRIVES).at(12, "entry", DEPARTS).at(13, "front", plate("ADX1000"))
    script.at(14, "entry", ARRIVES).at(15, "front", plate("SNX2011")).at(18, "entry", DEPARTS).until(100)
    assert script.said() == [
        *["opened by presence"] * 2,
        "closed ADX1000 complete",
        "closed SNX2011 complete",
    ]
