"""A day in minutes: an event loop whose time passes only while everybody waits for it.

    with asyncio.Runner(loop_factory=SteppedLoop) as runner:
        runner.run(a_day())          # inside: SteppedClock(asyncio.get_running_loop())

Where asyncio would sleep until its next timer, this loop goes there at once. While threads work (`asyncio.to_thread`,
an executor, or a block under `working()`) it waits for them really, and time stands still.
"""

import asyncio
import selectors
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from datetime import UTC, datetime
from typing import Any

from edge_agent.domain.clock import ClockState, Instant

# Time begins here, so that nothing mistakes an early moment for none; and on this day.
START_S = 1000.0
START_UTC = datetime(2026, 1, 15, 6, 0, tzinfo=UTC)
# How long threads may work without a word before that is a deadlock.
_WORK_S = 60.0


class NothingHappens(RuntimeError):
    """Everybody waits, and nothing is due: the run would never end."""


class SteppedLoop(asyncio.SelectorEventLoop):
    """An event loop with a simulated clock."""

    def __init__(self) -> None:
        self._stepped = _SteppedSelector(selectors.DefaultSelector())
        super().__init__(self._stepped)

    def time(self) -> float:
        """Simulated seconds since some moment before the beginning."""
        return self._stepped.now

    @contextmanager
    def working(self) -> Iterator[None]:
        """While inside, a thread works whose word is awaited: time stands still. Nests; for the loop's own thread."""
        self._stepped.working += 1
        try:
            yield
        finally:
            self._stepped.working -= 1

    def run_in_executor(  # type: ignore[override]  # what is handed on is not looked at
        self, executor: Any, func: Callable[..., Any], *args: Any
    ) -> asyncio.Future[Any]:
        """As asyncio's; time stands still until it is done."""
        future = super().run_in_executor(executor, func, *args)
        self._stepped.working += 1
        future.add_done_callback(self._one_less)
        return future

    async def shutdown_default_executor(self, *args: Any, **named: Any) -> None:
        """As asyncio's, which waits for a thread."""
        with self.working():
            await super().shutdown_default_executor(*args, **named)

    def _one_less(self, _: object) -> None:
        self._stepped.working -= 1


class SteppedClock:
    """The time of a SteppedLoop, as a `domain.clock.Clock`; wall time from START_UTC."""

    def __init__(self, loop: SteppedLoop) -> None:
        self._loop = loop
        self._start = Instant(START_UTC, round(START_S * 1e9), ClockState.SYNCHRONISED)

    def monotonic(self) -> float:
        return self._loop.time()

    def now(self) -> Instant:
        return self._start.shifted(self._loop.time() - START_S)


class _SteppedSelector(selectors.BaseSelector):
    """A selector that, when nothing is ready, steps time instead of waiting for it."""

    def __init__(self, real: selectors.BaseSelector) -> None:
        self.now = START_S
        self.working = 0
        self._real = real

    def select(self, timeout: float | None = None) -> list[tuple[selectors.SelectorKey, int]]:
        ready = self._real.select(0)
        if ready or (timeout is not None and timeout <= 0):
            return ready
        if self.working > 0:
            ready = self._real.select(_WORK_S)
            if not ready:
                raise NothingHappens(f"threads have worked for {_WORK_S:.0f} s without a word: one of them is stuck")
            return ready
        if timeout is None:
            raise NothingHappens(
                "everybody waits, and no timer is set: something awaits what nobody will do; if a thread or another"
                " process is to do it, await that under SteppedLoop.working()"
            )
        self.now += timeout
        return []

    def register(self, fileobj: Any, events: int, data: Any = None) -> selectors.SelectorKey:
        return self._real.register(fileobj, events, data)

    def unregister(self, fileobj: Any) -> selectors.SelectorKey:
        return self._real.unregister(fileobj)

    def modify(self, fileobj: Any, events: int, data: Any = None) -> selectors.SelectorKey:
        return self._real.modify(fileobj, events, data)

    def get_map(self) -> Mapping[Any, selectors.SelectorKey]:
        return self._real.get_map()

    def get_key(self, fileobj: Any) -> selectors.SelectorKey:
        return self._real.get_key(fileobj)

    def close(self) -> None:
        self._real.close()
