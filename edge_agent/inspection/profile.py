"""The files that an inspection leaves as evidence beside its pictures: plain text, for people and programs."""

import dataclasses
import json
from collections.abc import Iterable

from edge_agent.domain.evidence import Evidence, EvidenceKind
from edge_agent.domain.observation import Observation, RadiationSample

_PROFILE_HEADER = "utc,device,kind,channel,in_alarm,interval_s,counts,raw\r\n"


def radiation_profile(observations: Iterable[Observation]) -> Evidence | None:
    """Every radiation sample as a line of CSV (RFC 4180), with the portal's own line; None if there is none.

    `counts` are one number a panel, separated by blanks, over `interval_s` seconds.
    """
    lines = [_PROFILE_HEADER]
    last_raw: dict[str, bytes] = {}
    for observation in observations:
        body = observation.body
        if observation.raw:
            last_raw[observation.device_id] = observation.raw
        if isinstance(body, RadiationSample):
            counts = " ".join(str(count) for count in body.counts)
            # Of several readings of one line, the first carries it: an alarm, then its sample.
            raw = last_raw.get(observation.device_id, b"").decode("ascii", "backslashreplace")
            raw = raw.rstrip("\r\n").replace('"', '""')
            lines.append(
                f"{observation.at.utc.isoformat()},{observation.device_id},{body.kind},{body.channel},"
                f'{int(body.in_alarm)},{body.interval_s:g},{counts},"{raw}"\r\n'
            )
    if len(lines) == 1:
        return None
    return Evidence(EvidenceKind.RADIATION_PROFILE, "text/csv", "".join(lines).encode())


def raw_capture(observations: Iterable[Observation]) -> Evidence | None:
    """Every observation of the inspection as a line of JSON, with the device's bytes in hex; None if there is none."""
    lines = []
    for observation in observations:
        entry = {
            "id": observation.id,
            "utc": observation.at.utc.isoformat(),
            "monotonic_ns": observation.at.monotonic_ns,
            "device": observation.device_id,
            "type": type(observation.body).__name__,
            "body": dataclasses.asdict(observation.body),
            "raw": observation.raw.hex(),
        }
        if observation.device_time:
            entry["device_time"] = observation.device_time
        lines.append(json.dumps(entry, separators=(",", ":")) + "\n")
    if not lines:
        return None
    return Evidence(EvidenceKind.RAW_CAPTURE, "application/x-ndjson", "".join(lines).encode())
