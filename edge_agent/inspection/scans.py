"""Which vehicle a scan belongs to. A scanner may answer a minute later, when the next vehicle stands in the lane.

1. By number: the scanner states a number that was read on one vehicle (its plate, a container code), the latest such.
2. By time: the scanner says when it took the scan, with an offset from UTC, and just one vehicle was in the lane then,
   give or take `CLOCKS_S`.
3. By time: the scanner does not say when, or its clock fits no vehicle, and exactly one vehicle was in the lane during
   the `scan_delay_s` before the scan came.
4. None: nothing is guessed. A scan that came before its vehicle is joined by number when that vehicle leaves.
"""

from collections import deque
from collections.abc import Iterable, Mapping
from contextlib import suppress
from dataclasses import dataclass, replace
from datetime import UTC, datetime, timedelta

from edge_agent.domain.clock import Instant
from edge_agent.domain.event import ScanReceived
from edge_agent.domain.identifiers import normalise_plate
from edge_agent.domain.inspection import Inspection, ScanJoin, ScanSeen
from edge_agent.domain.observation import Observation, ScanImage

# Vehicles that a scan may still come for, and scans whose vehicle may still come.
VEHICLES = 64
WAITING = 64
# Two clocks of one booth that follow no common source.
CLOCKS_S = 5.0


@dataclass(slots=True)
class _Vehicle:
    inspection_id: str
    opened: Instant
    closed: Instant | None
    numbers: frozenset[str]


class Scans:
    """The vehicles of the last minutes, and the scans that belong to none yet."""

    def __init__(self, lane_id: str, delay_s: float) -> None:
        self._lane_id = lane_id
        self._delay_s = delay_s
        self._vehicles: deque[_Vehicle] = deque(maxlen=VEHICLES)
        self._waiting: deque[ScanSeen] = deque(maxlen=WAITING)

    def remember(self, left: Iterable[Inspection], waiting: Iterable[ScanSeen]) -> None:
        """Vehicles that left in an earlier run of the agent, and scans that waited for theirs then."""
        self._vehicles.extend(_Vehicle(one.id, one.opened, one.closed, numbers_of(one)) for one in left)
        self._waiting.extend(waiting)

    def opened(self, inspection_id: str, at: Instant) -> None:
        """A vehicle came."""
        self._vehicles.append(_Vehicle(inspection_id, at, None, frozenset()))

    def closed(self, inspection: Inspection) -> tuple[ScanSeen, ...]:
        """A vehicle left: the scans that had come before it and state its number."""
        numbers = numbers_of(inspection)
        for vehicle in self._vehicles:
            if vehicle.inspection_id == inspection.id:
                vehicle.closed, vehicle.numbers = inspection.closed, numbers
        own = [scan for scan in self._waiting if _number(scan.scan) in numbers]
        for scan in own:
            self._waiting.remove(scan)
        return tuple(replace(scan, how=ScanJoin.NUMBER) for scan in own)

    def received(self, observation: Observation, scan: ScanImage, read: Mapping[str, Iterable[str]]) -> ScanReceived:
        """A scan came. `read` are the numbers read so far on each vehicle that is in the lane now, by inspection."""
        files = tuple(evidence.ref for evidence in observation.evidence)
        numbers = {one: frozenset(map(normalise_plate, texts)) for one, texts in read.items()}
        vehicle, how = self._vehicle(observation, scan, numbers)
        seen = ScanSeen(scan, observation.device_id, observation.at, how, files, observation.device_time)
        if vehicle is None:
            self._waiting.append(seen)
            return ScanReceived("", self._lane_id, seen)
        return ScanReceived(vehicle.inspection_id, self._lane_id, seen)

    def _vehicle(
        self, observation: Observation, scan: ScanImage, read: Mapping[str, frozenset[str]]
    ) -> tuple[_Vehicle | None, ScanJoin]:
        number = _number(scan)
        for vehicle in reversed(self._vehicles) if number else ():
            if number in (vehicle.numbers if vehicle.closed else read.get(vehicle.inspection_id, ())):
                return vehicle, ScanJoin.NUMBER
        at = observation.at
        taken = _utc(observation.device_time)
        margin = timedelta(seconds=CLOCKS_S)
        then = [
            v
            for v in self._vehicles
            if taken and v.opened.utc - margin <= taken <= (v.closed.utc if v.closed else at.utc) + margin
        ]
        if not then:
            since = at.monotonic - self._delay_s
            then = [v for v in self._vehicles if v.closed is None or v.closed.monotonic >= since]
        return (then[0], ScanJoin.TIME) if len(then) == 1 else (None, ScanJoin.NONE)


def numbers_of(inspection: Inspection) -> frozenset[str]:
    """What was read on a vehicle that a scanner could state, in the form in which numbers are compared."""
    plates = [inspection.plate.text] if inspection.plate else []
    return frozenset(map(normalise_plate, [*plates, *(code.vote.text for code in inspection.container_codes)]))


def _number(scan: ScanImage) -> str:
    return normalise_plate(scan.vehicle_number)


def _utc(device_time: str) -> datetime | None:
    """When the scanner says it was, if it says so with an offset from UTC: ISO 8601, or DICOM's DT (PS3.5, 6.2)."""
    for read in (datetime.fromisoformat, _dicom, _dicom_whole_seconds):
        with suppress(ValueError, OverflowError):
            at = read(device_time)
            return at.astimezone(UTC) if at.tzinfo else None
    return None


def _dicom(text: str) -> datetime:
    return datetime.strptime(text, "%Y%m%d%H%M%S.%f%z")


def _dicom_whole_seconds(text: str) -> datetime:
    return datetime.strptime(text, "%Y%m%d%H%M%S%z")
