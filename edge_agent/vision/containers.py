"""Which lines of text form ISO 6346 container codes: grouped by where they stand, never by trying pairs until one
checks.

A code is painted in one row (`MSKU 413532 9`), in two (`MSKU` over `413532 9`) or as a column of upright characters,
with the check digit in a box of its own and the size-type code below or behind it. The category letter must be U, J or
Z.

The format says which places hold letters and which digits; only characters of the right kind are read at each place,
with the probability that the model gave them. Where the model preferred one of the other kind (O for 0), that one
stands first among the alternatives, with its own, higher confidence. The check digit decides nothing here: it is
evidence.
"""

import math
import re
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from itertools import pairwise

import numpy as np

from edge_agent.domain.identifiers import check_digit_ok
from edge_agent.domain.observation import CharacterRead, ContainerCodeRead
from edge_agent.vision.ctc import LETTERS_AND_DIGITS, LineRead, unit
from edge_agent.vision.lines import Relation, TextLine, bounding_box, mean_confidence, relation
from edge_agent.vision.text_finder import Quad

OWNER, SERIAL, COMPLETE = 4, 10, 11  # characters up to the end of each part
CONFIDENCE_MIN = 0.3
ROW_PARTS_MAX = 4
ROW_GAP_MAX = 2.5  # heights between two parts of one row
INSIDE_MIN = 0.7  # a digit read alone has no neighbours to speak for it
OTHER_KIND_MIN = 0.02  # what the model must at least have given to a character of the right kind
# ISO 6346:2022, annexes D and E: length, width and height, type group, detail.
_SIZE_TYPE = re.compile(r"[1-4BCDGHKLMNP][0-9CDEFLMNP][GVBSRHUPTAN][0-9A-Z]")
# A line that is an owner code, a serial number or a size-type code: the rest of a code may be near it.
PART_OF_CODE = re.compile(r"[A-Z]{3}[UJZ]|[A-Z]{3}[UJZ]?\d{6,7}|\d{6,7}|[1-4LM][0-9CDEF][GRUTPB]\d")
# What a finder that sees a code in parts may cut out of it: letters or digits alone, digits behind the end of an owner
# code, a size-type code.
PIECE_OF_CODE = re.compile(rf"[A-Z]*|\d*|[A-Z]{{0,3}}[UJZ]\d+|{_SIZE_TYPE.pattern}")
_CHECK_DIGIT_PITCHES = 3.2  # how far to the right of the serial number the boxed check digit ends, in character pitches


@dataclass(frozen=True)
class CodeCandidate:
    """Characters that form a code, complete or without check digit, and the corners of the lines they come from.

    `serial` is the row that holds the serial number.
    """

    characters: tuple[CharacterRead, ...]
    quads: tuple[Quad, ...]
    lines: tuple[TextLine, ...]
    serial: TextLine
    size_type: str = ""

    @property
    def code(self) -> str:
        return "".join(c.character for c in self.characters)

    @property
    def confidence(self) -> float:
        """For choosing between candidates of different lengths."""
        return mean_confidence(self.characters)

    @property
    def probability(self) -> float:
        """That the whole code is right: each character's, multiplied."""
        return unit(math.prod(c.confidence for c in self.characters))

    def as_read(self, height: int, width: int) -> ContainerCodeRead:
        """The reading, its box inside a picture of that size."""
        return ContainerCodeRead(
            code=self.code,
            confidence=self.probability,
            characters=self.characters,
            box=bounding_box(self.quads, height, width),
            check_digit_ok=check_digit_ok(self.code),
            size_type=self.size_type,
        )


# Reads the quadrilateral again: gives the line that stands there.
ReadAgain = Callable[[Quad], TextLine]


