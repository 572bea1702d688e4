"""A run of the LLRP source, and what it told."""

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Any

from llrpkit.protocol import enums, params

from edge_agent.devices.sources.llrp import Llrp, Settings
from edge_agent.domain.clock import SystemClock
from edge_agent.domain.errors import LinkDown
from edge_agent.domain.observation import Body, Reading

SEAL = b"SEAL00000001"
OK = params.LLRPStatus(status_code=enums.StatusCode.M_Success)
GREETING = enums.ConnectionAttemptStatusType


class Heard:
    """A run of the source, and what it told."""

    def __init__(self, port: int, settings: dict[str, Any]) -> None:
        self.readings: list[Reading] = []
        self.down: LinkDown | None = None
        short = {"host": "127.0.0.1", "port": port, "keepalive_s": 5, "timeout_s": 5}
        self._source = Llrp(Settings.model_validate(short | settings), SystemClock())

    async def run(self) -> None:
        try:
            await self._source.run(self._keep)
        except LinkDown as error:
            self.down = error

    async def _keep(self, reading: Reading) -> None:
        self.readings.append(reading)

    @property
    def bodies(self) -> list[Body]:
        return [reading.body for reading in self.readings]

    def of(self, kind: type[Body]) -> list[Any]:
        return [body for body in self.bodies if isinstance(body, kind)]


@asynccontextmanager
async def hearing(port: int, **settings: Any) -> AsyncIterator[Heard]:
    heard = Heard(port, settings)
    async with asyncio.TaskGroup() as group:
        task = group.create_task(heard.run(), name="source")
        try:
            yield heard
        finally:
            task.cancel()
