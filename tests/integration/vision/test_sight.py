"""What a camera makes of real pictures, at stated times."""

import cv2
import numpy as np
import pytest

from edge_agent.domain.evidence import EvidenceKind
from edge_agent.domain.observation import Box, ContainerCodeRead, PlateRead, Reading
from edge_agent.vision import sight as sight_module
from edge_agent.vision.camera_settings import CameraSettings
from edge_agent.vision.faces import FaceFinder
from edge_agent.vision.frame import Frame, Image
from edge_agent.vision.recogniser import PlateSighting, Recogniser, Sighting
from edge_agent.vision.recognisers import open_recogniser
from edge_agent.vision.sight import Sight
from tests.integration.vision.rendering import noisy, picture, plate
from tests.integration.vision.test_faces import detail

FACE = Box(775, 50, 90, 100)  # of the portrait in `beside_a_face`


class Seen:
    """Sees in every frame what it saw in the first one."""

    def __init__(self, of: Recogniser) -> None:
        self._of = of
        self.sightings: list[Sighting] | None = None

    def look(self, frame: Frame) -> list[Sighting]:
        if self.sightings is None:
            self.sightings = list(self._of.look(frame))
        return self.sightings


def settings(**more: object) -> CameraSettings:
    return CameraSettings.model_validate({"source": "0", **more})


def decoded(data: bytes) -> Image:
    image = cv2.imdecode(np.frombuffer(data, np.uint8), cv2.IMREAD_COLOR)
    assert image is not None
    return np.asarray(image, np.uint8)


def read_of(reading: Reading) -> PlateRead | ContainerCodeRead:
    assert isinstance(reading.body, PlateRead | ContainerCodeRead)
    return reading.body


def text_of(reading: Reading) -> str:
    read = read_of(reading)
    return read.text if isinstance(read, PlateRead) else read.code


@pytest.fixture(scope="module")
def recogniser() -> Recogniser:
    return open_recogniser("own", live=True)


@pytest.fixture(scope="module")
def beside_a_face(portrait: Image) -> Image:
    image = plate("7KLM 223")
    image[:300, 700:956] = cv2.resize(portrait, (256, 300))
    return image


def test_a_plate_that_stands_before_the_camera_is_said_once_a_second_with_its_looks(
    recogniser: Recogniser,
) -> None:
    sight = Sight(settings(blur_faces=False), Seen(recogniser), None)
    said = []
    for n in range(41):
        said += sight.look(Frame(noisy(plate("7KLM 223"), n), at=n / 4, sequence=n))
    assert {text_of(r) for r in said} == {"7KLM223"}
    assert [r.at for r in said] == [float(n) for n in range(11)]
    assert sum(read_of(r).looks for r in said) == 41
    assert sight.close() == []  # nothing new
    frame, crop = said[0].evidence
    assert (frame.kind, crop.kind) == (EvidenceKind.FRAME, EvidenceKind.PLATE_CROP)
    assert decoded(frame.data).shape == (540, 960, 3)
    assert {r.evidence for r in said} == {said[0].evidence}  # no look was better: one picture for all of them


def test_a_face_is_blurred_in_the_frame_that_is_kept_and_the_plate_is_not(
    recogniser: Recogniser, faces: FaceFinder, beside_a_face: Image
) -> None:
    kept = {}
    for blur in (True, False):
        sight = Sight(settings(blur_faces=blur), recogniser, faces)
        (reading,) = sight.look(Frame(beside_a_face))
        kept[blur] = decoded(reading.evidence[0].data)
    assert detail(kept[False], FACE) > 5 * detail(kept[True], FACE)
    assert recogniser.look(Frame(kept[True]))[0].read.confidence > 0.9


def test_a_face_close_to_a_plate_is_not_in_its_crop_either(
    recogniser: Recogniser, faces: FaceFinder, portrait: Image
) -> None:
    image = plate("7KLM 223")
    small = np.asarray(cv2.resize(portrait, (128, 150)), np.uint8)
    image[255:405, 400:528] = small
    image[376:443] = plate("7KLM 223")[376:443]  # the portrait ends where the plate begins
    (first, *_) = Sight(settings(), recogniser, faces).look(Frame(image))
    assert text_of(first) == "7KLM223"
    crop = decoded(first.evidence[1].data)
    assert crop.shape[:2] == (read_of(first).box.h, read_of(first).box.w)  # without the margin


