"""Rapiscan / TSA radiation portal monitors that speak the ASCII protocol of the VM-250 family.

One record a line, CRLF: a tag, then fields. Counts are six digits, zero-padded, one for each detector panel:

    GB / GH / GL   gamma background, counts per second / in high fault / in low fault; lane empty, every 5 s
    NB / NH        neutron background / in high fault; lane empty, every 5 s
    GS / GA        gamma counts of 200 ms while occupied / the same in alarm
    NS / NA        neutron counts of 1 s while occupied / the same in alarm
    SP             seconds per foot, mph, km/h
    GX             end of occupancy: its number, neutron background in thousandths of a count per second
    TT / TC        tamper / tamper over
    SG1-3, SN1-2   set-up; of SG1 the third field is the intervals that are summed, the fifth N sigma
    others         RW AB1 AC AR AM AS AX AA NB1 NC NX NZ, the analysis lines: kept as they are

Recorded files append the recorder's time to each line ("stamped"): `,2016-05-31 09:30:00.974 -07`.
"""

import math
from collections import deque
from collections.abc import Iterable, Iterator
from dataclasses import dataclass, field
from datetime import datetime
from typing import Literal

from pydantic import BaseModel, ConfigDict, Field

from edge_agent.devices import rapiscan_records as records
from edge_agent.devices.held_faults import HeldFaults
from edge_agent.devices.rapiscan_records import MOST_INTERVALS, NotARecordError
from edge_agent.domain.observation import (
    Body,
    Channel,
    DeviceSetup,
    FaultKind,
    Malformed,
    Opaque,
    Presence,
    RadiationAlarm,
    RadiationKind,
    RadiationOccupancy,
    RadiationSample,
    Reading,
)

# The longest line known has 84 bytes, its stamp included; three times that, so that no longer line is cut by us.
LINE_LIMIT = 256
# A line takes 90 ms at 9600 baud. One that pauses this long has lost its end.
UNFINISHED_S = 5.0
GAMMA_INTERVAL_S = 0.2
NEUTRON_INTERVAL_S = 1.0
BACKGROUND_INTERVAL_S = 1.0
# The gross-count rule sums so many samples over all panels, one second of them, unless the portal says another number.
WINDOW = 5
DEFAULT_N_SIGMA = 5.0
# Suppression is looked for in sums of one second, whatever the portal sums: shorter ones show their noise.
SUPPRESSION_WINDOW = 5

_GAMMA_FAULTS = {"GH": FaultKind.GAMMA_HIGH_BACKGROUND, "GL": FaultKind.GAMMA_LOW_BACKGROUND}
_NEUTRON_FAULTS = {"NH": FaultKind.NEUTRON_HIGH_BACKGROUND}


