"""What a back-office received, as JSON lines: of `port-gateway tail --json`, or written by any program.

A program of one's own writes one object a vehicle; every field but `opened` and `closed` may be left out:

    {"opened": "2026-01-01T08:00:00Z", "closed": "2026-01-01T08:00:20Z", "lane": "1", "id": "17",
     "plate": "ABC123", "trailer_plates": [], "container_codes": ["CSQU3054383"], "seals": ["HS1234567"],
     "seal_conditions": ["present"], "tags": ["E200…"], "weights_kg": [31000.0], "gamma_alarm": false,
     "neutron_alarm": false, "radiation_measured": true, "scans": ["S-17"]}

`seal_conditions` has one for each seal: present, broken or other_number. `tags` are EPCs in hex, or the text in them.
`radiation_measured` false: the portal was not heard; without it a stated alarm, true or false, says that it was.
"""

import json
from collections.abc import Iterable, Mapping
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

from pydantic import AwareDatetime, BaseModel, ConfigDict, Field, ValidationError

from edge_agent.domain.errors import SettingsInvalid

# An event has at most 128 KiB on the wire (docs/wire.md) and about four times that as JSON.
MAX_LINE = 4 * 1024 * 1024
_EPOCH = datetime(1970, 1, 1, tzinfo=UTC)
_CONDITIONS = ("present", "broken", "other_number")


class Received(BaseModel):
    """One vehicle as a back-office knows it. Times are the booth's; identifiers as it took them over."""

    model_config = ConfigDict(extra="forbid", validate_assignment=True)

    opened: AwareDatetime
    closed: AwareDatetime
    lane: str = ""
    id: str = ""
    plate: str | None = None
    trailer_plates: list[str] = Field(default_factory=list)
    container_codes: list[str] = Field(default_factory=list)
    seals: list[str] = Field(default_factory=list)
    seal_conditions: list[str] = Field(default_factory=list)
    tags: list[str] = Field(default_factory=list)
    weights_kg: list[float] = Field(default_factory=list)
    gamma_alarm: bool | None = None
    neutron_alarm: bool | None = None
    radiation_measured: bool | None = None
    scans: list[str] = Field(default_factory=list)
    outcome: str = ""
    line: int = Field(default=0, description="of the file, for messages")

    @property
    def radiation_known(self) -> bool:
        """Whether a portal's verdict came with it."""
        if self.radiation_measured is not None:
            return self.radiation_measured
        return self.gamma_alarm is not None or self.neutron_alarm is not None


class Alarm(BaseModel):
    """A radiation alarm that was sent at once."""

    at: AwareDatetime
    lane: str = ""
    kind: str
    inspection: str = ""


class Inbox(BaseModel):
    """Everything that was received."""

    vehicles: list[Received] = Field(default_factory=list)
    alarms: list[Alarm] = Field(default_factory=list)
    other_events: int = 0
    unverified: int = Field(default=0, description="lines that say themselves that they did not verify")


def read_received(path: Path) -> Inbox:
    """Read a file of JSON lines. Raises SettingsInvalid with the line that cannot be taken, and why."""
    try:
        with path.open("rb") as file:
            return parse_received(iter(lambda: file.readline(MAX_LINE + 1), b""), str(path))
    except OSError as error:
        raise SettingsInvalid(f"{path}: cannot be read: {error.strerror}", "check the path") from None


