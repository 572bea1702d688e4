"""`edge-agent read PATH...`: plates and container codes in photos, folders of photos and video files.

A photo gives one object `{"path", "plates", "containers"}`, each list best first. What could not be read gives
`{"path", "error"}` instead, never empty lists: "nothing there" is only said of a picture that was looked at. A video
gives one object for the whole clip, merged over its frames as `merged_reads` says, with `"frames"`, the number looked
at. With a folder to draw in, each photo is written there with what was seen, and of a video each frame that shows
something.
"""

from collections.abc import Iterable, Iterator, Sequence
from pathlib import Path
from typing import Any

from edge_agent.domain.errors import ImageUnreadable, RecogniserBroken
from edge_agent.domain.observation import Box
from edge_agent.vision.drawing import Drawings
from edge_agent.vision.frame import Frame
from edge_agent.vision.pictures import PICTURES, is_video, read_picture, video_frames
from edge_agent.vision.recogniser import PlateSighting, Recogniser, Sighting

Answer = dict[str, Any]
ALONE_MIN = 0.9  # confidence from which a text of a video counts though only one frame showed it


def read_paths(paths: Iterable[Path], recogniser: Recogniser, drawings: Drawings | None = None) -> Iterator[Answer]:
    """One answer for each photo and each video, in order; folders give theirs by name, also from folders in them.

    A folder's other files are passed over; a folder without any picture or video is an error. Raises PictureNotWritten
    if a drawing cannot be kept.
    """
    for path in paths:
        if not path.is_dir():
            yield read_path(path, recogniser, drawings)
            continue
        files = sorted(p for p in path.rglob("*") if p.suffix.lower() in PICTURES or is_video(p))
        if not files:
            yield {"path": str(path), "error": f"{path} holds no picture and no video"}
        for file in files:
            yield read_path(file, recogniser, drawings)


def read_path(path: Path, recogniser: Recogniser, drawings: Drawings | None = None) -> Answer:
    """The answer for one photo or video; an error is part of it."""
    try:
        if is_video(path):
            return _read_video(path, recogniser, drawings)
        image = read_picture(path)
        sightings = recogniser.look(Frame(image, str(path)))
    except ImageUnreadable as error:
        return {"path": str(path), "error": error.wrong}
    except RecogniserBroken as error:
        return {"path": str(path), "error": f"{path}: {error.wrong}"}
    if drawings is not None:
        drawings.write(path, image, sightings)
    return {"path": str(path), **_lists(sightings)}


def failed(answer: Answer) -> bool:
    """Whether the answer is an error: the command then ends with a status that is not zero."""
    return "error" in answer


def as_text(answer: Answer) -> str:
    """The answer for people: a line for the path, then one for each plate and each code."""
    if failed(answer):
        return f"{answer['path']}\n  could not be read: {answer['error']}"
    lines = [answer["path"] + (f" ({answer['frames']} frames looked at)" if "frames" in answer else "")]
    for plate in answer["plates"]:
        other = f", in a usual series {plate['suggested']}" if plate["suggested"] else ""
        lines.append(f"  plate      {plate['text']:<12} {plate['confidence']:4.0%}  at {_place(plate['box'])}{other}")
    for code in answer["containers"]:
        check = "check digit right" if code["check_digit_ok"] else "check digit wrong or not seen"
        size = f", size-type {code['size_type']}" if code["size_type"] else ""
        lines.append(
            f"  container  {code['code']:<12} {code['confidence']:4.0%}  at {_place(code['box'])}, {check}{size}"
        )
    if len(lines) == 1:
        lines.append("  no plate and no container code seen")
    return "\n".join(lines)


def merged_reads(frames: Sequence[Sequence[Sighting]]) -> list[Sighting]:
    """What a clip shows: of each text the read with the highest confidence, texts that most frames show first.

    A text of a single frame counts from a confidence of 0.9. A text that differs in one character from one that more
    frames show, is taken for a misread of that one and left out.
    """
    reads: dict[tuple[bool, str], list[Sighting]] = {}
    for sightings in frames:
        for s in sightings:
            reads.setdefault((isinstance(s, PlateSighting), _text(s)), []).append(s)
    ordered = sorted(reads.items(), key=lambda item: (-len(item[1]), -max(s.read.confidence for s in item[1])))
    kept: list[tuple[tuple[bool, str], Sighting]] = []
    for key, sightings in ordered:
        best = max(sightings, key=lambda s: s.read.confidence)
        if len(sightings) == 1 and best.read.confidence < ALONE_MIN:
            continue
        if not any(key[0] == k[0] and _within_one(key[1], k[1]) for k, _ in kept):
            kept.append((key, best))
    return [s for _, s in kept]


def _read_video(path: Path, recogniser: Recogniser, drawings: Drawings | None) -> Answer:
    frames = []
    for frame in video_frames(path):
        frames.append(recogniser.look(frame))
        if drawings is not None and frames[-1]:
            drawings.write(path, frame.image, frames[-1], frame.sequence)
    return {"path": str(path), **_lists(merged_reads(frames)), "frames": len(frames)}


def _lists(sightings: Sequence[Sighting]) -> Answer:
    plates, containers = [], []
    for s in sightings:
        if isinstance(s, PlateSighting):
            plates.append(
                {
                    "text": s.read.text,
                    "suggested": s.read.suggested,
                    "confidence": s.read.confidence,
                    "box": _box(s.read.box),
                }
            )
        else:
            containers.append({
                "code": s.read.code,
                "check_digit_ok": s.read.check_digit_ok,
                "size_type": s.read.size_type,
                "confidence": s.read.confidence,
                "box": _box(s.read.box),
            })  # fmt: skip
    return {"plates": plates, "containers": containers}


def _text(sighting: Sighting) -> str:
    return sighting.read.text if isinstance(sighting, PlateSighting) else sighting.read.code


def _within_one(a: str, b: str) -> bool:
    """Whether one character put in, left out or changed makes `a` into `b`."""
    if abs(len(a) - len(b)) > 1:
        return False
    start = 0
    while start < min(len(a), len(b)) and a[start] == b[start]:
        start += 1
    end = 0
    while end < min(len(a), len(b)) - start and a[-1 - end] == b[-1 - end]:
        end += 1
    return max(len(a), len(b)) - start - end <= 1


def _box(box: Box) -> list[int]:
    return [box.x, box.y, box.w, box.h]


def _place(box: Sequence[int]) -> str:
    return f"{box[0]},{box[1]} ({box[2]}×{box[3]})"
