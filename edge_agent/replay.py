"""Runs a recorded capture through a driver: what would the agent have made of these bytes?

A capture by `edge-agent devices capture` says what it is of, and its times date the readings; what follows from time
alone, as a scan that is given up, happens as it did. Bare bytes have no clock: readings are dated by the stamps
within them (`stamped` form), and not at all without them.
"""

import math
import re
from collections.abc import Iterator
from dataclasses import asdict
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from pydantic import BaseModel, ValidationError

from edge_agent.devices.capture_file import Header, is_capture, read_events, read_header
from edge_agent.devices.catalogue import Driver, driver
from edge_agent.devices.dialogue import Dialogue
from edge_agent.domain.errors import SettingsInvalid
from edge_agent.domain.observation import DeviceState, DeviceStatus, RadiationOccupancy, Reading

CHUNK = 65536
_WORD = re.compile(r"(?<=[a-z])(?=[A-Z])")


def replay(driver_name: str | None, path: Path, form: str | None = None) -> Iterator[dict[str, Any]]:
    """One JSON-able object for each observation, in the order of the recording.

    Each has `type` (the body's name in snake case), `at` (ISO 8601 UTC, or None), the body's own fields, `raw` (the
    device's bytes as text; bytes that are not ASCII as `\\\\xNN`) and `device_time`; an occupancy also `disagreement`.
    `driver_name` may be None for a capture, which names its own; another one is used instead, as it is by itself.
    `form` is 'wire' or 'stamped' where a driver knows both. Memory does not grow with the file. Raises
    SettingsInvalid: before the first object, on an unknown driver, a form that it does not have, or an unreadable
    file; later, with the line, where a capture is damaged.
    """
    header = read_header(path) if is_capture(path) else None
    if header is None and driver_name is None:
        raise SettingsInvalid(f"{path} is no capture that names its driver", "name it: edge-agent replay DRIVER FILE")
    chosen = driver(driver_name or (header.driver if header else ""))
    if not isinstance(chosen, Driver):
        raise SettingsInvalid(f"{chosen.name} has no byte stream that could be recorded", "replay a device with a link")
    if header is None:
        return _bare(chosen.open(_settings(chosen, form)), path)
    if form is None and chosen.name == header.driver:
        return _timed(chosen, _recorded_settings(chosen, header, path), header, path)
    return _timed(chosen, _settings(chosen, form), header, path)


def line(observation: dict[str, Any]) -> str:
    """The same for people: when, what, its fields and the bytes."""
    raw = _printed(observation["raw"])
    return f"{observation['at'] or '-':<24}  {observation['type']:<19}  {said(observation)}  {raw}".rstrip()


def said(observation: dict[str, Any]) -> str:
    """The body's own fields, for people."""
    rest = {key: value for key, value in observation.items() if key not in ("type", "at", "raw", "device_time")}
    return " ".join(f"{key}={_short(value)}" for key, value in rest.items())


def _printed(raw: str) -> str:
    """Bytes that would move a terminal's cursor are spelt out."""
    return "".join(c if c.isprintable() else f"\\x{ord(c):02x}" for c in raw.strip())


def _settings(chosen: Driver, form: str | None) -> BaseModel:
    if form is None:
        try:
            return chosen.settings()
        except ValidationError as error:
            wrong = error.errors()[0]["msg"].removeprefix("Value error, ")
            raise SettingsInvalid(f"{chosen.name}: {wrong}", f"see docs/devices/{chosen.name}.md") from None
    if "format" not in chosen.settings.model_fields:
        raise SettingsInvalid(f"{chosen.name} knows one form of recording only", "leave --format out")
    try:
        return chosen.settings.model_validate({"format": form})
    except ValidationError as error:
        raise SettingsInvalid(
            f"{chosen.name} has no format {form!r}: {error.errors()[0]['msg']}", "use --format wire or --format stamped"
        ) from None


def _recorded_settings(chosen: Driver, header: Header, path: Path) -> BaseModel:
    try:
        return chosen.settings.model_validate(header.settings, context={"folder": path.resolve().parent})
    except ValidationError as error:
        first = error.errors(include_url=False, include_input=False)[0]
        raise SettingsInvalid(
            f"{path}:1: settings.{'.'.join(str(part) for part in first['loc'])}: {first['msg']}",
            f"it was recorded with other settings than {chosen.name} has: name the driver to use its usual ones",
        ) from None


def _bare(dialogue: Dialogue, path: Path) -> Iterator[dict[str, Any]]:
    dialogue.opened(math.nan)
    with path.open("rb") as recording:
        while chunk := recording.read(CHUNK):
            for reading in dialogue.received(chunk, math.nan):
                yield as_object(reading)
    for reading in dialogue.woke(math.inf):
        yield as_object(reading)


def _timed(chosen: Driver, settings: BaseModel, header: Header, path: Path) -> Iterator[dict[str, Any]]:
    began = header.started.timestamp()
    dialogue: Dialogue | None = None
    for event in read_events(path):
        now = began + event.t
        while dialogue and (wake := dialogue.next_wake()) is not None and wake <= now:
            yield from map(as_object, dialogue.woke(wake))
            dialogue.to_send()  # what was sent stands in the file
        if event.kind == "opened" and dialogue:  # a network link that fell silent was closed, and nothing was lost
            yield from map(as_object, dialogue.woke(math.inf))
        if event.kind == "opened" or (event.kind == "rx" and dialogue is None):
            dialogue = chosen.open(settings)
            dialogue.opened(now)
            dialogue.to_send()
        if event.kind == "rx" and dialogue:
            yield from map(as_object, dialogue.received(event.data, now))
            dialogue.to_send()
        if event.kind == "lost":
            yield from map(as_object, dialogue.woke(math.inf) if dialogue else ())
            yield as_object(Reading(DeviceStatus(DeviceState.OFFLINE, event.why), now))
            dialogue = None
    if dialogue:
        yield from map(as_object, dialogue.woke(math.inf))


def as_object(reading: Reading) -> dict[str, Any]:
    """A reading as `replay` gives it; `reading.at` in seconds since 1970."""
    body = reading.body
    extra = {"disagreement": body.disagreement} if isinstance(body, RadiationOccupancy) else {}
    return {
        "type": _WORD.sub("_", type(body).__name__).lower(),
        "at": _iso(reading.at),
        **asdict(body),
        **extra,
        "raw": reading.raw.decode("ascii", errors="backslashreplace"),
        "device_time": reading.device_time,
    }


def _iso(at: float) -> str | None:
    if math.isnan(at):
        return None
    try:
        moment = datetime.fromtimestamp(round(at, 3), UTC)
    except (ValueError, OverflowError):  # a stamp at the end of the calendar, outside it in UTC
        return None
    return moment.isoformat(timespec="milliseconds").replace("+00:00", "Z")


def _short(value: object) -> str:
    match value:
        case None:
            return "-"
        case bool():
            return str(value).lower()
        case float():
            return f"{value:.4g}"
        case dict():
            return "(" + " ".join(f"{key}={_short(item)}" for key, item in value.items()) + ")"
        case tuple() | list() if value and all(isinstance(item, tuple) and len(item) == 2 for item in value):
            return "/".join(f"{_short(name)}:{_short(item)}" for name, item in value)
        case tuple() | list():
            return "/".join(_short(item) for item in value)
        case _:
            return _printed(str(value))