def parse_received(lines: Iterable[bytes], name: str) -> Inbox:
    """As `read_received`, from lines; `name` stands in the messages. An event that stands twice counts once."""
    inbox = Inbox()
    late_scans: list[tuple[str, str]] = []
    seen: set[str] = set()
    for number, line in enumerate(lines, 1):
        if not line.strip():
            continue
        if len(line) > MAX_LINE:
            raise SettingsInvalid(f"{name}:{number}: a line of more than {MAX_LINE} bytes", "check the path")
        try:
            values = json.loads(line)
            if not isinstance(values, dict):
                raise TypeError("not an object")
            _take(values, number, inbox, late_scans, seen)
        except ValidationError as error:
            first = error.errors(include_url=False)[0]
            place = ".".join(map(str, first["loc"])) or "the object"
            raise SettingsInvalid(
                f"{name}:{number}: {place}: {first['msg']}", "see `pydoc hardware_sim.score.received`"
            ) from None
        except (ValueError, TypeError, KeyError, AttributeError, OverflowError) as error:
            raise SettingsInvalid(
                f"{name}:{number}: not an event: {error}",
                "give the output of `port-gateway tail --json`, or one object a vehicle",
            ) from None
    for inspection, scan in late_scans:
        for vehicle in inbox.vehicles:
            if vehicle.id == inspection and scan not in vehicle.scans:
                vehicle.scans = [*vehicle.scans, scan]
    return inbox


def _take(
    values: Mapping[str, Any], number: int, inbox: Inbox, late_scans: list[tuple[str, str]], seen: set[str]
) -> None:
    event = values.get("event", values)
    if values.get("verified") is False:
        inbox.unverified += 1
        return
    if "opened" in event:
        inbox.vehicles.append(Received.model_validate({**event, "line": number}))
        return
    if not {"seq", "booth_id", "epoch"} & set(event):
        raise KeyError("neither an event nor a vehicle with `opened` and `closed`")
    if (own := event.get("id", "")) and own in seen:
        return
    seen.add(own)
    if "inspection_closed" in event:
        inbox.vehicles.append(_inspection(event["inspection_closed"].get("inspection", {}), number))
    elif "alarm_raised" in event:
        alarm = event["alarm_raised"]
        kind = str(alarm.get("kind", "")).removeprefix("RADIATION_KIND_").lower()
        inbox.alarms.append(Alarm(
            at=_at(event.get("at")), lane=alarm.get("lane_id", ""), kind=kind, inspection=alarm.get("inspection_id", "")
        ))  # fmt: skip
    elif "scan_received" in event:
        scan = event["scan_received"]
        if scan.get("inspection_id"):
            late_scans.append((scan["inspection_id"], scan.get("scan", {}).get("scan_id", "")))
    else:
        inbox.other_events += 1


def _inspection(inspection: Mapping[str, Any], number: int) -> Received:
    """The project's own inspection, as protobuf's JSON with the names of event.proto. What is false, 0 or empty is
    left out there."""
    radiation, spectra = inspection.get("radiation", []), inspection.get("spectra", [])
    # Each change stands there: the last of each seal is its condition.
    states = {state.get("number", ""): state.get("condition", "") for state in inspection.get("seal_states", [])}
    plate = inspection.get("plate", {}).get("text") or None
    return Received(
        id=inspection.get("id", ""),
        lane=inspection.get("lane_id", ""),
        opened=_at(inspection.get("opened")),
        closed=_at(inspection.get("closed")),
        plate=plate,
        trailer_plates=[
            p.get("vote", {}).get("text", "") for p in inspection.get("plates", []) if p.get("role") == "trailer"
        ],
        container_codes=[code.get("vote", {}).get("text", "") for code in inspection.get("container_codes", [])],
        seals=[seal.get("number", "") for seal in inspection.get("seals", [])],
        seal_conditions=[c for c in states.values() if c in _CONDITIONS],
        tags=[tag.get("epc", "") for tag in inspection.get("tags", [])],
        weights_kg=[weight.get("kg", 0.0) for weight in inspection.get("weights", [])],
        gamma_alarm=any(o.get("gamma_alarm", False) for o in [*radiation, *spectra]),
        neutron_alarm=any(o.get("neutron_alarm", False) for o in [*radiation, *spectra]),
        radiation_measured=bool(radiation or spectra),
        scans=[scan.get("scan_id", "") for scan in inspection.get("scans", [])],
        outcome=next((o for o in ("complete", "incomplete", "abandoned") if o in inspection), ""),
        line=number,
    )


def _at(instant: Mapping[str, Any] | None) -> datetime:
    if instant is None:
        raise KeyError("a moment is missing")
    return _EPOCH + timedelta(microseconds=int(instant.get("utc_us", 0)))
