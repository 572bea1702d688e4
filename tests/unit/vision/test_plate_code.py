"""The recogniser with small real models: where what it finds stands, what it says of it, and what it refuses."""

from collections.abc import Sequence
from pathlib import Path

import cv2
import numpy as np
import pytest

from edge_agent.domain.errors import ModelRefused, RecogniserBroken
from edge_agent.vision.ctc import LETTERS_AND_DIGITS
from edge_agent.vision.frame import Frame, Image, Role
from edge_agent.vision.line_finder import LineFinder
from edge_agent.vision.plate_code import LONG_SIDE, PlateCodeRecogniser
from edge_agent.vision.plate_code_finder import INSET, Finding, PlateCodeFinder, moved_out
from edge_agent.vision.plate_code_reader import PlateCodeReader
from edge_agent.vision.plate_outliner import PlateOutliner
from edge_agent.vision.text_finder import Quad, TextRegion
from tests.unit.vision.striped import draw, empty, level, models, turned
from tests.unit.vision.told import between, codes, plates


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return models(tmp_path_factory.mktemp("models"))


@pytest.fixture(scope="module")
def recogniser(folder: Path) -> PlateCodeRecogniser:
    return PlateCodeRecogniser.open(1, folder=folder)


def test_a_plate_is_read_where_it_stands(recogniser: PlateCodeRecogniser) -> None:
    image = empty()
    draw(image, "7KLM223", 200, 250, 192, 48)
    (seen,) = recogniser.look(Frame(image))
    (read,) = plates([seen])
    assert (read.text, read.as_read, read.suggested) == ("7KLM223", "7KLM223", "")
    assert "".join(c.character for c in read.characters) == read.text
    assert read.confidence > 0.9
    assert read.likeness > 0.5
    assert abs(read.box.x - 200) <= 4
    assert abs(read.box.y - 250) <= 6
    assert abs(read.box.w - 192) <= 8
    assert abs(read.box.h - 48) <= 12
    assert seen.crop.shape[0] > read.box.h


@pytest.mark.parametrize("degrees", [-12, 8, 20])
def test_a_plate_that_hangs_askew_is_straightened(recogniser: PlateCodeRecogniser, degrees: float) -> None:
    image = empty()
    draw(image, "AB12C", 220, 210, 200, 60)
    assert [p.text for p in plates(recogniser.look(Frame(turned(image, degrees))))] == ["AB12C"]


def test_of_several_plates_the_large_one_in_the_middle_comes_first(recogniser: PlateCodeRecogniser) -> None:
    image = empty()
    draw(image, "SMALL1", 10, 40, 120, 30)
    draw(image, "LARGE2", 230, 300, 200, 60)
    draw(image, "RIGHT3", 510, 40, 125, 30)
    seen = [p.text for p in plates(recogniser.look(Frame(image)))]
    assert seen[0] == "LARGE2"
    assert set(seen[1:]) == {"SMALL1", "RIGHT3"}


def test_a_code_in_one_row_with_its_size_type(recogniser: PlateCodeRecogniser) -> None:
    image = empty()
    draw(image, "MSKU4135329", 60, 100, 480, 40, channel=1)
    draw(image, "22G1", 200, 160, 170, 40, channel=1)
    sightings = recogniser.look(Frame(image))
    (read,) = codes(sightings)
    assert (read.code, read.size_type, read.check_digit_ok) == ("MSKU4135329", "22G1", True)
    assert not plates(sightings)


def test_a_code_in_two_rows(recogniser: PlateCodeRecogniser) -> None:
    image = empty()
    draw(image, "MSKU", 60, 100, 170, 40, channel=1)
    draw(image, "4135329", 60, 155, 300, 40, channel=1)
    assert [c.code for c in codes(recogniser.look(Frame(image)))] == ["MSKU4135329"]


def test_a_code_as_a_column(recogniser: PlateCodeRecogniser) -> None:
    image = empty(400, 900)
    code = "MSKU4135329"
    for i, character in enumerate(code):
        top = 40 + 70 * i + (70 if i >= 4 else 0)
        image[top : top + 70, 106:144, 0] = round((level(LETTERS_AND_DIGITS.index(character) + 1) + 1) * 127.5)
    inside = round(INSET * 50)
    image[40 + inside : 880 - inside, 100 + inside : 150 - inside, 1] = 255
    (read,) = codes(recogniser.look(Frame(image)))
    assert (read.code, read.check_digit_ok) == (code, True)
    assert abs(read.box.h - 840) < 20


