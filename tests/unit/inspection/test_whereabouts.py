"""Where one vehicle can be, by what is known of it."""

from dataclasses import replace

from edge_agent.inspection.whereabouts import Driving, End, Fact, Place, Span, Whereabouts
from tests.unit.inspection.test_row import PLACES


def test_where_a_vehicle_can_be() -> None:
    where = Whereabouts(Driving(1, 8, 4, 30))
    where.met(10, Place(0, 0.5))
    assert where.at(11).front == Span(-0.5, 8.5)
    assert where.at(9).front == Span(-8.5, 0.5)
    assert where.at(11).rear == Span(-30.5, 4.5)
    where.cleared(14, Place(0, 0.5))
    assert where.at(14).rear == Span(-0.5, 0.5)
    assert where.at(14).front.lo == 3.5
    where.seen(15, Place(20, 1, End.FRONT))
    assert where.at(15).front == Span(19, 21)
    where.seen(14.5, Place(0, 1, End.FRONT))
    assert where.at(15).front == Span(19, 21), "the latest counts"
    where.turned(16)
    assert where.at(17).front == Span(11, 37 - 8 + 8)
    assert Span(0, 1).within(Span(2, 3)) == Span(0, 1), "a contradiction changes nothing"
    assert Fact(1).front == Span()


def test_places_reach_both_ways() -> None:
    assert (replace(PLACES["front"], reach_m=3).begin, PLACES["front"].until) == (-9, -4)
