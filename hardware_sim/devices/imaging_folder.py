"""A scanner that puts its scans into a folder: under a temporary name first, or with a done marker after them."""

import asyncio
import json
from collections import deque
from contextlib import suppress
from datetime import UTC
from pathlib import Path
from typing import Annotated, Literal

from pydantic import Field

from edge_agent.domain.errors import SettingsInvalid
from hardware_sim.device import Site
from hardware_sim.devices.imaging import ImagingScanner, ImagingSettings
from hardware_sim.devices.scan_files import SUFFIXES, Scan
from hardware_sim.folders import check_folder

# A slow scanner writes its file in so many pieces.
_PIECES = 8


class Settings(ImagingSettings):
    """An imaging scanner that writes into a folder."""

    kind: Literal["imaging_folder"]
    path: Annotated[str, Field(min_length=1, max_length=200)] = Field(
        default="scans", description="the folder; a relative one lies in the output folder"
    )
    finish: Literal["rename", "marker"] = Field(
        default="rename", description="how it says that a file is whole: its last name, or an empty NAME.done beside it"
    )
    writes_s: Annotated[float, Field(ge=0, le=120)] = Field(
        default=0.0, description="with `marker`: how long the scanner takes to write a file, piece by piece"
    )
    sidecar: bool = Field(default=False, description="writes NAME.json first: scan_id, vehicle_number, taken_at")
    keep: Annotated[int, Field(ge=1, le=100_000)] = Field(
        default=500, description="scans of its own that it leaves in the folder; older ones are removed"
    )


class ImagingFolder(ImagingScanner):
    """Writes each scan as `<vehicle number>_<scan id>.<suffix>`, or without the number if it states none."""

    kind = "imaging_folder"

    def __init__(self, name: str, settings: Settings, site: Site) -> None:
        super().__init__(name, settings, site)
        self._run_folder = site.folder
        self._folder = site.folder / settings.path
        self._how = settings
        self.takes_s = settings.writes_s + 1.0
        self._written: deque[list[Path]] = deque()

    @property
    def url(self) -> str:
        return str(self._folder)

    async def open(self) -> None:
        check_folder(self._folder, self._run_folder, f"{self.name}: {self._folder}")
        try:
            self._folder.mkdir(parents=True, exist_ok=True)
        except OSError as error:
            raise SettingsInvalid(
                f"{self._folder}: no scans can be written there: {error.strerror}", "choose another path"
            ) from None

    async def run(self) -> None:
        async with asyncio.TaskGroup() as tasks:
            tasks.create_task(self.draw_ahead(), name=f"{self.name} draws")
            tasks.create_task(self._write_all(), name=f"{self.name} writes")

    async def _write_all(self) -> None:
        while True:
            await self.news.wait()
            self.news.clear()
            while self.waiting:
                scan, data = self.waiting.popleft()
                with suppress(OSError):  # the folder is full or was taken away: the scan is lost, the scanner goes on
                    await self._write(scan, data)

    async def _write(self, scan: Scan, data: bytes) -> None:
        stem = "_".join(part for part in (scan.vehicle_number, scan.scan_id) if part)
        path = self._folder / f"{stem}{SUFFIXES[self._how.format]}"
        files = [path]
        if self._how.sidecar:
            files.append(path.with_suffix(".json"))
            taken = scan.taken.astimezone(UTC).isoformat(timespec="milliseconds")
            told = {"scan_id": scan.scan_id, "vehicle_number": scan.vehicle_number, "taken_at": taken}
            _rename_into(files[-1], json.dumps(told).encode())
        if self._how.finish == "rename" and self._way.split is None:
            _rename_into(path, data)
        elif self._how.finish == "rename":
            fresh = _fresh(path)
            await self._write_slowly(fresh, data)
            fresh.replace(path)
        else:
            files.append(path.with_name(path.name + ".done"))
            await self._write_slowly(path, data)
            files[-1].touch()
        self._written.append(files)
        while len(self._written) > self._how.keep:
            for old in self._written.popleft():
                old.unlink(missing_ok=True)

    async def _write_slowly(self, path: Path, data: bytes) -> None:
        piece = len(data) // _PIECES + 1
        with path.open("wb", buffering=0) as file:
            if self._way.split is not None:
                async for each in self.pieces(data):
                    file.write(each)
                return
            for begin in range(0, len(data), piece):
                file.write(data[begin : begin + piece])
                if self._how.writes_s:
                    await asyncio.sleep(self._how.writes_s / _PIECES)

    async def close(self) -> None:
        """Files stay: they are what the scanner has handed on."""


def _rename_into(path: Path, data: bytes) -> None:
    """Write beside it and rename: there is never a part of a file under its name."""
    fresh = _fresh(path)
    fresh.write_bytes(data)
    fresh.replace(path)


def _fresh(path: Path) -> Path:
    return path.with_name(f".{path.name}.part")
