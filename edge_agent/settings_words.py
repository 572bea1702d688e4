"""A mistake that pydantic found in a settings file, in words for whoever wrote the file.

place    where it stands in the file: pydantic's own, without what only the model knows (tags of unions)
wrong    what is wrong
remedy   what to do; names that may stand there, the nearest first
"""

import re
from collections.abc import Container, Iterator, Sequence
from datetime import date
from difflib import get_close_matches
from typing import Any, NamedTuple

from pydantic import BaseModel, TypeAdapter, ValidationError

Place = tuple[str | int, ...]


class Mistake(NamedTuple):
    """Where it stands in the file, what is wrong, what to do ("" where `wrong` says that)."""

    place: Place
    wrong: str
    remedy: str


# A camera's URL may carry its password, and messages go to logs.
# A password may hold any character, unescaped too: up to the last @ before the value ends.
_CREDENTIALS = re.compile(r"([a-z][a-z0-9+.-]*:)//?[^\s'\"]*@", re.IGNORECASE)
# The same where it is the whole value: nothing ends it.
_ALONE = re.compile(r"([a-z][a-z0-9+.-]*:)//?.*@", re.IGNORECASE | re.DOTALL)
_MOST_SHOWN = 60

_WORDS = {
    "int": "must be a whole number",
    "float": "must be a number",
    "finite": "must be a finite number",
    "bool": "must be true or false",
    "string_type": "must be text",
    "path_type": "must be the path of a file or folder",
    "dict": "must be a mapping: lines of `name: value`",
    "model": "must be a mapping: lines of `name: value`",
    "list": "must be a list",
    "tuple": "must be a list",
    "greater_than_equal": "must be at least {ge}",
    "greater_than": "must be more than {gt}",
    "less_than_equal": "must be at most {le}",
    "less_than": "must be less than {lt}",
    "literal_error": "must be {expected}",
    "enum": "must be {expected}",
    "string_pattern_mismatch": "must fit the pattern {pattern}",
    "string_too_short": "must have {min_length} or more characters",
    "string_too_long": "must have {max_length} or fewer characters",
    "too_short": "must have {min_length} or more entries",
    "too_long": "must have {max_length} or fewer entries",
}
_PLAIN = ("int_type", "float_type", "bool_type", "string_type")
_MAPPINGS = ("dict", "model")
_LISTS = ("list", "tuple")


def all_in_words(error: ValidationError, model: type[BaseModel], places: Container[Place]) -> list[Mistake]:
    """Every mistake of `model`. Of what may be a number or a part with settings of its own, and is the second, it is
    not told that it is no number."""
    found = [(dict(e), in_words(e, model, places)) for e in error.errors(include_url=False)]
    return [
        said
        for e, said in found
        if not (e["type"] in _PLAIN and isinstance(e["input"], dict | list) and any(_inside(o, said) for _, o in found))
    ]


def _inside(one: Mistake, other: Mistake) -> bool:
    return len(one.place) > len(other.place) and one.place[: len(other.place)] == other.place


def in_words(error: Any, model: type[BaseModel] | TypeAdapter[Any], places: Container[Place]) -> Mistake:
    """One of pydantic's `errors()` of `model`; `places` are those that stand in the file."""
    kind: str = error["type"]
    context: dict[str, Any] = error.get("ctx", {})
    place = place_in_file(error["loc"], places)
    stem = kind if kind in _WORDS else kind.split("_")[0]
    match kind:
        case "missing":
            return Mistake((*place, error["loc"][-1]), "this setting is missing", "add it")
        case "extra_forbidden":
            key = str(error["loc"][-1])
            return Mistake(place, "no such setting", one_of(key, _names(model, error["loc"][:-1])))
        case "union_tag_not_found" | "union_tag_invalid":
            tag = context["discriminator"].strip("'")
            known = _tags(model, error["loc"])
            if kind == "union_tag_not_found":
                return Mistake((*place, tag), "this setting is missing", f"add it: one of {', '.join(known)}")
            return Mistake((*place, tag), f"there is no {tag} {context['tag']!r}", one_of(context["tag"], known))
        case "literal_error" | "enum" if isinstance(error["input"], str):
            known = [word.strip("'") for word in context["expected"].replace(" or ", ", ").split(", ")]
            near = _nearest(error["input"], known)
            remedy = f"did you mean {near}?" if near else _as_it_is(error["input"])
            return Mistake(place, _WORDS[kind].format(**context), remedy)
        case "value_error":
            return Mistake(place, error["msg"].removeprefix("Value error, "), _as_it_is(error["input"]))
        case _ if stem in _WORDS:
            bounds = {name: f"{value:g}" if isinstance(value, float) else value for name, value in context.items()}
            return Mistake(place, _WORDS[stem].format(**bounds), _shape(stem, error, model))
        case _:
            return Mistake(place, error["msg"].replace("Input should be", "must be"), _as_it_is(error["input"]))


def place_in_file(loc: Sequence[str | int], places: Container[Place]) -> Place:
    """The parts of `loc` that stand in the file."""
    place: Place = ()
    for part in loc:
        for named in (part, str(part)):
            if (*place, named) in places:
                place = (*place, named)
                break
    return place


def in_body(error: Any, model: type[BaseModel] | TypeAdapter[Any], values: object) -> str:
    """One of pydantic's `errors()` on one line, for `values` that stand in no file."""
    place, wrong, remedy = in_words(error, model, places_of(values))
    return f"{'.'.join(map(str, place)) or 'the body'}: {wrong}" + (f" ({remedy})" if remedy else "")


