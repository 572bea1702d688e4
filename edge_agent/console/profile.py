"""The radiation profile of a vehicle: read from its evidence, thinned to what a picture can show, drawn as SVG.

The evidence is CSV (inspection/profile.py): utc,device,kind,channel,in_alarm,interval_s,counts,raw.
"""

import csv
import io
import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from datetime import datetime
from statistics import median
from typing import NamedTuple

from markupsafe import Markup, escape

# Points of one panel in a picture; of those that fall together the highest is kept: a peak is what matters.
MAX_POINTS = 240
MAX_PANELS = 8
MAX_CHARTS = 4
MAX_ROWS = 60_000

WIDTH, HEIGHT = 640, 250
_LEFT, _RIGHT, _TOP, _BOTTOM = 62, 14, 26, 40


class Sample(NamedTuple):
    """Counts per second of each panel, `at` seconds from the first sample."""

    at: float
    cps: tuple[float, ...]
    in_alarm: bool


@dataclass(frozen=True, slots=True)
class Chart:
    """What one portal counted of one kind. `background`: counts per second of each panel, the median before."""

    device: str
    kind: str
    samples: tuple[Sample, ...]
    background: tuple[float, ...]

    @property
    def panels(self) -> int:
        return max((len(sample.cps) for sample in self.samples), default=0)

    @property
    def in_alarm(self) -> bool:
        return any(sample.in_alarm for sample in self.samples)

    @property
    def peak(self) -> float:
        """The highest count of a panel, per second."""
        return max((cps for sample in self.samples for cps in sample.cps), default=0.0)


class Profile(NamedTuple):
    """A chart for each portal and kind; none: the evidence is no longer kept here, or is no profile."""

    charts: tuple[Chart, ...]


def read_profile(data: bytes) -> Profile:
    """From the evidence; lines that cannot be read are left out."""
    rows: dict[tuple[str, str], tuple[list[Sample], list[tuple[float, ...]]]] = {}
    start: datetime | None = None
    reader = csv.DictReader(io.StringIO(data.decode("utf-8", "replace"), newline=""))
    for _ in range(MAX_ROWS):
        try:
            row = next(reader, None)
            if row is None:
                break
            at = datetime.fromisoformat(row["utc"])
            interval = float(row["interval_s"])
            cps = tuple(int(count) / interval for count in row["counts"].split()[:MAX_PANELS])
            if not cps or not all(map(math.isfinite, cps)):
                continue
            start = start or at
            seconds = (at - start).total_seconds()
            samples, background = rows.setdefault((row["device"], row["kind"]), ([], []))
        except (KeyError, TypeError, ValueError, ArithmeticError, AttributeError, csv.Error):
            continue
        if row["channel"] == "background":
            background.append(cps)
        else:
            samples.append(Sample(seconds, cps, row["in_alarm"] == "1"))
    charts = (
        Chart(device, kind, thinned(samples), _median(background))
        for (device, kind), (samples, background) in sorted(rows.items())
        if samples
    )
    return Profile(tuple(charts)[:MAX_CHARTS])


def thinned(samples: Sequence[Sample], most: int = MAX_POINTS) -> tuple[Sample, ...]:
    """At most `most` of them: of neighbours, the highest of each panel, in alarm if one was."""
    if len(samples) <= most:
        return tuple(samples)
    step = len(samples) / most
    groups = (samples[int(index * step) : int((index + 1) * step)] for index in range(most))
    return tuple(
        Sample(
            group[0].at,
            tuple(max(s.cps[panel] for s in group if panel < len(s.cps)) for panel in range(len(group[0].cps))),
            any(s.in_alarm for s in group),
        )
        for group in groups
    )


def _median(rows: Sequence[tuple[float, ...]]) -> tuple[float, ...]:
    panels = max(map(len, rows), default=0)
    return tuple(median(row[panel] for row in rows if panel < len(row)) for panel in range(panels))


