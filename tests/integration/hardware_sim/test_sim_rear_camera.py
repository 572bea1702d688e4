"""A rear camera through a whole run: what it shows, and what the truth and the score make of it."""

import json
from io import BytesIO
from pathlib import Path

import aiohttp
import numpy as np
from PIL import Image

from hardware_sim.faults import AnyFault
from hardware_sim.scenario import parse_scenario
from hardware_sim.score.truth import read_truth
from tests.integration.hardware_sim.sim import running, until

LANE = """\
title: A truck, seen from behind
seed: 4
lanes:
  1:
    drive: {speed_mps: 9, slow_mps: 5}
    cameras: {rear-camera: {view: rear}}
    traffic: {count: 1, first_truck_s: 2, trucks: [{night: false}]}
"""


async def test_a_rear_camera_sees_the_truck_that_leaves(tmp_path: Path) -> None:
    scenario = parse_scenario(LANE, "rear.yaml")
    shown: list[Image.Image] = []
    async with running(scenario, tmp_path) as sim, aiohttp.ClientSession() as session:
        place = sim.places()["rear-camera"]
        assert place["view"] == "rear"
        url = str(place["url"]).replace("stream.mjpg", "snapshot.jpg")

        async def frame() -> bytes:
            async with session.get(url) as response:
                return await response.read()

        frozen = sim.faults.begin(AnyFault.validate_python({"target": "rear-camera", "kind": "frozen"})).id
        still = await frame()
        lane = sim.lanes["1"].lane
        await until(lambda: bool(lane.passages) and sim.clock.monotonic() > lane.passages[0].enters)
        assert await frame() == still, "a truck is in sight, and the picture is frozen"
        sim.faults.end(frozen)
        empty = np.asarray(Image.open(BytesIO(still)), np.int16)
        shown.append(Image.open(BytesIO(await frame())))
        assert np.abs(np.asarray(shown[0], np.int16) - empty).mean() > 10
        await until(lambda: bool(sim.truth_path.read_text()))
    record = json.loads(sim.truth_path.read_text())
    assert record["observed_by"] == {"rear-camera": "rear camera"}
    (truck,) = read_truth(sim.truth_path).trucks
    assert truck.values["trailer plate"] == (record["trailer_plate"],)
    assert truck.values["plate"] is None, "nobody looks at it"
