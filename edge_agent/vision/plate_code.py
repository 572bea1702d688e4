"""The project's own recogniser: one model finds plates, one lines of text among which codes stand, one reads both.

A plate's text is what was read, but for O and 0, I and 1: most plates draw these alike, so that their series decides
(priors.py). What the series of the region would make of the other characters stands beside it as `suggested`.
"""

import math
import threading
from collections.abc import Sequence
from dataclasses import dataclass
from itertools import chain, islice
from pathlib import Path

import cv2
import numpy as np

from edge_agent.domain.errors import RecogniserBroken
from edge_agent.domain.identifiers import check_digit_ok, fold_plate
from edge_agent.domain.observation import PlateRead
from edge_agent.vision.agreement import Agreed, agreed
from edge_agent.vision.alike import overlap
from edge_agent.vision.characters import by_place
from edge_agent.vision.columns import strip_lines, strips
from edge_agent.vision.containers import (
    OWNER,
    PART_OF_CODE,
    PIECE_OF_CODE,
    SERIAL,
    CodeCandidate,
    code_candidates,
    owner_read,
)
from edge_agent.vision.ctc import LineRead, Probabilities, best_path
from edge_agent.vision.formats import COUNTRIES, shares
from edge_agent.vision.frame import Frame, Image, Role, cut
from edge_agent.vision.line_finder import LineFinder
from edge_agent.vision.lines import TextLine, bounding_box
from edge_agent.vision.model_file import DEFAULT_THREADS
from edge_agent.vision.plate_code_finder import Finding, PlateCodeFinder
from edge_agent.vision.plate_code_reader import PlateCodeReader
from edge_agent.vision.plate_crops import crops_again, first_crop, part_alone
from edge_agent.vision.plate_likeness import LIKENESS_MIN, is_lettering, is_text_of, likeness, prominence
from edge_agent.vision.plate_outliner import PlateOutliner, common_area, common_share
from edge_agent.vision.priors import as_series, form_share, with_same_signs
from edge_agent.vision.recogniser import ContainerCodeSighting, PlateSighting, Sighting, picture_of
from edge_agent.vision.text_finder import Quad, TextRegion, crop, finder_input, finder_size

LONG_SIDE = 640  # pixels at which plates are found; they are read at the picture's own size
# Lines of text may be smaller than plates and are looked for in so much larger a picture, if it is a photo: of those in
# dashcam photos 39 of 41 are found at 960 pixels, 27 at 640. A lane's camera sees its vehicles from nearby: of 23
# simulated trucks all are read at either, and a look at 640 takes half the time.
LINES_LARGER = 1.5
LINES_LONG_SIDE_MAX = 1600
# At which size, and enlarged how far, a photo that left something open is looked at again: for what is small in it, and
# for a plate that fills it.
LOOKS_AGAIN = ((1280, 2.0), (288, 1.0))
# As these, for plates alone, if none of them saw a plate or part of a code: of 22 drawn plates of 32 to 67 pixels that
# none saw it finds 19 and reads 16 right (ADR 0049).
LAST_LOOK = (2560, 2.0)
PLATES_MAX, LINES_MAX, COLUMNS_MAX = 16, 40, 8  # read in one picture: the surest
PLATE_HEIGHT_MIN = 6.0  # pixels of the picture; below it nothing is legible
LINE_HEIGHT_MIN, LINE_ASPECT_MAX = 7.0, 16.0
# A plate that was read with less than SURE is outlined from nearby (ADR 0047) and read again in several crops
# (plate_crops.py); what they agree on counts (ADR 0038).
SURE = 0.9
# A code with a character that was read with less is a guess and not reported. Of 47 drawn codes in rows 45 are read
# right and none wrong; 43 are surer. Of 60 columns 39 are read right and 6 wrong, with the higher bar 38 and 1.
GUESS, GUESS_IN_COLUMN = 0.65, 0.85
CONVINCING = 0.5  # likeness of a plate that needs no second look
# Agreement of the best plate's crops from which it needs none. Of 1,110 plates set into photos 1,015 are read as the
# best plate so, with 1.30 looks at a photo (ADR 0046).
CLEAR = 0.7
SAME_PLATE = 0.3  # of what two boxes cover together, from which two looks saw one plate
# As SAME_PLATE, of two outlines in one look; of two that have the same text, what they have in common of the smaller.
ONE_PLATE = 0.5


