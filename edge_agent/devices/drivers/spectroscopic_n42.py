"""Spectroscopic radiation portals that send ANSI N42.42-2012 documents over TCP, as the RS-350 family does.

    STX (0x02)  XML document  ETX (0x03)        neither byte can stand in XML 1.0 (section 2.2, Char)

One document a passage, or one a second: the portal sends unasked. What stands between documents is no message, blanks
and line ends excepted.
"""

import math
import re
from collections.abc import Callable, Iterable, Iterator

from pydantic import BaseModel, ConfigDict, Field, model_validator

from edge_agent.devices.n42 import INSTALL, Document, NotN42Error, installed, read_document
from edge_agent.domain.evidence import Evidence, EvidenceKind
from edge_agent.domain.observation import (
    Body,
    Malformed,
    Opaque,
    RadiationAlarm,
    RadiationKind,
    Reading,
)

STX, ETX = 0x02, 0x03
# A passage of two minutes with spectra of 1,024 channels, ten a second, is some 4 MB.
DOCUMENT_LIMIT = 8 * 1024 * 1024
LARGEST_LIMIT = 32 * 1024 * 1024
# A reading's raw goes into captures and events, and stays small there; the document is evidence, and whole.
RAW_LIMIT = 64 * 1024
NOISE_LIMIT = 1024
# A document comes in one go. One that pauses this long has lost its end.
UNFINISHED_S = 30.0
# Alarms that were told, by kind and time: a portal that sends a document a second repeats them.
REMEMBERED = 64
# No passage is longer; what states more is dated by this.
LONGEST_S = 120.0
_COUNT_LIMIT = 2**32 - 1

_FRAME = re.compile(rb"[\x02\x03]")
_BLANK = b" \t\r\n"
_OUTSIDE = "no document: bytes outside STX and ETX"