def drawn(chart: Chart, say: Callable[..., str], language: str) -> Markup:
    """The chart as an SVG element. `say` gives words by key; colours come from the page's style sheet."""
    begin, end = chart.samples[0].at, chart.samples[-1].at
    span = max(end - begin, 1.0)
    top = nice_top(max(chart.peak, *chart.background, 1.0) if chart.background else max(chart.peak, 1.0))

    def x(at: float) -> float:
        return _LEFT + (at - begin) / span * (WIDTH - _LEFT - _RIGHT)

    def y(cps: float) -> float:
        return HEIGHT - _BOTTOM - cps / top * (HEIGHT - _TOP - _BOTTOM)

    title = say("profile.title", kind=say(f"kind.{chart.kind}"), device=chart.device)
    summary = say("profile.summary", count=chart.panels, peak=number(chart.peak), seconds=f"{span:.0f}")
    verdict = say("profile.alarm") if chart.in_alarm else say("profile.no_alarm")
    parts = [
        f'<svg class="profile" viewBox="0 0 {WIDTH} {HEIGHT}" role="img" '
        f'aria-label="{escape(f"{title}. {summary} {verdict}")}" lang="{language}">',
        *_alarm_bands(chart.samples, x),
        *_grid(top, begin, span, x, y),
    ]
    if chart.background:
        level = sum(chart.background) / len(chart.background)
        parts.append(
            f'<line class="background" x1="{_LEFT}" x2="{WIDTH - _RIGHT}" y1="{y(level):.1f}" y2="{y(level):.1f}"/>'
        )
        parts.append(
            f'<line class="background" x1="{WIDTH - _RIGHT - 150}" x2="{WIDTH - _RIGHT - 128}" y1="12" y2="12"/>'
            f'<text class="label" x="{WIDTH - _RIGHT - 122}" y="16">'
            f"{escape(say('profile.background'))} {number(level)}</text>"
        )
    for panel in range(chart.panels):
        points = " ".join(f"{x(s.at):.1f},{y(s.cps[panel]):.1f}" for s in chart.samples if panel < len(s.cps))
        parts.append(f'<polyline class="panel p{panel % 4}" points="{points}"/>')
    for panel in range(chart.panels):
        at = _LEFT + 8 + panel * 92
        parts.append(
            f'<line class="panel p{panel % 4}" x1="{at}" x2="{at + 22}" y1="12" y2="12"/>'
            f'<text class="label" x="{at + 27}" y="16">{escape(say("profile.panel", number=panel + 1))}</text>'
        )
    parts.append(
        f'<text class="label" x="{(_LEFT + WIDTH - _RIGHT) / 2}" y="{HEIGHT - 6}" text-anchor="middle">'
        f"{escape(say('profile.seconds'))}</text>"
        f'<text class="label" transform="translate(13 {(HEIGHT - _BOTTOM + _TOP) / 2}) rotate(-90)" '
        f'text-anchor="middle">{escape(say("profile.cps"))}</text></svg>'
    )
    return Markup("".join(parts))  # noqa: S704 - every text in it is escaped above


def _alarm_bands(samples: Sequence[Sample], x: Callable[[float], float]) -> list[str]:
    bands, begin = [], None
    for index, sample in enumerate((*samples, None)):
        if sample is not None and sample.in_alarm:
            begin = sample.at if begin is None else begin
        elif begin is not None:
            left, right = x(begin), x(sample.at if sample is not None else samples[index - 1].at)
            bands.append(
                f'<rect class="alarm" x="{left:.1f}" y="{_TOP}" width="{max(right - left, 3):.1f}" '
                f'height="{HEIGHT - _TOP - _BOTTOM}"/>'
            )
            begin = None
    return bands


def _grid(top: float, begin: float, span: float, x: Callable[[float], float], y: Callable[[float], float]) -> list[str]:
    lines = []
    for part in range(5):
        cps = top * part / 4
        lines.append(
            f'<line class="grid" x1="{_LEFT}" x2="{WIDTH - _RIGHT}" y1="{y(cps):.1f}" y2="{y(cps):.1f}"/>'
            f'<text class="tick" x="{_LEFT - 6}" y="{y(cps) + 4:.1f}" text-anchor="end">{number(cps)}</text>'
        )
    step = nice_step(span / 6)
    for count in range(int(span / step) + 1):
        at = count * step
        lines.append(
            f'<line class="grid" x1="{x(begin + at):.1f}" x2="{x(begin + at):.1f}" y1="{HEIGHT - _BOTTOM}" '
            f'y2="{HEIGHT - _BOTTOM + 5}"/>'
            f'<text class="tick" x="{x(begin + at):.1f}" y="{HEIGHT - _BOTTOM + 18}" text-anchor="middle">{at:g}</text>'
        )
    return lines


def nice_step(least: float) -> float:
    """1, 2 or 5 times a power of ten, not below `least`."""
    power: float = 10.0 ** math.floor(math.log10(max(least, 1e-3)))
    return next(power * factor for factor in (1, 2, 5, 10) if power * factor >= least * 0.999)


def nice_top(least: float) -> float:
    """The end of an axis of four parts."""
    return 4 * nice_step(least / 4)


def number(value: float) -> str:
    """With thin spaces between thousands, and as many digits as it needs."""
    return f"{value:,.0f}".replace(",", "\u202f") if value >= 10 or value == int(value) else f"{value:.1f}"
