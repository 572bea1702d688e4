"""A port with one booth, as real programs: gateway, agent and a back-office, and portals that tests speak through."""

import asyncio
import json
import os
import signal
import socket
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

import yaml

from edge_agent.demo.processes import Program, finished, program
from edge_agent.domain.clock import SystemClock
from edge_agent.wire.identity import Role, SpiffeId, create_identity

DEADLINE_S = 60.0


def free_port() -> int:
    """A port that nobody listens on; programs that are killed come back on the same one."""
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port: int = probe.getsockname()[1]
        return port


class Site:
    """Identities, settings files and folders below one directory, which may hold those of before."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.gateway_config = folder / "gateway.yaml"
        if self.gateway_config.exists():
            self.gateway_port = int(yaml.safe_load(self.gateway_config.read_text())["listen"].rpartition(":")[2])
            return
        self.gateway_port = free_port()
        now = SystemClock().now().utc
        keys = folder / "keys"
        create_identity(keys, "booth", SpiffeId("uslrd", Role.BOOTH, "lane-1"), now)
        create_identity(keys, "gateway", SpiffeId("uslrd", Role.GATEWAY, "main"), now, ("127.0.0.1",))
        create_identity(keys, "office", SpiffeId("uslrd", Role.BACK_OFFICE, "customs"), now)
        (folder / "logs").mkdir()
        self.write("gateway.yaml", {
            "identity": {"key": "keys/gateway.key", "certificate": "keys/gateway.crt"},
            "listen": f"127.0.0.1:{self.gateway_port}",
            "data": "gateway",
            "limits": {"heartbeat_s": 0.5},
        })  # fmt: skip

    def write(self, name: str, settings: dict[str, Any]) -> Path:
        path = self.folder / name
        path.write_text(yaml.safe_dump(settings))
        return path

    def booth(self, portal_port: int, **lane: Any) -> Path:
        return self.write("booth.yaml", {
            "identity": {"key": "keys/booth.key", "certificate": "keys/booth.crt"},
            "ledger": {"directory": "ledger"},
            "uplink": {
                "gateway": f"127.0.0.1:{self.gateway_port}",
                "gateway_certificate": "keys/gateway.crt",
                "back_off_s": 0.1,
                "back_off_max_s": 0.5,
                "refused_retry_s": 0.5,
            },
            "lanes": [{
                "id": "1",
                "expects": ["radiation"],
                "settle_s": 0.2,
                "devices": [
                    {"id": "portal", "driver": "rapiscan_vm250", "link": {"url": f"socket://127.0.0.1:{portal_port}"}}
                ],
            } | lane],
        })  # fmt: skip

    async def trust(self, *names: str) -> None:
        certificates = [str(self.folder / "keys" / f"{name}.crt") for name in names]
        status, said = await self.command("port_gateway", "trust", "add", str(self.gateway_config), *certificates)
        assert status == 0, said

    async def command(self, module: str, *arguments: str) -> tuple[int, str]:
        return await finished(module, self.log("commands"), module, *arguments)

    def log(self, name: str) -> Path:
        return self.folder / "logs" / f"{name}.log"

    @asynccontextmanager
    async def gateway(self) -> AsyncIterator[Program]:
        serving = program("gateway", self.log("gateway"), "port_gateway", "serve", str(self.gateway_config), "--json")
        async with serving as running:
            await running.ready()
            yield running

    def agent(self, config: Path) -> Any:
        return program("agent", self.log("agent"), "edge_agent", "run", str(config))

    @property
    def connection(self) -> tuple[str, ...]:
        keys = self.folder / "keys"
        return (
            *("--gateway", f"127.0.0.1:{self.gateway_port}", "--gateway-certificate", str(keys / "gateway.crt")),
            *("--key", str(keys / "office.key"), "--certificate", str(keys / "office.crt")),
        )

    async def received(self, limit: int = 1_000_000) -> list[dict[str, Any]]:
        """The events that a back-office receives from the beginning, verified by it, until a second brings none."""
        status, printed = await self.command(
            *("port_gateway", "tail", "--json", "--from", "0", "--wait", "1", "--limit", str(limit)), *self.connection
        )
        assert status == 0, self.log("commands").read_text()
        return [json.loads(line) for line in printed.splitlines()]

    async def received_when(self, enough: Any) -> list[dict[str, Any]]:
        """As `received`, asked again until `enough(records)`."""
        async with asyncio.timeout(DEADLINE_S):
            while True:  # each round is a whole back-office that connects, verifies and leaves
                records = await self.received()
                if enough(records):
                    return records


class Portal:
    """A portal's TCP port. What is sent while nobody is connected is lost, as with the real one."""

    def __init__(self) -> None:
        self.port = 0
        self._writers: set[asyncio.StreamWriter] = set()
        self._connected = asyncio.Event()

    @asynccontextmanager
    async def listening(self) -> AsyncIterator["Portal"]:
        server = await asyncio.start_server(self._serve, "127.0.0.1", self.port)
        self.port = server.sockets[0].getsockname()[1]
        try:
            yield self
        finally:
            server.close()
            for writer in self._writers:
                writer.transport.abort()
            await server.wait_closed()
            self._connected.clear()

    async def _serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        self._writers.add(writer)
        self._connected.set()
        try:
            while await reader.read(1024):
                pass
        except OSError:
            pass
        finally:
            self._writers.discard(writer)
            writer.close()

    async def connected(self) -> None:
        async with asyncio.timeout(DEADLINE_S):
            await self._connected.wait()

    def send(self, *lines: str) -> None:
        for writer in self._writers:
            writer.write("".join(f"{line}\r\n" for line in lines).encode())


def occupancy(number: int, alarm: bool = False) -> list[str]:
    """A vehicle in the portal: background before it, five lines at once, some more, and the end."""
    tag = "GA" if alarm else "GS"
    count = "000900" if alarm else "000062"
    lines = ["GB,000300,000310,000305,000299", "NB,000001,000000,000002,000000", "NS,000000,000000,000000,000000"]
    lines += [f"{tag},{count},000060,000061,0000{50 + i}" for i in range(8)]
    return [*lines, "SP,0.2000,003.41,005.49,000000", f"GX,{number:06},000640,000000,000000"]


def kill(process: Program) -> None:
    """SIGKILL, as the kernel or a power cut would."""
    os.kill(process.pid, signal.SIGKILL)


def inspections(records: list[dict[str, Any]]) -> list[dict[str, Any]]:
    return [r["event"]["inspection_closed"]["inspection"] for r in records if "inspection_closed" in r["event"]]


def portal_states(records: list[dict[str, Any]]) -> list[str]:
    """The states that the portal went through, in short words."""
    changes = [r["event"]["device_changed"] for r in records if "device_changed" in r["event"]]
    return [change["status"]["state"].removeprefix("DEVICE_STATE_") for change in changes if "status" in change]
