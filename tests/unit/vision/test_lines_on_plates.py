"""Lines of text that stand on plates, and plates that stand on codes, with small real models."""

from collections.abc import Sequence
from pathlib import Path

import pytest

from edge_agent.domain.identifiers import container_check_digit
from edge_agent.vision.ctc import LineRead
from edge_agent.vision.frame import Frame, Image
from edge_agent.vision.line_finder import LineFinder
from edge_agent.vision.plate_code import PLATES_MAX, PlateCodeRecogniser
from edge_agent.vision.plate_code_finder import INSET, PlateCodeFinder
from edge_agent.vision.plate_code_reader import PlateCodeReader
from edge_agent.vision.plate_outliner import PlateOutliner
from tests.unit.vision.striped import draw, empty, models
from tests.unit.vision.told import between, codes, plates


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return models(tmp_path_factory.mktemp("models"))


def test_codes_in_place_of_plates_take_no_plates_place(folder: Path) -> None:
    image = empty(1280, 960)
    draw(image, "7KLM223", 60, 40, 192, 48)
    for n in range(PLATES_MAX):
        code = f"MSKU{413532 + 37 * n}"
        x, y = 60 + 600 * (n % 2), 140 + 90 * (n // 2)
        draw(image, code + str(container_check_digit(code)), x, y, 480, 56)
        image[y + 11 : y + 45, x + 11 : x + 469, 1] = 255
    live = PlateCodeRecogniser.open(1, look_again=False, long_side=1280, folder=folder)
    seen = live.look(Frame(image))
    assert [p.text for p in plates(seen)] == ["7KLM223"]
    assert len(codes(seen)) == PLATES_MAX


@pytest.mark.parametrize(
    ("text", "doubtful", "line", "read_as_line"),
    [
        ("7KLM223", False, (205, 254, 387, 294), False),
        ("7KLM223", False, (205, 254, 387, 272), True),
        ("7KLM223", False, (205, 252, 255, 296), True),
        ("7KLM223", False, (205, 232, 387, 262), True),
        ("7KLM223", False, (100, 254, 387, 294), True),
        ("7KLM223", True, (205, 254, 387, 294), True),
        *((piece, False, (205, 254, 387, 294), True) for piece in ("1234567", "5329", "MSKU", "U413532", "45V1")),
        ("7K", False, (205, 254, 387, 294), True),
    ],
    ids=[
        "its text",
        "small on it",
        "upright on it",
        "above it",
        "longer than it",
        "a doubtful plate",
        "a serial number",
        "digits",
        "an owner code",
        "both in part",
        "a size-type code",
        "too short for a plate",
    ],
)
def test_what_stands_on_a_surely_read_plate_is_not_read_as_a_line(
    folder: Path, text: str, doubtful: bool, line: tuple[int, int, int, int], read_as_line: bool
) -> None:
    class Counting(PlateCodeReader):
        lines = 0

        def read_lines(self, lines: Sequence[Image]) -> list[LineRead]:
            self.lines += len(lines)
            return super().read_lines(lines)

    image = empty()
    draw(image, text, 200, 250, 192, 48)
    if doubtful:
        image[250:298, 200 + 192 * 3 // 15 : 200 + 192 * 4 // 15, 0] = between("K", "L")
    left, top, right, foot = line
    inside = round(INSET * (foot - top))
    image[top + inside : foot - inside, left + inside : right - inside, 1] = 255
    reader = Counting.open(1, folder)
    assert isinstance(reader, Counting)
    finders = PlateCodeFinder.open(1, folder), LineFinder.open(1, folder), PlateOutliner.open(1, folder)
    PlateCodeRecogniser(*finders, reader, look_again=False).look(Frame(image))
    assert reader.lines == int(read_as_line)
