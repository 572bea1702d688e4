"""The plate camera: the front of a truck as it comes out of the portal."""

from math import atan, cos, pi, radians, sin

from PIL import Image

from hardware_sim.cameras import front
from hardware_sim.cameras.backgrounds import plate_background
from hardware_sim.cameras.face_view import FaceView
from hardware_sim.cameras.front import Front, draw_front
from hardware_sim.cameras.geometry import NEAREST_M, WIDTH, Pinhole, Plane
from hardware_sim.cameras.light import shine
from hardware_sim.cameras.view import Look, Sprites
from hardware_sim.world.lane import Lane
from hardware_sim.world.passage import Passage

# A lamp's glow, metres around it: infrared cameras let little of it through, and rain scatters it.
_GLOW_M = {Look(True, False): 0.62, Look(True, True): 0.95, Look(False, True): 0.34}
_GLOW = {Look(True, False): 1.0, Look(True, True): 1.0, Look(False, True): 0.9}


class PlateView(FaceView):
    """On a low pole beside the lane, past the portal; it looks back at what comes out of it. The lens is long, as for
    reading plates: an American plate is some 130 to 230 pixels wide where trucks go slowly."""

    # What is 0.35 m below the camera at 9 m is halfway up the frame.
    CAMERA = Pinhole((12.5, 3.0, 0.9), pi + radians(19.5), -atan(0.35 / 9.0), 5200.0)

    def __init__(self, lane: Lane, seed: int = 1) -> None:
        super().__init__(lane, f"{seed}/{lane.id}/plate", plate_background)
        self._sprites: Sprites[Front] = Sprites(draw_front)

    def plane(self, passage: Passage, at: float) -> tuple[Plane, Front]:
        """Where a truck's front is. It hangs a little aslant, around its middle on the road."""
        drawn = self._sprites.of(passage.truck)
        c, s = cos(drawn.turned), sin(drawn.turned)
        right, down = (0.0, c, s), (0.0, s, -c)
        middle = (passage.position(at), 0.0, 0.0)
        corner = Plane(middle, right, down).point(-front.WIDTH_M / 2, -front.HEIGHT_M)
        return Plane(corner, right, down), drawn

    def _faces(self, frame: Image.Image, passage: Passage, at: float, look: Look, *, detail: bool) -> None:
        plane, drawn = self.plane(passage, at)
        self._paste(frame, passage, at, look, plane, drawn.face, detail=detail)

    def _lamps(self, frame: Image.Image, passage: Passage, at: float, look: Look) -> None:
        if look not in _GLOW:
            return
        beside, high = front.LAMPS_M
        for side in (-beside, beside):
            lamp = (passage.position(at), side, high)
            depth = self.CAMERA.depth(lamp)
            if depth < 8 * NEAREST_M:
                continue
            u, v = self.CAMERA.project(lamp)
            radius = _GLOW_M[look] * self.CAMERA.focal_px / depth
            if not -radius < u < WIDTH + radius:
                continue
            shine(frame, (u, v), radius, _GLOW[look])
            if look.rain:  # on the wet road before the truck
                foot = self.CAMERA.project((lamp[0], side, 0.0))
                shine(frame, (u, foot[1] + 0.5 * radius), 0.3 * radius, 0.5, star=False, tall=4.0)
