"""The platform: what lies on it, how its indication settles, and what it never says."""

from itertools import pairwise

import pytest

from hardware_sim.devices.toledo_continuous import Settings
from hardware_sim.world.outline import axles_of
from hardware_sim.world.truck import Reverse
from hardware_sim.world.weighing import Platform, axle_loads
from tests.unit.hardware_sim.roads import TCP, lane_of, standing, truck


def platform(lane: object, **more: object) -> Platform:
    return Platform(Settings.model_validate({"kind": "toledo_continuous", "links": TCP, **more}), lane, 3)  # type: ignore[arg-type]


def test_axles_share_the_whole_weight() -> None:
    one = truck(gross_kg=31_240)
    assert sum(axle_loads(one)) == pytest.approx(31_240)
    assert len(axle_loads(one)) == len(axles_of(one))


def test_standing_truck_shows_its_weight_without_motion_for_as_long_as_it_stands() -> None:
    lane = lane_of([truck(gross_kg=31_240)])
    scale, passage = platform(lane), lane.passages[0]
    shown = scale.shown(standing(passage))
    assert (shown.value, shown.gross, shown.motion, shown.over, shown.under) == (31_240, 31_240, False, False, False)


def test_empty_platform_is_at_zero_and_at_rest_before_and_after() -> None:
    lane = lane_of([truck()])
    scale, passage = platform(lane), lane.passages[0]
    for at in (passage.arrives - 5, scale.leaves(passage) + 0.1, scale.leaves(passage) + 60):
        shown = scale.shown(at)
        assert (shown.value, shown.motion, shown.at_zero) == (0, False, True), at


def test_it_is_in_motion_from_the_first_axle_until_it_has_settled_and_oscillates_meanwhile() -> None:
    lane = lane_of([truck(gross_kg=30_000)])
    scale, passage = platform(lane, noise_kg=0.0), lane.passages[0]
    assert passage.stands_from is not None
    moments = [passage.arrives + k / 10 for k in range(int((standing(passage) - passage.arrives) * 10))]
    shown = [(at, scale.shown(at)) for at in moments]
    first = next(at for at, s in shown if s.gross > 0)
    # Rolling on: never a stable weight that is not the truck's.
    assert {s.gross for at, s in shown if not s.motion and at > first + 1.0} == {30_000}
    settled = next(at for at, s in shown if not s.motion and at > first + 1.0)
    assert passage.stands_from < settled < passage.stands_from + 4
    weights = [s.gross for at, s in shown if first <= at < passage.stands_from]
    assert any(b < a for a, b in pairwise(weights)), "a deck that never swings back is no deck"
    # The first axle alone: the indication follows it, overshoots by a third, and comes back.
    one, on = axle_loads(passage.truck)[0], passage.reaches(-13.0 + axles_of(passage.truck)[0])
    swing = [scale.shown(on + k / 50).gross / one for k in range(1, 40)]
    assert swing[2] < 0.4
    assert 1.2 < max(swing) < 1.5
    assert min(swing[swing.index(max(swing)) :]) < 1.0


def test_truck_that_does_not_stop_is_never_at_rest() -> None:
    lane = lane_of([truck()], stop_s=0.0)
    scale, passage = platform(lane), lane.passages[0]
    assert scale.settled_of(passage) == {
        "gross_kg": None, "shown": None, "unit": "kg", "over": False, "settled_s": 0.0,
    }  # fmt: skip


def test_truth_is_what_is_shown_longest_even_as_the_truck_drives_off() -> None:
    for index in range(1, 12):
        lane = lane_of([truck(index)])
        settled = platform(lane).settled_of(lane.passages[0])
        assert settled["gross_kg"] == lane.trucks[0].gross_kg
        assert 7 < float(str(settled["settled_s"])) < 13


def test_pounds_are_rounded_to_the_increment_in_pounds() -> None:
    lane = lane_of([truck(gross_kg=30_000)])
    scale = platform(lane, unit="lb", increment=20, capacity=120_000)
    assert scale.shown(standing(lane.passages[0])).value == round(30_000 / 0.45359237 / 20) * 20 == 66_140


def test_overload_is_nine_increments_above_capacity() -> None:
    lane = lane_of([truck(gross_kg=30_000)])
    at = standing(lane.passages[0])
    assert not platform(lane, capacity=29_820).shown(at).over
    assert platform(lane, capacity=29_800).shown(at).over
    assert platform(lane, capacity=29_800).settled_of(lane.passages[0])["gross_kg"] is None


def test_tare_is_taken_off_and_only_at_rest() -> None:
    lane = lane_of([truck(gross_kg=30_000)])
    passage = lane.passages[0]
    scale = platform(lane)
    assert not scale.take_tare(passage.arrives + 1.0)
    assert scale.take_tare(standing(passage))
    assert scale.shown(standing(passage)).value == 0
    assert scale.shown(scale.leaves(passage) + 1).value == -30_000


def test_zero_is_refused_under_a_truck_and_done_under_dirt() -> None:
    lane = lane_of([truck(gross_kg=30_000)])
    scale = platform(lane)
    assert not scale.zero(standing(lane.passages[0]))
    assert scale.zero(scale.leaves(lane.passages[0]) + 1)


def test_the_same_moment_shows_the_same_to_whoever_asks() -> None:
    lane = lane_of([truck(), truck(2)])
    often, once = platform(lane), platform(lane)
    at = standing(lane.passages[1]) - 9
    for k in range(400):
        often.shown(lane.passages[0].arrives + k / 7)
    assert often.shown(at) == once.shown(at)


def test_truck_that_goes_back_over_the_edge_weighs_less_meanwhile() -> None:
    lane = lane_of([truck(gross_kg=30_000, reverse=Reverse(at_m=4.0, back_m=8.0))])
    scale, passage = platform(lane, noise_kg=0.0), lane.passages[0]
    back = next(at for at in (passage.arrives + k / 10 for k in range(600)) if passage.speed(at) < 0)
    turned = next(at for at in (back + k / 10 for k in range(600)) if passage.speed(at) >= 0)
    assert scale.shown(turned + 0.5).gross < 29_000
    assert scale.shown(standing(passage)).gross == 30_000


def test_stuck_motion_is_told_in_the_truth_too() -> None:
    lane = lane_of([truck(), truck(2)])
    scale = platform(lane)
    scale.stuck_motion = True
    assert scale.shown(standing(lane.passages[0])).motion
    scale.stuck_motion = False
    assert scale.settled_of(lane.passages[0])["gross_kg"] is None
    assert scale.settled_of(lane.passages[1])["gross_kg"] is not None
