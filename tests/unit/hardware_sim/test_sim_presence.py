"""Light curtains and light barriers: what a truck's outline does to beams, and in which order."""

import itertools
import re
from typing import Any

import pytest
from pydantic import ValidationError

from hardware_sim.devices import modem_lines, sti_vs6400
from hardware_sim.devices.sti_vs6400 import report
from hardware_sim.links.lines import Lines
from hardware_sim.world.outline import BARRIER_M, blocked_at
from hardware_sim.world.stretch import Stretch
from hardware_sim.world.truck import Reverse
from tests.unit.hardware_sim.roads import TCP, lane_of, said_by, site_of, truck


def curtain(lane: Any, **more: Any) -> sti_vs6400.StiVs6400:
    settings = sti_vs6400.Settings(kind="sti_vs6400", links=TCP, **more)  # type: ignore[arg-type]
    return sti_vs6400.StiVs6400("curtain", settings, site_of(lane))


def barriers(lane: Any, **more: Any) -> modem_lines.ModemLines:
    settings = modem_lines.Settings(kind="modem_lines", links=[{"kind": "rfc2217"}], **more)  # type: ignore[list-item]
    return modem_lines.ModemLines("loops", settings, site_of(lane))


def test_truck_breaks_a_barrier_at_chassis_height_from_its_front_to_its_rear() -> None:
    for index in range(1, 6):
        one = truck(index)
        for step in range(int(one.length_m * 20) + 1):
            spans = blocked_at(one, step / 20)
            assert any(low <= BARRIER_M <= high for low, high in spans), step / 20
        assert blocked_at(one, -0.01) == blocked_at(one, one.length_m + 0.01) == []


def test_outline_shows_cab_gap_wheels_and_container() -> None:
    one = truck()
    begin = one.container_from_m
    assert blocked_at(one, 0.9)[0][0] == 0.0  # a wheel stands on the road
    assert max(high for _, high in blocked_at(one, 3.0)) == pytest.approx(3.3)
    assert blocked_at(one, begin - 0.15)[-1][1] == pytest.approx(1.15)  # above the chassis nothing
    assert max(high for _, high in blocked_at(one, begin + 1)) > 3.7
    for x in (0.5, 0.9, 3.5, begin + 2):
        spans = blocked_at(one, x)
        assert all(a[1] < b[0] for a, b in itertools.pairwise(spans)), "objects that touch are one"


def test_curtain_reports_in_the_manuals_form() -> None:
    # VS6400 manual, section 6: no object, one, and two (the second's first beam is 12 hexadecimal).
    assert report(()) == b"00\r\n"
    assert report(((8, 2),)) == b"01 0008:0002\r\n"
    assert report(((8, 2), (0x12, 2))) == b"02 0008:0002 0012:0002\r\n"


def test_curtain_says_when_something_comes_and_when_nothing_is_left() -> None:
    lane = lane_of([truck(), truck(2)])
    said = said_by(curtain(lane), 1e6)
    for at, data in said:
        assert re.fullmatch(rb"[0-9A-F]{2}( [0-9A-F]{4}:[0-9A-F]{4})*\r\n", data)
        assert int(data[:2], 16) == data.count(b":")
        assert any(p.reaches(-1.0) <= at <= p.leaves(-1.0) + 0.2 for p in lane.passages)
    empties = [at for at, data in said if data == b"00\r\n"]
    assert empties == [pytest.approx(p.leaves(-1.0), abs=0.1) for p in lane.passages]
    firsts = [next(at for at, _ in said if at > p.reaches(-1.0)) for p in lane.passages]
    # Three scans of 20 ms to believe it.
    assert firsts == [pytest.approx(p.reaches(-1.0) + 0.06, abs=0.03) for p in lane.passages]


def test_curtain_lists_every_scan_if_set_so_and_the_empty_lane_now_and_then() -> None:
    lane = lane_of([truck()])
    passage = lane.passages[0]
    said = said_by(curtain(lane, reports="scan"), 1e6)
    assert len(said) > 0.9 * (passage.leaves(-1.0) - passage.reaches(-1.0)) / 0.02
    idle = said_by(curtain(lane, idle_s=1.0), passage.reaches(-1.0) - 0.01)
    assert [data for _, data in idle] == [b"00\r\n"] * len(idle)
    assert len(idle) >= 3


def test_barriers_break_in_the_order_of_driving_and_free_in_the_same() -> None:
    lane = lane_of([truck()])
    device, passage = barriers(lane), lane.passages[0]
    changes: list[tuple[float, Lines]] = [(0.0, device.control_lines())]
    while (due := device.next_wake()) is not None:
        assert device.woke(due) == b""
        if (lines := device.control_lines()) != changes[-1][1]:
            changes.append((due, lines))
    assert [lines for _, lines in changes] == [
        Lines(), Lines(cts=True), Lines(cts=True, dsr=True), Lines(dsr=True), Lines(),
    ]  # fmt: skip
    expected = [passage.reaches(0.0), passage.reaches(0.6), passage.leaves(0.0), passage.leaves(0.6)]
    assert [at for at, _ in changes[1:]] == [pytest.approx(at, abs=0.03) for at in expected]
    assert device.said_of(passage) == {"present": True, "direction": "forward", "changes": 4}


def test_barriers_may_be_wired_the_other_way_and_one_alone() -> None:
    lane = lane_of([truck()])
    assert barriers(lane, blocked_is=False, first="cd", second="ri").control_lines() == Lines(cd=True, ri=True)
    alone = barriers(lane, second=None)
    said_by(alone, 1e6)
    assert alone.said_of(lane.passages[0]) == {"present": True, "direction": None, "changes": 2}


def test_barriers_need_two_lines_and_a_link_that_has_lines() -> None:
    with pytest.raises(ValidationError, match="two barriers need two lines"):
        barriers(lane_of([]), second="cts")
    with pytest.raises(ValidationError, match="only over RFC 2217"):
        modem_lines.Settings(kind="modem_lines", links=TCP)  # type: ignore[arg-type]


def test_stretch_sees_a_truck_that_goes_back_as_often_as_it_is_there() -> None:
    lane = lane_of([truck(reverse=Reverse(at_m=3.0, back_m=6.0))])
    stretch, passage = Stretch(lane, 0.0, 0.0), lane.passages[0]
    spans = stretch.spans(passage)
    assert len(spans) == 2
    assert spans == passage.covers(0.0)
    between = (spans[0][1] + spans[1][0]) / 2
    assert stretch.touched_by(spans[0][0] + 0.1) == [passage]
    assert stretch.touched_by(between) == []
    assert stretch.touched_from(between) == spans[1][0]
    assert stretch.touched_from(spans[1][1] + 0.1) is None


def test_stretch_forgets_trucks_and_hears_of_those_that_come() -> None:
    lane = lane_of([truck(k) for k in range(1, 40)])
    stretch = Stretch(lane, -3.0, 3.0)
    seen = set()
    at = 0.0
    while (due := stretch.touched_from(at)) is not None:
        seen |= {p.truck.index for p in stretch.touched_by(due)}
        assert len(stretch._stays) <= 40
        at = due + 0.5
    assert seen == set(range(1, 40))
    assert len(stretch._stays) == 0
