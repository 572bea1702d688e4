"""From a portal's line to the event at a back-office, through real programs: alarms, and inspections after a departure.

    python -m benchmarks.latency [--portals 4] [--seconds 60] [--json]

Portals on pseudo-terminals speak as a VM-250 does, every 200 ms while a vehicle is in them → `edge-agent run` → gRPC
with mutual TLS over loopback → `port-gateway serve` → a back-office in this process, which verifies every event. Taken
from before the line is written to after the event is verified: the event is durable at the port some milliseconds
earlier. A departure is the portal's GX; the lane then waits `settle_s` for another sign of the vehicle, which is
subtracted. The peer is the way back and forth alone: one event recorded and acknowledged, in benchmarks/pipeline.py.
"""

import argparse
import asyncio
import json
import statistics
import tempfile
import time
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from benchmarks.device_load import Say, terminal
from edge_agent.wire.v1alpha1.event_pb2 import Event
from port_gateway.client import Received, Subscription, connected
from tests.e2e.port import Site

SAMPLE_S = 0.2
SAMPLES = 6
EMPTY_S = 1.5
SETTLE_S = 0.5
DRAIN_S = 20.0


class Taken:
    """When lines were written and when their events were verified, by key."""

    def __init__(self) -> None:
        self.sent: dict[str, float] = {}
        self.there: dict[str, float] = {}

    def took_ms(self, kind: str) -> list[float]:
        return sorted(
            1000 * (self.there[key] - at) for key, at in self.sent.items() if key in self.there and key[0] == kind
        )

    def missing(self) -> int:
        return len(self.sent.keys() - self.there.keys())


async def portal(number: int, say: Say, taken: Taken, until: float) -> None:
    """One vehicle after the other, each with an alarm half-way."""
    await asyncio.sleep(number * 0.37)
    vehicle = 0
    while time.monotonic() < until:
        vehicle += 1
        say(b"GB,000379,000371,000407,000371\r\nNS,000001,000000,000001,000000\r\n")
        for sample in range(SAMPLES):
            if sample == SAMPLES // 2:
                line = f"GA,{number:06d},{vehicle:06d},000999,000999\r\n"
                taken.sent[f"a {number} {vehicle}"] = time.monotonic()
                say(line.encode())
            else:
                say(b"GS,000093,000093,000093,000093\r\n")
            await asyncio.sleep(SAMPLE_S)
        taken.sent[f"d {number} {vehicle}"] = time.monotonic()
        say(f"GX,{vehicle:06d},006683,000000,000000\r\n".encode())
        await asyncio.sleep(EMPTY_S)


def key_of(event: Event) -> str:
    """Which line an event follows from."""
    if event.WhichOneof("body") == "alarm_raised":
        return f"a {event.alarm_raised.counts[0]} {event.alarm_raised.counts[1]}"
    if event.WhichOneof("body") == "inspection_closed":
        record = event.inspection_closed.inspection
        return f"d {record.lane_id} {record.radiation[0].number}" if record.radiation else ""
    return ""


async def listen(site: Site, taken: Taken, ready: asyncio.Event) -> None:
    keys = site.folder / "keys"
    address = f"127.0.0.1:{site.gateway_port}"
    async with (
        connected(address, keys / "gateway.crt", keys / "office.key", keys / "office.crt") as stub,
        Subscription(stub, after=0) as subscription,
    ):
        ready.set()
        while True:
            received = await subscription.next()
            if isinstance(received, Received):
                key = key_of(received.verified.event)
                if key in taken.sent:
                    taken.there.setdefault(key, time.monotonic())
                await subscription.ack(received.cursor)


async def measure(folder: Path, portals: int, seconds: float) -> dict[str, float]:
    site, taken, ready = Site(folder), Taken(), asyncio.Event()
    await site.trust("booth", "office")
    lines = [terminal() for _ in range(portals)]
    lanes = [
        {
            "id": str(number),
            "expects": ["radiation"],
            "settle_s": SETTLE_S,
            "devices": [{"id": f"portal-{number}", "driver": "rapiscan_vm250", "link": {"url": url, "baud": 9600}}],
        }
        for number, (url, _) in enumerate(lines)
    ]
    config = site.write("booth.yaml", {**_booth(site), "lanes": lanes})
    async with site.gateway(), site.agent(config), asyncio.TaskGroup() as tasks:
        reading = tasks.create_task(listen(site, taken, ready))
        await ready.wait()
        await asyncio.sleep(3.0)  # the agent opens its ports
        until = time.monotonic() + seconds
        async with asyncio.TaskGroup() as saying:
            for number, (_, say) in enumerate(lines):
                saying.create_task(portal(number, say, taken, until))
        end = time.monotonic() + DRAIN_S
        while taken.missing() and time.monotonic() < end:
            await asyncio.sleep(0.1)
        reading.cancel()
    return figures(taken)


def _booth(site: Site) -> Mapping[str, Any]:
    return {
        "identity": {"key": "keys/booth.key", "certificate": "keys/booth.crt"},
        "ledger": {"directory": "ledger"},
        "uplink": {"gateway": f"127.0.0.1:{site.gateway_port}", "gateway_certificate": "keys/gateway.crt"},
    }


def figures(taken: Taken) -> dict[str, float]:
    found: dict[str, float] = {"lines whose event never came": taken.missing()}
    for kind, words, less in (
        ("a", "alarm line to its event at a back-office", 0.0),
        ("d", "departure to the closed inspection at a back-office, less settle_s", 1000 * SETTLE_S),
    ):
        times = [took - less for took in taken.took_ms(kind)]
        found[f"{words}: events"] = len(times)
        if times:
            found[f"{words}: ms, median"] = statistics.median(times)
            found[f"{words}: ms, p99"] = times[min(len(times) - 1, int(len(times) * 0.99))]
            found[f"{words}: ms, largest"] = times[-1]
    return found


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--portals", type=int, default=4)
    parser.add_argument("--seconds", type=float, default=60.0)
    parser.add_argument("--json", action="store_true", help="print one JSON object")
    options = parser.parse_args()
    with tempfile.TemporaryDirectory() as folder:
        found = asyncio.run(measure(Path(folder), options.portals, options.seconds))
    if options.json:
        print(json.dumps(found))
        return
    for name, value in found.items():
        print(f"{name:<84} {value:>9,.1f}")


if __name__ == "__main__":
    main()
