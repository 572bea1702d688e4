"""Drives, exact and checked against small steps: stopping, reversing, turning back, following."""

from dataclasses import replace
from itertools import pairwise
from math import inf

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from hardware_sim.world.arrivals import Arrival
from hardware_sim.world.lane import Lane, LaneFull
from hardware_sim.world.passage import Layout, Passage, least_distance
from hardware_sim.world.truck import Reverse, Truck, draw_truck

LAYOUT = Layout(slow_from_m=1.5, slow_to_m=5.0, slow_mps=1.6, stop_s=0.0, clears_m=6.0)


def truck(index: int = 1, **changed: object) -> Truck:
    return replace(draw_truck(1, "1", index, ["US-TX"], (2.5, 2.5)), **changed)  # type: ignore[arg-type]


def stepped(passage: Passage, step: float = 0.01) -> list[tuple[float, float]]:
    """Moments and positions, from arriving to departing."""
    count = int((passage.departs - passage.arrives) / step)
    return [(passage.arrives + i * step, passage.position(passage.arrives + i * step)) for i in range(count + 1)]


drives = st.builds(
    lambda speed, layout, reverse, stop: Passage(
        truck(speed_mps=speed, reverse=reverse, stop_s=stop), layout, enters=100.0
    ),
    speed=st.floats(0.6, 14),
    layout=st.builds(
        lambda begin, way, slow, stop, approach: Layout(begin, begin + way, slow, stop, 6.0, approach_m=approach),
        st.floats(-3, 8), st.floats(0.2, 9), st.floats(0.4, 5), st.floats(0, 8), st.floats(6, 40),
    ),
    reverse=st.none() | st.builds(Reverse, st.floats(0.5, 10), st.floats(0.5, 15)),
    stop=st.none() | st.floats(0, 5),
)  # fmt: skip


@settings(max_examples=60, deadline=None)
@given(drives)
def test_a_drive_is_without_a_jump_and_its_moments_are_where_it_says(passage: Passage) -> None:
    moves = stepped(passage, 0.02)
    limit = max(passage.truck.speed_mps, 5.0) * 0.02 + 1e-6
    assert all(abs(b - a) <= limit for (_, a), (_, b) in pairwise(moves))
    if passage.truck.reverse is None:
        assert all(b >= a - 1e-9 for (_, a), (_, b) in pairwise(moves))
    assert passage.enters == pytest.approx(100.0)
    for place in (-5.0, 0.0, 1.0, 4.99, 5.0, 7.3):
        for crossing in passage.crossings(place):
            assert passage.position(crossing.at) == pytest.approx(place, abs=1e-6)
        directions = [crossing.forward for crossing in passage.crossings(place)]
        assert all(a != b for a, b in pairwise(directions))  # it must come back before it can go there again
    assert passage.position(passage.departs) == pytest.approx(passage.truck.length_m + 6.0, abs=1e-6)


@settings(max_examples=60, deadline=None)
@given(drives, st.floats(-60, 5))
def test_what_covers_a_place_is_what_small_steps_find(passage: Passage, place: float) -> None:
    length = passage.truck.length_m
    covers = passage.covers(place)
    edges = [edge for span in covers for edge in span]
    assert edges == sorted(edges)
    for at, front in stepped(passage, 0.05):
        touches = min(abs(front - place), abs(front - length - place)) < 1e-9  # a truck that stands just there
        if not touches and min((abs(at - edge) for edge in edges), default=inf) > 0.01:
            inside = any(begin <= at <= end for begin, end in covers)
            assert inside == (front - length <= place <= front)


def test_a_truck_that_reverses_out_of_a_place_is_there_twice() -> None:
    passage = Passage(truck(reverse=Reverse(at_m=3.0, back_m=6.0)), LAYOUT, 0.0)
    (first, gone), (again, left) = passage.covers(0.0)
    assert first == passage.enters == pytest.approx(0.0)
    assert gone < again < left == passage.clears == passage.leaves(0.0)
    assert [c.forward for c in passage.crossings(0.0)] == [True, False, True]
    assert passage.position((gone + again) / 2) == pytest.approx(-3.0, abs=0.2)


def test_a_truck_that_turns_back_leaves_by_where_it_came() -> None:
    passage = Passage(truck(turns_back_m=4.0), LAYOUT, 0.0)
    assert max(front for _, front in stepped(passage)) == pytest.approx(4.0, abs=1e-6)
    assert [c.forward for c in passage.crossings(0.0)] == [True, False]
    assert passage.clears < passage.departs
    assert passage.position(passage.departs) < -LAYOUT.approach_m
    assert passage.reaches(4.5) == passage.departs  # never
    assert passage.scanned(-3.0) is None  # its doors never came to the officer
    lane = Lane([truck(1, turns_back_m=4.0), truck(2)], LAYOUT)
    lane.open(0.0)
    lane.advance(inf)
    assert lane.passages[1].arrives > lane.passages[0].departs


