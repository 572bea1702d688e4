"""`hardware-sim score`: its arguments, and what it prints."""

import argparse
import json
import sys
from collections.abc import Callable, Collection
from datetime import timedelta
from pathlib import Path

from edge_agent.domain.errors import SettingsInvalid
from hardware_sim.score.judge import ROWS, judge
from hardware_sim.score.received import read_received
from hardware_sim.score.report import Requirement, json_of, text_of
from hardware_sim.score.truth import read_truth

_MET, _UNMET = 0, 1


def add_score(commands: "argparse._SubParsersAction[argparse.ArgumentParser]") -> None:
    """The command's arguments."""
    score = commands.add_parser(
        "score",
        help="hold what a back-office received against the truth",
        description="Joins every truck of the truth to what was received of it, and says for each identifier how many "
        "are right, with every miss. Exit status 1 when a requirement is not met.",
    )
    score.add_argument("truth", type=Path, metavar="TRUTH", help="truth.jsonl of a run; faults.jsonl is read beside it")
    score.add_argument(
        "events", type=Path, metavar="EVENTS",
        help="what was received, as JSON lines: of `port-gateway tail --json`, or one object a vehicle",
    )  # fmt: skip
    score.add_argument("--picture", type=Path, metavar="FILE", help="draw it: .png, .svg or .pdf")
    score.add_argument("--title", default="", help="of the picture")
    score.add_argument(
        "--require", action="append", default=[], metavar="WHAT",
        help="such as 'plate>=0.95', 'vehicles==1', 'missed==0', or 'all': nothing wrong at all; may be repeated",
    )  # fmt: skip
    score.add_argument(
        "--only",
        metavar="ROWS",
        help=f"judge these alone, with commas between: {', '.join(r.replace(' ', '_') for r in ROWS)}",
    )
    score.add_argument("--undisturbed", action="store_true", help="count only vehicles that met no fault of a device")
    score.add_argument(
        "--weight-tolerance", type=_from_0_to(100), default=1.0, metavar="PERCENT",
        help="by how much a weight may differ (default: 1)",
    )  # fmt: skip
    score.add_argument(
        "--window", type=_from_0_to(31_536_000), default=600.0, metavar="SECONDS",
        help="how far apart in time equal identifiers still join, for a booth whose clock is wrong (default: 600)",
    )  # fmt: skip
    score.add_argument("--json", action="store_true", help="one JSON object, with every vehicle and every check")


def _from_0_to(most: float) -> Callable[[str], float]:
    def number(text: str) -> float:
        value = float(text)
        if not 0 <= value <= most:  # false of nan, too
            raise argparse.ArgumentTypeError(f"{text}: give a number from 0 to {most:,.0f}")
        return value

    return number


def _rows(text: str | None) -> Collection[str]:
    if text is None:
        return ROWS
    rows = [name.strip().replace("_", " ") for name in text.split(",")]
    if unknown := [r for r in rows if r not in ROWS]:
        known = ", ".join(r.replace(" ", "_") for r in ROWS)
        raise SettingsInvalid(f"--only: there is no {', '.join(unknown)}", f"there are: {known}")
    return rows


def run_score(arguments: argparse.Namespace) -> int:
    """Score two files. Raises SettingsInvalid for files that cannot be read and requirements that are none."""
    requirements = [Requirement(text) for text in arguments.require]
    truth = read_truth(arguments.truth)
    score = judge(
        truth,
        read_received(arguments.events),
        weight_tolerance=arguments.weight_tolerance / 100,
        window=timedelta(seconds=arguments.window),
        undisturbed=arguments.undisturbed,
        only=_rows(arguments.only),
    )
    unmet = [(r, why) for r in requirements if (why := r.unmet(score)) is not None]
    if arguments.picture is not None:
        from hardware_sim.score.picture import draw, save  # drawing needs a second to load

        save(draw(score, arguments.title), arguments.picture)
    if arguments.json:
        said = json_of(score) | {"unmet": [{"require": r.text, "why": why} for r, why in unmet]}
        sys.stdout.write(json.dumps(said) + "\n")
    else:
        sys.stdout.write(text_of(score, str(arguments.truth), str(arguments.events)) + "\n")
    for requirement, why in unmet:
        sys.stderr.write(f"not met: {requirement.text}: {why}\n")
    return _UNMET if unmet else _MET
