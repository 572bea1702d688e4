"""The booth that scanners push to, and raw sockets for what no client does."""

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

import aiohttp
import pytest

from edge_agent.devices.sources.http_push import HttpPush, Settings
from edge_agent.domain.clock import SystemClock
from edge_agent.domain.errors import StoreFailed
from edge_agent.domain.observation import DeviceStatus, Reading, ScanImage
from tests.contracts.source_imaging import free_port
from tests.integration.devices.conftest import until
from tests.scanner import TOKEN, png

SCAN = png(30, 40)
BEARER = {"Authorization": f"Bearer {TOKEN}"}


class Booth:
    """The source as it runs. Scans become durable while `ledger` is set."""

    def __init__(self, settings: Settings) -> None:
        self.settings = settings
        self.readings: list[Reading] = []
        self.emitting = 0
        self.ledger = asyncio.Event()
        self.ledger.set()
        self.breaks = False

    @property
    def base(self) -> str:
        return f"http{'s' if self.settings.tls else ''}://127.0.0.1:{self.settings.port}"

    @property
    def scans(self) -> list[ScanImage]:
        return [reading.body for reading in self.readings if isinstance(reading.body, ScanImage)]

    async def emit(self, reading: Reading) -> None:
        if isinstance(reading.body, ScanImage):
            self.emitting += 1
            await self.ledger.wait()
            if self.breaks:
                raise StoreFailed("the disk said no")
        self.readings.append(reading)

    async def send(
        self, data: Any = SCAN, path: str = "/scans", method: str = "POST", **named: Any
    ) -> tuple[int, dict[str, Any]]:
        headers = {**BEARER, **named.pop("headers", {})}
        async with (
            aiohttp.ClientSession(timeout=aiohttp.ClientTimeout(30)) as session,
            session.request(method, self.base + path, data=data, headers=headers, **named) as answer,
        ):
            body = await answer.json()
            assert isinstance(body, dict)
            return answer.status, body


def settings(tmp_path: Path, **changes: Any) -> Settings:
    token = tmp_path / "token"
    token.write_text(f"  {TOKEN}\n")
    return Settings(**{"port": free_port(), "token_file": token, **changes})


@asynccontextmanager
async def serving(given: Settings) -> AsyncIterator[Booth]:
    booth = Booth(given)
    async with asyncio.TaskGroup() as tasks:
        task = tasks.create_task(HttpPush(given, SystemClock()).run(booth.emit))
        await until(lambda: any(isinstance(r.body, DeviceStatus) for r in booth.readings) or task.done())
        try:
            yield booth
        finally:
            task.cancel()


@pytest.fixture
async def booth(tmp_path: Path) -> AsyncIterator[Booth]:
    async with serving(settings(tmp_path)) as running:
        yield running


async def raw(booth: Booth, *pieces: bytes, within: float = 5.0) -> bytes:
    """What is answered until the connection is closed; b'' if nothing is, `within` seconds long."""
    reader, writer = await asyncio.open_connection("127.0.0.1", booth.settings.port)
    try:
        for piece in pieces:
            writer.write(piece)
            await writer.drain()
        async with asyncio.timeout(within):
            return await reader.read()
    except ConnectionError:
        return b""
    finally:
        writer.close()


def head(length: int | None = len(SCAN), *more: str, path: str = "/scans", token: str = TOKEN) -> bytes:
    lines = [f"POST {path} HTTP/1.1", "Host: booth", f"Authorization: Bearer {token}", *more]
    return "\r\n".join([*lines, *([] if length is None else [f"Content-Length: {length}"]), "", ""]).encode()
