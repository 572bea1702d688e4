"""Reads a YAML settings or scenario file into a pydantic model, and reports every mistake with its line."""

import re
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Generic, TypeVar

import yaml
from pydantic import BaseModel, ValidationError

from edge_agent.domain.counted import counted
from edge_agent.domain.errors import SettingsInvalid
from edge_agent.settings_numbers import NO_NUMBER, truth_values
from edge_agent.settings_words import Mistake, Place, all_in_words, without_passwords

__all__ = [
    "MAX_BYTES",
    "Examined",
    "Further",
    "Mistake",
    "Place",
    "examine_settings",
    "parse_settings",
    "read_settings",
]

Model = TypeVar("Model", bound=BaseModel)

# A booth's file has some hundred lines; the limit keeps a wrong path (a video, a disk image) out of memory.
MAX_BYTES = 1024 * 1024
# Where a booth's file is described.
_PAGE = "docs/operate.md"
_INT = "tag:yaml.org,2002:int"
_BOOL = "tag:yaml.org,2002:bool"
_STR = "tag:yaml.org,2002:str"

Further = Callable[[object], Iterable[Mistake]]


@dataclass(frozen=True, slots=True)
class Examined(Generic[Model]):
    """A file with what is wrong with it: `values` as they were read, `model` if they fit it.

    `places` are where mistakes stand; `wrong` says all of them, None if there is none.
    """

    values: object
    model: Model | None
    places: tuple[Place, ...]
    wrong: SettingsInvalid | None

    def checked(self) -> Model:
        """Raises SettingsInvalid if anything is wrong."""
        if self.wrong is not None or self.model is None:
            raise self.wrong or AssertionError("neither a model nor a mistake")
        return self.model


def read_settings(path: Path, model: type[Model], further: Further = lambda values: (), page: str = _PAGE) -> Model:
    """Parse `path` as YAML and validate it as `model`.

    `further` gets the values as they were read, whether or not they fit the model, and adds mistakes of its own.
    `page` has an example of such a file. Raises SettingsInvalid with one line for every mistake: file, line, place,
    what is wrong and what to do.
    """
    return examine_settings(path, model, further, page).checked()


def examine_settings(
    path: Path, model: type[Model], further: Further = lambda values: (), page: str = _PAGE
) -> Examined[Model]:
    """As `read_settings`; raises SettingsInvalid only on a file that cannot be read, or is not YAML."""
    return _examine(_read(path), model, str(path), further, page)


def parse_settings(
    text: str, model: type[Model], name: str, further: Further = lambda values: (), page: str = _PAGE
) -> Model:
    """As `read_settings`, for text that is already in memory; `name` stands in the messages."""
    return _examine(text, model, name, further, page).checked()


def _examine(text: str, model: type[Model], name: str, further: Further, page: str) -> Examined[Model]:
    try:
        node = yaml.compose(text, Loader=_NoAliasLoader)
        if node is None:
            raise SettingsInvalid(f"{name}: the file is empty", f"start from the example in {page}")
        lines: dict[Place, int] = {}
        twice = _walk(node, (), lines)
        values = yaml.load(text, Loader=_NoAliasLoader)  # noqa: S506 - derived from SafeLoader
    except yaml.MarkedYAMLError as error:
        raise _not_yaml(error, name) from None
    except RecursionError:
        raise SettingsInvalid(f"{name}: nested too deep", "this is no settings file: check the path") from None
    except (yaml.YAMLError, ValueError) as error:
        raise SettingsInvalid(f"{name}: not YAML: {error}", "save it as UTF-8 text") from None
    reports = [(line, f"{name}:{line}: {what}") for _, line, what in twice]
    places = [place for place, _, _ in twice]
    result: Model | None = None
    mistakes: list[Mistake] = []
    try:
        result = model.model_validate(values)
    except ValidationError as error:
        mistakes = all_in_words(error, model, lines)
    nul = {mistake.place: mistake for mistake in _nul_characters(values, ())}
    found = dict.fromkeys((*mistakes, *_no_numbers(values, model), *further(values)))
    for mistake in (*nul.values(), *(mistake for mistake in found if mistake.place not in nul)):
        line = _line(mistake.place, lines)
        remedy = f"\n  → {mistake.remedy}" if mistake.remedy else ""
        reports.append((line, f"{name}:{line}: {_dotted(mistake.place)}: {mistake.wrong}{remedy}"))
        places.append(mistake.place)
    if not reports:
        return Examined(values, result, (), None)
    reports.sort(key=lambda report: report[0])
    count = counted(len(reports), "mistake")
    wrong = without_passwords("\n".join(text for _, text in reports))
    return Examined(values, result, tuple(places), SettingsInvalid(wrong, f"{count} to correct in {name}"))


