"""Scale terminals that send the Toledo (METTLER TOLEDO) standard continuous output, some seven frames a second.

    STX SWA SWB SWC weight(6) tare(6) CR [checksum]          17 or 18 bytes; the short form has no tare

    SWA  bits 0-2  decimal point: 0 x100, 1 x10, 2 x1, 3 x0.1 ... 7 x0.00001;  bits 3-4  increment: 1, 2, or 3 for 5
    SWB  bit 0 net;  1 negative;  2 out of range;  3 motion;  4 kg, else lb;  6 not zeroed since power-up
    SWC  bits 0-2  unit: 0 by SWB, 1 g, 2 t, 3 oz, 6 short ton;  3 print request;  4 expanded display

Digits are without decimal point; leading zeros may be blanks. The checksum is the two's complement of the sum of the
seven low bits of every byte before it. METTLER TOLEDO WILDCAT Technical Manual (12/00), tables 6-8 to 6-11; Ohaus
Defender 5000 manual, tables 5-2 to 5-4, for the units. Makers differ in the bits that are "always" 0 or 1 and in bit 6
of SWB and SWC (Toledo TI400: SWB bit 6 is 1 when it *was* zeroed): nothing here depends on the former.
"""

import re
from collections.abc import Iterable, Iterator
from decimal import Decimal
from typing import Literal

from pydantic import BaseModel, ConfigDict, Field

from edge_agent.devices.framing import Framer, why_not_a_frame
from edge_agent.devices.weighing import STABLE_FRAMES, Indication, Weigher
from edge_agent.domain.observation import FaultKind, Malformed, Reading

STX = 0x02
# STX, three status bytes, six digits, six digits, CR; the short form without the second six.
FRAME, SHORT_FRAME = 17, 11
# A frame takes 0.15 s at 1200 baud.
UNFINISHED_S = 1.0
BUFFER_LIMIT = 2 * (FRAME + 1)

_LAYOUTS = {
    FRAME: re.compile(rb"\x02...[ -~]{12}\r", re.DOTALL),
    SHORT_FRAME: re.compile(rb"\x02...[ -~]{6}\r", re.DOTALL),
}
_DIGITS = re.compile(r" *([0-9]+)")
_UNITS: dict[int, Literal["g", "t", "oz", "ton"]] = {1: "g", 2: "t", 3: "oz", 6: "ton"}
_INCREMENTS = {1: 1, 2: 2, 3: 5}

_EXPECTED = "STX, three status bytes, weight, tare, CR"