@dataclass(frozen=True)
class _FirstCrop:
    """An area that may be a plate, and what the reader says of it as the finder saw it."""

    region: TextRegion
    read: Probabilities
    line: LineRead


@dataclass(frozen=True)
class _Plate:
    region: TextRegion
    from_afar: float  # the finder's own score
    read: PlateRead
    agreement: float
    crops: Sequence[Probabilities]  # what the reader gave for each crop


@dataclass(frozen=True)
class _Look:
    """What one look at a picture saw, plates best first.

    `hint`: a line that may be part of a code was read, and not on a plate; never so in a look for plates alone.
    `lettered`: in any look, such a line with a letter, or a code, surely read or not.
    """

    plates: Sequence[_Plate]
    codes: Sequence[ContainerCodeSighting]
    hint: bool
    lettered: bool

    @property
    def likeness(self) -> float:
        """Of the likeliest plate; 0 if none was seen."""
        return max((p.read.likeness for p in self.plates), default=0.0)

    @property
    def doubtful(self) -> bool:
        """The best plate was not read clearly."""
        return bool(self.plates) and self.plates[0].agreement < CLEAR

    def left_open(self, role: Role) -> bool:
        """Nothing convincing was seen, or parts of a container code without its check digit."""
        if any(code.read.check_digit_ok for code in self.codes):
            return False
        return bool(self.codes) or self.hint or role == "container" or self.likeness < CONVINCING

    @property
    def plate_worth(self) -> float:
        """How likely the best plate is one, and as it was read; 0 without one."""
        best = next(iter(self.plates), None)
        return float(best.read.likeness * math.sqrt(best.agreement)) if best else 0.0

    @property
    def worth(self) -> tuple[int, float]:
        """Of looks that all left something open, the one with more of a code or the better plate."""
        return max((len(code.read.code) for code in self.codes), default=0), self.plate_worth


