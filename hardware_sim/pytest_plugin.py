"""A lane for tests: `pytest -p hardware_sim.pytest_plugin`.

    def test_my_reader(lane, truck):
        reader = MyReader(lane.url("portal"))       # over TCP or a terminal, as to the real one
        truth = truck(plate="MXR 7319", cargo="source")
        assert reader.alarm == truth["devices"]["portal"]["gamma_alarm"]

`lane` runs in a thread, on real links. Which scenario: `@pytest.mark.lane("my-lane.yaml", seed=1, speed=4)`, else the
option --sim-scenario, else the ini value `hardware_sim_scenario`, else the shipped `on-demand`.
"""

import asyncio
import threading
from collections.abc import Callable, Iterator
from concurrent.futures import Future
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import Any, TypeVar

import pytest
from pydantic import TypeAdapter, ValidationError

from edge_agent.domain.clock import SystemClock
from edge_agent.settings_words import in_body
from hardware_sim.faults import AnyFault, Fault
from hardware_sim.run import PortSim
from hardware_sim.scenario import Scenario, load_scenario
from hardware_sim.stated import written_out
from hardware_sim.world.settings import TruckSettings

_T = TypeVar("_T")
# What the thread does takes milliseconds; a truck's drive takes as long as the lane is.
_CALL_S, _TRUCK_S = 30.0, 120.0


def _fitting(adapter: TypeAdapter[_T], values: dict[str, Any]) -> _T:
    """Raises ValueError in words."""
    try:
        return adapter.validate_python(values)
    except ValidationError as error:
        raise ValueError("\n".join(in_body(e, adapter, values) for e in error.errors(include_url=False))) from None


class SimFault:
    """A fault that was begun; it ends with `end`, at the end of a `with`, by its own `for_s`, or with the test."""

    def __init__(self, lane: "SimLane", fault: Fault) -> None:
        self._lane = lane
        self._fault = fault
        self.id = fault.id

    @property
    def active(self) -> bool:
        return self._fault.state == "active"

    def end(self) -> None:
        """End it, if it still lasts."""
        self._lane.call(lambda sim: sim.faults.end(self.id))

    def __enter__(self) -> "SimFault":
        return self

    def __exit__(self, *_: object) -> None:
        self.end()


class SimLane:
    """A running scenario, driven from the test's thread. `folder` holds truth.jsonl and terminals' links."""

    def __init__(self, scenario: Scenario, seed: int | None, folder: Path, speed: float) -> None:
        self.folder = folder
        self.scenario = scenario
        self._seed = scenario.seed if seed is None else seed
        self._speed = speed
        self._loop = asyncio.new_event_loop()
        self._thread = threading.Thread(target=self._loop.run_forever, name="simulated lane", daemon=True)
        self._sim: PortSim | None = None
        self._running: Future[None] | None = None
        self._stopped = asyncio.Event()
        self._truths: list[dict[str, Any]] = []
        self._news = threading.Condition()

    # --- what tests use ------------------------------------------------------------------------------------------

    @property
    def places(self) -> dict[str, dict[str, Any]]:
        """What is where, as `hardware-sim run --json` says it."""
        return self.call(lambda sim: sim.places())

    def urls(self, device: str) -> list[str]:
        """Every address of a device or camera: socket://…, a terminal's path, http://…."""
        places = self.places
        if device not in places:
            raise KeyError(f"there is no {device} in this scenario; there are {', '.join(places)}")
        return list(places[device]["urls"])

    def url(self, device: str) -> str:
        """The first address."""
        return self.urls(device)[0]

    def start(self) -> None:
        """Let scripted traffic begin, or go on. Lanes on demand are open from the beginning."""
        self.call(lambda sim: sim.traffic(None, paused=False))

    def pause(self) -> None:
        """Let no further truck in."""
        self.call(lambda sim: sim.traffic(None, paused=True))

    def send(self, lane: str | None = None, **stated: Any) -> str:
        """Send a truck and do not wait; its id. Raises ValueError for what cannot be stated of a truck."""
        truck: TruckSettings = _fitting(TypeAdapter(TruckSettings), written_out(stated))
        return self.call(lambda sim: sim.send(lane or next(iter(sim.lanes)), truck))

    def truth(self, truck: str, timeout: float = _TRUCK_S) -> dict[str, Any]:
        """The truth of a truck, when it has left; raises TimeoutError if it does not within so many seconds."""
        with self._news:
            if self._news.wait_for(lambda: self._found(truck) is not None or self._over, timeout):
                if (found := self._found(truck)) is not None:
                    return found
                self._check()
                raise TimeoutError(f"the run is over, and truck {truck} has not left")
        self._check()
        raise TimeoutError(f"truck {truck} has not left within {timeout:g} s")

    @property
    def truths(self) -> list[dict[str, Any]]:
        """The truth of every truck that has left."""
        with self._news:
            return list(self._truths)

    def fault(self, target: str, kind: str, **parameters: Any) -> SimFault:
        """Begin a fault at once. Raises ValueError for one that there is not, or that cannot happen to the target."""
        settings = _fitting(AnyFault, {"target": target, "kind": kind, **parameters})
        return SimFault(self, self.call(lambda sim: sim.faults.begin(settings)))

    def call(self, what: Callable[[PortSim], _T]) -> _T:
        """Call something on the simulation, in its own thread."""
        self._check()

        async def inside() -> _T:
            if self._sim is None:
                raise RuntimeError("the lane is closed")
            return what(self._sim)

        return asyncio.run_coroutine_threadsafe(inside(), self._loop).result(_CALL_S)

    # --- its life ------------------------------------------------------------------------------------------------

    def open(self) -> None:
        self._thread.start()
        opened: Future[None] = Future()
        self._running = asyncio.run_coroutine_threadsafe(self._run(opened), self._loop)
        self._running.add_done_callback(lambda _: self._wake())
        try:
            opened.result(_CALL_S)
        except BaseException:
            with suppress(Exception):  # the same once more
                self.close()
            raise

    def close(self) -> None:
        """End the run. Raises what went wrong in it, if something did."""
        if self._running is None:
            return
        self._loop.call_soon_threadsafe(self._stopped.set)
        try:
            self._running.result(_CALL_S)
        finally:
            self._running = None
            self._loop.call_soon_threadsafe(self._loop.stop)
            self._thread.join(_CALL_S)
            self._loop.close()

    async def _run(self, opened: "Future[None]") -> None:
        try:
            sim = PortSim(self.scenario, self._seed, self.folder, SystemClock(), speed=self._speed)
            sim.subscribe(self._on_truth)
            await sim.open()
        except BaseException as error:
            opened.set_exception(error)
            raise
        try:
            self._sim = sim
            for id, run in sim.lanes.items():
                if run.lane.on_demand:
                    sim.traffic(id, paused=False)
            opened.set_result(None)
            async with asyncio.TaskGroup() as tasks:
                playing = tasks.create_task(sim.run(asyncio.Event()), name="lane")
                await self._stopped.wait()
                playing.cancel()
        finally:
            self._sim = None
            await sim.close()

    def _on_truth(self, record: dict[str, Any]) -> None:
        with self._news:
            self._truths.append(record)
            self._news.notify_all()

    def _wake(self) -> None:
        with self._news:
            self._news.notify_all()

    def _found(self, truck: str) -> dict[str, Any] | None:
        return next((t for t in self._truths if t["id"] == truck), None)

    @property
    def _over(self) -> bool:
        return self._running is None or self._running.done()

    def _check(self) -> None:
        if self._running is not None and self._running.done():
            self._running.result()  # raises what went wrong


