"""The project's own models, with the weights that are shipped, on drawn plates and on the simulator's frames."""

import importlib.util
import threading
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace
from functools import partial
from math import inf
from typing import Any

import cv2
import numpy as np
import pytest

from edge_agent.domain.errors import ModelRefused, RecogniserBroken
from edge_agent.domain.identifiers import normalise_plate
from edge_agent.domain.observation import ContainerCodeRead, PlateRead
from edge_agent.vision.camera_settings import CameraSettings
from edge_agent.vision.frame import Frame, Image, Role
from edge_agent.vision.plate_code import PlateCodeRecogniser
from edge_agent.vision.recognisers import open_recogniser
from edge_agent.vision.sight import Sight
from hardware_sim.cameras.scene import ContainerView, Noise, PlateView
from hardware_sim.scenario import load_scenario
from hardware_sim.world.lane import Lane
from tests.integration.vision.conftest import MjpegServer
from tests.integration.vision.rendering import noisy, picture, plate
from tests.integration.vision.test_camera import camera, running, wait_for


@pytest.fixture(scope="module")
def own() -> PlateCodeRecogniser:
    recogniser = open_recogniser("own")
    assert isinstance(recogniser, PlateCodeRecogniser)
    return recogniser


@pytest.mark.parametrize("text", ["7KLM 223", "ABC 1D23", "WN 04 KBX"])
def test_a_plate_is_read_with_its_box(own: PlateCodeRecogniser, text: str) -> None:
    (sighting,) = own.look(Frame(noisy(plate(text), 1)))
    read = sighting.read
    assert isinstance(read, PlateRead)
    assert read.text == text.replace(" ", "")
    assert read.confidence > 0.8
    assert 330 < read.box.x < 400
    assert 340 < read.box.y < 400


def test_as_many_frames_are_looked_at_at_once_as_there_is_room_for() -> None:
    recogniser = PlateCodeRecogniser.open(threads=2, look_again=False, at_once=2)
    inside, all_inside, most, lock = 0, threading.Event(), 0, threading.Lock()
    find = recogniser._finder.find

    def found(*arguments: Any) -> Any:
        nonlocal inside, most
        with lock:
            inside += 1
            most = max(most, inside)
            if inside == 2:
                all_inside.set()
        all_inside.wait(20)
        try:
            return find(*arguments)
        finally:
            with lock:
                inside -= 1

    recogniser._finder.find = found  # type: ignore[assignment,method-assign]
    with ThreadPoolExecutor(4) as workers:
        texts = ["7KLM 223", "4XYZ 918", "2PRT 605", "7KLM 223"]
        looks = list(workers.map(lambda text: recogniser.look(Frame(noisy(plate(text), 1))), texts))
    assert [look[0].read.text for look in looks if isinstance(look[0].read, PlateRead)] == [
        text.replace(" ", "") for text in texts
    ]
    assert most == 2


def test_the_plate_comes_before_lettering_telephone_and_time(own: PlateCodeRecogniser) -> None:
    image = plate("7KLM 223")
    texts = picture([(20, 10, "2026-11-21 12:45:07", 24), (300, 160, "NORTE 24H", 30), (260, 230, "555-019-4471", 30)])
    image[:280] = np.maximum(image[:280], texts[:280])
    read = own.look(Frame(image))[0].read
    assert isinstance(read, PlateRead)
    assert read.text == "7KLM223"


@pytest.fixture(scope="module")
def lane() -> Lane:
    lane = load_scenario("demo").build_lanes(2026)["1"]
    lane.open(0.0)
    lane.advance(inf)
    return lane


@pytest.mark.parametrize("kind", ["plate", "container"])
def test_a_truck_is_read_in_one_of_a_few_looks(own: PlateCodeRecogniser, lane: Lane, kind: str) -> None:
    passage = lane.passages[0]
    view, noise = (PlateView(lane, 1) if kind == "plate" else ContainerView(lane, 1)), Noise(1)
    seen: set[str] = set()
    for n, at in enumerate(np.linspace(passage.arrives, passage.departs, 12)):
        if (drawn := view.draw(float(at))) is None:
            continue
        image = np.asarray(noise.add(drawn, n, night=view.night(float(at))), np.uint8)[:, :, ::-1]
        for sighting in own.look(Frame(np.ascontiguousarray(image))):
            seen.add(sighting.read.code if isinstance(sighting.read, ContainerCodeRead) else sighting.read.text)
    truck = passage.truck
    assert truck.plate is not None
    carried = normalise_plate(truck.plate.painted) if kind == "plate" else truck.containers[0].code
    assert carried.replace(" ", "") in seen


