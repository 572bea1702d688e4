"""A scanner that pushes its scans: one HTTP POST for each, the file as the body, what it states in headers."""

import asyncio
from datetime import UTC
from io import BytesIO
from typing import TYPE_CHECKING, Annotated, Literal

from pydantic import Field

from hardware_sim.device import Site
from hardware_sim.devices.imaging import ImagingScanner, ImagingSettings
from hardware_sim.devices.scan_files import MEDIA_TYPES, Scan

if TYPE_CHECKING:
    import aiohttp

_TIMEOUT_S = 20.0
Header = Annotated[str, Field(pattern=r"^[A-Za-z][A-Za-z0-9-]{0,63}$")]


class Settings(ImagingSettings):
    """An imaging scanner that pushes over HTTP."""

    kind: Literal["imaging_http"]
    to: Annotated[str, Field(pattern=r"^https?://[^\s]{1,200}$")] = Field(description="where it pushes to")
    token: Annotated[str, Field(pattern=r"^[!-~]{0,200}$")] = Field(
        default="", description="sent as `Authorization: Bearer …`; empty: none is sent"
    )
    scan_id_header: Header = "X-Scan-Id"
    vehicle_number_header: Header = "X-Vehicle-Number"
    taken_at_header: Header = "X-Taken-At"
    tries: Annotated[int, Field(ge=1, le=1000)] = 20
    again_s: Annotated[float, Field(ge=0.05, le=600)] = Field(
        default=5.0, description="before it tries again, when nobody answers or the server says 5xx or 429"
    )


class ImagingHttp(ImagingScanner):
    """Pushes one scan after the other, and again while the receiver is away."""

    kind = "imaging_http"

    def __init__(self, name: str, settings: Settings, site: Site) -> None:
        super().__init__(name, settings, site)
        self._how = settings
        self._opened = asyncio.Event()
        self.refused = 0  # scans that the receiver did not want, or that nobody took in all tries

    @property
    def url(self) -> str:
        return self._how.to

    async def open(self) -> None:
        self._opened.set()

    async def close(self) -> None:
        self._opened.clear()

    async def run(self) -> None:
        async with asyncio.TaskGroup() as tasks:
            tasks.create_task(self.draw_ahead(), name=f"{self.name} draws")
            tasks.create_task(self._push_all(), name=f"{self.name} pushes")

    async def _push_all(self) -> None:
        import aiohttp

        timeout = aiohttp.ClientTimeout(total=_TIMEOUT_S)
        async with aiohttp.ClientSession(timeout=timeout) as session:
            while True:
                await self.news.wait()
                self.news.clear()
                while self.waiting:
                    scan, data = self.waiting.popleft()
                    if not await self._push(session, scan, data):
                        self.refused += 1

    async def _push(self, session: "aiohttp.ClientSession", scan: Scan, data: bytes) -> bool:
        import aiohttp

        headers = {
            "Content-Type": MEDIA_TYPES[self._how.format],
            self._how.scan_id_header: scan.scan_id,
            self._how.taken_at_header: scan.taken.astimezone(UTC).isoformat(timespec="milliseconds"),
        }
        if scan.vehicle_number:
            headers[self._how.vehicle_number_header] = scan.vehicle_number
        if self._how.token:
            headers["Authorization"] = f"Bearer {self._how.token}"
        for _ in range(self._how.tries):
            await self._opened.wait()
            try:
                # A length, as if it were sent at once: scanners' software sends no chunks.
                body, length = (self.pieces(data), str(len(data))) if self._way.split else (BytesIO(data), None)
                said = {**headers, "Content-Length": length} if length else headers
                async with session.post(self._how.to, data=body, headers=said) as response:
                    if response.status < 400:
                        return True
                    if response.status < 500 and response.status != 429:
                        return False  # it will not want it the next time either
            except (aiohttp.ClientError, TimeoutError):
                pass  # nobody there: as with 5xx
            await asyncio.sleep(self._how.again_s)
        return False
