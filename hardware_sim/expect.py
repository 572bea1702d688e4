"""What a port would be told beforehand of a scenario's trucks: a file for `port-gateway expect import`.

The trucks of a seed are the same in every run of it. What the scenario declares of a truck stands in the place of what
comes: a discrepancy that is planted there is to be found at the booth. Trucks that are sent by `ctl` are not known yet.
"""

import csv
import io
import json
from collections.abc import Iterator

from hardware_sim.scenario import Scenario
from hardware_sim.world.truck import Truck

FIELDS = ("id", "plates", "container_codes", "seals", "gross_weight_kg")
FORMATS = ("csv", "json")


def expected(scenario: Scenario, seed: int) -> Iterator[dict[str, object]]:
    """An entry for each truck of which something is declared by which it can be found, by lane and in order."""
    for lane in scenario.build_lanes(seed).values():
        for truck in lane.trucks:
            entry = _entry(truck)
            if entry["plates"] or entry["container_codes"]:
                yield {"id": f"{lane.id}-{seed}-{truck.index}", **entry}


def _entry(truck: Truck) -> dict[str, object]:
    told = truck.declared
    plate = told.plate or (truck.plate.text if truck.plate else "")
    plates = [f"{plate}:tractor"] if plate else []
    if truck.trailer_plate is not None and plates:
        plates.append(f"{truck.trailer_plate.text}:trailer")
    codes, seals = told.container_codes, told.seals
    return {
        "plates": plates,
        "container_codes": [c.code for c in truck.containers] if codes is None else list(codes),
        "seals": [seal.number for seal in truck.seals] if seals is None else list(seals),
        "gross_weight_kg": truck.gross_kg if told.gross_kg is None else told.gross_kg,
    }


def written(entries: Iterator[dict[str, object]], form: str) -> str:
    """As a file: `form` is csv or json."""
    if form == "json":
        return json.dumps(list(entries), indent=1, ensure_ascii=False) + "\n"
    text = io.StringIO(newline="")
    writer = csv.DictWriter(text, FIELDS)
    writer.writeheader()
    for entry in entries:
        writer.writerow({name: "|".join(value) if isinstance(value, list) else value for name, value in entry.items()})
    return text.getvalue()
