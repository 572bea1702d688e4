"""The control API over HTTP: drives a running simulation. Its description is at /openapi.json (control_api.py).

Bound to the loopback it needs no token, but answers only to its own names: a page in a browser cannot reach it by
another. Bound elsewhere every request carries a bearer token.
"""

import asyncio
import hmac
import ipaddress
import json
import os
from collections.abc import Awaitable, Callable
from contextlib import suppress
from typing import Any

from aiohttp import web
from pydantic import BaseModel, TypeAdapter, ValidationError

from edge_agent.domain.errors import SettingsInvalid
from edge_agent.settings_words import in_body
from hardware_sim.control_api import (
    OPERATIONS,
    FaultState,
    LaneState,
    Operation,
    Place,
    Problem,
    Sent,
    Speed,
    State,
    Stopping,
    Traffic,
    openapi,
)
from hardware_sim.faults import Fault, FaultSettings, describe
from hardware_sim.http_log import HTTP_LOG
from hardware_sim.links.address import unserved
from hardware_sim.port_settings import split_address
from hardware_sim.run import PortSim
from hardware_sim.world.lane import LaneFull
from hardware_sim.world.settings import TruckSettings
from hardware_sim.world.truth import Record

CONTROL_FILE = "control.json"
TOKEN_VARIABLE = "HARDWARE_SIM_TOKEN"  # noqa: S105 - the variable's name
_LEAST_TOKEN = 16
_MAX_BODY = 256 * 1024
# A client that does not keep up with the stream misses what is beyond this, and is told by the stream's end.
_STREAM_QUEUE = 1000
_BODIES: dict[str, TypeAdapter[Any]] = {o.name: TypeAdapter(o.body) for o in OPERATIONS if o.body is not None}
_Answer = Callable[[web.Request, Any], Awaitable[web.StreamResponse]]


