"""`retention:` of the gateway's settings: how long evidence is kept at the port.

retention:                        # may be left out: the defaults of docs/privacy.md
  days:                           # from the arrival of the event that names it
    frame: {clear: 0, finding: 90, referred: 730}
    plate_crop: {clear: 14}
  events: {clear: 365, finding: 1825, referred: 3650}   # of an inspection, from the arrival of its last; null: for ever
  every_min: 5
"""

from collections.abc import Mapping
from dataclasses import asdict
from typing import Annotated, Self

from pydantic import BaseModel, BeforeValidator, ConfigDict, Field, model_validator

from edge_agent.domain.retention import PORT_DAYS, PORT_EVENT_DAYS
from edge_agent.settings_retention import DaysByStanding, EvidenceDays, over


class EventDays(DaysByStanding):
    """Days of the events of an inspection. A day at least: a reader may have been away for a night."""

    @model_validator(mode="after")
    def _a_day(self) -> Self:
        if self.clear is not None and self.clear < 1:
            raise ValueError("`clear` is less than 1 day: readers that are away would never see these events")
        return self


def _over_defaults(given: object) -> object:
    return {**asdict(PORT_EVENT_DAYS), **given} if isinstance(given, Mapping) else given


class Retention(BaseModel):
    """The section."""

    model_config = ConfigDict(extra="forbid", frozen=True)
    days: Annotated[EvidenceDays, BeforeValidator(over(PORT_DAYS))] = EvidenceDays.of(PORT_DAYS)
    events: Annotated[EventDays, BeforeValidator(_over_defaults)] = EventDays(**asdict(PORT_EVENT_DAYS))
    # How often `serve` looks for what is over.
    every_min: Annotated[float, Field(gt=0, le=1_440)] = 5.0
