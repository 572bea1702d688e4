"""Convoys through lanes whose devices have positions: what is joined to the wrong vehicle, and what to none.

    python -m benchmarks.convoys [--convoys 150] [--stands 1] [--json]

Two to five trucks, bumper to bumper or some metres apart, that stop and go between 1.2 and 7.5 m/s, drawn from seeds
0 to N - 1; every device reads what is true. What is counted is the joining alone: there is no reading error. Where
they stop they stand for one to six seconds, or `--stands` times as long.
"""

import argparse
import json
from collections import Counter
from dataclasses import dataclass
from random import Random

from edge_agent.domain.event import InspectionClosed, Unassigned
from edge_agent.domain.evidence import EvidenceKind
from edge_agent.inspection.whereabouts import End, Place
from tests.unit.inspection.script import DEPARTS, Script
from tests.unit.inspection.traffic import convoy, drive

PLATES, PORTAL, EXIT = Place(-12, 2, End.FRONT), Place(0, 0.5), Place(25, 0.5)
SENSORS = {"entry", "portal", "exit"}
LANES = {
    "sensor, plates, portal, codes": {
        "entry": Place(-20, 0.5),
        "plates": PLATES,
        "portal": PORTAL,
        "codes": Place(7.5, 4.5, End.FRONT),
    },
    "plates, portal, codes": {"plates": PLATES, "portal": PORTAL, "codes": Place(7.5, 4.5, End.FRONT)},
    "plates, portal, codes and seals behind, exit": {
        "plates": PLATES,
        "portal": PORTAL,
        "codes": Place(3, 2, End.REAR),
        "seals": Place(4, 1, End.REAR),
        "exit": EXIT,
    },
    "sensor, plates, portal, codes and seals behind, exit": {
        "entry": Place(-20, 0.5),
        "plates": PLATES,
        "portal": PORTAL,
        "codes": Place(3, 2, End.REAR),
        "seals": Place(4, 1, End.REAR),
        "exit": EXIT,
    },
    "plates and codes, no presence sensor": {"plates": PLATES, "codes": Place(3, 2, End.REAR)},
}


@dataclass
class Tally:
    """Of one lane over all convoys."""

    trucks: int = 0
    mixed: int = 0  # convoys with a record that holds two trucks' observations
    observations: int = 0
    wrong: int = 0
    unassigned: int = 0
    records: int = 0


def drive_through(places: dict[str, Place], seed: int, tally: Tally, stands: float = 1.0) -> None:
    """One convoy, joined and compared."""
    random = Random(seed)
    trucks = convoy(random, random.randint(2, 5))
    for truck in trucks:
        truck.speeds = [(s if v else s * stands, v) for s, v in truck.speeds]
    said = drive(trucks, places, random)
    script = Script(expects=(), places=places, longest_s=600.0)
    for sensor in sorted(SENSORS & places.keys()):
        script.at(1, sensor, DEPARTS)
    script.observed.clear()  # that its devices had connected, and were free
    for one in said:
        script.at(one.at, one.device, one.body)
    script.until(said[-1].at + 500)
    truck_of = {o.id: one.truck for o, one in zip(script.observed, said, strict=True)}
    wrong = 0
    for draft in script.drafts:
        if isinstance(draft.body, InspectionClosed):
            lines = [e.data.splitlines() for e in draft.evidence if e.kind is EvidenceKind.RAW_CAPTURE]
            owners = Counter(truck_of[json.loads(line)["id"]] for capture in lines for line in capture)
            wrong += owners.total() - max(owners.values(), default=0)
            tally.records += 1
        tally.unassigned += isinstance(draft.body, Unassigned)
    tally.trucks += len(trucks)
    tally.observations += len(said)
    tally.wrong += wrong
    tally.mixed += wrong > 0


def main() -> None:
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("--convoys", type=int, default=150)
    parser.add_argument("--stands", type=float, default=1.0, help="so many times as long where they stop")
    parser.add_argument("--json", action="store_true")
    options = parser.parse_args()
    result = {}
    for name, places in LANES.items():
        tally = result[name] = Tally()
        for seed in range(options.convoys):
            drive_through(places, seed, tally, options.stands)
        if not options.json:
            print(
                f"| {name} | {tally.trucks} | {tally.records} | {tally.mixed} | {tally.wrong} of {tally.observations} "
                f"| {tally.unassigned} |",
                flush=True,
            )
    if options.json:
        print(json.dumps({name: vars(tally) for name, tally in result.items()}))


if __name__ == "__main__":
    main()
