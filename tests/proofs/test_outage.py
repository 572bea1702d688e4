"""Short and middle form of tests/proofs/outage.py, and that it finds events left out."""

from pathlib import Path

import pytest

from edge_agent.demo.processes import DemoFailed
from tests.proofs.outage import MAX_RSS, outage


@pytest.mark.timeout(300)
async def test_what_an_outage_left_is_drained_while_live_events_go_on(tmp_path: Path) -> None:
    figures = await outage(tmp_path, 1_100, 30, 1)
    assert 0 < figures.rss < MAX_RSS


@pytest.mark.proof
@pytest.mark.timeout(900)
async def test_twenty_thousand_events_of_an_outage(tmp_path: Path) -> None:
    print(await outage(tmp_path, 20_000, 400, 3))


@pytest.mark.proof
@pytest.mark.timeout(300)
async def test_an_event_left_out_of_an_outage_is_found(tmp_path: Path) -> None:
    with pytest.raises((AssertionError, DemoFailed), match=r"the port has \d+ of"):
        await outage(tmp_path, 1_500, 0, 0, "booth's order", 20.0)
