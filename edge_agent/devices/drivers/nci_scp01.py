r"""Scales that are asked by the NCI general protocol (Weigh-Tronix SCP-01): they speak when spoken to.

    W CR  ->  LF weight unit CR LF status CR ETX        the weight as displayed, minus sign and decimal point included
              LF status CR ETX                          where no weight is displayed
              LF ? CR ETX                               the command is not known

Over capacity the weight is filled with ^, under capacity with _, after a zeroing error with -. Two or more status
bytes; from the second on, bit 6 says that another follows, bits 4 and 5 are 1, bit 7 is the parity:

    1st   bit 0 motion;  1 at zero;  2 RAM error;  3 EEPROM error
    2nd   bit 0 under capacity;  1 over capacity;  2 ROM error;  3 faulty calibration
    3rd   bits 0-1 range;  2 net, else gross;  3 initial zero error

NCI 6702 manual, page 14; Ohaus Aviator 7000 service manual, page 49; Avery Weigh-Tronix 7821, section 6.3.
"""

import math
import re
from collections.abc import Iterable, Iterator
from decimal import Decimal

from pydantic import BaseModel, ConfigDict, Field

from edge_agent.devices.framing import Framer, why_not_a_frame
from edge_agent.devices.weighing import STABLE_FRAMES, Indication, Weigher, last_place
from edge_agent.domain.observation import FaultKind, Malformed, Opaque, Reading

COMMAND = b"W\r"
# A weight has 12 characters at most, a unit 3; eight status bytes are more than any manual defines.
ANSWER_LIMIT = 32
BUFFER_LIMIT = 2 * ANSWER_LIMIT
# An answer takes 0.3 s at 1200 baud.
UNFINISHED_S = 1.0

_STATUS = rb"\n([0-?][0-?p-\x7f]{1,7})\r\x03"
_WEIGHT = rb"\n([ -~]{1,12}?) ?(kg|KG|lb|LB|oz|OZ|g|G|tn|TN|t|T) ?\r"
_ANSWER = re.compile(rb"(?:" + _WEIGHT + rb")?" + _STATUS)
_UNKNOWN = re.compile(rb"\n\?\r\x03")
_NUMBER = re.compile(r" *(-?) *([0-9]+\.?[0-9]*|\.[0-9]+)")
_UNITS = {"tn": "ton"}

_EXPECTED = "LF, weight and unit, CR, LF, status, CR, ETX"
_FILLINGS = ("^", "_", "-")  # over capacity, under capacity, zeroing error
# By status byte and bit.
_ERRORS = {
    (0, 2): "RAM error",
    (0, 3): "EEPROM error",
    (1, 2): "ROM error",
    (1, 3): "faulty calibration",
    (2, 3): "initial zero error",
}


class Settings(BaseModel):
    """How this scale is asked."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    poll_interval_s: float = Field(default=0.25, ge=0.05, le=5, description="seconds from one question to the next")
    answer_timeout_s: float = Field(default=1.0, ge=0.1, le=5, description="seconds after which it is asked again")
    increment: Decimal | None = Field(
        default=None, gt=0, description="the scale's increment in the unit shown; unset: one of the last digit shown"
    )
    stable_frames: int = Field(
        default=STABLE_FRAMES, ge=1, le=100, description="consecutive answers without motion that agree, to settle"
    )


class NciScp01:
    """The dialogue: it asks for the weight, and asks again when no answer comes."""

    def __init__(self, settings: Settings) -> None:
        self._settings = settings
        self._framer = Framer(_measure, b"\n", ANSWER_LIMIT, UNFINISHED_S)
        self._weigher = Weigher(settings.stable_frames)
        self._asked_at = self._ask_at = math.nan
        self._waiting = False  # for an answer
        self._outgoing = b""

    def opened(self, now: float) -> None:
        self._framer.opened(now)
        self._ask(now)

    def next_wake(self) -> float | None:
        held = self._framer.next_wake()
        return self._ask_at if held is None else min(held, self._ask_at)

    def to_send(self) -> bytes:
        outgoing, self._outgoing = self._outgoing, b""
        return outgoing

    def received(self, data: bytes, now: float) -> Iterable[Reading]:
        readings: list[Reading] = []
        for piece, is_frame in self._framer.feed(data, now):
            readings += self._answer(piece) if is_frame else self._between(piece)
        return readings

    def woke(self, now: float) -> Iterable[Reading]:
        """Gives up an answer whose end does not come, and asks when it is time to."""
        piece = self._framer.overdue(now)
        readings = self._between(piece) if piece else []
        if self._ask_at <= now < math.inf:
            if self._waiting:
                self._weigher.missed()
            self._ask(now)
        return readings

    def _ask(self, now: float) -> None:
        self._outgoing = COMMAND
        self._waiting = True
        self._asked_at = now
        self._ask_at = now + self._settings.answer_timeout_s

    def _answered(self) -> None:
        self._waiting = False
        self._ask_at = self._asked_at + self._settings.poll_interval_s

    def _between(self, piece: bytes) -> list[Reading]:
        return self._malformed(piece, why_not_a_frame(piece, _EXPECTED))

    def _malformed(self, raw: bytes, why: str) -> list[Reading]:
        self._weigher.missed()
        return [Reading(Malformed(why), self._framer.when, raw)]

    def _answer(self, raw: bytes) -> list[Reading]:
        self._answered()
        found = _ANSWER.fullmatch(raw)
        if not found:
            return self._malformed(raw, "the scale does not know the command W: set it up for the NCI protocol SCP-01")
        status = found[3]
        errors = [name for (byte, bit), name in _ERRORS.items() if len(status) > byte and status[byte] >> bit & 1]
        when = self._framer.when
        if found[1] is None:
            self._weigher.missed()
            opaque = Opaque("status", (status.decode("ascii"),))
            return [Reading(opaque, when, raw), *self._weigher.faults(dict(_faults(errors, status, "")), when)]
        shown = found[1].decode("ascii")
        number = _NUMBER.fullmatch(shown)
        filling = shown.strip()[:1] if len(set(shown.strip())) == 1 else ""
        if not number and filling not in _FILLINGS:
            return self._malformed(raw, f"the weight {shown!r} is no number: the scale must show one unit, decimal")
        unit = found[2].decode("ascii").lower()
        digits = number[1] + number[2] if number else shown.strip()
        indication = Indication(
            shown=digits,
            unit=_UNITS.get(unit, unit),
            value=Decimal(digits) + 0 if number else None,
            increment=self._settings.increment or last_place(digits),
            steady=not status[0] & 1,
            gross=not status[2] & 4 if len(status) > 2 else None,
            faults=dict(_faults(errors, status, filling)),
        )
        return self._weigher.told(indication, when, raw)


def _measure(window: bytes) -> int | None:
    if found := _ANSWER.match(window) or _UNKNOWN.match(window):
        return found.end()
    return 0 if len(window) == ANSWER_LIMIT or b"\x03" in window else None


def _faults(errors: list[str], status: bytes, filling: str) -> Iterator[tuple[FaultKind, str]]:
    if status[1] & 2 or filling == "^":
        yield FaultKind.OUT_OF_RANGE, "over capacity"
    elif status[1] & 1 or filling == "_":
        yield FaultKind.OUT_OF_RANGE, "under capacity"
    if filling == "-":
        errors = [*errors, "zeroing error"]
    if errors:
        yield FaultKind.INTERNAL, ", ".join(errors)
