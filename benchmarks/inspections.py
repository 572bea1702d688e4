"""The shipped scenarios, joined: records that equal the truth, and observations in the wrong vehicle's record.

    python -m benchmarks.inspections [--seeds 2] [--scenario NAME] [--no-positions] [--json]

Simulator and agent run in one process on a stepped clock (benchmarks/day.py), with the devices and the faults of the
scenario, its own seed and the next ones. An oracle stands in the recogniser's place, so that what is counted is the
joining. A record equals the truth when it is the only one of its vehicle, and plates with their role, container codes,
seals and tags are the vehicle's, no more and no fewer. Whose an observation is follows from the truth: of a read from
its text, of a presence, alarm, occupancy, spectrum or weight from where the trucks were. A record is of the vehicle
from which most of its observations are; the others in it are wrong. The booth knows where its
devices stand, unless `--no-positions` is given. The peer is the truth itself.
"""

import argparse
import json
import random
import tempfile
import time
from collections import Counter
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from edge_agent.domain.event import Draft, InspectionClosed
from edge_agent.domain.evidence import EvidenceKind
from edge_agent.domain.identifiers import normalise_plate
from edge_agent.inspection.assemble import VEHICLE_KG
from hardware_sim.device import DeviceSettings
from hardware_sim.devices import barcode_scanner
from hardware_sim.scenario import LaneSettings, Scenario, load_scenario
from hardware_sim.score.judge import Judged
from hardware_sim.shipped import shipped
from hardware_sim.world.lane import Lane
from hardware_sim.world.passage import Passage
from tests.e2e.stepped_booth import IN_VIEW, Day, Eye, oracle, run_day

# The driver of each kind that speaks in bytes, with its settings; a service would need its peer on a socket.
DRIVERS: dict[str, tuple[str, dict[str, Any]]] = {
    "rapiscan_vm250": ("rapiscan_vm250", {}),
    "spectroscopic_n42": ("spectroscopic_n42", {}),
    "barcode_scanner": ("barcode_scanner", {}),
    "uhfreader18": ("uhfreader18", {}),
    "uhfreader288": ("uhfreader18", {"model": 288, "antennas": [1, 2]}),
    "sti_vs6400": ("sti_vs6400", {}),
    "toledo_continuous": ("toledo_continuous", {}),
    "rice_lake_iq355": ("rice_lake_iq355", {}),
    "nci_scp01": ("nci_scp01", {}),
    "mt_sics": ("mt_sics", {}),
}
IDENTIFIERS = ("plate", "trailer plate", "container", "seal", "tag")
ON_DEMAND_TRUCKS = 4
TEXTS = {
    "PlateRead": "text",
    "ContainerCodeRead": "code",
    "SealRead": "number",
    "SealState": "number",
    "TagRead": "epc",
}
# What a device says of the vehicle that has just left it.
AFTER = ("RadiationOccupancy", "SpectroscopicMeasurement")

SHORTEST_M, LONGEST_M = 8.0, 24.0  # of the simulator's trucks
SCALE_S = 1.0  # so long a scale's filter shows what stood on it before
ROUNDED_S = 0.01  # of an observation's moment


@dataclass
class Row:
    """One scenario over its seeds."""

    vehicles: int = 0
    equal: int = 0
    records: int = 0
    spurious: int = 0  # records of no vehicle, and second ones of one
    lacking: int = 0  # vehicles without a record of their own
    observations: int = 0
    wrong: int = 0
    unassigned: int = 0  # reported as nobody's
    faults: list[str] = field(default_factory=list)
    misses: Counter[str] = field(default_factory=Counter)


def played(name: str) -> Scenario:
    """The shipped scenario without what cannot be stepped: services on sockets, and the way to the port, which lies
    behind the ledger. Where trucks come on demand, some come."""
    stated = load_scenario(name).model_dump(mode="json", exclude_unset=True)
    for lane in stated["lanes"].values():
        for device in lane["devices"].values():
            if device["kind"] == "modem_lines":
                device["kind"] = "sti_vs6400"
        lane["devices"] = {key: device for key, device in lane["devices"].items() if device["kind"] in DRIVERS}
        if lane["traffic"].pop("on_demand", False):
            lane["traffic"] |= {"count": ON_DEMAND_TRUCKS, "first_truck_s": 10}
    stated["faults"] = [fault for fault in stated.get("faults", ()) if fault["target"] != "port"]
    stated.pop("port", None)
    return Scenario.model_validate(stated)


