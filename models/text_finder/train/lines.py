"""Labels every line of text in pictures, as two published finders agree on it, into a cache that the trainer reads.

    python -m models.text_finder.train.lines CACHE/l-photo V4.onnx V6.onnx --photos ../shared/data/plates/dashcam
    python -m models.text_finder.train.lines CACHE/l-clip V4.onnx V6.onnx --clip ../shared/data/video/toll-booth.mp4
    python -m models.text_finder.train.lines CACHE/l-close V4.onnx V6.onnx --scenes CACHE/close --limit 200

V4.onnx is `rapidocr_onnxruntime/models/ch_PP-OCRv4_det_infer.onnx` of rapidocr-onnxruntime 1.4.4, V6.onnx the finder of
models/text_finder_ppocrv6 (both Apache-2.0). What both find is a line (channel 1); what one alone finds counts neither
way. A picture's plates, and the drawn lines of its codes, stay as they are known.
"""

import argparse
from collections.abc import Iterator, Sequence
from pathlib import Path

import cv2
import numpy as np
import onnxruntime

from edge_agent.vision.text_finder import finder_input, text_regions
from models.rendering.drawn import Picture, Quad
from models.text_finder.train.data import Labelled
from models.text_finder.train.evaluate import area, common
from models.text_finder.train.network import CODE, PLATE
from models.text_finder.train.photos import Dashcam, Part
from models.text_finder.train.render import CHUNK, QUALITY, UNSURE, cached, close_chunk
from models.text_finder.train.sources import opened

LONG_SIDE, LONG_SIDE_SMALL = 1280, 960  # at which both finders look, and in pictures smaller than the first
AGREE_MIN = 0.5  # of what two boxes cover, in both
KNOWN_MIN = 0.3  # of the smaller box: it is the same line as one that is known already
CLIP_EVERY = 15  # frames


class Finders:
    """Both published finders."""

    def __init__(self, paths: Sequence[Path], threads: int) -> None:
        options = onnxruntime.SessionOptions()
        options.intra_op_num_threads = threads
        self._sessions = [
            onnxruntime.InferenceSession(str(path), options, providers=["CPUExecutionProvider"]) for path in paths
        ]

    def lines(self, image: Picture) -> tuple[list[Quad], list[Quad]]:
        """Lines that both find, in the corners of the second; and those that one alone finds."""
        height, width = image.shape[:2]
        x = finder_input(image, LONG_SIDE if max(height, width) >= LONG_SIDE else LONG_SIDE_SMALL, 1.5)
        first, second = (self._find(session, x, height, width) for session in self._sessions)
        agreed = [any(_overlap(quad, other) >= AGREE_MIN for other in first) for quad in second]
        both = [quad for quad, yes in zip(second, agreed, strict=True) if yes]
        alone = [quad for quad, yes in zip(second, agreed, strict=True) if not yes]
        return both, alone + [quad for quad in first if all(_overlap(quad, other) < AGREE_MIN for other in both)]

    @staticmethod
    def _find(session: onnxruntime.InferenceSession, x: object, height: int, width: int) -> list[Quad]:
        probability = session.run(None, {session.get_inputs()[0].name: x})[0][0, 0]
        return [region.quad for region in text_regions(probability, height, width)]


def _overlap(a: Quad, b: Quad) -> float:
    shared = common(a, b)
    return shared / (area(a) + area(b) - shared)


def labelled(picture: Labelled, finders: Finders) -> Labelled:
    """The picture with its lines of text; a line that crosses a known one is that line, or a poor part of it."""
    both, alone = finders.lines(picture.image)
    known = [quad for channel, quad in picture.boxes if channel == CODE]

    def is_new(quad: Quad) -> bool:
        return all(common(quad, k) <= KNOWN_MIN * min(area(quad), area(k)) for k in known)

    boxes = [*picture.boxes, *((CODE, quad) for quad in both if is_new(quad))]
    return Labelled(picture.image, boxes, [*picture.unsure, *(quad for quad in alone if is_new(quad))])


def of_photos(folder: Path, part: Part) -> Iterator[Labelled]:
    dashcam = Dashcam(folder, part)
    for n in np.random.default_rng(1).permutation(len(dashcam)):  # drives mixed, so that a part of them is like all
        photo = dashcam.photo(int(n))
        yield Labelled(photo.image, [(PLATE, quad) for quad in photo.plates], photo.unsure)


def of_clip(path: Path) -> Iterator[Labelled]:
    """Some frames; whether their plates are plates is left open."""
    video = cv2.VideoCapture(str(path))
    if not video.isOpened():
        raise ValueError(f"{path} is no video that OpenCV can read")
    number = 0
    while video.grab():
        if number % CLIP_EVERY == 0:
            _, image = video.retrieve()
            yield Labelled(np.asarray(image, np.uint8), [])
        number += 1


def of_scenes(folder: Path) -> Iterator[Labelled]:
    for path, boxes in cached(folder):
        yield opened(path, boxes)


def write(folder: Path, pictures: Iterator[Labelled], finders: Finders, limit: int) -> None:
    """Chunks as those of drawn scenes; a chunk that is there already is not made again."""
    folder.mkdir(parents=True, exist_ok=True)
    chunk: dict[str, list[tuple[int, Quad]]] = {}
    for number, picture in enumerate(pictures):
        done = folder / f"{number // CHUNK * CHUNK:06d}.json"
        if number >= limit:
            break
        if not done.exists():
            found = labelled(picture, finders)
            name = f"{number:06d}.jpg"
            if not cv2.imwrite(str(folder / name), picture.image, [cv2.IMWRITE_JPEG_QUALITY, QUALITY]):
                raise OSError(f"cannot write {folder / name}")
            chunk[name] = [*found.boxes, *((UNSURE, quad) for quad in found.unsure)]
        if number % CHUNK == CHUNK - 1 and chunk:
            close_chunk(done, chunk)
            chunk = {}
    if chunk:
        close_chunk(folder / f"{int(min(chunk)[:-4]) // CHUNK * CHUNK:06d}.json", chunk)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("folder", type=Path)
    parser.add_argument("finders", type=Path, nargs=2)
    what = parser.add_mutually_exclusive_group(required=True)
    what.add_argument("--photos", type=Path)
    what.add_argument("--clip", type=Path)
    what.add_argument("--scenes", type=Path)
    parser.add_argument("--part", choices=("learn", "validate"), default="learn")
    parser.add_argument("--limit", type=int, default=10**9)
    parser.add_argument("--threads", type=int, default=1)
    a = parser.parse_args()
    pictures = of_photos(a.photos, a.part) if a.photos else of_clip(a.clip) if a.clip else of_scenes(a.scenes)
    write(a.folder, pictures, Finders(a.finders, a.threads), a.limit)


if __name__ == "__main__":
    main()
