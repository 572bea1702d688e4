"""Values of the domain as JSON and back: frozen dataclasses, enumerations, bytes, moments and unions of these.

A dataclass that stands where a union of several may stand names itself in `is`.
"""

import base64
import dataclasses
from collections.abc import Callable
from datetime import datetime
from enum import Enum
from functools import cache
from types import NoneType, UnionType
from typing import Any, TypeVar, Union, cast, get_args, get_origin, get_type_hints

T = TypeVar("T")


def to_plain(value: object) -> Any:
    """Something that json.dumps takes."""
    if dataclasses.is_dataclass(value) and not isinstance(value, type):
        fields = {f.name: to_plain(getattr(value, f.name)) for f in dataclasses.fields(value)}
        return {"is": type(value).__name__, **fields}
    if isinstance(value, Enum):
        return value.value
    if isinstance(value, bytes):
        return base64.b64encode(value).decode()
    if isinstance(value, datetime):
        return value.isoformat()
    return [to_plain(item) for item in value] if isinstance(value, tuple) else value


def from_plain(kind: type[T], value: object) -> T:
    """The value of `kind`. Raises ValueError, TypeError or KeyError on what `to_plain` does not make of one."""
    return cast(T, _read(kind, value))


def _read(kind: Any, value: Any) -> Any:
    return _reader(kind)(value)


@cache
def _reader(kind: Any) -> Callable[[Any], Any]:
    """What reads a value of the kind. A journal holds ten thousands: what follows from the kind is found once."""
    if get_origin(kind) in (Union, UnionType):
        return _reader_of_one_of(get_args(kind))
    if get_origin(kind) is tuple:
        return _reader_of_tuple(get_args(kind))
    if dataclasses.is_dataclass(kind):
        return _reader_of_dataclass(cast(type, kind))
    if issubclass(kind, Enum):
        return cast(Callable[[Any], Any], kind)
    if kind is bytes:
        return lambda value: base64.b64decode(value, validate=True)
    if kind is datetime:
        return datetime.fromisoformat

    def plain(value: Any) -> Any:
        if type(value) is kind:
            return value
        if kind is float and type(value) is int:
            return float(value)
        raise TypeError(f"{value!r} is no {kind.__name__}")

    return plain


def _reader_of_dataclass(kind: type) -> Callable[[Any], Any]:
    hints = get_type_hints(kind)
    readers: list[tuple[str, Callable[[Any], Any]]] = []

    def read(value: Any) -> Any:
        if not isinstance(value, dict):
            raise TypeError(f"{value!r} is no {kind!r}")
        if not readers:
            readers.extend((name, _reader(hint)) for name, hint in hints.items())
        return kind(**{name: reader(value[name]) for name, reader in readers})

    return read


def _reader_of_one_of(kinds: tuple[Any, ...]) -> Callable[[Any], Any]:
    there = [kind for kind in kinds if kind is not NoneType]
    named = {kind.__name__: kind for kind in there}

    def read(value: Any) -> Any:
        if value is None and NoneType in kinds:
            return None
        return _reader(there[0] if len(there) == 1 else named[value["is"]])(value)

    return read


def _reader_of_tuple(kinds: tuple[Any, ...]) -> Callable[[Any], Any]:
    many = len(kinds) == 2 and kinds[1] is Ellipsis
    readers = [_reader(kind) for kind in kinds if kind is not Ellipsis]

    def read(value: Any) -> tuple[Any, ...]:
        if not isinstance(value, list):
            raise TypeError(f"{value!r} is no list")
        if many:
            return tuple([readers[0](item) for item in value])
        return tuple(reader(item) for reader, item in zip(readers, value, strict=True))

    return read