class Control:
    """Serves between `open` and `close`. `stop` is called when a client wants the run to end."""

    def __init__(self, sim: PortSim, stop: Callable[[], None], address: str = "127.0.0.1:0", token: str = "") -> None:
        """Raises SettingsInvalid for an address that is none, or one outside the loopback without a token."""
        try:
            self._host, self._port = split_address(address)
        except ValueError as error:
            raise SettingsInvalid(f"--control {address}: {error}", "write for instance 127.0.0.1:8600") from None
        self._loopback = _is_loopback(self._host)
        if not self._loopback and not token:
            raise SettingsInvalid(
                f"--control {address}: others can reach it, and there is no token",
                f"set {TOKEN_VARIABLE} to a secret of at least {_LEAST_TOKEN} characters, or bind it to 127.0.0.1",
            )
        if token and len(token) < _LEAST_TOKEN:
            raise SettingsInvalid(
                f"{TOKEN_VARIABLE} is too short", f"take at least {_LEAST_TOKEN} characters: `openssl rand -hex 16`"
            )
        self._sim = sim
        self._end_run = stop
        self._token = token
        self._runner: web.AppRunner | None = None
        self._streams: set[asyncio.Queue[tuple[str, Any] | None]] = set()
        self._departed: dict[str, int] = {}
        self._ends: list[Callable[[], None]] = []

    @property
    def url(self) -> str:
        host = f"[{self._host}]" if ":" in self._host else self._host
        return f"http://{host}:{self._port}"

    async def open(self) -> None:
        """Serve, and say where in the run's folder. Raises SettingsInvalid when it cannot listen there."""
        application = web.Application(middlewares=[self._guarded], client_max_size=_MAX_BODY)
        for operation in OPERATIONS:
            handler: _Answer = getattr(self, f"_{operation.name}")
            application.router.add_route(operation.method, operation.path, self._answering(operation, handler))
        application.router.add_get("/openapi.json", self._openapi)
        self._runner = web.AppRunner(application, access_log=None, logger=HTTP_LOG, shutdown_timeout=0.5)
        await self._runner.setup()
        try:
            await web.TCPSite(self._runner, self._host, self._port, backlog=16).start()
        except OSError as error:
            await self._runner.cleanup()
            self._runner = None
            raise unserved(f"--control {self.url}", self._host, self._port, error.strerror) from None
        self._port = self._runner.addresses[0][1]
        self._ends.append(self._sim.subscribe(self._on_truth))
        self._sim.faults.subscribe(lambda record: self._tell("fault", record))
        path = self._sim.out / CONTROL_FILE
        path.write_text(json.dumps({"url": self.url, "pid": os.getpid(), "token": bool(self._token)}) + "\n")

    async def close(self) -> None:
        for end in self._ends:
            end()
        self._ends.clear()
        for stream in tuple(self._streams):
            _put(stream, None)
        if self._runner is not None:
            await self._runner.cleanup()
            self._runner = None
            with suppress(OSError):
                (self._sim.out / CONTROL_FILE).unlink()

    # --- requests ------------------------------------------------------------------------------------------------

    @web.middleware
    async def _guarded(
        self, request: web.Request, handler: Callable[[web.Request], Awaitable[web.StreamResponse]]
    ) -> web.StreamResponse:
        if self._token:
            given = request.headers.get("Authorization", "").removeprefix("Bearer ")
            if not hmac.compare_digest(given.encode(), self._token.encode()):
                return _problem(401, "the bearer token is missing or wrong")
        elif not _is_loopback(_host_of(request)):
            return _problem(403, "this server answers to 127.0.0.1 and localhost only")
        try:
            return await handler(request)
        except web.HTTPException as error:
            return _problem(error.status, error.reason or "")

    def _answering(
        self, operation: Operation, handler: _Answer
    ) -> Callable[[web.Request], Awaitable[web.StreamResponse]]:
        async def answer(request: web.Request) -> web.StreamResponse:
            body = None
            if operation.body is not None:
                if request.content_type != "application/json":
                    return _problem(415, "a body is application/json")
                try:
                    values = json.loads(await request.read() or b"{}")
                except (ValueError, RecursionError):
                    return _problem(400, "the body is no JSON")
                try:
                    body = _BODIES[operation.name].validate_python(values)
                except ValidationError as error:
                    wrong = [in_body(e, _BODIES[operation.name], values) for e in error.errors(include_url=False)]
                    return _problem(422, "the body does not fit", wrong)
            return await handler(request, body)

        return answer

    async def _openapi(self, _: web.Request) -> web.Response:
        return web.json_response(openapi(with_token=bool(self._token)))

    async def _state(self, _: web.Request, __: None) -> web.Response:
        return _json(self._state_now())

    async def _places(self, _: web.Request, __: None) -> web.Response:
        places = {name: Place.model_validate(place) for name, place in self._sim.places().items()}
        return web.json_response({n: p.model_dump(mode="json") for n, p in places.items()})

    async def _lanes(self, _: web.Request, __: None) -> web.Response:
        return web.json_response([lane.model_dump(mode="json") for lane in self._lane_states()])

    async def _send_truck(self, request: web.Request, stated: TruckSettings) -> web.Response:
        lane = request.match_info["lane"]
        try:
            return _json(Sent(id=self._sim.send(lane, stated)), 201)
        except KeyError:
            return self._no_lane(lane)
        except LaneFull as error:
            return _problem(409, str(error))
        except ValueError as error:
            return _problem(409, str(error))

    async def _faults(self, _: web.Request, __: None) -> web.Response:
        faults = [self._fault_state(f).model_dump(mode="json") for f in self._sim.faults.faults.all]
        return web.json_response(faults)

    async def _begin_fault(self, _: web.Request, settings: FaultSettings) -> web.Response:
        try:
            return _json(self._fault_state(self._sim.faults.begin(settings)), 201)
        except ValueError as error:
            return _problem(409, str(error))

    async def _fault(self, request: web.Request, _: None) -> web.Response:
        number = request.match_info["id"]
        fault = next((f for f in self._sim.faults.faults.all if str(f.id) == number), None)
        return _json(self._fault_state(fault)) if fault else _problem(404, f"there is no fault {number}")

    async def _end_fault(self, request: web.Request, _: None) -> web.Response:
        number = request.match_info["id"]
        try:
            return _json(self._fault_state(self._sim.faults.end(int(number))))
        except (KeyError, ValueError):
            return _problem(404, f"there is no fault {number}")

    async def _traffic(self, _: web.Request, wanted: Traffic) -> web.Response:
        if wanted.lane is not None and wanted.lane not in self._sim.lanes:
            return self._no_lane(wanted.lane)
        self._sim.traffic(wanted.lane, paused=wanted.do == "pause")
        return _json(self._state_now())

    async def _speed(self, _: web.Request, wanted: Speed) -> web.Response:
        self._sim.clock.run_at(wanted.speed)
        return _json(self._state_now())

    async def _stop(self, _: web.Request, __: None) -> web.Response:
        asyncio.get_running_loop().call_soon(self._end_run)
        return _json(Stopping(), 202)

    # --- streams -------------------------------------------------------------------------------------------------

    async def _truth(self, request: web.Request, _: None) -> web.StreamResponse:
        follow = request.query.get("follow", "false").lower() in ("1", "true", "yes")
        response = web.StreamResponse(headers={"Content-Type": "application/x-ndjson", "Cache-Control": "no-store"})
        await response.prepare(request)
        with self._stream() as queue:
            # What is on disk now, and what is told from now on: nothing comes in between on one loop.
            await response.write(self._sim.truth_path.read_bytes())
            while follow and (told := await queue.get()) is not None:
                if told[0] == "truth":
                    await response.write(json.dumps(told[1], ensure_ascii=False).encode() + b"\n")
        await response.write_eof()
        return response

    async def _events(self, request: web.Request, _: None) -> web.StreamResponse:
        response = web.StreamResponse(headers={"Content-Type": "text/event-stream", "Cache-Control": "no-store"})
        with self._stream() as queue:
            await response.prepare(request)
            await response.write(b": events follow\n\n")
            while (told := await queue.get()) is not None:
                await response.write(f"event: {told[0]}\ndata: {json.dumps(told[1])}\n\n".encode())
        await response.write_eof()
        return response

    def _stream(self) -> "_Stream":
        return _Stream(self._streams)

    def _on_truth(self, record: Record) -> None:
        lane = str(record["lane"])
        self._departed[lane] = self._departed.get(lane, 0) + 1
        self._tell("truth", record)

    def _tell(self, what: str, record: Any) -> None:
        for stream in tuple(self._streams):
            _put(stream, (what, record))

    # --- states --------------------------------------------------------------------------------------------------

    def _state_now(self) -> State:
        sim = self._sim
        began = sim.faults.began()
        return State(
            title=sim.scenario.title,
            seed=sim.seed,
            speed=sim.clock.speed,
            now=_iso(sim, sim.clock.monotonic()),
            elapsed_s=None if began is None else round(sim.clock.monotonic() - began, 3),
            lanes=self._lane_states(),
            active_faults=sum(f.state == "active" for f in sim.faults.faults.all),
            truth=str(sim.truth_path),
        )

    def _lane_states(self) -> list[LaneState]:
        at = self._sim.clock.monotonic()
        return [
            LaneState(
                id=id,
                traffic="over" if run.player.finished else "paused" if run.lane.paused
                else "running" if run.lane.is_open else "held",
                on_demand=run.lane.on_demand,
                known=run.lane.truck_count,
                inside=[passage.truck.id for passage in run.lane.seen(at)],
                departed=self._departed.get(id, 0),
            )
            for id, run in self._sim.lanes.items()
        ]  # fmt: skip

    def _fault_state(self, fault: Fault) -> FaultState:
        began, ended = (None if at is None else _iso(self._sim, at) for at in (fault.began, fault.ended))
        return FaultState(**describe(fault), began=began, ended=ended)

    def _no_lane(self, lane: str) -> web.Response:
        return _problem(404, f"there is no lane {lane}; there are {', '.join(self._sim.lanes)}")


