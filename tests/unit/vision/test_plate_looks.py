"""How often a picture is looked at, at which sizes and for what, with small real models."""

from collections.abc import Sequence
from pathlib import Path
from typing import ClassVar

import numpy as np
import pytest

from edge_agent.domain.observation import CharacterRead
from edge_agent.vision import line_finder as lines_module
from edge_agent.vision import plate_code as looks_module
from edge_agent.vision import plate_code_finder as plates_module
from edge_agent.vision.ctc import LineRead, Probabilities
from edge_agent.vision.frame import Frame, Image, Role
from edge_agent.vision.line_finder import LineFinder
from edge_agent.vision.plate_code import CLEAR, CONVINCING, LONG_SIDE, PlateCodeRecogniser
from edge_agent.vision.plate_code_finder import Finding, PlateCodeFinder
from edge_agent.vision.plate_code_reader import PlateCodeReader
from edge_agent.vision.plate_outliner import PlateOutliner
from edge_agent.vision.text_finder import Map, Quad, TextRegion, finder_input
from tests.unit.vision.striped import draw, empty, models
from tests.unit.vision.told import between, codes, plates


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return models(tmp_path_factory.mktemp("models"))


class CountingLines(LineFinder):
    looks = 0

    def find(self, image: Image, long_side: int, enlarge: float = 1.0, batch: object = None) -> list[TextRegion]:
        self.looks += 1
        return super().find(image, long_side, enlarge)


def test_a_plate_that_the_first_look_misses_is_found_by_the_second(folder: Path) -> None:
    image = empty(2560, 1440)
    draw(image, "AB12C", 1000, 700, 64, 16)
    once = PlateCodeRecogniser.open(1, look_again=False, folder=folder)
    twice = PlateCodeRecogniser.open(1, folder=folder)
    assert plates(once.look(Frame(image))) == []
    assert [p.text for p in plates(twice.look(Frame(image)))] == ["AB12C"]


def test_a_plate_that_every_other_look_misses_is_found_by_the_last(folder: Path) -> None:
    image = empty(5120, 2880)
    draw(image, "AB12C", 2510, 1400, 88, 16)  # over the edges of the last look's windows
    draw(image, "7KLM223", 400, 2700, 120, 16)
    whole = PlateCodeRecogniser.open(1, folder=folder)
    assert sorted(p.text for p in plates(whole.look(Frame(image)))) == ["7KLM223", "AB12C"]
    assert plates(whole.look(Frame(image, role="container"))) == []


