"""The container camera: the side of a truck as it passes before the portal."""

from math import log, pi

from PIL import Image, ImageChops, ImageDraw, ImageFilter

from hardware_sim.cameras import front, side
from hardware_sim.cameras.backgrounds import container_background, lamp
from hardware_sim.cameras.front import shade
from hardware_sim.cameras.geometry import WIDTH, Pinhole
from hardware_sim.cameras.light import shine
from hardware_sim.cameras.side import Side, draw_side
from hardware_sim.cameras.view import LaneView, Look, Shutter, Sprites
from hardware_sim.world.lane import Lane
from hardware_sim.world.outline import CONTAINER_HEIGHT_M, FLOOR_M, WHEEL_M, axles_of
from hardware_sim.world.passage import Passage
from hardware_sim.world.plates import Colour

_NEAR_M, _FAR_M = -1.25, 1.25  # the truck's sides
_DISTANCE_M = 8.0  # from the lens to the near side
_SMEAR_STEP = 1.4  # a smear is drawn as the nearest power of this, in pixels


class ContainerView(LaneView):
    """Across the lane, just before the portal, on the truck's right. The picture lies parallel to the side, which it
    shows at one scale; what lies behind the side is smaller, and seen from where the camera is."""

    CENTRE_M = -2.4
    ROAD_Y = 705  # where the near side's foot is
    CAMERA = Pinhole(
        (CENTRE_M, _NEAR_M - _DISTANCE_M, (ROAD_Y - 360) / side.PX_PER_M), pi / 2, 0.0, side.PX_PER_M * _DISTANCE_M
    )
    SHUTTER = Shutter(day=1 / 500, night=1 / 200)

    def __init__(self, lane: Lane, seed: int = 1) -> None:
        super().__init__(lane, f"{seed}/{lane.id}/container", container_background)
        self._sprites: Sprites[Side] = Sprites(draw_side)
        self._lamp = lamp()
        self._blurred: tuple[tuple[int, int], Image.Image, Image.Image] | None = None

    def draw(self, at: float) -> Image.Image | None:
        here = [p for p in reversed(self._lane.seen(at)) if self.in_sight(p, at)]
        if not here:
            return None
        look = self.look(at)
        frame = self._behind(look).copy()
        for passage in here:
            self._ends(frame, passage, at)
            self._place(frame, passage, at, look)
        if look.night:
            frame = self._by_night(frame)
        if look.night or look.rain:
            for passage in here:
                self._lamps(frame, passage, at, look)
        return self._finished(frame, at, look)

    def empty(self, at: float) -> Image.Image:
        look = self.look(at)
        behind = self._behind(look)
        return self._finished(self._by_night(behind) if look.night else behind, at, look)

    def in_sight(self, passage: Passage, at: float) -> bool:
        """Whether any of a truck can be seen; its far side is seen for longest."""
        position = passage.position(at)
        ahead = [self.CAMERA.project((x, y, 1.0))[0] for x in (position, position - passage.truck.length_m)
                 for y in (_NEAR_M, _FAR_M)]  # fmt: skip
        return max(ahead) > 0 and min(ahead) < WIDTH

    def _place(self, frame: Image.Image, passage: Passage, at: float, look: Look) -> None:
        sprite = self._sprites.of(passage.truck)
        right = round(self.CAMERA.project((passage.position(at), _NEAR_M, 0.0))[0])
        left, top = right - sprite.image.width, self.ROAD_Y - sprite.image.height
        seen = (max(0, -left), 0, min(sprite.image.width, WIDTH - left), sprite.image.height)
        if seen[0] >= seen[2]:
            return
        smear = abs(passage.speed(at)) * self.SHUTTER.open_s(look) * side.PX_PER_M
        image, mask = self._smeared(passage.truck.index, sprite, smear)
        frame.paste(image.crop(seen), (left + seen[0], top), mask.crop(seen))

    def _smeared(self, index: int, sprite: Side, smear: float) -> tuple[Image.Image, Image.Image]:
        """The drawing smeared by so many pixels, in steps; the last one is kept, since trucks mostly drive evenly."""
        step = round(log(max(smear, 0.5)) / log(_SMEAR_STEP))
        if step <= 0:
            return sprite.image, sprite.mask
        if self._blurred is None or self._blurred[0] != (index, step):
            blur = ImageFilter.BoxBlur((_SMEAR_STEP**step / 2, 0))
            self._blurred = (index, step), sprite.image.filter(blur), sprite.mask.filter(blur)
        return self._blurred[1:]

    def _ends(self, frame: Image.Image, passage: Passage, at: float) -> None:
        """What is seen behind the near side: the shadow, the far wheels, and the ends that face the camera."""
        truck, position = passage.truck, passage.position(at)
        draw = ImageDraw.Draw(frame)
        end = truck.container_from_m + truck.container_m

        def fill(points: list[tuple[float, float, float]], colour: Colour) -> None:
            draw.polygon(self.CAMERA.outline(points), fill=colour)

        def across(x: float, low: float, high: float, colour: Colour, *, faces_ahead: bool) -> None:
            """A wall across the truck, if its outside is towards the camera."""
            if (x < self.CENTRE_M) == faces_ahead:
                colour = shade(colour, 0.62)
                if truck.rain:
                    colour = (round(colour[0] * 0.6) + 40, round(colour[1] * 0.6) + 40, round(colour[2] * 0.6) + 40)
                fill([(x, _NEAR_M, high), (x, _FAR_M, high), (x, _FAR_M, low), (x, _NEAR_M, low)], colour)

        a, b = position - 0.1, position - end
        fill([(a, _NEAR_M, 0), (a, _FAR_M, 0), (b, _FAR_M, 0), (b, _NEAR_M, 0)], (34, 34, 35))
        for axle in axles_of(truck):
            corners = [(position - axle + WHEEL_M * x, _FAR_M - 0.3, z) for x, z in _ROUND]
            fill(corners, (18, 18, 19))
        fill([(a, _FAR_M - 0.5, FLOOR_M), (b, _FAR_M - 0.5, FLOOR_M), (b, _FAR_M - 0.5, 0.85), (a, _FAR_M - 0.5, 0.85)],
             (40, 41, 43))  # fmt: skip
        across(position, 0.45, 1.95, truck.paint, faces_ahead=True)
        across(position - 1.5, 1.95, 3.3, shade((70, 82, 94), 1.2), faces_ahead=True)
        across(position - 4.0, 0.75, 3.3, truck.paint, faces_ahead=False)
        for container, begin in truck.placed:
            high = FLOOR_M + CONTAINER_HEIGHT_M[container.size_type]
            across(position - begin, FLOOR_M, high, container.paint, faces_ahead=True)
            across(position - begin - container.length_m, FLOOR_M, high, container.paint, faces_ahead=False)

    def _lamps(self, frame: Image.Image, passage: Passage, at: float, look: Look) -> None:
        position = passage.position(at)
        beside, high = front.LAMPS_M
        for x, z, radius, colour in (
            (position, high, 0.55, (255, 246, 222)),
            (position - passage.truck.length_m, 0.95, 0.3, (230, 44, 36)),
        ):
            u, v = self.CAMERA.project((x, -beside, z))
            scale = side.PX_PER_M * (1.0 if look.night else 0.7)
            shine(frame, (u, v), radius * scale, 0.9 if look.night else 0.6, colour)
            if look.rain:
                shine(frame, (u, self.ROAD_Y), 0.5 * radius * scale, 0.4, colour, star=False, tall=2.0)
        if look.night:  # the beams on the road ahead
            u, v = self.CAMERA.project((position + 2.2, 0.0, 0.0))
            shine(frame, (u, v), 2.0 * side.PX_PER_M, 0.3, (255, 244, 214), star=False, tall=0.16)

    def _by_night(self, frame: Image.Image) -> Image.Image:
        return ImageChops.multiply(frame, self._lamp)


# A wheel's rim: along the lane in radii, and metres above the road.
_ROUND = [(1, 0.5), (0.7, 0.85), (0, 1.0), (-0.7, 0.85), (-1, 0.5), (-0.7, 0.15), (0, 0.0), (0.7, 0.15)]
