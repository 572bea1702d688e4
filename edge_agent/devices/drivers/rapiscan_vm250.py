"""Rapiscan / TSA radiation portal monitors that speak the ASCII protocol of the VM-250 family.

One record a line, CRLF: a tag, then fields. Counts are six digits, zero-padded, one for each detector panel:

    GB / GH / GL   gamma background, counts per second / in high fault / in low fault; lane empty, every 5 s
    NB / NH        neutron background / in high fault; lane empty, every 5 s
    GS / GA        gamma counts of 200 ms while occupied / the same in alarm
    NS / NA        neutron counts of 1 s while occupied / the same in alarm
    SP             seconds per foot, mph, km/h
    GX             end of occupancy: its number, neutron background in thousandths of a count per second
    TT / TC        tamper / tamper over
    SG1            set-up; its fifth field is N sigma, the gamma alarm threshold
    others         SG2 SG3 SN1 SN2, and the analysis lines RW AB1 AC AR AM AS AX AA NB1 NC NX NZ: kept as they are

Recorded files append the recorder's time to each line ("stamped"): `,2016-05-31 09:30:00.974 -07`.
"""

import math
import re
from collections import deque
from collections.abc import Iterable, Iterator
from dataclasses import dataclass, field
from datetime import datetime
from typing import Literal

from pydantic import BaseModel, ConfigDict, Field

