"""Draws plates and container codes into views and keeps what the agent itself would cut out of them.

    python -m models.plate_code_reader.train.found CACHE found-us=8000 found-br=4000 found-columns=3000 \\
        --photos ../shared/data/plates/dashcam --seed 11

A source is `found-GROUP` (us, ca, mx, eu, br), `found-columns` or `found-rows`; `val-` before keeps it from training.
Plates are set into photos of training (drawn streets without --photos) and found by the shipped finder, at the sizes
at which the agent looks, and outlined by the shipped outliner; of each plate two of the agent's crops are kept. Every
sixth is found as the upright box around a plate, as a person marks it. Codes are found as lines; a column is cut into
cells in each of the agent's ways, all with its text.
"""

import argparse
from functools import lru_cache
from pathlib import Path

import cv2
import numpy as np

from edge_agent.vision.columns import strip_lines, strips
from edge_agent.vision.line_finder import LineFinder
from edge_agent.vision.plate_code_finder import PlateCodeFinder, moved_out
from edge_agent.vision.plate_code_reader import PLATE_WIDTH
from edge_agent.vision.plate_crops import crops_of_one_row, crops_of_two_rows, first_crop, part_alone
from edge_agent.vision.plate_outliner import PlateOutliner, common_share
from edge_agent.vision.text_finder import TextRegion, crop
from models.plate_code_reader.train.data import Picture, Rng, line_picture, save_shard
from models.plate_code_reader.train.render import shard_rng, write_shards
from models.rendering.containers import Face, draw_container_side
from models.rendering.crops import hidden
from models.rendering.drawn import Drawn, Quad, box_quad, chance, pick
from models.rendering.plates import draw_plate
from models.rendering.surfaces import paint_over
from models.rendering.views import street
from models.rendering.wear import bend, moved, place, tilted, wear
from models.text_finder.train.photos import Dashcam

Crop = tuple[Picture, int, str]
"""A picture as the reader gets it, the columns that it uses, and what is to be read."""

VIEW = (720, 960)  # pixels
PLATES, PLACES = 16, 12  # drawn for a view, and places tried for each
WIDTHS = (44.0, 300.0)  # pixels of a plate in the view
LOOKS = ((640, 0.55), (960, 0.25), (480, 0.2))  # pixels at which the finder looks, and how often
UPRIGHT = 0.15  # of the plates: the upright box around one is what was found
FIRST = 0.35  # of the crops: the first one, from which the agent reads most plates
EACH = 2  # crops of a plate
MEETS = 0.4  # of what two quadrilaterals cover together: they are the same thing
OUTLINED = 0.6  # the same, of a plate and its outline
CODE_SCALES = (90.0, 240.0)  # pixels per metre, so that letters are 9 to 24 pixels high
STRIP_MEETS = 0.3  # as MEETS, of a column: found strips are broader
LACKS, OVER, TRIM = 0.25, 0.9, 0.3  # of a column's width: what a strip may lack, have over, and loses at each end
WAYS = 0.5  # of the ways in which one column is cut


@lru_cache(maxsize=1)
def finders() -> tuple[PlateCodeFinder, LineFinder]:
    return PlateCodeFinder.open(1), LineFinder.open(1)


@lru_cache(maxsize=1)
def outliner() -> PlateOutliner:
    return PlateOutliner.open(1)


@lru_cache(maxsize=1)
def learning(folder: Path) -> Dashcam:
    return Dashcam(folder, "learn")


def background(rng: Rng, folder: Path | None) -> Picture:
    """A photo without its plates, or a drawn street; VIEW large."""
    height, width = VIEW
    if folder is None or chance(rng, 0.15):
        return np.clip(street(rng, height, width), 0, 255).astype(np.uint8)
    photos = learning(folder)
    photo = photos.photo(int(rng.integers(len(photos))))
    image = photo.image.copy()
    for quad in (*photo.plates, *photo.unsure):
        paint_over(image, quad)
    if chance(rng, 0.5):
        image = np.ascontiguousarray(image[:, ::-1])
    return cv2.resize(image, (width, height), interpolation=cv2.INTER_AREA).astype(np.uint8)


