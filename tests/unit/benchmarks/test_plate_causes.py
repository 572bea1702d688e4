"""Each cause of a wrong best plate, on a scene that is made for it."""

from pathlib import Path

import cv2
import pytest

from benchmarks import plate_causes
from benchmarks.plate_causes import Cause, Failure, covered, failure, misread
from benchmarks.plates import Label
from edge_agent.vision.frame import Image
from edge_agent.vision.plate_code import PlateCodeRecogniser
from tests.unit.vision.builders import quad
from tests.unit.vision.striped import draw, empty, models

TEXT = "7KLM223"
X, Y, W, H = 200, 250, 192, 48
BOX = (float(X), float(Y), float(X + W), float(Y + H))
RED = 2


@pytest.fixture(scope="module")
def own(tmp_path_factory: pytest.TempPathFactory) -> PlateCodeRecogniser:
    return PlateCodeRecogniser.open(1, folder=models(tmp_path_factory.mktemp("models")))


def scene(text: str = TEXT, x: int = X, y: int = Y, w: int = W, h: int = H) -> Image:
    image = empty()
    draw(image, text, x, y, w, h)
    return image


def why(own: PlateCodeRecogniser, image: Image, text: str = TEXT, box: tuple[float, ...] = BOX) -> Failure | None:
    return failure(own, image, Label("a.png", ((box[0], box[1], box[2], box[3]),), (text,)))


def test_a_right_best_plate_has_no_cause(own: PlateCodeRecogniser) -> None:
    assert why(own, scene()) is None
    assert why(own, scene("7KLO123"), "7KL0I23") is None  # folded


def test_another_plate_first(own: PlateCodeRecogniser) -> None:
    image = scene()
    draw(image, "ABC1234", 40, 60, 400, 100)
    assert why(own, image) == Failure(Cause.RANKED)


def test_nothing_found_there(own: PlateCodeRecogniser) -> None:
    image = scene()
    image[:, :, RED] = 0
    draw(image, "ABC1234", 40, 60, 192, 48)
    assert why(own, image) == Failure(Cause.NOT_FOUND)


def test_nothing_found_because_it_is_small(own: PlateCodeRecogniser) -> None:
    image = scene(w=12, h=3)
    image[:, :, RED] = 0
    draw(image, "ABC1234", 40, 60, 192, 48)
    assert why(own, image, box=(X, Y, X + 12, Y + 3)) == Failure(Cause.TOO_SMALL_TO_FIND)


def test_read_right_and_not_reported(own: PlateCodeRecogniser) -> None:
    assert why(own, scene("7K"), "7K") == Failure(Cause.NOT_REPORTED)  # too short for a plate


def test_found_in_part(own: PlateCodeRecogniser) -> None:
    image = scene()
    image[:, X + 110 :, RED] = 0
    assert why(own, image) == Failure(Cause.CUT)


def test_found_whole_with_something_beside_it(own: PlateCodeRecogniser) -> None:
    image = scene(f"{TEXT}4", w=W * 17 // 15)
    assert why(own, image) == Failure(Cause.CORNERS)


@pytest.mark.parametrize(
    ("drawn", "expected"),
    [
        ("7KLM228", Failure(Cause.SUBSTITUTED, "3→8")),
        ("7KLM23", Failure(Cause.MISSING, "2→∅")),
        ("7KLMM223", Failure(Cause.EXTRA, "∅→M")),
        ("7KXM228", Failure(Cause.MORE)),
        ("7KX", Failure(Cause.MORE)),
    ],
)
def test_read_wrong(own: PlateCodeRecogniser, drawn: str, expected: Failure) -> None:
    assert why(own, scene(drawn)) == expected
    assert misread(TEXT, drawn) == expected


def test_read_wrong_because_it_is_small(own: PlateCodeRecogniser) -> None:
    assert why(own, scene("7KLM228", w=192, h=13), box=(X, Y, X + W, Y + 13)) == Failure(Cause.TOO_SMALL_TO_READ)


def test_what_an_area_covers() -> None:
    assert covered(BOX, quad(X, Y, W, H)) == pytest.approx(1)
    assert covered(BOX, quad(X - 9, Y - 9, W + 18, H + 18)) == pytest.approx(1)
    assert covered(BOX, quad(X + W / 4, Y, W, H)) == pytest.approx(0.75)
    assert covered(BOX, quad(0, 0, 9, 9)) == 0


def test_a_folder_is_counted_by_cause_and_names_no_file(own: PlateCodeRecogniser, tmp_path: Path) -> None:
    rows = ["image,x,y,w,h,plate"]
    for name, drawn in (("right", TEXT), ("wrong", "7KLM228"), ("other", "7KLM228"), ("two", TEXT)):
        cv2.imwrite(str(tmp_path / f"{name}.png"), scene(drawn))
        rows.append(f"{name}.png,{X},{Y},{W},{H},{TEXT}")
    rows.append(f"two.png,{X},{Y},{W},{H},ABC123")  # two texts: left out
    (tmp_path / "labels.csv").write_text("\n".join(rows))
    result = plate_causes.measure(tmp_path, own, None)
    assert (result["photos"], result["wrong"], result["pairs"]) == (3, 2, {"3→8": 2})
    assert {c: n for c, n in result["causes"].items() if n} == {Cause.SUBSTITUTED: 2}
    text = plate_causes.as_table({"us": result, "eu": result})
    assert "| best plate wrong | 2 (66.7 %) | 2 (66.7 %) |" in text
    assert "| read wrong: one character for another | 2 | 2 |" in text
    assert "taken for: 3→8 4" in text
    assert ".png" not in text
    assert plate_causes.measure(tmp_path, own, 1)["wrong"] == 0
