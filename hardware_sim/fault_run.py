"""The faults of a run: steps them with the lanes, tells those who must act, and writes faults.jsonl.

Faults ◄── Player asks when one begins or ends
   ├──► FaultyLink        around every link of a device that speaks in bytes
   ├──► services          closed and opened again
   ├──► devices, cameras  that have a fault of their own kind
   ├──► PortProxy         the way to the port gateway
   └──► faults.jsonl
"""

import asyncio
import json
from collections.abc import Callable, Mapping
from contextlib import AsyncExitStack
from pathlib import Path
from typing import Any, Literal, Protocol, runtime_checkable

from hardware_sim.cameras.trouble import CameraTrouble
from hardware_sim.clock import WorldClock
from hardware_sim.device import Device, Service
from hardware_sim.faults import (
    UNPLUGGED,
    Fault,
    Faults,
    FaultSettings,
    LensFlare,
    describe,
)
from hardware_sim.lines_file import LinesFile
from hardware_sim.links.faults import FaultyLink
from hardware_sim.links.link import Connected, Link, Received
from hardware_sim.links.relay import Relay
from hardware_sim.port_proxy import PortProxy
from hardware_sim.port_settings import PortSettings
from hardware_sim.world.lane import Lane


@runtime_checkable
class HasFaults(Protocol):
    """A device or camera with faults of its own kind, beside what can happen to its link."""

    own_faults: frozenset[str]

    def fault(self, settings: FaultSettings, active: bool) -> None:
        """One of `own_faults` begins or ends."""
        ...


@runtime_checkable
class Relayed(Protocol):
    """A service whose library serves over TCP: faults reach its messages in a relay before it."""

    relay: Relay | None

    @staticmethod
    def message_length(data: bytes) -> int:
        """Of the message that begins here; 0 where too little of it is there to say."""
        ...


class LaneParts(Protocol):
    """A lane of a run, as far as faults are concerned with it."""

    @property
    def lane(self) -> Lane: ...
    @property
    def devices(self) -> Mapping[str, Device]: ...
    @property
    def services(self) -> Mapping[str, Service]: ...
    @property
    def nudged(self) -> asyncio.Event: ...


