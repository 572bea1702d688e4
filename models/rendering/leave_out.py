"""Drawing without one of the things that make a drawing look real, to see what it is worth.

What is left out is drawn all the same, on a copy that is thrown away: the same seed throws the same dice, so that two
pictures differ by that thing alone. `python -m models.plate_code_reader.train.ablate` trains so.
"""

from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager
from dataclasses import replace
from types import ModuleType
from typing import Any

import numpy as np

from models.rendering import codes, containers, crops, plates, wear

Draw = Callable[..., Any]


def _as_it_was(draw: Draw) -> Draw:
    """The picture, the second argument, stays as it is, whether it is changed in place or handed back."""

    def left_out(rng: Any, picture: Any, *rest: Any, **more: Any) -> Any:
        draw(rng, picture.copy(), *rest, **more)
        return picture

    return left_out


def _flat(draw: Draw) -> Draw:
    """Sheets stay flat: picture and quads as they were."""

    def left_out(rng: Any, picture: Any, quads: Any, depth: float) -> Any:
        draw(rng, picture, quads, depth)
        return picture, quads

    return left_out


def _unframed(draw: Draw) -> Draw:
    def left_out(rng: Any, picture: Any) -> Any:
        draw(rng, picture)
        return picture, 0, 0

    return left_out


def _frontal(draw: Draw) -> Draw:
    """An object seen from the front: its corners without yaw, pitch, roll and shear."""

    def left_out(rng: Any, width: float, height: float, tilt: float) -> Any:
        draw(rng, width, height, tilt)
        x, y = np.array([-0.5, 0.5, 0.5, -0.5]) * width, np.array([-0.5, -0.5, 0.5, 0.5]) * height
        return np.stack([x, y], 1).astype(np.float32)

    return left_out


def _unboxed(draw: Draw) -> Draw:
    def left_out(*how: Any, **more: Any) -> Any:
        return replace(draw(*how, **more), box=0.0)

    return left_out


def _smooth(draw: Draw) -> Draw:
    return lambda wall, relief: wall


Part = tuple[ModuleType, str, Callable[[Draw], Draw]]
PARTS: dict[str, tuple[Part, ...]] = {
    "decals": ((plates, "emblem", _as_it_was),),
    "names and legends": ((plates, "put_word", _as_it_was),),
    "frames": ((plates, "frame", _unframed),),
    "stickers": ((plates, "_stickers", _as_it_was),),
    "bent plates": ((crops, "bend", _flat),),
    "tilt": ((crops, "tilted", _frontal),),
    "something before the plate": ((crops, "hidden", _as_it_was),),
    "dirt": ((wear, "soil", _as_it_was),),
    "night infrared": ((wear, "infrared", _as_it_was),),
    "light": ((wear, "light", _as_it_was), (codes, "light", _as_it_was)),
    "blur": ((wear, "lens", _as_it_was), (codes, "lens", _as_it_was)),
    "noise": ((wear, "sensor", _as_it_was), (codes, "sensor", _as_it_was)),
    "JPEG": ((wear, "file", _as_it_was), (codes, "as_file", _as_it_was)),
    "corrugation": ((codes, "corrugated", _smooth), (containers, "corrugated", _smooth)),
    "rust": ((codes, "corrode", _as_it_was), (containers, "corrode", _as_it_was)),
    "boxed check digits": ((codes, "code_style", _unboxed), (containers, "code_style", _unboxed)),
}


@contextmanager
def without(*names: str) -> Iterator[None]:
    """While it lasts nothing of these is drawn. Raises KeyError for a name that PARTS does not have."""
    with ExitStack() as stack:
        for name in names:
            for module, attribute, left_out in PARTS[name]:
                draw = getattr(module, attribute)
                stack.callback(setattr, module, attribute, draw)
                setattr(module, attribute, left_out(draw))
        yield
