"""Trucks that drive through a simulated plate camera's view: one track each, with the plate that it carries."""

from math import inf

import numpy as np
import pytest

from edge_agent.domain.identifiers import normalise_plate
from edge_agent.domain.observation import PlateRead
from edge_agent.vision.camera_settings import CameraSettings
from edge_agent.vision.frame import Frame
from edge_agent.vision.plate_code import PlateCodeRecogniser
from edge_agent.vision.sight import Sight
from hardware_sim.cameras.scene import Noise, PlateView
from hardware_sim.scenario import load_scenario

TRUCKS = 3
LOOKS_PER_S = 1.0


@pytest.mark.proof
@pytest.mark.timeout(600)
def test_each_truck_is_one_vehicle() -> None:
    recogniser = PlateCodeRecogniser.open(2, look_again=False)  # as at a lane's camera
    lane = load_scenario("demo").build_lanes(2026)["1"]
    lane.open(0.0)
    lane.advance(inf)
    passages = lane.passages[:TRUCKS]
    view, noise = PlateView(lane, 1), Noise(1)
    sight = Sight(CameraSettings(source="0", role="plate", blur_faces=False), recogniser, None)
    said = list[PlateRead]()
    for n, at in enumerate(np.arange(passages[0].arrives, passages[-1].departs, 1 / LOOKS_PER_S)):
        drawn = view.draw(float(at)) or view.empty(float(at))
        image = np.asarray(noise.add(drawn, n, night=view.night(float(at))), np.uint8)[:, :, ::-1]
        readings = sight.look(Frame(np.ascontiguousarray(image), "plate", float(at), n))
        said += [r.body for r in readings if isinstance(r.body, PlateRead)]
    said += [r.body for r in sight.close() if isinstance(r.body, PlateRead)]
    read = {text: sum(r.looks for r in said if r.text == text) for text in {r.text for r in said}}
    carried = [normalise_plate(p.truck.plate.painted) for p in passages if p.truck.plate]
    assert len(carried) == TRUCKS
    for plate in carried:
        assert read.get(plate, 0) >= 2  # of some seven looks while it is in view