class FaultRun:
    """The faults of one run. `open` before the links, `close` after them."""

    def __init__(
        self,
        seed: int,
        targets: Mapping[str, frozenset[str]],
        clock: WorldClock,
        path: Path,
        port: PortSettings | None,
    ) -> None:
        """`targets`: what can happen to what. faults.jsonl goes to `path`."""
        self.faults = faults = Faults(seed, self, targets)
        self.path = path
        self.cameras: dict[str, CameraTrouble] = {}
        self.proxy = PortProxy(port.listen, port.upstreams, faults, clock) if port else None
        self._clock = clock
        self._lanes: dict[str, LaneParts] = {}
        self._lane_of: dict[str, str] = {}
        self._pulled: dict[str, tuple[Service, asyncio.Event]] = {}
        self._file = LinesFile(path, f"{path}: the faults")
        self._on_record: list[Callable[[dict[str, Any]], None]] = []
        faults.on_change.append(self._changed)

    # --- while the run is built ----------------------------------------------------------------------------------

    def add_lane(self, id: str, lane: LaneParts, cameras: Mapping[str, Any]) -> None:
        """A lane with what stands in it; `cameras` are their settings by name."""
        self._lanes[id] = lane
        self._lane_of |= dict.fromkeys((*lane.devices, *lane.services, *cameras), id)
        for name in cameras:
            self.cameras[name] = CameraTrouble()
        for name, service in lane.services.items():
            if isinstance(service, Relayed):
                service.relay = Relay(self.faults, name, self._clock, service.message_length)
            self._pulled[name] = (service, asyncio.Event())

    def link(
        self, name: str, build: Callable[[Connected, Received], Link], connected: Connected, received: Received
    ) -> Link:
        """A link that faults reach, around the one that `build` makes."""
        faulty = FaultyLink(self.faults, name, self._clock)
        return faulty.around(build(faulty.greeting(connected), faulty.answer(received)))

    def subscribe(self, on_record: Callable[[dict[str, Any]], None]) -> None:
        """Have each line of faults.jsonl."""
        self._on_record.append(on_record)

    # --- what faults ask of the world ----------------------------------------------------------------------------

    def began(self) -> float | None:
        """When traffic began, in the lane where it did so first."""
        return min((m for p in self._lanes.values() if (m := p.lane.began) is not None), default=None)

    def moment(self, target: str, truck: int, when: Literal["arrives", "enters", "clears"]) -> float | None:
        """A moment of a truck in the target's lane; in the first lane for the port."""
        lane = self._lanes[self._lane_of.get(target, next(iter(self._lanes)))].lane
        for passage in reversed(lane.passages):
            if passage.truck.index == truck:
                return float(getattr(passage, when))
        return None

    # --- while it runs -------------------------------------------------------------------------------------------

    async def open(self) -> None:
        """Raises SettingsInvalid when the way to the port cannot be served."""
        if self.proxy is not None:
            await self.proxy.open()

    def open_file(self) -> None:
        """Begin faults.jsonl. Raises SettingsInvalid when it cannot be written."""
        self._file.open("choose another folder with --out")

    async def run(self) -> None:
        """Pull and plug services, and serve the way to the port. Runs until cancelled. Raises SettingsInvalid when
        faults.jsonl can no longer be written."""
        async with asyncio.TaskGroup() as tasks:
            tasks.create_task(self._file.failed(), name="faults.jsonl")
            for name, (service, changed) in self._pulled.items():
                tasks.create_task(self._plug(name, service, changed), name=f"plug of {name}")
            if self.proxy is not None:
                tasks.create_task(self.proxy.run(), name="way to the port")

    async def close(self) -> None:
        self.faults.close(self._clock.monotonic())
        async with AsyncExitStack() as stack:
            stack.callback(self._file.close)
            if self.proxy is not None:
                await self.proxy.close()

    def discard(self) -> None:
        """Leave no faults.jsonl, nothing was played."""
        self._file.discard()

    def begin(self, settings: FaultSettings) -> Fault:
        """Begin a fault by command. Raises ValueError if it cannot happen to its target."""
        return self.faults.begin(settings, self._clock.monotonic())

    def end(self, number: int) -> Fault:
        """End a fault by command. Raises KeyError if there is none with this id."""
        return self.faults.end(number, self._clock.monotonic())

    async def _plug(self, name: str, service: Service, changed: asyncio.Event) -> None:
        up = True
        while True:
            await changed.wait()
            changed.clear()
            if up:
                await service.close()
                up = False
            if not self.faults.unplugged(name):
                await service.open()
                up = True

    def _changed(self, fault: Fault, at: float) -> None:
        settings, active = fault.settings, fault.state == "active"
        target, kind = settings.target, settings.kind
        if (trouble := self.cameras.get(target)) is not None:
            still = self.faults.on(target, kind)
            match kind:
                case "frozen":
                    trouble.frozen = still is not None
                case "black":
                    trouble.black = still is not None
                case "lens_flare":
                    trouble.flare = still.settings.strength if still and isinstance(still.settings, LensFlare) else 0.0
                case _:
                    pass
        if kind in UNPLUGGED and target in self._pulled:
            self._pulled[target][1].set()
        parts = self._lanes.get(self._lane_of.get(target, ""))
        if parts is not None:
            device = parts.devices.get(target) or parts.services.get(target)
            if isinstance(device, HasFaults) and kind in device.own_faults:
                device.fault(settings, active)
        for lane in self._lanes.values():
            lane.nudged.set()  # the end of a fault may be due sooner than anything else
        self._write(fault, at)

    def _write(self, fault: Fault, at: float) -> None:
        now = self._clock.now()
        moment = now.shifted(at - now.monotonic).utc.isoformat(timespec="milliseconds").replace("+00:00", "Z")
        facts = describe(fault)
        state = facts.pop("state")
        record = {"at": moment, "what": "began" if state == "active" else "ended", **facts}
        self._file.write(json.dumps(record))
        for tell in tuple(self._on_record):
            tell(record)
