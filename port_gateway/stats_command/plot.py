"""What lanes did, drawn. Up to MOST_IN_ROWS lanes: vehicles and times of each; more: a map of lanes and time.

Colours are Okabe and Ito's, which people who do not see all colours tell apart. Time that nobody covered is hatched.
"""

from collections.abc import Callable, Sequence
from datetime import datetime, timedelta
from pathlib import Path
from typing import Any
from zoneinfo import ZoneInfo

from edge_agent.domain.counted import counted
from edge_agent.domain.errors import Permanent
from edge_agent.domain.statistics import QUANTILE_ERROR
from port_gateway.lane_history import Period
from port_gateway.stats_command.table import lanes_in_words

try:
    from matplotlib import dates
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure
    from matplotlib.patches import Patch
    from matplotlib.ticker import MaxNLocator
except ImportError:
    raise Permanent(
        "a plot needs matplotlib, which is not installed", "pip install 'edge-agent[stats]', or leave out --plot"
    ) from None

MOST_IN_ROWS = 6
_DPI = 110
_INK, _FAINT, _GRID = "#1f2328", "#6a737d", "#e4e7eb"
_COMPLETE, _INCOMPLETE, _ABANDONED = "#0072b2", "#e69f00", "#d55e00"
_DWELL, _GAP, _UP = "#0072b2", "#009e73", "#56b4e9"
_UNCOVERED = "#b7bcc2"
_UNIT = {"quarter": "quarter hour", "hour": "hour", "day": "day"}
# Below it a bar says nothing of the whole period, and is marked.
_MOSTLY = 0.5


def draw(groups: Sequence[Sequence[Period]], by: str, zone: ZoneInfo) -> Figure:
    """The figure; `groups` as the table's."""
    return _rows(groups, by, zone) if len(groups) <= MOST_IN_ROWS else _map(groups, by, zone)


def save(figure: Figure, path: Path) -> None:
    """Write PNG, SVG or PDF, by the name. Raises Permanent."""
    if path.suffix.lower() not in (".png", ".svg", ".pdf"):
        raise Permanent(f"--plot {path}: not a picture's name", "end it in .png, .svg or .pdf")
    try:
        figure.savefig(path)
    except OSError as error:
        raise Permanent(f"--plot {path}: cannot be written: {error.strerror}", "choose another path") from None


# --- a few lanes --------------------------------------------------------------------------------------------------
def _rows(groups: Sequence[Sequence[Period]], by: str, zone: ZoneInfo) -> Figure:
    height = 1.65 + 3.3 * len(groups)
    figure = Figure(figsize=(14, height), facecolor="white", dpi=_DPI)
    grid = figure.add_gridspec(
        2 * len(groups), 2, left=0.06, right=0.985, top=1 - 1.05 / height, bottom=0.75 / height, wspace=0.13,
        height_ratios=[3.0, 0.32] * len(groups), hspace=0.36,
    )  # fmt: skip
    _title(figure, groups, by, zone, height)
    for n, periods in enumerate(groups):
        left, right = figure.add_subplot(grid[2 * n, 0]), figure.add_subplot(grid[2 * n, 1])
        strips = [figure.add_subplot(grid[2 * n + 1, side]) for side in (0, 1)]
        _vehicles(left, periods, by)
        _times(right, periods, by)
        _strip(strips[0], periods, "of the time covered", lambda p: p.coverage, _UP)
        _strip(strips[1], periods, "of their time devices up", lambda p: p.availability, _UP)
        for axes in (left, right, *strips):
            _time_axis(axes, periods, zone, labels=axes in strips)
        left.set_title(lanes_in_words(periods[0]), loc="left", fontsize=11, color=_INK, fontweight="bold")
    handles = [
        Patch(color=_COMPLETE, label="complete"),
        Patch(color=_INCOMPLETE, label="incomplete"),
        Patch(color=_ABANDONED, label="abandoned"),
        Patch(facecolor=_DWELL, alpha=0.25, label="dwell, median to 95 %"),
        Patch(color=_GAP, label="gap between vehicles, median"),
        _hatched("not covered: less than half is known"),
    ]
    figure.legend(
        handles=handles, loc="lower center", ncols=6, frameon=False, fontsize=9, labelcolor=_INK,
        bbox_to_anchor=(0.5, 0.06 / height),
    )  # fmt: skip
    return figure


