"""Scale terminals that stream the Rice Lake IQ355 format, also called the Rice Lake (RLWS) stream format.

    STX polarity weight(7) unit mode status CR [LF]

    polarity  blank or "-"
    weight    seven characters with the decimal point, leading zeros as blanks
    unit      L pounds, K kilograms, T tons, G grams, O ounces, blank none
    mode      G gross, N net
    status    blank valid, M motion, O over or under range, I invalid, Z centre of zero (later terminals)

Rice Lake 482 Technical Manual, figure 3-11, and 680 Synergy Plus Technical Manual, section 11.3.1; Cardinal 200
Series manual, page 27. "Tons" are nowhere said to be short or metric.
"""

import re
from collections.abc import Iterable
from decimal import Decimal
from typing import Literal

from pydantic import BaseModel, ConfigDict, Field

from edge_agent.devices.framing import Framer, why_not_a_frame
from edge_agent.devices.weighing import STABLE_FRAMES, Indication, Weigher, last_place
from edge_agent.domain.observation import FaultKind, Malformed, Reading

FRAME = 14  # STX to LF
# A frame takes 0.12 s at 1200 baud.
UNFINISHED_S = 1.0
BUFFER_LIMIT = 2 * FRAME

_FIELDS = rb"\x02[ -][ -~]{7}[LKTGO ][GN][ MOIZ]"
_LAYOUTS = {"crlf": re.compile(_FIELDS + rb"\r\n"), "cr": re.compile(_FIELDS + rb"\r")}
_NUMBER = re.compile(r" *((?:[0-9]+\.?[0-9]*)|(?:\.[0-9]+))")
_UNITS = {"L": "lb", "K": "kg", "G": "g", "O": "oz"}
_FAULTS = {
    "O": (FaultKind.OUT_OF_RANGE, "over or under range"),
    "I": (FaultKind.INTERNAL, "the terminal calls its weight invalid"),
}


class Settings(BaseModel):
    """How this terminal was set up."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    end: Literal["crlf", "cr"] = Field(default="crlf", description="what ends a frame")
    tons: Literal["short", "metric"] | None = Field(
        default=None, description="which ton the unit T is, 2,000 lb or 1,000 kg; unset: a weight in tons is refused"
    )
    blank_unit: Literal["kg", "lb", "g", "t", "oz", "ton"] | None = Field(
        default=None, description="the unit of a frame that names none; unset: such a weight is refused"
    )
    increment: Decimal | None = Field(
        default=None, gt=0, description="the scale's increment in the unit shown; unset: one of the last digit shown"
    )
    stable_frames: int = Field(
        default=STABLE_FRAMES, ge=1, le=100, description="consecutive frames without motion that agree, to settle"
    )


class RiceLakeIq355:
    """The dialogue: it only listens."""

    def __init__(self, settings: Settings) -> None:
        self._settings = settings
        self._layout = _LAYOUTS[settings.end]
        self._length = FRAME if settings.end == "crlf" else FRAME - 1
        self._framer = Framer(self._measure, b"\x02", FRAME, UNFINISHED_S)
        self._weigher = Weigher(settings.stable_frames)

    def opened(self, now: float) -> None:
        self._framer.opened(now)

    def next_wake(self) -> float | None:
        return self._framer.next_wake()

    def to_send(self) -> bytes:
        return b""

    def received(self, data: bytes, now: float) -> Iterable[Reading]:
        readings: list[Reading] = []
        for piece, is_frame in self._framer.feed(data, now):
            readings += self._frame(piece) if is_frame else self._between(piece)
        return readings

    def woke(self, now: float) -> Iterable[Reading]:
        """Gives up a frame whose end does not come."""
        piece = self._framer.overdue(now)
        return self._between(piece) if piece else ()

    def _measure(self, window: bytes) -> int | None:
        if len(window) < self._length:
            return None
        return self._length if self._layout.match(window) else 0

    def _between(self, piece: bytes) -> list[Reading]:
        end = self._settings.end.upper()
        return self._malformed(piece, why_not_a_frame(piece, f"STX, 7 digits, unit, G or N, status, {end}: see `end`"))

    def _malformed(self, raw: bytes, why: str) -> list[Reading]:
        self._weigher.missed()
        return [Reading(Malformed(why), self._framer.when, raw)]

    def _frame(self, raw: bytes) -> list[Reading]:
        fields = raw.decode("ascii")
        polarity, weight = fields[1].strip(), fields[2:9]
        unit, mode, status = tuple(fields[9:12])
        if unit == "T" and self._settings.tons is None:
            return self._malformed(raw, "a weight in tons: set `tons` to short or metric")
        named = {**_UNITS, "T": "t" if self._settings.tons == "metric" else "ton", " ": self._settings.blank_unit}[unit]
        if named is None:
            return self._malformed(raw, "a weight without a unit: set `blank_unit`")
        found = _NUMBER.fullmatch(weight)
        valid = status not in _FAULTS
        if valid and not found:
            return self._malformed(raw, f"the weight {weight!r} is no number")
        value = Decimal(polarity + found[1]) + 0 if found and valid else None
        indication = Indication(
            shown=polarity + weight.strip(),
            unit=named,
            value=value,
            increment=self._settings.increment or last_place(weight),
            steady=status != "M",
            gross=mode == "G",
            faults={} if valid else dict([_FAULTS[status]]),
        )
        return self._weigher.told(indication, self._framer.when, raw)
