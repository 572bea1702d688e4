"""What drawings are made to look real by: each of these is drawn, and can be left out alone."""

from itertools import count

import numpy as np
import pytest

from models.rendering.codes import code_crop
from models.rendering.containers import draw_container_side
from models.rendering.crops import reader_crop
from models.rendering.drawn import Picture
from models.rendering.leave_out import PARTS, without
from models.rendering.letters import missing_packages
from models.rendering.plates import draw_plate

MISSING = missing_packages()
pytestmark = pytest.mark.skipif(
    bool(MISSING), reason=f"fonts are not installed (make system-packages): {', '.join(MISSING)}"
)
SELDOM = 150  # so many pictures hold each of them at least twice
ON_CONTAINERS = {"corrugation", "rust", "boxed check digits"}


def plate_seen(seed: int) -> tuple[Picture, str]:
    rng = np.random.default_rng(seed)
    return reader_crop(rng, draw_plate(rng, "us"))


def wall(seed: int) -> tuple[Picture, str]:
    drawn = draw_container_side(np.random.default_rng(seed), 40.0, "side")
    return drawn.image, drawn.text


@pytest.mark.parametrize("name", PARTS)
def test_a_picture_differs_by_what_is_left_out_and_says_the_same(name: str) -> None:
    differing = 0
    for seed in count():
        assert seed < SELDOM, f"{name}: drawn in {differing} of {seed} pictures"
        image, text = (wall if name in ON_CONTAINERS else plate_seen)(seed)
        with without(name):
            bare, again = (wall if name in ON_CONTAINERS else plate_seen)(seed)
        assert again == text
        differing += image.shape != bare.shape or bool((image != bare).any())
        if differing == 2:
            break


@pytest.mark.parametrize("name", sorted(ON_CONTAINERS))
def test_a_line_of_a_code_can_be_without_it_too(name: str) -> None:
    def differs(seed: int) -> bool:
        image = code_crop(np.random.default_rng(seed))[0]
        with without(name):
            bare = code_crop(np.random.default_rng(seed))[0]
        return image.shape != bare.shape or bool((image != bare).any())

    assert any(differs(seed) for seed in range(12))


def test_afterwards_everything_is_drawn_again() -> None:
    before = plate_seen(3)[0]
    with without(*PARTS):
        assert plate_seen(3)[0].shape != before.shape or (plate_seen(3)[0] != before).any()
    assert (plate_seen(3)[0] == before).all()


def test_what_is_unknown_is_refused() -> None:
    with pytest.raises(KeyError, match="snow"), without("snow"):
        pass
