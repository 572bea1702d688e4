"""What every part of a scenario file is made of."""

from typing import Annotated, Any

from pydantic import BaseModel, ConfigDict, Field

# Names become file names, keys of the ready line and parts of URLs.
Name = Annotated[str, Field(pattern=r"^[a-z0-9][a-z0-9._-]{0,63}$")]
Port = Annotated[int, Field(ge=0, le=65535)]
Seconds = Annotated[float, Field(ge=0, le=86_400)]
# Along the lane, the portal at 0, driving direction positive.
Metres = Annotated[float, Field(ge=-100, le=200)]


class SimSettings(BaseModel):
    """A part of a scenario: fixed once read, and without settings that nobody knows."""

    model_config = ConfigDict(extra="forbid", frozen=True)


def as_range(value: Any) -> Any:
    """A single number stands for a range of one."""
    return (value, value) if isinstance(value, int | float) and not isinstance(value, bool) else value
