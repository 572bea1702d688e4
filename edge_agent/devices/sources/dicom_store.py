"""Scanners that send by DICOM: a storage SCP (PS3.4 annex B) for C-STORE and C-ECHO, spoken by pynetdicom.

    0000  success: it is in the ledger, or was there before
    A700  out of resources: it is larger than 64 MiB, or not in the ledger as far as is known: to be sent again
    C000  cannot understand: there is no data set

Data sets are kept as they came, in DICOM's file format, whatever their SOP class and transfer syntax, DICOS among them.
AE titles only name a peer, they prove nothing: beyond loopback use TLS with clients' certificates.
"""

import asyncio
import re
from typing import Annotated

from pydantic import AfterValidator, Field

from edge_agent.devices.source import Emit
from edge_agent.devices.sources.intake import open_intake
from edge_agent.devices.sources.listening import ListenSettings
from edge_agent.devices.sources.threads import in_thread
from edge_agent.domain.clock import Clock
from edge_agent.domain.errors import SettingsInvalid
from edge_agent.domain.observation import DeviceState, DeviceStatus, Reading


def _ae_title(text: str) -> str:
    """PS3.5 6.2: 16 characters without a backslash; blanks at the ends mean nothing."""
    if not re.fullmatch(r"[!-\[\]-~]([ -\[\]-~]{0,14}[!-\[\]-~])?", text):
        raise ValueError(f"{text!r} is no AE title: 1 to 16 printable characters without a backslash")
    return text


def _uid(text: str) -> str:
    if not re.fullmatch(r"[0-2](\.(0|[1-9][0-9]*)){1,30}", text) or len(text) > 64:
        raise ValueError(f"{text!r} is no UID")
    return text


AeTitle = Annotated[str, AfterValidator(_ae_title)]
Uid = Annotated[str, AfterValidator(_uid)]


class Settings(ListenSettings):
    """Where the agent listens, under which name, and for whom."""

    port: int = Field(ge=0, le=65_535, description="104 and 11112 are usual; 0: any that is free, for tests")
    ae_title: AeTitle = Field(default="EDGE-AGENT", description="the title by which scanners must call the agent")
    calling_ae_titles: tuple[AeTitle, ...] = Field(min_length=1, description="the scanners' titles; others are refused")
    sop_classes: tuple[Uid, ...] = Field(
        default=(), description="a maker's own storage classes, besides DICOM's and DICOS's"
    )
    max_associations: int = Field(default=2, ge=1, le=20, description="each may hold three scans of 64 MiB in memory")
    max_pdu_kb: int = Field(default=128, ge=4, le=1024)
    idle_s: float = Field(default=60.0, gt=0, le=3600, description="an association that says nothing so long is ended")
    answer_s: float = Field(default=30.0, gt=0, le=600, description="how long the ledger may take, then A700")


class DicomStore:
    """The source: the server's threads hand each data set to the loop, and wait until it is durable."""

    def __init__(self, settings: Settings, clock: Clock) -> None:
        self._settings = settings
        self._clock = clock

    async def run(self, emit: Emit) -> None:
        """Raises LinkDown when the address is taken, or a file of the settings cannot be used; SettingsInvalid."""
        try:
            from edge_agent.devices.sources.dicom_server import DicomServer
        except ImportError as error:
            raise SettingsInvalid(f"{error.name} is not installed", "pip install 'edge-agent[booth]'") from None
        settings = self._settings
        context = settings.context()
        async with open_intake(settings, self._clock, emit, settings.answer_s) as intake:
            server = DicomServer(settings, intake, asyncio.get_running_loop(), context)
            try:
                where = server.start()
                how = f"listens on {where} as {settings.ae_title}"
                await emit(Reading(DeviceStatus(DeviceState.WAITING, how), self._clock.monotonic()))
                await asyncio.shield(intake.failed)
            finally:
                intake.stop()
                await in_thread(server.stop, "dicom server stops")