def code_candidates(lines: Sequence[TextLine], read_again: ReadAgain) -> list[CodeCandidate]:
    """The container codes of a picture, complete ones first, then by confidence. No line belongs to two codes."""
    rows = [row for line in lines for row in _rows_from(line, lines)]
    found = [c for row in rows if (c := _in_one_row(row)) is not None]
    for owner in lines:
        candidate = _from_owner(owner, rows)
        if candidate is not None:
            found.append(candidate)
    found.sort(key=lambda c: (-len(c.characters), -c.confidence))
    kept: list[CodeCandidate] = []
    used: set[TextLine] = set()
    for candidate in found:
        own = set(candidate.lines)
        if own & used or candidate.confidence < CONFIDENCE_MIN:
            continue
        used |= own
        kept.append(candidate)
    whole = [_with_check_digit(c, lines, read_again) for c in kept]
    sized = [_with_size_type(c, lines) for c in whole]
    return sorted(sized, key=lambda c: (-len(c.characters), not check_digit_ok(c.code), -c.confidence))


def letters_read(characters: Sequence[CharacterRead]) -> tuple[CharacterRead, ...] | None:
    """The characters read as letters, or None where the model saw no letter."""
    return _of_kind(characters, str.isalpha)


def digits_read(characters: Sequence[CharacterRead]) -> tuple[CharacterRead, ...] | None:
    """The characters read as digits, or None where the model saw no digit."""
    return _of_kind(characters, str.isdigit)


def _of_kind(characters: Sequence[CharacterRead], kind: Callable[[str], bool]) -> tuple[CharacterRead, ...] | None:
    out = []
    for c in characters:
        if kind(c.character):
            out.append(c)
            continue
        other = next(((a, p) for a, p in c.alternatives if kind(a) and p >= OTHER_KIND_MIN), None)
        if other is None:
            return None
        rest = tuple(a for a in c.alternatives if a[0] != other[0])
        out.append(CharacterRead(other[0], other[1], ((c.character, c.confidence), *rest)))
    return tuple(out)


def owner_read(characters: Sequence[CharacterRead]) -> tuple[CharacterRead, ...] | None:
    """Four characters as owner code and category, or None if they cannot be."""
    read = letters_read(characters) if len(characters) == OWNER else None
    return read if read is not None and read[3].character in "UJZ" else None


@dataclass(frozen=True)
class _Row:
    """Neighbours on one row, and the line that they form together."""

    whole: TextLine
    parts: tuple[TextLine, ...]


def _rows_from(first: TextLine, lines: Sequence[TextLine]) -> list[_Row]:
    """The line by itself, and with one to three neighbours to its right, up to the characters of a serial number."""
    rows = [_Row(first, (first,))]
    while len(rows) < ROW_PARTS_MAX and len(rows[-1].whole.characters) < SERIAL:
        last = rows[-1].parts[-1]
        right = [
            (r.gap_along, line)
            for line in lines
            if line is not last and _same_row(r := relation(last, line), last, line)
        ]
        if not right:
            break
        parts = (*rows[-1].parts, min(right, key=lambda item: item[0])[1])
        rows.append(_Row(_joined(parts), parts))
    return rows


def _same_row(r: Relation, left: TextLine, right: TextLine) -> bool:
    return (
        r.shift_along > 0
        and -0.5 < r.gap_along < ROW_GAP_MAX
        and abs(r.shift_across) < 0.45
        and 0.6 < r.height_ratio < 1.6
        and float(left.along @ right.along) > 0.94
    )


def _joined(parts: Sequence[TextLine]) -> TextLine:
    first, last = parts[0], parts[-1]
    whole = TextLine(np.array([first.quad[0], last.quad[1], last.quad[2], first.quad[3]], np.float32), first.read)
    places = []
    for part in parts:
        start = float((part.origin - whole.origin) @ whole.along)
        places += [min(1.0, (start + place * part.width) / max(1.0, whole.width)) for place in part.read.places]
    characters = tuple(c for part in parts for c in part.read.characters)
    return TextLine(whole.quad, LineRead(characters, tuple(places)))


