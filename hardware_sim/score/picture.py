"""The score as one picture: each vehicle in time with what was received of it, and the share of each identifier."""

from collections.abc import Sequence
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from matplotlib import dates
from matplotlib.axes import Axes
from matplotlib.colors import ListedColormap
from matplotlib.figure import Figure
from matplotlib.gridspec import GridSpec
from matplotlib.lines import Line2D
from matplotlib.patches import Patch, Rectangle

from edge_agent.domain.errors import SettingsInvalid
from hardware_sim.score.judge import Check, Judged, Score, Tally, Verdict

# Okabe and Ito's colours, told apart by colour-blind people; paler for what fills areas.
_INK, _FAINT, _GRID = "#22303c", "#8a949e", "#e3e7eb"
_COLOURS = {
    Verdict.RIGHT: "#3aa684",
    Verdict.NONE: "#e9eef1",
    Verdict.FOLDED: "#9fd0bf",
    Verdict.WRONG: "#e69f00",
    Verdict.MISSED: "#d1495b",
    Verdict.EXTRA: "#8f6bb3",
}
_WORDS = {
    Verdict.RIGHT: "right",
    Verdict.NONE: "there was none",
    Verdict.FOLDED: "right but for O/0, I/1",
    Verdict.WRONG: "something else received",
    Verdict.MISSED: "not received",
    Verdict.EXTRA: "received, but there was none",
}
# The worse one is shown where an identifier has several values.
_WORST = [Verdict.NONE, Verdict.RIGHT, Verdict.FOLDED, Verdict.EXTRA, Verdict.WRONG, Verdict.MISSED]
_PASSAGE, _RECORD, _FAULT, _ALARM = "#aab4bd", "#2f6f9f", "#f6d7c3", "#c1121f"
_READABLE = 45  # vehicles whose names and values can still be read on a page
_DPI = 150
_TICK_S = (1, 2, 5, 10, 15, 30, 60, 120, 300, 600, 1800, 3600, 7200, 14400, 43200, 86400)


def draw(score: Score, title: str = "") -> Figure:
    """The picture. Vehicles run from top to bottom in the order in which they came."""
    count = max(len(score.vehicles), 1)
    readable = count <= _READABLE
    rows_in = 0.29 * max(count, 6) if readable else 5.0
    shares_in = 0.34 * (len(score.rows) + 2) + 0.3
    head_in, foot_in, between_in = 1.35, 0.75, 0.95
    height = head_in + rows_in + between_in + shares_in + foot_in
    figure = Figure(figsize=(15, height), facecolor="white", dpi=_DPI)
    top, bottom = 1 - head_in / height, foot_in / height
    grid = GridSpec(
        2, 2, figure=figure, left=0.085, right=0.985, top=top, bottom=bottom, wspace=0.02,
        height_ratios=[rows_in, shares_in], hspace=2 * between_in / (rows_in + shares_in), width_ratios=[1.0, 1.05],
    )  # fmt: skip
    _head(figure, score, title, height)
    (_timeline if readable else _density)(figure.add_subplot(grid[0, 0]), score)
    _cells(figure.add_subplot(grid[0, 1]), score, readable)
    _shares(figure.add_subplot(grid[1, 0]), score)
    _times(figure.add_subplot(grid[1, 1]), score)
    figure.legend(
        handles=_legend(score, readable), loc="lower center", ncols=8, frameon=False, fontsize=9, labelcolor=_INK,
        handlelength=1.2, columnspacing=1.6, bbox_to_anchor=(0.5, 0.06 / height),
    )  # fmt: skip
    return figure


def save(figure: Figure, path: Path) -> None:
    """Write PNG, SVG or PDF, by the name. Raises SettingsInvalid."""
    if path.suffix.lower() not in (".png", ".svg", ".pdf"):
        raise SettingsInvalid(f"--picture {path}: not a picture's name", "end it in .png, .svg or .pdf")
    try:
        figure.savefig(path)
    except OSError as error:
        raise SettingsInvalid(f"--picture {path}: cannot be written: {error.strerror}", "choose another path") from None


def _head(figure: Figure, score: Score, title: str, height: float) -> None:
    figure.text(0.012, 1 - 0.36 / height, title or "Truth and what was received", fontsize=17, color=_INK,
                fontweight="bold", va="center")  # fmt: skip
    whole = score.whole
    parts: list[tuple[str, str]] = [
        (f"{whole.right} of {whole.there}", "vehicles wholly right"),
        (f"{score.one_to_one.right} of {score.one_to_one.there}", "vehicles received once"),
        (f"{len(score.alarms_due) - len(score.alarms_missed)} of {len(score.alarms_due)}", "alarms received"),
        (str(len(score.alarms_false)), "false alarms"),
        (str(len(score.spurious)), "spurious records"),
    ]
    x = 0.013
    for number, words in parts:
        figure.text(x, 1 - 0.8 / height, number, fontsize=15, color=_RECORD, fontweight="bold", va="center")
        figure.text(x, 1 - 1.06 / height, words, fontsize=9, color=_FAINT, va="center")
        x += 0.125


