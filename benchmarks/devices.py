"""16 portals, 16 seal scanners and 4 scales on one agent, and on a peer that only writes their lines down.

    python -m benchmarks.devices [--seconds N] [--json]

Processor share of the agent's process, and the time from a message's last byte to its durable event: a vehicle's
arrival, a radiation alarm, a seal. A weight becomes part of an inspection's event, so the scales are load. The devices
are a process of their own (benchmarks/device_load.py). The peer in the same run: a thread a port that reads lines with
pyserial and commits each to SQLite (WAL, synchronous=FULL); it checks, joins and signs nothing.
"""

import argparse
import asyncio
import json
import sqlite3
import subprocess
import sys
import tempfile
import threading
import time
from collections import Counter
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import IO, Any

import serial
import yaml

from edge_agent.config import Setup, read_config
from edge_agent.domain.clock import SystemClock
from edge_agent.domain.event import AlarmRaised, Draft, InspectionOpened, Unassigned
from edge_agent.domain.observation import SealRead
from edge_agent.ledger.recorder import Recorder, open_ledger
from edge_agent.line import Line
from edge_agent.wire.identity import Role, SpiffeId, create_identity

# How long what was said last may take to be durable.
DRAIN_S = 5.0
CONNECT_S = 30.0


@dataclass
class Measured:
    """`durable`: when each message's event was, by the load's own keys; `cpu_s` of this process while it was read."""

    durable: dict[str, float] = field(default_factory=dict)
    cpu_s: float = 0.0
    events: int = 0


class Load:
    """The process with the devices."""

    def __init__(self, process: "subprocess.Popen[str]") -> None:
        assert process.stdin
        assert process.stdout
        self._in: IO[str] = process.stdin
        self._out: IO[str] = process.stdout
        self.urls: dict[str, list[str]] = json.loads(self._out.readline())

    def begin(self) -> None:
        self._in.write("go\n")
        self._in.flush()

    def end(self) -> dict[str, Any]:
        """Waits for it."""
        ended: dict[str, Any] = json.loads(self._out.readline())
        return ended


@contextmanager
def devices(seconds: float) -> Iterator[Load]:
    with subprocess.Popen(
        [sys.executable, "-m", "benchmarks.device_load", str(seconds)],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        text=True,
    ) as process:
        try:
            yield Load(process)
        finally:
            process.kill()


# --- the agent ----------------------------------------------------------------------------------------------------


def booth(folder: Path, urls: dict[str, list[str]]) -> Setup:
    """Every device in a lane of its own: what it says that can be an event is one at once."""
    now = SystemClock().now().utc
    create_identity(folder / "keys", "booth", SpiffeId("uslrd", Role.BOOTH, "bench"), now)
    create_identity(folder / "keys", "gateway", SpiffeId("uslrd", Role.GATEWAY, "main"), now, ("localhost",))
    drivers = {"portals": "rapiscan_vm250", "scanners": "barcode_scanner", "scales": "toledo_continuous"}
    lanes = [
        {"id": f"{kind}-{n}", "expects": [], "devices": [{"id": f"{kind}-{n}", "driver": driver, "link": {"url": url}}]}
        for kind, driver in drivers.items()
        for n, url in enumerate(urls[kind])
    ]
    path = folder / "booth.yaml"
    path.write_text(yaml.safe_dump({
        "identity": {"key": "keys/booth.key", "certificate": "keys/booth.crt"},
        "ledger": {"directory": "ledger"},
        "uplink": {"gateway": "localhost:7443", "gateway_certificate": "keys/gateway.crt"},
        "lanes": lanes,
    }))  # fmt: skip
    return read_config(path)


class _Watched:
    """The recorder, with the moment at which each event was durable."""

    def __init__(self, recorder: Recorder, measured: Measured) -> None:
        self._recorder = recorder
        self._measured = measured
        self._arrivals: Counter[str] = Counter()
        self.states = 0

    async def record(self, draft: Draft) -> object:
        recorded = await self._recorder.record(draft)
        at, body, key = time.monotonic(), draft.body, ""
        self._measured.events += 1
        match body:
            case InspectionOpened():
                self._arrivals[body.lane_id] += 1
                key = f"arrival {body.lane_id.removeprefix('portals-')} {self._arrivals[body.lane_id]}"
            case AlarmRaised():
                key = body.raw.decode().strip()
            case Unassigned() if isinstance(body.observation.body, SealRead):
                key = body.observation.body.number
            case _:
                self.states += 1
        if key:
            self._measured.durable[key] = at
        return recorded


