"""A serial barcode scanner that reads the Code 128 label of a bolt seal.

It sends `[prefix] [AIM identifier] data [suffix]` when the trigger is pulled; `]C0` is Code 128 (ISO/IEC 15424).
"""

from typing import Annotated, Literal

from pydantic import Field, field_validator

from hardware_sim.device import Site, WiredSettings
from hardware_sim.settings import Metres
from hardware_sim.world.passage import Passage

CODE_128 = "]C0"
SUFFIXES = {"crlf": "\r\n", "cr": "\r", "lf": "\n", "none": ""}


class Settings(WiredSettings):
    """A serial barcode scanner that an officer at `at_m` points at the seal's Code 128 label."""

    kind: Literal["barcode_scanner"]
    at_m: Metres = -3.0
    aim: bool = True
    prefix: Annotated[str, Field(max_length=16)] = ""
    suffix: Literal["crlf", "cr", "lf", "none"] = "crlf"

    @field_validator("prefix")
    @classmethod
    def _ascii(cls, prefix: str) -> str:
        if not prefix.isascii():
            raise ValueError("a prefix is sent as ASCII")
        return prefix


class BarcodeScanner:
    """The scanner on the world's clock: one label for each truck that has a seal."""

    kind = "barcode_scanner"

    def __init__(self, name: str, settings: Settings, site: Site) -> None:
        self.name = name
        self.reports: dict[int, str] = {}
        self._settings = settings
        self._lane = site.lane
        self._done = 0

    def connected(self) -> bytes:
        """A scanner says nothing until its trigger is pulled."""
        return b""

    def received(self, data: bytes, now: float) -> bytes:
        """It takes no commands on its line."""
        return b""

    def next_wake(self) -> float | None:
        passages = self._lane.passages
        while self._done < len(passages):
            if passages[self._done].truck.seal is not None:
                return passages[self._done].scanned(self._settings.at_m)
            self._done += 1  # a truck without a seal: nothing to scan
        return None

    def woke(self, now: float) -> bytes:
        """The label of the seal that is scanned now."""
        truck = self._lane.passages[self._done].truck
        self._done += 1
        if truck.seal is None:
            return b""
        self.reports[truck.index] = truck.seal
        s = self._settings
        label = f"{s.prefix}{CODE_128 if s.aim else ''}{truck.seal}{SUFFIXES[s.suffix]}"
        return label.encode("ascii")

    def done_with(self, passage: Passage) -> float:
        return passage.scanned(self._settings.at_m)

    def said_of(self, passage: Passage) -> dict[str, object] | None:
        """The seal number that was scanned on a truck."""
        number = self.reports.get(passage.truck.index)
        return {"seal": number} if number is not None else None
