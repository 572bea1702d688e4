"""What one camera makes of its frames: where it looks, what of it is new to say, and which pictures are kept.

frame ──► region ──► recogniser ──► role ──► tracks ──► readings
                                               └─► faces blurred, JPEG: for the best sighting of a text only
"""

from collections.abc import Sequence
from dataclasses import replace

import cv2

from edge_agent.domain.errors import RecogniserBroken
from edge_agent.domain.evidence import Evidence, EvidenceKind
from edge_agent.domain.observation import Box, Reading
from edge_agent.vision.alike import overlap
from edge_agent.vision.camera_settings import CameraSettings, Region
from edge_agent.vision.faces import FaceFinder, hide
from edge_agent.vision.frame import Frame, Image
from edge_agent.vision.recogniser import ContainerCodeSighting, PlateSighting, Recogniser, Sighting
from edge_agent.vision.tracks import MAX_FRAMES, Report, Tracks

JPEG_QUALITY = 88
JPEG = "image/jpeg"
WAITING_PIXELS = 100_000_000  # of frames whose pictures are not made yet: 300 MB a camera


class Sight:
    """Of one camera, whose frames it is given in order. One thread at a time."""

    def __init__(self, settings: CameraSettings, recogniser: Recogniser, faces: FaceFinder | None) -> None:
        """`faces` may be None where the settings say `blur_faces: false`, and nowhere else."""
        if settings.blur_faces and faces is None:
            raise TypeError("a camera whose faces are to be blurred needs a FaceFinder")
        self._settings = settings
        self._recogniser = recogniser
        self._faces = faces if settings.blur_faces else None
        self._tracks = Tracks()

    def look(self, frame: Frame) -> list[Reading]:
        """What there is to say after this frame. Raises RecogniserBroken if it could not look.

        A reading's `at` is when its plate or code was last seen; its evidence, the best read's frame and crop.
        """
        sightings = self.sightings(frame)
        pictures = _Pictures(frame, self._faces, [s.read.box for s in sightings])
        waiting = max(1, min(MAX_FRAMES, WAITING_PIXELS // (frame.width * frame.height)))
        return _readings(self._tracks.looked(sightings, frame.at, pictures.of, waiting))

    def close(self) -> list[Reading]:
        """What is still to be said when no frame follows."""
        return _readings(self._tracks.close())

    def sightings(self, frame: Frame) -> list[Sighting]:
        """The plates and codes that the camera's role asks for, in pixels of the whole frame."""
        region = self._settings.region
        seen = self._recogniser.look(replace(frame, image=region_of(frame.image, region), role=self._settings.role))
        x, y = region_origin(frame.image, region)
        wanted = [s for s in seen if self._settings.role in ("both", _role_of(s))]
        return [_moved(s, x, y) for s in wanted]


class _Pictures:
    """The evidence of one frame's sightings; the frame is blurred and encoded once, and only if it is asked for."""

    def __init__(self, frame: Frame, faces: FaceFinder | None, boxes: Sequence[Box]) -> None:
        self._frame = frame
        self._finder = faces
        self._boxes = boxes
        self._faces: list[Box] = []
        self._hidden = frame.image
        self._whole: Evidence | None = None

    def of(self, sighting: Sighting) -> tuple[Evidence, ...]:
        if self._whole is None:
            if self._finder is not None:
                self._faces = self._finder.faces(self._frame.image)
                self._hidden = hide(self._frame.image, self._faces, self._boxes)
            self._whole = Evidence(EvidenceKind.FRAME, JPEG, jpeg(self._hidden))
        plate = isinstance(sighting, PlateSighting)
        kind = EvidenceKind.PLATE_CROP if plate else EvidenceKind.CONTAINER_CODE_CROP
        return self._whole, Evidence(kind, JPEG, jpeg(self._crop(sighting)))

    def _crop(self, sighting: Sighting) -> Image:
        """The recogniser's crop, which is not blurred; near a face, the box of the blurred frame instead."""
        box = sighting.read.box
        near = Box(box.x - box.h, box.y - box.h, box.w + 2 * box.h, 3 * box.h)
        if not any(overlap(face, near) for face in self._faces):
            return sighting.crop
        return self._hidden[max(0, box.y) : box.y + box.h, max(0, box.x) : box.x + box.w]


def region_origin(image: Image, region: Region) -> tuple[int, int]:
    """The region's top left corner, in pixels of the picture."""
    return (
        min(round(region.x * image.shape[1]), image.shape[1] - 1),
        min(round(region.y * image.shape[0]), image.shape[0] - 1),
    )


def region_of(image: Image, region: Region) -> Image:
    """The part of the picture that the settings ask to look at; never empty."""
    x, y = region_origin(image, region)
    return image[
        y : y + max(1, round(region.h * image.shape[0])),
        x : x + max(1, round(region.w * image.shape[1])),
    ]


def jpeg(image: Image) -> bytes:
    """Raises RecogniserBroken if the picture cannot be encoded: evidence is never left out silently."""
    ok, data = cv2.imencode(".jpg", image, [cv2.IMWRITE_JPEG_QUALITY, JPEG_QUALITY])
    if not ok:
        raise RecogniserBroken(f"a picture of {image.shape} cannot be kept as JPEG")
    return data.tobytes()


def _readings(reports: Sequence[Report]) -> list[Reading]:
    return [Reading(r.read, r.at, evidence=r.evidence) for r in reports if r.read.looks]


def _moved(sighting: Sighting, x: int, y: int) -> Sighting:
    box = replace(sighting.read.box, x=sighting.read.box.x + x, y=sighting.read.box.y + y)
    if isinstance(sighting, PlateSighting):
        return replace(sighting, read=replace(sighting.read, box=box))
    return replace(sighting, read=replace(sighting.read, box=box))


def _role_of(sighting: Sighting) -> str:
    return "container" if isinstance(sighting, ContainerCodeSighting) else "plate"