async def agent(folder: Path, seconds: float) -> tuple[Measured, dict[str, Any]]:
    clock, measured = SystemClock(), Measured()
    with devices(seconds) as load:
        setup = booth(folder, load.urls)
        signer = setup.identity().signer(None)
        ledger_of = open_ledger(setup.ledger, str(setup.booth), signer, clock, "bench", lambda *_: None)
        async with ledger_of as ledger, asyncio.TaskGroup() as group:
            watched = _Watched(ledger.recorder, measured)
            lines = [Line(lane, watched.record, clock, None) for lane in setup.lanes]
            stopping = asyncio.Event()

            async def work() -> None:
                async with asyncio.TaskGroup() as tasks:
                    for line in lines:
                        line.start(tasks)
                    await stopping.wait()
                    raise _OverError

            working = group.create_task(_until_over(work()))
            async with asyncio.timeout(CONNECT_S):
                while watched.states < len(lines):  # each device says once that it is connected
                    await asyncio.sleep(0.02)
            before = time.process_time()
            load.begin()
            ended = await asyncio.to_thread(load.end)
            measured.cpu_s = time.process_time() - before
            await _all_durable(measured, ended)
            stopping.set()
            await working
    return measured, ended


class _OverError(Exception):
    """The devices have said everything."""


async def _until_over(work: Any) -> None:
    try:
        await work
    except* _OverError:
        pass


async def _all_durable(measured: Measured, ended: dict[str, Any]) -> None:
    until = time.monotonic() + DRAIN_S
    while len(measured.durable) < len(ended["sent"]) and time.monotonic() < until:
        await asyncio.sleep(0.02)


# --- the peer -----------------------------------------------------------------------------------------------------


def peer(folder: Path, seconds: float) -> tuple[Measured, dict[str, Any]]:
    measured, lock, stop = Measured(), threading.Lock(), threading.Event()
    database = sqlite3.connect(folder / "peer.db", check_same_thread=False, isolation_level=None)
    database.execute("PRAGMA journal_mode=WAL")
    database.execute("PRAGMA synchronous=FULL")
    database.execute("CREATE TABLE line (port TEXT, at REAL, data BLOB)")
    arrivals: Counter[int] = Counter()

    def key_of(data: bytes, number: int, occupied: list[bool]) -> str:
        said = data.decode("latin-1").strip()
        if said.startswith("]C0"):
            return said[3:]
        if said.startswith("GA,"):
            return said
        was, occupied[0] = occupied[0], said[:2] in ("NS", "GS") or (occupied[0] and said[:2] not in ("GX", "GB"))
        if occupied[0] and not was:
            arrivals[number] += 1
            return f"arrival {number} {arrivals[number]}"
        return ""

    def read(port: serial.SerialBase, number: int, end: bytes) -> None:
        occupied, data = [False], b""
        while not stop.is_set():
            data += port.read_until(end)
            if not data.endswith(end):  # the time is over within a line
                continue
            with lock:
                database.execute("INSERT INTO line VALUES (?, ?, ?)", (port.port, time.time(), data))  # noqa: TID251
                at = time.monotonic()
                measured.events += 1
            if key := key_of(data, number, occupied):
                measured.durable[key] = at
            data = b""

    with devices(seconds) as load:
        threads = []
        for kind, end in (("portals", b"\n"), ("scanners", b"\n"), ("scales", b"\r")):
            for number, url in enumerate(load.urls[kind]):
                port = serial.serial_for_url(url, baudrate=9600, timeout=0.2)
                threads.append(threading.Thread(target=read, args=(port, number, end), daemon=True))
        for thread in threads:
            thread.start()
        before = time.process_time()
        load.begin()
        ended = load.end()
        measured.cpu_s = time.process_time() - before
        asyncio.run(_all_durable(measured, ended))
        stop.set()
        for thread in threads:
            thread.join()
    database.close()
    return measured, ended


# --- what came out ------------------------------------------------------------------------------------------------


def figures(measured: Measured, ended: dict[str, Any]) -> dict[str, float]:
    sent: dict[str, float] = ended["sent"]
    late = sorted((measured.durable[key] - at) * 1000 for key, at in sent.items() if key in measured.durable)
    return {
        "messages a second": ended["messages"] / ended["seconds"],
        "durable writes a second": measured.events / ended["seconds"],
        "processor share of one core": measured.cpu_s / ended["seconds"],
        "readings with an event": len(sent),
        "of them without one": len(sent) - len(late),
        "last byte to durable, ms, median": late[len(late) // 2],
        "last byte to durable, ms, p99": late[int(len(late) * 0.99)],
        "last byte to durable, ms, largest": late[-1],
    }


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--seconds", type=float, default=60, help="how long the devices speak (default: %(default)s)")
    parser.add_argument("--json", action="store_true", help="print one JSON object")
    options = parser.parse_args()
    with tempfile.TemporaryDirectory() as folder:
        found = {"agent": figures(*asyncio.run(agent(Path(folder), options.seconds)))}
    with tempfile.TemporaryDirectory() as folder:
        found["peer"] = figures(*peer(Path(folder), options.seconds))
    if options.json:
        print(json.dumps(found))
        return
    print(f"{'figure':<36} {'agent':>12} {'peer':>12} {'ratio':>8}")
    for name, value in found["agent"].items():
        other = found["peer"][name]
        ratio = f"{value / other:8.2f}" if other else ""
        print(f"{name:<36} {value:>12,.2f} {other:>12,.2f} {ratio}")


if __name__ == "__main__":
    main()
