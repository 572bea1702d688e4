"""What a lane did in a quarter of an hour. Parts add up to quarters, hours and days.

Times are kept as histograms whose edges are the same everywhere, so that they can be added and still give quantiles.
"""

from bisect import bisect_right
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from enum import StrEnum
from itertools import accumulate
from math import ceil, sqrt

from edge_agent.domain.clock import Instant
from edge_agent.domain.inspection import Expected, MissingReason

QUARTER_S = 900
EDGES_A_DOUBLING = 8
# 1 s to 36 h: no passage may last longer than a day.
DURATION_EDGES = tuple(2 ** (n / EDGES_A_DOUBLING) for n in range(17 * EDGES_A_DOUBLING + 1))
# A quantile is the geometric middle of its bin: by so much (as a share) the true one is off at most.
QUANTILE_ERROR = 2 ** (1 / (2 * EDGES_A_DOUBLING)) - 1
CONFIDENCE_EDGES = (0.5, 0.6, 0.7, 0.8, 0.9, 0.95, 0.99)
# Who comes so soon after the one before has stood behind it.
QUEUED_GAP_S = 20.0


class PartEnd(StrEnum):
    """Why a part of a quarter ends."""

    QUARTER = "quarter"
    STOPPED = "stopped"
    CLOCK_SET = "clock_set"  # by STEP_S or more (inspection/statistics.py)
    STALLED = "stalled"  # the agent did not come to the lane
    CUT_OFF = "cut_off"  # the agent ended without a word; counted from its ledger at the next start


@dataclass(frozen=True, slots=True)
class Durations:
    """Times in seconds: how many, their sum and ends, and how many in each bin. `bins` by number: bin n lies below
    DURATION_EDGES[n] and not below the edge before, the last one above all."""

    count: int = 0
    sum_s: float = 0.0
    min_s: float = 0.0
    max_s: float = 0.0
    bins: Mapping[int, int] = field(default_factory=dict)

    def quantile(self, share: float) -> float | None:
        """The time that `share` of them do not exceed, within QUANTILE_ERROR from 1 s on; None of none."""
        if not self.count:
            return None
        rank = max(1, ceil(share * self.count))
        numbers = sorted(self.bins)
        for number, below in zip(numbers, accumulate(self.bins[n] for n in numbers), strict=True):
            if below >= rank:
                return min(max(_middle(number), self.min_s), self.max_s)
        return self.max_s

    @property
    def mean_s(self) -> float | None:
        return self.sum_s / self.count if self.count else None


def _middle(number: int) -> float:
    if number == 0:
        return DURATION_EDGES[0] / 2
    if number >= len(DURATION_EDGES):
        return DURATION_EDGES[-1]
    return sqrt(DURATION_EDGES[number - 1] * DURATION_EDGES[number])


def durations(times: Iterable[float]) -> Durations:
    """These times, each 0 or more."""
    kept = list(times)
    bins: dict[int, int] = {}
    for time in kept:
        number = bisect_right(DURATION_EDGES, time)
        bins[number] = bins.get(number, 0) + 1
    if not kept:
        return Durations()
    return Durations(len(kept), sum(kept), min(kept), max(kept), dict(sorted(bins.items())))


@dataclass(frozen=True, slots=True)
class Confidences:
    """Identifiers by confidence after voting: `counts` below each of CONFIDENCE_EDGES, and from the last one on.

    `disputed`: of how many some reads said something else.
    """

    counts: tuple[int, ...] = (0,) * (len(CONFIDENCE_EDGES) + 1)
    disputed: int = 0

    def with_one(self, confidence: float, disputed: bool) -> "Confidences":
        number = bisect_right(CONFIDENCE_EDGES, confidence)
        counts = tuple(count + (n == number) for n, count in enumerate(self.counts))
        return Confidences(counts, self.disputed + disputed)


@dataclass(frozen=True, slots=True)
class DeviceTime:
    """How long a device could be relied on, could not, or nothing was known of it: together the part's covered_s."""

    device_id: str
    up_s: float
    down_s: float
    unknown_s: float


@dataclass(frozen=True, slots=True)
class LaneStatistics:
    """One lane in one quarter of an hour (from `quarter_utc_us` on), or in the part of it from `begin` to `end`.

    `end` is by the reckoning of `begin`: a clock that is set ends the part, and `clock_step_s` says by how much it was.
    The meaning of each figure is said in statistics.proto.
    """

    lane_id: str
    quarter_utc_us: int
    begin: Instant
    end: Instant
    ended: PartEnd
    clock_synchronised: bool
    clock_step_s: float = 0.0
    arrived: int = 0
    complete: int = 0
    incomplete: int = 0
    abandoned: int = 0
    missing: tuple[tuple[Expected, MissingReason, int], ...] = ()
    dwell: Durations = field(default_factory=Durations)
    gap: Durations = field(default_factory=Durations)
    service: Durations = field(default_factory=Durations)
    plates: Confidences = field(default_factory=Confidences)
    codes: Confidences = field(default_factory=Confidences)
    gamma_alarms: int = 0
    neutron_alarms: int = 0
    unassigned: int = 0
    devices: tuple[DeviceTime, ...] = ()
    settle_s: float = 0.0

    @property
    def covered_s(self) -> float:
        return (self.end.monotonic_ns - self.begin.monotonic_ns) / 1e9

    @property
    def vehicles(self) -> int:
        return self.complete + self.incomplete + self.abandoned
