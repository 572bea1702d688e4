"""Truth and records of trucks that come every half minute, as files that a score is made of."""

import json
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

from hardware_sim.score.judge import Score, Verdict, judge
from hardware_sim.score.received import parse_received
from hardware_sim.score.truth import read_truth

START = datetime(2026, 3, 1, 8, tzinfo=UTC)
Json = dict[str, Any]


def iso(seconds: float) -> str:
    return (START + timedelta(seconds=seconds)).isoformat(timespec="milliseconds").replace("+00:00", "Z")


def truck(n: int, **changes: Any) -> Json:
    """Truck n comes every half minute: in the lane 0-20 s, in the portal 5-12 s."""
    at = 30.0 * n
    return {
        "id": f"1-{n:04d}", "index": n, "lane": "1",
        "arrived": iso(at), "portal_entered": iso(at + 5), "portal_left": iso(at + 12), "departed": iso(at + 20),
        "plate": f"ABC{n:04d}", "container_code": f"MSKU{n:07d}", "containers": [
            {"code": f"MSKU{n:07d}", "seal": {"number": f"HS{n:07d}", "opened": False}}
        ],
        "seals": [f"HS{n:07d}"], "gross_kg": 31000,
        "radiation": {"expected_gamma_alarm": False, "expected_neutron_alarm": False},
        "devices": {
            "portal": {"gamma_alarm": False, "neutron_alarm": False},
            "scale": {"gross_kg": 31000.0},
            "reader": {"tags": [{"epc": f"E2{n:022X}", "text": "", "kind": "truck"}]},
        },
        "observed_by": {"portal": "rapiscan_vm250", "scanner": "barcode_scanner", "scale": "mt_sics",
                        "reader": "uhfreader288", "a": "plate camera", "b": "container camera"},
        "photos": {},
    } | changes  # fmt: skip


def record(n: int, **changes: Any) -> Json:
    at = 30.0 * n
    return {
        "opened": iso(at + 4), "closed": iso(at + 15), "lane": "1", "id": f"i{n}",
        "plate": f"ABC{n:04d}", "container_codes": [f"MSKU{n:07d}"], "seals": [f"HS{n:07d}"],
        "seal_conditions": ["present"], "tags": [f"E2{n:022X}"], "weights_kg": [31020.0],
        "gamma_alarm": False, "neutron_alarm": False,
    } | changes  # fmt: skip


class Files:
    def __init__(self, folder: Path) -> None:
        self.truth, self.events, self.faults = (folder / f"{n}.jsonl" for n in ("truth", "events", "faults"))

    def write(self, trucks: list[Json], records: list[Json], faults: list[Json] | None = None) -> None:
        for path, objects in ((self.truth, trucks), (self.events, records), (self.faults, faults)):
            if objects is not None:
                path.write_text("".join(json.dumps(o) + "\n" for o in objects))

    def score(self, trucks: list[Json], records: list[Json], faults: list[Json] | None = None, **more: Any) -> Score:
        self.write(trucks, records, faults)
        with self.events.open("rb") as file:
            return judge(read_truth(self.truth), parse_received(file, "events"), **more)


def fates(score: Score) -> list[str]:
    return [v.joined.fate for v in score.vehicles]


def checks(score: Score, n: int = 0) -> dict[str, Verdict]:
    return {c.what: c.verdict for c in score.vehicles[n].checks}