def _plain(axes: Axes, *, left: bool = False) -> None:
    for side in ("top", "right", "bottom", "left"):
        axes.spines[side].set_visible(False)
    axes.tick_params(length=0, labelcolor=_INK, labelsize=9)
    if not left:
        axes.set_yticks([])


def _timeline(axes: Axes, score: Score) -> None:
    """Each vehicle's passage as a bar, the record's span as a line under it."""
    _plain(axes, left=True)
    vehicles = score.vehicles
    ends = [m for v in vehicles for m in (v.joined.truck.arrived, v.joined.truck.departed)]
    ends += [m for v in vehicles for r in _records(v) for m in (r.opened, r.closed)]
    ends += [m for r in score.spurious for m in (r.opened, r.closed)]
    if not ends:
        axes.set_axis_off()
        return
    first, last = min(ends), max(ends)
    _faults(axes, score, first, last, named=True)
    thick = 0.62
    for y, vehicle in enumerate(vehicles):
        truck = vehicle.joined.truck
        _bar(axes, y, truck.arrived, truck.departed, thick, _GRID, 1)
        _bar(axes, y, truck.entered, truck.left, thick, _PASSAGE, 2)
        for record in _records(vehicle):
            colour = _RECORD if vehicle.joined.one_to_one else _COLOURS[Verdict.WRONG]
            _bar(axes, y + thick * 0.22, record.opened, record.closed, thick * 0.3, colour, 3)
        if vehicle.joined.record is None:
            axes.plot([_x(truck.entered)], [y], marker="x", color=_COLOURS[Verdict.MISSED], ms=7, mew=2.2, zorder=5)
        for alarm in vehicle.alarms:
            axes.plot([_x(alarm.at)], [y], marker="v", color=_ALARM, ms=6, zorder=6, mec="white",
                      mew=0.6)  # fmt: skip
    for record in score.spurious:
        between = sum(v.joined.truck.entered < record.opened for v in vehicles) - 0.5
        _bar(axes, between, record.opened, record.closed, thick * 0.35, _COLOURS[Verdict.EXTRA], 4)
    axes.set_ylim(len(vehicles) - 0.4, -0.7)
    _time_axis(axes, first, last)
    axes.grid(axis="x", color=_GRID, lw=0.8, zorder=0)
    axes.set_axisbelow(True)
    axes.set_yticks(range(len(vehicles)), [v.joined.truck.id for v in vehicles])
    for label, vehicle in zip(axes.get_yticklabels(), vehicles, strict=True):
        label.set_color(_INK if vehicle.wholly_right else _COLOURS[Verdict.MISSED])


