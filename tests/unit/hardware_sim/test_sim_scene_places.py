"""Cameras show what is where the world has it: points of known place are found where a pinhole puts them."""

from dataclasses import replace
from math import pi, radians, tan

import numpy as np
import pytest
from PIL import Image

from hardware_sim.cameras import rear
from hardware_sim.cameras.front import PLATE_HEIGHT_M
from hardware_sim.cameras.geometry import HEIGHT, WIDTH, Pinhole, Plane
from hardware_sim.cameras.plate import draw_plate
from hardware_sim.cameras.scene import ContainerView, PlateView, RearView
from hardware_sim.world.lane import Lane
from hardware_sim.world.outline import FLOOR_M
from hardware_sim.world.plates import Plate
from hardware_sim.world.truck import Container, Seal
from tests.unit.hardware_sim.roads import lane_of, truck

WHITE, RED, BLUE = (240, 240, 240), (200, 20, 20), (20, 20, 200)


def alone(**stated: object) -> Lane:
    return lane_of([truck(1, **{"night": False, "plate": None, **stated})])


def container(
    code: str, size_type: str = "22G1", paint: tuple[int, int, int] = RED, seal: Seal | None = None
) -> Container:
    return Container(code, size_type, seal, paint)


def test_a_pinhole_puts_points_where_similar_triangles_do() -> None:
    camera = Pinhole((10.0, 3.0, 2.0), pi, 0.0, 1000.0)  # looks back along the lane
    assert camera.project((0.0, 3.0, 2.0)) == pytest.approx((WIDTH / 2, HEIGHT / 2))
    assert camera.project((0.0, 4.0, 1.0)) == pytest.approx((WIDTH / 2 + 100, HEIGHT / 2 + 100))
    assert camera.project((5.0, 2.0, 2.0)) == pytest.approx((WIDTH / 2 - 200, HEIGHT / 2))
    turned = Pinhole((0.0, 0.0, 1.0), radians(10), radians(5), 1000.0)
    u, v = turned.project((100.0, 0.0, 1.0))  # to the right of where it looks, and below
    assert u == pytest.approx(WIDTH / 2 + 1000 * tan(radians(10)) / np.cos(radians(5)), abs=2)
    assert v == pytest.approx(HEIGHT / 2 + 1000 * tan(radians(5)), abs=2)


def test_a_plane_goes_to_the_same_pixels_as_its_points() -> None:
    camera, plane = RearView.CAMERA, Plane((4.0, 1.2, 3.7), (0.0, -1.0, 0.0), (0.0, 0.0, -1.0))
    for right, down in ((0.0, 0.0), (2.4, 0.3), (1.1, 2.5)):
        u, v, w = camera.of_plane(plane) @ (right, down, 1.0)
        assert (u / w, v / w) == pytest.approx(camera.project(plane.point(right, down)))


def test_what_lies_behind_the_lens_is_cut_off() -> None:
    camera = Pinhole((0.0, 0.0, 1.0), 0.0, 0.0, 1000.0)
    assert camera.outline([(-5, 1, 0), (-1, 1, 0), (-1, 1, 3), (-5, 1, 3)]) == []
    cut = camera.outline([(-5, 1, 0), (9, 1, 0), (9, 1, 3), (-5, 1, 3)])
    assert len(cut) == 4
    assert min(u for u, _ in cut) < 0 < max(u for u, _ in cut) < WIDTH / 2


def _share(frame: Image.Image, box: tuple[float, float, float, float], wanted: object) -> float:
    """The share of a box's pixels of which `wanted` (of red, green, blue) holds."""
    pixels = np.asarray(frame.convert("RGB").crop(box), np.int16)
    return float(wanted(pixels[..., 0], pixels[..., 1], pixels[..., 2]).mean())  # type: ignore[operator]