class _Stream:
    """A client's queue, for as long as it listens."""

    def __init__(self, streams: set[asyncio.Queue[tuple[str, Any] | None]]) -> None:
        self._streams = streams
        self._queue: asyncio.Queue[tuple[str, Any] | None] = asyncio.Queue(_STREAM_QUEUE)

    def __enter__(self) -> asyncio.Queue[tuple[str, Any] | None]:
        self._streams.add(self._queue)
        return self._queue

    def __exit__(self, *_: object) -> None:
        self._streams.discard(self._queue)


def _put(queue: asyncio.Queue[tuple[str, Any] | None], told: tuple[str, Any] | None) -> None:
    if queue.full():  # it does not keep up: its stream ends after what it has room for
        queue.get_nowait()
        told = None
    queue.put_nowait(told)


def _iso(sim: PortSim, at: float) -> str:
    now = sim.clock.now()
    return now.shifted(at - now.monotonic).utc.isoformat(timespec="milliseconds").replace("+00:00", "Z")


def _json(model: BaseModel, status: int = 200) -> web.Response:
    return web.json_response(model.model_dump(mode="json"), status=status)


def _problem(status: int, problem: str, mistakes: list[str] | None = None) -> web.Response:
    return _json(Problem(problem=problem, mistakes=mistakes or []), status)


def _is_loopback(host: str) -> bool:
    if host == "localhost":
        return True
    try:
        return ipaddress.ip_address(host).is_loopback
    except ValueError:
        return False


def _host_of(request: web.Request) -> str:
    host = request.headers.get("Host", "")
    name, colon, port = host.rpartition(":")
    return (name if colon and port.isdecimal() else host).removeprefix("[").removesuffix("]").lower()
