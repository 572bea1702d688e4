"""One open inspection: takes in what belongs to the vehicle, and says at the end what was learnt of it."""

from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass, replace
from types import MappingProxyType

from edge_agent.domain.clock import Instant
from edge_agent.domain.event import Draft, InspectionClosed
from edge_agent.domain.evidence import Evidence, EvidenceKind
from edge_agent.domain.inspection import (
    Abandoned,
    Complete,
    Expected,
    Incomplete,
    Inspection,
    Missing,
    MissingReason,
    Outcome,
    ScanSeen,
    SealSeen,
    SealStateSeen,
    SpectrumSeen,
    TagSeen,
    Weighed,
)
from edge_agent.domain.joining import Away
from edge_agent.domain.observation import (
    ContainerCodeRead,
    Direction,
    Observation,
    PlateRead,
    Presence,
    RadiationAlarm,
    RadiationKind,
    RadiationOccupancy,
    RadiationSample,
    SealRead,
    SealState,
    SpectroscopicMeasurement,
    TagRead,
    Weight,
)
from edge_agent.inspection.profile import radiation_profile, raw_capture
from edge_agent.inspection.roles import alike, codes_of, device_reads, plates_of, stating
from edge_agent.inspection.rules import Facts
from edge_agent.inspection.vote import Ballot, Ballots, same_code
from edge_agent.inspection.whereabouts import End

# Ten minutes of one portal, a scale at seven frames a second, one scanner and two cameras make some 12,000; the rest is
# counted, not kept.
MAX_OBSERVATIONS = 30_000
# Devices send some 500 kB in ten minutes. A byte takes up to eight in the capture's JSON, and the capture must stay
# below the 64 MiB that a piece of evidence may have, whatever comes in on a line.
MAX_RAW_BYTES = 2 * 1024 * 1024
MAX_TALK = 10_000
# Of what came with measurements; after it they are kept without their bytes.
MAX_MEASURED_RAW_BYTES = 8 * 1024 * 1024
# What sensors measured of the vehicle; all else (scans, opaque and malformed lines, states) is what devices say.
MEASUREMENTS = (
    PlateRead,
    ContainerCodeRead,
    Presence,
    RadiationSample,
    RadiationAlarm,
    RadiationOccupancy,
    SpectroscopicMeasurement,
    SealState,
    TagRead,
    Weight,
)
MAX_SEALS = 32
MAX_TAGS = 48
MAX_WEIGHTS = 8
MAX_INDICATIONS = 256  # different ones of one scale
MAX_OCCUPANCIES = 16
MAX_SPECTRA = 8  # each brings its document, of some megabytes at most
MAX_SCANS = 16
MAX_CODES = 8
MAX_AWAY = 8
# An empty truck scale drifts by an increment or two; the lightest vehicle that it can tell is heavier than this.
VEHICLE_KG = 200.0


@dataclass(frozen=True, slots=True)
class Provider:
    """A device that can give what a lane expects. `silent_is_down`: it speaks unasked, so its silence is a fault.

    `sees`: which end of a vehicle it looks at.
    """

    device_id: str
    gives: frozenset[Expected]
    silent_is_down: bool = False
    sees: End = End.ANY