@pytest.mark.parametrize("shape", [(12, 12, 3), (12, 2000, 3), (2000, 12, 3), (13, 17, 3), (480, 640, 3)])
def test_noise_of_any_size_is_looked_at_and_holds_nothing(
    own: PlateCodeRecogniser, shape: tuple[int, int, int]
) -> None:
    assert list(own.look(Frame(noisy(np.full(shape, 90, np.uint8), 6)))) == []


@pytest.mark.parametrize("tone", [0, 128, 255])
def test_a_picture_of_one_tone_is_not_an_empty_lane(own: PlateCodeRecogniser, tone: int) -> None:
    with pytest.raises(RecogniserBroken, match="all over: nothing can be seen"):
        own.look(Frame(np.full((480, 640, 3), tone, np.uint8)))


@pytest.mark.parametrize("role", ["plate", "container", "both"])
def test_what_looks_reads_what_a_cameras_role_asks_for(role: Role) -> None:
    image = plate("7KLM 223")
    code = picture([(120, 30, "TGHU 123456 7", 40)])
    image[:200] = np.maximum(image[:200], code[:200])
    seen = [s.read for s in open_recogniser().look(Frame(noisy(image, 1), role=role))]
    plates = [read.text for read in seen if isinstance(read, PlateRead)]
    codes = [read.code for read in seen if isinstance(read, ContainerCodeRead)]
    assert plates == ([] if role == "container" else ["7KLM223"])
    assert codes == ([] if role == "plate" else ["TGHU1234567"])


def test_own_models_need_no_other_package_s(monkeypatch: pytest.MonkeyPatch) -> None:
    found = importlib.util.find_spec
    monkeypatch.setattr(importlib.util, "find_spec", lambda name: None if name == "rapidocr" else found(name))
    assert open_recogniser("own").look(Frame(noisy(plate("7KLM 223"), 1)))
    with pytest.raises(ModelRefused, match="needs the package rapidocr, which is not installed"):
        open_recogniser("ppocr")


def test_a_camera_may_change_its_picture_size_in_mid_stream(
    own: PlateCodeRecogniser, serve: Callable[[Callable[[int], Image | bytes | None]], MjpegServer]
) -> None:
    sizes, taken = [(960, 540), (640, 480)], list[Frame]()
    view = noisy(plate("7KLM 223"), 1)
    pictures = {size: cv2.imencode(".jpg", cv2.resize(view, size))[1].tobytes() for size in sizes}
    server = serve(lambda _: pictures[sizes[0]])

    def newest_is(size: tuple[int, int]) -> bool:
        taken.extend(frame for frame in [live.take()] if frame is not None)
        return bool(taken) and (taken[-1].width, taken[-1].height) == size

    with running(camera(f"http://{server.address}/video")) as live:
        region = {"x": 0.1, "y": 0.3, "w": 0.8, "h": 0.7}
        settings = CameraSettings.model_validate({"source": "0", "blur_faces": False, "region": region})
        sight = Sight(settings, own, None)
        for turn, size in enumerate(sizes):
            server.picture = partial(lambda size, _: pictures[size], size)
            wait_for(partial(newest_is, size))
            (reading,) = sight.look(replace(taken[-1], at=2.0 * turn))
            assert isinstance(reading.body, PlateRead)
            assert reading.body.text == "7KLM223", size
            whole = cv2.imdecode(np.frombuffer(reading.evidence[0].data, np.uint8), cv2.IMREAD_COLOR)
            assert whole is not None
            # The picture is the best look's, and so is the box.
            assert abs((reading.body.box.x + reading.body.box.w / 2) / whole.shape[1] - 486 / 960) < 0.02
        (seen,) = sight.sightings(taken[-1])
        assert abs((seen.read.box.x + seen.read.box.w / 2) / sizes[1][0] - 486 / 960) < 0.02