@pytest.mark.parametrize("position", [1.0, 3.0, 5.0])
def test_the_front_plate_is_where_the_camera_must_see_it(position: float) -> None:
    lane = alone(plate=Plate("AB-123-CD", "EU-FR"), paint=RED)
    view, passage = PlateView(lane), lane.passages[0]
    at = passage.reaches(position)
    frame = view.draw(at)
    assert frame is not None
    corners = [
        view.CAMERA.project((position, 0.26 * side, PLATE_HEIGHT_M - 0.055 * down))
        for side in (-1, 1)
        for down in (-1, 1)
    ]
    left, right = min(u for u, _ in corners), max(u for u, _ in corners)
    if right < WIDTH:
        band = 0.088 * (right - left)
        middle = [(v0 + v1) / 2 for (_, v0), (_, v1) in ((corners[0], corners[1]), (corners[2], corners[3]))]
        blue = lambda r, g, b: (b > 90) & (r < 80)  # noqa: E731
        assert _share(frame, (left + 2, middle[0] - 8, left + band - 2, middle[0] + 8), blue) > 0.3
        assert _share(frame, (right - band + 2, middle[1] - 8, right - 2, middle[1] + 8), blue) > 0.5
        assert _share(frame, (left - 20, middle[0] - 4, left - 4, middle[0] + 4), blue) == 0
    assert left < WIDTH


@pytest.mark.parametrize(("size_type", "length"), [("22G1", 6.06), ("42G1", 12.19), ("L5G1", 13.72)])
def test_a_container_is_as_long_as_its_size_says(size_type: str, length: float) -> None:
    lane = lane_of([truck(1, night=False, paint=BLUE, containers=(container("MSKU0383250", size_type),), length_m=30)])
    view, passage = ContainerView(lane), lane.passages[0]
    found = []
    for edge in (4.4, 4.4 + length):
        frame = view.draw(passage.reaches(view.CENTRE_M + edge))  # the edge is in the middle of the picture
        assert frame is not None
        row = np.asarray(frame, np.int16)[340]
        red = (row[:, 0] > 100) & (row[:, 1] < 70)
        found.append(np.flatnonzero(red))
    assert found[0].max() == pytest.approx(WIDTH / 2, abs=3)
    assert found[1].min() == pytest.approx(WIDTH / 2, abs=3)


def test_two_containers_have_a_code_each() -> None:
    two = (container("MSKU0383250"), container("TCNU7200794", paint=BLUE))
    lane = lane_of([truck(1, night=False, containers=two, length_m=17.8)])
    view, passage = ContainerView(lane), lane.passages[0]
    for begin, ground in ((4.4, 0), (4.4 + 6.06 + 0.076, 2)):
        frame = view.draw(passage.reaches(view.CENTRE_M + begin + 1.4))
        assert frame is not None
        left, top = view.CAMERA.project((view.CENTRE_M - 1.0, -1.25, FLOOR_M + 2.30))
        right, bottom = view.CAMERA.project((view.CENTRE_M + 1.3, -1.25, FLOOR_M + 1.70))
        box = (left, top, right, bottom)
        assert 0.06 < _share(frame, box, lambda r, g, b: (r > 180) & (g > 170) & (b > 160)) < 0.35
        paint = lambda r, g, b, n=ground: ((r, g, b)[n] > 100) & ((r, g, b)[2 - n] < 80)  # noqa: E731
        assert _share(frame, box, paint) > 0.4


def rear_frame(at_m: float, **stated: object) -> tuple[Image.Image, Plane, Plane]:
    """What is seen with the rear `at_m` past the portal, and where doors and chassis end are in the world."""
    lane = alone(**stated)
    passage = lane.passages[0]
    frame = RearView(lane).draw(passage.reaches(passage.truck.length_m + at_m))
    assert frame is not None
    right, down = (0.0, -1.0, 0.0), (0.0, 0.0, -1.0)
    doors = Plane((at_m + 1.2, 1.22, FLOOR_M + 2.59), right, down)  # the chassis reaches 1.2 m past the container
    return frame, doors, Plane((at_m, 1.22, rear.TAIL_TOP_M), right, down)


