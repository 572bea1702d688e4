"""A transmission scanner over the lane: one scan of each truck, handed on some time after it has passed.

What is the same however it is handed on; `imaging_folder`, `imaging_dicom` and `imaging_http` carry it out.
"""

import asyncio
from collections import deque
from collections.abc import AsyncIterator
from datetime import timedelta
from hashlib import sha256
from typing import Annotated, Literal
from uuid import UUID
from zlib import crc32

import numpy as np
from pydantic import Field

from hardware_sim.device import DeviceSettings, Site
from hardware_sim.devices.handing_on import HandingOn, damaged
from hardware_sim.devices.scan_files import Format, Scan, encoded, sop_instance_uid
from hardware_sim.faults import ClockSkew, FaultSettings
from hardware_sim.settings import Metres
from hardware_sim.world.passage import Passage
from hardware_sim.world.radiograph import radiograph

# Scans that nobody takes; a picture is about a megabyte. The oldest gives way.
_MOST_WAITING = 16
# Scans that are drawn before their time, so that the world does not wait for a picture.
_MOST_DRAWN = 4


class ImagingSettings(DeviceSettings):
    """An imaging scanner."""

    at_m: Metres = 2.0
    format: Format = "png"
    states: Literal["container", "plate", "none"] = Field(
        default="container", description="the number by which the scanner names the vehicle"
    )
    delay_s: Annotated[float, Field(ge=0, le=3600)] = Field(
        default=4.0, description="from the rear's leaving the scanner to the scan's being handed on"
    )


class ImagingScanner:
    """The scanner on the world's clock. `waiting` holds what is still to be handed on, oldest first."""

    kind = ""
    own_faults = frozenset({"clock_skew", "drop", "delay", "merge", "silence", "garble", "split", "wrong_checksum"})
    takes_s = 2.0  # for a receiver to take the scan, before the run may end

    def __init__(self, name: str, settings: ImagingSettings, site: Site) -> None:
        self.name = name
        self.waiting: deque[tuple[Scan, bytes]] = deque(maxlen=_MOST_WAITING)
        self.news = asyncio.Event()
        self._settings = settings
        self._site = site
        self._next = 0
        self._skew_s = 0.0
        self._way = HandingOn(self._garbled, np.random.default_rng(site.random_key(name, 2)))
        self._drawn: dict[int, tuple[Scan, bytes]] = {}
        self._reports: dict[int, dict[str, object]] = {}

    def fault(self, settings: FaultSettings, active: bool) -> None:
        """Its clock is wrong, or something happens to its scans on their way."""
        if isinstance(settings, ClockSkew):
            self._skew_s = settings.by_s if active else 0.0
            self._drawn.clear()
        else:
            self._way.fault(settings, active)

    def _garbled(self, scan: Scan, data: bytes, share: float, random: np.random.Generator) -> tuple[Scan, bytes]:
        return scan, damaged(data, share, random)

    async def pieces(self, data: bytes) -> AsyncIterator[bytes]:
        """The file as it is carried: at once, or in the pieces of a fault while that lasts."""
        at = 0
        while at < len(data):
            split = self._way.split
            size = split.size if split else len(data)
            yield data[at : at + size]
            at += size
            if split and at < len(data):
                await asyncio.sleep(split.gap_s)

    def _handed_on(self, passage: Passage) -> float:
        return passage.leaves(self._settings.at_m) + self._settings.delay_s

    def next_wake(self) -> float | None:
        moments = (self._next_scan(), self._way.next_due())
        return min((moment for moment in moments if moment is not None), default=None)

    def _next_scan(self) -> float | None:
        passages = self._site.lane.passages
        while self._next < len(passages) and not passages[self._next].covers(self._settings.at_m):
            self._next += 1  # a truck that turns back before
        return self._handed_on(passages[self._next]) if self._next < len(passages) else None

    def woke(self, now: float) -> bytes:
        """The file that is to be handed on now."""
        taken = self._next_scan()
        data = self._take(now) if taken is not None and taken <= now else b""
        for handed in self._way.due(now):
            self.waiting.append(handed)
            self.news.set()
        return data

    def _take(self, now: float) -> bytes:
        passage = self._site.lane.passages[self._next]
        self._next += 1
        scan, data = self._drawn.pop(passage.truck.index) if passage.truck.index in self._drawn else self._draw(passage)
        self._way.put(scan, data, now)
        self._reports[passage.truck.index] = {
            "scan_id": scan.scan_id,
            "vehicle_number": scan.vehicle_number or None,
            "format": self._settings.format,
            "sha256": sha256(data).hexdigest(),
            "sop_instance_uid": sop_instance_uid(scan) if self._settings.format in ("dicom", "dicos") else None,
        }
        return data

    def _draw(self, passage: Passage) -> tuple[Scan, bytes]:
        truck, s = passage.truck, self._settings
        random = np.random.default_rng(self._site.random_key(self.name, truck.index))
        number = {
            "container": truck.container_code,
            "plate": truck.plate.text if truck.plate else "",
            "none": "",
        }[s.states]
        taken = self._site.utc(passage.leaves(s.at_m)) + timedelta(seconds=self._skew_s)
        scan = Scan(
            scan_id=f"{_short(self.name)}-{truck.index:06d}",
            vehicle_number=number,
            taken=taken,
            uuid=UUID(bytes=random.bytes(16), version=4),
            scanner=self.name,
            picture=radiograph(truck, self._site.random_key(self.name, truck.index, 1)),
        )
        return scan, encoded(scan, s.format)

    async def draw_ahead(self) -> None:
        """Draw, in a thread, the scan that is due next, so that `woke` finds it ready. Runs until cancelled."""
        while True:
            passages = self._site.lane.passages
            if self._next < len(passages) and len(self._drawn) < _MOST_DRAWN:
                passage = passages[self._next]
                if passage.truck.index not in self._drawn:
                    drawn = await asyncio.to_thread(self._draw, passage)
                    if self._next < len(passages) and passages[self._next] is passage:
                        self._drawn[passage.truck.index] = drawn
            await asyncio.sleep(0.5)

    def done_with(self, passage: Passage) -> float:
        return self._handed_on(passage) + self.takes_s

    def said_of(self, passage: Passage) -> dict[str, object] | None:
        """What was to be handed on, whatever became of it on the way."""
        return self._reports.pop(passage.truck.index, None)


def _short(name: str) -> str:
    """So that a scan's id fits DICOM's SH of 16 characters (PS3.5, 6.2), and no two scanners share one."""
    return name if len(name) <= 9 else f"{name[:4]}~{crc32(name.encode()) & 0xFFFF:04X}"