def _in_one_row(row: _Row) -> CodeCandidate | None:
    """A row that holds owner code and serial number: `MSKU 413532 9 22G1`, the last two perhaps missing."""
    characters = row.whole.characters
    for start in range(max(0, len(characters) - SERIAL) + 1):
        owner = owner_read(characters[start : start + OWNER])
        number = _serial_read(characters[start + OWNER :])
        if owner is None or number is None:
            continue
        if start and characters[start - 1].character.isalpha() and not _parted(row.whole, start):
            continue  # the tail of a longer word
        quads = tuple(part.quad for part in row.parts)
        return CodeCandidate((*owner, *number[0]), quads, row.parts, row.whole, number[1])
    return None


def _serial_read(characters: Sequence[CharacterRead]) -> tuple[tuple[CharacterRead, ...], str] | None:
    """Serial number, perhaps with check digit, and the size-type code behind it, '' if there is none."""
    serial = digits_read(characters[: SERIAL - OWNER])
    if serial is None or len(serial) != SERIAL - OWNER:
        return None
    rest = characters[SERIAL - OWNER :]
    text = "".join(c.character for c in rest)
    if _SIZE_TYPE.fullmatch(text[:4]) and not _SIZE_TYPE.fullmatch(text[1:5]):
        return serial, text[:4]  # its first digit is no check digit
    check = digits_read(rest[:1]) or ()
    return (*serial, *check), text[1:5] if check and _SIZE_TYPE.fullmatch(text[1:5]) else ""


def _parted(line: TextLine, start: int) -> bool:
    """Whether something other than a letter or digit stands before the `start`-th letter or digit."""
    seen = 0
    before = ""
    for c in line.read.characters:
        plain = c.character in LETTERS_AND_DIGITS
        if plain and seen == start:
            return not (before.isalpha() or before.isdigit())
        seen += plain
        before = c.character
    return False


def _from_owner(owner: TextLine, rows: Sequence[_Row]) -> CodeCandidate | None:
    """An owner code with the nearest serial number on its row or under it."""
    letters = owner_read(owner.characters)
    if letters is None:
        return None
    best: tuple[float, int, _Row, tuple[CharacterRead, ...], str] | None = None
    for row in rows:
        distance = _goes_on(owner, row.whole) if owner not in row.parts else None
        number = _serial_read(row.whole.characters) if distance is not None else None
        if distance is None or number is None or len(row.whole.characters) > len(number[0]) + len(number[1]):
            continue
        if best is None or (distance, -len(number[0])) < best[:2]:
            best = (distance, -len(number[0]), row, *number)
    if best is None:
        return None
    row = best[2]
    quads = (owner.quad, *(part.quad for part in row.parts))
    return CodeCandidate((*letters, *best[3]), quads, (owner, *row.parts), row.whole, best[4])


def _goes_on(owner: TextLine, serial: TextLine) -> float | None:
    """How far, in heights, the serial number stands from the owner code; None if it cannot belong to it."""
    r = relation(owner, serial)
    if float(owner.along @ serial.along) < 0.94 or not 0.6 < r.height_ratio < 1.6:
        return None
    if r.shift_along > 0 and abs(r.shift_across) < 0.45 and -0.5 < r.gap_along < 2.5:
        return max(0.0, r.gap_along)
    if r.shift_across > 0 and r.gap_across < 1.2 and r.overlap_along > 0.5:
        return 1.0 + max(0.0, r.gap_across)
    return None