def booth_of(scenario: Scenario, placed: bool = True) -> dict[str, Any]:
    """A booth with a driver for every device of the scenario, and its cameras; `placed`: it knows where each stands."""
    booth = {id: _lane_of(lane) for id, lane in scenario.lanes.items()}
    for lane in () if placed else booth.values():
        for one in (*lane["devices"], *lane["cameras"].values()):
            del one["position_m"], one["reach_m"]
    return booth


def _lane_of(lane: LaneSettings) -> dict[str, Any]:
    devices = []
    for name, device in lane.devices.items():
        driver, settings = DRIVERS[device.kind]
        devices.append({"id": name, "driver": driver, "settings": dict(settings), **_place(device, lane)})
    views = [str(camera.view) for camera in lane.cameras.values()]
    cameras = {view: {"sees": "front", **_stretch(*IN_VIEW[view])} for view in views}
    return {"devices": devices, "cameras": cameras}


def _place(device: DeviceSettings, lane: LaneSettings) -> dict[str, Any]:
    """Where it reaches, by the scenario."""
    at = device.at_m
    if isinstance(device, barcode_scanner.Settings):  # at the rear doors, as they come by or where the truck stands
        rears = [lane.drive.slow_to_m - length for length in (LONGEST_M, SHORTEST_M)] if lane.drive.stop_s else [at]
        return {**_stretch(min(rears) - 1, max(rears) + 1), "sees": "rear"}
    if reach := getattr(device, "reach_m", None):
        last = at + (getattr(device, "antennas", 1) - 1) * getattr(device, "spacing_m", 0.0)
        return _stretch(at - reach, last + reach)
    if length := getattr(device, "length_m", None):
        return _stretch(at, at + length)
    return {**_stretch(at - 0.5, at + 0.5), "holds_s": device.holds_s}


def _stretch(begin: float, until: float) -> dict[str, float]:
    return {"position_m": (begin + until) / 2, "reach_m": (until - begin) / 2}


class Owners:
    """Whose each observation is, by what was true."""

    def __init__(self, lane: Lane, settings: LaneSettings) -> None:
        self._passages = lane.passages
        self._settings = settings
        self._by_text: dict[str, str] = {}
        for truck in (passage.truck for passage in lane.passages):
            numbers = [seal.number for seal in truck.seals]
            texts = [truck.plate.text if truck.plate else "", *(c.code for c in truck.containers), *numbers]
            texts += [text.encode().ljust(12).hex() for text in (*numbers, truck.tag or "")]
            self._by_text |= {normalise_plate(text): truck.id for text in texts if text}

    def of(self, said: dict[str, Any]) -> str | None:
        """The truck's id; None where it is of no truck alone."""
        kind, body, at = said["type"], said["body"], said["monotonic_ns"] / 1e9
        if kind in TEXTS:
            return self._by_text.get(normalise_plate(str(body[TEXTS[kind]])))
        device = self._settings.devices.get(said["device"])
        if device is None:
            return None
        if kind in AFTER or (kind == "Presence" and not body["occupied"]):
            return self._last(at, device, "leaves")
        if kind == "Presence":
            return self._last(at, device, "reaches")
        if kind == "RadiationAlarm" or (kind == "Weight" and body["kg"] >= VEHICLE_KG):
            since = at - (SCALE_S if kind == "Weight" else 0.0)
            on = [p.truck.id for p in self._passages if _is_on(p, device, since) or _is_on(p, device, at)]
            return on[0] if len(on) == 1 else None
        return None

    def _last(self, at: float, device: DeviceSettings, came: str) -> str | None:
        been = [p for p in self._passages if p.covers(device.at_m) and getattr(p, came)(device.at_m) <= at + ROUNDED_S]
        return been[-1].truck.id if been else None