def places_of(values: object, place: Place = ()) -> set[Place]:
    """Every place in the values."""
    items = values.items() if isinstance(values, dict) else enumerate(values) if isinstance(values, list) else ()
    return {place}.union(*(places_of(value, (*place, key)) for key, value in items))


def one_of(word: str, known: Sequence[str]) -> str:
    """What to do about a word that is none of those that are known."""
    if not known:
        return "remove it, or correct its spelling"
    near = _nearest(word, known)
    return (f"did you mean {near}? " if near else "") + f"there are: {', '.join(known)}"


def _nearest(word: str, known: Sequence[str]) -> str:
    """The one of them that is most like it, in whatever case it is written; "" if none is."""
    by_lower = {one.lower(): one for one in known}
    near = get_close_matches(word.lower(), by_lower, 1)
    return by_lower[near[0]] if near else ""


def without_passwords(text: str) -> str:
    """The text with what stands before the @ of every URL taken out."""
    return _CREDENTIALS.sub(r"\1//***@", text)


def _shown(value: object) -> str:
    """A value as it stands in the file; "" for a mapping, or a list of more than plain values."""
    if isinstance(value, bool):
        return str(value).lower()
    if isinstance(value, dict) or (isinstance(value, list | tuple) and any(isinstance(v, dict | list) for v in value)):
        return ""
    if isinstance(value, str):
        text = repr(_ALONE.sub(r"\1//***@", value))
    else:
        text = "empty" if value is None else str(value) if isinstance(value, date) else without_passwords(repr(value))
    return text if len(text) <= _MOST_SHOWN else text[: _MOST_SHOWN - 3] + "..."


def _as_it_is(value: object) -> str:
    text = _shown(value)
    return f"it is {text}: correct it" if text else ""


def _shape(stem: str, error: Any, model: type[BaseModel] | TypeAdapter[Any]) -> str:
    """What to do about a value of another shape than it should have."""
    value = error["input"]
    if not error["loc"]:  # a key, a list of plates: what it holds is not for a message
        return f"it has no settings in it; there are: {', '.join(_names(model, ()))}"
    if stem in _LISTS and value is None:
        return "it is empty: write [] if there is none, or take the line out"
    if stem in _LISTS:
        return "put [ ] around it, or write each entry on a line of its own with `- ` before it"
    if stem in _MAPPINGS and isinstance(value, list):
        return "it is a list: take away the `- `, and give each entry a name with a colon"
    if stem in _MAPPINGS:
        known, kinds = _names(model, error["loc"]), _tags(model, error["loc"])
        which = f"; there are: {', '.join(known)}" if known else f"; kinds are: {', '.join(kinds)}" if kinds else ""
        if value is not None and (known or kinds):
            return f"it is {_shown(value)}: write for instance {{{known[0] if known else 'kind'}: …}}{which}"
        return f"it is {_shown(value)}: indent what belongs to it further than its own line{which}"
    if stem == "string_type" and isinstance(value, int | float | date):
        return f"it is {_shown(value)}: put it in quotes"
    return _as_it_is(value)


# --- what may stand at a place, from the model's JSON schema ----------------------------------------------------------


def _names(model: type[BaseModel] | TypeAdapter[Any], loc: Sequence[str | int]) -> list[str]:
    """The settings that a mapping at `loc` may have."""
    return list(dict.fromkeys(name for node in _nodes(model, loc) for name in node.get("properties", ())))


def _tags(model: type[BaseModel] | TypeAdapter[Any], loc: Sequence[str | int]) -> list[str]:
    """The kinds of which a mapping at `loc` may be."""
    return [tag for node in _nodes(model, loc) for tag in node.get("discriminator", {}).get("mapping", ())]


def _nodes(model: type[BaseModel] | TypeAdapter[Any], loc: Sequence[str | int]) -> list[dict[str, Any]]:
    schema = model.json_schema() if isinstance(model, TypeAdapter) else model.model_json_schema()
    nodes = list(_branches(schema, schema))
    for part in loc:
        # A part that leads nowhere names a member of a union: its branches are in `nodes` already.
        inside = [found for node in nodes for step in _steps(node, part) for found in _branches(step, schema)]
        nodes = inside or nodes
    return nodes


def _steps(node: dict[str, Any], part: str | int) -> Iterator[dict[str, Any]]:
    mapping = node.get("discriminator", {}).get("mapping", {})
    if part in mapping:
        yield {"$ref": mapping[part]}
    elif isinstance(part, int):
        prefix = node.get("prefixItems", [])
        if part < len(prefix):
            yield prefix[part]
        elif isinstance(node.get("items"), dict):
            yield node["items"]
    elif part in node.get("properties", {}):
        yield node["properties"][part]
    elif isinstance(node.get("additionalProperties"), dict):
        yield node["additionalProperties"]
    else:
        yield from node.get("patternProperties", {}).values()


def _branches(node: dict[str, Any], schema: dict[str, Any]) -> Iterator[dict[str, Any]]:
    """The node, and what it may be."""
    if "$ref" in node:
        yield from _branches(schema["$defs"][node["$ref"].rsplit("/", 1)[1]], schema)
        return
    yield node
    if "discriminator" not in node:
        for name in ("anyOf", "oneOf", "allOf"):
            for branch in node.get(name, ()):
                yield from _branches(branch, schema)
