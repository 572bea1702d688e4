"""Durable events a second through the whole path, and what the machine could do at most, in the same run.

    python -m benchmarks.pipeline [--events N] [--json]

The path: draft → sealed, signed, stored at the booth → gRPC with mutual TLS → verified and durable at the port → acked.
The raw limits stand beside it: one Ed25519 signature and verification (by OpenSSL, and by libsodium, which the gateway
asks first), and one write of a kilobyte with fsync.
"""

import argparse
import asyncio
import json
import os
import statistics
import tempfile
import time
from collections.abc import Callable
from pathlib import Path

import yaml
from cryptography.hazmat.primitives.asymmetric import ed25519
from nacl.bindings import crypto_sign_open

from edge_agent.demo.processes import finished, program
from edge_agent.domain.clock import SystemClock
from edge_agent.domain.event import Draft, InspectionClosed
from edge_agent.domain.inspection import Complete, Inspection, Voted
from edge_agent.domain.observation import CharacterRead
from edge_agent.ledger.identity import BoothIdentity
from edge_agent.ledger.recorder import Ledger, open_ledger
from edge_agent.ledger.signer import open_signer
from edge_agent.uplink.client import Uplink
from edge_agent.uplink.link import Port, UplinkSettings
from edge_agent.wire.identity import Role, SpiffeId, create_identity

BOOTH = SpiffeId("uslrd", Role.BOOTH, "bench")
CLOCK = SystemClock()


def draft() -> Draft:
    """An inspection of ordinary size, about a kilobyte in its envelope."""
    now = CLOCK.now()
    read = tuple(CharacterRead(c, 0.97, (("O", 0.02),)) for c in "ABC1234")
    plate = Voted("ABC1234", 0.97, read, 9, 1, ("A8C1234",), "front")
    inspection = Inspection("0" * 36, "1", now, now, Complete(), plate, observations=40)
    return Draft(InspectionClosed(inspection), now)


def per_second(count: int, work: Callable[[], object], clock: Callable[[], float] = time.perf_counter) -> float:
    began = clock()
    for _ in range(count):
        work()
    return count / (clock() - began)


def raw_limits(folder: Path) -> dict[str, float]:
    key = ed25519.Ed25519PrivateKey.generate()
    message = bytes(1024)
    public, signature = key.public_key(), key.sign(message)
    raw = public.public_bytes_raw()
    with (folder / "raw").open("wb") as file:

        def durable_write() -> None:
            file.write(message)
            file.flush()
            os.fsync(file.fileno())

        return {
            "raw: Ed25519 signatures, a second of processor time": per_second(
                2000, lambda: key.sign(message), time.process_time
            ),
            "raw: Ed25519 verifications, a second of processor time": per_second(
                1000, lambda: public.verify(signature, message), time.process_time
            ),
            "raw: Ed25519 verifications by libsodium, a second of processor time": per_second(
                1000, lambda: crypto_sign_open(signature + message, raw), time.process_time
            ),
            "raw: 1 KiB write + fsync/s": per_second(500, durable_write),
        }


def processor_s(pid: int) -> float:
    """Processor time that a process has used, in seconds."""
    fields = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()
    return (int(fields[11]) + int(fields[12])) / os.sysconf("SC_CLK_TCK")


async def recorded(ledger: Ledger, events: int, together: int) -> float:
    """Durable events a second at the booth, `together` callers at once."""
    one = draft()

    async def caller() -> None:
        for _ in range(events // together):
            await ledger.recorder.record(one)

    began = time.perf_counter()
    async with asyncio.TaskGroup() as group:
        for _ in range(together):
            group.create_task(caller())
    return events / (time.perf_counter() - began)


async def acknowledged(ledger: Ledger, through: int) -> None:
    while ledger.outbox.acked_through() < through:
        await asyncio.sleep(0.002)


async def measure(folder: Path, events: int) -> dict[str, float]:
    figures = raw_limits(folder)
    now = CLOCK.now().utc
    keys = folder / "keys"
    key, certificate = create_identity(keys, "booth", BOOTH, now)
    create_identity(keys, "gateway", SpiffeId("uslrd", Role.GATEWAY, "main"), now, ("127.0.0.1",))
    config = folder / "gateway.yaml"
    config.write_text(yaml.safe_dump({
        "identity": {"key": "keys/gateway.key", "certificate": "keys/gateway.crt"},
        "listen": "127.0.0.1:0",
        "data": "gateway",
    }))  # fmt: skip
    log = folder / "log"
    await finished("trust", log, "port_gateway", "trust", "add", str(config), str(certificate))
    serving = program("gateway", log, "port_gateway", "serve", str(config), "--json")
    booth = open_ledger(folder / "ledger", str(BOOTH), open_signer(f"file:{key}"), CLOCK, "bench", lambda *_: None)
    async with serving as gateway, booth as ledger:
        figures["booth: durable events/s, one at a time"] = await recorded(ledger, min(events, 1000), 1)
        figures["booth: durable events/s, 64 at once"] = await recorded(ledger, events, 64)
        settings = UplinkSettings(gateway=(await gateway.ready())["address"], gateway_certificate=keys / "gateway.crt")
        uplink = Uplink(
            settings,
            Port(settings, BoothIdentity(str(key), certificate)),
            ledger.outbox,
            CLOCK,
            "bench",
            lambda *_: None,
        )
        ledger.recorder.notify(uplink.wake)
        backlog = ledger.recorder.head.seq
        began, used = time.perf_counter(), processor_s(gateway.pid)
        sending = asyncio.ensure_future(uplink.run())
        await acknowledged(ledger, backlog)
        figures["port: verified and durable events/s, from the backlog"] = backlog / (time.perf_counter() - began)
        used = processor_s(gateway.pid) - used
        figures["port: verified and durable events, a second of its processor time"] = backlog / used
        latencies = []
        for _ in range(300):
            began = time.perf_counter()
            seq = (await ledger.recorder.record(draft())).seq
            await acknowledged(ledger, seq)
            latencies.append((time.perf_counter() - began) * 1000)
            await asyncio.sleep(0.005)
        sending.cancel()
        await asyncio.gather(sending, return_exceptions=True)
    latencies.sort()
    figures["plate to durable at the port and acknowledged, ms, median"] = statistics.median(latencies)
    figures["plate to durable at the port and acknowledged, ms, p99"] = latencies[int(len(latencies) * 0.99)]
    return figures


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--events", type=int, default=20_000, help="events of the backlog (default: %(default)s)")
    parser.add_argument("--json", action="store_true", help="print one JSON object")
    options = parser.parse_args()
    with tempfile.TemporaryDirectory() as folder:
        figures = asyncio.run(measure(Path(folder), options.events))
    if options.json:
        print(json.dumps(figures))
        return
    signatures, verifications = (
        figures["raw: Ed25519 signatures, a second of processor time"],
        figures["raw: Ed25519 verifications, a second of processor time"],
    )
    for name, value in figures.items():
        ratio = ""
        if name.startswith("booth"):
            ratio = f"   {value / signatures:6.3f} of the signatures"
        elif name.startswith("port"):
            ratio = f"   {value / verifications:6.3f} of the verifications"
        print(f"{name:<66} {value:>12,.1f}{ratio}")


if __name__ == "__main__":
    main()
