"""One open inspection: takes in what belongs to the vehicle, and says at the end what was learnt of it."""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, replace

from edge_agent.domain.clock import Instant
from edge_agent.domain.event import Draft, InspectionClosed
from edge_agent.domain.evidence import Evidence
from edge_agent.domain.inspection import (
    Abandoned,
    Complete,
    Expected,
    Incomplete,
    Inspection,
    Missing,
    MissingReason,
    Outcome,
    SealSeen,
)
from edge_agent.domain.observation import (
    ContainerCodeRead,
    Observation,
    PlateRead,
    Presence,
    RadiationAlarm,
    RadiationOccupancy,
    RadiationSample,
    SealRead,
)
from edge_agent.inspection.profile import radiation_profile, raw_capture
from edge_agent.inspection.vote import Ballot, Ballots, vote_codes, vote_plate

# Ten minutes of one portal, one scanner and two cameras make some 7,000; the rest is counted, not kept.
MAX_OBSERVATIONS = 20_000
# Devices send some 500 kB in ten minutes. A byte takes up to eight in the capture's JSON, and the capture must stay
# below the 64 MiB that a piece of evidence may have, whatever comes in on a line.
MAX_RAW_BYTES = 2 * 1024 * 1024
MAX_TALK = 10_000
# What sensors measured of the vehicle; all else (scans, opaque and malformed lines, states) is what devices say.
MEASUREMENTS = (PlateRead, ContainerCodeRead, Presence, RadiationSample, RadiationAlarm, RadiationOccupancy)
MAX_SEALS = 32
MAX_OCCUPANCIES = 16
MAX_CODES = 8


@dataclass(frozen=True, slots=True)
class Provider:
    """A device that can give what a lane expects. `silent_is_down`: it speaks unasked, so its silence is a fault."""

    device_id: str
    gives: frozenset[Expected]
    silent_is_down: bool = False


class Assembly:
    """The passage of one vehicle, while it lasts. Pictures are kept for the best read of each text only."""

    def __init__(self, inspection_id: str, lane_id: str, opened: Instant, before: Iterable[Observation] = ()) -> None:
        self.id = inspection_id
        self.lane_id = lane_id
        self.opened = opened
        self._plates = Ballots()
        self._codes = Ballots()
        self._seals: dict[str, SealSeen] = {}
        self._occupancies: list[RadiationOccupancy] = []
        self._before = tuple(before)
        self._observations: list[Observation] = []
        self._count = 0
        self._talk = 0
        self._talk_bytes = 0
        self._blind: dict[str, str] = {}

    def join(self, observation: Observation) -> None:
        """Take in an observation that belongs to this vehicle."""
        self._count += 1
        if self._has_room(observation):
            self._observations.append(replace(observation, evidence=()))
        body = observation.body
        match body:
            case PlateRead():
                device, evidence = observation.device_id, observation.evidence
                self._plates.add(body.text, body.confidence, body.characters, device, evidence, body.likeness)
            case ContainerCodeRead():
                self._codes.add_code(body, observation.device_id, observation.evidence)
            case SealRead() if len(self._seals) < MAX_SEALS:
                seal = SealSeen(body.number, body.symbology, observation.device_id, observation.at)
                self._seals.setdefault(body.number, seal)
            case RadiationOccupancy() if len(self._occupancies) < MAX_OCCUPANCIES:
                self._occupancies.append(body)
            case _:
                pass  # samples, presence and opaque messages count through the profile and the capture

    def _has_room(self, observation: Observation) -> bool:
        """Measurements have a bound of their own: no device's talk pushes them out of the evidence."""
        if isinstance(observation.body, MEASUREMENTS):
            return len(self._observations) - self._talk < MAX_OBSERVATIONS
        if self._talk >= MAX_TALK or self._talk_bytes + len(observation.raw) > MAX_RAW_BYTES:
            return False
        self._talk += 1
        self._talk_bytes += len(observation.raw)
        return True

    def was_blind(self, device_id: str, why: str) -> None:
        """The device could not look, at least for a part of the passage."""
        self._blind.setdefault(device_id, why)

    def close(
        self, closed: Instant, expects: tuple[Expected, ...], providers: Mapping[str, Provider], outcome: Outcome | None
    ) -> Draft:
        """The record, with its evidence. `outcome` overrides Complete or Incomplete (a passage that was given up)."""
        plate = vote_plate(self._plates)
        codes = vote_codes(self._codes)[:MAX_CODES]
        learnt = {
            Expected.PLATE: plate is not None,
            Expected.CONTAINER_CODE: bool(codes),
            Expected.SEAL: bool(self._seals),
            Expected.RADIATION: bool(self._occupancies),
        }
        missing = tuple(self._missing(what, providers) for what in expects if not learnt[what])
        inspection = Inspection(
            id=self.id,
            lane_id=self.lane_id,
            opened=self.opened,
            closed=closed,
            outcome=outcome or (Incomplete(missing) if missing else Complete()),
            plate=plate[0] if plate else None,
            container_codes=tuple(code for code, _ in codes),
            seals=tuple(self._seals.values()),
            radiation=tuple(self._occupancies),
            observations=self._count,
        )
        winners = ([plate[1]] if plate else []) + [ballot for _, ballot in codes]
        return Draft(InspectionClosed(inspection), closed, self._evidence(winners))

    def _missing(self, what: Expected, providers: Mapping[str, Provider]) -> Missing:
        devices = [p.device_id for p in providers.values() if what in p.gives]
        if not devices:
            return Missing(what, MissingReason.COULD_NOT_LOOK, "no device of this lane can give it")
        blind = [f"{device}: {self._blind[device]}" for device in devices if device in self._blind]
        if len(blind) == len(devices):
            return Missing(what, MissingReason.COULD_NOT_LOOK, "; ".join(blind))
        return Missing(what, MissingReason.NOT_SEEN, "; ".join(blind))

    def _evidence(self, winners: list[Ballot]) -> tuple[Evidence, ...]:
        everything = (*self._before, *self._observations)
        files = [radiation_profile(everything), raw_capture(everything)]
        pieces = [*(e for ballot in winners for e in ballot.evidence), *(f for f in files if f is not None)]
        return tuple({piece.sha256: piece for piece in pieces}.values())


def given_up(inspection_id: str, lane_id: str, opened: Instant, now: Instant, why: str) -> Draft:
    """The end of an inspection of which only the opening is known: nothing else survived."""
    return Draft(InspectionClosed(Inspection(inspection_id, lane_id, opened, now, Abandoned(why))), now)