def test_where_faces_are_to_be_blurred_nothing_is_kept_without_the_means(recogniser: Recogniser) -> None:
    with pytest.raises(TypeError, match="needs a FaceFinder"):
        Sight(settings(), recogniser, None)
    Sight(settings(blur_faces=False), recogniser, None)


def test_pictures_are_made_for_the_best_look_only(
    recogniser: Recogniser, faces: FaceFinder, monkeypatch: pytest.MonkeyPatch
) -> None:
    asked = list[Image]()
    real = FaceFinder.faces

    def counted(self: FaceFinder, image: Image) -> list[Box]:
        asked.append(image)
        return real(self, image)

    monkeypatch.setattr(FaceFinder, "faces", counted)
    sight = Sight(settings(), Seen(recogniser), faces)
    image = plate("7KLM 223")
    image[:120] = picture([(60, 60, "MSKU 413532 9", 56)])[:120]
    said = [r for n in range(12) for r in sight.look(Frame(image, at=n / 4))]
    assert {text_of(r) for r in said} == {"7KLM223", "MSKU4135329"}
    assert len(asked) == 1  # the frame that both share is blurred and kept once
    assert len({r.evidence[0] for r in said}) == 1


class Doubtful:
    """Sees a few things in every frame that may be plates."""

    def look(self, frame: Frame) -> list[Sighting]:
        reads = [PlateRead(f"{n}KLM223", 0.9, (), Box(n * 90, 0, 80, 20), f"{n}KLM223", 0.1) for n in range(5)]
        return [PlateSighting(read, frame.image[:20, :80], 0.1) for read in reads]


@pytest.mark.parametrize(("pixels", "made"), [(100_000_000, 0), (2 * 640 * 480, 3), (1, 4)])
def test_few_large_frames_wait_for_their_pictures(pixels: int, made: int, monkeypatch: pytest.MonkeyPatch) -> None:
    encoded = list[Image]()
    real = sight_module.jpeg

    def counted(image: Image) -> bytes:
        encoded.append(image)
        return real(image)

    monkeypatch.setattr(sight_module, "WAITING_PIXELS", pixels)
    monkeypatch.setattr(sight_module, "jpeg", counted)
    assert Sight(settings(blur_faces=False), Doubtful(), None).look(Frame(np.zeros((480, 640, 3), np.uint8))) == []
    assert sum(image.shape[0] == 20 for image in encoded) == made


def test_role_and_region_hold_and_boxes_are_of_the_whole_frame(recogniser: Recogniser) -> None:
    image = plate("7KLM 223")
    image[:120] = picture([(60, 60, "MSKU 413532 9", 56)])[:120]

    def seen(**more: object) -> list[Sighting]:
        return Sight(settings(blur_faces=False, **more), recogniser, None).sightings(Frame(image))

    assert [type(s.read) for s in seen()] == [PlateRead, ContainerCodeRead]
    assert [type(s.read) for s in seen(role="container")] == [ContainerCodeRead]
    (whole,) = seen(role="plate")
    (part,) = seen(region={"x": 0.2, "y": 0.5, "w": 0.8, "h": 0.5})
    assert abs(part.read.box.x - whole.read.box.x) <= 10
    assert abs(part.read.box.y - whole.read.box.y) <= 10


@pytest.mark.parametrize("role", ["plate", "container", "both"])
def test_a_recogniser_is_told_what_a_camera_is_for(role: str) -> None:
    told: list[str] = []

    class Listens:
        def look(self, frame: Frame) -> list[Sighting]:
            told.append(frame.role)
            return []

    assert Sight(settings(role=role, blur_faces=False), Listens(), None).look(Frame(plate("7KLM 223"))) == []
    assert told == [role]