def _no_numbers(values: object, model: type[BaseModel]) -> Iterator[Mistake]:
    for place in truth_values(values, model, ()):
        yield Mistake(place, *NO_NUMBER)


def _nul_characters(value: object, place: Place) -> Iterator[Mistake]:
    """Where a text holds one: no path, name or address can, and the system's calls fail on it."""
    if isinstance(value, str) and "\0" in value:
        yield Mistake(place, "a NUL character stands in it", "write it without \\0")
    elif isinstance(value, dict):
        for key, one in value.items():
            if key != "prefix":  # what a scanner sends before each scan: any characters
                yield from _nul_characters(one, (*place, key))
    elif isinstance(value, list):
        for index, one in enumerate(value):
            yield from _nul_characters(one, (*place, index))


class _NoAliasLoader(yaml.SafeLoader):
    """Aliases make YAML expand without bound ("billion laughs"), and no settings file needs them.

    A number is written in decimal digits: YAML 1.1 would read a lane's id of 010 as 8, and one of 1:30 as 90. Only true
    and false are truth values by themselves: a port that is `on` is none, and `NO` is Norway. A name is text as it is
    written: a lane 1.10 is not 1.1.
    """

    def compose_node(self, parent: Any, index: Any) -> yaml.Node | None:
        if self.check_event(yaml.AliasEvent):
            event = self.peek_event()  # type: ignore[no-untyped-call]
            raise yaml.composer.ComposerError(None, None, "aliases (*name) are not read", event.start_mark)
        node = super().compose_node(parent, index)
        if index is None and isinstance(parent, yaml.MappingNode) and isinstance(node, yaml.ScalarNode):
            node.tag = _STR
        return node


_NoAliasLoader.yaml_implicit_resolvers = {
    first: [(tag, pattern) for tag, pattern in resolvers if tag not in (_INT, _BOOL)]
    for first, resolvers in yaml.SafeLoader.yaml_implicit_resolvers.items()
}
_NoAliasLoader.add_implicit_resolver(_INT, re.compile(r"[-+]?(?:0|[1-9][0-9_]*)$"), list("-+0123456789"))
_NoAliasLoader.add_implicit_resolver(_BOOL, re.compile(r"(?:true|True|TRUE|false|False|FALSE)$"), list("tTfF"))


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


# What PyYAML says, and what that mostly comes from.
_YAML_PROBLEMS = {
    "cannot start any token": ("a character that YAML does not take here", "indent with spaces, never with a tab"),
    "mapping values are not allowed": (
        "a `name: value` stands where none can",
        "look at its indentation, at the line above (a space must follow its colon), and put text with ': ' in quotes",
    ),
    "expected <block end>": (
        "it is indented otherwise than the lines that it belongs to",
        "indent all settings of one mapping, and all `- ` of one list, alike",
    ),
    "could not find expected ':'": ("a name without a colon", "write `name: value`"),
    "unexpected end of stream": ("a quote that is not closed", "close it"),
}


def _not_yaml(error: yaml.MarkedYAMLError, name: str) -> SettingsInvalid:
    problem = error.problem or ""
    mark = error.problem_mark or error.context_mark
    if "while scanning" in (error.context or "") and error.context_mark:
        mark = error.context_mark  # where it began, and not where the file ended without it
    place = f"{name}:{mark.line + 1}" if mark else name
    for part, (wrong, remedy) in _YAML_PROBLEMS.items():
        if part in problem:
            return SettingsInvalid(f"{place}: not YAML: {wrong}", remedy)
    return SettingsInvalid(f"{place}: not YAML: {problem}", "correct that line")


def _walk(node: yaml.Node, place: Place, lines: dict[Place, int]) -> list[tuple[Place, int, str]]:
    """Note the line of every place; report keys that occur twice, of which YAML would drop one silently."""
    lines[place] = node.start_mark.line + 1
    mistakes: list[tuple[Place, int, str]] = []
    if isinstance(node, yaml.MappingNode):
        seen: set[str] = set()
        for key, value in node.value:
            line = key.start_mark.line + 1
            if not isinstance(key, yaml.ScalarNode):
                continue  # a list or mapping as a name: the loader refuses it
            if key.value in seen:
                what = f"'{key.value}' stands here a second time\n  → keep one of them"
                mistakes.append(((*place, key.value), line, what))
            seen.add(key.value)
            mistakes += _walk(value, (*place, key.value), lines)
            lines[(*place, key.value)] = line
    elif isinstance(node, yaml.SequenceNode):
        for index, item in enumerate(node.value):
            mistakes += _walk(item, (*place, index), lines)
    return mistakes


def _line(place: Place, lines: dict[Place, int]) -> int:
    while place and place not in lines:  # what is missing has no line of its own
        place = place[:-1]
    return lines.get(place, 1)


def _dotted(place: Place) -> str:
    return ".".join(str(part) for part in place) or "the file"
