"""How a settings file writes numbers: `8443`, `"8443"` and `8443.0` are the same; true and false are none, though
Python counts true as 1 and pydantic follows it."""

from collections.abc import Iterator, Mapping
from types import UnionType
from typing import Annotated, Any, Literal, Union, get_args, get_origin

from pydantic import BaseModel, TypeAdapter, ValidationError

Place = tuple[str | int, ...]
NO_NUMBER = "must be a number", "it is true or false: write the number"


_WHOLE = TypeAdapter(int)


def whole_number(value: object) -> int | None:
    """The whole number that a setting is read as; None if it is read as none."""
    try:
        return None if isinstance(value, bool) else _WHOLE.validate_python(value)
    except ValidationError:
        return None


def truth_values(value: object, kind: Any, place: Place) -> Iterator[Place]:
    """The places where `value` says true or false and `kind`, a model or a field's annotation, wants a number."""
    if isinstance(value, bool):
        kinds = {found for one in _alternatives(kind) for found in _kinds(one)}
        if kinds & {int, float} and bool not in kinds:
            yield place
    elif isinstance(value, Mapping):
        for key, one in value.items():
            for wanted in _values_of(kind, key, tuple(value)):
                yield from truth_values(one, wanted, (*place, key))
    elif isinstance(value, list):
        items = [one for one in _alternatives(kind) if get_origin(one) in (list, tuple, set, frozenset)]
        for index, one in enumerate(value):
            for wanted in {get_args(collection)[0] for collection in items}:
                yield from truth_values(one, wanted, (*place, index))


def _values_of(kind: Any, key: object, keys: tuple[object, ...]) -> list[Any]:
    """What the value of `key` should be in a mapping with these keys: of a union's models, in the first that fits."""
    for one in _alternatives(kind):
        if isinstance(one, type) and issubclass(one, BaseModel):
            fields = one.model_fields
            if set(keys) <= set(fields) or one is kind:
                return [fields[key].annotation] if isinstance(key, str) and key in fields else []
        elif get_origin(one) in (dict, Mapping):
            return [get_args(one)[1]]
    return []


def _kinds(kind: Any) -> set[Any]:
    return {type(word) for word in get_args(kind)} if get_origin(kind) is Literal else {kind}


def _alternatives(kind: Any) -> list[Any]:
    """The members of a union, or the one thing that it is."""
    if get_origin(kind) is Annotated:
        return _alternatives(get_args(kind)[0])
    if get_origin(kind) in (Union, UnionType):
        return [one for member in get_args(kind) for one in _alternatives(member)]
    return [kind]
