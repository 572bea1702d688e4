"""The score as people and programs read it, and what it may be required to be."""

import operator
import re
from collections.abc import Sequence
from datetime import UTC, datetime
from statistics import median, quantiles
from typing import Any

from edge_agent.domain.counted import counted
from edge_agent.domain.errors import SettingsInvalid
from hardware_sim.score.judge import Judged, Score, Tally

NOTHING = "—"
_MOST_MISSES = 200
_REQUIREMENT = re.compile(r"([a-z_]+)\s*(>=|<=|==|=)\s*([0-9.]+)\s*(%?)")
_COMPARE = {">=": operator.ge, "<=": operator.le, "==": operator.eq, "=": operator.eq}


def text_of(score: Score, truth_name: str, events_name: str) -> str:
    """The whole report, some ten lines and one for each miss."""
    lanes = sorted({v.joined.truck.lane for v in score.vehicles})
    lanes_text = f" in {len(lanes)} lanes" if len(lanes) > 1 else ""
    lines = [
        f"truth     {counted(len(score.truth.trucks), 'vehicle')}{lanes_text}  ({truth_name})",
        f"received  {counted(score.received, 'vehicle')}, {counted(score.alarms, 'alarm')}  ({events_name})",
    ]
    if score.unverified:
        lines.append(f"          {counted(score.unverified, 'line')} that did not verify: not counted")
    if len(score.vehicles) < len(score.truth.trucks):
        lines.append(f"counted   {counted(len(score.vehicles), 'vehicle')}: what met no fault of a device")
    lines += ["", f"{'':16} {'right':>6} {'of':>5} {'share':>8}  {'95 %':15} {'wrong':>6} {'missed':>6} {'extra':>6}"]
    lines.append(_row("vehicles", score.one_to_one))
    lines += [_row(name, tally) for name, tally in score.rows.items()]
    lines.append(_row("wholly right", score.whole))
    lines += ["", *_vehicle_lines(score), *_alarm_lines(score), *_time_lines(score)]
    if misses := _miss_lines(score):
        lines += ["", "misses", *misses]
    return "\n".join(lines)


def _row(name: str, tally: Tally) -> str:
    low, high = tally.interval
    share = f"{100 * tally.share:6.1f} %" if tally.share is not None else f"{NOTHING:>8}"
    interval = f"{100 * low:5.1f}–{100 * high:5.1f} %" if tally.there else ""
    folded = f"   + {tally.folded} but for O/0, I/1" if tally.folded else ""
    return (
        f"{name:16} {tally.right:6} {tally.there:5} {share}  {interval:15}"
        f" {tally.wrong or '':>6} {tally.missed or '':>6} {tally.extra or '':>6}{folded}"
    ).rstrip()


def _vehicle_lines(score: Score) -> list[str]:
    parts = [f"{len(found)} {fate}" for fate in ("missed", "merged", "split") if (found := score.fate(fate))] + (
        [f"{len(score.spurious)} spurious"] if score.spurious else []
    )
    well = "every one received once, and no other" if score.vehicles else "none came, and none was received"
    return [f"vehicles  {', '.join(parts) or well}"]


def _alarm_lines(score: Score) -> list[str]:
    due = score.alarms_due
    known = sum(v.joined.truck.load_alarm is not None for v in score.vehicles)
    if not known:
        return []
    parts = [f"{counted(len(due), 'load')} should alarm, {len(due) - len(score.alarms_missed)} did"]
    if score.alarms_missed:
        parts.append(f"MISSED {', '.join(v.joined.truck.id for v in score.alarms_missed)}")
    if score.alarms_false:
        parts.append(f"false {', '.join(v.joined.truck.id for v in score.alarms_false)}")
    if score.stray_alarms:
        parts.append(f"{counted(score.stray_alarms, 'alarm')} of no vehicle")
    return [f"alarms    {'; '.join(parts)}"]


def _time_lines(score: Score) -> list[str]:
    closed = [v.closed_after_s for v in score.vehicles if v.closed_after_s is not None]
    alarms = [v.alarm_after_s for v in score.vehicles if v.alarm_after_s is not None]
    lines = []
    for what, times in (("closed, from the rear leaving the portal", closed),
                        ("alarm, from the front reaching the portal", alarms)):  # fmt: skip
        if times:
            lines.append(
                f"time      {what}: {median(times):.1f} s (median), {percentile95(times):.1f} s (95 %),"
                f" {max(times):.1f} s (longest)"
            )
    return lines


def percentile95(times: Sequence[float]) -> float:
    """By the inclusive method: never beyond the longest."""
    return quantiles(times, n=20, method="inclusive")[-1] if len(times) > 1 else times[0]


def _miss_lines(score: Score) -> list[str]:
    lines = []
    for vehicle in score.vehicles:
        lines += _misses_of(vehicle)
    lines += [
        f"  {clock(record.opened)}  spurious: received {described or 'nothing of it'} (line {record.line})"
        for record in score.spurious
        for described in [" ".join([record.plate or "", *record.container_codes, *record.seals]).strip()]
    ]
    if len(lines) > _MOST_MISSES:
        lines[_MOST_MISSES:] = [f"  … and {len(lines) - _MOST_MISSES} more: all of them with --json"]
    return lines