# --- pytest --------------------------------------------------------------------------------------------------------


def pytest_addoption(parser: pytest.Parser) -> None:
    """The scenario, its seed and its speed for every test that does not state its own."""
    group = parser.getgroup("hardware-sim", "simulated lanes")
    group.addoption("--sim-scenario", help="scenario of the `lane` fixture: a shipped one's name, or a file")
    group.addoption("--sim-seed", type=int, help="another seed than the scenario's")
    group.addoption("--sim-speed", type=float, help="so many times as fast as real time")
    parser.addini("hardware_sim_scenario", "scenario of the `lane` fixture", default="on-demand")
    parser.addini("hardware_sim_speed", "speed of the `lane` fixture", default="1")


def pytest_configure(config: pytest.Config) -> None:
    """The marker."""
    config.addinivalue_line(
        "markers", "lane(scenario, seed=None, speed=None): the scenario of the `lane` fixture for this test"
    )


@contextmanager
def running_lane(
    scenario: str | Scenario, folder: Path, *, seed: int | None = None, speed: float = 1.0
) -> Iterator[SimLane]:
    """A running lane, for tests that need more than the fixture: two at once, or one for a whole module."""
    lane = SimLane(load_scenario(scenario) if isinstance(scenario, str) else scenario, seed, folder, speed)
    lane.open()
    try:
        yield lane
    finally:
        lane.close()


@pytest.fixture
def lane(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> Iterator[SimLane]:
    """A running lane, for this test alone."""
    config, marker = request.config, request.node.get_closest_marker("lane")
    stated: dict[str, Any] = dict(marker.kwargs) if marker else {}
    if marker and marker.args:
        stated["scenario"] = marker.args[0]
    scenario = stated.get("scenario") or config.getoption("--sim-scenario") or config.getini("hardware_sim_scenario")
    if isinstance(scenario, str) and scenario.endswith((".yaml", ".yml")) and not Path(scenario).is_absolute():
        beside = request.path.parent / scenario  # as other files of a test: beside it, or from where pytest was started
        scenario = str(beside) if beside.exists() else scenario
    seed = stated.get("seed", config.getoption("--sim-seed"))
    speed = float(stated.get("speed") or config.getoption("--sim-speed") or config.getini("hardware_sim_speed"))
    with running_lane(scenario, tmp_path_factory.mktemp("lane"), seed=seed, speed=speed) as running:
        yield running


@pytest.fixture
def truck(lane: SimLane) -> Callable[..., dict[str, Any]]:
    """Sends a truck of which the keywords are true, waits until it has left, and returns its truth."""

    def send(*, timeout: float = _TRUCK_S, **stated: Any) -> dict[str, Any]:
        return lane.truth(lane.send(**stated), timeout)

    return send


@pytest.fixture
def fault(lane: SimLane) -> Iterator[Callable[..., SimFault]]:
    """Begins a fault, which ends with its `with` block or with the test."""
    begun: list[SimFault] = []

    def begin(target: str, kind: str, **parameters: Any) -> SimFault:
        begun.append(lane.fault(target, kind, **parameters))
        return begun[-1]

    yield begin
    for one in begun:
        one.end()
