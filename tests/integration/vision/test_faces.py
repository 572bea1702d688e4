"""Faces on a real photo: found, and made unrecognisable."""

from pathlib import Path

import cv2
import numpy as np
import pytest

from edge_agent.domain.errors import ModelRefused, RecogniserBroken
from edge_agent.domain.observation import Box
from edge_agent.vision import faces as faces_module
from edge_agent.vision.alike import overlap
from edge_agent.vision.faces import MODEL, FaceFinder, hide
from edge_agent.vision.frame import Image
from edge_agent.vision.model_file import load, locate, models_folder, read_model_file
from edge_agent.vision.onnx_sizes import any_size

FACE = Box(174, 127, 185, 206)


def detail(image: Image, box: Box) -> float:
    """Mean contrast between neighbours, in grey levels: eyes, nose and mouth have much, a blurred face has none."""
    part = image[box.y : box.y + box.h, box.x : box.x + box.w].astype(float)
    return float(np.abs(cv2.Laplacian(part, cv2.CV_64F)).mean())


def test_the_stated_file_is_installed_and_has_a_card() -> None:
    stated = read_model_file(MODEL)
    assert locate(stated).stat().st_size == stated.source.size
    assert (models_folder() / MODEL / "card.md").is_file()


@pytest.mark.parametrize("scale", [0.2, 0.5, 1.0, 2.5])
def test_a_face_is_found_at_its_place_whatever_the_pictures_size(
    faces: FaceFinder, portrait: Image, scale: float
) -> None:
    image = np.asarray(cv2.resize(portrait, None, fx=scale, fy=scale, interpolation=cv2.INTER_AREA), np.uint8)
    face = faces.faces(image)[0]
    there = Box(*(round(scale * side) for side in (FACE.x, FACE.y, FACE.w, FACE.h)))
    assert overlap(face, there) > 0.7


def test_a_face_of_twelve_pixels_in_the_dark_is_found(faces: FaceFinder, portrait: Image) -> None:
    image = np.full((320, 320, 3), 90, np.uint8)
    small = cv2.resize(portrait, None, fx=0.06, fy=0.06, interpolation=cv2.INTER_AREA) // 5
    image[100 : 100 + small.shape[0], 100 : 100 + small.shape[1]] = small
    assert overlap(faces.faces(image)[0], Box(110, 108, 11, 12)) > 0.3


def test_two_faces_are_two(faces: FaceFinder, portrait: Image) -> None:
    image = np.full((600, 1280, 3), 128, np.uint8)
    for x in (50, 700):
        image[:, x : x + 512] = portrait
    found = faces.faces(image)
    assert sum(overlap(face, Box(x + FACE.x, FACE.y, FACE.w, FACE.h)) > 0.6 for face in found for x in (50, 700)) == 2


@pytest.mark.parametrize("shape", [(12, 12, 3), (3, 900, 3), (720, 1280, 3)])
def test_a_picture_without_faces_is_the_same_object(faces: FaceFinder, shape: tuple[int, ...]) -> None:
    image = np.full(shape, 90, np.uint8)
    assert hide(image, faces.faces(image)) is image


def test_a_hidden_face_is_no_face_and_keeps_a_few_tones(faces: FaceFinder, portrait: Image) -> None:
    before = portrait.copy()
    hidden = hide(portrait, faces.faces(portrait))
    assert np.array_equal(portrait, before)  # the frame itself is still looked at
    assert detail(portrait, FACE) > 10 * detail(hidden, FACE)
    # Sharpening does not bring back what is not there: two faces that differ within a tile are hidden alike.
    other = portrait.copy()
    other[200:206, 240:246] = other[200:206, 240:246][::-1, ::-1]
    assert np.abs(hide(other, [FACE]).astype(int) - hide(portrait, [FACE])).max() <= 2


def test_the_plate_stays_and_a_face_that_fills_its_box_does_not() -> None:
    rng = np.random.default_rng(1)
    image = rng.integers(0, 255, (400, 600, 3)).astype(np.uint8)
    plate, face = Box(100, 250, 200, 50), Box(150, 150, 100, 110)
    hidden = hide(image, [face], [plate])
    assert np.array_equal(hidden[250:300, 100:300], image[250:300, 100:300])
    assert not np.array_equal(hidden[160:240, 160:240], image[160:240, 160:240])
    hidden = hide(image, [Box(150, 245, 60, 60)], [plate])
    assert not np.array_equal(hidden[255:295, 160:200], image[255:295, 160:200])


@pytest.mark.parametrize("face", [Box(-50, -50, 100, 100), Box(580, 380, 100, 100), Box(700, 500, 20, 20)])
def test_a_face_at_the_pictures_edge_is_hidden(face: Box) -> None:
    image = np.random.default_rng(2).integers(0, 255, (400, 600, 3)).astype(np.uint8)
    hidden = hide(image, [face])
    assert hidden.shape == image.shape
    assert np.array_equal(hidden, image) == (face.x >= 700)


def test_a_picture_that_cannot_be_looked_at_is_an_error_and_not_a_picture_without_faces(faces: FaceFinder) -> None:
    with pytest.raises(RecogniserBroken, match="could not look for faces"):
        faces.faces(np.zeros((0, 100, 3), np.uint8))


def test_without_its_model_nothing_starts(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    stated = read_model_file(MODEL)
    changed = tmp_path / "centerface.onnx"
    changed.write_bytes(locate(stated).read_bytes()[:-1])
    with pytest.raises(ModelRefused, match="is not the file that model faces_centerface states"):
        load(stated, changed, prepare=any_size)
    missing = stated.model_copy(update={"source": stated.source.model_copy(update={"package": "no_such_package"})})
    monkeypatch.setattr(faces_module, "read_model_file", lambda _: missing)
    with pytest.raises(ModelRefused, match="no_such_package, which is not installed"):
        FaceFinder.open()
