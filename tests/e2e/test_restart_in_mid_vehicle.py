"""A truck stands in the portal while the agent is killed, and stopped as for an upgrade: real processes, one record."""

import asyncio
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from edge_agent.ledger.outbox import LedgerReader
from edge_agent.wire.envelope import read_envelope
from edge_agent.wire.v1alpha1.event_pb2 import Event
from port_gateway.describe import event_json
from tests.e2e.port import DEADLINE_S, Portal, Site, inspections, kill, occupancy

BATCH = 4 * 1024 * 1024


async def ledger_when(site: Site, enough: Callable[[list[dict[str, Any]]], object]) -> list[dict[str, Any]]:
    """The booth's own events, read again until `enough`."""
    async with asyncio.timeout(DEADLINE_S):
        while True:
            events = []
            if (site.folder / "ledger" / "ledger.sqlite3").exists():
                reader = LedgerReader(site.folder / "ledger")
                try:
                    envelopes = reader.after(0, 10_000, BATCH)
                finally:
                    reader.close()
                events = [{"event": event_json(Event.FromString(read_envelope(e)[0]))} for e in envelopes]
            if enough(events):
                return events
            await asyncio.sleep(0.05)


def count(events: list[dict[str, Any]], kind: str) -> int:
    return sum(kind in e["event"] for e in events)


@pytest.mark.proof
@pytest.mark.timeout(400)
async def test_one_truck_one_record_over_a_kill_and_a_stop(tmp_path: Path) -> None:
    site = Site(tmp_path)
    portal = Portal()
    lines = occupancy(7, alarm=True)
    alarming = [line for line in lines if line.startswith("GA")]
    async with portal.listening():
        config = site.booth(portal.port, longest_s=3600.0, resume_s=3600.0)
        async with site.agent(config) as agent:
            await portal.connected()
            portal.send(*lines[:3], *alarming[:4])
            await ledger_when(site, lambda es: count(es, "alarm_raised"))
            kill(agent)
    async with portal.listening(), site.agent(config) as agent:
        await portal.connected()
        portal.send(*alarming[4:6])
        heard = tmp_path / "ledger" / "lanes" / "1.heard"
        before = heard.stat().st_size if heard.exists() else 0
        async with asyncio.timeout(DEADLINE_S):
            while heard.stat().st_size <= before:
                portal.send(alarming[5])
                await asyncio.sleep(0.05)
        await agent.stop()
    async with portal.listening(), site.agent(config) as agent:
        await portal.connected()
        portal.send(*alarming[6:], *lines[-2:])
        events = await ledger_when(site, inspections)
        await agent.stop()
    events = await ledger_when(site, lambda es: count(es, "lane_statistics") >= 3)
    [opened] = [e["event"]["inspection_opened"] for e in events if "inspection_opened" in e["event"]]
    [inspection] = inspections(events)
    assert inspection["id"] == opened["inspection_id"]
    assert [away.get("stopped", False) for away in inspection["resumed"]] == [False, True]
    assert inspection["radiation"][0]["number"] == 7
    assert inspection["radiation"][0]["gamma_alarm"] is True
    assert "abandoned" not in inspection
    alarms = [e["event"]["alarm_raised"] for e in events if "alarm_raised" in e["event"]]
    assert {alarm["inspection_id"] for alarm in alarms} == {inspection["id"]}
    parts = [e["event"]["lane_statistics"] for e in events if "lane_statistics" in e["event"]]
    ends = [part["ended"] for part in parts]
    assert ends.count("PART_END_CUT_OFF") == 1, "the run that was killed, from its ledger"
    assert ends.count("PART_END_STOPPED") == 2
    cut_off = parts[ends.index("PART_END_CUT_OFF")]
    assert cut_off.get("vehicles", 0) == 0, "its truck left in a later run"
    figures = ("arrived", "vehicles", "gamma_alarms")
    assert [sum(part.get(figure, 0) for part in parts) for figure in figures] == [1, 1, len(alarms)]
