"""Serial barcode scanners, fixed or by hand, that send what they read as a line of text.

    [prefix]["]" AIM code modifier] data suffix

The AIM identifier (ISO/IEC 15424) names the symbology; it is switched on in the scanner's set-up. The suffix is CR
or CR LF by maker. A high-security seal (ISO 17712) is a mechanical seal with its number in a Code 128 or Code 39 label.
"""

import math
import re
from collections.abc import Iterable
from typing import Literal

from pydantic import BaseModel, ConfigDict, Field

from edge_agent.domain.identifiers import check_digit_ok, is_seal_number
from edge_agent.domain.observation import Body, Malformed, Opaque, Reading, SealRead

# The largest symbol there is, a QR code of version 40, holds 7,089 digits.
SCAN_LIMIT = 8192
# After an unfinished scan, text that comes within this time may be its rest. Nobody aims, pulls the trigger and has
# a scan decoded faster; and a rest taken for a scan would be a wrong seal number.
REST_S = 2.0

_AIM = re.compile(r"\]([A-Za-z][0-9A-Za-z])")
# ISO/IEC 15424, annex: by code character, where the modifier says only how the data were treated.
_SYMBOLOGIES = {
    "A": "Code 39",
    "C": "Code 128",
    "E": "EAN/UPC",
    "F": "Codabar",
    "G": "Code 93",
    "H": "Code 11",
    "I": "Interleaved 2 of 5",
    "L": "PDF417",
    "Q": "QR Code",
    "U": "MaxiCode",
    "d": "Data Matrix",
    "e": "GS1 DataBar",
    "z": "Aztec Code",
}
_GS1_128 = "C1"
_SUFFIXES = {
    "cr": re.compile(rb"\r"),
    "lf": re.compile(rb"\n"),
    "crlf": re.compile(rb"\r\n"),
    "any": re.compile(rb"[\r\n]"),
}


class Settings(BaseModel):
    """How this scanner was set up."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    prefix: str = Field(
        default="", max_length=16, description="text before every scan, as set in the scanner; STX is '\\x02'"
    )
    suffix: Literal["cr", "lf", "crlf", "any"] = Field(
        default="any", description="what ends a scan; any: CR, LF or both"
    )
    inter_character_timeout_s: float = Field(
        default=0.5, gt=0, le=60, description="seconds without a byte after which an unfinished scan is given up"
    )
    seal_symbologies: frozenset[str] = Field(
        default=frozenset({"", "Code 128", "Code 39", "Data Matrix", "QR Code"}),
        description="symbologies in which seals are labelled here; '' is a scanner that sends no AIM identifier",
    )


class BarcodeScanner:
    """The dialogue: it only listens."""

    def __init__(self, settings: Settings) -> None:
        self._settings = settings
        self._suffix = _SUFFIXES[settings.suffix]
        self._buffer = bytearray()
        self._searched = 0  # bytes at the buffer's beginning that hold no suffix
        self._after_cr = False  # `any` only: a line feed now belongs to the end of the scan before
        self._first_byte = self._last_byte = math.nan
        self._given_up_at: float | None = None

    def opened(self, now: float) -> None:
        self._first_byte = self._last_byte = now

    def next_wake(self) -> float | None:
        return self._last_byte + self._settings.inter_character_timeout_s if self._in_scan() else None

    def to_send(self) -> bytes:
        return b""

    def woke(self, now: float) -> Iterable[Reading]:
        """Gives up a scan whose end does not come."""
        if now < self._last_byte + self._settings.inter_character_timeout_s:
            return ()
        if self._in_scan():
            self._given_up_at = self._last_byte
            return (Reading(Malformed("a scan without its end"), self._last_byte, self._take(len(self._buffer))),)
        if self._buffer and now == math.inf:
            return (Reading(Opaque("line_end", ()), self._last_byte, self._take(len(self._buffer))),)
        return ()

    def received(self, data: bytes, now: float) -> Iterable[Reading]:
        readings: list[Reading] = []
        position = 0
        while position < len(data):
            if not self._in_scan():
                self._first_byte = now
            self._last_byte = now
            stop = position + SCAN_LIMIT - len(self._buffer)
            self._buffer += data[position:stop]
            position = stop
            while end := self._end():
                raw = self._take(end)
                readings.append(Reading(self._scan(raw), now, raw))
                self._first_byte = now
                self._given_up_at = None
            if len(self._buffer) == SCAN_LIMIT:
                # The first half of a suffix stays, so that its second half is not taken for part of the next scan.
                torn = self._settings.suffix == "crlf" and self._buffer.endswith(b"\r")
                raw = self._take(SCAN_LIMIT - torn)
                readings.append(Reading(Malformed(f"{len(raw)} bytes without the end of a scan"), now, raw))
                self._given_up_at = now
        return readings

    def _take(self, length: int) -> bytes:
        raw = bytes(self._buffer[:length])
        del self._buffer[:length]
        self._searched = 0
        return raw

    def _in_scan(self) -> bool:
        return bool(self._buffer) and not (self._after_cr and self._buffer == b"\n")

    def _end(self) -> int:
        """The length of the first whole scan in the buffer, its suffix included; 0 if there is none."""
        spare = self._after_cr and self._buffer.startswith(b"\n")
        found = self._suffix.search(self._buffer, max(int(spare), self._searched))
        if not found:
            self._searched = max(0, len(self._buffer) - 1)  # the last byte may be half a suffix
            return 0
        self._after_cr = self._settings.suffix == "any" and found[0] == b"\r"
        return found.end()

    def _scan(self, raw: bytes) -> Body:
        data = raw.strip(b"\r\n") if self._settings.suffix == "any" else self._suffix.sub(b"", raw)
        if not data:
            return Malformed("a scan of nothing")
        if b"\r" in data or b"\n" in data:
            return Malformed("the end of a line within a scan: `suffix` is not as the scanner is set up")
        try:
            text = data.decode()
        except UnicodeDecodeError:
            return Malformed("bytes that are not UTF-8 text")
        if not text.startswith(self._settings.prefix):
            return Malformed(f"without its prefix {self._settings.prefix!r}")
        text = text.removeprefix(self._settings.prefix)
        aim = _AIM.match(text)
        if self._given_up_at is not None and not (self._settings.prefix or aim):
            # Nothing marks this as a beginning. Without a clock (NaN) nothing shows that it is late enough either.
            late = self._first_byte - self._given_up_at >= REST_S
            if not late:
                return Malformed("perhaps the rest of an unfinished scan")
        symbology = _symbology(aim[1]) if aim else ""
        text = text[aim.end() :] if aim else text
        if symbology in self._settings.seal_symbologies and is_seal_number(text) and not check_digit_ok(text):
            return SealRead(text, symbology)
        return Opaque("barcode", (text, symbology))


def _symbology(aim: str) -> str:
    """The name, or the identifier itself where it is none of those known."""
    return "GS1-128" if aim == _GS1_128 else _SYMBOLOGIES.get(aim[0], f"]{aim}")
