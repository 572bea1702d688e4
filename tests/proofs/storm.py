"""Booths that reconnect at once: python -m tests.proofs.storm --booths 1000 [--outage 10]

A real gateway is killed while all of them are connected, each with a certificate of its own; they record on, and the
gateway comes back. Each booth is the real uplink, at its ordinary settings, over mutual TLS; its ledger is in memory.
Told is when the events of how many booths were durable, counted from the moment at which the gateway listens again.
"""

import argparse
import asyncio
import contextlib
import json
import logging
import os
import signal
import sys
import tempfile
import time
from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager
from dataclasses import dataclass
from datetime import timedelta
from pathlib import Path
from typing import Any

import yaml
from cryptography.hazmat.primitives import serialization
from cryptography.hazmat.primitives.asymmetric import ec

from edge_agent.domain.clock import SystemClock
from edge_agent.ledger.identity import BoothIdentity
from edge_agent.uplink.client import Uplink
from edge_agent.uplink.link import Port, UplinkSettings
from edge_agent.wire.envelope import envelope_sha256
from edge_agent.wire.identity import Role, SpiffeId, create_identity, load_private_key, write_private_key
from edge_agent.wire.tree import Tree
from port_gateway.audit import audit
from port_gateway.authority import Authority, create_authority
from port_gateway.config import read_config
from port_gateway.store import Store
from port_gateway.trust import TrustStore
from tests.e2e.port import free_port
from tests.proofs.faults import FAULTS
from tests.proofs.nursery import nursery
from tests.unit.port_gateway.signing import Ledger

BEFORE, AFTER = 10, 10  # events of each booth before the gateway is killed, and while it is away
PROCESSES = 4
PATIENCE_S = 500.0


class Wrong(AssertionError):
    """What must not be."""


@dataclass(frozen=True)
class Figures:
    """Seconds from the gateway's return until half, 99 of 100, and all of the booths were durable."""

    booths: int
    first_s: float
    half_s: float
    p99_s: float
    all_s: float

    def __str__(self) -> str:
        return (
            f"{self.booths} booths: all durable {self.all_s:.1f} s after the gateway's return (half {self.half_s:.1f},"
            f" 99 of 100 {self.p99_s:.1f}); {self.first_s:.1f} s when all of them connected for the first time"
        )


class Outbox:
    """A ledger in memory, as the uplink reads it."""

    def __init__(self, ledger: Ledger) -> None:
        self.ledger = ledger
        self.booth_id, self.epoch = ledger.booth_id, ledger.epoch
        self.through = 0

    def extent(self) -> tuple[int, int, bytes]:
        return 1, self.ledger.head.seq, self.ledger.head.sha256

    def after(self, seq: int, limit: int, max_bytes: int) -> Sequence[bytes]:
        return self.ledger.envelopes[seq : seq + min(limit, 64)]

    def sha256_at(self, seq: int) -> bytes | None:
        return envelope_sha256(self.ledger.envelopes[seq - 1]) if seq else bytes(32)

    def acked_through(self) -> int:
        return self.through

    def acked(self, through: int) -> None:
        if through < self.through:
            raise Wrong(f"{self.booth_id}: {self.through} events were acknowledged, and the port holds {through}")
        self.through = through

    def tree(self, size: int) -> Tree:
        return Tree().extended(map(envelope_sha256, self.ledger.envelopes[:size]))[0]

    def received(self, size: int, receipt: bytes, certificate: bytes) -> None: ...

    def quarantined(self, events: Sequence[object]) -> None:
        if events:
            raise Wrong(f"{self.booth_id}: {len(events)} events in quarantine")

    def offer_again(self) -> None:
        raise Wrong(f"{self.booth_id}: the port went back")


class Site:
    """A port whose authority has issued a certificate for each booth."""

    def __init__(self, folder: Path, booths: int) -> None:
        self.folder, self.booths = folder, booths
        now = SystemClock().now().utc
        create_identity(folder, "gateway", SpiffeId("uslrd", Role.GATEWAY, "main"), now, ("127.0.0.1",))
        authority = Authority.load(*create_authority(folder, "uslrd", now, timedelta(days=9)), timedelta(days=1))
        certificates = []
        for number in range(booths):
            key = ec.generate_private_key(ec.SECP256R1())
            certificates.append(authority.issue(SpiffeId("uslrd", Role.BOOTH, f"lane-{number}"), key.public_key(), now))
            write_private_key(folder / f"{number}.key", key)
            (folder / f"{number}.crt").write_bytes(certificates[-1].public_bytes(serialization.Encoding.PEM))
        self.address = f"127.0.0.1:{free_port()}"
        self.config = folder / "gateway.yaml"
        self.config.write_text(yaml.safe_dump({
            "identity": {"key": "gateway.key", "certificate": "gateway.crt"},
            "listen": self.address,
            "data": "data",
            "authorities": ["ca.crt"],
        }))  # fmt: skip
        self.settings = read_config(self.config)
        with contextlib.closing(Store(self.settings.database)) as store:
            TrustStore(store, SystemClock(), [authority.certificate]).add(certificates)

    async def listens(self) -> float:
        """When it does."""
        host, _, port = self.address.rpartition(":")
        async with asyncio.timeout(PATIENCE_S):
            while True:
                with contextlib.suppress(OSError):
                    _, writer = await asyncio.open_connection(host, int(port))
                    writer.close()
                    return time.monotonic()
                await asyncio.sleep(0.005)


