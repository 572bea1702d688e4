import numpy as np

from edge_agent.vision.frame import Image
from edge_agent.vision.motion import MotionGate


def lane(vehicle_x: int | None = None, light: int = 0, seed: int = 0) -> Image:
    rng = np.random.default_rng(seed)
    image = np.full((360, 640, 3), 100 + light, np.int16)
    if vehicle_x is not None:
        image[150:300, vehicle_x : vehicle_x + 150] = 210
    return np.clip(image + rng.normal(0, 6, image.shape), 0, 255).astype(np.uint8)


def test_the_first_frame_is_looked_at_then_an_empty_lane_is_not() -> None:
    gate = MotionGate()
    assert gate.moved(lane(seed=1))
    assert not any(gate.moved(lane(seed=s)) for s in range(2, 20))


def test_a_vehicle_moves_the_gate_and_becomes_background_when_parked() -> None:
    gate = MotionGate()
    gate.moved(lane())
    assert all(gate.moved(lane(x, seed=x)) for x in range(0, 400, 40))
    parked = [gate.moved(lane(400, seed=s)) for s in range(60)]
    assert parked[0]
    assert not any(parked[-10:])


def test_a_change_of_light_is_no_motion() -> None:
    gate = MotionGate()
    gate.moved(lane())
    assert not any(gate.moved(lane(light=light, seed=light)) for light in (10, 30, 60))


def test_another_picture_size_is_no_fault() -> None:
    gate = MotionGate()
    gate.moved(lane())
    gate.moved(np.full((1080, 1920, 3), 100, np.uint8))
