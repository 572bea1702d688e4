"""What lanes did, for people to read and for programs."""

import csv
import json
from collections.abc import Callable, Iterable, Mapping, Sequence
from typing import Any, TextIO

from edge_agent.domain.statistics import CONFIDENCE_EDGES, QUANTILE_ERROR, Durations
from port_gateway.lane_history import Period

Groups = Sequence[Sequence[Period]]
# Shown where there is nothing to show a figure of.
NONE = "·"


def write_table(groups: Groups, by: str, out: TextIO) -> None:
    """A block for each lane; times in seconds."""
    for n, periods in enumerate(groups):
        out.write(("\n" if n else "") + f"{lanes_in_words(periods[0])}, {_zone(periods[0])}\n" if periods else "")
        rows = [_HEAD, *(_cells(period, by) for period in periods)]
        widths = [max(len(row[c]) for row in rows) for c in range(len(_HEAD))]
        for row in rows:
            first, *others = (
                cell.ljust(w) if c == 0 else cell.rjust(w) for c, (cell, w) in enumerate(zip(row, widths, strict=True))
            )
            out.write(f"{first}  {'  '.join(others)}".rstrip() + "\n")
    out.write(
        f"\nTimes in seconds, from histograms: within ±{100 * QUANTILE_ERROR:.1f} %. {NONE} nothing to tell."
        " ? on a clock that followed no time source; ! the clock was set.\n"
    )


_HEAD = (
    *("begin", "vehicles", "complete", "abandoned", "dwell p50", "p95", "gap p50", "service p50", "queued", "alarms"),
    *("devices up", "covered"),
)


def _cells(period: Period, by: str) -> list[str]:
    begin = period.span.begin.strftime("%Y-%m-%d" if by == "day" else "%Y-%m-%d %H:%M")
    marks = ("?" if period.unsynced_s else "") + ("!" if period.clock_set else "")
    if not period.covered_s:
        return [begin, *([NONE] * (len(_HEAD) - 2)), "0 %" if period.due_s else NONE]
    alarms = period.gamma_alarms + period.neutron_alarms
    return [
        begin + marks,
        str(period.vehicles),
        _percent(period.complete_share),
        str(period.abandoned or NONE),
        _seconds(period.dwell, 0.5),
        _seconds(period.dwell, 0.95),
        _seconds(period.gap, 0.5),
        _seconds(period.service, 0.5),
        _percent(period.queued_share),
        str(alarms or NONE),
        _percent(period.availability),
        _percent(period.coverage),
    ]


def _seconds(times: Durations, share: float) -> str:
    found = times.quantile(share)
    return NONE if found is None else f"{found:.0f}" if found >= 10 else f"{found:.1f}"


def _percent(share: float | None) -> str:
    """Only all is 100 %, and only none is 0 %."""
    if share is None:
        return NONE
    rounded = round(100 * share)
    if (rounded, share) != (100, 1.0) and rounded == 100:
        return "99.9 %" if share >= 0.995 else "99 %"
    return "<1 %" if rounded == 0 and share else f"{rounded} %"


def _zone(period: Period) -> str:
    return period.span.begin.tzname() or "UTC"


def lanes_in_words(period: Period) -> str:
    """The lane's name, or how many there are."""
    first, *others = period.lanes
    return f"{len(others) + 1} lanes together" if others else f"lane {first.name}"


# --- for programs -------------------------------------------------------------------------------------------------
def facts(period: Period) -> dict[str, Any]:
    """Everything of one period; times in seconds, shares from 0 to 1, None where there is nothing."""
    return {
        "lanes": [{"booth_id": lane.booth_id, "lane_id": lane.lane_id} for lane in period.lanes],
        "begin": period.span.begin.isoformat(),
        "end": period.span.end.isoformat(),
        "due_s": round(period.due_s, 3),
        "covered_s": round(period.covered_s, 3),
        "coverage": round(period.coverage, 5),
        "clock_unsynchronised_s": round(period.unsynced_s, 3),
        "clock_set": period.clock_set,
        "arrived": period.arrived,
        "vehicles": period.vehicles,
        "complete": period.complete,
        "incomplete": period.incomplete,
        "abandoned": period.abandoned,
        "queued_share": _rounded(period.queued_share),
        **{f"{name}_s": _times(times) for name, times in _durations(period)},
        "gamma_alarms": period.gamma_alarms,
        "neutron_alarms": period.neutron_alarms,
        "unassigned": period.unassigned,
        "availability": _rounded(period.availability),
        "devices": {
            device: {"up_s": round(up, 3), "down_s": round(down, 3), "unknown_s": round(unknown, 3)}
            for device, (up, down, unknown) in period.devices.items()
        },
        "missing": [{"what": w, "reason": r, "vehicles": count} for (w, r), count in period.missing.items()],
        "confidence_edges": list(CONFIDENCE_EDGES),
        "plates": {"counts": list(period.plates.counts), "disputed": period.plates.disputed},
        "codes": {"counts": list(period.codes.counts), "disputed": period.codes.disputed},
        "quantile_error": round(QUANTILE_ERROR, 4),
    }


def _durations(period: Period) -> Iterable[tuple[str, Durations]]:
    return (("dwell", period.dwell), ("gap", period.gap), ("service", period.service))


def _times(times: Durations) -> dict[str, Any]:
    quantiles = {f"p{round(100 * q)}": _rounded(times.quantile(q)) for q in (0.5, 0.95)}
    most = {"min": _rounded(times.min_s), "max": _rounded(times.max_s)} if times.count else {"min": None, "max": None}
    return {"count": times.count, "mean": _rounded(times.mean_s), **quantiles, **most}


def _rounded(value: float | None) -> float | None:
    return None if value is None else round(value, 3)


def write_json(groups: Groups, by: str, out: TextIO) -> None:
    """One object a line."""
    for periods in groups:
        for period in periods:
            out.write(json.dumps({"by": by, **facts(period)}) + "\n")


def _cell(value: Any) -> Any:
    """A booth's word is no formula to a spreadsheet."""
    return f"'{value}" if isinstance(value, str) and value[:1] in {"=", "+", "-", "@", "\t", "\r"} else value


def write_csv(groups: Groups, by: str, out: TextIO) -> None:
    """A line a period (RFC 4180); what has names of its own (devices, what was missing) is in JSON alone."""
    writer: Callable[[Sequence[Any]], Any] | None = None
    for periods in groups:
        for period in periods:
            row = _flat({"by": by, **facts(period)}, len(period.lanes))
            if writer is None:
                writer = csv.writer(out).writerow
                writer(list(row))
            writer([_cell(value) for value in row.values()])


def _flat(values: Mapping[str, Any], lanes: int) -> dict[str, Any]:
    first = values["lanes"][0]
    flat: dict[str, Any] = {"booth_id": first["booth_id"] if lanes == 1 else "", "lane_id": first["lane_id"]}
    flat["lane_id"] = first["lane_id"] if lanes == 1 else f"{lanes} lanes"
    for name, value in values.items():
        if name.endswith("_s") and isinstance(value, dict):
            flat.update(
                {f"{name.removesuffix('_s')}_{what}{'' if what == 'count' else '_s'}": v for what, v in value.items()}
            )
        elif not isinstance(value, dict | list):
            flat[name] = value
    return flat
