r"""Scales that speak the METTLER TOLEDO Standard Interface Command Set (MT-SICS), level 0.

    SI  ->  S S weight unit      stable            SIR      the same, repeated until the next command
            S D weight unit      in motion         I2 I3 I4 balance data, software, serial number:  I4 A "B021002593"
            S +   S -            over, under range
            S I   S L            busy, or not able to
            ES  ET  EL           syntax, transmission, logical error

Every line ends with CR LF. A weight is right-aligned in ten characters and is net while a tare is on, which the answer
does not say. A scale that was switched on says I4 by itself. `@` is never sent: it clears the operator's tare.

MT-SICS Reference Manual 11780711, chapters 2 and 3 (@, I2-I4, SI, SIR).
"""

import math
import re
from collections import deque
from collections.abc import Iterable
from decimal import Decimal
from typing import Literal

from pydantic import BaseModel, ConfigDict, Field

from edge_agent.devices.framing import Framer, line, why_not_a_frame
from edge_agent.devices.weighing import KG_PER, STABLE_FRAMES, Indication, Weigher, last_place
from edge_agent.domain.observation import DeviceSetup, FaultKind, Malformed, Opaque, Reading

# Weights take 20 bytes; balance data 60 and more, by model.
LINE_LIMIT = 256
BUFFER_LIMIT = 2 * LINE_LIMIT
UNFINISHED_S = 1.0

# What is asked on opening, and the name under which the answer is kept.
IDENTITY = {"I2": "balance", "I3": "software", "I4": "serial_number"}

# Some scales answer with the whole command in place of S.
_WEIGHT = re.compile(r"(?:S|SI|SIR) ([SD]) +(-?) *([0-9]+\.?[0-9]*|\.[0-9]+) +([^ ]+)")
_STATE = re.compile(r"(?:S|SI|SIR) ([-+IL])")
_ERROR = re.compile(r"(?:S|SI|SIR)(?: [SD])? +Error +([^ ]+)", re.IGNORECASE)
_IDENTITY = re.compile(r"(I[0-9]+) ([A-Z])(?: (.*))?")
_TEXT = re.compile(r'"([^"]*)"')
_REFUSALS = {
    "ES": "the scale does not know the command: set its interface to MT-SICS",
    "ET": "the scale received the command damaged: check baud, bytesize and parity of the link",
    "EL": "the scale cannot execute the command",
}
_OUT_OF_RANGE = {"+": "over capacity", "-": "under range"}


