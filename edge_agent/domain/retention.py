"""How long evidence is kept: by what it shows, and by what became of the inspection that brought it.

The defaults are a state's choice to change. docs/privacy.md shows these very tables.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from enum import IntEnum, StrEnum

from edge_agent.domain.evidence import EvidenceKind

DAY_S = 86_400.0


class Standing(IntEnum):
    """What became of an inspection. It only rises."""

    CLEAR = 0  # no alarm, no finding but a notice
    FINDING = 1  # an alarm or a finding; without rules also what is incomplete or was given up
    REFERRED = 2  # an officer decided to refer or to hold


class DeletionReason(StrEnum):
    """Why a booth deleted evidence before its event."""

    NO_FINDING = "no_finding"  # kept only with a finding, none came, and the port was never offered it
    RETENTION_OVER = "retention_over"  # the port has it, and the booth's own time for it is over


@dataclass(frozen=True, slots=True)
class KeptDays:
    """Days for each standing. None: as long as the event at a booth, for ever at a port. 0: not at all."""

    clear: float | None
    finding: float | None
    referred: float | None

    def of(self, standing: Standing) -> float | None:
        return (self.clear, self.finding, self.referred)[standing]


EvidenceRules = Mapping[EvidenceKind, KeptDays]

_AS_THE_EVENT = KeptDays(None, None, None)

# At a booth, counted from the port's acknowledgement: what stays longer can refill a port that lost data.
BOOTH_DAYS: EvidenceRules = {
    EvidenceKind.FRAME: KeptDays(0, None, None),
    EvidenceKind.PLATE_CROP: _AS_THE_EVENT,
    EvidenceKind.CONTAINER_CODE_CROP: _AS_THE_EVENT,
    EvidenceKind.RADIATION_PROFILE: _AS_THE_EVENT,
    EvidenceKind.RAW_CAPTURE: _AS_THE_EVENT,
    EvidenceKind.N42: _AS_THE_EVENT,
    EvidenceKind.SCAN: _AS_THE_EVENT,
    EvidenceKind.QUICK_LOOK: _AS_THE_EVENT,
}

# At a port, counted from the arrival of the event that names it.
PORT_DAYS: EvidenceRules = {
    EvidenceKind.FRAME: KeptDays(0, 90, 730),
    EvidenceKind.PLATE_CROP: KeptDays(30, 90, 730),
    EvidenceKind.CONTAINER_CODE_CROP: KeptDays(30, 90, 730),
    EvidenceKind.RADIATION_PROFILE: KeptDays(30, 365, 730),
    EvidenceKind.RAW_CAPTURE: KeptDays(30, 90, 730),
    EvidenceKind.N42: KeptDays(30, 365, 730),
    EvidenceKind.SCAN: KeptDays(30, 90, 730),
    EvidenceKind.QUICK_LOOK: KeptDays(30, 90, 730),
}

# At a port: of the events of an inspection, counted from the arrival of the last of them.
PORT_EVENT_DAYS = KeptDays(365, 1_825, 3_650)


@dataclass(frozen=True, slots=True)
class EvidenceDeleted:
    """An event: evidence was deleted by its class, before the events that name it; bytes in all."""

    sha256: tuple[bytes, ...]
    size: int
    reason: DeletionReason


@dataclass(frozen=True, slots=True)
class BoothRetention:
    """What a booth keeps how long, in days, beside its events.

    What has 0 days without a finding waits `wait_s` for one after the port acknowledged the record, and at most
    `wait_longest_s`, and is never offered to the port without one.
    """

    days: EvidenceRules
    wait_s: float = 900.0
    wait_longest_s: float = DAY_S

    @property
    def waiting(self) -> frozenset[EvidenceKind]:
        """What is kept only with a finding."""
        return frozenset(kind for kind, days in self.days.items() if days.clear == 0)
