"""The rear camera: the doors of the last container, its seal and the trailer's plate, as a truck leaves."""

from math import radians

from PIL import Image

from hardware_sim.cameras import rear
from hardware_sim.cameras.backgrounds import rear_background
from hardware_sim.cameras.face_view import FaceView
from hardware_sim.cameras.geometry import NEAREST_M, Pinhole, Plane
from hardware_sim.cameras.light import shine
from hardware_sim.cameras.rear import Rear, draw_rear
from hardware_sim.cameras.view import Look, Sprites
from hardware_sim.world.lane import Lane
from hardware_sim.world.passage import Passage

_RIGHT, _DOWN = (0.0, -1.0, 0.0), (0.0, 0.0, -1.0)


class RearView(FaceView):
    """On a low pole beside the lane, before the portal; it looks after what has passed it. It reads the plate first,
    and the code on the doors once they are eleven metres away."""

    CAMERA = Pinhole((-8.0, -3.2, 0.8), radians(17.5), radians(5.7), 2300.0)

    def __init__(self, lane: Lane, seed: int = 1) -> None:
        super().__init__(lane, f"{seed}/{lane.id}/rear", rear_background)
        self._sprites: Sprites[Rear] = Sprites(draw_rear)

    def _nearest_last(self, here: list[Passage]) -> list[Passage]:
        return here[::-1]

    @staticmethod
    def doors(passage: Passage, at: float) -> Plane:
        """Where the last container's doors are."""
        truck = passage.truck
        behind = truck.container_from_m + truck.container_m
        top = rear.doors_top_m(truck)
        return Plane((passage.position(at) - behind, rear.WIDTH_M / 2, top), _RIGHT, _DOWN)

    @staticmethod
    def tail(passage: Passage, at: float) -> Plane:
        """Where the chassis' end is, with lamps and plate."""
        truck = passage.truck
        behind = max(truck.length_m, truck.container_from_m + truck.container_m)
        return Plane((passage.position(at) - behind, rear.WIDTH_M / 2, rear.TAIL_TOP_M), _RIGHT, _DOWN)

    def _faces(self, frame: Image.Image, passage: Passage, at: float, look: Look, *, detail: bool) -> None:
        drawn = self._sprites.of(passage.truck)
        self._paste(frame, passage, at, look, self.doors(passage, at), drawn.doors, detail=detail)
        self._paste(frame, passage, at, look, self.tail(passage, at), drawn.tail, detail=detail)

    def _lamps(self, frame: Image.Image, passage: Passage, at: float, look: Look) -> None:
        if not look.night and not look.rain:
            return
        tail = self.tail(passage, at)
        for middle in (0.22, rear.WIDTH_M - 0.22):
            lamp = tail.point(middle, rear.TAIL_TOP_M - rear.LAMP_M)
            if self.CAMERA.depth(lamp) < 4 * NEAREST_M:
                continue
            radius = (0.5 if look.night else 0.3) * self.CAMERA.focal_px / self.CAMERA.depth(lamp)
            colour = (255, 255, 255) if look.night else (240, 60, 48)
            shine(frame, self.CAMERA.project(lamp), radius, 0.7, colour)
            if look.rain:
                u, v = self.CAMERA.project((lamp[0], lamp[1], 0.0))
                shine(frame, (u, v + 0.5 * radius), 0.4 * radius, 0.4, colour, star=False, tall=3.0)
