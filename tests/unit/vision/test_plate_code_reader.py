import numpy as np
import pytest

from edge_agent.vision.frame import Image
from edge_agent.vision.plate_code_reader import as_input, line_input, straightened
from tests.unit.vision.builders import quad


def test_input_runs_from_minus_one_to_one_with_channels_first() -> None:
    crops = np.zeros((2, 48, 192, 3), np.uint8)
    crops[1, :, :, 2] = 255
    batch = as_input(crops)
    assert batch.shape == (2, 3, 48, 192)
    assert batch.dtype == np.float32
    assert batch[0].max() == pytest.approx(-1)
    assert batch[1, 2].min() == pytest.approx(1)


@pytest.mark.parametrize(
    ("width", "height", "taken", "filled"),
    [
        (96, 24, 192, 192),
        (1000, 48, 320, 320),
        (3, 400, 16, 64),
        (480, 96, 240, 256),
        (64, 48, 64, 64),
        (65, 48, 65, 128),
    ],
)
def test_a_line_keeps_its_shape_and_is_filled_up_with_zero(width: int, height: int, taken: int, filled: int) -> None:
    batch, used = line_input(np.full((height, width, 3), 255, np.uint8))
    assert batch.shape == (1, 3, 48, filled)
    assert used == pytest.approx(taken / filled)
    assert batch[..., :taken].min() == pytest.approx(1)
    assert np.abs(batch[..., taken:]).sum() == 0


def ramp(height: int, width: int) -> Image:
    columns = np.linspace(0, 255, width)
    return np.broadcast_to(columns[:, np.newaxis], (height, width, 3)).astype(np.uint8)


def test_a_plate_is_squeezed_to_the_size_at_which_it_is_read() -> None:
    image = np.zeros((300, 600, 3), np.uint8)
    image[100:160, 200:400] = ramp(60, 200)
    crop = straightened(image, quad(200, 100, 200, 60), 192, 48)
    assert crop.shape == (48, 192, 3)
    assert np.abs(crop[24, 4:-4, 0].astype(int) - ramp(1, 192)[0, 4:-4, 0]).max() <= 3


def test_thin_strokes_of_a_large_plate_are_averaged_not_skipped() -> None:
    image = np.zeros((1000, 2000, 3), np.uint8)
    image[:, ::2] = 255
    crop = straightened(image, quad(100, 100, 192 * 4, 48 * 4), 192, 48)
    assert crop.min() > 100
    assert crop.max() < 155


def test_beyond_the_edge_the_border_goes_on() -> None:
    image = np.full((100, 100, 3), 200, np.uint8)
    assert straightened(image, quad(-30, -30, 192, 60), 192, 48).min() == 200
    assert straightened(image, quad(400, 400, 50, 20), 192, 48).shape == (48, 192, 3)
