"""Shipped scenarios without a fault: no observation is in the wrong record, and every record equals the truth."""

from collections.abc import Iterator
from dataclasses import replace

import pytest

from benchmarks.inspections import Row, booth_of, count, played
from edge_agent.domain.observation import ContainerCodeRead, Reading
from hardware_sim.world.lane import Lane
from tests.e2e.stepped_booth import oracle


@pytest.mark.parametrize("name", ["convoy", "broken-seal"])
def test_without_a_fault_every_record_equals_the_truth(name: str) -> None:
    scenario, row = played(name), Row()
    count(scenario, booth_of(scenario), row)
    assert row.vehicles == row.records == row.equal >= 3
    assert (row.wrong, row.spurious, row.lacking, row.faults) == (0, 0, 0, [])
    assert row.observations > 10 * row.vehicles, "whose observations are was not found out"
    assert not row.misses


def test_what_is_in_the_wrong_record_is_counted() -> None:
    def eye(lane: Lane, role: str, at: float) -> Iterator[Reading]:
        """At the second truck the container camera shows what it showed of the first."""
        first = lane.passages[0].truck.container_code if lane.passages else ""
        for reading in oracle(lane, role, at):
            stale = isinstance(reading.body, ContainerCodeRead) and len(lane.passages) == 2
            yield replace(reading, body=replace(reading.body, code=first)) if stale else reading  # type: ignore[arg-type]

    scenario, row = played("quiet"), Row()
    count(scenario, booth_of(scenario), row, eye)
    assert row.wrong > 1
    assert (row.vehicles, row.equal) == (3, 2)
    assert row.misses == {"container wrong (nothing planted)": 1}