@pytest.mark.parametrize(
    ("size", "drawn", "role", "looks"),
    [
        ((1280, 960), None, "both", [640, 1280, 288, 2560]),
        ((1280, 960), None, "container", []),
        ((1280, 960), ("7KLM223", 200, 250, 384, 96, 2), "both", [640]),
        ((1280, 960), ("MSKU4135329", 60, 100, 960, 80, 1), "both", [640]),
        ((1280, 960), ("MSKU413532", 60, 100, 960, 80, 1), "plate", [640, 1280, 288]),
        ((1280, 960), ("MSKU4?35329", 60, 100, 960, 80, 1), "both", [640, 1280, 288]),
        ((1280, 960), ("MSKU", 60, 100, 400, 80, 1), "plate", [640, 1280, 288]),
        ((1280, 960), ("413532", 60, 100, 600, 80, 1), "both", [640, 1280, 288, 2560]),
        ((1280, 960), ("CARGOLINE", 60, 100, 960, 80, 1), "both", [640, 1280, 288, 2560]),
        ((1280, 960), ("????", 200, 250, 384, 96, 2), "plate", [640, 1280, 288]),
        ((640, 480), None, "plate", [640, 1280, 288]),  # enlarged no further than twice
        ((320, 240), None, "plate", [640, 1280, 288]),
    ],
    ids=[
        "nothing",
        "no plates wanted",
        "a plate",
        "a code",
        "no codes wanted",
        "a guess",
        "an owner code",
        "digits",
        "a name",
        "a doubtful plate",
        "small",
        "smaller",
    ],
)
def test_the_last_look_is_for_pictures_in_which_nothing_was_seen(
    folder: Path, size: tuple[int, int], drawn: tuple[str, int, int, int, int, int] | None, role: Role, looks: list[int]
) -> None:
    class Counting(PlateCodeFinder):
        sizes: ClassVar[list[int]] = []

        def find(self, image: Image, long_side: int, enlarge: float = 1.0, batch: Map | None = None) -> Finding:
            if image.shape[1::-1] == size:  # not a window
                self.sizes.append(long_side)
            return super().find(image, long_side, enlarge, batch)

        def find_small(self, image: Image, long_side: int, enlarge: float = 1.0) -> Finding:
            self.sizes.append(long_side)
            return super().find_small(image, long_side, enlarge)

    image = empty(*size)
    if drawn is not None:
        draw(image, drawn[0].replace("?", "1"), *drawn[1:])
        x, y, w, h = drawn[1:5]
        for at in (2 * n + 1 for n, character in enumerate(drawn[0]) if character == "?"):
            stripes = 2 * len(drawn[0]) + 1
            image[y : y + h, x + -(-w * at // stripes) : x + -(-w * (at + 1) // stripes), 0] = between("1", "2")
    rest = LineFinder.open(1, folder), PlateOutliner.open(1, folder), PlateCodeReader.open(1, folder)
    PlateCodeRecogniser(Counting.open(1, folder), *rest).look(Frame(image, role=role))
    assert Counting.sizes == looks


def test_part_of_a_code_beside_a_convincing_plate_is_looked_at_again(folder: Path) -> None:
    image = empty(4000, 2250)
    draw(image, "7KLM223", 1600, 1200, 1200, 300)
    draw(image, "22G1", 200, 300, 340, 80, channel=1)
    draw(image, "MSKU4135329", 200, 200, 200, 12, channel=1)  # too small for the first look
    once = PlateCodeRecogniser.open(1, look_again=False, folder=folder)
    twice = PlateCodeRecogniser.open(1, folder=folder)
    assert codes(once.look(Frame(image))) == []
    seen = twice.look(Frame(image))
    assert [p.text for p in plates(seen)] == ["7KLM223"]
    assert [c.code for c in codes(seen)] == ["MSKU4135329"]


def test_a_camera_for_both_shrinks_its_picture_once(folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    live, sizes = PlateCodeRecogniser.open(1, look_again=False, folder=folder), list[int]()

    def counted(image: Image, long_side: int, enlarge: float, short_side: int) -> Map:
        sizes.append(long_side)
        return finder_input(image, long_side, enlarge, short_side)

    for module in (looks_module, plates_module, lines_module):
        monkeypatch.setattr(module, "finder_input", counted)
    image = empty()
    draw(image, "7KLM223", 200, 250, 192, 48)
    assert [p.text for p in plates(live.look(Frame(image)))] == ["7KLM223"]
    assert sizes == [LONG_SIDE]


def test_the_digits_of_a_convincing_plate_are_no_reason_to_look_again(folder: Path) -> None:
    image = empty()
    draw(image, "1234567", 200, 250, 192, 48)
    image[254:294, 205:387, 1] = 255  # a line of text, too
    line_finder = CountingLines.open(1, folder)
    assert isinstance(line_finder, CountingLines)
    finder, rest = PlateCodeFinder.open(1, folder), (PlateOutliner.open(1, folder), PlateCodeReader.open(1, folder))
    own = PlateCodeRecogniser(finder, line_finder, *rest)
    assert [p.text for p in plates(own.look(Frame(image)))] == ["1234567"]
    assert line_finder.looks == 1


def test_for_a_plate_that_was_read_with_doubt_plates_alone_are_looked_for_again(folder: Path) -> None:
    class Better(PlateCodeFinder):
        """Sees the second plate in its second look only."""

        def find(self, image: Image, long_side: int, enlarge: float = 1.0, batch: object = None) -> Finding:
            plates = super().find(image, long_side, enlarge).plates
            first = long_side == LONG_SIDE
            return Finding([p for p in plates if (p.quad[0, 1] < 300) == first], [])

    image = empty()
    draw(image, "AB12C", 200, 200, 192, 48)
    image[200:248, 200 + 192 * 5 // 11 : 200 + 192 * 6 // 11, 0] = between("1", "2")
    draw(image, "7KLM223", 200, 350, 192, 48)
    draw(image, "MSKU4135329", 60, 60, 480, 40, channel=1)
    line_finder = CountingLines.open(1, folder)
    assert isinstance(line_finder, CountingLines)
    rest = PlateOutliner.open(1, folder), PlateCodeReader.open(1, folder)
    once = PlateCodeRecogniser(Better.open(1, folder), line_finder, *rest, look_again=False)
    (doubtful,) = plates(once.look(Frame(image)))
    assert doubtful.confidence < CLEAR
    assert doubtful.likeness > CONVINCING
    line_finder.looks = 0
    seen = PlateCodeRecogniser(Better.open(1, folder), line_finder, *rest).look(Frame(image))
    assert [p.text for p in plates(seen)] == ["7KLM223"]
    assert [c.code for c in codes(seen)] == ["MSKU4135329"]
    assert line_finder.looks == 1


def test_several_looks_at_one_plate_agree_on_its_text(folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    class CutOnce(PlateCodeFinder):
        """In the second of three looks the plate lacks its last character and looks most like one."""

        def find(self, image: Image, long_side: int, enlarge: float = 1.0, batch: object = None) -> Finding:
            (plate,) = super().find(image, LONG_SIDE).plates
            if long_side != 1280:
                return Finding([TextRegion(plate.quad, 0.9 * plate.score)], [])
            cut = plate.quad - np.array([[0, 0], [38, 0], [38, 0], [0, 0]], np.float32)
            return Finding([TextRegion(cut, plate.score)], [])

    class Blind(PlateOutliner):
        """Sees no plate from nearby."""

        def outlines(self, image: Image, quads: Sequence[Quad]) -> list[TextRegion | None]:
            return [None] * len(quads)

    image = empty()
    draw(image, "AB12C", 200, 200, 192, 48)
    image[200:248, 200 + 192 * 7 // 11 : 200 + 192 * 8 // 11, 0] = between("1", "2", 0.6)
    monkeypatch.setattr(looks_module, "CLEAR", 0.95)
    finders = CutOnce.open(1, folder), LineFinder.open(1, folder)
    parts = *finders, Blind.open(1, folder), PlateCodeReader.open(1, folder)
    (read,) = plates(PlateCodeRecogniser(*parts).look(Frame(image)))
    assert read.text == "AB12C"
    assert read.box.w < 170  # the look that counts is still the second
    monkeypatch.setattr(looks_module, "LOOKS_AGAIN", ())
    (agreed,) = plates(PlateCodeRecogniser(*parts).look(Frame(image)))
    assert read.confidence < 0.98 * agreed.confidence  # some of the crops doubt it


def test_the_characters_are_what_all_crops_say_and_the_likeness_is_not(
    folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    image = empty()
    draw(image, "AB12C", 200, 200, 192, 48)
    image[200:248, 200 + 192 * 7 // 11 : 200 + 192 * 8 // 11, 0] = between("1", "2", 0.6)
    own = PlateCodeRecogniser.open(1, look_again=False, folder=folder)
    (read,) = plates(own.look(Frame(image)))
    crops = list[int]()

    def of_the_surest(seen: Sequence[Probabilities], line: LineRead) -> tuple[CharacterRead, ...]:
        crops.append(len(seen))
        return line.characters

    monkeypatch.setattr(looks_module, "by_place", of_the_surest)
    (surest,) = plates(own.look(Frame(image)))
    assert crops[0] > 2
    assert (read.text, read.confidence, read.likeness) == (surest.text, surest.confidence, surest.likeness)
    assert [c.character for c in read.characters] == list(read.text)
    assert read.characters[3].confidence != surest.characters[3].confidence
