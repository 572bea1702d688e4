"""An expectation as people and programs write it: a row of a CSV file, an object of a JSON file, a command's options.

Every field is read by its name; what is wrong with it is a named mistake, and never a guess.
"""

import math
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta

from edge_agent.domain.expected import (
    ExpectationFault,
    ExpectationMistake,
    ExpectedCrossing,
    ExpectedPlate,
    Loading,
    mistakes,
    untimely,
)
from edge_agent.domain.identifiers import normalise_plate
from port_gateway.entry_files import Shape

FIELDS = (
    "id",
    "booths",
    "lanes",
    "plates",
    "container_codes",
    "seals",
    "scac",
    "gross_weight_kg",
    "loading",
    "programmes",
    "arrives_from",
    "arrives_until",
    "note",
)
# 20,000 entries take some 6 MB; an import is one transaction, and a running gateway waits for it.
SHAPE = Shape(FIELDS, ("id",), 20_000, 16_384, '{"id": "…", "plates": ["…"]}')
# No text of an expectation is longer; what is longer is shown by its beginning.
MAX_TEXT = 2000


@dataclass(frozen=True, slots=True)
class Terms:
    """What completes an expectation: the port, now, and how long one is kept after its window, or without one."""

    port: str
    now: datetime
    keep_after: timedelta
    keep_open: timedelta


class _Wrong(Exception):
    def __init__(self, fault: ExpectationFault, wrong: str, remedy: str) -> None:
        super().__init__(wrong)
        self.fault, self.wrong, self.remedy = fault, wrong, remedy


def crossing_of(values: Mapping[str, object], terms: Terms) -> tuple[ExpectedCrossing | None, list[ExpectationMistake]]:
    """The expectation, and everything that is wrong with it; None if it could not be read."""
    found = list(_unknown(values))

    def field(name: str, read: Callable[[object], object]) -> object:
        try:
            return read(values.get(name))
        except _Wrong as wrong:
            found.append(ExpectationMistake(wrong.fault, name, wrong.wrong, wrong.remedy))
            return None

    begins, ends = field("arrives_from", _moment), field("arrives_until", _moment)
    weight, loading = field("gross_weight_kg", _weight), field("loading", _loading)
    texts = {name: field(name, _text) for name in ("id", "scac", "note")}
    lists = {name: field(name, _texts) for name in ("booths", "lanes", "container_codes", "seals", "programmes")}
    plates = field("plates", _plates)
    if found:
        return None, found
    assert isinstance(begins, datetime | None) and isinstance(ends, datetime | None)  # noqa: S101, PT018 - read above
    crossing = ExpectedCrossing(
        id=str(texts["id"]),
        expires=ends + terms.keep_after if ends else max(begins or terms.now, terms.now) + terms.keep_open,
        booth_ids=tuple(_booth(name, terms.port) for name in _list(lists["booths"])),
        lane_ids=tuple(_list(lists["lanes"])),
        plates=tuple(plate for plate in plates if isinstance(plate, ExpectedPlate)) if isinstance(plates, list) else (),
        container_codes=tuple(map(normalise_plate, _list(lists["container_codes"]))),
        seals=tuple(map(normalise_plate, _list(lists["seals"]))),
        scac=str(texts["scac"]).upper(),
        gross_weight_kg=weight if isinstance(weight, float) else None,
        loading=loading if isinstance(loading, Loading) else None,
        programmes=tuple(name.upper() for name in _list(lists["programmes"])),
        arrives_from=begins,
        arrives_until=ends,
        note=str(texts["note"]),
    )
    return crossing, [*mistakes(crossing), *untimely(crossing, terms.now)]


def _unknown(values: Mapping[str, object]) -> Iterator[ExpectationMistake]:
    for name in values:
        if name not in FIELDS:
            say = f"one of {', '.join(FIELDS)}"
            yield ExpectationMistake(ExpectationFault.FIELD_UNKNOWN, name[:80], "no field has this name", say)


def _text(value: object) -> str:
    if value is None:
        return ""
    if isinstance(value, bool) or not isinstance(value, str | int):
        raise _Wrong(ExpectationFault.NOT_READABLE, f"{_shown(value)} is no text", "write it as text")
    text = str(value).strip()
    if len(text) > MAX_TEXT:
        raise _Wrong(ExpectationFault.NOT_READABLE, f"{len(text)} characters", f"at most {MAX_TEXT}")
    return text


def _texts(value: object) -> list[str]:
    """A list, or one text in which `|` stands between its parts."""
    if isinstance(value, list):
        return [text for text in map(_text, value) if text]
    return [part.strip() for part in _text(value).split("|") if part.strip()]


def _plates(value: object) -> list[ExpectedPlate]:
    """`AB1234` or `AB1234:tractor`; in JSON also {"text": …, "role": …}."""
    plates = []
    for item in value if isinstance(value, list) else [value]:
        if isinstance(item, dict):
            if not set(item) <= {"text", "role"}:
                raise _Wrong(ExpectationFault.PLATE_INVALID, _shown(item), 'write {"text": …, "role": "tractor"}')
            plates.append(_plate(_text(item.get("text")), _text(item.get("role"))))
        else:
            plates += [_plate(*text.partition(":")[::2]) for text in _texts(item)]
    return plates


def _plate(text: str, role: str) -> ExpectedPlate:
    return ExpectedPlate(normalise_plate(text), role.strip().lower())


def _weight(value: object) -> float | None:
    say = "kilograms as a number, e.g. 36287; leave it out if it is not declared"
    if value is None or value == "":
        return None
    try:
        weight = math.nan if isinstance(value, bool) else float(str(value)) if isinstance(value, str) else value
    except ValueError:
        weight = math.nan
    if not isinstance(weight, int | float) or not math.isfinite(weight):
        raise _Wrong(ExpectationFault.WEIGHT_INVALID, f"{_shown(value)} is no number", say)
    return float(weight)


def _loading(value: object) -> Loading | None:
    text = _text(value).lower()
    if text in ("", *Loading):
        return Loading(text) if text else None
    raise _Wrong(ExpectationFault.LOADING_INVALID, _shown(value), "laden or empty; leave it out if it is not declared")


def _moment(value: object) -> datetime | None:
    text = _text(value)
    if not text:
        return None
    say = "a date and time with its offset, e.g. 2026-11-22T08:00:00-06:00, or Z for UTC"
    try:
        at = datetime.fromisoformat(text)
        if at.tzinfo is None:
            raise _Wrong(ExpectationFault.WINDOW_INVALID, f"{_shown(value)} says no offset from UTC", say)
        at = at.astimezone(UTC)
    except (ValueError, OverflowError):
        raise _Wrong(ExpectationFault.WINDOW_INVALID, f"{_shown(value)} is no time", say) from None
    if not 2000 <= at.year < 2200:
        raise _Wrong(ExpectationFault.WINDOW_INVALID, f"{_shown(value)} is of another century", say)
    return at


def _booth(name: str, port: str) -> str:
    """The booth's own name is enough within its port."""
    return name if name.startswith("spiffe:") else f"spiffe://{port}/booth/{name}"


def _list(value: object) -> list[str]:
    return [str(item) for item in value] if isinstance(value, list) else []


def _shown(value: object) -> str:
    return repr(value)[:80]
