"""A camera beside the lane that sees the front or the rear of a truck, and the side that leads there."""

from PIL import Image, ImageDraw

from hardware_sim.cameras.face import Face, paste_face
from hardware_sim.cameras.front import shade
from hardware_sim.cameras.geometry import HEIGHT, WIDTH, Pinhole, Plane
from hardware_sim.cameras.view import LaneView, Look, Shutter
from hardware_sim.world.outline import CONTAINER_HEIGHT_M, FLOOR_M, WHEEL_M, axles_of
from hardware_sim.world.passage import Passage
from hardware_sim.world.plates import Colour
from hardware_sim.world.truck import Truck

HALF_WIDTH_M, CONTAINER_HALF_M = 1.25, 1.22  # of the tractor, and of containers (ISO 668) with their chassis
_SIDE_LIGHT = {False: 0.72, True: 0.14}


class FaceView(LaneView):
    """Where the camera is, and what is drawn there, its kinds say. By night it is an infrared one: grey."""

    CAMERA: Pinhole
    SHUTTER = Shutter(day=1 / 1000, night=1 / 500)

    def draw(self, at: float) -> Image.Image | None:
        here = [p for p in reversed(self._lane.seen(at)) if self.in_sight(p, at)]  # the nearest last
        if not here:
            return None
        look = self.look(at)
        here = self._nearest_last(here)
        large = self._behind(look).copy()
        self._side(large, here[0], at)
        small = large.reduce(2)  # smooths the edges of the side that is most in view
        for passage in here:
            if passage is not here[0]:
                self._side(small, passage, at)
            self._faces(small, passage, at, look, detail=False)
        frame = small.resize((WIDTH, HEIGHT), Image.Resampling.BILINEAR)
        for passage in here:
            self._faces(frame, passage, at, look, detail=True)
            self._lamps(frame, passage, at, look)
        return self._finished(frame, at, look)

    def in_sight(self, passage: Passage, at: float) -> bool:
        """Whether any of a truck can be seen."""
        front = passage.position(at)
        rear = front - passage.truck.length_m
        seen = [
            corner
            for y in (-HALF_WIDTH_M, HALF_WIDTH_M)
            for corner in self.CAMERA.outline([(rear, y, 0.0), (front, y, 0.0), (front, y, 4.0), (rear, y, 4.0)])
        ]
        if not seen:
            return False
        us, vs = [u for u, _ in seen], [v for _, v in seen]
        return min(us) < WIDTH and max(us) > 0 and min(vs) < HEIGHT and max(vs) > 0

    def _nearest_last(self, here: list[Passage]) -> list[Passage]:
        return here

    def _faces(self, frame: Image.Image, passage: Passage, at: float, look: Look, *, detail: bool) -> None:
        raise NotImplementedError

    def _lamps(self, frame: Image.Image, passage: Passage, at: float, look: Look) -> None:
        raise NotImplementedError

    def _way(self, passage: Passage, at: float, look: Look) -> float:
        """Metres that the truck goes while the shutter is open."""
        return passage.speed(at) * self.SHUTTER.open_s(look)

    def _paste(
        self, frame: Image.Image, passage: Passage, at: float, look: Look, plane: Plane, face: Face, *, detail: bool
    ) -> None:
        paste_face(frame, self.CAMERA, plane, face, self._way(passage, at, look), detail=detail)

    def _side(self, frame: Image.Image, passage: Passage, at: float) -> None:
        """The side that faces the camera: cab, gap, containers, the chassis and its wheels."""
        truck, front = passage.truck, passage.position(at)
        draw, light = ImageDraw.Draw(frame), _SIDE_LIGHT[truck.night]
        towards = 1 if self.CAMERA.at[1] > 0 else -1

        def wall(begin: float, end: float, low: float, high: float, colour: Colour, factor: float = 1.0) -> None:
            """Metres behind the front, and above the road."""
            a, b = front - begin, front - end
            y = towards * (HALF_WIDTH_M if end <= truck.container_from_m else CONTAINER_HALF_M)
            points = [(a, y, high), (b, y, high), (b, y, low), (a, y, low)]
            seen = self.CAMERA.outline(points, frame.width / WIDTH)
            if len(seen) >= 3:
                lit = _lit(colour, light * factor, truck)
                draw.polygon(seen, fill=lit[0] if frame.mode == "L" else lit)

        end = truck.container_from_m + truck.container_m
        wall(0.2, end, 0.0, 0.85, (26, 26, 27))  # what is under the truck lies in its shadow
        wall(0.3, max(end, truck.length_m), 0.85, FLOOR_M, (58, 58, 60))
        for axle in axles_of(truck):
            wall(axle - 0.8 * WHEEL_M, axle + 0.8 * WHEEL_M, 0.02, 2 * WHEEL_M, (36, 36, 38))
            wall(axle - 0.4 * WHEEL_M, axle + 0.4 * WHEEL_M, 0.6 * WHEEL_M, 1.4 * WHEEL_M, (120, 122, 126))
        wall(0.0, 1.5, 0.75, 1.95, truck.paint, 0.95)
        wall(1.4, 4.0, 0.75, 3.3, truck.paint)
        wall(1.75, 2.5, 2.1, 2.95, (52, 64, 76))
        for container, begin in truck.placed:
            high = FLOOR_M + CONTAINER_HEIGHT_M[container.size_type]
            wall(begin, begin + container.length_m, FLOOR_M, high, container.paint)
            for fold in range(round(container.length_m / 0.56)):
                folded = begin + 0.1 + fold * 0.56
                wall(folded, min(folded + 0.2, begin + container.length_m), FLOOR_M + 0.12, high - 0.1,
                     container.paint, 0.86)  # fmt: skip


def _lit(colour: Colour, light: float, truck: Truck) -> Colour:
    if truck.night:
        colour = (sum(colour) // 3,) * 3
    r, g, b = shade(colour, light)
    if not truck.rain:
        return r, g, b
    haze = 9 if truck.night else 40
    return round(r * 0.6) + haze, round(g * 0.6) + haze, round(b * 0.6) + haze
