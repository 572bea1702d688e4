"""What the cameras show: the truck where it is, its own plate and code, day and night."""

from io import BytesIO
from itertools import pairwise
from math import inf

import numpy as np
import pytest
from PIL import Image, ImageStat

from hardware_sim.cameras.frames import Frames
from hardware_sim.cameras.front import PX_PER_M, draw_front
from hardware_sim.cameras.lettering import lettering
from hardware_sim.cameras.plate import draw_plate, plate_size
from hardware_sim.cameras.scene import ContainerView, Noise, PlateView, RearView
from hardware_sim.cameras.side import draw_side
from hardware_sim.scenario import load_scenario
from hardware_sim.world.lane import Lane
from hardware_sim.world.passage import Passage
from hardware_sim.world.plates import REGIONS, Plate


@pytest.fixture(scope="module")
def lane() -> Lane:
    lane = load_scenario("demo").build_lanes(2026)["1"]
    lane.open(0.0)
    lane.advance(inf)
    return lane


def brightness(image: Image.Image) -> float:
    return float(ImageStat.Stat(image.convert("L")).mean[0])


def difference(one: Image.Image, other: Image.Image) -> float:
    """Mean difference of two pictures' pixels, 0..255."""
    return float(np.abs(np.asarray(one, np.int16) - np.asarray(other, np.int16)).mean())


def plate_columns(frame: Image.Image) -> tuple[int, int]:
    """Left and right edge of what is plate-yellow in a frame that shows a New York plate."""
    pixels = np.asarray(frame, np.int16)[300:480, 140:]  # the portal's pillar is yellow too, at the left edge
    yellow = (pixels[:, :, 0] > 200) & (pixels[:, :, 1] > 150) & (pixels[:, :, 2] < 110)
    columns = np.flatnonzero(yellow.sum(axis=0) > 8)
    return int(columns[0]) + 140, int(columns[-1]) + 140


def yellow_plate_truck(lane: Lane) -> Passage:
    return next(p for p in lane.passages if p.truck.plate and p.truck.plate.region == "US-NY")


def test_plate_is_of_readable_size_where_trucks_go_slowly(lane: Lane) -> None:
    view, passage = PlateView(lane), yellow_plate_truck(lane)
    widths = []
    for position in (2.4, 3.5, 4.5, 5.4):
        frame = view.draw(passage.reaches(position))
        assert frame is not None
        left, right = plate_columns(frame)
        widths.append(right - left)
    assert widths == sorted(widths)
    assert widths[0] >= 135
    assert widths[-1] <= 240


def test_plate_stays_in_sight_for_some_seconds(lane: Lane) -> None:
    view = PlateView(lane)
    for passage in lane.passages:
        moments = np.arange(passage.enters, passage.clears, 0.1)
        edges = [
            [view.CAMERA.project((passage.position(at), y, 0.56))[0] for y in (-0.15, 0.15)]
            for at in moments
            if passage.position(at) < view.CAMERA.at[0] - 2.0
        ]
        assert len([e for e in edges if min(e) >= 0 and max(e) < 1280]) * 0.1 >= 2.0


def test_empty_lane_is_told_apart_from_a_truck(lane: Lane) -> None:
    first = lane.passages[0]
    for view in (PlateView(lane), ContainerView(lane), RearView(lane)):
        assert view.draw(first.arrives - 1.0) is None
        assert view.draw(first.enters + 1.5) is not None


def test_no_vehicle_is_left_in_sight_when_the_next_one_enters(lane: Lane) -> None:
    """The plate that is read during an occupancy is that vehicle's own."""
    view = PlateView(lane)
    for before, after in pairwise(lane.passages):
        rear = before.position(after.enters) - before.truck.length_m
        assert rear > view.CAMERA.at[0] - 4.0  # beside the camera or past it, its front long out of sight


def test_trucks_of_the_night_are_dark_but_their_plates_are_not(lane: Lane) -> None:
    day = next(p for p in lane.passages if not p.truck.night)
    night = next(p for p in lane.passages if p.truck.night)
    for view in (PlateView(lane), ContainerView(lane)):
        bright, dark = (view.draw(p.reaches(3.5)) for p in (day, night))
        assert bright is not None
        assert dark is not None
        assert brightness(dark) < 0.6 * brightness(bright)
    assert night.truck.plate is not None
    assert brightness(draw_plate(night.truck.plate, PX_PER_M, infrared=True)) > 140


def test_two_trucks_do_not_look_alike(lane: Lane) -> None:
    one, other = (p.truck for p in lane.passages[:2])
    assert difference(draw_front(one).face.image, draw_front(other).face.image) > 2
    assert draw_side(one).image.size == draw_side(other).image.size
    assert difference(draw_side(one).image, draw_side(other).image) > 2


@pytest.mark.parametrize("region", list(REGIONS))
@pytest.mark.parametrize("infrared", [False, True])
def test_every_regions_plate_is_drawn_with_contrast(region: str, infrared: bool) -> None:
    plate = Plate("AB 12345", region)
    image = draw_plate(plate, 700, infrared=infrared)
    assert image.size == tuple(round(metres * 700) for metres in plate_size(plate))
    middle = np.asarray(image.convert("L"))[image.height // 3 : -image.height // 4, 40:-20]
    assert int(np.percentile(middle, 95)) - int(np.percentile(middle, 5)) > 70


def test_lettering_has_the_stated_height() -> None:
    for height in (20, 40):
        box = lettering("H", height).getbbox()
        assert box is not None
        assert box[3] - box[1] == pytest.approx(height, abs=2)


def test_camera_frames_differ_in_bytes_and_decode(lane: Lane) -> None:
    camera = Frames(PlateView(lane), Noise(1), 80)
    for at in (lane.passages[0].arrives - 2, lane.passages[0].enters + 1.5):
        frames = [camera.at(at + n / 6 + n % 2 * 0.06) for n in range(8)]  # at its rate, every other one late
        assert len(set(frames)) == 8
        for a, b in pairwise(frames):
            assert difference(Image.open(BytesIO(a)), Image.open(BytesIO(b))) > 0.5
    assert camera.drawn == 8
