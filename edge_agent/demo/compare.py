"""Truth beside what the back-office received, for one vehicle. Pure; both sides are JSON that the commands print."""

from collections import Counter
from dataclasses import dataclass, field
from datetime import datetime
from typing import Any

from edge_agent.domain.counted import counted
from edge_agent.domain.identifiers import normalise_plate

Json = dict[str, Any]
# A vehicle's inspection begins before the truck's front reaches the portal (a camera sees it) and ends after settling.
SLACK_S = 1.0
NOTHING = "none"


@dataclass(frozen=True, slots=True)
class Line:
    """One row of the comparison. `character`: a misread is shown and forgiven within the floor, other rows are not."""

    what: str
    truth: str
    received: str
    character: bool

    @property
    def right(self) -> bool:
        return self.truth == self.received

    @property
    def wrong(self) -> str:
        """How it differs, in words."""
        return "differs" if not self.character else "not read" if self.received == NOTHING else "misread"


@dataclass(slots=True)
class Vehicle:
    """A truck of the truth, with the inspection that belongs to it."""

    truth: Json
    record: Json | None = None
    lines: list[Line] = field(default_factory=list)

    @property
    def wholly_right(self) -> bool:
        return self.record is not None and all(line.right for line in self.lines)

    @property
    def misread(self) -> bool:
        return any(line.character and not line.right for line in self.lines)

    @property
    def mismatched(self) -> bool:
        """Something other than a misread character is wrong."""
        return self.record is None or any(not line.character and not line.right for line in self.lines)


def inspection_of(record: Json) -> Json | None:
    """The inspection in a line of `port-gateway tail --json`, None for another event."""
    closed = record["event"].get("inspection_closed")
    return closed["inspection"] if closed else None


def belongs(record: Json, truth: Json) -> bool:
    """Whether an inspection and a truck overlap in time."""
    inspection = inspection_of(record)
    if inspection is None:
        return False
    opened, closed = (int(inspection[key]["utc_us"]) / 1e6 for key in ("opened", "closed"))
    middle = (_seconds(truth["portal_entered"]) + _seconds(truth["portal_left"])) / 2
    return opened - SLACK_S <= middle <= closed


def compare(truth: Json, record: Json) -> Vehicle:
    """Every identifier and the radiation verdict, truth beside what was received."""
    inspection = inspection_of(record) or {}
    plate = inspection.get("plate", {}).get("text")
    codes = [code["vote"]["text"] for code in inspection.get("container_codes", [])]
    seals = [seal["number"] for seal in inspection.get("seals", [])]
    occupancies = inspection.get("radiation", [])
    true_plate = normalise_plate(truth["plate"]) if truth["plate"] else None
    expected_alarm = truth["radiation"]["expected_gamma_alarm"]
    lines = [
        Line("plate", _shown(true_plate), _shown(plate), character=True),
        Line("container", _shown(truth["container_code"]), _shown(" ".join(codes)), character=True),
        Line("seal", _shown(truth["seal"]), _shown(" ".join(seals)), character=False),
        Line("gamma alarm", _yes(expected_alarm), _verdict(occupancies), character=False),
    ]
    return Vehicle(truth, record, lines)


def findings(record: Json | None) -> list[Json]:
    """What the rules found of this vehicle, as it stands in its record."""
    found = ((inspection_of(record) or {}) if record else {}).get("findings", [])
    return [one for one in found if isinstance(one, dict)]


def with_finding(records: list[Json], inspection: Json) -> bool:
    """Whether something graver than a notice is known of it: only then its whole frames leave the booth."""
    graver = any(one.get("severity") != "FINDING_SEVERITY_NOTICE" for one in inspection.get("findings", []))
    named = (r["event"].get("alarm_raised", {}).get("inspection_id") for r in records)
    return graver or inspection["id"] in named


def pieces(record: Json, found: bool) -> tuple[list[Json], list[Json]]:
    """Its evidence: what the port is sent, and what stays at the booth."""
    named = {piece["sha256"]: piece for piece in record["event"].get("evidence", [])}.values()
    stays = [piece for piece in named if piece["kind"] == "frame" and not found]
    return [piece for piece in named if piece not in stays], stays


def by_kind(what: list[Json]) -> str:
    """`2 frames, plate crop`: pieces of evidence by kind."""
    kinds = Counter(str(piece["kind"]).replace("_", " ") for piece in what)
    return ", ".join(kind if count == 1 else counted(count, kind) for kind, count in kinds.items())


def _shown(value: str | None) -> str:
    return value or NOTHING


def _yes(alarm: bool | None) -> str:
    return "alarm" if alarm else "none"


def _verdict(occupancies: list[Json]) -> str:
    if not occupancies:
        return "no occupancy"
    return _yes(any(occupancy.get("gamma_alarm", False) for occupancy in occupancies))


def _seconds(iso: str) -> float:
    return datetime.fromisoformat(iso).timestamp()
