"""A lane's statistics, from the domain's words to the wire's message and back."""

from datetime import UTC, datetime, timedelta
from math import isclose, isfinite

from edge_agent.domain.clock import ClockState, Instant
from edge_agent.domain.inspection import Expected, MissingReason
from edge_agent.domain.statistics import (
    CONFIDENCE_EDGES,
    DURATION_EDGES,
    QUARTER_S,
    QUEUED_GAP_S,
    Confidences,
    DeviceTime,
    Durations,
    LaneStatistics,
    PartEnd,
)
from edge_agent.wire.v1alpha1 import statistics_pb2 as wire

_ENDS = {
    PartEnd.QUARTER: wire.PART_END_QUARTER,
    PartEnd.STOPPED: wire.PART_END_STOPPED,
    PartEnd.CLOCK_SET: wire.PART_END_CLOCK_SET,
    PartEnd.STALLED: wire.PART_END_STALLED,
    PartEnd.CUT_OFF: wire.PART_END_CUT_OFF,
}
_ENDED = {value: end for end, value in _ENDS.items()}
# More stand at no lane; the rest would be left out.
MAX_DEVICES = 256
# What a lane can have in a quarter of an hour, many times over. Beyond them a message is not believed.
MAX_COUNT = 1_000_000
MAX_PART_S = 2.0 * QUARTER_S
MAX_TIME_S = 1e7
MAX_ID = 63
_EPOCH = datetime(1970, 1, 1, tzinfo=UTC)


def lane_statistics(said: LaneStatistics) -> wire.LaneStatistics:
    """One part of a quarter."""
    return wire.LaneStatistics(
        lane_id=said.lane_id,
        quarter_utc_us=said.quarter_utc_us,
        begin_utc_us=_utc_us(said.begin),
        end_utc_us=_utc_us(said.end),
        begin_monotonic_ns=said.begin.monotonic_ns,
        end_monotonic_ns=said.end.monotonic_ns,
        covered_s=said.covered_s,
        ended=_ENDS[said.ended],
        clock_step_s=said.clock_step_s,
        clock_synchronised=said.clock_synchronised,
        arrived=said.arrived,
        vehicles=said.vehicles,
        complete=said.complete,
        incomplete=said.incomplete,
        abandoned=said.abandoned,
        missing=[wire.MissingCount(what=w.value, reason=r.value, vehicles=count) for w, r, count in said.missing],
        dwell=_durations(said.dwell),
        gap=_durations(said.gap),
        service=_durations(said.service),
        plates=wire.Confidences(counts=said.plates.counts, disputed=said.plates.disputed),
        codes=wire.Confidences(counts=said.codes.counts, disputed=said.codes.disputed),
        gamma_alarms=said.gamma_alarms,
        neutron_alarms=said.neutron_alarms,
        unassigned=said.unassigned,
        devices=[
            wire.DeviceTime(device_id=d.device_id, up_s=d.up_s, down_s=d.down_s, unknown_s=d.unknown_s)
            for d in said.devices[:MAX_DEVICES]
        ],
        settle_s=said.settle_s,
        queued_gap_s=QUEUED_GAP_S,
    )


def _durations(times: Durations) -> wire.Durations:
    bins = [wire.DurationBin(bin=number, count=count) for number, count in sorted(times.bins.items())]
    return wire.Durations(count=times.count, sum_s=times.sum_s, min_s=times.min_s, max_s=times.max_s, bins=bins)


def _utc_us(at: Instant) -> int:
    return round(at.utc.timestamp() * 1e6)