def _density(axes: Axes, score: Score) -> None:
    """Too many vehicles to tell apart: how many came when, and how many of them were wholly right."""
    _plain(axes, left=True)
    entered = [v.joined.truck.entered for v in score.vehicles]
    first, last = min(entered), max(entered)
    span_s = max((last - first).total_seconds(), 1.0)
    every = next((s for s in _TICK_S if span_s / s <= 60), _TICK_S[-1])
    begin = first.timestamp() // every * every
    stacks = {Verdict.RIGHT: "wholly right", Verdict.WRONG: "something wrong", Verdict.MISSED: "not received"}
    bins: dict[Verdict, dict[int, int]] = {verdict: {} for verdict in stacks}
    for vehicle in score.vehicles:
        fate = Verdict.RIGHT if vehicle.wholly_right else Verdict.WRONG if vehicle.joined.record else Verdict.MISSED
        number = int((vehicle.joined.truck.entered.timestamp() - begin) // every)
        bins[fate][number] = bins[fate].get(number, 0) + 1
    below: dict[int, int] = {}
    wide = every / 86_400
    for verdict, counts in bins.items():
        for number, count in counts.items():
            x = _x(datetime.fromtimestamp(begin + number * every, UTC))
            axes.add_patch(Rectangle((x + wide * 0.06, below.get(number, 0)), wide * 0.88, count, lw=0,
                                     fc=_COLOURS[verdict], zorder=2))  # fmt: skip
            below[number] = below.get(number, 0) + count
    most = max(below.values())
    for vehicle in score.vehicles:
        for alarm in vehicle.alarms:
            axes.plot([_x(alarm.at)], [most * 1.05], marker="v", color=_ALARM, ms=4, lw=0, zorder=3)
    axes.set_ylim(0, most * 1.1)
    _faults(axes, score, first, last, named=True)
    _time_axis(axes, first, last)
    axes.grid(axis="y", color=_GRID, lw=0.8)
    axes.set_axisbelow(True)
    minutes = f"{every // 60} min" if every >= 60 else f"{every} s"
    axes.set_ylabel(f"vehicles in {minutes}", color=_FAINT, fontsize=9)


def _faults(axes: Axes, score: Score, first: datetime, last: datetime, *, named: bool) -> None:
    for fault in score.truth.faults:
        begin, end = max(fault.began, first), min(fault.ended or last, last)
        if begin > last or end < first:
            continue
        axes.axvspan(_x(begin), _x(end), color=_FAULT, lw=0, zorder=0)
        axes.axvline(_x(begin), color="#e5a582", lw=0.8, zorder=0)
        if named:
            axes.annotate(
                f" {fault.words.replace('_', ' ')}", (_x(begin), 1.0), (0, 2), fontsize=8, color="#b5651d",
                xycoords=axes.get_xaxis_transform(), textcoords="offset points", va="bottom",
            )  # fmt: skip


def _time_axis(axes: Axes, first: datetime, last: datetime) -> None:
    pad = max((_x(last) - _x(first)) * 0.01, 1e-6)
    axes.set_xlim(_x(first) - pad, _x(last) + pad)
    span_s = (last - first).total_seconds()
    every = next((s for s in _TICK_S if span_s / s <= 7), _TICK_S[-1])
    begin_s = int(-(-first.timestamp() // every)) * every
    ticks = [datetime.fromtimestamp(t, UTC) for t in range(begin_s, int(last.timestamp()) + 1, every)][:12]
    axes.set_xticks([_x(t) for t in ticks], [t.strftime("%H:%M:%S" if every < 60 else "%H:%M") for t in ticks])
    axes.set_xlabel("time of day (UTC)", color=_FAINT, fontsize=9)


def _records(vehicle: Judged) -> list[Any]:
    one = vehicle.joined
    return [r for r in (one.record, *one.parts) if r is not None]


def _x(moment: datetime) -> float:
    return float(dates.date2num(moment))  # type: ignore[no-untyped-call]


def _bar(axes: Axes, y: float, begin: datetime, end: datetime, thick: float, colour: str, above: int) -> None:
    axes.add_patch(Rectangle((_x(begin), y - thick / 2), max(_x(end) - _x(begin), 0), thick, fc=colour, lw=0,
                             zorder=above))  # fmt: skip


def _cells(axes: Axes, score: Score, readable: bool) -> None:
    """A cell for each vehicle and identifier; what was received stands in those that are not right."""
    _plain(axes)
    names = list(score.rows)
    if not names or not score.vehicles:
        axes.set_axis_off()
        return
    if readable:
        for y, vehicle in enumerate(score.vehicles):
            for x, name in enumerate(names):
                checks = [c for c in vehicle.checks if c.what == name]
                if checks:
                    _cell(axes, x, y, checks, len(names))
    else:
        order = list(_COLOURS)
        image = [[_code(order, [c for c in v.checks if c.what == name]) for name in names] for v in score.vehicles]
        axes.imshow(
            image, aspect="auto", interpolation="nearest", vmin=0, vmax=len(order),
            cmap=ListedColormap([*_COLOURS.values(), "white"]),
            extent=(-0.48, len(names) - 0.52, len(image) - 0.5, -0.5),
        )  # fmt: skip
        for x in range(1, len(names)):
            axes.axvline(x - 0.5, color="white", lw=3)
    axes.set_ylim(len(score.vehicles) - 0.4, -0.7)
    axes.set_xlim(-0.55, len(names) - 0.45)
    axes.xaxis.tick_top()
    axes.set_xticks(range(len(names)), [n.replace(" ", "\n", 1) for n in names], fontsize=9)


def _worst(checks: Sequence[Check]) -> Check:
    return max(checks, key=lambda c: _WORST.index(c.verdict))


def _code(order: list[Verdict], checks: Sequence[Check]) -> int:
    return order.index(_worst(checks).verdict) if checks else len(order)


def _cell(axes: Axes, x: int, y: int, checks: Sequence[Check], columns: int) -> None:
    worst = _worst(checks)
    axes.add_patch(Rectangle((x - 0.47, y - 0.41), 0.94, 0.82, fc=_COLOURS[worst.verdict], lw=0))
    colour = "white" if worst.verdict in (Verdict.RIGHT, Verdict.MISSED, Verdict.EXTRA) else _INK
    shown = worst.received if worst.verdict in (Verdict.WRONG, Verdict.FOLDED, Verdict.EXTRA) else worst.truth
    if worst.verdict is Verdict.NONE:
        shown, colour = "none", _FAINT
    text = shown or ""
    size = min(8.5, 8.5 * 84 / (columns * max(len(text), 1)))
    axes.text(x, y, text, ha="center", va="center", fontsize=max(size, 4.5), color=colour,
              fontstyle="italic" if worst.verdict is Verdict.WRONG else "normal")  # fmt: skip


def _shares(axes: Axes, score: Score) -> None:
    """The share of each identifier with its 95 % interval."""
    _plain(axes, left=True)
    rows: dict[str, Tally] = {"vehicles": score.one_to_one, **score.rows, "wholly right": score.whole}
    rows = {name: tally for name, tally in rows.items() if tally.there}
    for y, tally in enumerate(rows.values()):
        left = 0.0
        parts = ((tally.right, Verdict.RIGHT), (tally.folded, Verdict.FOLDED), (tally.wrong, Verdict.WRONG),
                 (tally.missed, Verdict.MISSED))  # fmt: skip
        for count, verdict in parts:
            width = count / tally.there
            axes.add_patch(Rectangle((left, y - 0.3), width, 0.6, fc=_COLOURS[verdict], lw=0, zorder=2))
            left += width
        low, high = tally.interval
        axes.plot([low, high], [y, y], color=_INK, lw=1.6, zorder=3, solid_capstyle="butt")
        for end in (low, high):
            axes.plot([end, end], [y - 0.16, y + 0.16], color=_INK, lw=1.6, zorder=3)
        share = tally.share or 0.0
        axes.text(1.02, y, f"{100 * share:.1f} %", va="center", fontsize=10, color=_INK, fontweight="bold")
        axes.text(1.18, y, f"{tally.right} of {tally.there}", va="center", fontsize=9, color=_FAINT)
    axes.set_yticks(range(len(rows)), list(rows))
    axes.set_ylim(len(rows) - 0.4, -0.6)
    axes.set_xlim(0, 1.32)
    axes.set_xticks([0, 0.25, 0.5, 0.75, 1], ["0", "25", "50", "75", "100 %"])
    axes.grid(axis="x", color=_GRID, lw=0.8)
    axes.set_axisbelow(True)
    axes.set_title("share that is right, with its 95 % interval (Wilson)", loc="left", fontsize=10, color=_INK)


def _times(axes: Axes, score: Score) -> None:
    """How long after the vehicle its record was closed, and how long after its front an alarm came."""
    _plain(axes)
    groups = [
        ("record closed, after the rear\nleft the portal", _RECORD,
         [v.closed_after_s for v in score.vehicles if v.closed_after_s is not None]),
        ("alarm, after the front\nreached the portal", _ALARM,
         [v.alarm_after_s for v in score.vehicles if v.alarm_after_s is not None]),
    ]  # fmt: skip
    groups = [group for group in groups if group[2]]
    axes.set_title("time until it was known", loc="left", fontsize=10, color=_INK, x=0.34)
    if not groups:
        axes.set_axis_off()
        return
    most = max(max(times) for _, _, times in groups)
    least = min(0.0, *(min(times) for _, _, times in groups))
    for y, (words, colour, times) in enumerate(groups):
        middle = sorted(times)[len(times) // 2]
        offsets = [((n * 0.618034) % 1 - 0.5) * 0.5 for n in range(len(times))]  # spread evenly, the same every time
        axes.scatter(times, [y + o for o in offsets], s=22 if len(times) <= _READABLE else 7, color=colour, alpha=0.55,
                     lw=0, zorder=3)  # fmt: skip
        axes.plot([middle, middle], [y - 0.34, y + 0.34], color=_INK, lw=2, zorder=4)
        axes.text(middle, y - 0.42, f"{middle:.1f} s", ha="center", va="bottom", fontsize=9, color=_INK)
        axes.annotate(words, (least, y), (-10, 0), textcoords="offset points", ha="right", va="center", fontsize=9,
                      color=_INK)  # fmt: skip
    span = max(most - least, 1e-3)
    axes.set_xlim(least - 0.55 * span, most + 0.04 * span)
    axes.set_ylim(len(groups) - 0.4, -0.75)
    ticks = [t for t in axes.get_xticks() if least <= t <= most * 1.02]
    axes.set_xticks(ticks, [f"{t:g} s" for t in ticks])
    axes.grid(axis="x", color=_GRID, lw=0.8)
    axes.set_axisbelow(True)


def _legend(score: Score, readable: bool) -> list[Patch | Line2D]:
    present = {c.verdict for v in score.vehicles for c in v.checks}
    handles: list[Patch | Line2D] = []
    if readable:
        handles += [Patch(color=_PASSAGE, label="in the portal"), Patch(color=_RECORD, label="record")]
    if any(v.alarms for v in score.vehicles):
        handles.append(Line2D([], [], marker="v", color=_ALARM, lw=0, label="alarm"))
    if score.truth.faults:
        handles.append(Patch(color=_FAULT, label="fault"))
    return handles + [Patch(color=_COLOURS[v], label=_WORDS[v]) for v in _COLOURS if v in present]
