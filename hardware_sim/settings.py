"""What every part of a scenario file is made of."""

import re
from typing import Annotated, Any

from pydantic import (
    AfterValidator,
    BaseModel,
    ConfigDict,
    Field,
    GetCoreSchemaHandler,
    GetJsonSchemaHandler,
    WithJsonSchema,
)
from pydantic.json_schema import JsonSchemaValue
from pydantic_core import CoreSchema, core_schema

_NAME = r"^[a-z0-9][a-z0-9._-]{0,63}$"


def _name(text: str) -> str:
    if not re.fullmatch(_NAME, text):
        raise ValueError(
            "a name has small letters, digits, '.', '_' and '-', at most 64, and begins with a letter or digit"
        )
    return text


# Names become file names, keys of the ready line and parts of URLs.
Name = Annotated[str, AfterValidator(_name), WithJsonSchema({"type": "string", "pattern": _NAME})]


def checked_host(text: str) -> str:
    """The text, if the system can be asked for it as an address or a name. Raises ValueError."""
    try:
        text.encode("idna")
    except UnicodeError:
        raise ValueError(f"{text!r} is neither an address nor a name") from None
    return text


Host = Annotated[str, AfterValidator(checked_host)]
Port = Annotated[int, Field(ge=0, le=65535)]
Seconds = Annotated[float, Field(ge=0, le=86_400)]
# Along the lane, the portal at 0, driving direction positive.
Metres = Annotated[float, Field(ge=-100, le=200)]


class SimSettings(BaseModel):
    """A part of a scenario: fixed once read, and without settings that nobody knows."""

    model_config = ConfigDict(extra="forbid", frozen=True)


class OneOrTwo:
    """Annotates a pair: a single number stands for both, in the file and in the schema for editors."""

    def __get_pydantic_core_schema__(self, source: Any, handler: GetCoreSchemaHandler) -> CoreSchema:
        return core_schema.no_info_before_validator_function(_as_range, handler(source))

    def __get_pydantic_json_schema__(self, core: CoreSchema, handler: GetJsonSchemaHandler) -> JsonSchemaValue:
        pair = handler(core)
        return {"anyOf": [pair["prefixItems"][0], pair]}


def _as_range(value: Any) -> Any:
    if isinstance(value, int | float) and not isinstance(value, bool):
        return value, value
    if not isinstance(value, list | tuple):
        raise ValueError("must be a number, or two: [least, most]")
    return value


SecondsRange = Annotated[tuple[Seconds, Seconds], OneOrTwo()]