def _is_on(passage: Passage, device: DeviceSettings, at: float) -> bool:
    front = passage.position(at)
    on = front >= device.at_m and front - passage.truck.length_m <= device.at_m + getattr(device, "length_m", 0.0)
    return on and passage.arrives <= at <= passage.departs


def count(scenario: Scenario, booth: dict[str, Any], row: Row, eye: Eye = oracle) -> Day:
    """Plays it once, and adds what came of it."""
    captures: dict[str, list[dict[str, Any]]] = {}

    def onlooker(draft: Draft) -> None:
        if isinstance(draft.body, InspectionClosed):
            files = [e.data for e in draft.evidence if e.kind is EvidenceKind.RAW_CAPTURE]
            captures[draft.body.inspection.id] = [json.loads(line) for file in files for line in file.splitlines()]

    random.seed(scenario.seed)  # the agent draws when it tries a lost link again
    with tempfile.TemporaryDirectory(prefix="inspections-") as folder:
        day = run_day(scenario, booth, Path(folder), eye, onlooker=onlooker)
    owners = {id: Owners(lane, scenario.lanes[id]) for id, lane in day.lanes.items()}
    for id, said in captures.items():
        owner = owners[day.closed[id]["lane_id"]]
        whose = Counter(truck for one in said if (truck := owner.of(one)) is not None)
        row.observations += whose.total()
        row.wrong += whose.total() - max(whose.values(), default=0)
    row.records += day.events
    row.unassigned += sum("unassigned" in event for event in day.records)
    row.spurious += len(day.score.spurious) + sum(len(v.joined.parts) for v in day.score.vehicles)
    for vehicle in day.score.vehicles:
        misses = list(_misses(vehicle, day))
        row.vehicles += 1
        row.lacking += vehicle.joined.record is None
        row.equal += vehicle.joined.one_to_one and not misses
        row.misses.update(misses)
    row.faults = [f"{fault.target}: {fault.kind}" for fault in scenario.faults]
    return day


def _misses(vehicle: Judged, day: Day) -> Iterator[str]:
    """What differs, with the cause that the scenario plants."""
    truck, record = vehicle.joined.truck, vehicle.joined.record
    [came] = [p.truck for p in day.lanes[truck.lane].passages if p.truck.id == truck.id]
    causes = [fault.words for fault in truck.faults] + ["turns back"] * (came.turns_back_m is not None)
    cause = ", ".join(causes) or "nothing planted"
    for check in vehicle.misses:
        if check.what in IDENTIFIERS:
            yield f"{check.what} {check.verdict} ({cause})"
    roles = [plate["role"] for plate in day.closed[record.id].get("plates", ())] if record else []
    if record and roles != ["tractor"] * len(truck.values.get("plate") or ()):
        yield f"plates' roles are {', '.join(roles) or 'none'} ({cause})"


def main() -> None:
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("--seeds", type=int, default=2)
    parser.add_argument(
        "--scenario", choices=sorted(shipped()), action="append", help="this one alone; may be repeated"
    )
    parser.add_argument("--no-positions", action="store_true", help="the booth does not know where devices stand")
    parser.add_argument("--json", action="store_true")
    options = parser.parse_args()
    began, rows = time.process_time(), dict[str, Row]()
    for name in options.scenario or shipped():
        scenario, row = played(name), rows.setdefault(name, Row())
        for seed in range(scenario.seed, scenario.seed + options.seeds):
            count(scenario.model_copy(update={"seed": seed}), booth_of(scenario, not options.no_positions), row)
        if not options.json:
            print(
                f"| {name} | {', '.join(row.faults) or 'none'} | {row.vehicles} | {row.equal} | {row.spurious} | "
                f"{row.lacking} | {row.wrong} of {row.observations} | {row.unassigned} | "
                f"{', '.join(f'{n} × {miss}' for miss, n in row.misses.items())} |",
                flush=True,
            )
    if options.json:
        print(json.dumps({name: vars(row) for name, row in rows.items()}))
    else:
        print(f"\n{time.process_time() - began:.0f} s of processor time")


if __name__ == "__main__":
    main()