@pytest.mark.parametrize("role", ["plate", "container", "both"])
def test_a_camera_is_looked_at_for_what_its_role_says(recogniser: PlateCodeRecogniser, role: Role) -> None:
    image = empty()
    draw(image, "7KLM223", 200, 300, 192, 48)
    draw(image, "MSKU4135329", 60, 100, 480, 40, channel=1)
    seen = recogniser.look(Frame(image, role=role))
    assert [p.text for p in plates(seen)] == ([] if role == "container" else ["7KLM223"])
    assert [c.code for c in codes(seen)] == ([] if role == "plate" else ["MSKU4135329"])


@pytest.mark.parametrize("role", ["plate", "container"])
def test_a_camera_for_one_thing_does_not_search_for_the_other(folder: Path, role: Role) -> None:
    class Broken:
        def find(self, image: Image, long_side: int = 0, enlarge: float = 1.0, batch: object = None) -> None:
            raise AssertionError("looked for what nobody asks for")

    whole = PlateCodeRecogniser.open(1, folder=folder)
    finder, line_finder, rest = whole._finder, whole._line_finder, (whole._outliner, whole._reader)
    unneeded = Broken()
    if role == "plate":
        alone = PlateCodeRecogniser(finder, unneeded, *rest)  # type: ignore[arg-type]
    else:
        alone = PlateCodeRecogniser(unneeded, line_finder, *rest)  # type: ignore[arg-type]
    assert list(alone.look(Frame(empty(), role=role))) == []


def test_a_code_with_a_character_that_is_a_guess_is_not_reported(recogniser: PlateCodeRecogniser) -> None:
    image = empty()
    draw(image, "MSKU4135329", 60, 100, 480, 40, channel=1)
    assert [c.code for c in codes(recogniser.look(Frame(image)))] == ["MSKU4135329"]
    at = 60 + 480 * 11 // 23  # the sixth stripe: between the levels of 1 and 2
    image[100:140, at : at + 21, 0] = between("1", "2")
    assert codes(recogniser.look(Frame(image))) == []


@pytest.mark.parametrize(
    ("texts", "score", "told"),
    [
        (("7KLM223", "RENAULT"), 0.62, ["7KLM223"]),
        (("7KLM223", "RENAULT"), 0.7, ["7KLM223", "RENAULT"]),
        (("7KLM223", "REN4ULT"), 0.62, ["7KLM223", "REN4ULT"]),
        (("GOVIKES", "RENAULT"), 0.62, ["GOVIKES", "RENAULT"]),
        (("RENAULT",), 0.62, ["RENAULT"]),
    ],
    ids=["lettering", "a chosen plate", "with a digit", "no plate with a digit", "alone"],
)
def test_letters_beside_a_likelier_plate_are_its_vehicles_lettering(
    folder: Path, texts: Sequence[str], score: float, told: list[str]
) -> None:
    class Doubting(PlateCodeFinder):
        """Finds the last text, at the picture's foot, less plate-like."""

        def find(self, image: Image, long_side: int, enlarge: float = 1.0, batch: object = None) -> Finding:
            found = super().find(image, long_side, enlarge).plates
            last = max(p.quad[0, 1] for p in found)
            return Finding([TextRegion(p.quad, score if p.quad[0, 1] == last else p.score) for p in found], [])

    image = empty()
    for n, text in enumerate(texts):
        draw(image, text, 200, 150 + 100 * n, 192, 48)
    finders = Doubting.open(1, folder), LineFinder.open(1, folder)
    parts = *finders, PlateOutliner.open(1, folder), PlateCodeReader.open(1, folder)
    seen = PlateCodeRecogniser(*parts).look(Frame(image))
    assert sorted(p.text for p in plates(seen)) == sorted(told)


