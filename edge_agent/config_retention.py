"""`retention:` of a booth's settings file: which evidence stays here how long, beside `ledger.retention_days`.

```yaml
retention:
  wait_min: 15            # what is kept only with a finding waits so long for one after the port has the record
  wait_longest_h: 24      # and so long at most, also while the port cannot be reached; then it is deleted, never sent
  days:                   # after the port acknowledged the evidence; at most ledger.retention_days
    frame: {clear: 0}     # whole frames: not without a finding
    plate_crop: {clear: 3, finding: 14}
  set_aside_days: 30      # of damaged files, and of salvaged ledgers since the port has all of them; null: for ever
```
All of it may be left out; docs/privacy.md has the defaults.
"""

from collections.abc import Iterator
from typing import Annotated

from pydantic import BaseModel, BeforeValidator, ConfigDict, Field

from edge_agent.domain.counted import counted
from edge_agent.domain.retention import BOOTH_DAYS, BoothRetention
from edge_agent.settings_file import Mistake
from edge_agent.settings_retention import EvidenceDays, over


class RetentionSettings(BaseModel):
    """The section."""

    model_config = ConfigDict(extra="forbid", frozen=True)
    wait_min: float = Field(default=15.0, ge=0, le=10_080)
    wait_longest_h: float = Field(default=24.0, ge=0, le=8_760)
    days: Annotated[EvidenceDays, BeforeValidator(over(BOOTH_DAYS))] = EvidenceDays.of(BOOTH_DAYS)

    set_aside_days: float | None = Field(default=30.0, gt=0, le=36_500)

    def rules(self) -> BoothRetention:
        """As the ledger takes them."""
        return BoothRetention(self.days.rules(), 60 * self.wait_min, 3_600 * self.wait_longest_h)


def retention_mistakes(retention: object, ledger: object) -> Iterator[Mistake]:
    """What neither section can say of itself: both as read from the file."""
    whole = ledger.get("retention_days", 14.0) if isinstance(ledger, dict) else 14.0
    given = retention.get("days") if isinstance(retention, dict) else None
    for kind, days in (given if isinstance(given, dict) else {}).items():
        for standing, value in (days if isinstance(days, dict) else {}).items():
            if isinstance(value, int | float) and isinstance(whole, int | float) and value > whole:
                yield Mistake(
                    ("retention", "days", kind, standing),
                    f"{counted(value, 'day', form='g')}, and the ledger keeps what the port acknowledged for {whole:g}",
                    "give at most ledger.retention_days, or null for as long",
                )
