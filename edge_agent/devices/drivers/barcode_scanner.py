"""Serial barcode scanners, fixed or by hand, that send what they read as a line of text.

    [prefix]["]" AIM code modifier] data suffix

The AIM identifier (ISO/IEC 15424) names the symbology; it is switched on in the scanner's set-up. The suffix is CR
or CR LF by maker, ETX with those that frame by STX and ETX. A high-security seal (ISO 17712) is a mechanical seal with
its number in a Code 128 or Code 39 label. A GS1 symbol holds numbers with application identifiers, parted by GS.
"""

import math
import re
from collections.abc import Iterable
from typing import Annotated, Literal

from pydantic import AfterValidator, BaseModel, ConfigDict, Field

from edge_agent.devices import gs1
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
# By code character and modifier: FNC1 stands first, so that the data are GS1 element strings.
_GS1 = {"C1": "GS1-128", "d2": "GS1 DataMatrix", "Q3": "GS1 QR Code", "e0": "GS1 DataBar"}
_SUFFIXES = {
    "cr": re.compile(rb"\r"),
    "lf": re.compile(rb"\n"),
    "crlf": re.compile(rb"\r\n"),
    "etx": re.compile(rb"\x03"),
    "any": re.compile(rb"[\r\n]"),
}
# What no seal's number holds, so that it can mark the beginning of the next scan within a line.
_MARKING = re.compile(r"[^A-Za-z0-9 \-/]")
LABEL_MAX = 64  # a label's text, for `seal_pattern`


def _with_number(pattern: re.Pattern[str]) -> re.Pattern[str]:
    if "number" not in pattern.groupindex:
        raise ValueError("a seal_pattern has a group (?P<number>...) around the number")
    return pattern


Prefix = Annotated[str, Field(max_length=16)]


class Settings(BaseModel):
    """How this scanner was set up."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    prefix: Prefix | tuple[Prefix, ...] = Field(
        default="",
        description="text before every scan, as set in the scanner; STX is '\\x02'. A list where scanners that share a "
        "base station have each their own",
    )
    suffix: Literal["cr", "lf", "crlf", "etx", "any"] = Field(
        default="any", description="what ends a scan; any: CR, LF or both"
    )
    inter_character_timeout_s: float = Field(
        default=0.5, gt=0, le=60, description="seconds without a byte after which an unfinished scan is given up"
    )
    seal_symbologies: frozenset[str] = Field(
        default=frozenset({"", "Code 128", "Code 39", "Data Matrix", "QR Code"}),
        description="symbologies in which seals are labelled here; '' is a scanner that sends no AIM identifier",
    )

    seal_pattern: Annotated[re.Pattern[str], AfterValidator(_with_number)] | None = Field(
        default=None,
        description="a regular expression that a seal's whole label matches, with its number in the group `number`; "
        "unset: 4 to 32 letters, digits, blanks, hyphens and strokes, one digit at least",
    )
    seal_identifier: str = Field(
        default="",
        pattern=r"^([0-9]{2,4})?$",
        description="the GS1 application identifier under which seals carry their number here, say 21; unset: none",
    )
    no_read: frozenset[str] = Field(
        default=frozenset({"NOREAD", "NoRead", "NO READ", "No Read"}),
        description="what a fixed scanner says when it was triggered and read nothing",
    )

    @property
    def prefixes(self) -> tuple[str, ...]:
        """Longest first, so that one that begins as another does is known."""
        several = (self.prefix,) if isinstance(self.prefix, str) else self.prefix
        return tuple(sorted((prefix for prefix in several if prefix), key=lambda prefix: -len(prefix)))


class BarcodeScanner:
    """The dialogue: it only listens."""

    def __init__(self, settings: Settings) -> None:
        self._settings = settings
        self._suffix = _SUFFIXES[settings.suffix]
        self._prefixes = settings.prefixes
        self._beginning = _beginning(settings.prefixes)
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
                readings += self._read(raw, now)
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

    def _read(self, raw: bytes, now: float) -> list[Reading]:
        """What a line says. Labels without an end between them are several scans, if each alone is a seal's."""
        pieces = self._pieces(raw)
        if len(pieces) > 1:
            readings = [Reading(self._scan(piece), now, piece) for piece in pieces]
            if all(isinstance(reading.body, SealRead) for reading in readings):
                return readings
        return [Reading(self._scan(raw), now, raw)]

    def _pieces(self, raw: bytes) -> list[bytes]:
        begins = [match.start() for match in self._beginning.finditer(raw)]
        starts = [0, *begins[1:]]
        return [raw[start:end] for start, end in zip(starts, [*starts[1:], len(raw)], strict=True)]

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
        prefix = next((prefix for prefix in self._prefixes if text.startswith(prefix)), "")
        if self._prefixes and not prefix:
            return Malformed(f"without its prefix {' or '.join(map(repr, self._prefixes))}")
        text = text.removeprefix(prefix)
        aim = _AIM.match(text)
        if self._given_up_at is not None and not (prefix or aim):
            # Nothing marks this as a beginning. Without a clock (NaN) nothing shows that it is late enough either.
            late = self._first_byte - self._given_up_at >= REST_S
            if not late:
                return Malformed("perhaps the rest of an unfinished scan")
        if text in self._settings.no_read:
            return Opaque("no_read", ())
        return self._label(text[aim.end() :] if aim else text, aim[1] if aim else "")

    def _label(self, text: str, aim: str) -> Body:
        """What a label means. `aim` is its AIM identifier, '' if the scanner sends none."""
        told: list[str] = []
        if aim in _GS1:
            try:
                parts = gs1.elements(text)
            except ValueError:
                pass  # said to be GS1, and is not: a label like another
            else:
                seal = next((value for identifier, value in parts if identifier == self._settings.seal_identifier), "")
                if is_seal_number(seal):
                    return SealRead(seal, _GS1[aim])
                told = [gs1.in_words(*part) for part in parts]
        symbology = _symbology(aim)
        number = "" if told else self._seal_number(text, symbology)
        return (
            SealRead(number, symbology)
            if number
            else Opaque("barcode", (text, _GS1[aim] if told else symbology, *told))
        )

    def _seal_number(self, text: str, symbology: str) -> str:
        if symbology not in self._settings.seal_symbologies or len(text) > LABEL_MAX:
            return ""
        if self._settings.seal_pattern is not None:
            found = self._settings.seal_pattern.fullmatch(text)
            text = (found["number"] or "") if found else ""
        return text if is_seal_number(text) and not check_digit_ok(text) else ""


def _symbology(aim: str) -> str:
    """The name, or the identifier itself where it is none of those known."""
    if not aim:
        return ""
    return _GS1[aim] if aim == "C1" else _SYMBOLOGIES.get(aim[0], f"]{aim}")


def _beginning(prefixes: tuple[str, ...]) -> re.Pattern[bytes]:
    """What marks the beginning of a scan: an AIM identifier with a prefix or none, or a prefix that no number holds."""
    either = "|".join(map(re.escape, prefixes))
    marks = [f"(?:{either})?{_AIM.pattern}"] + [re.escape(prefix) for prefix in prefixes if _MARKING.search(prefix)]
    return re.compile("|".join(marks).encode())