class Settings(BaseModel):
    """How this scale is asked."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    mode: Literal["SI", "SIR"] = Field(
        default="SI", description="SI: asked for every weight; SIR: asked once, and the scale repeats"
    )
    identity: bool = Field(default=True, description="ask what scale it is (I2, I3, I4) on opening")
    poll_interval_s: float = Field(default=0.25, ge=0.05, le=5, description="seconds from one SI to the next")
    answer_timeout_s: float = Field(default=1.0, ge=0.1, le=5, description="seconds after which it is asked again")
    increment: Decimal | None = Field(
        default=None, gt=0, description="the scale's increment in the unit shown; unset: one of the last digit shown"
    )
    stable_frames: int = Field(
        default=STABLE_FRAMES, ge=1, le=100, description="consecutive `S S` that agree, to settle"
    )


class MtSics:
    """The dialogue: asks what scale it is, then for weights for ever."""

    def __init__(self, settings: Settings) -> None:
        self._settings = settings
        self._framer = Framer(line(LINE_LIMIT), b"", LINE_LIMIT, UNFINISHED_S)
        self._weigher = Weigher(settings.stable_frames)
        self._asked, self._asked_at, self._ask_at = "", math.nan, math.nan
        self._waiting = self._heard = False
        self._to_ask: deque[str] = deque(IDENTITY if settings.identity else ())
        self._identity: dict[str, str] = {}
        self._setup: dict[str, str] = {}
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
        return [reading for raw, _ in self._framer.feed(data, now) for reading in self._line(raw)]

    def woke(self, now: float) -> Iterable[Reading]:
        """Gives up a line whose end does not come, and asks when it is time to."""
        piece = self._framer.overdue(now)
        readings = self._malformed(piece, "a line without its end") if piece else []
        if self._ask_at <= now < math.inf:
            if self._waiting:
                self._weigher.missed()
                if self._heard:  # this scale does not know this inquiry
                    readings += self._learnt("")
            self._ask(now)
        return readings

    # --- asking ------------------------------------------------------------------------------------------------

    def _ask(self, now: float) -> None:
        self._asked = self._to_ask[0] if self._to_ask else self._settings.mode
        self._outgoing = f"{self._asked}\r\n".encode()
        self._waiting = True
        self._asked_at = now
        self._ask_at = now + self._settings.answer_timeout_s

    def _answered(self) -> None:
        """By a weight, or a refusal of one."""
        if self._asked == "SIR":
            self._ask_at = self._framer.when + self._settings.answer_timeout_s
        elif self._asked == "SI":
            self._waiting = False
            self._ask_at = self._asked_at + self._settings.poll_interval_s

    def _learnt(self, text: str) -> list[Reading]:
        """An inquiry is over; after the last of them, what the scale is."""
        if not self._to_ask or self._asked != self._to_ask[0]:
            return []
        self._to_ask.popleft()
        self._waiting = False
        self._ask_at = self._framer.when
        if text:
            self._identity[IDENTITY[self._asked]] = text
        if self._to_ask or not self._identity:
            return []
        last, self._setup, self._identity = self._setup, self._identity, {}
        changed = tuple(name for name, value in self._setup.items() if last and last.get(name) != value)
        return [Reading(DeviceSetup(tuple(self._setup.items()), changed), self._framer.when)]

    # --- what the scale says -----------------------------------------------------------------------------------

    def _malformed(self, raw: bytes, why: str) -> list[Reading]:
        self._weigher.missed()
        return [Reading(Malformed(why), self._framer.when, raw)]

    def _line(self, raw: bytes) -> list[Reading]:
        text = raw.decode("latin-1").strip()
        if text in _REFUSALS:
            return self._refused(raw, text)
        if found := _IDENTITY.fullmatch(text):
            return self._identified(raw, found[1], found[2], found[3] or "")
        if found := _WEIGHT.fullmatch(text):
            self._heard = True
            self._answered()
            return self._weight(raw, found[1] == "S", found[2] + found[3], found[4])
        if found := _STATE.fullmatch(text) or _ERROR.fullmatch(text):
            self._heard = True
            self._answered()
            return self._no_weight(raw, found[1])
        return self._malformed(raw, why_not_a_frame(raw, "a line of MT-SICS"))

    def _weight(self, raw: bytes, stable: bool, shown: str, unit: str) -> list[Reading]:
        if unit.lower() not in KG_PER:
            return self._malformed(raw, f"the unit {unit!r} is not known: set the scale to one of {', '.join(KG_PER)}")
        value = Decimal(shown) + 0
        increment = self._settings.increment or last_place(shown)
        indication = Indication(shown, unit.lower(), value, increment, steady=stable)
        return self._weigher.told(indication, self._framer.when, raw)

    def _no_weight(self, raw: bytes, state: str) -> list[Reading]:
        if state in "IL":  # busy with something else, a taring perhaps: its faults are as before
            self._weigher.missed()
            return [Reading(Opaque("no_weight", (state, "")), self._framer.when, raw)]
        kind = FaultKind.OUT_OF_RANGE if state in _OUT_OF_RANGE else FaultKind.INTERNAL
        faults = {kind: _OUT_OF_RANGE.get(state, f"error {state}")}
        return self._weigher.told(Indication(state, "", None, faults=faults), self._framer.when, raw)

    def _refused(self, raw: bytes, text: str) -> list[Reading]:
        if self._to_ask:
            self._heard = True
            return [Reading(Opaque(text, (self._asked,)), self._framer.when, raw), *self._learnt("")]
        self._answered()
        return self._malformed(raw, _REFUSALS[text])

    def _identified(self, raw: bytes, command: str, status: str, text: str) -> list[Reading]:
        self._heard = True
        fields = tuple(_TEXT.findall(text)) or (text,)
        readings = [Reading(Opaque(command, (status, *fields)), self._framer.when, raw)]
        if self._to_ask:
            if command == self._asked:
                readings += self._learnt(" ".join(fields))
        elif command == "I4":  # it was switched on: it may be another one, and repeats nothing any more
            self._weigher.missed()
            self._to_ask.extend(IDENTITY if self._settings.identity else ())
            self._ask_at = self._framer.when
            self._waiting = False
        return readings
