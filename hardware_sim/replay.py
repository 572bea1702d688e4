"""Serves a recorded session again: the same links, the same bytes at the same times, without a world.

What readers send is read and not answered: the recorded answers come when they came. A reader that attaches gets the
greeting that a reader got at that time of the record.
"""

import asyncio
from bisect import bisect_right
from pathlib import Path

from edge_agent.domain.clock import Clock
from hardware_sim.clock import WorldClock
from hardware_sim.links.link import Link, build_link
from hardware_sim.record import Session


class Replay:
    """The devices of a session, between `open` and `close`."""

    def __init__(self, session: Session, out: Path, clock: Clock, speed: float = 1.0) -> None:
        """Relative paths of terminals lie in `out`; `speed`: how much faster than recorded."""
        self.session = session
        self.clock = WorldClock(clock, speed)
        self._began: float | None = None
        self._up: set[tuple[str, int]] = set()
        self.links: dict[tuple[str, int], Link] = {
            (name, number): build_link(settings, out, lambda place=(name, number): self._greeting(place), lambda _: b"")  # type: ignore[misc]
            for name, device in session.header.devices.items()
            for number, settings in enumerate(device.links)
        }

    def places(self) -> dict[str, dict[str, object]]:
        """What is where, as `hardware-sim run` says it. Services have no place here."""
        places: dict[str, dict[str, object]] = {}
        for name, device in self.session.header.devices.items():
            if urls := [self.links[name, number].url for number in range(len(device.links))]:
                places[name] = {"kind": device.kind, "url": urls[0], "urls": urls, "lane": device.lane}
        return places

    async def open(self) -> None:
        """Bring up every link. What was brought up is closed again if one fails."""
        try:
            for place, link in self.links.items():
                await link.open()
                self._up.add(place)
        except BaseException:
            await self.close()
            raise

    async def run(self, released: asyncio.Event | None = None) -> None:
        """Say everything again, from now on or when `released` is set; returns with the record's end."""
        async with asyncio.TaskGroup() as tasks:
            watchers = [tasks.create_task(link.watch(), name=f"watch {n}") for (n, _), link in self.links.items()]
            if released is not None:
                await released.wait()
            await self._play()
            for watcher in watchers:
                watcher.cancel()

    async def _play(self) -> None:
        began = self._began = self.clock.monotonic()
        never = asyncio.Event()
        for entry in self.session.entries():
            while (left := began + entry.t - self.clock.monotonic()) > 0:
                await self.clock.wait(left, never)
            link = self.links.get(place := (entry.device, entry.link))
            if link is None:
                continue
            match entry.what:
                case "out":
                    link.write(entry.data)
                case "down" if place in self._up:
                    self._up.discard(place)
                    await link.close()
                case "up" if place not in self._up:
                    await link.open()
                    self._up.add(place)
                case _:
                    pass

    async def close(self) -> None:
        for place, link in self.links.items():
            self._up.discard(place)
            await link.close()

    def _greeting(self, place: tuple[str, int]) -> bytes:
        greetings = self.session.greetings.get(place, [])
        if not greetings:
            return b""
        t = self.clock.monotonic() - self._began if self._began is not None else 0.0
        return greetings[max(0, bisect_right(greetings, t, key=lambda g: g[0]) - 1)][1]
