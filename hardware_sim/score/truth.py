"""What was really there: truth.jsonl and faults.jsonl, as the simulator writes them."""

import json
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime
from pathlib import Path
from typing import Any

from edge_agent.domain.errors import SettingsInvalid

Values = tuple[str, ...] | None
# Identifiers in the order of every report; each may have several values, () for none, None for unknown.
_LEARNS: Mapping[str, tuple[str, ...]] = {
    "plate camera": ("plate",),
    "rear camera": ("trailer plate",),
    "container camera": ("container",),
    "barcode_scanner": ("seal",),
    "uhfreader": ("tag", "seal state"),
    "llrp_reader": ("tag", "seal state"),
    "imaging": ("scan",),
}
IDENTIFIERS = ("plate", "trailer plate", "container", "seal", "seal state", "tag", "scan")


@dataclass(frozen=True, slots=True)
class FaultSpan:
    """A fault while it lasted."""

    target: str
    kind: str
    began: datetime
    ended: datetime | None

    def meets(self, begin: datetime, end: datetime) -> bool:
        return self.began <= end and (self.ended is None or self.ended >= begin)

    @property
    def words(self) -> str:
        return f"{self.target}: {self.kind}"


@dataclass(frozen=True, slots=True)
class Truck:
    """One truck of the truth. `gamma_alarm` is what the portal said (what the load should cause where there is no
    portal), `load_alarm` what the load should cause; None: no portal, or not known."""

    id: str
    lane: str
    arrived: datetime
    entered: datetime
    left: datetime
    departed: datetime
    values: Mapping[str, Values]
    gross_kg: float | None
    gamma_alarm: bool | None
    neutron_alarm: bool | None
    load_alarm: bool | None
    faults: tuple[FaultSpan, ...] = ()
    tag_texts: Mapping[str, str] = field(default_factory=dict)  # EPC by what it says in ASCII

    @property
    def disturbed(self) -> bool:
        """Whether a device of the lane was at fault meanwhile. A fault on the way to the port excuses nothing."""
        return bool(self.faults)


@dataclass(frozen=True, slots=True)
class Truth:
    """Every truck in the order in which it came, and the faults of the run."""

    trucks: tuple[Truck, ...]
    faults: tuple[FaultSpan, ...]


def read_truth(path: Path, faults: Path | None = None) -> Truth:
    """Read truth.jsonl, and faults.jsonl beside it if there is one (or `faults`). Raises SettingsInvalid."""
    beside = path.with_name("faults.jsonl")
    spans: list[FaultSpan] = []
    if faults is not None or beside.exists():
        spans = _spans(_objects(faults or beside))
    trucks = []
    for number, values in _objects(path):
        try:
            trucks.append(_truck(values, spans))
        except (KeyError, ValueError, TypeError, AttributeError) as error:
            raise SettingsInvalid(
                f"{path}:{number}: not a truck: {error}", "give the truth.jsonl that hardware-sim wrote"
            ) from None
    return Truth(tuple(sorted(trucks, key=lambda t: (t.entered, t.lane))), tuple(spans))


def _objects(path: Path) -> Iterator[tuple[int, dict[str, Any]]]:
    try:
        with path.open(encoding="utf-8") as file:
            for number, line in enumerate(file, 1):
                if not line.strip():
                    continue
                values = json.loads(line)
                if not isinstance(values, dict):
                    raise ValueError("not an object")
                yield number, values
    except OSError as error:
        raise SettingsInvalid(f"{path}: cannot be read: {error.strerror}", "check the path") from None
    except ValueError as error:
        raise SettingsInvalid(f"{path}: not JSON lines: {error}", "check the path") from None


def _spans(records: Iterator[tuple[int, dict[str, Any]]]) -> list[FaultSpan]:
    """Beginnings and ends, joined by the fault's id."""
    spans: dict[int, FaultSpan] = {}
    for _, r in records:
        at = datetime.fromisoformat(r["at"])
        if r["what"] == "began":
            spans[r["id"]] = FaultSpan(r["target"], r["kind"], at, None)
        elif (known := spans.get(r["id"])) is not None:
            spans[r["id"]] = FaultSpan(known.target, known.kind, known.began, at)
    return list(spans.values())


def _truck(values: Mapping[str, Any], spans: Sequence[FaultSpan]) -> Truck:
    arrived, departed = (datetime.fromisoformat(values[key]) for key in ("arrived", "departed"))
    said: dict[str, Any] = values.get("devices", {})
    radiation = values.get("radiation", {})
    expected = radiation.get("expected_gamma_alarm")
    verdicts = [s for s in said.values() if "gamma_alarm" in s]
    lane = str(values.get("lane", ""))
    return Truck(
        id=values["id"],
        lane=lane,
        arrived=arrived,
        entered=datetime.fromisoformat(values["portal_entered"]),
        left=datetime.fromisoformat(values["portal_left"]),
        departed=departed,
        values=_identifiers(values, said),
        gross_kg=_scale_kg(said),
        gamma_alarm=any(v["gamma_alarm"] for v in verdicts) if verdicts else expected,
        neutron_alarm=any(v.get("neutron_alarm", False) for v in verdicts)
        if verdicts
        else radiation.get("expected_neutron_alarm"),
        load_alarm=expected,
        tag_texts={tag["text"].upper(): tag["epc"] for tag in _tags(said) if tag.get("text")},
        faults=tuple(s for s in spans if s.target != "port" and s.meets(arrived, departed)),
    )


def _identifiers(values: Mapping[str, Any], said: Mapping[str, Any]) -> dict[str, Values]:
    """What each identifier was. What was on a photo the simulator does not know: null then means unknown, not none."""
    photos = bool(values.get("photos"))

    def one(key: str) -> Values:
        if key not in values or (values[key] is None and photos):
            return None
        return (str(values[key]),) if values[key] is not None else ()

    containers = values.get("containers")
    codes = tuple(c["code"] for c in containers if c.get("code")) if containers else one("container_code")
    seals = tuple(values["seals"]) if "seals" in values else one("seal")
    conditions = tuple("broken" if c["seal"].get("opened") else "present" for c in containers or () if c.get("seal"))
    found: dict[str, Values] = {
        "plate": one("plate"),
        "trailer plate": one("trailer_plate"),
        "container": codes,
        "seal": seals,
        "seal state": conditions,
        "tag": tuple(tag["epc"] for tag in _tags(said)),
        "scan": tuple(str(s["scan_id"]) for s in said.values() if s.get("scan_id")),
    }
    learnt = _learnt(values["observed_by"]) if "observed_by" in values else set(found)
    return {what: there if what in learnt else None for what, there in found.items()}


def _learnt(observed_by: Mapping[str, str]) -> set[str]:
    """What the devices of the lane can learn of a truck: what nobody looks at is not missed."""
    return {
        what
        for kind in observed_by.values()
        for prefix, of in _LEARNS.items()
        if kind.startswith(prefix)
        for what in of
    }


def _scale_kg(said: Mapping[str, Any]) -> float | None:
    """What a scale of the lane settled on."""
    return next((float(s["gross_kg"]) for s in said.values() if isinstance(s.get("gross_kg"), int | float)), None)


def _tags(said: Mapping[str, Any]) -> list[Mapping[str, Any]]:
    """The tags that the lane's readers can have heard, each once."""
    tags = {tag["epc"]: tag for s in said.values() for tag in s.get("tags", ()) if isinstance(tag, dict)}
    return list(tags.values())