class PlateCodeRecogniser:
    """Looks at `at_once` frames at a time, whichever threads ask; a frame's role says for what.

    `look_again` is for photos: a camera's next frame is its second look, and comes sooner. `long_side` is the size, in
    pixels, at which plates and codes are found. `countries` are those whose plates are expected (formats.COUNTRIES);
    others are read all the same.
    """

    def __init__(
        self,
        finder: PlateCodeFinder,
        line_finder: LineFinder,
        outliner: PlateOutliner,
        reader: PlateCodeReader,
        look_again: bool = True,
        long_side: int = LONG_SIDE,
        countries: Sequence[str] = COUNTRIES,
        at_once: int = 1,
    ) -> None:
        self._finder = finder
        self._line_finder = line_finder
        self._outliner = outliner
        self._reader = reader
        self._look_again = look_again
        self._long_side = long_side
        self._countries = tuple(countries)
        self._room = threading.BoundedSemaphore(at_once)  # more would only share the same cores

    @classmethod
    def open(
        cls,
        threads: int = DEFAULT_THREADS,
        look_again: bool = True,
        long_side: int = LONG_SIDE,
        countries: Sequence[str] = COUNTRIES,
        folder: Path | None = None,
        at_once: int = 1,
    ) -> "PlateCodeRecogniser":
        """Loads the models, from `folder` if given. Raises ModelRefused if a file is not the stated one.

        `threads` are shared out among the looks at once: one thread a look does most of them, two make one sooner done.
        """
        each = max(1, threads // at_once)
        finder, line_finder = PlateCodeFinder.open(each, folder), LineFinder.open(each, folder)
        outliner, reader = PlateOutliner.open(each, folder), PlateCodeReader.open(each, folder)
        return cls(finder, line_finder, outliner, reader, look_again, long_side, countries, at_once)

    def look(self, frame: Frame) -> Sequence[Sighting]:
        """Plates, then container codes, each best first. Raises RecogniserBroken if it could not look."""
        image = picture_of(frame)
        try:
            with self._room:
                return self._look(image, frame.role)
        except Exception as error:
            # Whatever OpenCV or ONNX Runtime raises (they share no base class) means the same: could not look.
            raise RecogniserBroken(f"could not look at a frame of {frame.camera_id or 'a picture'}: {error}") from error

    def read_plate(self, image: Image, box: tuple[float, float, float, float]) -> PlateRead:
        """What stands on the plate in an upright box (x, y, w, h) of a picture, whatever it looks like."""
        x, y, w, h = box
        quad = np.array([[x, y], [x + w, y], [x + w, y + h], [x, y + h]], dtype=np.float32)
        (plate,) = self._read(image, [TextRegion(quad, 1.0)])
        return plate.read

    def considered(self, image: Image) -> list[tuple[TextRegion, PlateRead]]:
        """Every area that a look at this picture may take for a plate, with its reading, whatever its likeness."""
        sizes = ((self._long_side, 1.0), *(LOOKS_AGAIN if self._look_again else ()))
        regions = [r for long_side, enlarge in sizes for r in self._finder.find(image, long_side, enlarge).plates]
        if self._look_again:
            regions += self._finder.find_small(image, *LAST_LOOK).plates
        return [(p.region, p.read) for p in self._read(image, regions)]

    def _look(self, image: Image, role: Role) -> Sequence[Sighting]:
        first = self._looked(image, role, self._find(image, role, self._long_side, 1.0))
        left_open = first.left_open(role)
        if not self._look_again or not (left_open or first.doubtful):
            return [*_sightings(image, first.plates), *first.codes]
        again: Role = role if left_open else "plate"  # the codes are known
        looks, sizes = [first], {_size(image, self._long_side, 1.0)}
        for long_side, enlarge in LOOKS_AGAIN:
            if (size := _size(image, long_side, enlarge)) in sizes:
                continue
            sizes.add(size)
            looks.append(self._looked(image, again, self._find(image, again, long_side, enlarge)))
            if not looks[-1].left_open(again) and not looks[-1].doubtful:
                break
        else:
            nothing = not any(look.plates or look.lettered for look in looks)
            if nothing and role != "container" and _size(image, *LAST_LOOK) not in sizes:
                looks.append(self._looked(image, "plate", self._finder.find_small(image, *LAST_LOOK)))
            looks.sort(key=lambda look: look.worth if left_open else (0, look.plate_worth))
        plates = self._together(image, looks)
        return [*_sightings(image, plates), *(looks[-1].codes if left_open else first.codes)]

    def _together(self, image: Image, looks: Sequence[_Look]) -> Sequence[_Plate]:
        """The plates of the last look; of the best one, what the crops of all looks agree on."""
        *others, last = looks
        if not last.plates:
            return last.plates
        best, *rest = last.plates
        crops = list(best.crops)
        for look in others:
            same = (p for p in look.plates if overlap(p.read.box, best.read.box) >= SAME_PLATE)
            crops += next((p.crops for p in same), ())
        return [self._plate(image, best.region, best.from_afar, self._agreed(crops), crops), *rest]

    def _find(self, image: Image, role: Role, long_side: int, enlarge: float) -> Finding:
        if role == "plate":  # the lines that look like a code's are enough to tell a code from a plate
            return self._finder.find(image, long_side, enlarge)
        larger = min(LINES_LONG_SIDE_MAX, round(LINES_LARGER * long_side)) if self._look_again else long_side
        batch = finder_input(image, larger, enlarge, short_side=0)
        lines = self._line_finder.find(image, larger, enlarge, batch)
        if role == "container":
            return Finding([], lines)
        same = batch if larger == long_side else None
        return Finding(self._finder.find(image, long_side, enlarge, same).plates, lines)

    def _looked(self, image: Image, role: Role, finding: Finding) -> _Look:
        height, width = image.shape[:2]
        regions = [r for r in finding.plates if r.height >= PLATE_HEIGHT_MIN]
        seen = self._first_crops(image, regions[:PLATES_MAX])
        known = [first.region for first in seen if self._surely_plate(first)]
        lines, codes = self._codes(image, [r for r in finding.code_lines if not any(is_text_of(r, p) for p in known)])
        seen = [first for first in seen if not _part_of_code(first.region, codes)]
        rest = [r for r in regions[PLATES_MAX:] if not _part_of_code(r, codes)]
        seen += self._first_crops(image, rest[: PLATES_MAX - len(seen)])
        plates = [p for p in self._read_further(image, seen) if p.read.likeness >= LIKENESS_MIN]
        plates = _without_lettering(_each_once(plates))
        plates.sort(key=lambda p: -p.read.likeness * prominence(p.read.box, height, width))
        apart = (line for line in lines if not any(_inside(line.quad.mean(axis=0), p.region.quad) for p in plates))
        parts = [line.text for line in apart if PART_OF_CODE.fullmatch(line.text)]
        lettered = bool(codes) or not all(text.isdigit() for text in parts)  # digits alone stand on plates, too
        if role == "plate":
            return _Look(plates, (), False, lettered)
        told = [code.as_read(height, width) for code in codes if not _guessed(code)]
        sightings = [ContainerCodeSighting(read, cut(image, read.box)) for read in told]
        return _Look(plates, sightings, bool(parts) or len(told) < len(codes), lettered)

    def _read(self, image: Image, regions: Sequence[TextRegion]) -> list[_Plate]:
        return self._read_further(image, self._first_crops(image, regions))

    def _first_crops(self, image: Image, regions: Sequence[TextRegion]) -> list[_FirstCrop]:
        read = self._reader.plate_probabilities([first_crop(image, r) for r in regions])
        return [_FirstCrop(region, p, best_path(p)) for region, p in zip(regions, read, strict=True)]

    def _surely_plate(self, first: _FirstCrop) -> bool:
        """Whether no second crop is needed to tell that this is a plate, and no piece of a container code."""
        text = first.line.as_read
        if first.line.probability < SURE or PIECE_OF_CODE.fullmatch(text):
            return False
        return likeness(first.region, first.line, form_share(text, shares(self._countries))) >= CONVINCING

    def _read_further(self, image: Image, first_crops: Sequence[_FirstCrop]) -> list[_Plate]:
        regions, firsts = [first.region for first in first_crops], [first.line for first in first_crops]
        scores, seen = [r.score for r in regions], [[first.read] for first in first_crops]
        reads = [Agreed(line, line.probability) for line in firsts]
        doubtful = [i for i, line in enumerate(firsts) if not line.characters or line.probability < SURE]
        outlines = self._outliner.outlines(image, [regions[i].quad for i in doubtful])
        again: list[tuple[int, Image]] = []
        for i, outline in zip(doubtful, outlines, strict=True):
            again += [(i, part) for part in crops_again(image, regions[i], outline, self._look_again)]
            if part_alone(regions[i], outline):
                seen[i] = []
            if outline is not None:  # both models say how much it is a plate
                regions[i] = TextRegion(outline.quad, (regions[i].score + outline.score) / 2)
        more = self._reader.plate_probabilities([part for _, part in again])
        for (i, _), probabilities in zip(again, more, strict=True):
            seen[i].append(probabilities)
        for i in doubtful:
            reads[i] = self._agreed(seen[i])
        return [self._plate(image, *one) for one in zip(regions, scores, reads, seen, strict=True)]

    def _agreed(self, crops: Sequence[Probabilities]) -> Agreed:
        expected = shares(self._countries)
        return agreed(crops, lambda text: form_share(text, expected))

    def _plate(
        self, image: Image, region: TextRegion, from_afar: float, said: Agreed, crops: Sequence[Probabilities]
    ) -> _Plate:
        line = said.read
        box = bounding_box([region.quad], image.shape[0], image.shape[1])
        expected = as_series(line.characters, shares(self._countries, _aspect(region)))
        characters = with_same_signs(by_place(crops, line), expected)
        text = "".join(c.character for c in characters)
        read = PlateRead(
            text=text,
            confidence=said.confidence,
            characters=characters,
            box=box,
            as_read=line.as_read,
            likeness=likeness(region, line, form_share(expected, shares(self._countries))),
            suggested="" if expected == text else expected,
        )
        return _Plate(region, from_afar, read, said.agreement, crops)

    def _codes(self, image: Image, regions: Sequence[TextRegion]) -> tuple[list[TextLine], list[CodeCandidate]]:
        rows = [r.quad for r in regions if _worth_reading(r)][:LINES_MAX]
        columns = strips(regions)[:COLUMNS_MAX]
        cut_up = [strip_lines(image, strip) for strip in columns]
        reads = self._reader.read_lines([*(crop(image, quad) for quad in rows), *chain.from_iterable(cut_up)])
        lines = [TextLine(quad, read) for quad, read in zip(rows, reads, strict=False)]
        rest = iter(reads[len(rows) :])
        for strip, ways in zip(columns, cut_up, strict=True):
            best = max(islice(rest, len(ways)), key=_as_code, default=None)
            if best is not None:
                lines.append(TextLine(strip, best))
        found = code_candidates(lines, lambda quad: TextLine(quad, self._reader.read_lines([crop(image, quad)])[0]))
        return lines, found


def _sightings(image: Image, plates: Sequence[_Plate]) -> list[Sighting]:
    return [PlateSighting(p.read, cut(image, p.read.box), p.read.likeness) for p in plates]


def _each_once(plates: Sequence[_Plate]) -> list[_Plate]:
    """Without those of which a likelier one is seen in the same place: the finder may have seen one plate in parts."""

    def one(a: _Plate, b: _Plate) -> bool:
        if common_share(a.region.quad, b.region.quad) >= ONE_PLATE:
            return True
        smaller = min(cv2.contourArea(p.region.quad) for p in (a, b))
        within = common_area(a.region.quad, b.region.quad) >= ONE_PLATE * smaller
        return within and fold_plate(a.read.text) == fold_plate(b.read.text)

    kept: list[_Plate] = []
    for plate in sorted(plates, key=lambda p: -p.read.likeness):
        if not any(one(plate, other) for other in kept):
            kept.append(plate)
    return kept


def _without_lettering(plates: Sequence[_Plate]) -> list[_Plate]:
    """Judged as the finder saw them: from nearby lettering looks more like a plate than with what is around it."""
    each = [(p, p.read.likeness * p.from_afar / max(p.region.score, 1e-6)) for p in plates]
    sure = max((likeness for p, likeness in each if any(c.isdigit() for c in p.read.text)), default=0.0)
    return [p for p, likeness in each if not is_lettering(p.read.text, likeness, sure)]


def _guessed(code: CodeCandidate) -> bool:
    line = code.serial
    return min(c.confidence for c in code.characters) < (GUESS_IN_COLUMN if line.height > line.width else GUESS)


def _as_code(line: LineRead) -> tuple[bool, float]:
    """For choosing between ways to cut a column: whether it begins as codes do, and how sure the reader is."""
    return owner_read(line.characters[:OWNER]) is not None and len(line.characters) >= SERIAL, line.probability


def _size(image: Image, long_side: int, enlarge: float) -> tuple[int, int]:
    return finder_size(image.shape[0], image.shape[1], long_side, enlarge, 0)


def _worth_reading(region: TextRegion) -> bool:
    return region.height >= LINE_HEIGHT_MIN and 0.4 <= region.width / region.height <= LINE_ASPECT_MAX


def _part_of_code(region: TextRegion, codes: Sequence[CodeCandidate]) -> bool:
    """Whether a line of a code with its check digit stands where the plate would be."""
    centre = region.quad.mean(axis=0)
    return any(_inside(centre, quad) for code in codes if check_digit_ok(code.code) for quad in code.quads)


def _inside(point: Quad, quad: Quad) -> bool:
    (x0, y0), (x1, y1) = quad.min(axis=0), quad.max(axis=0)
    return bool(x0 <= point[0] <= x1 and y0 <= point[1] <= y1)


def _aspect(region: TextRegion) -> float:
    return round(min(6.0, max(1.0, region.width / max(1.0, region.height))), 1)
