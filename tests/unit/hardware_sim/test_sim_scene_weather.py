"""Light and weather before a camera: rain, headlights, motion, flare; and the same bytes from the same seed."""

from concurrent.futures import ThreadPoolExecutor
from io import BytesIO
from itertools import combinations

import numpy as np
import pytest
from PIL import Image, ImageFilter

from hardware_sim.cameras.frames import Frames
from hardware_sim.cameras.front import LAMPS_M
from hardware_sim.cameras.light import Flare
from hardware_sim.cameras.scene import HEIGHT, VIEWS, WIDTH, ContainerView, Noise, PlateView
from hardware_sim.cameras.trouble import CameraTrouble
from hardware_sim.cameras.weather import wet
from hardware_sim.world.lane import Lane
from hardware_sim.world.passage import Layout, Passage
from tests.unit.hardware_sim.roads import lane_of, standing, truck

NOISE = Noise(1)


def pixels(image: Image.Image) -> np.ndarray:
    return np.asarray(image.convert("L"), np.int16)


def lane(**stated: object) -> Lane:
    return lane_of([truck(1, **{"night": False, **stated})], stop_s=0.0)


def seen(view: str, passage: Passage, of: Lane, at_m: float = 3.5, seed: int = 1) -> Image.Image:
    back = passage.truck.length_m - 2 if view == "rear" else 0.0
    frame = VIEWS[view](of, seed).draw(passage.reaches(at_m + back))
    assert frame is not None
    return frame


@pytest.mark.parametrize("view", ["plate", "container", "rear"])
@pytest.mark.parametrize("night", [False, True])
def test_rain_takes_contrast_and_falls_anew_in_every_frame(view: str, night: bool) -> None:
    dry, rainy = (lane(night=night, rain=rain) for rain in (False, True))
    drawn = VIEWS[view](rainy, 1)
    at = rainy.passages[0].reaches(3.5)
    empty = [drawn.empty(rainy.passages[0].arrives - 0.2 + n / 50) for n in range(2)]
    assert np.abs(pixels(empty[0]) - pixels(empty[1])).mean() > 0.4
    again = VIEWS[view](rainy, 1)
    once, twice = drawn.draw(at), again.draw(at)
    assert (once is None) == (twice is None)
    if once is not None and twice is not None:
        assert once.tobytes() == twice.tobytes()
    if not night:  # by night the lamps' glow outshines what is lost
        sheets = [pixels(seen(view, of.passages[0], of).filter(ImageFilter.MedianFilter(5))) for of in (dry, rainy)]
        contrast = [np.ptp(np.percentile(sheet, (3, 90))) for sheet in sheets]
        assert contrast[1] < 0.9 * contrast[0]


def test_another_seeds_rain_falls_elsewhere() -> None:
    rainy = lane(rain=True)
    one, other = (seen("container", rainy.passages[0], rainy, seed=seed) for seed in (1, 2))
    assert (pixels(one) != pixels(other)).mean() > 0.05  # streaks all over, not droplets only


def test_wet_surfaces_lose_a_third_of_their_contrast() -> None:
    stripes = Image.fromarray(np.tile(np.array([40, 200], np.uint8), (8, 4)))
    before, after = np.ptp(pixels(stripes)), np.ptp(pixels(wet(stripes)))
    assert 0.5 * before < after < 0.7 * before


