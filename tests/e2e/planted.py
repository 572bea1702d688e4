"""A day with planted discrepancies: what is announced of each truck, what comes, and which rules must find it.

Each truck gets one kind of discrepancy or none, by a seed. `PLANTED` says which rules find it, and no others. The
simulated portal counts by chance: where it alarmed itself, its alarm is to be found, too. What only the port finds, by
its watch list, is found by the port's own code in the events that the booth signed.
"""

import contextlib
import random as chance
from collections import Counter
from collections.abc import Callable
from dataclasses import dataclass, field, replace
from datetime import UTC, datetime, timedelta
from functools import partial
from itertools import cycle
from pathlib import Path
from random import Random
from typing import Any

import apsw

from edge_agent.domain.clock import SystemClock
from edge_agent.domain.expected import ExpectationMatch, ExpectedCrossing, ExpectedPlate, Loading
from edge_agent.domain.identifiers import normalise_plate
from edge_agent.domain.inspection import Inspection
from edge_agent.inspection.expected import match
from edge_agent.wire.chain import Head
from edge_agent.wire.verify import Verified
from hardware_sim.scenario import Scenario
from hardware_sim.world.truck import Truck, draw_code, draw_seal
from port_gateway.inbox import Inbox
from port_gateway.store import Store
from port_gateway.watch_list import Entry, put
from tests.e2e.stepped_booth import BOOTH, TCP, Eye, day_scenario, oracle, run_day

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
    "a source, and a portal that does not alarm": frozenset({"radiation_cross_check", "radiation_disagreement"}),
    "a portal that alarms at nothing": frozenset({"radiation_alarm", "radiation_disagreement"}),
    "a seal that was opened": frozenset({"seal_broken"}),
    "a wrong check digit": frozenset({"check_digit"}),
    "a scanner of seals that is unplugged": frozenset({"could_not_look"}),
    "another truck's number on the scan": frozenset({"scan_other"}),
    "no plate": frozenset({"not_read"}),
    "one character otherwise": frozenset({"one_character"}),
    "announced when it had left": frozenset({"no_expectation", "late_expectation"}),
    "watched for": frozenset({"watch_list"}),
    "watched for, but for one character": frozenset({"watch_list"}),
}
# Every other truck carries nothing: what is found of it is found wrongly.
NOTHING_SHARE = 0.5
_LATER = datetime(2099, 1, 1, tzinfo=UTC)
# A UHF reader whose field begins before the portal, and hears the seals at the rear when the truck drives on.
_TAGS = {"kind": "uhfreader18", "at_m": 1.0, "links": TCP}
_SEALS = {"text_prefix": ["HS", "ML", "UNL", "EMX"], "tamper": {"bank": "user", "word": 0, "bit": 0}}
_LANE = BOOTH["1"]
_READER = {"id": "tags", "driver": "uhfreader18", "settings": {"interval_s": 0.6, "seals": _SEALS}}
_BOOTH: dict[str, Any] = {"1": {**_LANE, "devices": [*_LANE["devices"], _READER]}}
# So long a portal judges otherwise: a passage, and less than until the next one.
_PASSAGE_S, _GAP_S = 22.0, [15, 18]
# Entries of the watch list that nobody of the day fits.
_DECOYS = 200
_NOW_US = 1_800_000_000_000_000


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


def plan(seed: int, trucks: int, nothing_share: float = NOTHING_SHARE) -> list[str]:
    """What is planted on each truck."""
    random, kinds = Random(f"planted/{seed}"), cycle(kind for kind in PLANTED if kind != "nothing")
    return ["nothing" if random.random() < nothing_share else next(kinds) for _ in range(trucks)]


def scenario_of(planted: list[str], seed: int) -> Scenario:
    """What comes."""
    source = {"cargo": {"kind": "source", "gamma_cps": 3000}}
    told = {
        "no seal": {"seal": None},
        "FAST without a seal": {"seal": None},
        "laden, declared empty": {"gross_kg": 31_000},
        "empty, declared laden": {"gross_kg": 9_000},
        "a source": source,
        "a source, and a portal that does not alarm": source,
        "a seal that was opened": {"seal_opened": True},
        "a wrong check digit": {"misprinted": True},
        "no plate": {"plate": None},
    }
    faults: dict[str, dict[str, Any]] = {
        "a source, and a portal that does not alarm": {"target": "portal", "kind": "misjudge", "for_s": _PASSAGE_S},
        "a portal that alarms at nothing": {
            **{"target": "portal", "kind": "misjudge", "for_s": _PASSAGE_S, "n_sigma": -1e6},
        },
        "a scanner of seals that is unplugged": {
            **{"target": "seal-scanner", "kind": "re_plug", "when": "clears", "after_s": 0.5, "for_s": 1.0},
        },
    }
    day = day_scenario(len(planted)).model_dump(mode="json", exclude_unset=True)
    day["seed"] = seed
    day["faults"] = [{**faults[kind], "truck": n} for n, kind in enumerate(planted, 1) if kind in faults]
    lane = day["lanes"]["1"]
    lane["devices"] = {**lane["devices"], "tags": _TAGS}
    lane["traffic"] |= {"trucks": [told.get(kind, {}) for kind in planted], "gap_s": _GAP_S}
    return Scenario.model_validate(day)


