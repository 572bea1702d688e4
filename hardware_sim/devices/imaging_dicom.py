"""A scanner that sends its scans by DICOM C-STORE (PS3.4, annex B), as its service class user."""

import asyncio
from dataclasses import replace
from typing import Annotated, Any, Literal

import numpy as np
from pydantic import Field

from hardware_sim.device import Site
from hardware_sim.devices.handing_on import damaged
from hardware_sim.devices.imaging import ImagingScanner, ImagingSettings
from hardware_sim.devices.scan_files import DICOS_DX_FOR_PRESENTATION, DX_FOR_PRESENTATION, Scan, dataset
from hardware_sim.settings import Host

_TIMEOUT_S = 5.0
AeTitle = Annotated[str, Field(pattern=r"^[ -\[\]-~]{1,16}$")]


class Settings(ImagingSettings):
    """An imaging scanner that sends by DICOM."""

    kind: Literal["imaging_dicom"]
    format: Literal["dicom", "dicos"] = "dicos"
    host: Host = "127.0.0.1"
    port: Annotated[int, Field(ge=1, le=65535)] = 11112
    called: AeTitle = Field(default="ANY-SCP", description="application entity title of the receiver")
    calling: AeTitle = "SCANNER"
    tries: Annotated[int, Field(ge=1, le=1000)] = 20
    again_s: Annotated[float, Field(ge=0.05, le=600)] = Field(
        default=5.0, description="before it tries again, when nobody answers or the receiver is out of resources"
    )


class ImagingDicom(ImagingScanner):
    """Sends one scan after the other, each over an association of its own, and again while the receiver is away."""

    kind = "imaging_dicom"
    # How an object is cut into PDUs is between the two libraries, and DICOM has no check value of its own.
    own_faults = ImagingScanner.own_faults - {"split", "wrong_checksum"}

    def __init__(self, name: str, settings: Settings, site: Site) -> None:
        super().__init__(name, settings, site)
        self._how = settings
        self._opened = asyncio.Event()
        self._association: Any = None
        self.refused = 0  # scans that the receiver did not want, or that nobody took in all tries

    def _garbled(self, scan: Scan, data: bytes, share: float, random: np.random.Generator) -> tuple[Scan, bytes]:
        """Its pixels: a damaged data set would never be sent."""
        picture = scan.picture
        wrong = np.frombuffer(damaged(picture.tobytes(), share, random), picture.dtype).reshape(picture.shape)
        return replace(scan, picture=wrong), data

    @property
    def url(self) -> str:
        return f"dicom://{self._how.called}@{self._how.host}:{self._how.port}"

    async def open(self) -> None:
        self._opened.set()

    async def close(self) -> None:
        self._opened.clear()
        self._abort()

    def _abort(self) -> None:
        if (association := self._association) is not None:
            association.abort()

    async def run(self) -> None:
        async with asyncio.TaskGroup() as tasks:
            tasks.create_task(self.draw_ahead(), name=f"{self.name} draws")
            tasks.create_task(self._send_all(), name=f"{self.name} sends")

    async def _send_all(self) -> None:
        while True:
            await self.news.wait()
            self.news.clear()
            while self.waiting:
                scan, _ = self.waiting.popleft()
                if not await self._send(scan):
                    self.refused += 1

    async def _send(self, scan: Scan) -> bool:
        for _ in range(self._how.tries):
            await self._opened.wait()
            sending = asyncio.ensure_future(asyncio.to_thread(self._store, scan))
            try:
                taken = await asyncio.shield(sending)
            except asyncio.CancelledError:
                self._abort()
                await asyncio.wait({sending})  # no thread is left behind
                raise
            if taken is not None:
                return taken
            await asyncio.sleep(self._how.again_s)
        return False

    def _store(self, scan: Scan) -> bool | None:
        """Whether the receiver took it; None: not this time. In a thread."""
        from pynetdicom import AE
        from pynetdicom.status import code_to_category

        entity = AE(ae_title=self._how.calling)
        entity.connection_timeout = entity.acse_timeout = entity.dimse_timeout = entity.network_timeout = _TIMEOUT_S
        entity.add_requested_context(
            DICOS_DX_FOR_PRESENTATION if self._how.format == "dicos" else DX_FOR_PRESENTATION, _SYNTAXES
        )
        association = self._association = entity.associate(self._how.host, self._how.port, ae_title=self._how.called)
        try:
            if not association.is_established:
                return None
            if not association.accepted_contexts:
                association.release()
                return False  # the receiver takes no such objects
            status = association.send_c_store(dataset(scan, self._how.format))
            association.release()
        except (RuntimeError, ValueError):  # the association ended meanwhile
            return None
        finally:
            self._association = None
        if "Status" not in status:
            return None
        # PS3.4, B.2.3: A7xx is out of resources, a later try may do.
        return code_to_category(status.Status) in ("Success", "Warning") or (
            None if status.Status & 0xFF00 == 0xA700 else False
        )


# Explicit and implicit VR little endian.
_SYNTAXES = ["1.2.840.10008.1.2.1", "1.2.840.10008.1.2"]