class Settings(BaseModel):
    """How this portal's documents are read. SpecUtils must be installed."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    document_limit: int = Field(
        default=DOCUMENT_LIMIT, ge=1024, le=LARGEST_LIMIT, description="bytes of the largest document that is taken"
    )

    @model_validator(mode="after")
    def _readable(self) -> "Settings":
        if not installed():
            raise ValueError(INSTALL)
        return self


class SpectroscopicN42:
    """The dialogue: it only listens. `read` makes sense of one document; it raises NotN42Error.

    A document's bytes are the raw of its reading. Of one larger than RAW_LIMIT, all but the end stand in `Opaque`
    readings of their own, before it.
    """

    def __init__(self, settings: Settings, read: Callable[[bytes], Document] = read_document) -> None:
        self._limit = settings.document_limit
        self._read = read
        self._buffer = bytearray()  # blanks or noise, or (from `_begun` on) a document that is not whole
        self._begun: int | None = None  # where in the buffer the STX is
        self._last_byte = math.nan
        self._when = math.nan
        self._told: dict[tuple[RadiationKind, str], None] = {}

    def opened(self, now: float) -> None:
        self._last_byte = self._when = now

    def next_wake(self) -> float | None:
        return None if self._blank else self._last_byte + UNFINISHED_S

    def to_send(self) -> bytes:
        return b""

    def woke(self, now: float) -> Iterable[Reading]:
        """Gives up a document whose end does not come."""
        if now == math.inf and self._buffer and self._blank:
            return [Reading(Opaque("blank", ()), self._when, raw) for raw in self._take()]
        if self._blank or now < self._last_byte + UNFINISHED_S:
            return ()
        return tuple(self._give_up("a document without its end" if self._begun is not None else _OUTSIDE))

    @property
    def _blank(self) -> bool:
        """Nothing is held but line ends, which belong to the document that comes next."""
        return self._begun is None and not self._buffer.strip(_BLANK)

    def received(self, data: bytes, now: float) -> Iterable[Reading]:
        self._last_byte = now
        if not math.isnan(now):
            self._when = now
        readings: list[Reading] = []
        position = 0
        while position < len(data):
            found = _FRAME.search(data, position)
            stop = found.start() if found else len(data)
            readings += self._text(data[position:stop])
            position = stop
            if found:
                readings += self._frame(data[stop])
                position += 1
        return readings

    def _text(self, data: bytes) -> Iterator[Reading]:
        """Bytes that neither begin nor end a document, as many of them as may be held."""
        while data:
            if self._begun is None:
                limit, why = NOISE_LIMIT, _OUTSIDE
            else:
                limit, why = self._begun + 1 + self._limit, f"a document of more than {self._limit} bytes"
            room = limit - len(self._buffer)
            self._buffer += data[:room]
            data = data[room:]
            if len(self._buffer) == limit and data:
                yield from self._give_up(why)

    def _frame(self, byte: int) -> Iterator[Reading]:
        if byte == STX:
            if self._begun is not None:
                yield from self._give_up("a document without its end: another begins within it")
            elif not self._blank:
                yield from self._give_up(_OUTSIDE)
            self._begun = len(self._buffer)
            self._buffer.append(byte)
            return
        self._buffer.append(byte)
        if self._begun is None:
            yield from self._give_up("no document: an ETX without its STX")
        else:
            document = bytes(self._buffer[self._begun + 1 : -1])
            yield from self._document(document)

    def _give_up(self, why: str) -> Iterator[Reading]:
        for index, raw in enumerate(self._take()):
            yield Reading(Malformed(why if index == 0 else f"{why} (continued)"), self._when, raw)

    def _take(self) -> list[bytes]:
        held = bytes(self._buffer)
        self._buffer.clear()
        self._begun = None
        return [held[at : at + RAW_LIMIT] for at in range(0, len(held), RAW_LIMIT)]

    # --- what a document says -------------------------------------------------------------------------------------

    def _document(self, data: bytes) -> Iterator[Reading]:
        try:
            document = self._read(data)
        except NotN42Error as error:
            yield from self._give_up(str(error))
            return
        parts = self._take()
        for number, raw in enumerate(parts[:-1], 1):
            yield Reading(Opaque("n42_part", (str(number), str(len(parts)))), self._when, raw)
        bodies = self._bodies(document)
        # The vehicle was there while it was measured; when the document comes, the next one may be.
        lasted = max(0.0, min(document.measurement.real_s, LONGEST_S)) if document.measurement else 0.0
        at = self._when - lasted / 2
        evidence = (Evidence(EvidenceKind.N42, "application/xml", data),) if document.measurement else ()
        for index, body in enumerate(bodies):
            yield Reading(
                body,
                at,
                parts[-1] if index == 0 else b"",
                evidence=evidence if index == 0 else (),
                device_time=document.started,
            )

    def _bodies(self, document: Document) -> list[Body]:
        """The measurement first: its evidence is the document, which proves the alarms too."""
        bodies: list[Body] = [document.measurement or Opaque("n42", (document.instrument, *document.measured))]
        for alarm in document.alarms:
            counts = {RadiationKind.GAMMA: document.detector_gamma, RadiationKind.NEUTRON: ()}
            neutrons = document.measurement.neutron_counts if document.measurement else None
            if neutrons is not None:
                counts[RadiationKind.NEUTRON] = (neutrons,)
            kinds = [kind for kind in RadiationKind if (alarm.gamma, alarm.neutron)[kind is RadiationKind.NEUTRON]]
            for kind in kinds:
                if self._is_news(kind, alarm.at, bodies):
                    bodies.append(RadiationAlarm(kind, tuple(min(count, _COUNT_LIMIT) for count in counts[kind])))
            if not kinds:
                bodies.append(Opaque("alarm", (alarm.category, alarm.description)))
        return bodies

    def _is_news(self, kind: RadiationKind, at: str, bodies: list[Body]) -> bool:
        """An alarm is told once for each kind and document, and once where a later document repeats it."""
        if any(isinstance(body, RadiationAlarm) and body.kind is kind for body in bodies):
            return False
        if not at:
            return True
        known = (kind, at) in self._told
        self._told[kind, at] = None
        while len(self._told) > REMEMBERED:
            del self._told[next(iter(self._told))]
        return not known