async def storm(folder: Path, booths: int, outage_s: float, without: str = "") -> Figures:
    """Raises Wrong, and what audit raises."""
    site = Site(folder, booths)
    async with nursery() as cradle, contextlib.AsyncExitStack() as stack:
        log = folder / "gateway.log"
        pid = await cradle.start("gateway", site.config, log, without)
        began = await site.listens()
        each = max(25, -(-booths // PROCESSES))
        groups = [
            await stack.enter_async_context(_group(folder, site.address, range(first, min(first + each, booths))))
            for first in range(0, booths, each)
        ]
        first = await _durable(groups)
        os.kill(pid, signal.SIGKILL)
        await cradle.wait(pid)
        for group in groups:
            _say(group, "grow")
        await asyncio.sleep(outage_s)
        pid = await cradle.start("gateway", site.config, log, without)
        back = await site.listens()
        again = [at - back for at in await _durable(groups)]
        os.kill(pid, signal.SIGTERM)
        await cradle.wait(pid)
    counts, alarms = audit(site.settings)
    wanted = booths * (1 + BEFORE + AFTER)
    if counts.events != wanted or alarms:
        raise Wrong(f"the port holds {counts.events} events of {wanted}, alarms {alarms[:3]}")
    return Figures(booths, first[-1] - began, again[booths // 2], again[int(booths * 0.99)], again[-1])


@asynccontextmanager
async def _group(folder: Path, address: str, numbers: range) -> AsyncIterator[asyncio.subprocess.Process]:
    """Some of the booths, in a process of their own."""
    arguments = (str(folder), address, str(numbers.start), str(numbers.stop))
    process = await asyncio.create_subprocess_exec(
        *(sys.executable, "-m", "tests.proofs.storm", "group", *arguments),
        stdin=asyncio.subprocess.PIPE,
        stdout=asyncio.subprocess.PIPE,
        limit=4 * 1024 * 1024,
    )
    try:
        yield process
    finally:
        if process.returncode is None:
            process.kill()
        await process.wait()


def _say(process: asyncio.subprocess.Process, text: str) -> None:
    assert process.stdin is not None
    process.stdin.write(text.encode() + b"\n")


async def _durable(groups: Sequence[asyncio.subprocess.Process]) -> list[float]:
    """When the events of each booth were durable, in order."""
    found: list[float] = []
    async with asyncio.timeout(PATIENCE_S):
        for group in groups:
            assert group.stdout is not None
            line = await group.stdout.readline()
            if not line:
                raise Wrong("some booths ended by themselves: see above")
            found += json.loads(line)
    return sorted(found)


# --- in a process of some booths ----------------------------------------------------------------------------------


async def _be_booths(folder: Path, address: str, numbers: range) -> None:
    settings = UplinkSettings(gateway=address, gateway_certificate=folder / "gateway.crt")
    outboxes, uplinks = [], []
    for number in numbers:
        identity = BoothIdentity(str(folder / f"{number}.key"), folder / f"{number}.crt")
        ledger = Ledger(f"spiffe://uslrd/booth/lane-{number}", load_private_key(folder / f"{number}.key"))
        ledger.grow(BEFORE)
        outboxes.append(Outbox(ledger))
        uplinks.append(
            Uplink(settings, Port(settings, identity), outboxes[-1], SystemClock(), "storm", lambda *_: None)
        )
    asked: asyncio.Queue[str] = asyncio.Queue()
    loop = asyncio.get_running_loop()
    loop.add_reader(sys.stdin.fileno(), lambda: asked.put_nowait(sys.stdin.readline()))
    async with asyncio.TaskGroup() as group:
        running = [group.create_task(uplink.run(), name="uplink") for uplink in uplinks]
        print(json.dumps(await _until_all(outboxes)), flush=True)
        if not await asked.get():
            os._exit(1)  # who asked is gone
        for outbox, uplink in zip(outboxes, uplinks, strict=True):
            outbox.ledger.grow(AFTER)
            uplink.wake()
        print(json.dumps(await _until_all(outboxes)), flush=True)
        for task in running:
            task.cancel()


async def _until_all(outboxes: list[Outbox]) -> list[float]:
    """When each was acknowledged to its end."""
    at: dict[int, float] = {}
    parent = os.getppid()
    while len(at) < len(outboxes):
        if os.getppid() != parent:
            os._exit(1)
        for number, outbox in enumerate(outboxes):
            if number not in at and outbox.through == outbox.ledger.head.seq:
                at[number] = time.monotonic()
        await asyncio.sleep(0.02)
    return list(at.values())


def main() -> None:
    if sys.argv[1:2] == ["group"]:
        logging.disable(logging.WARNING)
        folder, address, first, end = sys.argv[2:]
        asyncio.run(_be_booths(Path(folder), address, range(int(first), int(end))))
        return
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--booths", type=int, default=1000)
    parser.add_argument("--outage", type=float, default=10.0, help="seconds without the gateway")
    parser.add_argument("--without", choices=sorted(FAULTS), default="", help="take a protection away: it must fail")
    options = parser.parse_args()
    with tempfile.TemporaryDirectory() as folder:
        work: Any = storm(Path(folder), options.booths, options.outage, options.without)
        print(asyncio.run(work), flush=True)


if __name__ == "__main__":
    main()
