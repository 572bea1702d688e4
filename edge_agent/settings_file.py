"""Reads a YAML settings or scenario file into a pydantic model, and reports every mistake with its line."""

import re
from collections.abc import Callable, Iterable
from pathlib import Path
from typing import Any, NamedTuple, TypeVar

import yaml
from pydantic import BaseModel, ValidationError

from edge_agent.domain.errors import SettingsInvalid

Model = TypeVar("Model", bound=BaseModel)

# A booth's file has some hundred lines; the limit keeps a wrong path (a video, a disk image) out of memory.
MAX_BYTES = 1024 * 1024
# A camera's URL may carry its password, and messages go to logs.
# A password may hold any character, unescaped too: up to the last @ before the value ends.
_CREDENTIALS = re.compile(r"([a-z][a-z0-9+.-]*:)//?[^\s'\"]*@", re.IGNORECASE)
_INT = "tag:yaml.org,2002:int"
_REMEDIES = {
    "extra_forbidden": "remove it, or correct its spelling",
    "missing": "add it",
}


Place = tuple[str | int, ...]


class Mistake(NamedTuple):
    """What a model cannot say of itself: where it stands in the file, what is wrong, what to do."""

    place: Place
    wrong: str
    remedy: str


Further = Callable[[object], Iterable[Mistake]]


def read_settings(path: Path, model: type[Model], further: Further = lambda values: ()) -> Model:
    """Parse `path` as YAML and validate it as `model`.

    `further` gets the values as they were read, whether or not they fit the model, and adds mistakes of its own.
    Raises SettingsInvalid with one line for every mistake: file, line, place, what is wrong and what to do.
    """
    return parse_settings(_read(path), model, str(path), further)


def parse_settings(text: str, model: type[Model], name: str, further: Further = lambda values: ()) -> Model:
    """As `read_settings`, for text that is already in memory; `name` stands in the messages."""
    try:
        node = yaml.compose(text, Loader=_NoAliasLoader)
        if node is None:
            raise SettingsInvalid(f"{name}: the file is empty", "start from the example in docs/operate.md")
        lines: dict[Place, int] = {}
        mistakes = _walk(node, (), lines)
        values = yaml.load(text, Loader=_NoAliasLoader)  # noqa: S506 - derived from SafeLoader
    except yaml.MarkedYAMLError as error:
        mark = error.problem_mark or error.context_mark
        place = f"{name}:{mark.line + 1}" if mark else name
        raise SettingsInvalid(f"{place}: not YAML: {error.problem}", "correct that line") from None
    except RecursionError:
        raise SettingsInvalid(f"{name}: nested too deep", "this is no settings file: check the path") from None
    except (yaml.YAMLError, ValueError) as error:
        raise SettingsInvalid(f"{name}: not YAML: {error}", "save it as UTF-8 text") from None
    reports = [(line, f"{name}:{line}: {what}") for line, what in mistakes]
    result: Model | None = None
    try:
        result = model.model_validate(values)
    except ValidationError as error:
        reports += [_report(name, dict(e), lines) for e in error.errors(include_url=False)]
    for mistake in further(values):
        line = _line(mistake.place, lines)
        reports.append((line, f"{name}:{line}: {_dotted(mistake.place)}: {mistake.wrong}\n  → {mistake.remedy}"))
    if reports or result is None:
        reports.sort(key=lambda report: report[0])
        count = "1 mistake" if len(reports) == 1 else f"{len(reports)} mistakes"
        said = _CREDENTIALS.sub(r"\1//***@", "\n".join(text for _, text in reports))
        raise SettingsInvalid(said, f"{count} to correct in {name}")
    return result


class _NoAliasLoader(yaml.SafeLoader):
    """Aliases make YAML expand without bound ("billion laughs"), and no settings file needs them.

    A number is written in decimal digits: YAML 1.1 would read a lane's id of 010 as 8, and one of 1:30 as 90.
    """

    def compose_node(self, parent: Any, index: Any) -> yaml.Node | None:
        if self.check_event(yaml.AliasEvent):
            event = self.peek_event()  # type: ignore[no-untyped-call]
            raise yaml.composer.ComposerError(None, None, "aliases (*name) are not read", event.start_mark)
        return super().compose_node(parent, index)


_NoAliasLoader.yaml_implicit_resolvers = {
    first: [(tag, pattern) for tag, pattern in resolvers if tag != _INT]
    for first, resolvers in yaml.SafeLoader.yaml_implicit_resolvers.items()
}
_NoAliasLoader.add_implicit_resolver(_INT, re.compile(r"[-+]?(?:0|[1-9][0-9_]*)$"), list("-+0123456789"))


def _read(path: Path) -> str:
    try:
        with path.open("rb") as file:
            data = file.read(MAX_BYTES + 1)
    except OSError as error:
        raise SettingsInvalid(f"{path}: cannot be read: {error.strerror}", "check the path") from None
    if len(data) > MAX_BYTES:
        raise SettingsInvalid(f"{path}: larger than {MAX_BYTES} bytes", "this is no settings file: check the path")
    try:
        return data.decode()
    except UnicodeDecodeError as error:
        line = data[: error.start].count(b"\n") + 1
        raise SettingsInvalid(f"{path}:{line}: not UTF-8 text", "save it as UTF-8 text") from None


def _walk(node: yaml.Node, place: Place, lines: dict[Place, int]) -> list[tuple[int, str]]:
    """Note the line of every place; report keys that occur twice, of which YAML would drop one silently."""
    lines[place] = node.start_mark.line + 1
    mistakes: list[tuple[int, str]] = []
    if isinstance(node, yaml.MappingNode):
        seen: set[str] = set()
        for key, value in node.value:
            line = key.start_mark.line + 1
            if not isinstance(key, yaml.ScalarNode):
                continue  # a list or mapping as a name: the loader refuses it
            if key.value in seen:
                mistakes.append((line, f"'{key.value}' stands here a second time\n  → keep one of them"))
            seen.add(key.value)
            mistakes += _walk(value, (*place, key.value), lines)
            lines[(*place, key.value)] = line
    elif isinstance(node, yaml.SequenceNode):
        for index, item in enumerate(node.value):
            mistakes += _walk(item, (*place, index), lines)
    return mistakes


def _report(name: str, error: dict[str, Any], lines: dict[Place, int]) -> tuple[int, str]:
    line = _line(error["loc"], lines)
    message = error["msg"].removeprefix("Value error, ")
    remedy = _REMEDIES.get(error["type"])
    if error["type"] == "extra_forbidden":
        message = "no such setting"
    elif error["type"] == "missing":
        message = "this setting is missing"
    text = f"{name}:{line}: {_dotted(error['loc'])}: {message}"
    if remedy is None:
        remedy = f"it is {_short(error['input'])}: correct it" if "\n" not in message else None
    return line, f"{text}\n  → {remedy}" if remedy else text


def _line(place: Place, lines: dict[Place, int]) -> int:
    while place and place not in lines:  # union tags and missing keys have no line of their own
        place = place[:-1]
    return lines.get(place, 1)


def _dotted(place: Place) -> str:
    return ".".join(str(part) for part in place) or "the file"


def _short(value: object) -> str:
    text = _CREDENTIALS.sub(r"\1//***@", repr(value))
    return text if len(text) <= 60 else text[:57] + "..."
