"""How long a lost link waits before it is tried again: longer each time, with full jitter, up to half a minute."""

import asyncio
import random
from collections.abc import Awaitable, Callable

BACK_OFF_FIRST_S = 1.0
BACK_OFF_MAX_S = 30.0

Uniform = Callable[[float, float], float]
Sleep = Callable[[float], Awaitable[None]]


class BackOff:
    """One link's. `uniform` and `sleep` stand in for chance and time in tests."""

    def __init__(self, uniform: Uniform = random.uniform, sleep: Sleep = asyncio.sleep) -> None:
        self._uniform = uniform
        self._sleep = sleep
        self._attempts = 0

    async def wait(self, heard: bool) -> None:
        """Waits before the next attempt; `heard`: the last one had brought something, and the count begins anew."""
        self._attempts = 0 if heard else self._attempts
        most = min(BACK_OFF_MAX_S, BACK_OFF_FIRST_S * 2 ** min(self._attempts, 16))
        self._attempts += 1
        await self._sleep(self._uniform(0, most))
