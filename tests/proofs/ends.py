"""Both ends of the line while programs are killed: a scanner that gives work, a back-office that has its effect."""

import asyncio
import contextlib
import hashlib
from dataclasses import dataclass, field
from typing import Any

import grpc

from edge_agent.domain.errors import PortUnreachable
from edge_agent.wire.refused import Refused
from edge_agent.wire.v1alpha1 import services_pb2 as wire
from port_gateway.chains import Chains, device_keys
from port_gateway.client import connected
from tests.e2e.port import Site

TOKEN = "kills-kills-kills-kills"


class Lost(AssertionError):
    """What must not be."""


@dataclass
class Scanner:
    """Pushes scans, each once, as fast as they are taken; remembers which were accepted."""

    port: int
    seed: str
    accepted: dict[str, str] = field(default_factory=dict)  # scan id -> SHA-256 of its file
    sent: int = 0
    in_flight: int = 0

    async def push(self, worker: int) -> None:
        while True:
            with contextlib.suppress(OSError, asyncio.IncompleteReadError, ValueError, IndexError):
                reader, writer = await asyncio.open_connection("127.0.0.1", self.port)
                try:
                    while True:
                        await self._one(reader, writer, worker)
                finally:
                    self.in_flight = max(0, self.in_flight - 1)
                    writer.close()
            await asyncio.sleep(0.02)

    async def _one(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter, worker: int) -> None:
        self.sent += 1
        scan = f"{worker}-{self.sent}"
        body = hashlib.sha512(f"{self.seed} {scan}".encode()).digest() * 6
        head = (
            f"POST /scans/{scan}?name={scan}.bin HTTP/1.1\r\nHost: booth\r\nAuthorization: Bearer {TOKEN}\r\n"
            f"Content-Type: application/octet-stream\r\nContent-Length: {len(body)}\r\n\r\n"
        )
        writer.write(head.encode() + body)
        self.in_flight += 1
        said = await reader.readuntil(b"\r\n\r\n")
        status = int(said.split(b" ", 2)[1])
        if status == 201:  # the answer's head is enough: it is written after the ledger's commit
            self.accepted[scan] = hashlib.sha256(body).hexdigest()
        self.in_flight -= 1
        length = next(int(line[15:]) for line in said.lower().split(b"\r\n") if line.startswith(b"content-length:"))
        await reader.readexactly(length)
        if status != 201:
            raise ValueError(said)


async def listens(port: int) -> None:
    """Returns when somebody listens there: an attempt by gRPC costs fifty times as much as this one."""
    while True:
        with contextlib.suppress(OSError):
            _, writer = await asyncio.open_connection("127.0.0.1", port)
            writer.close()
            return
        await asyncio.sleep(0.02)


@dataclass
class BackOffice:
    """Subscribes, verifies, and does with each event the one thing that must be done once."""

    site: Site
    effects: list[tuple[int, bytes]] = field(default_factory=list)  # sequence, SHA-256
    connections: int = 0
    _cursor: int = 0
    _chains: Chains = field(default_factory=lambda: Chains({}))

    async def run(self) -> None:
        keys = self.site.folder / "keys"
        address = f"127.0.0.1:{self.site.gateway_port}"
        while True:
            await listens(self.site.gateway_port)
            with contextlib.suppress(PortUnreachable):
                self.connections += 1
                pair = keys / "office.key", keys / "office.crt"
                async with connected(address, keys / "gateway.crt", *pair) as stub:
                    await self._read(stub)
            await asyncio.sleep(0.03)

    async def _read(self, stub: Any) -> None:
        listed = await stub.ListBooths(wire.ListBoothsRequest(), timeout=5)
        self._chains.learn({b.booth_id: device_keys(b.booth_id, b.certificates) for b in listed.booths}, {})
        call = stub.Subscribe()
        try:
            await call.write(wire.SubscribeRequest(start=wire.SubscribeStart(after=self._cursor)))
            while isinstance(response := await call.read(), wire.SubscribeResponse):
                # No memory but its cursor and the chain: these alone keep an event from having its effect twice.
                try:
                    verified = self._chains.verify(response.booth_id, response.envelope)
                except Refused as refused:
                    raise Lost(f"the back-office was given what it refuses: {refused}") from None
                self.effects.append((verified.event.seq, verified.sha256))
                self._cursor = response.cursor
                if len(self.effects) % 64 == 0:
                    await call.write(wire.SubscribeRequest(ack=wire.SubscribeAck(through=self._cursor)))
            raise grpc.aio.AioRpcError(await call.code(), grpc.aio.Metadata(), grpc.aio.Metadata())
        finally:
            call.cancel()