def edge_width(frame: Image.Image, row: int) -> int:
    """Columns over which the container's front edge falls from its paint to what is behind, in the middle."""
    line = pixels(frame)[row - 6 : row + 6, WIDTH // 2 - 30 : WIDTH // 2 + 30].mean(axis=0)
    low, high = np.sort(line[:8]).mean(), np.sort(line[-8:]).mean()
    share = (line - low) / (high - low)
    return int(((share > 0.12) & (share < 0.88)).sum())


def test_a_fast_truck_is_smeared_and_a_slow_one_is_not() -> None:
    widths = {}
    for speed in (1.6, 9.0):
        layout = Layout(slow_from_m=0.5, slow_to_m=5.0, slow_mps=speed, stop_s=0.0, clears_m=12.0)
        of = Lane([truck(1, night=False, speed_mps=speed)], layout)
        of.open(0.0)
        of.advance(1e9)
        passage, view = of.passages[0], ContainerView(of)
        at = passage.reaches(view.CENTRE_M + 4.4)
        assert passage.speed(at) == pytest.approx(speed)
        frame = view.draw(at)
        assert frame is not None
        widths[speed] = edge_width(frame, 300)
    assert widths[9.0] == pytest.approx(9.0 / 500 * 170, abs=1.6)  # three pixels while the shutter is open
    assert widths[1.6] <= 1


def test_the_shutter_stays_open_longer_by_night() -> None:
    for view in VIEWS.values():
        drawn = view(lane(), 1)
        shutter = drawn.SHUTTER  # type: ignore[attr-defined]
        assert shutter.night >= 2 * shutter.day


def test_headlights_burn_out_by_night_where_they_are() -> None:
    for night, lit in ((True, 1.0), (False, 0.0)):
        of = lane(night=night, paint=(30, 30, 30), plate=None)
        passage = of.passages[0]
        at = passage.reaches(1.0)
        frame = PlateView(of).draw(at)
        assert frame is not None
        u, v = PlateView.CAMERA.project((1.0, -LAMPS_M[0], LAMPS_M[1]))
        assert 20 < u < WIDTH
        core = pixels(frame.crop((round(u) - 8, round(v) - 8, round(u) + 8, round(v) + 8)))
        assert (core.min() > 250) == (lit == 1.0)
        halo = pixels(frame.crop((round(u) - 90, round(v) + 70, round(u) - 60, round(v) + 90)))
        assert halo.mean() < 120


def test_the_flare_hides_more_the_stronger_it_is() -> None:
    hidden = []
    for strength in (0.3, 1.0, 2.0):
        flare = Flare("a seed")
        dark, light = (flare.over(Image.new("RGB", (WIDTH, HEIGHT), (v,) * 3), strength) for v in (90, 170))
        hidden.append(float((pixels(light) - pixels(dark) < 0.3 * 80).mean()))
    assert hidden == sorted(hidden)
    assert hidden[0] < 0.1
    assert 0.15 < hidden[1] < 0.45
    assert Flare("a seed").over(dark, 1.0).tobytes() != Flare("another").over(dark, 1.0).tobytes()
    grey = Flare("a seed").over(Image.new("RGB", (WIDTH, HEIGHT)), 1.0, grey=True)
    assert (np.ptp(np.asarray(grey), axis=2) == 0).all()


@pytest.mark.parametrize("view", ["plate", "container", "rear"])
def test_the_same_seed_gives_the_same_bytes_whoever_else_looks(view: str) -> None:
    of = lane_of([truck(1, night=False, rain=True), truck(2, night=True)], stop_s=0.0)
    moments = [p.reaches(at_m) for p in of.passages for at_m in (1.0, 3.0, 15.0)]
    moments += [of.passages[0].arrives - 3.0]

    def frames(seed: int = 1) -> Frames:
        return Frames(VIEWS[view](of, seed), NOISE, 80, seed="camera")

    alone = frames()
    expected = [alone.at(at) for at in moments]
    busy = frames()
    for at in moments:  # another history
        busy.at(at - 0.123)
    with ThreadPoolExecutor(3) as pool:  # and several cameras at once
        others = [pool.submit(lambda: [frames().at(at) for at in moments]) for _ in range(2)]
        found = list(pool.map(busy.at, reversed(moments)))[::-1]
        assert found == expected
        assert all(other.result() == expected for other in others)
    assert len(set(expected)) == len(expected)


@pytest.mark.parametrize("shown", ["empty", "a truck at rest", "black"])
def test_no_frame_has_the_noise_of_one_close_to_it(shown: str) -> None:
    of = lane_of([truck(1, night=False, rain=False)])
    frames = Frames(PlateView(of), NOISE, 80, CameraTrouble(black=shown == "black"))
    at = of.passages[0].arrives - 2.0 if shown == "empty" else standing(of.passages[0])
    # However late, early or often a camera draws: together in a moment, one or two frames apart at 6 or 20 a second.
    moments = [at + ms / 1000 for ms in (0, 1, 8, 50, 100, 167, 333, 1000)]
    shots = [np.asarray(Image.open(BytesIO(frames.at(moment))), np.int16) for moment in moments]
    for one, other in combinations(shots, 2):
        assert np.abs(one - other).mean() > 0.3
    assert frames.drawn == (len(moments) if shown == "a truck at rest" else 0)


def test_frozen_holds_what_was_sent_last_and_black_shows_nothing() -> None:
    of, trouble = lane(), CameraTrouble()
    frames, passage = Frames(PlateView(of), NOISE, 80, trouble), of.passages[0]
    last = frames.at(passage.reaches(2.0))
    trouble.frozen = True
    assert {frames.at(passage.reaches(2.0) + n) for n in range(1, 4)} == {last}
    trouble.frozen = False
    assert frames.at(passage.reaches(3.0)) != last
    trouble.black = True
    dark = [frames.at(passage.reaches(3.0) + n / 6) for n in range(1, 4)]
    assert len(set(dark)) == 3
    assert all(np.asarray(Image.open(BytesIO(jpeg))).mean() < 2 for jpeg in dark)
    trouble.black = False
    frozen_at_once = Frames(PlateView(of), NOISE, 80, CameraTrouble(frozen=True))
    first = frozen_at_once.at(passage.reaches(2.0))
    assert frozen_at_once.at(passage.reaches(4.0)) == first
