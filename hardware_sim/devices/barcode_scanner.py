"""A serial barcode scanner that reads the Code 128 label of a bolt seal.

It sends `[prefix] [AIM identifier] data [suffix]` when the trigger is pulled; `]C0` is Code 128 (ISO/IEC 15424).
"""

from typing import Protocol

from hardware_sim.world.lane import Lane, Passage

CODE_128 = "]C0"
SUFFIXES = {"crlf": "\r\n", "cr": "\r", "lf": "\n", "none": ""}


class ScannerSettings(Protocol):
    """How the scanner is programmed."""

    @property
    def aim(self) -> bool: ...
    @property
    def prefix(self) -> str: ...
    @property
    def suffix(self) -> str: ...


class BarcodeScanner:
    """The scanner on the world's clock: one label for each truck that has a seal."""

    kind = "barcode_scanner"

    def __init__(self, name: str, settings: ScannerSettings, lane: Lane) -> None:
        self.name = name
        self.reports: dict[int, str] = {}
        self._settings = settings
        self._lane = lane
        self._done = 0

    def connected(self) -> bytes:
        """A scanner says nothing until its trigger is pulled."""
        return b""

    def next_wake(self) -> float | None:
        passages = self._lane.passages
        while self._done < len(passages):
            if (at := passages[self._done].seal_scanned) is not None:
                return at
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

    def said_of(self, passage: Passage) -> dict[str, object] | None:
        """The seal number that was scanned on a truck."""
        number = self.reports.get(passage.truck.index)
        return {"seal": number} if number is not None else None