def plates_in_view(rng: Rng, group: str, folder: Path | None) -> tuple[Picture, list[tuple[Drawn, Quad]]]:
    """A view with plates that do not touch, each worn and lit in its own way, and their corners."""
    view = background(rng, folder)
    taken: list[tuple[int, int, int, int]] = []
    plates: list[tuple[Drawn, Quad]] = []
    for _ in range(PLATES):
        wide = float(np.exp(rng.uniform(*np.log(WIDTHS))))
        drawn = draw_plate(rng, group)
        corners = tilted(rng, wide, wide * drawn.image.shape[0] / drawn.image.shape[1], float(rng.uniform(0.2, 1.4)))
        room = 0.6 * wide * drawn.image.shape[0] / drawn.image.shape[1] + 4
        low = corners.min(0) - room
        size = np.ceil(corners.max(0) + room - low).astype(int)
        for _ in range(PLACES):
            x, y = (int(rng.integers(max(1, free))) for free in np.array(VIEW[::-1]) - size)
            box = (x, y, x + int(size[0]), y + int(size[1]))
            apart = all(box[0] >= c or a >= box[2] or box[1] >= d or b >= box[3] for a, b, c, d in taken)
            if apart and box[2] <= VIEW[1] and box[3] <= VIEW[0]:
                taken.append(box)
                window = view[box[1] : box[3], box[0] : box[2]]
                plates.append((drawn, hang(rng, window, drawn, corners - low) + np.array([x, y], np.float32)))
                break
    return view, plates


def hang(rng: Rng, window: Picture, drawn: Drawn, corners: Quad) -> Quad:
    """Sets a plate into a part of a view, which is worn with it and fades into the rest; where its corners came."""
    image = hidden(rng, drawn.image) if chance(rng, 0.03) else drawn.image
    if chance(rng, 0.2):
        image, _ = bend(rng, image, [], 0.025 * image.shape[0])
    ground = window.copy()
    place(image, corners.astype(np.float32), ground)
    worn = wear(rng, ground, float(rng.uniform(0.1, 0.9)))
    inside = np.zeros(window.shape[:2], np.float32)
    edge = max(2, round(0.08 * window.shape[0]))
    inside[edge:-edge, edge:-edge] = 1
    share = cv2.blur(inside, (2 * edge - 1, 2 * edge - 1))[..., None]
    window[:] = (worn * share + window * (1 - share)).astype(np.uint8)
    return corners.astype(np.float32)


def plate_crops(rng: Rng, group: str, folder: Path | None) -> list[Crop]:
    """Crops of the plates of one view that are found in it."""
    view, plates = plates_in_view(rng, group, folder)
    found = finders()[0].find(view, pick(rng, [s for s, _ in LOOKS], [p for _, p in LOOKS])).plates
    seen: list[tuple[TextRegion, Drawn, Quad]] = []
    for drawn, corners in plates:
        region = max(found, key=lambda r: common_share(r.quad, corners), default=None)
        if chance(rng, UPRIGHT):
            region = TextRegion(box_quad(*corners.min(0), *corners.max(0)), 1.0)
        if drawn.text and region is not None and common_share(region.quad, corners) >= MEETS:
            seen.append((region, drawn, corners))
    outlines = outliner().outlines(view, [region.quad for region, _, _ in seen])
    out: list[Crop] = []
    for (region, drawn, corners), outline in zip(seen, outlines, strict=True):
        if outline is not None and common_share(outline.quad, corners) < OUTLINED:
            continue  # what is cut out would not be the text
        out += [(picture, PLATE_WIDTH, drawn.text) for picture in chosen_crops(rng, view, drawn, region, outline)]
    return out


