"""The LLRP source's peer: llrpkit's emulator behind a relay on loopback that can garble, stall and pull the cable."""

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager, suppress
from pathlib import Path

from llrpkit.emulator.core import EmulatedTag, LLRPEmulator

from edge_agent.devices.sources.llrp import Settings
from edge_agent.domain.observation import Reading, TagRead
from tests.contracts.source_cases import SourceCase, until

TAG = "E2801190200000000000"


class Relay:
    """One client at a time between a port of its own and the emulator's."""

    def __init__(self, emulator: LLRPEmulator) -> None:
        self._emulator = emulator
        self._server: asyncio.Server | None = None
        self._clients: set[asyncio.StreamWriter] = set()
        self.port = 0
        self.stalled = False  # half-open: the connection stands, and nothing comes through it

    async def open(self) -> None:
        self._server = await asyncio.start_server(self._serve, "127.0.0.1", self.port)
        self.port = self._server.sockets[0].getsockname()[1]

    async def close(self) -> None:
        if self._server:
            self._server.close()
            for client in tuple(self._clients):
                client.transport.abort()
            await self._server.wait_closed()
            self._server = None
            await until(lambda: not self._clients, "the relay's connections end")

    def inject(self, data: bytes) -> None:
        for client in self._clients:
            client.write(data)

    async def _serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        self._clients.add(writer)
        try:
            # The emulator has one client at a time, and needs a moment to see that the last one is gone.
            await until(lambda: not self._emulator._writer, "the emulator is free")
            up, down = await asyncio.open_connection("127.0.0.1", self._emulator.port)
            async with asyncio.TaskGroup() as group:
                group.create_task(self._pump(reader, down), name="relay to the reader")
                group.create_task(self._pump(up, writer), name="relay from the reader")
        finally:
            writer.close()
            self._clients.discard(writer)

    async def _pump(self, source: asyncio.StreamReader, sink: asyncio.StreamWriter) -> None:
        with suppress(OSError):
            while data := await source.read(4096):
                if not self.stalled:
                    sink.write(data)
                    await sink.drain()
        sink.close()


class Reader:
    """The reader, and tags that come before it."""

    def __init__(self, emulator: LLRPEmulator, relay: Relay) -> None:
        self.emulator = emulator
        self.relay = relay
        self._tags = 0

    @property
    def settings(self) -> Settings:
        return Settings(host="127.0.0.1", port=self.relay.port, keepalive_s=0.2, timeout_s=5)

    @property
    def acknowledged(self) -> int:
        return 0

    async def say(self) -> bytes:
        self._tags += 1
        epc = bytes.fromhex(f"{TAG}{self._tags:04X}")
        self.emulator.tags = [EmulatedTag(epc)]
        return epc

    async def garble(self, rubbish: bytes) -> None:
        self.relay.inject(rubbish)

    async def vanish(self) -> None:
        await self.relay.close()

    async def come_back(self) -> None:
        await self.relay.open()


@asynccontextmanager
async def reader(_folder: Path | None = None) -> AsyncIterator[Reader]:
    async with LLRPEmulator(tags=[], reads_per_sec=200) as emulator:
        relay = Relay(emulator)
        await relay.open()
        try:
            yield Reader(emulator, relay)
        finally:
            await relay.close()


def _is_tag(reading: Reading) -> bool:
    return isinstance(reading.body, TagRead) and reading.body.epc.startswith(TAG)


CASES = (SourceCase("llrp", reader, _is_tag),)
