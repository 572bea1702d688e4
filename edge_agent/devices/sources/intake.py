"""Where scans that come over a network are taken over: each once, in order, and answered when it is in the ledger.

request ─┐  the same bytes, said to be the same scan: one task, and one answer for all who ask
request ─┼─► look at the file (thread) ─► emit ─► durable ─► every request that waits for it is answered
repeat  ─┘                                          └─ not within `answer_s`: refused, and the scanner tries again
"""

import asyncio
import hashlib
from collections import OrderedDict
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass

from edge_agent.devices.source import Emit
from edge_agent.devices.sources.scan_file import FileSettings, Stated
from edge_agent.devices.sources.scan_reading import File, scan_reading
from edge_agent.devices.sources.threads import in_thread
from edge_agent.domain.clock import Clock
from edge_agent.domain.observation import Malformed, Reading

# Scans taken over lately: a repeat of one is answered and not recorded again. Forgotten at a restart.
REMEMBERED = 1000
# Scans that may wait for the ledger, each with up to 64 MiB in memory.
WAITING = 4

_Key = tuple[bytes, Stated, str]


class NotTaken(Exception):
    """The scan is not in the ledger, as far as is known now: the scanner keeps it and tries again."""


@dataclass(frozen=True, slots=True)
class Taken:
    """A scan that is in the ledger; `repeated` if it was there before this request."""

    sha256: str
    repeated: bool


class Intake:
    """One source's. `failed` raises what `emit` raised: the source must end with it."""

    def __init__(
        self, group: asyncio.TaskGroup, settings: FileSettings, clock: Clock, emit: Emit, answer_s: float
    ) -> None:
        self._group = group
        self._settings = settings
        self._clock = clock
        self._emit = emit
        self._answer_s = answer_s
        self._turn = asyncio.Lock()
        self._pending: dict[_Key, asyncio.Task[None]] = {}
        self._taken: OrderedDict[_Key, None] = OrderedDict()
        self._stopped = False
        self.failed: asyncio.Future[None] = asyncio.get_running_loop().create_future()

    async def take(self, file: File, stated: Stated, note: str = "") -> Taken:
        """Returns when the scan is in the ledger. Raises NotTaken."""
        digest = hashlib.sha256(file.data)
        key = digest.digest(), stated, "" if stated.scan_id else file.name  # else the name is the scan's id
        if key in self._taken:
            return Taken(digest.hexdigest(), repeated=True)
        task = self._pending.get(key)
        repeated = task is not None
        if task is None:
            self._check_open()
            if len(self._pending) >= WAITING:
                raise NotTaken(f"{WAITING} scans wait for the ledger already")
            task = self._group.create_task(self._keep(key, file, stated, note), name="scan intake")
            self._pending[key] = task
        await asyncio.wait({task}, timeout=self._answer_s)
        if key not in self._taken:
            self._check_open()
            raise NotTaken(f"it is not in the ledger after {self._answer_s:g} s")
        return Taken(digest.hexdigest(), repeated)

    async def report(self, why: str) -> None:
        """Something came that is no scan. Raises NotTaken."""
        self._check_open()
        try:
            await self._emit(Reading(Malformed(why), self._clock.monotonic()))
        except Exception as error:
            self.fail(error)
            raise NotTaken("the ledger refused") from error

    def stop(self) -> None:
        """Nothing more is taken; all who wait are told so."""
        self._stopped = True
        for task in self._pending.values():
            task.cancel()

    def _check_open(self) -> None:
        if self._stopped or self.failed.done():
            raise NotTaken("the agent is stopping")

    async def _keep(self, key: _Key, file: File, stated: Stated, note: str) -> None:
        arrived = self._clock.monotonic()
        try:
            async with self._turn:
                reading = await in_thread(
                    lambda: scan_reading([file], stated, self._settings, arrived, note), "scan looked at"
                )
                await self._emit(reading)
        except Exception as error:  # noqa: BLE001 - raised by `run`, through `failed`
            self.fail(error)
        else:
            self._taken[key] = None
            if len(self._taken) > REMEMBERED:
                self._taken.popitem(last=False)
        finally:
            del self._pending[key]

    def fail(self, error: Exception) -> None:
        """The source ends with this error, unless it ends with another already."""
        if not self.failed.done():
            self.failed.set_exception(error)


@asynccontextmanager
async def open_intake(settings: FileSettings, clock: Clock, emit: Emit, answer_s: float) -> AsyncIterator[Intake]:
    """An intake, whose tasks end within. Raises what is raised within."""
    try:
        async with asyncio.TaskGroup() as group:
            intake = Intake(group, settings, clock, emit, answer_s)
            try:
                yield intake
            finally:
                intake.stop()
                if intake.failed.done():
                    intake.failed.exception()  # or it is logged as never looked at
    except BaseExceptionGroup as several:  # only what was raised within: a task of the group raises nothing
        raise several.exceptions[0] from None
