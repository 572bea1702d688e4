"""`days` of a `retention:` section, of a booth's or a gateway's settings: how long each kind of evidence is kept.

days:
  frame: {clear: 0, finding: 90, referred: 730}     # what is left out stays at its default (docs/privacy.md)
  scan: {referred: null}                            # null: as long as the event at a booth, for ever at a port
"""

from collections.abc import Callable, Mapping
from dataclasses import asdict
from itertools import pairwise
from typing import Annotated, Self

from pydantic import BaseModel, ConfigDict, Field, model_validator

from edge_agent.domain.evidence import EvidenceKind
from edge_agent.domain.retention import EvidenceRules, KeptDays

Days = Annotated[float, Field(ge=0, le=36_500)]


class DaysByStanding(BaseModel):
    """Days without a finding, with one, after an officer's referral or hold. 0: not kept; null: no end of its own."""

    model_config = ConfigDict(extra="forbid", frozen=True)
    clear: Days | None
    finding: Days | None
    referred: Days | None

    @model_validator(mode="after")
    def _rising(self) -> Self:
        for (less, shorter), (more, longer) in pairwise(self):
            if longer is not None and (shorter is None or shorter > longer):
                raise ValueError(
                    f"`{less}` is longer than `{more}`: what was found would be deleted before what was not"
                )
        if self.finding == 0:
            raise ValueError("`finding` is 0: evidence of a finding is kept; give at least a part of a day")
        return self

    def rule(self) -> KeptDays:
        return KeptDays(self.clear, self.finding, self.referred)


class EvidenceDays(BaseModel):
    """Of each kind of evidence."""

    model_config = ConfigDict(extra="forbid", frozen=True)
    frame: DaysByStanding
    plate_crop: DaysByStanding
    container_code_crop: DaysByStanding
    radiation_profile: DaysByStanding
    raw_capture: DaysByStanding
    n42: DaysByStanding
    scan: DaysByStanding
    quick_look: DaysByStanding

    @classmethod
    def of(cls, rules: EvidenceRules) -> Self:
        """These rules as settings."""
        return cls.model_validate({kind.value: asdict(days) for kind, days in rules.items()})

    def rules(self) -> EvidenceRules:
        return {kind: getattr(self, kind.value).rule() for kind in EvidenceKind}


def over(defaults: EvidenceRules) -> Callable[[object], object]:
    """Lays what was given over the defaults, for a BeforeValidator."""

    def laid(given: object) -> object:
        if not isinstance(given, Mapping):
            return given
        whole: dict[object, object] = {kind.value: asdict(days) for kind, days in defaults.items()}
        for kind, days in given.items():
            known = whole.get(kind)
            whole[kind] = {**known, **days} if isinstance(known, dict) and isinstance(days, Mapping) else days
        return whole

    return laid