class Settings(BaseModel):
    """How this portal is read."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    format: Literal["wire", "stamped"] = Field(
        default="wire",
        description="wire: lines as the portal sends them; stamped: each with a recorder's time at its end",
    )
    n_sigma: float | None = Field(
        default=None,
        gt=0,
        description=f"threshold of the cross-check; unset: the portal's own (SG1), else {DEFAULT_N_SIGMA}",
    )
    intervals: int | None = Field(
        default=None,
        ge=1,
        le=MOST_INTERVALS,
        description=f"gamma lines that the cross-check sums; unset: the portal's own (SG1), else {WINDOW}",
    )
    pretrigger_lines: int = Field(
        default=WINDOW, ge=0, le=50, description="gamma lines that come at once when an occupancy begins, 200 ms apart"
    )
    fault_hold_s: float = Field(
        default=30.0,
        ge=0,
        le=3600,
        description="seconds for which a fault or tamper must be over before its end is told",
    )


_Dated = tuple[Body, float]


@dataclass
class _Occupancy:
    """What is known of the vehicle in the portal."""

    beginning_seen: bool
    first_at: float
    background: tuple[int, ...] | None
    intervals: int
    gamma_samples: int = 0
    recent: deque[int] = field(default_factory=lambda: deque(maxlen=max(MOST_INTERVALS, SUPPRESSION_WINDOW)))
    sigma: float | None = None
    suppression: float | None = None
    alarms: set[RadiationKind] = field(default_factory=set)
    speed_kmh: float | None = None

    def count(self, counts: tuple[int, ...]) -> None:
        """One more gamma sample of 200 ms."""
        self.gamma_samples += 1
        self.recent.append(sum(counts))
        background = sum(self.background or ())
        if not background:
            return
        if len(self.recent) >= self.intervals:
            expected = background * self.intervals * GAMMA_INTERVAL_S
            sigma = (self._last(self.intervals) - expected) / math.sqrt(expected)
            self.sigma = sigma if self.sigma is None else max(sigma, self.sigma)
        if len(self.recent) >= SUPPRESSION_WINDOW:
            expected = background * SUPPRESSION_WINDOW * GAMMA_INTERVAL_S
            depth = max(0.0, 1 - self._last(SUPPRESSION_WINDOW) / expected)
            self.suppression = depth if self.suppression is None else max(depth, self.suppression)

    def _last(self, samples: int) -> int:
        return sum(list(self.recent)[-samples:])


class RapiscanVm250:
    """The dialogue: it only listens. The portal reports by itself and takes no commands on this line.

    The reading that speaks for a line carries its bytes: the alarm if there is one, else the first that is not
    a `Presence`; what else follows from the line carries none.
    """

    def __init__(self, settings: Settings) -> None:
        self._settings = settings
        self._buffer = bytearray()
        self._last_byte = math.nan
        self._when = math.nan
        self._occupied: bool | None = None  # None: just connected, a vehicle may be in the portal
        self._occupancy: _Occupancy | None = None
        self._background: tuple[int, ...] | None = None
        self._n_sigma = settings.n_sigma or DEFAULT_N_SIGMA
        self._intervals = settings.intervals or WINDOW
        self._faults = HeldFaults(settings.fault_hold_s)
        self._setups: dict[str, tuple[tuple[str, str], ...]] = {}

    def opened(self, now: float) -> None:
        self._last_byte = self._when = now

    def next_wake(self) -> float | None:
        unfinished = self._last_byte + UNFINISHED_S if self._buffer else None
        return min((at for at in (unfinished, self._faults.next_due()) if at is not None), default=None)

    def to_send(self) -> bytes:
        return b""

    def woke(self, now: float) -> Iterable[Reading]:
        """Gives up a line whose end does not come, and tells the ends of faults that have held."""
        at = self._when if now == math.inf else now
        readings = [Reading(fault, at) for fault in self._faults.due(now)]
        if self._buffer and not now < self._last_byte + UNFINISHED_S:  # without a clock at the end
            readings.append(Reading(Malformed("a line without its end"), self._when, self._take()))
        return readings

    def received(self, data: bytes, now: float) -> Iterable[Reading]:
        self._last_byte = now
        if not math.isnan(now):
            self._when = now
        readings: list[Reading] = []
        position = 0
        while position < len(data):
            line_feed = data.find(b"\n", position)
            stop = len(data) if line_feed < 0 else line_feed + 1
            stop = min(stop, position + LINE_LIMIT - len(self._buffer))
            self._buffer += data[position:stop]
            position = stop
            if self._buffer.endswith(b"\n"):
                readings.extend(self._line(self._take(), now))
            elif len(self._buffer) == LINE_LIMIT:
                readings.append(
                    Reading(Malformed(f"{LINE_LIMIT} bytes without the end of a line"), self._when, self._take())
                )
        return readings

    def _take(self) -> bytes:
        raw = bytes(self._buffer)
        self._buffer.clear()
        return raw

    def _line(self, raw: bytes, now: float) -> Iterator[Reading]:
        stamp = ""
        dated: list[_Dated]
        try:
            record, stamp = records.unstamped(
                raw.decode("ascii").rstrip("\r\n"), stamped=self._settings.format == "stamped"
            )
            if math.isnan(now) and stamp:
                self._when = datetime.fromisoformat(stamp).timestamp()
                yield from (Reading(fault, self._when) for fault in self._faults.due(self._when))
            dated = self._record(record, self._when)
        except UnicodeDecodeError:
            dated = [(Malformed("bytes that are not ASCII"), self._when)]
        except NotARecordError as error:
            dated = [(Malformed(str(error)), self._when)]
        speaker = _speaker([body for body, _ in dated])
        for index, (body, at) in enumerate(dated):
            yield Reading(body, at, raw if index == speaker else b"", device_time=stamp)

    # --- records: what each says, and when it happened ---------------------------------------------------------

    def _record(self, record: str, when: float) -> list[_Dated]:
        tag, fields = records.record(record)
        text = fields or ""
        as_is = Opaque(tag, tuple(text.split(",")) if fields is not None else ())
        match tag:
            case "GB" | "GH" | "GL":
                counts = records.counts(tag, text)
                if tag == "GB":
                    self._background = counts
                return [
                    *self._empty(when),
                    *self._fault_changes(_GAMMA_FAULTS, tag, text, when),
                    (RadiationSample(RadiationKind.GAMMA, Channel.BACKGROUND, counts, BACKGROUND_INTERVAL_S), when),
                ]
            case "NB" | "NH":
                counts = records.counts(tag, text)
                return [
                    *self._empty(when),
                    *self._fault_changes(_NEUTRON_FAULTS, tag, text, when),
                    (RadiationSample(RadiationKind.NEUTRON, Channel.BACKGROUND, counts, BACKGROUND_INTERVAL_S), when),
                ]
            case "GS" | "GA":
                return self._gamma(records.counts(tag, text), tag == "GA", when)
            case "NS" | "NA":
                return self._neutron(records.counts(tag, text), tag == "NA", when)
            case "GX":
                return self._end(text, when)
            case "TT":
                return [(fault, when) for fault in self._faults.on(FaultKind.TAMPER)] or [(as_is, when)]
            case "TC":
                # Also the first one of a connection: it may have been lost in tamper.
                over = self._faults.off(FaultKind.TAMPER, when, say_first=True)
                return [(fault, when) for fault in over] or [(as_is, when)]
            case "SP":
                if self._occupancy and self._occupancy.speed_kmh is None:
                    # Later ones are often nonsense, up to the limit of 99.999 mph.
                    self._occupancy.speed_kmh = records.kmh(text)
            case "SG1" | "SG2" | "SG3" | "SN1" | "SN2":
                values = records.setup(tag, text)
                if values is not None and self._setups.get(tag) != values:
                    return [(self._set_up(tag, values), when)]
            case _:
                pass
        return [(as_is, when)]

    def _gamma(self, counts: tuple[int, ...], in_alarm: bool, when: float) -> list[_Dated]:
        """One 200 ms sample, dated at its end."""
        occupancy, entered = self._enter(when)
        at = when
        if occupancy.beginning_seen:
            # The pre-trigger buffer comes out at once. Its last line is the newest; the others lie before it.
            at -= GAMMA_INTERVAL_S * max(0, self._settings.pretrigger_lines - 1 - occupancy.gamma_samples)
        occupancy.first_at = min(occupancy.first_at, at)
        occupancy.count(counts)
        sample = RadiationSample(RadiationKind.GAMMA, Channel.OCCUPIED, counts, GAMMA_INTERVAL_S, in_alarm)
        return [*entered, *self._alarm(occupancy, sample, at), (sample, at)]

    def _neutron(self, counts: tuple[int, ...], in_alarm: bool, when: float) -> list[_Dated]:
        occupancy, entered = self._enter(when)
        sample = RadiationSample(RadiationKind.NEUTRON, Channel.OCCUPIED, counts, NEUTRON_INTERVAL_S, in_alarm)
        return [*entered, *self._alarm(occupancy, sample, when), (sample, when)]

    def _alarm(self, occupancy: _Occupancy, sample: RadiationSample, at: float) -> list[_Dated]:
        """An alarm is told once for each kind and occupancy."""
        if not sample.in_alarm or sample.kind in occupancy.alarms:
            return []
        occupancy.alarms.add(sample.kind)
        return [(RadiationAlarm(sample.kind, sample.counts), at)]

    def _enter(self, when: float) -> tuple[_Occupancy, list[_Dated]]:
        if self._occupancy:
            return self._occupancy, []
        self._occupancy = _Occupancy(self._occupied is False, when, self._background, self._intervals)
        self._occupied = True
        return self._occupancy, [(Presence(True), when)]

    def _end(self, text: str, when: float) -> list[_Dated]:
        number, neutron_milli = records.end(text)
        if self._occupancy is None:
            # Connected within an occupancy's last moment: none of its samples was seen, so no verdict is known.
            return [(Opaque("GX", tuple(text.split(","))), when), *self._empty(when)]
        return [*self._left(self._occupancy, number, neutron_milli, when)]

    def _empty(self, when: float) -> list[_Dated]:
        """The lane is empty: news after a connection, or when the end of an occupancy was lost."""
        if self._occupancy:
            return self._left(self._occupancy, 0, 0, when)
        if self._occupied is False:
            return []
        self._occupied = False
        return [(Presence(False), when)]

    def _left(self, occupancy: _Occupancy, number: int, neutron_milli: int, when: float) -> list[_Dated]:
        self._occupancy, self._occupied = None, False
        duration = when - occupancy.first_at
        seen = occupancy.beginning_seen and not math.isnan(duration)
        record = RadiationOccupancy(
            number=number,
            duration_s=round(duration, 3) if seen else None,
            gamma_alarm=RadiationKind.GAMMA in occupancy.alarms,
            neutron_alarm=RadiationKind.NEUTRON in occupancy.alarms,
            cross_check_sigma=occupancy.sigma,
            cross_check_alarm=None if occupancy.sigma is None else occupancy.sigma > self._n_sigma,
            gamma_background=occupancy.background,
            neutron_background_milli=neutron_milli,
            gamma_samples=occupancy.gamma_samples,
            speed_kmh=occupancy.speed_kmh,
            suppression=occupancy.suppression,
        )
        return [(record, when), (Presence(False), when)]

    def _fault_changes(self, kinds: dict[str, FaultKind], tag: str, text: str, when: float) -> list[_Dated]:
        """A background line says which of its faults is on; every other one of them is over."""
        changes = [
            fault
            for kind in sorted(kinds.values())
            if kinds.get(tag) is not kind
            for fault in self._faults.off(kind, when)
        ]
        if tag in kinds:
            changes += self._faults.on(kinds[tag], f"background {text} counts/s")
        return [(fault, when) for fault in changes]

    def _set_up(self, tag: str, values: tuple[tuple[str, str], ...]) -> DeviceSetup:
        """How the portal is set up, told when it is first said on this connection and when it has changed."""
        before = dict(self._setups.get(tag, ()))
        self._setups[tag] = values
        told = dict(values)
        if tag == "SG1":
            n_sigma = records.number(told["gamma_n_sigma"], 0.1, 1000)
            intervals = records.number(told["gamma_intervals"], 1, MOST_INTERVALS)
            self._n_sigma = self._settings.n_sigma or n_sigma or self._n_sigma
            self._intervals = self._settings.intervals or int(intervals or self._intervals)
        return DeviceSetup(values, tuple(name for name, value in values if before and before[name] != value))


def _speaker(bodies: list[Body]) -> int:
    """Which of a line's readings carries its bytes."""
    for index, body in enumerate(bodies):
        if isinstance(body, RadiationAlarm):
            return index
    return next(index for index, body in enumerate(bodies) if not isinstance(body, Presence))
