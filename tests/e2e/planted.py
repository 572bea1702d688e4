"""A day with planted discrepancies: what is announced of each truck, what comes, and which rules must find it.

Each truck gets one kind of discrepancy or none, by a seed. `PLANTED` says which rules find it, and no others. The
simulated portal counts by chance: where it alarmed itself, its alarm is to be found, too.
"""

from collections import Counter
from dataclasses import dataclass, field, replace
from datetime import UTC, datetime, timedelta
from pathlib import Path
from random import Random
from typing import Any

from edge_agent.domain.expected import ExpectationMatch, ExpectedCrossing, ExpectedPlate, Loading
from edge_agent.domain.identifiers import normalise_plate
from edge_agent.domain.inspection import Inspection
from edge_agent.inspection.expected import match
from hardware_sim.scenario import Scenario
from hardware_sim.world.truck import Truck, draw_code, draw_seal
from tests.e2e.stepped_booth import BOOTH, Eye, day_scenario, oracle, run_day

PLANTED: dict[str, frozenset[str]] = {
    "nothing": frozenset(),
    "another plate": frozenset({"plate_other"}),
    "another container": frozenset({"container_other"}),
    "another seal": frozenset({"seal_other"}),
    "no seal": frozenset({"seal_missing"}),
    "another weight": frozenset({"weight_off"}),
    "laden, declared empty": frozenset({"laden_declared_empty"}),
    "empty, declared laden": frozenset({"empty_declared_laden"}),
    "not announced": frozenset({"no_expectation"}),
    "two announcements": frozenset({"ambiguous_match"}),
    "outside its window": frozenset({"outside_window"}),
    "FAST without a seal": frozenset({"seal_missing", "trusted_condition"}),
    "a source": frozenset({"radiation_alarm", "radiation_cross_check"}),
}
# Every other truck carries nothing: what is found of it is found wrongly.
NOTHING_SHARE = 0.5
_LATER = datetime(2099, 1, 1, tzinfo=UTC)


@dataclass
class Found:
    """What came of it, by rule: found where planted, found where not, planted and not found."""

    vehicles: int = 0
    right: Counter[str] = field(default_factory=Counter)
    wrong: Counter[str] = field(default_factory=Counter)
    missed: Counter[str] = field(default_factory=Counter)
    left_out: int = 0  # vehicles whose identifiers were not all read right
    details: list[str] = field(default_factory=list)

    @property
    def precision(self) -> float:
        return self.right.total() / max(1, self.right.total() + self.wrong.total())

    @property
    def recall(self) -> float:
        return self.right.total() / max(1, self.right.total() + self.missed.total())


def plan(seed: int, trucks: int) -> list[str]:
    """What is planted on each truck."""
    random, kinds = Random(f"planted/{seed}"), [kind for kind in PLANTED if kind != "nothing"]
    return ["nothing" if random.random() < NOTHING_SHARE else kinds[n % len(kinds)] for n in range(trucks)]


def scenario_of(planted: list[str], seed: int) -> Scenario:
    """What comes."""
    told = {
        "no seal": {"seal": None},
        "FAST without a seal": {"seal": None},
        "laden, declared empty": {"gross_kg": 31_000},
        "empty, declared laden": {"gross_kg": 9_000},
        "a source": {"cargo": {"kind": "source", "gamma_cps": 3000}},
    }
    day = day_scenario(len(planted)).model_dump(mode="json", exclude_unset=True)
    day["seed"] = seed
    lane = day["lanes"]["1"]
    lane["traffic"]["trucks"] = [told.get(kind, {}) for kind in planted]
    return Scenario.model_validate(day)


def announced(truck: Truck, planted: str, random: Random) -> list[ExpectedCrossing]:
    """What the port was told of it."""
    plate = normalise_plate(truck.plate.text) if truck.plate else ""
    codes, seals = [c.code for c in truck.containers], [normalise_plate(seal.number) for seal in truck.seals]
    more: dict[str, Any] = {"gross_weight_kg": float(truck.gross_kg)}
    match planted:
        case "another plate":
            plate = "".join(chr(ord("A") + (ord(c) - 65 + 7) % 26) if c.isalpha() else "5" for c in reversed(plate))
        case "another container":
            codes[0] = draw_code(random)
        case "another seal" | "no seal":
            seals = [draw_seal(random).number]
        case "FAST without a seal":
            more["programmes"] = ("FAST",)
        case "another weight":
            more["gross_weight_kg"] = 0.8 * truck.gross_kg
        case "laden, declared empty":
            more["loading"] = Loading.EMPTY
        case "empty, declared laden":
            more["loading"] = Loading.LADEN
        case "outside its window":
            more |= {"arrives_from": _LATER, "arrives_until": _LATER + timedelta(hours=1)}
        case _:
            pass  # what is announced is what comes
    whole = ExpectedCrossing(
        truck.id,
        _LATER + timedelta(days=1),
        plates=(ExpectedPlate(plate),),
        container_codes=tuple(codes),
        seals=tuple(seals),
        **more,
    )
    if planted == "not announced":
        return []
    if planted == "two announcements":
        return [whole, replace(whole, id=f"{truck.id}-2")]
    return [whole]


def played(seed: int, trucks: int, folder: Path, eye: Eye = oracle) -> Found:
    """Plays the day, and compares what was found of each vehicle with what was planted on it."""
    planted = plan(seed, trucks)
    scenario = scenario_of(planted, seed)
    lane = scenario.lanes["1"]
    random = Random(f"announced/{seed}")
    came = lane.traffic.scripted(scenario.seed, "1", lane.drive.speed_mps)
    crossings = [one for truck, kind in zip(came, planted, strict=True) for one in announced(truck, kind, random)]

    def compare(inspection: Inspection) -> ExpectationMatch:
        return match(inspection, crossings, None, None)

    day = run_day(scenario, BOOTH, folder, eye, compare)
    kinds = {truck.id: kind for truck, kind in zip(came, planted, strict=True)}
    found = Found()
    for vehicle in day.score.vehicles:
        record = vehicle.joined.record
        kind = kinds[vehicle.joined.truck.id]
        if record is None or vehicle.misses:
            found.left_out += 1
            continue
        found.vehicles += 1
        rules = {one["rule"] for one in day.closed[record.id].get("findings", [])}
        truck = vehicle.joined.truck
        by_chance = {"radiation_alarm"} if truck.gamma_alarm or truck.neutron_alarm else set()
        wanted = PLANTED[kind] | by_chance
        for rule in rules | wanted:
            tally = found.right if rule in rules & wanted else found.wrong if rule in rules else found.missed
            tally[rule] += 1
            if tally is not found.right:
                found.details.append(f"{vehicle.joined.truck.id}, {kind}: {rule}")
    return found
