"""What the page knows at this moment: the agent's last word, the last vehicles, how ledger, disk and clock stand."""

import asyncio
import os
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Never

from edge_agent.console.tail import Records, Tail, Vehicle
from edge_agent.domain.clock import Clock, ClockState
from edge_agent.domain.errors import EdgeAgentError

LOOK_S = 1.0
# What the port expects: counted less often, it may be tens of thousands.
LIST_LOOK_S = 5.0
# The port confirms the list every minute while the link is up; older than this the list is told as old.
LIST_OLD_S = 600.0
# The ledger's file may have been exchanged, by a salvage say.
REOPEN_S = 30.0


@dataclass(frozen=True, slots=True)
class Health:
    """As read from the machine, whether or not the agent answers. None: not known. `fault`: the ledger's, in words."""

    newest: int | None = None
    waiting: int | None = None
    waiting_files: int | None = None
    disk_used: float | None = None
    disk_free: int | None = None
    clock: ClockState = ClockState.UNKNOWN
    clock_bound_s: float | None = None
    fault: str = ""


@dataclass(frozen=True, slots=True)
class Listed:
    """This booth's copy of what the port expects. `vehicles`: None where the port has told of none yet; `confirmed`:
    milliseconds since 1970, when the port last said that it is the newest. `fault`: why it cannot be read.
    """

    vehicles: int | None = None
    confirmed: int | None = None
    old: bool = False
    fault: str = ""


class Board:
    """`version` rises with every change. `open_records` opens the ledger of `folder`, `read_list` gives how many
    vehicles the port expects and when it confirmed that (µs since 1970); each may raise EdgeAgentError.
    """

    def __init__(
        self,
        folder: Path,
        open_records: Callable[[], Records],
        read_list: Callable[[], tuple[int | None, int | None]],
        clock: Clock,
    ) -> None:
        self._folder, self._open_records, self._read_list, self._clock = folder, open_records, read_list, clock
        self.version = 0
        self.live: dict[str, Any] | None = None
        self.silent_since = clock.now()
        self.health = Health()
        self.listed = Listed()
        self._listed_at = -LIST_LOOK_S
        self.vehicles: tuple[Vehicle, ...] = ()
        self._records: Records | None = None
        self._opened_at = 0.0
        self._tail = Tail()
        self._head = -1
        self._look_now = asyncio.Event()
        self._news = asyncio.Event()

    def heard(self, snapshot: dict[str, Any] | None) -> None:
        """The agent's word; None: it does not answer."""
        if snapshot is None and self.live is None:
            return
        if snapshot is None:
            self.silent_since = self._clock.now()
        elif snapshot.get("head") != self._head:
            self._head = snapshot["head"]
            self._look_now.set()
        if _telling(snapshot) != _telling(self.live):
            self._change()
        self.live = snapshot

    async def changed(self, since: int) -> int:
        """The version, once it is another than `since`."""
        while self.version == since:
            await self._news.wait()
        return self.version

    def vehicle(self, inspection_id: str) -> Vehicle | None:
        """One of the last vehicles."""
        return next((one for one in self.vehicles if one.inspection.id == inspection_id), None)

    async def picture(self, sha256: bytes) -> tuple[bytes, str] | None:
        """A picture of one of the last vehicles with its media type; None of anything else, or if it is not kept."""
        records, media_type = self._records, self._tail.picture(sha256)
        if records is None or media_type is None:
            return None
        try:
            data = await asyncio.to_thread(records.read_blob, sha256)
        except EdgeAgentError:
            return None
        return None if data is None else (data, media_type)

    async def follow(self) -> Never:
        """Looks at ledger, disk and clock, again and again."""
        while True:
            before = (self.health, self.listed, self.vehicles)
            changed = await asyncio.to_thread(self._look)
            if changed or (self.health, self.listed, self.vehicles) != before:
                self._change()
            self._look_now.clear()
            try:
                async with asyncio.timeout(LOOK_S):
                    await self._look_now.wait()
            except TimeoutError:
                pass

    def _change(self) -> None:
        self.version += 1
        self._news.set()
        self._news = asyncio.Event()

    def _look(self) -> bool:
        changed, fault = False, ""
        counts: tuple[int | None, int | None, int | None] = (None, None, None)
        try:
            records = self._opened()
            changed = self._tail.follow(records)
            newest = records.extent().newest
            counts = (newest, max(0, newest - records.acked_through()), records.blob_states().get("kept", 0))
            if changed:
                self.vehicles = tuple(reversed(self._tail.vehicles.values()))
        except EdgeAgentError as error:
            fault = error.wrong
            self._shut()
        self.health = Health(*counts, *self._disk(), *self._time(), fault)
        if (now := self._clock.monotonic()) - self._listed_at >= LIST_LOOK_S:
            self._listed_at, self.listed = now, self._list()
        return changed

    def _list(self) -> Listed:
        try:
            vehicles, confirmed_us = self._read_list()
        except EdgeAgentError as error:
            return Listed(fault=error.wrong)
        if confirmed_us is None:
            return Listed(vehicles, old=vehicles is not None)
        old = self._clock.now().utc.timestamp() - confirmed_us / 1e6 > LIST_OLD_S
        return Listed(vehicles, confirmed_us // 1000, old)

    def _opened(self) -> Records:
        now = self._clock.monotonic()
        if self._records is not None and now - self._opened_at > REOPEN_S:
            self._shut()
        if self._records is None:
            self._records, self._opened_at = self._open_records(), now
        return self._records

    def _shut(self) -> None:
        if self._records is not None:
            self._records.close()
        self._records = None

    def _disk(self) -> tuple[float | None, int | None]:
        try:
            system = os.statvfs(self._folder)
        except OSError:
            return None, None
        used = system.f_blocks - system.f_bfree
        free = system.f_bavail
        # Rounded to what is shown, so that it does not change with every event.
        return round(used / max(1, used + free), 2), _rounded(free * system.f_frsize)

    def _time(self) -> tuple[ClockState, float | None]:
        now = self._clock.now()
        return now.clock_state, None if now.error is None else round(now.error.bound_us / 1e6, 1)


def _rounded(size: int) -> int:
    """To two digits."""
    step: int = 10 ** max(0, len(str(size)) - 2)
    return size // step * step


def _telling(snapshot: dict[str, Any] | None) -> dict[str, Any] | None:
    """Without what changes with time alone."""
    return None if snapshot is None else {k: v for k, v in snapshot.items() if k not in ("now", "clock", "head")}
