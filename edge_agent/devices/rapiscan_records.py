"""The records of the Rapiscan / TSA ASCII protocol as text: what a line is, and what its fields are called.

A record is a tag, then fields. Names of set-up fields are the manual's words, without the units that it does not give.
"""

import math
import re
from datetime import datetime

_COUNTS = re.compile(r"([0-9]{6}),([0-9]{6}),([0-9]{6}),([0-9]{6})")
_SPEED = re.compile(r"[0-9]+\.[0-9]+,[0-9]+\.[0-9]+,([0-9]+\.[0-9]+),[0-9]+")
_END = re.compile(r"([0-9]{6}),([0-9]{6}),[0-9]{6},[0-9]{6}")
_RECORD = re.compile(r"([A-Z]{2}[0-9]?)(?:,([ -~]*))?")
_STAMP = re.compile(r",([0-9]{4}-[0-9]{2}-[0-9]{2}) ([0-9:]{8}\.[0-9]{3}) ([+-][0-9]{2})(:?[0-9]{2})?$")

_SETUP = {
    "SG1": (
        "gamma_high_background_fault",
        "gamma_low_background_fault",
        "gamma_intervals",  # of 200 ms, that are summed
        "occupancy_hold_in",  # intervals of 200 ms
        "gamma_n_sigma",
        "gamma_pad",
    ),
    "SG2": (
        "detector_mask",
        "gamma_lower_level_discriminator",
        "gamma_upper_level_discriminator",
        "relay_output",
        "algorithm_mask",
        "software_version",
    ),
    "SG3": (
        "slave_gamma_lower_level_discriminator",
        "slave_gamma_upper_level_discriminator",
        "gamma_background_time",
        "gamma_background_n_sigma",
        "firmware_version",
    ),
    "SN1": (
        "neutron_high_background_fault",
        "neutron_maximum_intervals",
        "neutron_alpha",
        "neutron_z_max",
        "neutron_sequential_intervals",
        "neutron_background_time",
    ),
    "SN2": (
        "neutron_lower_level_discriminator",
        "neutron_upper_level_discriminator",
        "slave_neutron_lower_level_discriminator",
        "slave_neutron_upper_level_discriminator",
        "neutron_pad",
    ),
}
MOST_INTERVALS = 50  # ten seconds


class NotARecordError(Exception):
    """A line that is no record; its message says why."""


def record(line: str) -> tuple[str, str | None]:
    """Tag and fields, None if there are none. Raises NotARecordError."""
    found = _RECORD.fullmatch(line)
    if not found:
        raise NotARecordError("not a record: a tag of two letters, then fields")
    return found[1], found[2]


def unstamped(line: str, stamped: bool) -> tuple[str, str]:
    """The record, and its stamp as ISO 8601 text. Raises NotARecordError: the form is not guessed."""
    found = _STAMP.search(line)
    if not stamped:
        if found:
            raise NotARecordError("ends with a time stamp: a recording is read with `format: stamped`")
        return line, ""
    if not found:
        raise NotARecordError("no time stamp at its end: lines as the portal sends them are `format: wire`")
    date, time_of_day, hours, minutes = found.groups(default="")
    try:
        stamp = datetime.fromisoformat(f"{date}T{time_of_day}{hours}:{minutes.lstrip(':') or '00'}")
    except ValueError:
        raise NotARecordError("its time stamp is no time") from None
    return line[: found.start()], stamp.isoformat(timespec="milliseconds")


def counts(tag: str, text: str) -> tuple[int, ...]:
    """One number a detector panel. Raises NotARecordError."""
    # Exactly six digits: a lost or doubled digit would otherwise be another count, and nobody would know.
    found = _COUNTS.fullmatch(text)
    if not found:
        raise NotARecordError(f"{tag} has four counts of six digits")
    return tuple(int(count) for count in found.groups())


def end(text: str) -> tuple[int, int]:
    """Of GX: the occupancy's number, the neutron background in thousandths. Raises NotARecordError."""
    found = _END.fullmatch(text)
    if not found:
        raise NotARecordError("GX has four numbers of six digits")
    return int(found[1]), int(found[2])


def kmh(text: str) -> float | None:
    """Of SP; None if it is no speed."""
    found = _SPEED.fullmatch(text)
    return float(found[1]) if found else None


def setup(tag: str, text: str) -> tuple[tuple[str, str], ...] | None:
    """Names and values of a set-up record; None if it has another number of fields: then no name is sure."""
    names, values = _SETUP.get(tag, ()), text.split(",")
    return tuple(zip(names, values, strict=True)) if names and len(values) == len(names) else None


def number(text: str, least: float, most: float) -> float | None:
    """A number within its bounds, None if it is none."""
    try:
        value = float(text)
    except ValueError:
        return None
    return value if math.isfinite(value) and least <= value <= most else None