def test_lettering_that_looks_more_like_a_plate_from_nearby_is_lettering_still(folder: Path) -> None:
    class Doubting(PlateCodeFinder):
        """Finds the last text, at the picture's foot, less plate-like."""

        at_head = 0.9

        def find(self, image: Image, long_side: int, enlarge: float = 1.0, batch: object = None) -> Finding:
            found = super().find(image, long_side, enlarge).plates
            last = max(p.quad[0, 1] for p in found)
            return Finding([TextRegion(p.quad, 0.58 if p.quad[0, 1] == last else self.at_head) for p in found], [])

    image = empty()
    draw(image, "7KLM223", 200, 150, 192, 48)
    draw(image, "GOVIKES", 200, 250, 192, 48)
    image[250:298, 200 + 192 * 7 // 15 : 200 + 192 * 8 // 15, 0] = between("I", "J", 0.4)  # doubtful: outlined
    finder, line_finder = Doubting.open(1, folder), LineFinder.open(1, folder)
    assert isinstance(finder, Doubting)
    own = PlateCodeRecogniser(
        finder, line_finder, PlateOutliner.open(1, folder), PlateCodeReader.open(1, folder), look_again=False
    )
    assert [p.text for p in plates(own.look(Frame(image)))] == ["7KLM223"]
    image[150:198, 200 + 192 * 7 // 15 : 200 + 192 * 8 // 15, 0] = between("M", "N")  # doubtful as well
    finder.at_head = 0.5
    assert sorted(p.text[0] for p in plates(own.look(Frame(image)))) == ["7", "G"]  # the letters are likelier a plate
    image[150:198, 200:392] = empty()[150:198, 200:392]
    (alone,) = plates(own.look(Frame(image)))
    assert (alone.text, alone.likeness > 0.6) == ("GOVIKES", True)


@pytest.mark.parametrize("look_again", [False, True])
def test_a_doubtful_plate_is_read_and_told_as_it_is_outlined(folder: Path, look_again: bool) -> None:
    class Coarse(PlateCodeFinder):
        """Sees a plate and what stands beside it, at whatever size."""

        def find(self, image: Image, long_side: int, enlarge: float = 1.0, batch: object = None) -> Finding:
            over = np.array([[0, 0], [40, 0], [40, 0], [0, 0]], np.float32)
            return Finding([TextRegion(p.quad + over, 0.5) for p in super().find(image, LONG_SIDE).plates], [])

    image = empty()
    draw(image, "7KLM223", 200, 200, 192, 48)
    image[200:248, 404:424, 0] = between("1", "2")
    finders = Coarse.open(1, folder), LineFinder.open(1, folder)
    parts = *finders, PlateOutliner.open(1, folder), PlateCodeReader.open(1, folder)
    (read,) = plates(PlateCodeRecogniser(*parts, look_again).look(Frame(image)))
    assert read.text == "7KLM223"
    assert abs(read.box.x - 200) <= 4
    assert abs(read.box.w - 192) <= 8
    assert 0.6 < read.likeness < 0.75  # the finder says 0.5, from nearby it is surely one


def test_a_plate_that_is_read_surely_is_not_outlined(folder: Path) -> None:
    class Unneeded(PlateOutliner):
        def outlines(self, image: Image, quads: Sequence[Quad]) -> list[TextRegion | None]:
            assert not quads
            return []

    image = empty()
    draw(image, "7KLM223", 200, 250, 192, 48)
    finders = PlateCodeFinder.open(1, folder), LineFinder.open(1, folder)
    own = PlateCodeRecogniser(*finders, Unneeded.open(1, folder), PlateCodeReader.open(1, folder))
    assert [p.text for p in plates(own.look(Frame(image)))] == ["7KLM223"]


def test_a_plate_that_the_finder_sees_in_two_parts_is_told_once(folder: Path) -> None:
    class InParts(PlateCodeFinder):
        def find(self, image: Image, long_side: int, enlarge: float = 1.0, batch: object = None) -> Finding:
            found: list[TextRegion] = []
            for whole in super().find(image, long_side, enlarge).plates:
                left, right = whole.quad[[0, 3]], whole.quad[[1, 2]]
                for a, b in ((left, 0.34 * left + 0.66 * right), (0.65 * left + 0.35 * right, right)):
                    found.append(TextRegion(np.stack([a[0], b[0], b[1], a[1]]).astype(np.float32), whole.score))
            return Finding(found, [])

    image = empty()
    for text, x in (("2B72C34", 100), ("2KL2M33", 330)):  # beside it, and another
        draw(image, text, x, 100, 195, 48)
        for stripe in (1, 7):  # every part is doubtful, but the right one is less so than the plate
            image[100:148, x + 195 * stripe // 15 : x + 195 * (stripe + 1) // 15, 0] = between("2", "3")
    finders = InParts.open(1, folder), LineFinder.open(1, folder)
    parts = *finders, PlateOutliner.open(1, folder), PlateCodeReader.open(1, folder)
    seen = plates(PlateCodeRecogniser(*parts).look(Frame(image)))
    assert sorted(p.text for p in seen) == ["2B72C34", "2KL2M33"]
    assert all(abs(p.box.w - 195) <= 10 for p in seen)


def test_one_text_that_stands_within_itself_is_told_once(folder: Path) -> None:
    class Twice(PlateCodeFinder):
        def find(self, image: Image, long_side: int, enlarge: float = 1.0, batch: object = None) -> Finding:
            found = super().find(image, long_side, enlarge).plates
            wide = [TextRegion(moved_out(p.quad, (12, 30)), p.score) for p in found]
            return Finding([*found, *wide], [])

    image = empty()
    draw(image, "7KLM223", 200, 200, 192, 48)
    finders = Twice.open(1, folder), LineFinder.open(1, folder)
    own = PlateCodeRecogniser(*finders, PlateOutliner.open(1, folder), PlateCodeReader.open(1, folder))
    regions = finders[0].find(image, LONG_SIDE).plates
    assert [p.read.text for p in own._read(image, regions)] == ["7KLM223", "7KLM223"]
    assert [p.text for p in plates(own.look(Frame(image)))] == ["7KLM223"]


def test_a_labelled_box_is_read_without_looking_for_it(recogniser: PlateCodeRecogniser) -> None:
    image = empty()
    draw(image, "7KLM223", 200, 250, 192, 48)
    assert recogniser.read_plate(image, (200, 250, 192, 48)).text == "7KLM223"


def test_nothing_there_is_said_of_an_empty_lane(recogniser: PlateCodeRecogniser) -> None:
    assert list(recogniser.look(Frame(empty()))) == []


@pytest.mark.parametrize(("tone", "what"), [(0, "black"), (3, "black"), (255, "white"), (128, "of one tone")])
def test_a_picture_that_shows_nothing_is_not_an_empty_lane(
    recogniser: PlateCodeRecogniser, tone: int, what: str
) -> None:
    with pytest.raises(RecogniserBroken, match=f"{what} all over"):
        recogniser.look(Frame(np.full((480, 640, 3), tone, np.uint8)))


def test_one_colour_all_over_shows_nothing_either(recogniser: PlateCodeRecogniser) -> None:
    image = np.empty((480, 640, 3), np.uint8)
    image[:] = (60, 70, 90)
    with pytest.raises(RecogniserBroken, match="of one tone all over"):
        recogniser.look(Frame(image))
    image[470, 630] = (60, 70, 120)
    assert list(recogniser.look(Frame(image))) == []


@pytest.mark.parametrize("shape", [(12, 12, 3), (13, 17, 3), (12, 70000, 3), (33000, 12, 3)])
def test_odd_sizes_are_looked_at(recogniser: PlateCodeRecogniser, shape: tuple[int, int, int]) -> None:
    noise = np.random.default_rng(2).integers(0, 256, shape, dtype=np.uint8)
    assert all(0 <= p.confidence <= 1 for p in plates(recogniser.look(Frame(noise))))


def test_a_plate_in_a_very_large_picture_is_read(recogniser: PlateCodeRecogniser) -> None:
    image = np.zeros((4000, 6000, 3), np.uint8)
    image[:, :, 0] = 128
    draw(image, "7KLM223", 2000, 2000, 1920, 480)
    assert [p.text for p in plates(recogniser.look(Frame(image)))] == ["7KLM223"]


@pytest.mark.parametrize(
    "image",
    [
        np.zeros((10, 10), np.uint8),
        np.zeros((10, 10, 4), np.uint8),
        np.zeros((10, 10, 3), np.float32),
        np.zeros((10, 10, 3), np.uint16),
        np.zeros((0, 10, 3), np.uint8),
    ],
)
def test_what_is_no_picture_cannot_be_looked_at(recogniser: PlateCodeRecogniser, image: Image) -> None:
    with pytest.raises(RecogniserBroken):
        recogniser.look(Frame(image))


def test_a_part_of_a_larger_picture_is_looked_at_as_it_is(recogniser: PlateCodeRecogniser) -> None:
    image = empty(1000, 800)
    draw(image, "7KLM223", 500, 450, 192, 48)
    (read,) = plates(recogniser.look(Frame(image[300:700, 300:900])))
    assert abs(read.box.x - 200) <= 4


def test_a_model_that_fails_is_not_an_empty_lane(folder: Path) -> None:
    class Broken:
        def find(self, image: Image, long_side: int = 0, enlarge: float = 1.0, batch: object = None) -> None:
            raise cv2.error("ONNX Runtime: bad allocation")

    broken = PlateCodeRecogniser(Broken(), Broken(), Broken(), Broken())  # type: ignore[arg-type]
    with pytest.raises(RecogniserBroken, match=r"could not look at a frame of north: .*bad allocation"):
        broken.look(Frame(empty(), "north"))


def test_a_reader_of_another_alphabet_is_refused_by_name(tmp_path: Path) -> None:
    shuffled = LETTERS_AND_DIGITS[::-1]
    with pytest.raises(ModelRefused, match=r"model plate_code_reader reads 'ZYX.*not 0-9 and A-Z"):
        PlateCodeRecogniser.open(1, folder=models(tmp_path, shuffled))