@pytest.mark.parametrize("night", [False, True])
def test_the_rear_camera_sees_the_trailers_plate(night: bool) -> None:
    for plate, light in ((Plate("AB 12345", "CA-ON"), True), (None, False)):
        frame, _, tail = rear_frame(-0.8, trailer_plate=plate, night=night)
        down = rear.TAIL_TOP_M - rear.PLATE_HEIGHT_M
        (left, top), (right, bottom) = (
            RearView.CAMERA.project(tail.point(0.92 + s * 0.14, down + s * 0.065)) for s in (-1, 1)
        )
        assert right - left > 70
        bright = _share(frame, (left, top, right, bottom), lambda r, g, b: np.minimum(r, np.minimum(g, b)) > 140)
        assert (bright > 0.4) == light


def test_the_rear_camera_sees_the_code_of_the_last_container() -> None:
    two = (container("MSKU0383250", paint=BLUE), container("TCNU7200794"))
    frame, doors, _ = rear_frame(5.5, containers=two, length_m=17.8)
    (left, top), (right, bottom) = (RearView.CAMERA.project(doors.point(*p)) for p in ((1.35, 0.28), (2.25, 0.45)))
    assert 0 < left < right < WIDTH
    assert top > 0
    assert _share(frame, (left, top, right, bottom), lambda r, g, b: (g > 140) & (b > 140)) > 0.12
    assert _share(frame, (left, top, right, bottom), lambda r, g, b: (r > 100) & (g < 80)) > 0.3


def test_a_seal_hangs_on_the_doors_unless_there_is_none_or_it_was_cut() -> None:
    yellow = []
    for seal in (Seal("HS1234567"), Seal("HS1234567", opened=True), None):
        load = (replace(container("MSKU0383250"), seal=seal),)
        frame, doors, _ = rear_frame(1.5, containers=load)
        down = 2.59 - rear.SEAL_UP_M
        (left, top), (right, bottom) = (
            RearView.CAMERA.project(doors.point(rear.SEAL_RIGHT_M + s * 0.06, down + 0.12 + s * 0.10)) for s in (-1, 1)
        )
        yellow.append(_share(frame, (left, top, right, bottom), lambda r, g, b: (r > 180) & (g > 140) & (b < 110)))
    assert yellow[0] > 0.1
    assert yellow[1] == yellow[2] == 0


def test_plates_have_the_shape_and_colours_of_their_issuers() -> None:
    def plate(text: str, region: str) -> Image.Image:
        return draw_plate(Plate(text, region), 1000, infrared=False)

    blue = lambda r, g, b: (b > 100) & (r < 60)  # noqa: E731
    german, french = plate("TF WS 9238", "EU-DE"), plate("VH-773-LJ", "EU-FR")
    assert german.size == french.size == (520, 110)
    assert _share(german, (6, 70, 40, 104), blue) > 0.5
    assert _share(french, (484, 8, 512, 102), blue) > 0.9
    assert _share(german, (484, 8, 512, 102), blue) == 0
    assert _share(plate("67-BVT-5", "EU-NL"), (60, 6, 500, 16), lambda r, g, b: (r > 200) & (b < 90)) > 0.8
    mercosul, old = plate("XBT9L73", "BR"), plate("ABC-1234", "BR")
    assert mercosul.size == old.size == (400, 130)
    assert _share(mercosul, (20, 6, 380, 26), blue) > 0.5
    assert _share(old, (10, 10, 390, 30), lambda r, g, b: abs(r - 160) + abs(b - 160) < 40) > 0.6
    assert plate("R56 0693", "US-TX").size == (305, 152)
    assert plate("908-M5-4", "MX-SPF").size == (300, 150)
    assert _share(plate("908-M5-4", "MX-SPF"), (10, 136, 100, 148), lambda r, g, b: (g > 80) & (r < 60)) > 0.8
