"""Runs a recorded capture through a driver: what would the agent have made of these bytes?

A recording has no clock. Readings are dated by the stamps within it (`stamped` form), and not at all without them.
"""

import math
import re
from collections.abc import Iterator
from dataclasses import asdict
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from pydantic import BaseModel, ValidationError

from edge_agent.devices.catalogue import Driver, driver
from edge_agent.devices.dialogue import Dialogue
from edge_agent.domain.errors import SettingsInvalid
from edge_agent.domain.observation import RadiationOccupancy, Reading

CHUNK = 65536
_WORD = re.compile(r"(?<=[a-z])(?=[A-Z])")


def replay(driver_name: str, path: Path, form: str | None = None) -> Iterator[dict[str, Any]]:
    """One JSON-able object for each observation, in the order of the recording.

    Each has `type` (the body's name in snake case), `at` (ISO 8601 UTC, or None), the body's own fields, `raw` (the
    device's bytes as text; bytes that are not ASCII as `\\\\xNN`) and `device_time`; an occupancy also `disagreement`.
    `form` is 'wire' or 'stamped' where a driver knows both. Memory does not grow with the file. Raises
    SettingsInvalid, before the first object, on an unknown driver, a form that it does not have, or an
    unreadable file.
    """
    chosen = driver(driver_name)
    if not isinstance(chosen, Driver):
        raise SettingsInvalid(f"{chosen.name} has no byte stream that could be recorded", "replay a device with a link")
    settings = _settings(chosen, form)
    try:
        path.open("rb").close()
    except OSError as error:
        raise SettingsInvalid(f"{path} cannot be read: {error.strerror}", "give the path of a capture file") from None
    return _objects(chosen.open(settings), path)


def line(observation: dict[str, Any]) -> str:
    """The same for people: when, what, its fields and the bytes."""
    rest = {key: value for key, value in observation.items() if key not in ("type", "at", "raw", "device_time")}
    said = " ".join(f"{key}={_short(value)}" for key, value in rest.items())
    return f"{observation['at'] or '-':<24}  {observation['type']:<19}  {said}  {observation['raw'].strip()}".rstrip()


def _settings(chosen: Driver, form: str | None) -> BaseModel:
    if form is None:
        return chosen.settings()
    if "format" not in chosen.settings.model_fields:
        raise SettingsInvalid(f"{chosen.name} knows one form of recording only", "leave --format out")
    try:
        return chosen.settings.model_validate({"format": form})
    except ValidationError as error:
        raise SettingsInvalid(
            f"{chosen.name} has no format {form!r}: {error.errors()[0]['msg']}", "use --format wire or --format stamped"
        ) from None


def _objects(dialogue: Dialogue, path: Path) -> Iterator[dict[str, Any]]:
    dialogue.opened(math.nan)
    with path.open("rb") as recording:
        while chunk := recording.read(CHUNK):
            for reading in dialogue.received(chunk, math.nan):
                yield _object(reading)
    for reading in dialogue.woke(math.inf):
        yield _object(reading)


def _object(reading: Reading) -> dict[str, Any]:
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
    if isinstance(value, float):
        return f"{value:.4g}"
    if isinstance(value, tuple | list):
        return "/".join(str(item) for item in value)
    return "-" if value is None else str(value).lower() if isinstance(value, bool) else str(value)
