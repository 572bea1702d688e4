"""A lane's statistics on the wire: field by field there and back, and what is not believed."""

import math
from collections.abc import Callable
from dataclasses import replace

import pytest

from edge_agent.domain.clock import ClockState
from edge_agent.domain.inspection import Expected, MissingReason
from edge_agent.domain.statistics import (
    CONFIDENCE_EDGES,
    DURATION_EDGES,
    QUANTILE_ERROR,
    Confidences,
    DeviceTime,
    LaneStatistics,
    PartEnd,
    durations,
)
from edge_agent.wire.codec_statistics import read_statistics
from edge_agent.wire.v1alpha1 import statistics_pb2 as wire
from tests.unit.inspection.script import instant
from tests.unit.wire.test_codec import encoded

QUARTER_US = 1767225600_000_000
PART = LaneStatistics(
    lane_id="1",
    quarter_utc_us=QUARTER_US,
    begin=instant(10),
    end=instant(900),
    ended=PartEnd.CLOCK_SET,
    clock_synchronised=True,
    clock_step_s=-12.5,
    arrived=6,
    complete=3,
    incomplete=2,
    abandoned=1,
    missing=((Expected.SEAL, MissingReason.COULD_NOT_LOOK, 2),),
    dwell=durations([0.5, 41.0, 43.0, 200_000.0]),
    gap=durations([8.0]),
    service=durations([]),
    plates=Confidences((1, 0, 0, 0, 0, 0, 0, 4), 2),
    codes=Confidences((0, 1, 0, 0, 0, 0, 0, 0), 0),
    gamma_alarms=1,
    neutron_alarms=2,
    unassigned=3,
    devices=(DeviceTime("portal", 800.0, 80.0, 10.0),),
    settle_s=3.0,
)


def message(part: LaneStatistics = PART) -> wire.LaneStatistics:
    return encoded(part).lane_statistics


def test_there_and_back() -> None:
    assert read_statistics(message()) == PART
    for end in PartEnd:
        assert read_statistics(message(replace(PART, ended=end))).ended is end
    back = read_statistics(message(replace(PART, clock_synchronised=False)))
    assert (back.clock_synchronised, back.begin.clock_state) == (False, ClockState.UNSYNCHRONISED)


def test_on_the_wire() -> None:
    said = message()
    assert (said.covered_s, said.vehicles, said.queued_gap_s) == (890.0, 6, 20.0)
    assert (said.begin_utc_us, said.end_monotonic_ns) == (QUARTER_US + 10_000_000, 900_000_000_000)
    assert [(b.bin, b.count) for b in said.dwell.bins] == [(0, 1), (43, 1), (44, 1), (137, 1)]
    assert DURATION_EDGES[42] <= 41 < DURATION_EDGES[43] <= 43 < DURATION_EDGES[44]
    assert [(m.what, m.reason, m.vehicles) for m in said.missing] == [("seal", "could_not_look", 2)]


def test_a_lane_of_many_devices_fits_its_envelope() -> None:
    many = tuple(DeviceTime(f"{n:063d}", 899.123456, 0.111111, 0.765433) for n in range(1000))
    said = message(replace(PART, devices=many, dwell=durations(DURATION_EDGES), gap=durations(DURATION_EDGES)))
    assert len(said.devices) == 256
    assert said.ByteSize() < 32_768
    assert read_statistics(said).dwell.count == 137


def test_words_of_a_later_version_are_left_out() -> None:
    said = message()
    said.missing.add(what="driver", reason="not_seen", vehicles=1)
    assert read_statistics(said).missing == PART.missing


def _set(**values: object) -> Callable[[wire.LaneStatistics], None]:
    def spoil(said: wire.LaneStatistics) -> None:
        for name, value in values.items():
            setattr(said, name, value)

    return spoil


def _bins(said: wire.LaneStatistics) -> None:
    said.dwell.bins[0].bin = 137


_SPOILT: dict[str, Callable[[wire.LaneStatistics], object]] = {
    "an id": _set(lane_id=""),
    "a long id": _set(lane_id="x" * 64),
    "an id for a terminal": _set(lane_id="1\x1b[2J"),
    "no quarter": _set(quarter_utc_us=QUARTER_US + 1),
    "before 1970": _set(quarter_utc_us=-900_000_000),
    "after time": _set(quarter_utc_us=(1 << 62) // 900_000_000 * 900_000_000),
    "no end": _set(ended=wire.PART_END_UNSPECIFIED),
    "an end of later": _set(ended=99),
    "an hour": _set(end_monotonic_ns=3_700_000_000_000, covered_s=3690.0),
    "backward": _set(end_monotonic_ns=0, covered_s=-10.0),
    "other times": _set(covered_s=900.0),
    "no number": _set(covered_s=math.nan),
    "a step": _set(clock_step_s=math.inf),
    "vehicles": _set(vehicles=7),
    "many": _set(arrived=1_000_001),
    "alarms": _set(gamma_alarms=0xFFFFFFFF),
    "a moment": _set(begin_utc_us=-1),
    "another gap": _set(queued_gap_s=30.0),
    "settling": _set(settle_s=math.nan),
    "bins fall": _bins,
    "a bin too many": lambda said: said.dwell.bins.add(bin=138, count=0),
    "bins that miss some": lambda said: said.gap.bins.add(bin=99, count=1),
    "endless": lambda said: setattr(said.gap, "max_s", math.inf),
    "no sum": lambda said: setattr(said.gap, "sum_s", math.nan),
    "upside down": lambda said: setattr(said.dwell, "min_s", 1e6),
    "nine confidences": lambda said: said.plates.counts.append(1),
    "too sure": lambda said: setattr(said.codes, "disputed", 0xFFFFFFFF),
    "a device without a name": lambda said: said.devices.add(up_s=1),
    "a device for years": lambda said: said.devices.add(device_id="a", up_s=1e9),
    "devices without end": lambda said: said.devices.extend([said.devices[0]] * 256),
}


@pytest.mark.parametrize("spoil", _SPOILT.values(), ids=_SPOILT.keys())
def test_what_is_not_believed(spoil: Callable[[wire.LaneStatistics], object]) -> None:
    said = message()
    spoil(said)
    with pytest.raises(ValueError, match=r"\w"):
        read_statistics(said)


def test_quantiles_are_as_near_as_is_said() -> None:
    times = sorted(1.02**n for n in range(590))
    kept = durations(times)
    for share in (0.01, 0.25, 0.5, 0.9, 0.95, 0.99, 1.0):
        true = times[max(1, math.ceil(share * len(times))) - 1]
        found = kept.quantile(share)
        assert found is not None
        assert abs(found / true - 1) <= QUANTILE_ERROR + 1e-9
    assert durations([7.3]).quantile(0.5) == 7.3
    assert durations([0.2, 0.4]).quantile(0.5) == pytest.approx(0.4)
    assert durations([2e5, 3e5]).quantile(0.9) == pytest.approx(2e5)
    assert durations([]).quantile(0.5) is None
    assert durations([]).mean_s is None
    assert durations([1, 3]).mean_s == 2


def test_confidences() -> None:
    kept = Confidences()
    for confidence in (0.0, *CONFIDENCE_EDGES, 1.0):
        kept = kept.with_one(confidence, disputed=confidence == 0.0)
    assert (kept.counts, kept.disputed) == ((1, 1, 1, 1, 1, 1, 1, 2), 1)
