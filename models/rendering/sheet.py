"""A contact sheet of renderings: `python -m models.rendering.sheet --kind plates OUT.png`."""

import argparse
from collections.abc import Callable
from pathlib import Path

import cv2
import numpy as np

from models.rendering.codes import code_crop
from models.rendering.containers import draw_container_side
from models.rendering.crops import reader_crop
from models.rendering.drawn import Colour, Picture, Quad
from models.rendering.plates import draw_plate
from models.rendering.scenes import scene

Make = Callable[[np.random.Generator, str | None], tuple[Picture, str]]


def _plate(rng: np.random.Generator, region: str | None) -> tuple[Picture, str]:
    drawn = draw_plate(rng, region)
    return drawn.image, drawn.text


def _crop(rng: np.random.Generator, region: str | None) -> tuple[Picture, str]:
    return reader_crop(rng, draw_plate(rng, region))


def _outlined(image: Picture, quads: list[tuple[Quad, Colour]]) -> Picture:
    out = image.copy()
    for quad, colour in quads:
        cv2.polylines(out, [quad.round().astype(np.int32)], True, colour, 2, cv2.LINE_AA)
    return out


def _container(rng: np.random.Generator, region: str | None) -> tuple[Picture, str]:
    drawn = draw_container_side(rng)
    return _outlined(drawn.image, [(line.quad, (0, 255, 255)) for line in drawn.lines]), drawn.text


def _code(rng: np.random.Generator, region: str | None) -> tuple[Picture, str]:
    return code_crop(rng)


def _scene(rng: np.random.Generator, region: str | None) -> tuple[Picture, str]:
    image, boxes = scene(rng)
    quads = [(quad, (0, 255, 255) if kind == "plate" else (0, 255, 0)) for quad, kind, _ in boxes]
    return _outlined(image, quads), " ".join(text for _, _, text in boxes)


KINDS: dict[str, Make] = {
    "plates": _plate,
    "crops": _crop,
    "containers": _container,
    "codes": _code,
    "scenes": _scene,
}
CELLS = {"containers": (480, 420), "scenes": (480, 480), "codes": (360, 80)}
"""Width and height of a cell where they are not 240 x 140."""


def sheet(kind: str, region: str | None, seed: int, columns: int, rows: int) -> Picture:
    """`columns` x `rows` renderings, each in a cell above its text."""
    wide, high = CELLS.get(kind, (240, 140))
    cells = []
    for i in range(columns * rows):
        picture, text = KINDS[kind](np.random.default_rng([seed, i]), region)
        cell = np.full((high, wide, 3), 60, np.uint8)
        scale = min((wide - 4) / picture.shape[1], (high - 24) / picture.shape[0])
        small = cv2.resize(picture, None, fx=scale, fy=scale, interpolation=cv2.INTER_AREA)
        cell[2 : 2 + small.shape[0], 2 : 2 + small.shape[1]] = small
        cv2.putText(cell, text, (4, high - 6), cv2.FONT_HERSHEY_SIMPLEX, 0.5, (255, 255, 255), 1, cv2.LINE_AA)
        cells.append(cell)
    return np.concatenate([np.concatenate(cells[i : i + columns], 1) for i in range(0, len(cells), columns)])


def main() -> None:
    """Draw the sheet into a PNG."""
    parser = argparse.ArgumentParser(
        prog="python -m models.rendering.sheet", description="a contact sheet of renderings"
    )
    parser.add_argument(
        "--kind",
        choices=sorted(KINDS),
        default="plates",
        help="plates, containers: frontal; crops, codes: as the reader gets them; scenes: as the finder gets them",
    )
    parser.add_argument("--region", help='such as "us-TX", or a part of the world: us, ca, mx, eu, br')
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--columns", type=int, default=8)
    parser.add_argument("--rows", type=int, default=10)
    parser.add_argument("output", type=Path)
    options = parser.parse_args()
    if not cv2.imwrite(
        str(options.output), sheet(options.kind, options.region, options.seed, options.columns, options.rows)
    ):
        raise SystemExit(f"cannot write {options.output}")


if __name__ == "__main__":
    main()