class Assembly:
    """The passage of one vehicle, while it lasts. Pictures are kept for the best read of each text only."""

    def __init__(self, inspection_id: str, lane_id: str, opened: Instant, before: Iterable[Observation] = ()) -> None:
        self.id = inspection_id
        self.lane_id = lane_id
        self.opened = opened
        self._plates: dict[str, Ballots] = {}  # by device
        self._codes: dict[str, Ballots] = {}
        self._seals: dict[str, SealSeen] = {}
        self._seal_states: list[SealStateSeen] = []
        self._tags: dict[str, TagSeen] = {}
        self._weights: dict[str, dict[float, tuple[int, Weighed]]] = {}
        self._spectra: list[SpectrumSeen] = []
        self._documents: list[Evidence] = []
        self._scans: list[ScanSeen] = []
        self._direction: Direction | None = None
        self._occupancies: list[tuple[str, RadiationOccupancy]] = []
        self._alarms: dict[tuple[str, RadiationKind], None] = {}
        self._before = tuple(before)
        self._observations: list[Observation] = []
        self._count = 0
        self._talk = 0
        self._talk_bytes = 0
        self._measured_bytes = 0
        self._blind: dict[str, str] = {}
        self._away: list[Away] = []
        self._doubted = False

    def preceded_by(self, observations: Iterable[Observation]) -> None:
        """What a portal said before the vehicle came to it."""
        self._before = (*self._before, *observations)

    def join(self, observation: Observation) -> None:
        """Take in an observation that belongs to this vehicle."""
        self._count += 1
        body = observation.body
        if isinstance(body, SpectroscopicMeasurement):
            observation = replace(observation, raw=b"")  # its document is evidence of its own
        if self._has_room(observation):
            self._observations.append(replace(observation, evidence=(), raw=self._raw(observation)))
        match body:
            case PlateRead():
                device, at = observation.device_id, observation.at.monotonic
                self._plates.setdefault(device, Ballots()).add_plate(body, device, observation.evidence, at)
            case ContainerCodeRead():
                device, at = observation.device_id, observation.at.monotonic
                self._codes.setdefault(device, Ballots()).add_code(body, device, observation.evidence, at)
            case SealRead() if len(self._seals) < MAX_SEALS:
                seal = SealSeen(body.number, body.symbology, observation.device_id, observation.at)
                self._seals.setdefault(body.number, seal)
            case RadiationOccupancy() if len(self._occupancies) < MAX_OCCUPANCIES:
                self._occupancies.append((observation.device_id, body))
                self._direction = body.direction or self._direction
            case Presence():
                self._direction = body.direction or self._direction
            case RadiationAlarm():
                self._alarms[observation.device_id, body.kind] = None
            case SealState():
                self._seal_state(SealStateSeen(body, observation.device_id, observation.at))
            case TagRead():
                self._tag(TagSeen(body, observation.device_id, observation.at))
            case Weight() if body.settled and body.kg >= VEHICLE_KG:
                self._weigh(Weighed(body, observation.device_id, observation.at))
            case SpectroscopicMeasurement() if len(self._spectra) < MAX_SPECTRA:
                self._spectra.append(SpectrumSeen(body, observation.device_id, observation.at))
                self._documents += observation.evidence
            case _:
                pass  # samples, presence and opaque messages count through the profile and the capture

    def scanned(self, scan: ScanSeen) -> None:
        """Take in a scan of this vehicle; its files are in the ledger already."""
        if len(self._scans) < MAX_SCANS:
            self._scans.append(scan)

    def numbers(self) -> tuple[str, ...]:
        """The plates and container codes read so far, most supported or not."""
        return tuple(text for b in (*self._plates.values(), *self._codes.values()) for text in b.texts())

    def was_away(self, away: Away) -> None:
        """The agent was not there for a while: whether this vehicle still is, must show."""
        if len(self._away) < MAX_AWAY:
            self._away.append(away)
        self._doubted = True

    def is_another(self, observation: Observation) -> bool:
        """After an absence: a plate that is unlike all that this camera had read of the vehicle."""
        if (
            not self._doubted
            or observation.device_id not in self._plates
            or not isinstance(observation.body, PlateRead)
        ):
            return False
        self._doubted = self.unlike(observation)
        return self._doubted

    def heard_before(self, observation: Observation) -> bool:
        """A tag, or a seal's condition, that is known of this vehicle: its reader says it again and again.

        So does that of one which has no place among them any more.
        """
        body = observation.body
        if isinstance(body, TagRead):
            return body.epc in self._tags or len(self._tags) >= MAX_TAGS
        if not isinstance(body, SealState):
            return False
        said = {(seen.state.number, seen.state.condition) for seen in self._seal_states}
        return (body.number, body.condition) in said or len(self._seal_states) >= MAX_SEALS

    def unlike(self, observation: Observation) -> bool:
        """A plate or code that is unlike all that this device has read of the vehicle, and it has read one."""
        body, device = observation.body, observation.device_id
        if isinstance(body, PlateRead) and device in self._plates:
            return not any(alike(body.text, text) for text in self._plates[device].texts())
        if isinstance(body, ContainerCodeRead) and device in self._codes:
            return not any(same_code(body.code, text) for text in self._codes[device].texts())
        return False

    def _seal_state(self, seen: SealStateSeen) -> None:
        last = next((s.state for s in reversed(self._seal_states) if s.state.number == seen.state.number), None)
        if (last is None or last.condition != seen.state.condition) and len(self._seal_states) < MAX_SEALS:
            self._seal_states.append(seen)

    def _tag(self, seen: TagSeen) -> None:
        known = self._tags.get(seen.tag.epc)
        if known is None:
            if len(self._tags) < MAX_TAGS:
                self._tags[seen.tag.epc] = seen
            return
        new, old = seen.tag, known.tag
        stronger = new if (new.rssi_dbm or float("-inf")) > (old.rssi_dbm or float("-inf")) else old
        tag = replace(stronger, tid=new.tid or old.tid, memory=new.memory or old.memory)
        self._tags[new.epc] = replace(known, tag=tag, reads=known.reads + 1)

    def _weigh(self, seen: Weighed) -> None:
        if seen.device_id not in self._weights and len(self._weights) >= MAX_WEIGHTS:
            return
        shown = self._weights.setdefault(seen.device_id, {})
        frames, _ = shown.pop(seen.weight.kg, (0, seen))
        if len(shown) >= MAX_INDICATIONS:
            del shown[next(iter(shown))]
        shown[seen.weight.kg] = (frames + 1, seen)

    def _weighed(self) -> tuple[Weighed, ...]:
        """Of each scale, the weight that it showed longest: one that is driven onto settles on parts of it first."""
        longest = (max(shown.values(), key=lambda it: (it[0], it[1].weight.kg)) for shown in self._weights.values())
        return tuple(weighed for _, weighed in longest)

    def _has_room(self, observation: Observation) -> bool:
        """Measurements have a bound of their own: no device's talk pushes them out of the evidence."""
        if isinstance(observation.body, MEASUREMENTS):
            return len(self._observations) - self._talk < MAX_OBSERVATIONS
        if self._talk >= MAX_TALK or self._talk_bytes + len(observation.raw) > MAX_RAW_BYTES:
            return False
        self._talk += 1
        self._talk_bytes += len(observation.raw)
        return True

    def _raw(self, observation: Observation) -> bytes:
        if not isinstance(observation.body, MEASUREMENTS):
            return observation.raw
        self._measured_bytes += len(observation.raw)
        return observation.raw if self._measured_bytes <= MAX_MEASURED_RAW_BYTES else b""

    def was_blind(self, device_id: str, why: str) -> None:
        """The device could not look, at least for a part of the passage."""
        self._blind.setdefault(device_id, why)

    def close(
        self,
        closed: Instant,
        expects: tuple[Expected, ...],
        providers: Mapping[str, Provider],
        outcome: Outcome | None,
        earlier_scans: Callable[[Inspection], tuple[ScanSeen, ...]] = lambda _: (),
        series: Mapping[str, float] = MappingProxyType({}),
        judge: Callable[[Facts], Inspection] = lambda facts: facts.inspection,
    ) -> Draft:
        """The record, with its evidence. `outcome` overrides Complete or Incomplete (a passage that was given up).

        `earlier_scans` gives the scans that came before the vehicle, by what was read of it; `series` the forms of the
        region's plates with their shares; `judge` completes the record by what is expected and found.
        """
        sees = {device: provider.sees for device, provider in providers.items()}
        plates = plates_of(self._plates, sees, series)
        codes = codes_of(self._codes, self._direction is Direction.BACKWARD)[:MAX_CODES]
        seals, plates_seen = tuple(self._seals.values()), tuple(plate for plate, _ in plates)
        inspection = Inspection(
            id=self.id,
            lane_id=self.lane_id,
            opened=self.opened,
            closed=closed,
            outcome=Complete(),
            plate=plates_seen[0].vote if plates_seen else None,
            container_codes=tuple(code for code, _ in codes),
            seals=seals,
            radiation=tuple(occupancy for _, occupancy in self._occupancies),
            observations=self._count,
            seal_states=tuple(self._seal_states),
            tags=stating(self._tags.values(), plates_seen, (code for code, _ in codes), seals, self._seal_states),
            weights=self._weighed(),
            spectra=tuple(self._spectra),
            direction=self._direction,
            plates=plates_seen,
            device_reads=device_reads(self._plates, self._codes, sees, series),
            resumed=tuple(self._away),
        )
        scans = (*earlier_scans(inspection), *self._scans)[:MAX_SCANS]
        learnt = {
            Expected.PLATE: bool(plates),
            Expected.CONTAINER_CODE: bool(codes),
            Expected.SEAL: bool(self._seals or self._seal_states),
            Expected.RADIATION: bool(self._occupancies or self._spectra),
            Expected.TAG: bool(self._tags),
            Expected.WEIGHT: bool(self._weights),
            Expected.SCAN: bool(scans),
        }
        missing = tuple(self._missing(what, providers) for what in expects if not learnt[what])
        looked = {what for p in providers.values() if p.device_id not in self._blind for what in p.gives}
        how = outcome or (Incomplete(missing) if missing else Complete())
        inspection = replace(
            inspection, outcome=how, scans=scans, looked_for=tuple(what for what in Expected if what in looked)
        )
        named = [("plate", ballot) for _, ballot in plates] + [("container_code", ballot) for _, ballot in codes]
        evidence = self._evidence([ballot for _, ballot in named])
        files: dict[EvidenceKind, tuple[bytes, ...]] = {}
        for piece in evidence:
            files[piece.kind] = (*files.get(piece.kind, ()), piece.sha256)
        facts = Facts(
            inspection,
            occupancies=tuple(self._occupancies),
            alarms=tuple(self._alarms),
            blind=self._blind,
            looked=frozenset(looked),
            pictures={(what, ballot.text): tuple(e.sha256 for e in ballot.evidence) for what, ballot in named},
            files=files,
        )
        return Draft(InspectionClosed(judge(facts)), closed, evidence)

    def _missing(self, what: Expected, providers: Mapping[str, Provider]) -> Missing:
        devices = [p.device_id for p in providers.values() if what in p.gives]
        if not devices:
            return Missing(what, MissingReason.COULD_NOT_LOOK, "no device of this lane can give it")
        blind = [f"{device}: {self._blind[device]}" for device in devices if device in self._blind]
        if len(blind) == len(devices):
            return Missing(what, MissingReason.COULD_NOT_LOOK, "; ".join(blind))
        late = ["had not come when the vehicle left"] if what is Expected.SCAN else []
        return Missing(what, MissingReason.NOT_SEEN, "; ".join([*blind, *late]))

    def _evidence(self, winners: list[Ballot]) -> tuple[Evidence, ...]:
        everything = (*self._before, *self._observations)
        files = [radiation_profile(everything), raw_capture(everything)]
        pictures = (e for ballot in winners for e in ballot.evidence)
        pieces = [*pictures, *self._documents, *(f for f in files if f is not None)]
        return tuple({piece.sha256: piece for piece in pieces}.values())


def given_up(inspection_id: str, lane_id: str, opened: Instant, now: Instant, why: str) -> Draft:
    """The end of an inspection of which only the opening is known: nothing else survived."""
    return Draft(InspectionClosed(Inspection(inspection_id, lane_id, opened, now, Abandoned(why))), now)