def _misses_of(vehicle: Judged) -> list[str]:
    one, truck = vehicle.joined, vehicle.joined.truck
    head = f"  {clock(truck.entered)}  {truck.id:12}"
    during = f"   (during {', '.join(f.words for f in truck.faults)})" if truck.faults else ""
    if one.record is None:
        known = " ".join(v for what in ("plate", "container", "seal") for v in truck.values.get(what) or ())
        fate = f"lies in the record of {one.merged_into}" if one.merged_into else "nothing was received of it"
        return [f"{head} MISSED {known}: {fate}{during}"]
    lines = []
    if one.parts:
        lines.append(f"{head} split: {1 + len(one.parts)} records (lines {_lines(vehicle)}){during}")
    if one.merged_with:
        lines.append(f"{head} merged with {', '.join(one.merged_with)} in one record{during}")
    lines += [
        f"{head} {check.what:15} {check.truth or NOTHING:>14} → {check.received or NOTHING}"
        f"{'  (but for O/0, I/1)' if check.verdict == 'folded' else ''}{during}"
        for check in vehicle.misses
    ]
    return lines


def _lines(vehicle: Judged) -> str:
    one = vehicle.joined
    return ", ".join(str(r.line) for r in (one.record, *one.parts) if r is not None)


def clock(moment: datetime) -> str:
    """Time of day, UTC."""
    return moment.astimezone(UTC).strftime("%H:%M:%S")


def json_of(score: Score) -> dict[str, Any]:
    """Everything, for programs: counts, shares with intervals, every vehicle with its checks."""
    return {
        "vehicles": len(score.vehicles),
        "received": score.received,
        "figures": score.figures(),
        "rows": {
            name: _tally_json(t)
            for name, t in {"vehicles": score.one_to_one, **score.rows, "whole": score.whole}.items()
        },
        "alarms": {
            "received": score.alarms,
            "due": [v.joined.truck.id for v in score.alarms_due],
            "missed": [v.joined.truck.id for v in score.alarms_missed],
            "false": [v.joined.truck.id for v in score.alarms_false],
            "stray": score.stray_alarms,
        },
        "trucks": [_vehicle_json(v) for v in score.vehicles],
        "spurious": [r.model_dump(mode="json", exclude_defaults=True) for r in score.spurious],
        "faults": [
            {"target": f.target, "kind": f.kind, "began": f.began.isoformat(),
             "ended": f.ended.isoformat() if f.ended else None}
            for f in score.truth.faults
        ],
    }  # fmt: skip


def _tally_json(tally: Tally) -> dict[str, Any]:
    low, high = tally.interval
    return {
        **{n: getattr(tally, n) for n in ("there", "right", "folded", "wrong", "missed", "extra")},
        "share": tally.share,
        "low": low,
        "high": high,
    }


def _vehicle_json(vehicle: Judged) -> dict[str, Any]:
    one = vehicle.joined
    return {
        "id": one.truck.id,
        "lane": one.truck.lane,
        "entered": one.truck.entered.isoformat(),
        "fate": one.fate,
        "record": one.record.id or one.record.line if one.record else None,
        "parts": [part.id or part.line for part in one.parts],
        "merged_into": one.merged_into or None,
        "wholly_right": vehicle.wholly_right,
        "closed_after_s": vehicle.closed_after_s,
        "alarm_after_s": vehicle.alarm_after_s,
        "faults": [f.words for f in one.truck.faults],
        "checks": [
            {"what": c.what, "truth": c.truth, "received": c.received, "verdict": c.verdict.value}
            for c in vehicle.checks
        ],
    }


class Requirement:
    """`NAME>=X`, `NAME<=X` or `NAME==X`: a row's share (0..1, or with %), or a count. `all`: nothing at all wrong."""

    def __init__(self, text: str) -> None:
        """Raises SettingsInvalid for what is no requirement."""
        self.text = text
        self._all = text == "all"
        match = _REQUIREMENT.fullmatch(text)
        try:
            if not self._all:
                if match is None:
                    raise ValueError
                self._name, self._sign, number, percent = match.groups()
                self._wanted = float(number) / (100 if percent else 1)
        except ValueError:
            raise SettingsInvalid(
                f"--require {text}: not a requirement", "write for instance 'plate>=0.95', 'missed==0' or 'all'"
            ) from None

    def unmet(self, score: Score) -> str | None:
        """Why it is not met, in words; None if it is. Raises SettingsInvalid for a name that this score lacks."""
        figures = score.figures()
        if self._all:
            whole = score.whole.right == score.whole.there and score.whole.there
            clean = not (score.spurious or score.unverified)
            return None if whole and clean else "not everything is right"
        if self._name not in figures:
            raise SettingsInvalid(
                f"--require {self.text}: there is no figure {self._name} here", f"there are: {', '.join(figures)}"
            )
        figure = figures[self._name]
        return None if _COMPARE[self._sign](figure, self._wanted) else f"{self._name} is {figure:.4g}"
