"""One lane, from the portal's socket to the back-office, with real programs in between."""

import asyncio
import json
import random
from pathlib import Path

import pytest

from edge_agent.domain.clock import SystemClock
from edge_agent.ledger.outbox import LedgerReader
from edge_agent.wire.identity import Role, SpiffeId, create_identity
from tests.e2e.port import Portal, Site, inspections, kill, occupancy, portal_states


async def test_one_radiation_line_from_the_socket_to_the_back_office(tmp_path: Path) -> None:
    site = Site(tmp_path)
    await site.trust("booth", "office")
    async with Portal().listening() as portal, site.gateway(), site.agent(site.booth(portal.port)):
        await portal.connected()
        lines = occupancy(7, alarm=True)
        portal.send(*lines)
        records = await site.received_when(lambda rs: inspections(rs))
        assert all(record["verified"] for record in records)
        assert [record["seq"] for record in records] == list(range(1, len(records) + 1))
        [inspection] = inspections(records)
        assert "complete" in inspection
        assert inspection["radiation"][0]["number"] == 7
        assert inspection["radiation"][0]["gamma_alarm"] is True
        assert inspection["radiation"][0]["cross_check_alarm"] is True
        kinds = [next(k for k in r["event"] if k in ("alarm_raised", "inspection_closed")) for r in records
                 if "alarm_raised" in r["event"] or "inspection_closed" in r["event"]]  # fmt: skip
        assert kinds == ["alarm_raised", "inspection_closed"], "the alarm does not wait for the inspection"
        [closing] = [r for r in records if "inspection_closed" in r["event"]]
        digests = {piece["kind"]: piece["sha256"] for piece in closing["event"]["evidence"]}
        status, printed = await site.command(
            "port_gateway", "fetch", *digests.values(), "--json", "--out", str(tmp_path / "evidence"), *site.connection
        )
        assert status == 0
        paths = {answer["sha256"]: Path(answer["path"]) for answer in map(json.loads, printed.splitlines())}
        profile = paths[digests["radiation_profile"]].read_text()
        assert all(line in profile for line in lines if line[:2] in ("GB", "NB", "GA", "NS"))
    status, _ = await site.command("port_gateway", "verify", str(site.gateway_config))
    assert status == 0


async def test_an_unplugged_portal_and_garbage_are_recorded(tmp_path: Path) -> None:
    site = Site(tmp_path)
    await site.trust("booth", "office")
    portal = Portal()
    async with site.gateway():
        async with portal.listening():
            agent = site.agent(site.booth(portal.port))
            await agent.__aenter__()
            await portal.connected()
            portal.send("GB,000300,000310,000305,000299", "\x00\xff no portal says this")
            await site.received_when(lambda rs: any("unassigned" in r["event"] for r in rs))
        try:
            await site.received_when(lambda rs: "OFFLINE" in portal_states(rs))
            async with portal.listening():
                await portal.connected()
                portal.send("GB,000300,000310,000305,000299")
                records = await site.received_when(lambda rs: portal_states(rs).count("ONLINE") == 2)
                before, after = "WAITING ONLINE OFFLINE", "ONLINE"
                assert " ".join(portal_states(records)) in (f"{before} {after}", f"{before} WAITING {after}")
        finally:
            await agent.__aexit__(None, None, None)


async def test_an_unknown_booth_waits_until_it_is_registered(tmp_path: Path) -> None:
    site = Site(tmp_path)
    await site.trust("office")
    async with Portal().listening() as portal, site.gateway(), site.agent(site.booth(portal.port)):
        await portal.connected()
        portal.send(*occupancy(1))
        await asyncio.sleep(1.5)
        assert await site.received() == []
        await site.trust("booth")
        records = await site.received_when(lambda rs: inspections(rs))
        assert records[0]["seq"] == 1, "nothing that happened before the registration is lost"


async def test_the_certificate_of_another_booth_does_not_speak_for_this_one(tmp_path: Path) -> None:
    site = Site(tmp_path)
    await site.trust("booth", "office")
    for path in (tmp_path / "keys").glob("booth.*"):
        path.unlink()
    create_identity(tmp_path / "keys", "booth", SpiffeId("uslrd", Role.BOOTH, "lane-1"), SystemClock().now().utc)
    async with Portal().listening() as portal, site.gateway(), site.agent(site.booth(portal.port)):
        await portal.connected()
        portal.send(*occupancy(1))
        await asyncio.sleep(2)
        assert await site.received() == []


@pytest.mark.proof  # tests/proofs/test_kills.py kills sixty times in each test run
@pytest.mark.timeout(300)
async def test_kills_of_agent_and_gateway_lose_and_double_nothing(tmp_path: Path) -> None:
    """Inspections that a kill interrupts; hundreds of kills are in tests/proofs/kills.py."""
    seed, kills = 20260101, 6
    rng = random.Random(seed)
    site = Site(tmp_path)
    await site.trust("booth", "office")
    seen: dict[int, str] = {}
    async with Portal().listening() as portal, asyncio.TaskGroup() as group:
        config = site.booth(portal.port)
        traffic = group.create_task(_traffic(portal, rng))
        for round_ in range(kills):
            async with site.gateway() as gateway, site.agent(config) as agent:
                await portal.connected()
                await asyncio.sleep(rng.uniform(0.8, 2.0))
                _grows(seen, await site.received(limit=_acked(site)))
                victims = [[agent], [gateway], [agent, gateway]][round_ % 3]
                for victim in victims:
                    kill(victim)
                await asyncio.sleep(rng.uniform(0, 0.4))  # the other one goes on alone
                await asyncio.sleep(rng.uniform(0, 0.4))
        traffic.cancel()
        async with site.gateway(), site.agent(config):
            ledger = LedgerReader(tmp_path / "ledger")
            try:
                records = await site.received_when(lambda rs: rs and rs[-1]["seq"] >= ledger.extent().newest)
                _grows(seen, records)
                for record in records:
                    sha256 = ledger.sha256_at(record["seq"])
                    assert sha256 is not None
                    assert sha256.hex() == record["sha256"]
            finally:
                ledger.close()
    opened = [r["event"]["inspection_opened"]["inspection_id"] for r in records if "inspection_opened" in r["event"]]
    closed = [i["id"] for i in inspections(records)]
    assert len(opened) >= kills // 2, "one that a kill interrupted goes on"
    assert len(set(opened)) == len(opened)
    assert len(set(closed)) == len(closed)
    assert set(opened[:-1]) <= set(closed), "what a kill left open went on, and was closed"
    status, said = await site.command("port_gateway", "verify", str(site.gateway_config))
    assert status == 0, said


def _acked(site: Site) -> int:
    """How many events the port has acknowledged, as the ledger knows: there is always one more to come."""
    ledger = LedgerReader(site.folder / "ledger")
    try:
        return ledger.acked_through()
    finally:
        ledger.close()


async def _traffic(portal: Portal, rng: random.Random) -> None:
    number = 0
    while True:
        number += 1
        for line in occupancy(number, alarm=number % 5 == 0):
            portal.send(line)
            await asyncio.sleep(rng.uniform(0, 0.03))
        await asyncio.sleep(rng.uniform(0.1, 0.5))


def _grows(seen: dict[int, str], records: list[dict[str, object]]) -> None:
    """What a back-office has seen once stays as it was; sequences have no holes and no doubles."""
    sequences = [int(str(record["seq"])) for record in records]
    assert sequences == list(range(1, len(sequences) + 1))
    now = {int(str(record["seq"])): str(record["sha256"]) for record in records}
    assert seen.items() <= now.items()
    seen.update(now)