def test_stopping_is_for_as_long_as_stated() -> None:
    for stop_s in (0.0, 4.0, 12.5):
        passage = Passage(truck(stop_s=stop_s), replace(LAYOUT, stop_s=2.0), 0.0)
        standing = [at for at, _ in stepped(passage) if abs(passage.speed(at)) < 1e-9]
        assert len(standing) * 0.01 == pytest.approx(stop_s, abs=0.03)
    assert Passage(truck(), replace(LAYOUT, stop_s=2.0), 0.0).stop_s == 2.0


def test_least_distance_is_what_small_steps_find() -> None:
    before = Passage(truck(1, stop_s=6.0, reverse=Reverse(3.0, 2.0)), LAYOUT, 0.0)
    after = Passage(truck(2, speed_mps=6.0), LAYOUT, before.clears + 0.4)
    distance, at = least_distance(before, after)
    moments = [after.arrives + 0.001 * i for i in range(int((before.departs - after.arrives) / 0.001))]
    found = min(before.position(t) - before.truck.length_m - after.position(t) for t in moments)
    assert distance == pytest.approx(found, abs=0.01)
    assert before.position(at) - before.truck.length_m - after.position(at) == pytest.approx(distance)


@settings(max_examples=25, deadline=None)
@given(st.lists(st.tuples(st.floats(0.8, 9), st.floats(0, 9), st.booleans()), min_size=2, max_size=6), st.floats(0, 3))
def test_trucks_never_run_into_each_other(kinds: list[tuple[float, float, bool]], gap: float) -> None:
    trucks = [
        truck(n, speed_mps=speed, stop_s=stop, reverse=Reverse(3.0, 4.0) if back else None)
        for n, (speed, stop, back) in enumerate(kinds, 1)
    ]
    lane = Lane(trucks, LAYOUT, lambda: iter([Arrival(gap)] * 99))
    lane.open(0.0)
    lane.advance(inf)
    assert [p.truck.index for p in lane.passages] == [t.index for t in trucks]
    for before, after in pairwise(lane.passages):
        assert after.arrives >= before.departs or least_distance(before, after)[0] >= 0.49
        assert after.enters >= before.clears + gap - 1e-9


def test_a_truck_that_is_sent_comes_between_and_delays_who_follows() -> None:
    def lane() -> Lane:
        made = Lane([truck(1), truck(2)], LAYOUT, lambda: iter([Arrival(5.0), Arrival(100.0), Arrival(9.0)]))
        made.open(0.0)
        return made

    plain = lane()
    plain.advance(inf)
    made = lane()
    made.advance(20.0)
    assert [p.truck.index for p in made.passages] == [1]
    made.send(truck(3), 30.0)
    made.advance(inf)
    assert [p.truck.index for p in made.passages] == [1, 3, 2]
    assert made.passages[1].arrives == pytest.approx(30.0)
    assert made.passages[0].enters == plain.passages[0].enters
    assert made.passages[2].enters >= made.passages[1].clears
    assert made.over
    close = Lane([truck(1)], LAYOUT, least_gap=7.5)
    close.open(0.0)
    close.send(truck(2), 6.0)
    close.advance(inf)
    assert close.passages[1].enters == pytest.approx(close.passages[0].clears + 7.5)
    late = lane()
    late.advance(inf)
    late.send(truck(4), 0.0)  # as soon as it can follow
    assert not late.over
    late.advance(inf)
    assert late.passages[-1].truck.index == 4
    assert late.passages[-1].enters >= late.passages[-2].clears


def test_a_lane_on_demand_is_never_over_and_bounds_who_waits() -> None:
    lane = Lane([], LAYOUT, on_demand=True)
    lane.open(0.0)
    assert not lane.over
    for n in range(10_000):
        lane.send(truck(1), float(n))
    with pytest.raises(LaneFull, match="10000 trucks wait for lane 1"):
        lane.send(truck(1), 0.0)


def test_seen_is_who_is_in_the_lane() -> None:
    lane = Lane([truck(n, stop_s=3.0 * (n % 3)) for n in range(1, 30)], LAYOUT, lambda: iter([Arrival(2.5)] * 99))
    lane.open(0.0)
    lane.advance(inf)
    for at in range(0, int(lane.passages[-1].departs) + 20, 3):
        assert lane.seen(at) == [p for p in lane.passages if p.arrives <= at <= p.departs]