def chosen_crops(
    rng: Rng, view: Picture, drawn: Drawn, region: TextRegion, outline: TextRegion | None
) -> list[Picture]:
    """Some of those that the agent reads, those of two rows if the plate has two."""
    if len(drawn.lines) > 1:
        crops = crops_of_two_rows(view, region, outline)
        return [pick(rng, crops)] if crops else []
    crops = crops_of_one_row(view, region, outline, photo=True)
    first = [] if part_alone(region, outline) else [first_crop(view, region)]
    return [pick(rng, first if first and chance(rng, FIRST) else crops) for _ in range(EACH)]


def code_crops(rng: Rng, kind: str) -> list[Crop]:
    """Lines of one container's code that are found on its wall: the columns, or the rows."""
    faces: tuple[Face, ...] = ("side", "panel", "front") if kind == "columns" else ("door", "panel", "side")
    scale = float(np.exp(rng.uniform(*np.log(CODE_SCALES))))
    drawn = draw_container_side(rng, scale, pick(rng, faces), 1.0 if kind == "columns" else 0.0)
    wanted = [line for line in drawn.lines if line.vertical == (kind == "columns")]
    if not wanted or (kind == "columns" and len(wanted[0].text) < 11):
        return []
    high, wide = drawn.image.shape[:2]
    corners = tilted(rng, wide, high, float(rng.uniform(0.1, 0.8)))
    corners = (corners - corners.min(0)).astype(np.float32)
    view = np.full((*np.ceil(corners.max(0)[::-1]).astype(int), 3), int(rng.integers(20, 220)), np.uint8)
    matrix = place(drawn.image, corners, view)
    view = wear(rng, view, float(rng.uniform(0.1, 0.7)))
    found = finders()[1].find(view, pick(rng, (960, 640), (0.6, 0.4)))
    lines = [(line.text, moved(line.quad, matrix)) for line in wanted]
    return column_crops(rng, view, lines, found) if kind == "columns" else row_crops(view, lines, found)


def column_crops(rng: Rng, view: Picture, lines: list[tuple[str, Quad]], found: list[TextRegion]) -> list[Crop]:
    out = []
    for text, truth in lines:
        width = float(np.ptp(truth[:, 0]))
        for strip in strips(found):
            over = (truth[:2, 1].mean() - strip[:2, 1].mean()) / width, (strip[2:, 1] - truth[2:, 1]).mean() / width
            if len(text) < 11 or common_share(strip, truth) < STRIP_MEETS or min(over) < -LACKS or max(over) > OVER:
                continue
            trimmed = moved_out(strip, (0.0, -float(rng.uniform(0, TRIM)) * width))
            out += [(*line_picture(line), text) for line in strip_lines(view, trimmed) if chance(rng, WAYS)]
    return out


def row_crops(view: Picture, lines: list[tuple[str, Quad]], found: list[TextRegion]) -> list[Crop]:
    out = []
    for text, truth in lines:
        region = max(found, key=lambda r: common_share(r.quad, truth), default=None)
        if region is not None and common_share(region.quad, truth) >= 1.5 * MEETS:
            out.append((*line_picture(crop(view, region.quad)), text))
    return out


def found_shard(path: Path, source: str, count: int, seed: int, folder: Path | None) -> Path:
    """One shard, whose pictures depend on the seed, the shard's name and the shipped finders."""
    cv2.setNumThreads(1)
    rng = shard_rng(path, seed)
    kind = source.removeprefix("val-").removeprefix("found-")
    out: list[Crop] = []
    while len(out) < count:
        out += code_crops(rng, kind) if kind in ("columns", "rows") else plate_crops(rng, kind, folder)
    pictures, used, texts = zip(*out[:count], strict=True)
    save_shard(path, pictures, used, texts)
    return path


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("cache", type=Path)
    parser.add_argument("sources", nargs="+", metavar="SOURCE=COUNT")
    parser.add_argument("--seed", type=int, default=1)
    parser.add_argument("--photos", type=Path)
    parser.add_argument("--processes", type=int, default=2)
    a = parser.parse_args()
    write_shards(found_shard, a.cache, a.sources, a.processes, a.seed, a.photos)


if __name__ == "__main__":
    main()