from edge_agent.domain.observation import (
    Body,
    Channel,
    DeviceFault,
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
# The gross-count rule sums one second of samples over all panels.
WINDOW = 5
DEFAULT_N_SIGMA = 5.0

_COUNTS = re.compile(r"([0-9]{6}),([0-9]{6}),([0-9]{6}),([0-9]{6})")
_SPEED = re.compile(r"[0-9]+\.[0-9]+,[0-9]+\.[0-9]+,([0-9]+\.[0-9]+),[0-9]+")
_END = re.compile(r"([0-9]{6}),([0-9]{6}),[0-9]{6},[0-9]{6}")
_SETUP = re.compile(r"[0-9]+,[0-9]+,[0-9]+,[0-9]+,([0-9]+\.[0-9]+),[A-Z]+")
_RECORD = re.compile(r"([A-Z]{2}[0-9]?)(?:,([ -~]*))?")
_STAMP = re.compile(r",([0-9]{4}-[0-9]{2}-[0-9]{2}) ([0-9:]{8}\.[0-9]{3}) ([+-][0-9]{2})(:?[0-9]{2})?$")

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
    pretrigger_lines: int = Field(
        default=WINDOW, ge=0, le=50, description="gamma lines that come at once when an occupancy begins, 200 ms apart"
    )


_Dated = tuple[Body, float]


@dataclass
class _Occupancy:
    """What is known of the vehicle in the portal."""

    beginning_seen: bool
    first_at: float
    background: tuple[int, ...] | None
    gamma_samples: int = 0
    window: deque[int] = field(default_factory=lambda: deque(maxlen=WINDOW))
    sigma: float | None = None
    alarms: set[RadiationKind] = field(default_factory=set)
    speed_kmh: float | None = None


class _NotARecordError(Exception):
    """A line that is no record; its message says why."""


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
        self._faults: set[FaultKind] = set()
        self._tamper: bool | None = None

    def opened(self, now: float) -> None:
        self._last_byte = self._when = now

    def next_wake(self) -> float | None:
        return self._last_byte + UNFINISHED_S if self._buffer else None

    def to_send(self) -> bytes:
        return b""

    def woke(self, now: float) -> Iterable[Reading]:
        """Gives up a line whose end does not come."""
        if not self._buffer or (now < self._last_byte + UNFINISHED_S):
            return ()
        return (Reading(Malformed("a line without its end"), self._when, self._take()),)

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
        try:
            record, stamp = self._unstamped(raw.decode("ascii").rstrip("\r\n"))
            if math.isnan(now) and stamp:
                self._when = datetime.fromisoformat(stamp).timestamp()
            dated = self._record(record, self._when)
        except UnicodeDecodeError:
            dated = [(Malformed("bytes that are not ASCII"), self._when)]
        except _NotARecordError as error:
            dated = [(Malformed(str(error)), self._when)]
        speaker = _speaker([body for body, _ in dated])
        for index, (body, at) in enumerate(dated):
            yield Reading(body, at, raw if index == speaker else b"", device_time=stamp)

    def _unstamped(self, line: str) -> tuple[str, str]:
        """The record, and its stamp as ISO 8601 text. The two forms are told apart by the settings, not guessed."""
        found = _STAMP.search(line)
        if self._settings.format == "wire":
            if found:
                raise _NotARecordError("ends with a time stamp: a recording is read with `format: stamped`")
            return line, ""
        if not found:
            raise _NotARecordError("no time stamp at its end: lines as the portal sends them are `format: wire`")
        date, time_of_day, hours, minutes = found.groups(default="")
        try:
            stamp = datetime.fromisoformat(f"{date}T{time_of_day}{hours}:{minutes.lstrip(':') or '00'}")
        except ValueError:
            raise _NotARecordError("its time stamp is no time") from None
        return line[: found.start()], stamp.isoformat(timespec="milliseconds")

    # --- records: what each says, and when it happened ---------------------------------------------------------

    def _record(self, record: str, when: float) -> list[_Dated]:
        found = _RECORD.fullmatch(record)
        if not found:
            raise _NotARecordError("not a record: a tag of two letters, then fields")
        tag, text = found[1], found[2] or ""
        match tag:
            case "GB" | "GH" | "GL":
                counts = _counts(tag, text)
                if tag == "GB":
                    self._background = counts
                return [
                    *self._empty(when),
                    *self._fault_changes(_GAMMA_FAULTS, tag, text, when),
                    (RadiationSample(RadiationKind.GAMMA, Channel.BACKGROUND, counts, BACKGROUND_INTERVAL_S), when),
                ]
            case "NB" | "NH":
                counts = _counts(tag, text)
                return [
                    *self._empty(when),
                    *self._fault_changes(_NEUTRON_FAULTS, tag, text, when),
                    (RadiationSample(RadiationKind.NEUTRON, Channel.BACKGROUND, counts, BACKGROUND_INTERVAL_S), when),
                ]
            case "GS" | "GA":
                return self._gamma(_counts(tag, text), tag == "GA", when)
            case "NS" | "NA":
                return self._neutron(_counts(tag, text), tag == "NA", when)
            case "GX":
                return self._end(text, when)
            case "TT" | "TC":
                if self._tamper != (tag == "TT"):
                    self._tamper = tag == "TT"
                    return [(DeviceFault(FaultKind.TAMPER, self._tamper), when)]
            case "SP":
                self._speed(text)
            case "SG1":
                self._set_up(text)
            case _:
                pass
        return [(Opaque(tag, tuple(text.split(",")) if found[2] is not None else ()), when)]

    def _gamma(self, counts: tuple[int, ...], in_alarm: bool, when: float) -> list[_Dated]:
        """One 200 ms sample, dated at its end."""
        occupancy, entered = self._enter(when)
        at = when
        if occupancy.beginning_seen:
            # The pre-trigger buffer comes out at once. Its last line is the newest; the others lie before it.
            at -= GAMMA_INTERVAL_S * max(0, self._settings.pretrigger_lines - 1 - occupancy.gamma_samples)
        occupancy.first_at = min(occupancy.first_at, at)
        occupancy.gamma_samples += 1
        occupancy.window.append(sum(counts))
        background = sum(occupancy.background or ())
        if background and len(occupancy.window) == WINDOW:
            sigma = (sum(occupancy.window) - background) / math.sqrt(background)
            occupancy.sigma = sigma if occupancy.sigma is None else max(sigma, occupancy.sigma)
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
        self._occupancy = _Occupancy(self._occupied is False, when, self._background)
        self._occupied = True
        return self._occupancy, [(Presence(True), when)]

    def _end(self, text: str, when: float) -> list[_Dated]:
        found = _END.fullmatch(text)
        if not found:
            raise _NotARecordError("GX has four numbers of six digits")
        if self._occupancy is None:
            # Connected within an occupancy's last moment: none of its samples was seen, so no verdict is known.
            return [(Opaque("GX", tuple(text.split(","))), when), *self._empty(when)]
        return [*self._left(self._occupancy, int(found[1]), int(found[2]), when)]

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
        )
        return [(record, when), (Presence(False), when)]

    def _fault_changes(self, kinds: dict[str, FaultKind], tag: str, text: str, when: float) -> list[_Dated]:
        """A background line says which of its faults is on; every other one of them is over."""
        now_on = {kinds[tag]} if tag in kinds else set()
        was_on = self._faults & set(kinds.values())
        self._faults = self._faults - was_on | now_on
        return [
            (DeviceFault(kind, kind in now_on, f"background {text} counts/s"), when) for kind in sorted(was_on ^ now_on)
        ]

    def _speed(self, text: str) -> None:
        """The first of an occupancy is taken: later ones are often nonsense, up to the limit of 99.999 mph."""
        found = _SPEED.fullmatch(text)
        if found and self._occupancy and self._occupancy.speed_kmh is None:
            self._occupancy.speed_kmh = float(found[1])

    def _set_up(self, text: str) -> None:
        found = _SETUP.fullmatch(text)
        if found and self._settings.n_sigma is None and float(found[1]) > 0:
            self._n_sigma = float(found[1])


def _counts(tag: str, text: str) -> tuple[int, ...]:
    # Exactly six digits: a lost or doubled digit would otherwise be another count, and nobody would know.
    found = _COUNTS.fullmatch(text)
    if not found:
        raise _NotARecordError(f"{tag} has four counts of six digits")
    return tuple(int(count) for count in found.groups())


def _speaker(bodies: list[Body]) -> int:
    """Which of a line's readings carries its bytes."""
    for index, body in enumerate(bodies):
        if isinstance(body, RadiationAlarm):
            return index
    return next(index for index, body in enumerate(bodies) if not isinstance(body, Presence))
