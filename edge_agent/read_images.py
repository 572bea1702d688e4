"""`edge-agent read PATH...`: plates and container codes in photos, folders of photos and video files.

A photo gives one object `{"path", "plates", "containers"}`, each list best first. What could not be read gives
`{"path", "error"}` instead, never empty lists: "nothing there" is only said of a picture in which something could be
seen. A video gives one object for the whole clip, by the tracks of its vehicles as `of_clip` says, with `"frames"`, the
number of those in which something could be seen. With a folder to draw in, each photo is written there with what was
seen, and of a video each frame that shows something.
"""

from collections.abc import Iterable, Iterator, Sequence
from pathlib import Path
from typing import Any

from edge_agent.domain.counted import counted
from edge_agent.domain.errors import ImageUnreadable, NothingVisible, RecogniserBroken
from edge_agent.domain.observation import Box, ContainerCodeRead, PlateRead
from edge_agent.vision.drawing import Drawings
from edge_agent.vision.frame import Frame
from edge_agent.vision.pictures import PICTURES, is_video, read_picture, video_frames
from edge_agent.vision.recogniser import PlateSighting, Recogniser, Sighting
from edge_agent.vision.tracks import Report, Tracks
from edge_agent.vision.watchdog import is_dark

Answer = dict[str, Any]
ALONE_MIN = 0.9  # confidence from which a text of a video counts though only one look showed it


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
        sightings = _look(recogniser, Frame(image, str(path)))
        if drawings is not None:
            drawings.write(path, image, sightings)
    except ImageUnreadable as error:
        return {"path": str(path), "error": error.wrong}
    except RecogniserBroken as error:
        return {"path": str(path), "error": f"{path}: {error.wrong}"}
    return {"path": str(path), **_lists(sightings)}


def failed(answer: Answer) -> bool:
    """Whether the answer is an error: the command then ends with a status that is not zero."""
    return "error" in answer


def as_text(answer: Answer) -> str:
    """The answer for people: a line for the path, then one for each plate and each code."""
    if failed(answer):
        return f"{answer['path']}\n  could not be read: {answer['error']}"
    lines = [answer["path"] + (f" ({counted(answer['frames'], 'frame')} looked at)" if "frames" in answer else "")]
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


def of_clip(reports: Sequence[Report]) -> list[dict[str, Any]]:
    """What a clip shows, by the ends of its tracks: each text once, those that most looks read first.

    Each with `looks`, the number of looks that read it, and `first_s` and `last_s`, when its vehicle was seen, in
    seconds of the clip. A text of a single look counts from a confidence of 0.9.
    """
    found: dict[tuple[type, str], dict[str, Any]] = {}
    for r in sorted((r for r in reports if r.ended), key=lambda r: (-r.votes, -r.read.confidence)):
        if r.seen == 1 and r.read.confidence < ALONE_MIN:
            continue
        seen = {"looks": r.votes, "first_s": round(r.first_at, 3), "last_s": round(r.at, 3)}
        key = (type(r.read), r.read.text if isinstance(r.read, PlateRead) else r.read.code)
        if (known := found.get(key)) is None:
            found[key] = {**_as_object(r.read), **seen}
            continue
        known["looks"] += seen["looks"]
        known["first_s"], known["last_s"] = min(known["first_s"], r.first_at), max(known["last_s"], r.at)
    return sorted(found.values(), key=lambda one: -one["looks"])


def _read_video(path: Path, recogniser: Recogniser, drawings: Drawings | None) -> Answer:
    tracks, reports, frames = Tracks(), list[Report](), 0
    unseen: NothingVisible | None = None
    for frame in video_frames(path):
        try:
            sightings = _look(recogniser, frame)
        except NothingVisible as error:  # clips fade in from black
            unseen = error
            continue
        frames += 1
        reports += [r for r in tracks.looked(sightings, frame.at, lambda _: ()) if r.ended]
        if drawings is not None and sightings:
            drawings.write(path, frame.image, sightings, frame.sequence)
    if unseen is not None and frames == 0:
        raise unseen
    found = of_clip([*reports, *tracks.close()])
    plates, containers = [one for one in found if "text" in one], [one for one in found if "code" in one]
    return {"path": str(path), "plates": plates, "containers": containers, "frames": frames}


def _look(recogniser: Recogniser, frame: Frame) -> Sequence[Sighting]:
    """What is in the frame. Raises NothingVisible where that is nothing because of the picture, not of the lane."""
    sightings = recogniser.look(frame)
    if not sightings and is_dark(frame.image):
        raise NothingVisible("the picture is black or shows one even tone: nothing can be seen in it")
    return sightings


def _lists(sightings: Sequence[Sighting]) -> Answer:
    return {
        "plates": [_as_object(s.read) for s in sightings if isinstance(s, PlateSighting)],
        "containers": [_as_object(s.read) for s in sightings if not isinstance(s, PlateSighting)],
    }


def _as_object(read: PlateRead | ContainerCodeRead) -> dict[str, Any]:
    if isinstance(read, PlateRead):
        own: dict[str, Any] = {"text": read.text, "suggested": read.suggested}
    else:
        own = {"code": read.code, "check_digit_ok": read.check_digit_ok, "size_type": read.size_type}
    return {**own, "confidence": read.confidence, "box": _box(read.box)}


def _box(box: Box) -> list[int]:
    return [box.x, box.y, box.w, box.h]


def _place(box: Sequence[int]) -> str:
    return f"{box[0]},{box[1]} ({box[2]}×{box[3]})"