def announced(truck: Truck, planted: str, random: Random) -> list[ExpectedCrossing]:
    """What the port was told of it."""
    plate = normalise_plate(truck.plate.text) if truck.plate else _other("ABC1234", random)
    codes, seals = [c.code for c in truck.containers], [normalise_plate(seal.number) for seal in truck.seals]
    more: dict[str, Any] = {"gross_weight_kg": float(truck.gross_kg)}
    match planted:
        case "another plate":
            plate = "".join(chr(ord("A") + (ord(c) - 65 + 7) % 26) if c.isalpha() else "5" for c in reversed(plate))
        case "one character otherwise":
            plate = _other(plate, random)
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


def _other(text: str, random: Random) -> str:
    """The same but for one character, and not for one that is drawn like it."""
    place = random.randrange(len(text))
    others = "ACEHKMPRTXY" if text[place].isalpha() else "234679"
    return text[:place] + random.choice([c for c in others if c != text[place]]) + text[place + 1 :]


def watched(came: list[Truck], planted: list[str], random: Random) -> list[Entry]:
    """The port's watch list: an identifier of each truck that is watched for, and many of trucks that do not come."""
    entries = [
        Entry(f"decoy-{n}", *one, tell="another")
        for n in range(_DECOYS // 2)
        for one in (("seal", draw_seal(random).number), ("container_code", draw_code(random)))
    ]
    entries = [replace(entry, id=f"{entry.id}-{entry.kind}") for entry in entries]
    for n, (truck, kind) in enumerate(zip(came, planted, strict=True)):
        assert truck.plate is not None or not kind.startswith("watched")
        if not kind.startswith("watched") or truck.plate is None:
            continue
        carries = [("plate", truck.plate.text), ("container_code", truck.container_code), ("tag", truck.tag or "")]
        carries += [("seal", seal.number) for seal in truck.seals]
        what, text = random.choice([(what, text) for what, text in carries if text])
        text = normalise_plate(text)
        entries.append(Entry(f"w-{n}", what, text if kind == "watched for" else _other(text, random), tell="look"))
    return entries


def hits(events: list[Verified], entries: list[Entry], folder: Path) -> set[str]:
    """The inspections that the port's inbox finds on its watch list when it takes these events."""
    with contextlib.closing(Store(folder / "inbox.sqlite")) as store:
        inbox = Inbox(store, SystemClock())
        store.submit(lambda db: put(db, entries, "operator", "added", _NOW_US)).result(20)
        first = events[0].event
        head = Head(first.booth_id, first.epoch)
        for begin in range(0, len(events), 100):
            batch = events[begin : begin + 100]
            inbox.append(head, batch).result(60)
            head = batch[-1].chain.head

        def found(db: apsw.Connection) -> set[str]:
            return {str(row[0]) for row in db.execute("SELECT inspection_id FROM watch_list_hit")}

        return store.submit(found).result(20)


def played(seed: int, trucks: int, folder: Path, eye: Eye = oracle, nothing_share: float = NOTHING_SHARE) -> Found:
    """Plays the day, and compares what was found of each vehicle with what was planted on it."""
    planted = plan(seed, trucks, nothing_share)
    scenario = scenario_of(planted, seed)
    lane = scenario.lanes["1"]
    random = Random(f"announced/{seed}")
    came = lane.traffic.scripted(scenario.seed, "1", lane.drive.speed_mps)
    kinds = {truck.id: kind for truck, kind in zip(came, planted, strict=True)}
    told = {truck.id: announced(truck, kinds[truck.id], random) for truck in came}
    late = [id for id, kind in kinds.items() if kind == "announced when it had left"]
    crossings = [one for id, ones in told.items() if id not in late for one in ones]
    later: dict[str, Callable[[], None]] = {id: partial(crossings.extend, told[id]) for id in late}

    def compare(inspection: Inspection) -> ExpectationMatch:
        return match(inspection, crossings, None, None)

    others = {truck.id: draw_code(random) for truck in came}

    def scanner(truck: Truck) -> tuple[str, float]:
        of_another = kinds[truck.id] == "another truck's number on the scan"
        return others[truck.id] if of_another else truck.container_code, 1.0 if truck.index % 2 else 8.0

    chance.seed(seed)  # the agent draws when it tries a lost link again
    entries = watched(came, planted, random)
    day = run_day(scenario, _BOOTH, folder, eye, compare, later=later, scanner=scanner)
    at_the_port = hits(day.verified, entries, folder)
    added: dict[str, set[str]] = {}
    for event in day.records:
        if "findings_added" in event:
            rules = {one["rule"] for one in event["findings_added"]["findings"]}
            added.setdefault(event["findings_added"]["inspection_id"], set()).update(rules)
    found = Found()
    for vehicle in day.score.vehicles:
        record = vehicle.joined.record
        kind = kinds[vehicle.joined.truck.id]
        if record is None or vehicle.misses:
            found.left_out += 1
            found.details.append(f"{vehicle.joined.truck.id}, {kind}: left out, {vehicle.misses}")
            continue
        found.vehicles += 1
        rules = {one["rule"] for one in day.closed[record.id].get("findings", [])} | added.get(record.id, set())
        rules |= {"watch_list"} if record.id in at_the_port else set()
        truck = vehicle.joined.truck
        by_chance = {"radiation_alarm"} if truck.gamma_alarm or truck.neutron_alarm else set()
        wanted = PLANTED[kind] | by_chance
        for rule in rules | wanted:
            tally = found.right if rule in rules & wanted else found.wrong if rule in rules else found.missed
            tally[rule] += 1
            if tally is not found.right:
                found.details.append(f"{vehicle.joined.truck.id}, {kind}: {rule}")
    return found
