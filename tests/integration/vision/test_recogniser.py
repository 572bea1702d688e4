"""Real inference on drawn pictures."""

import threading
from collections.abc import Sequence

import numpy as np
import pytest

from edge_agent.domain.errors import NothingVisible, RecogniserBroken
from edge_agent.domain.observation import ContainerCodeRead, PlateRead
from edge_agent.vision.frame import Frame, Image
from edge_agent.vision.ppocr import PpOcrRecogniser
from edge_agent.vision.recogniser import ContainerCodeSighting, PlateSighting, Sighting
from tests.integration.vision.rendering import boxed, noisy, picture, plate


def plates(sightings: Sequence[Sighting]) -> list[PlateRead]:
    return [s.read for s in sightings if isinstance(s, PlateSighting)]


def codes(sightings: Sequence[Sighting]) -> list[ContainerCodeRead]:
    return [s.read for s in sightings if isinstance(s, ContainerCodeSighting)]


@pytest.mark.parametrize("text", ["7KLM 223", "ABC 1D23", "WN 04 KBX"])
def test_a_plate_is_read_with_box_characters_and_crop(recogniser: PpOcrRecogniser, text: str) -> None:
    sightings = recogniser.look(Frame(noisy(plate(text), 1)))
    read = plates(sightings)[0]
    assert read.text == text.replace(" ", "")
    assert read.confidence > 0.8
    assert "".join(c.character for c in read.characters) == read.text
    assert all(0 <= p <= 1 for c in read.characters for _, p in c.alternatives)
    assert 340 < read.box.x < 400
    assert 360 < read.box.y < 400
    first = sightings[0]
    assert first.crop.shape[0] >= read.box.h
    assert not codes(sightings)


def test_the_plate_comes_before_lettering_telephone_and_time(recogniser: PpOcrRecogniser) -> None:
    image = plate("7KLM 223")
    texts = picture([(20, 10, "2026-11-21 12:45:07", 24), (300, 160, "NORTE 24H", 30), (260, 230, "555-019-4471", 30)])
    image[:280] = np.maximum(image[:280], texts[:280])
    assert plates(recogniser.look(Frame(image)))[0].text == "7KLM223"


def test_a_code_in_one_row_with_boxed_check_digit_and_size_type(recogniser: PpOcrRecogniser) -> None:
    image = picture([(150, 120, "MSKU", 56), (330, 120, "413532", 56), (580, 120, "9", 56), (330, 200, "22G1", 56)])
    (read,) = codes(recogniser.look(Frame(boxed(image, 566, 118, 58, 64))))
    assert read.code == "MSKU4135329"
    assert read.check_digit_ok
    assert read.size_type == "22G1"


def test_a_code_in_two_rows(recogniser: PpOcrRecogniser) -> None:
    sightings = recogniser.look(Frame(picture([(150, 120, "DFSU", 56), (150, 190, "438255 9", 56)])))
    assert [r.code for r in codes(sightings)] == ["DFSU4382559"]


def test_a_code_as_a_column(recogniser: PpOcrRecogniser) -> None:
    column = [(300, 20 + 80 * i, c, 60) for i, c in enumerate("MSKU4135329")]
    sightings = recogniser.look(Frame(picture(column, width=600, height=960)))
    assert [r.code for r in codes(sightings)] == ["MSKU4135329"]


def test_a_wrong_check_digit_is_reported_as_read(recogniser: PpOcrRecogniser) -> None:
    (read,) = codes(recogniser.look(Frame(picture([(150, 120, "MSKU 413532 8", 56)]))))
    assert read.code == "MSKU4135328"
    assert not read.check_digit_ok


def test_a_small_plate_in_a_large_picture_is_found_by_the_second_look(recogniser: PpOcrRecogniser) -> None:
    image = np.full((1200, 1920, 3), 60, np.uint8)
    small = plate("7KLM 223")[350:450, 340:640]
    image[900:950, 1000:1150] = small[::2, ::2]
    assert [p.text for p in plates(recogniser.look(Frame(noisy(image, 3))))] == ["7KLM223"]


@pytest.mark.parametrize("tone", [0, 128, 255])
def test_looked_and_saw_none(recogniser: PpOcrRecogniser, tone: int) -> None:
    assert list(recogniser.look(Frame(noisy(np.full((480, 640, 3), tone, np.uint8), 4)))) == []


@pytest.mark.parametrize("tone", [0, 128, 255])
def test_a_picture_of_one_tone_is_not_an_empty_lane(recogniser: PpOcrRecogniser, tone: int) -> None:
    with pytest.raises(RecogniserBroken, match="all over: nothing can be seen"):
        recogniser.look(Frame(np.full((480, 640, 3), tone, np.uint8)))


@pytest.mark.parametrize("shape", [(12, 12, 3), (12, 2000, 3), (2000, 12, 3), (13, 17, 3)])
def test_odd_sizes_are_looked_at(recogniser: PpOcrRecogniser, shape: tuple[int, int, int]) -> None:
    assert list(recogniser.look(Frame(noisy(np.full(shape, 90, np.uint8), 6)))) == []


@pytest.mark.parametrize("shape", [(1, 2, 3), (11, 2000, 3), (2000, 11, 3)])
def test_a_tiny_picture_is_not_an_empty_lane(recogniser: PpOcrRecogniser, shape: tuple[int, int, int]) -> None:
    with pytest.raises(NothingVisible, match=f"only {shape[1]} × {shape[0]} pixels: nothing in it is legible"):
        recogniser.look(Frame(noisy(np.full(shape, 90, np.uint8), 6)))


def test_noise_gives_no_reading_of_confidence(recogniser: PpOcrRecogniser) -> None:
    noise = np.random.default_rng(5).integers(0, 256, (480, 640, 3), dtype=np.uint8)
    assert all(s.read.confidence < 0.9 for s in recogniser.look(Frame(noise)))


@pytest.mark.parametrize(
    "image",
    [
        np.zeros((10, 10), np.uint8),
        np.zeros((10, 10, 4), np.uint8),
        np.zeros((10, 10, 3), np.float32),
        np.zeros((0, 10, 3), np.uint8),
    ],
)
def test_what_is_no_picture_cannot_be_looked_at(recogniser: PpOcrRecogniser, image: Image) -> None:
    with pytest.raises(RecogniserBroken):
        recogniser.look(Frame(image))


def test_a_model_that_fails_is_not_an_empty_lane() -> None:
    class Broken:
        def find(self, image: Image, long_side: int = 0, enlarge: float = 1.0) -> None:
            raise RuntimeError("ONNX Runtime: bad allocation")

    broken = PpOcrRecogniser(Broken(), Broken())  # type: ignore[arg-type]
    with pytest.raises(RecogniserBroken, match=r"could not look at a frame of north: .*bad allocation"):
        broken.look(Frame(plate("7KLM 223"), "north"))


def test_several_threads_share_one_recogniser(recogniser: PpOcrRecogniser) -> None:
    texts = ["7KLM 223", "4XYZ 918", "2PRT 605"]
    answers: dict[str, str] = {}

    def look(text: str) -> None:
        answers[text] = plates(recogniser.look(Frame(plate(text))))[0].text

    threads = [threading.Thread(target=look, args=(t,)) for t in texts]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(60)
    assert answers == {t: t.replace(" ", "") for t in texts}
