"""`retention:` of the gateway's settings: how long evidence is kept at the port.

retention:                        # may be left out: the defaults of docs/privacy.md
  days:                           # from the arrival of the event that names it
    frame: {clear: 0, finding: 90, referred: 730}
    plate_crop: {clear: 14}
  every_min: 5
"""

from typing import Annotated

from pydantic import BaseModel, BeforeValidator, ConfigDict, Field

from edge_agent.domain.retention import PORT_DAYS
from edge_agent.settings_retention import EvidenceDays, over


class Retention(BaseModel):
    """The section."""

    model_config = ConfigDict(extra="forbid", frozen=True)
    days: Annotated[EvidenceDays, BeforeValidator(over(PORT_DAYS))] = EvidenceDays.of(PORT_DAYS)
    # How often `serve` looks for what is over.
    every_min: Annotated[float, Field(gt=0, le=1_440)] = 5.0
