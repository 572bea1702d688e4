"""The page in HTML: templates with every text escaped, in panels that are renewed one by one while it is open."""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from datetime import datetime, tzinfo
from functools import partial
from typing import Any

from jinja2 import Environment, PackageLoader, StrictUndefined
from markupsafe import Markup

from edge_agent.console import record
from edge_agent.console.board import Board
from edge_agent.console.words import DEVICES_IN_SPANISH, LANGUAGES, NAMES, TEXTS, said

PANELS = ("banner", "lanes", "vehicle", "earlier", "devices", "health")
THEMES = ("auto", "day", "night")
# Where eyes look for what was read. What is said again stays where it stands: a camera says its plate every second.
_PLACES = ("plate", "container_code", "seal", "seal_present", "tag", "weight", "radiation_quiet")
_WRONG = ("seal_broken", "seal_other_number", "radiation_alarm")


@dataclass(frozen=True, slots=True)
class Choices:
    """What the reader chose, kept in cookies."""

    language: str = "en"
    theme: str = "auto"
    keys: bool = True


class Page:
    """Renders for one booth; `zone` is that of the times of day."""

    def __init__(self, board: Board, zone: tzinfo, zone_name: str) -> None:
        self._board, self._zone, self._zone_name = board, zone, zone_name
        # Everything is escaped; a name that is not there is a mistake of ours.
        self._environment = Environment(
            loader=PackageLoader("edge_agent.console"),
            autoescape=True,
            undefined=StrictUndefined,
            trim_blocks=True,
            lstrip_blocks=True,
        )
        self._environment.globals.update(
            record=record, languages=LANGUAGES, names=NAMES, in_order=_in_order, is_wrong=_is_wrong
        )
        self._rendered: dict[tuple[str, str], dict[str, str]] = {}
        self._version = -1

    def panels(self, language: str, vehicle_id: str) -> Mapping[str, str]:
        """HTML of each panel, now; the same object while nothing has changed."""
        if self._version != self._board.version:
            self._rendered.clear()
            self._version = self._board.version
        key = (language, vehicle_id if self._board.vehicle(vehicle_id) else vehicle_id and "?")
        if key not in self._rendered:
            values = self._values(language) | {"chosen": vehicle_id, "vehicle": self._vehicle(vehicle_id)}
            self._rendered[key] = {
                panel: self._environment.get_template(f"{panel}.html").render(values) for panel in PANELS
            }
        return self._rendered[key]

    def whole(self, choices: Choices, vehicle_id: str, *, leaves: bool) -> str:
        """The page. `leaves`: there is a session to leave."""
        return self._environment.get_template("page.html").render(
            self._values(choices.language),
            choices=choices,
            chosen=vehicle_id,
            vehicle=self._vehicle(vehicle_id),
            panels={name: Markup(html) for name, html in self.panels(choices.language, vehicle_id).items()},  # noqa: S704
            leaves=leaves,
        )

    def log_in(self, choices: Choices, notice: str = "", **values: object) -> str:
        """The page that asks for the password; `notice` is a key of the words."""
        return self._environment.get_template("log_in.html").render(
            self._values(choices.language), choices=choices, notice=notice, notice_values=values
        )

    def refused(self, choices: Choices, code: str, why: str) -> str:
        """Any other answer than the page."""
        return self._environment.get_template("refused.html").render(
            self._values(choices.language), choices=choices, code=code, why=why
        )

    def _vehicle(self, vehicle_id: str) -> Any:
        if vehicle_id:
            return self._board.vehicle(vehicle_id)
        return self._board.vehicles[0] if self._board.vehicles else None

    def _values(self, language: str) -> dict[str, Any]:
        say = partial(_say, language)
        return {
            "say": say,
            "language": language,
            "board": self._board,
            "live": self._board.live,
            "health": self._board.health,
            "listed": self._board.listed,
            "zone": self._zone_name,
            "time": partial(_time, self._zone),
            "kind": partial(_kind, language),
            "silent_ms": int(self._board.silent_since.utc.timestamp() * 1000),
            "bytes": _bytes,
        }


def _is_wrong(read: Mapping[str, Any]) -> bool:
    return read["what"] in _WRONG or not read.get("ok", True)


def _in_order(reads: Iterable[Mapping[str, Any]]) -> list[Mapping[str, Any]]:
    """What is wrong first, then each kind at its place; of a kind what was read first last."""

    def place(read: Mapping[str, Any]) -> tuple[bool, int, int]:
        known = read["what"] in _PLACES
        return not _is_wrong(read), _PLACES.index(read["what"]) if known else len(_PLACES), -read["first"]

    return sorted(reads, key=place)


def _say(language: str, key: str, **values: object) -> str:
    return said(language, key, values)


def _kind(language: str, what: str) -> str:
    """What a device is, in the reader's language; one of somebody else's driver as that calls it."""
    camera = f"camera.{what.removeprefix('camera (').removesuffix(')')}"
    if camera in TEXTS:
        return said(language, camera)
    return DEVICES_IN_SPANISH.get(what, what) if language == "es" else what


def _time(zone: tzinfo, ms: int, since: bool = False) -> Markup:
    """A moment as an element; with `since` the page counts on how long ago that was."""
    moment = datetime.fromtimestamp(ms / 1000, zone)
    counting = Markup(' <span class="ago" data-since="{}"></span>').format(ms) if since else ""
    element = Markup('<time datetime="{}">{}</time>{}')
    return element.format(moment.isoformat(timespec="seconds"), f"{moment:%H:%M:%S}", counting)


def _bytes(size: int) -> str:
    value, units = float(size), ["B", "kB", "MB", "GB", "TB"]
    while value >= 1000 and len(units) > 1:
        value, units = value / 1000, units[1:]
    return f"{value:.0f}\u00a0{units[0]}"
