"""A camera that is frozen, black, or looks into a lamp, and one on a busy machine, as its client sees it."""

import re
import time
from io import BytesIO
from itertools import pairwise
from pathlib import Path
from typing import Any

import aiohttp
from PIL import Image, ImageStat

from hardware_sim.faults import AnyFault
from hardware_sim.run import PortSim
from hardware_sim.scenario import parse_scenario
from tests.integration.hardware_sim.sim import running

LANE = "title: t\nlanes: {1: {cameras: {front: {view: plate}}, traffic: {on_demand: true}}}"


async def test_frozen_black_and_dazzled(tmp_path: Path) -> None:
    scenario = parse_scenario(LANE, "camera.yaml")
    async with running(scenario, tmp_path) as sim, aiohttp.ClientSession() as session:
        url = str(sim.places()["front"]["url"]).replace("stream.mjpg", "snapshot.jpg")

        async def frame() -> bytes:
            async with session.get(url) as response:
                return await response.read()

        plain = await frame()
        assert await frame() != plain
        frozen = _begin(sim, kind="frozen")
        still = await frame()
        assert await frame() == still
        sim.faults.end(frozen)
        assert await frame() != still
        dazzled = _begin(sim, kind="lens_flare", strength=1.0)
        assert _bright(await frame()) > _bright(plain) + 20
        sim.faults.end(dazzled)
        black = _begin(sim, kind="black")
        assert _bright(dark := await frame()) < 2
        assert await frame() != dark
        sim.faults.end(black)
        assert abs(_bright(await frame()) - _bright(plain)) < 3


async def test_a_camera_that_was_late_does_not_hurry(tmp_path: Path) -> None:
    scenario = parse_scenario(LANE.replace("view: plate", "view: plate, fps: 20"), "camera.yaml")
    async with (
        running(scenario, tmp_path) as sim,
        aiohttp.ClientSession() as session,
        session.get(str(sim.places()["front"]["url"])) as response,
    ):
        seen, numbers = b"", list[int]()
        while len(numbers) < 6:
            seen += await response.content.readany()
            numbers = [int(number) for number in re.findall(rb"\xff\xfe..frame (\d+)\xff", seen, re.DOTALL)]
            if len(numbers) in (2, 4):
                time.sleep(0.09)  # noqa: ASYNC251 - the whole process gets no processor
    assert min(later - earlier for earlier, later in pairwise(numbers)) >= 24  # ms, at 50 ms for each


def _begin(sim: PortSim, **settings: Any) -> int:
    return sim.faults.begin(AnyFault.validate_python({"target": "front"} | settings)).id


def _bright(jpeg: bytes) -> float:
    return float(ImageStat.Stat(Image.open(BytesIO(jpeg)).convert("L")).mean[0])