def _title(figure: Figure, groups: Sequence[Sequence[Period]], by: str, zone: ZoneInfo, height: float) -> None:
    first, last = groups[0][0].span.begin, groups[0][-1].span.end
    until = last - timedelta(seconds=1) if by == "day" else last
    form = "%Y-%m-%d" if by == "day" else "%Y-%m-%d %H:%M"
    figure.text(0.06, 1 - 0.33 / height, f"What lanes did, by {_UNIT[by]}", fontsize=16, color=_INK, fontweight="bold",
                va="center")  # fmt: skip
    total = sum(p.vehicles for periods in groups for p in periods)
    words = f"{first.strftime(form)} to {until.strftime(form)} ({zone.key}), {counted(total, 'vehicle', form=',')}"
    words += f"; times from histograms, within ±{100 * QUANTILE_ERROR:.1f} %"
    figure.text(0.06, 1 - 0.62 / height, words, fontsize=9.5, color=_FAINT, va="center")


def _vehicles(axes: Axes, periods: Sequence[Period], by: str) -> None:
    _plain(axes)
    below = [0.0] * len(periods)
    lefts, widths = _lefts(periods), _widths(periods)
    stacks: list[tuple[str, Callable[[Period], int]]] = [
        (_COMPLETE, lambda p: p.complete),
        (_INCOMPLETE, lambda p: p.incomplete),
        (_ABANDONED, lambda p: p.abandoned),
    ]
    for colour, of in stacks:
        counts = [float(of(p)) for p in periods]
        axes.bar(lefts, counts, [0.9 * w for w in widths], below, align="edge", color=colour, lw=0, zorder=2)
        below = [b + c for b, c in zip(below, counts, strict=True)]
    axes.set_ylim(0, max([*below, 1.0]) * 1.08)
    axes.yaxis.set_major_locator(MaxNLocator(5, integer=True))
    axes.set_ylabel(f"vehicles in a{'n' if by == 'hour' else ''} {_UNIT[by]}", color=_FAINT, fontsize=9)
    _uncovered(axes, periods)


def _times(axes: Axes, periods: Sequence[Period], by: str) -> None:
    _plain(axes)
    middles = [left + width / 2 for left, width in zip(_lefts(periods), _widths(periods), strict=True)]
    half = [_or_nan(p.dwell.quantile(0.5)) for p in periods]
    most = [_or_nan(p.dwell.quantile(0.95)) for p in periods]
    gap = [_or_nan(p.gap.quantile(0.5)) for p in periods]
    axes.fill_between(middles, half, most, color=_DWELL, alpha=0.25, lw=0, zorder=2)
    marker = "o" if len(periods) <= 100 else ""
    axes.plot(middles, most, color=_DWELL, lw=0.8, alpha=0.6, marker=marker, ms=2, zorder=3)
    axes.plot(middles, half, color=_DWELL, lw=1.8, marker=marker, ms=3.5, zorder=4)
    axes.plot(middles, gap, color=_GAP, lw=1.4, ls=(0, (4, 2)), marker=marker, ms=3, zorder=3)
    found = [value for value in (*half, *most, *gap) if value == value and value > 0]
    if found:
        axes.set_yscale("log")
        axes.set_ylim(min(found) / 1.4, max(found) * 1.4)
        ticks = [t for t in _TICKS_S if min(found) / 1.4 <= t <= max(found) * 1.4]
        axes.set_yticks(ticks, [_time_words(t) for t in ticks])
        axes.minorticks_off()
    else:
        axes.set_yticks([])
    axes.set_ylabel("dwell and gap", color=_FAINT, fontsize=9)
    _uncovered(axes, periods)


_TICKS_S = (1, 2, 5, 10, 20, 30, 60, 120, 300, 600, 1200, 1800, 3600, 7200, 14400, 28800, 86400)


def _time_words(seconds: float) -> str:
    if seconds < 60:
        return f"{seconds:g} s"
    return f"{seconds / 60:g} min" if seconds < 3600 else f"{seconds / 3600:g} h"


def _strip(
    axes: Axes, periods: Sequence[Period], words: str, of: Callable[[Period], float | None], colour: str
) -> None:
    """A share of the time, as a thin band: full height is all."""
    _plain(axes)
    shares = [of(p) if p.covered_s else None for p in periods]
    axes.bar(_lefts(periods), [s or 0.0 for s in shares], _widths(periods), align="edge", color=colour, lw=0, zorder=2)
    axes.set_ylim(0, 1)
    axes.set_yticks([0, 1], ["", "100 %"], fontsize=7)
    axes.grid(visible=False)
    axes.set_title(words, loc="left", fontsize=8, color=_FAINT, pad=2)
    _uncovered(axes, periods)


def _uncovered(axes: Axes, periods: Sequence[Period]) -> None:
    """Hatches the periods of which nothing, or less than half, is known."""
    for period, left, width in zip(periods, _lefts(periods), _widths(periods), strict=True):
        if period.coverage < _MOSTLY:
            axes.axvspan(left, left + width, fc="none", ec=_UNCOVERED, hatch="////", lw=0, zorder=1)