class Settings(BaseModel):
    """How this terminal was set up."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    checksum: Literal["auto", "with", "without", "unchecked"] = Field(
        default="auto",
        description="whether a checksum follows CR; auto: found out from the frames; unchecked: a byte follows that"
        " is another maker's checksum",
    )
    tare: bool = Field(default=True, description="false: the short frame, without a tare")
    unit: Literal["auto", "kg", "lb", "g", "t", "oz", "ton"] = Field(
        default="auto", description="auto: what the status bytes say; ton is the short ton of 2,000 lb"
    )
    expanded: Literal["never_counts", "as_it_stands", "tenth"] = Field(
        default="never_counts",
        description="a frame with the expanded display on; tenth: its last digit is one decimal place more",
    )
    not_zeroed_bit: bool = Field(
        default=True,
        description="bit 6 of SWB says `not zeroed since power-up`; false: it does not, as on Toledo TI400",
    )
    stable_frames: int = Field(
        default=STABLE_FRAMES, ge=1, le=100, description="consecutive frames without motion that agree, to settle"
    )


class ToledoContinuous:
    """The dialogue: it only listens."""

    def __init__(self, settings: Settings) -> None:
        self._settings = settings
        self._length = FRAME if settings.tare else SHORT_FRAME
        self._layout = _LAYOUTS[self._length]
        # Whether a checksum follows; None: not known yet.
        self._checked = {"auto": None, "without": False}.get(settings.checksum, True)
        self._framer = Framer(self._measure, bytes([STX]), self._length + 1, UNFINISHED_S)
        self._weigher = Weigher(settings.stable_frames)
        self._last_checksum = b""

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
        """Gives up a frame whose end does not come; one that lacks only a checksum that nobody promised is whole."""
        piece = self._framer.overdue(now)
        if not piece:
            return ()
        if self._checked is None and len(piece) == self._length and self._layout.fullmatch(piece):
            return self._indicate(piece, piece)
        return self._between(piece)

    # --- framing -----------------------------------------------------------------------------------------------

    def _measure(self, window: bytes) -> int | None:
        if len(window) < self._length:
            return None
        if not self._layout.match(window):
            return 0
        if self._checked is False:
            return self._length
        if len(window) == self._length:
            return None
        followed = window[self._length] == STX and self._settings.checksum == "auto"
        if followed and not (self._checked and _checksum(window[: self._length]) == STX):
            return self._length
        return self._length + 1

    def _frame(self, raw: bytes) -> list[Reading]:
        frame = raw[: self._length]
        expected = _checksum(frame)
        if len(raw) == self._length and self._checked:
            self._checked = None
            return self._malformed(raw, "a frame without its checksum")
        if len(raw) > self._length and self._settings.checksum != "unchecked":
            if raw[-1] & 0x7F != expected:
                return self._malformed(raw, f"checksum {raw[-1]:02x}, {expected:02x} was expected: see `checksum`")
            self._checked = True
        elif self._settings.checksum == "auto":
            self._checked = False
        self._last_checksum = bytes([expected])
        return self._indicate(frame, raw)

    def _between(self, piece: bytes) -> list[Reading]:
        if self._settings.checksum == "auto" and piece == self._last_checksum:
            self._checked = None  # a checksum does follow: found out wrongly
        return self._malformed(piece, why_not_a_frame(piece, _EXPECTED))

    def _malformed(self, raw: bytes, why: str) -> list[Reading]:
        self._weigher.missed()
        return [Reading(Malformed(why), self._framer.when, raw)]

    # --- the frame's meaning -----------------------------------------------------------------------------------

    def _indicate(self, frame: bytes, raw: bytes) -> list[Reading]:
        status_a, status_b, status_c = frame[1:4]
        weight, tare = frame[4:10].decode("ascii"), frame[10:-1].decode("ascii")
        unit = self._unit(status_b, status_c)
        if unit is None:
            return self._malformed(raw, f"the unit's code {status_c & 7} is not known: set `unit`")
        expanded = bool(status_c & 0x10)
        exponent = 2 - (status_a & 7) - (expanded and self._settings.expanded == "tenth")
        out_of_range = bool(status_b & 4)
        value = None if out_of_range else _number(weight, exponent)
        if value is None and not out_of_range and weight.strip():
            return self._malformed(raw, f"the weight {weight!r} is no number")
        value = -value if value is not None and status_b & 2 else value
        indication = Indication(
            shown=weight if value is None else f"{value:f}",
            unit=unit,
            value=value,
            increment=Decimal(_INCREMENTS.get(status_a >> 3 & 3, 1)).scaleb(exponent),
            steady=not status_b & 8 and not (expanded and self._settings.expanded == "never_counts"),
            gross=not status_b & 1,
            tare=_number(tare, exponent),
            faults=dict(self._faults(status_b)),
        )
        return self._weigher.told(indication, self._framer.when, raw)

    def _unit(self, status_b: int, status_c: int) -> str | None:
        if self._settings.unit != "auto":
            return self._settings.unit
        code = status_c & 7
        return _UNITS.get(code) if code else "kg" if status_b & 0x10 else "lb"

    def _faults(self, status_b: int) -> Iterator[tuple[FaultKind, str]]:
        if status_b & 4:
            yield FaultKind.OUT_OF_RANGE, "below zero" if status_b & 2 else "over capacity or below zero"
        if status_b & 0x40 and self._settings.not_zeroed_bit:
            yield FaultKind.INTERNAL, "not zeroed since power-up"


def _checksum(frame: bytes) -> int:
    return -sum(byte & 0x7F for byte in frame) & 0x7F


def _number(digits: str, exponent: int) -> Decimal | None:
    found = _DIGITS.fullmatch(digits)
    return Decimal(found[1]).scaleb(exponent) if found else None
