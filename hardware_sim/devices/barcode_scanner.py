"""A serial barcode scanner that reads the Code 128 label of a bolt seal.

It sends `[prefix] [AIM identifier] data [suffix]` when the trigger is pulled; `]C0` is Code 128 (ISO/IEC 15424).
"""

from collections import deque
from typing import Annotated, Literal

from pydantic import Field, field_validator

from hardware_sim.device import Site, WiredSettings
from hardware_sim.settings import Metres
from hardware_sim.world.passage import Passage

CODE_128 = "]C0"
# From one label to the next of the same truck.
_NEXT_LABEL_S = 1.5
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
        self._settings = settings
        self._lane = site.lane
        self._known = 0
        self._due: deque[tuple[float, int, str]] = deque()
        self._reports: dict[int, list[str]] = {}

    def connected(self) -> bytes:
        """A scanner says nothing until its trigger is pulled."""
        return b""

    def received(self, data: bytes, now: float) -> bytes:
        """It takes no commands on its line."""
        return b""

    def next_wake(self) -> float | None:
        if not self._due:
            self._look_ahead()
        return self._due[0][0] if self._due else None

    def _look_ahead(self) -> None:
        """The labels of the next truck that has any."""
        passages = self._lane.passages
        while self._known < len(passages) and not self._due:
            passage = passages[self._known]
            self._known += 1
            if (at := passage.scanned(self._settings.at_m)) is not None:
                seals = enumerate(passage.truck.seals)
                self._due.extend((at + n * _NEXT_LABEL_S, passage.truck.index, seal.number) for n, seal in seals)

    def woke(self, now: float) -> bytes:
        """The label of the seal that is scanned now."""
        _, index, number = self._due.popleft()
        self._reports.setdefault(index, []).append(number)
        s = self._settings
        return f"{s.prefix}{CODE_128 if s.aim else ''}{number}{SUFFIXES[s.suffix]}".encode("ascii")

    def done_with(self, passage: Passage) -> float:
        at = passage.scanned(self._settings.at_m)
        return passage.departs if at is None else at + len(passage.truck.seals) * _NEXT_LABEL_S

    def said_of(self, passage: Passage) -> dict[str, object] | None:
        """The seal numbers that were scanned on a truck."""
        numbers = self._reports.pop(passage.truck.index, None)
        return {"seal": numbers[0], "seals": numbers} if numbers else None