def _with_check_digit(candidate: CodeCandidate, lines: Sequence[TextLine], read_again: ReadAgain) -> CodeCandidate:
    """Adds the boxed check digit: a line of one digit right of the serial number, or the place read once more."""
    if len(candidate.characters) != SERIAL:
        return candidate
    serial = candidate.serial
    for line in lines:
        if line in candidate.lines:
            continue
        digit = digits_read(line.characters) if len(line.characters) == 1 else None
        if digit and _right_of(serial, line):
            return replace(
                candidate,
                characters=(*candidate.characters, *digit),
                quads=(*candidate.quads, line.quad),
                lines=(*candidate.lines, line),
            )
    pitch, end = _pitch_and_end(serial)
    longer = _part(serial, 0.0, end + pitch * _CHECK_DIGIT_PITCHES)
    again = read_again(longer)
    digits = digits_read(again.characters[-7:])
    wanted = [c.character for c in candidate.characters[OWNER:]]
    if digits and len(digits) == 7 and [c.character for c in digits[:6]] == wanted:
        return replace(candidate, characters=(*candidate.characters, digits[6]), quads=(*candidate.quads[:-1], longer))
    return _from_inside_box(candidate, serial, pitch, end, read_again)


def _right_of(serial: TextLine, line: TextLine) -> bool:
    r = relation(serial, line)
    return r.shift_along > 0 and -0.5 < r.gap_along < 1.5 and abs(r.shift_across) < 0.5 and 0.5 < r.height_ratio < 2.2


def _pitch_and_end(serial: TextLine) -> tuple[float, float]:
    """The distance between two characters, and where the last letter or digit ends, in pixels along the line."""
    middles = [
        place * serial.width
        for c, place in zip(serial.read.characters, serial.read.places, strict=True)
        if c.character in LETTERS_AND_DIGITS
    ]
    middles = middles[-(SERIAL - OWNER) :]
    steps = sorted(b - a for a, b in pairwise(middles))
    pitch = max(1.0, steps[len(steps) // 2])
    return pitch, middles[-1] + pitch / 2


def _part(line: TextLine, start: float, end: float, shrink: float = 0.0) -> Quad:
    """The line's quadrilateral from `start` to `end` pixels along it, its height less `shrink` on both sides."""
    top, foot = line.quad[0], line.quad[3]
    inset = (foot - top) * shrink
    return np.array(
        [top + line.along * start + inset, top + line.along * end + inset,
         foot + line.along * end - inset, foot + line.along * start - inset], dtype=np.float32
    )  # fmt: skip


def _from_inside_box(
    candidate: CodeCandidate, serial: TextLine, pitch: float, end: float, read_again: ReadAgain
) -> CodeCandidate:
    """The check digit read alone, without the sides of its box: the surest of a few places where it can stand."""
    best: CharacterRead | None = None
    for gap in (0.35, 0.6, 0.85):
        for shrink in (0.1, 0.2):
            again = read_again(_part(serial, end + pitch * gap, end + pitch * (gap + 1.0), shrink))
            digit = digits_read(again.characters) if len(again.characters) == 1 else None
            if digit and digit[0].confidence >= INSIDE_MIN and (best is None or digit[0].confidence > best.confidence):
                best = digit[0]
    if best is None:
        return candidate
    box = _part(serial, end, end + pitch * _CHECK_DIGIT_PITCHES * 0.75)
    return replace(candidate, characters=(*candidate.characters, best), quads=(*candidate.quads, box))


def _with_size_type(candidate: CodeCandidate, lines: Sequence[TextLine]) -> CodeCandidate:
    """Adds the size-type code that stands right under the code or behind it."""
    if candidate.size_type:
        return candidate
    last = candidate.serial
    for line in sorted(lines, key=lambda other: float(((other.centre - last.centre) ** 2).sum())):
        if line in candidate.lines or not _SIZE_TYPE.fullmatch(line.text[:4]) or len(line.text) > 6:
            continue
        r = relation(last, line)
        under = r.shift_across > 0 and r.gap_across < 2.0 and r.gap_along < 1.0
        behind = r.shift_along > 0 and abs(r.shift_across) < 0.5 and r.gap_along < 4.0
        if 0.5 < r.height_ratio < 1.8 and (under or behind):
            return replace(candidate, lines=(*candidate.lines, line), size_type=line.text[:4])
    return candidate
