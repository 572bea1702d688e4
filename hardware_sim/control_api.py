"""What the control API takes and gives, and its OpenAPI 3.1 description, made of the models that judge requests."""

from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Annotated, Any, Literal

from pydantic import BaseModel, ConfigDict, Field, JsonValue, TypeAdapter

from hardware_sim.faults import FaultSettings
from hardware_sim.world.settings import TruckSettings

API_VERSION = "1"


class _Model(BaseModel):
    model_config = ConfigDict(extra="forbid")


class LaneState(_Model):
    """One lane. `known`: trucks scripted and sent so far; `inside`: ids of those in the lane; `departed`: those whose
    truth is written."""

    id: str
    traffic: Literal["held", "running", "paused", "over"]
    on_demand: bool
    known: int
    inside: list[str]
    departed: int


class State(_Model):
    """The run. `now`: wall time of the world; `elapsed_s`: since traffic began, null before."""

    title: str
    seed: int
    speed: float
    now: str
    elapsed_s: float | None
    lanes: list[LaneState]
    active_faults: int
    truth: str


class Place(_Model):
    """Where a device or camera is reached. `urls` are all its links, `url` the first."""

    kind: str
    url: str
    urls: list[str]
    lane: str
    view: str | None = None


class Sent(_Model):
    """The id of a truck that was sent, as in the truth."""

    id: str


class FaultState(_Model):
    """A fault of this run. Times are the world's wall time; null: not yet."""

    id: int
    target: str
    kind: str
    parameters: dict[str, JsonValue]
    for_s: float | None
    by: Literal["scenario", "command"]
    state: Literal["planned", "active", "over"]
    began: str | None
    ended: str | None


class Traffic(_Model):
    """`start` lets traffic begin, or go on after a pause; `pause` lets no further truck in. No `lane`: all lanes."""

    do: Literal["start", "pause"]
    lane: str | None = None


class Speed(_Model):
    """How much faster than real time the world runs."""

    speed: Annotated[float, Field(gt=0, le=1000)]


class Stopping(_Model):
    """The run ends."""

    stopping: Literal[True] = True


class Problem(_Model):
    """What is wrong, and what to do; `mistakes` names each place in a body that does not fit."""

    problem: str
    mistakes: list[str] = []


Truth = dict[str, JsonValue]


@dataclass(frozen=True, slots=True)
class Operation:
    """One row of the API. `answer` None: a stream of `media`."""

    name: str
    method: Literal["get", "post", "put", "delete"]
    path: str
    words: str
    answer: Any
    status: int = 200
    body: Any = None
    problems: tuple[int, ...] = ()
    media: str = "application/json"
    query: Sequence[tuple[str, str, dict[str, Any]]] = field(default=())


_FOLLOW = ("follow", "go on as trucks leave, until the run ends", {"type": "boolean", "default": False})
OPERATIONS = (
    Operation("state", "get", "/state", "The run, and each lane.", State),
    Operation("places", "get", "/places", "Where every device and camera is reached.", dict[str, Place]),
    Operation("lanes", "get", "/lanes", "Each lane.", list[LaneState]),
    Operation(
        "send_truck", "post", "/lanes/{lane}/trucks",
        "Send one truck. What is stated of it is true, the rest is drawn from the seed.",
        Sent, status=201, body=TruckSettings, problems=(404, 409, 422),
    ),
    Operation("faults", "get", "/faults", "Every fault of this run, planned, active and over.", list[FaultState]),
    Operation(
        "begin_fault", "post", "/faults", "Begin a fault at once.",
        FaultState, status=201, body=FaultSettings, problems=(409, 422),
    ),
    Operation("fault", "get", "/faults/{id}", "One fault.", FaultState, problems=(404,)),
    Operation("end_fault", "delete", "/faults/{id}", "End a fault; one that is planned never begins.", FaultState,
              problems=(404,)),
    Operation("traffic", "post", "/traffic", "Start or pause traffic.", State, body=Traffic, problems=(404, 422)),
    Operation("speed", "put", "/speed", "Change the speed of time.", State, body=Speed, problems=(422,)),
    Operation(
        "truth", "get", "/truth", "The truth of every truck so far, one JSON object a line as in truth.jsonl.",
        None, media="application/x-ndjson", query=(_FOLLOW,),
    ),
    Operation(
        "events", "get", "/events",
        "Server-sent events as they happen: `truth` (a truck has left) and `fault` (one began or ended).",
        None, media="text/event-stream",
    ),
    Operation("stop", "post", "/stop", "End the run.", Stopping, status=202),
)  # fmt: skip


def openapi(*, with_token: bool) -> dict[str, Any]:
    """The description, for a server that demands a token or does not."""
    adapters: dict[str, tuple[Any, Literal["validation", "serialization"]]] = {"Problem": (Problem, "serialization")}
    for operation in OPERATIONS:
        if operation.answer is not None:
            adapters[f"{operation.name}.answer"] = (operation.answer, "serialization")
        if operation.body is not None:
            adapters[f"{operation.name}.body"] = (operation.body, "validation")
    schemas, definitions = TypeAdapter.json_schemas(
        [(name, mode, TypeAdapter(type_)) for name, (type_, mode) in adapters.items()],
        ref_template="#/components/schemas/{model}",
    )
    found = {name: schema for (name, _), schema in schemas.items()}
    document: dict[str, Any] = {
        "openapi": "3.1.0",
        "info": {
            "title": "hardware-sim control",
            "version": API_VERSION,
            "description": "Drives a running simulation: trucks, faults, traffic, time. Bodies are JSON.",
        },
        "paths": {},
        "components": {"schemas": definitions.get("$defs", {})},
    }
    for operation in OPERATIONS:
        document["paths"].setdefault(operation.path, {})[operation.method] = _described(operation, found)
    if with_token:
        document["components"]["securitySchemes"] = {"token": {"type": "http", "scheme": "bearer"}}
        document["security"] = [{"token": []}]
    return document


def _described(operation: Operation, schemas: dict[str, Any]) -> dict[str, Any]:
    content: dict[str, Any] = {"schema": {"type": "string"}}
    if operation.answer is not None:
        content = {"schema": schemas[f"{operation.name}.answer"]}
    problem = {"application/json": {"schema": schemas["Problem"]}}
    responses = {str(operation.status): {"description": operation.words, "content": {operation.media: content}}}
    for status in (*operation.problems, 400, 401, 403, 415):
        responses[str(status)] = {"description": _STATUSES[status], "content": problem}
    described: dict[str, Any] = {
        "operationId": operation.name,
        "summary": operation.words,
        "responses": responses,
    }
    parameters = [
        {"name": part[1:-1], "in": "path", "required": True,
         "schema": {"type": "integer"} if part == "{id}" else {"type": "string"}}
        for part in operation.path.split("/") if part.startswith("{")
    ]  # fmt: skip
    parameters += [{"name": n, "in": "query", "description": w, "schema": s} for n, w, s in operation.query]
    if parameters:
        described["parameters"] = parameters
    if operation.body is not None:
        body = {"application/json": {"schema": schemas[f"{operation.name}.body"]}}
        described["requestBody"] = {"required": True, "content": body}
    return described


_STATUSES = {
    400: "The body is no JSON.",
    401: "The bearer token is missing or wrong.",
    403: "The Host header is not one of this server's own names.",
    404: "There is no such lane or fault.",
    409: "It cannot be done now; the problem says why.",
    415: "Bodies are application/json.",
    422: "The body does not fit; every mistake is named.",
}