def read_statistics(message: wire.LaneStatistics) -> LaneStatistics:
    """A message as the domain's words. Raises ValueError: what it says cannot be, or cannot be added to others."""
    known = message.clock_synchronised
    state = ClockState.SYNCHRONISED if known else ClockState.UNSYNCHRONISED
    begin = _instant(message.begin_utc_us, message.begin_monotonic_ns, state)
    end = _instant(message.end_utc_us, message.end_monotonic_ns, state)
    covered_s = (end.monotonic_ns - begin.monotonic_ns) / 1e9
    _must(_is_id(message.lane_id), "a lane's id has 1 to 63 printable bytes")
    _must(message.quarter_utc_us % (QUARTER_S * 1_000_000) == 0, "quarter_utc_us is no multiple of 900 s")
    _must(0 <= message.quarter_utc_us < 1 << 53, "quarter_utc_us is no date")
    _must(message.ended in _ENDED, "it does not say why the part ends")
    _must(0 <= covered_s <= MAX_PART_S, "a part lasts from 0 to 30 minutes")
    _must(isclose(message.covered_s, covered_s, abs_tol=0.001), "covered_s is not what its monotonic times say")
    _must(isfinite(message.clock_step_s), "clock_step_s is no number")
    counted = [message.complete, message.incomplete, message.abandoned]
    _must(sum(counted) == message.vehicles, "vehicles is not the sum of complete, incomplete and abandoned")
    counted += [message.arrived, message.gamma_alarms, message.neutron_alarms, message.unassigned]
    counted += [m.vehicles for m in message.missing]
    _must(max(counted) <= MAX_COUNT, f"more than {MAX_COUNT} in one part")
    _must(len(message.devices) <= MAX_DEVICES and len(message.missing) <= MAX_DEVICES, "too many devices, or missing")
    _must(message.queued_gap_s == QUEUED_GAP_S, f"queued_gap_s is not {QUEUED_GAP_S:g}")
    _must(0 <= message.settle_s <= MAX_TIME_S, "settle_s is no time")
    return LaneStatistics(
        lane_id=message.lane_id,
        quarter_utc_us=message.quarter_utc_us,
        begin=begin,
        end=end,
        ended=_ENDED[message.ended],
        clock_synchronised=known,
        clock_step_s=message.clock_step_s,
        arrived=message.arrived,
        complete=message.complete,
        incomplete=message.incomplete,
        abandoned=message.abandoned,
        missing=tuple(  # words of a later version are left out
            (Expected(m.what), MissingReason(m.reason), m.vehicles)
            for m in message.missing
            if m.what in set(Expected) and m.reason in set(MissingReason)
        ),
        dwell=_read_durations(message.dwell),
        gap=_read_durations(message.gap),
        service=_read_durations(message.service),
        plates=_read_confidences(message.plates),
        codes=_read_confidences(message.codes),
        gamma_alarms=message.gamma_alarms,
        neutron_alarms=message.neutron_alarms,
        unassigned=message.unassigned,
        devices=tuple(_read_device(device) for device in message.devices),
        settle_s=message.settle_s,
    )


def _read_durations(message: wire.Durations) -> Durations:
    numbers = [one.bin for one in message.bins]
    _must(numbers == sorted(set(numbers)), "bins that do not rise")
    _must(not numbers or numbers[-1] <= len(DURATION_EDGES), f"a bin beyond {len(DURATION_EDGES)}")
    _must(message.count <= MAX_COUNT and sum(one.count for one in message.bins) == message.count, "bins do not add up")
    times = (message.min_s, message.max_s, message.sum_s)
    _must(all(isfinite(t) and t >= 0 for t in times) and message.sum_s <= MAX_TIME_S * MAX_COUNT, "no times")
    _must(message.min_s <= message.max_s <= MAX_TIME_S, "min_s, max_s: no times")
    bins = {one.bin: one.count for one in message.bins if one.count}
    return Durations(message.count, message.sum_s, message.min_s, message.max_s, bins)


def _read_confidences(message: wire.Confidences) -> Confidences:
    _must(len(message.counts) in (0, len(CONFIDENCE_EDGES) + 1), "confidences do not have eight counts")
    _must(max(message.counts, default=0) <= MAX_COUNT and message.disputed <= MAX_COUNT, "too many identifiers")
    return Confidences(tuple(message.counts) or Confidences().counts, message.disputed)


def _read_device(message: wire.DeviceTime) -> DeviceTime:
    _must(_is_id(message.device_id), "a device's id has 1 to 63 printable bytes")
    times = (message.up_s, message.down_s, message.unknown_s)
    _must(all(0 <= t <= 2 * MAX_PART_S for t in times), "a device's times are none")
    return DeviceTime(message.device_id, *times)


def _is_id(text: str) -> bool:
    """Tables show it to a terminal."""
    return 0 < len(text.encode()) <= MAX_ID and text.isprintable()


def _instant(utc_us: int, monotonic_ns: int, state: ClockState) -> Instant:
    _must(0 <= utc_us < 1 << 53, "a moment is no date")
    return Instant(_EPOCH + timedelta(microseconds=utc_us), monotonic_ns, state)


def _must(holds: bool, otherwise: str) -> None:
    if not holds:
        raise ValueError(otherwise)