# --- many lanes ---------------------------------------------------------------------------------------------------
def _map(groups: Sequence[Sequence[Period]], by: str, zone: ZoneInfo) -> Figure:
    """A line a lane: vehicles an hour, the median and the 95 % dwell, the share that is complete."""
    panels: list[tuple[str, Callable[[Period], float | None], str]] = [
        (f"vehicles in a{'n' if by == 'hour' else ''} {_UNIT[by]}", lambda p: float(p.vehicles), "viridis"),
        ("dwell, 95 %, seconds", lambda p: p.dwell.quantile(0.95), "viridis"),
        ("incomplete or abandoned, %", _not_complete, "cividis"),
        ("devices down, % of their time", _down, "cividis"),
    ]
    tall = 0.9 + 0.17 * len(groups)
    height = 1.2 + len(panels) * tall
    figure = Figure(figsize=(14, height), facecolor="white", dpi=_DPI)
    grid = figure.add_gridspec(len(panels), 2, left=0.1, right=0.95, top=1 - 1.1 / height, bottom=0.65 / height,
                               hspace=0.75 / tall, wspace=0.02, width_ratios=[1, 0.012])  # fmt: skip
    _title(figure, groups, by, zone, height)
    edges = [*_lefts(groups[0]), _x(groups[0][-1].span.end)]
    for n, (words, of, colours) in enumerate(panels):
        axes = figure.add_subplot(grid[n, 0])
        _plain(axes)
        rows = [[_or_nan(of(p) if p.coverage >= _MOSTLY else None) for p in periods] for periods in groups]
        axes.set_facecolor("white")
        axes.patch.set_hatch("////")
        axes.patch.set_edgecolor(_UNCOVERED)
        known = sorted(value for row in rows for value in row if value == value)
        top = known[min(len(known) - 1, int(0.995 * len(known)))] if known else 1.0
        mesh = axes.pcolormesh(edges, range(len(groups) + 1), rows, cmap=colours, vmin=0, vmax=max(top, 1e-9), zorder=2)
        axes.set_yticks([n + 0.5 for n in range(len(groups))], [periods[0].lanes[0].name for periods in groups],
                        fontsize=7.5)  # fmt: skip
        axes.invert_yaxis()
        axes.grid(visible=False)
        axes.set_title(words, loc="left", fontsize=10, color=_INK)
        _time_axis(axes, groups[0], zone, labels=True)
        bar = figure.colorbar(
            mesh, cax=figure.add_subplot(grid[n, 1]), extend="max" if known and known[-1] > top else "neither"
        )
        bar.outline.set_visible(False)
        bar.ax.tick_params(length=0, labelsize=8, labelcolor=_INK)
    figure.legend(
        handles=[_hatched("less than half is known, or no vehicle")],
        loc="lower center", frameon=False, fontsize=9, labelcolor=_INK, bbox_to_anchor=(0.5, 0.02 / height),
    )  # fmt: skip
    return figure


def _hatched(label: str) -> Patch:
    return Patch(facecolor="white", edgecolor=_UNCOVERED, hatch="////", label=label)


def _not_complete(period: Period) -> float | None:
    share = period.complete_share
    return None if share is None else 100 * (1 - share)


def _down(period: Period) -> float | None:
    share = period.availability
    return None if share is None else 100 * (1 - share)


def _or_nan(value: float | None) -> float:
    return float("nan") if value is None else value


# --- both ---------------------------------------------------------------------------------------------------------
def _plain(axes: Axes) -> None:
    for side in ("top", "right", "bottom", "left"):
        axes.spines[side].set_visible(False)
    axes.tick_params(length=0, labelcolor=_INK, labelsize=8.5)
    axes.grid(axis="y", color=_GRID, lw=0.8, zorder=0)
    axes.set_axisbelow(True)


def _lefts(periods: Sequence[Period]) -> list[float]:
    return [_x(p.span.begin) for p in periods]


def _widths(periods: Sequence[Period]) -> list[float]:
    return [_x(p.span.end) - _x(p.span.begin) for p in periods]


def _time_axis(axes: Axes, periods: Sequence[Period], zone: ZoneInfo, *, labels: bool) -> None:
    axes.set_xlim(_x(periods[0].span.begin), _x(periods[-1].span.end))
    locator: Any = dates.AutoDateLocator(zone, minticks=3, maxticks=9)  # type: ignore[no-untyped-call]
    axes.xaxis.set_major_locator(locator)
    if labels:
        formatter: Any = dates.ConciseDateFormatter(locator, zone, show_offset=False)  # type: ignore[no-untyped-call]
        axes.xaxis.set_major_formatter(formatter)
    else:
        axes.tick_params(labelbottom=False)


def _x(moment: datetime) -> float:
    return float(dates.date2num(moment))  # type: ignore[no-untyped-call]
