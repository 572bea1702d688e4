"""UHF tag readers that speak LLRP (EPCglobal Low Level Reader Protocol 1.0.1) over TCP, port 5084.

The reader is told once what to do: an ROSpec that inventories without end, and AccessSpecs that read memory of some
tags. It then reports by itself, and sends a KEEPALIVE every `keepalive_s`: a reader silent for three of them is lost.
The conversation is in llrp_session.py, which is imported when it begins: it needs the library `llrpkit`.
"""

from typing import Annotated

from pydantic import Field

from edge_agent.devices.sealing import Hex, TagRules
from edge_agent.devices.source import Emit
from edge_agent.domain.clock import Clock
from edge_agent.domain.errors import SettingsInvalid


class Settings(TagRules):
    """Where the reader is, how it is to inventory, and what its tags mean."""

    host: str = Field(min_length=1, description="the reader's name or address")
    port: int = Field(default=5084, ge=1, le=65535)
    antennas: tuple[Annotated[int, Field(ge=1, le=64)], ...] = Field(default=(), description="unset: all of them")
    power_dbm: float | None = Field(default=None, ge=0, le=36, description="unset: as the reader is set up")
    session: int = Field(default=1, ge=0, le=3, description="the Gen2 session")
    tag_population: int = Field(default=32, ge=1, le=65535, description="tags expected at once")
    tid: bool = Field(default=False, description="have the TID told with each tag (Impinj readers)")
    access_password: Hex = Field(default="00000000", min_length=8, max_length=8, description="for reading memory")
    keepalive_s: float = Field(
        default=5.0, ge=0.1, le=600, description="three of these without a word: the link is lost"
    )
    timeout_s: float = Field(default=10.0, gt=0, le=120, description="for connecting, and for each answer")


class Llrp:
    """One connection to a reader."""

    def __init__(self, settings: Settings, clock: Clock) -> None:
        self._settings = settings
        self._clock = clock

    async def run(self, emit: Emit) -> None:
        """Inventories until the link is lost. Raises LinkDown, and SettingsInvalid without the protocol's library."""
        try:
            from edge_agent.devices.sources.llrp_session import Session
        except ModuleNotFoundError as error:
            wrong = f"the driver llrp needs the package {error.name}"
            raise SettingsInvalid(wrong, "pip install 'edge-agent[booth]'") from error
        await Session(self._settings, self._clock, emit).run()
