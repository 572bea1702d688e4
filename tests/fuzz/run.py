"""Fuzzes the parsers, each in a process of its own: `python -m tests.fuzz.run --seconds 60 [--driver NAME ...]`.

Prints for each what it was given and how much of it was new, and for a fault the exception and the input that shows it;
the input is kept. Status 1 if there was a fault.
"""

import argparse
import os
import re
import subprocess
import sys
from collections.abc import Iterable, Iterator
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path

from tests.fuzz.parsers import Parser, parsers

OUT = Path("build/fuzz")
_FAULT = re.compile(r" === Uncaught Python exception: ===\n(.*?)(?:\n==|\Z)", re.DOTALL)
_EXECUTED = re.compile(r"stat::number_of_executed_units: (\d+)")
_COVERED = re.compile(r"cov: (\d+)")


@dataclass(frozen=True)
class Outcome:
    """What fuzzing one parser came to; `fault` is '' if there was none, `covered` counts branches of libFuzzer's."""

    name: str
    executed: int
    covered: int
    fault: str

    def __str__(self) -> str:
        said = f"{self.name:<28} {self.executed:>10,} inputs, {self.covered:>5} branches"
        return f"{said}\n{self.fault}" if self.fault else said


def fuzz(name: str, seeds: Iterable[bytes], longest: int, out: Path, *limits: str) -> Outcome:
    """Runs one target under libFuzzer's `limits`, as -max_total_time=60 or -runs=1000."""
    corpus, seed_folder = out / name / "corpus", out / name / "seeds"
    for folder in (corpus, seed_folder):
        folder.mkdir(parents=True, exist_ok=True)
    for index, seed in enumerate(seeds):
        (seed_folder / str(index)).write_bytes(seed)
    # A large picture is drawn in gigabytes; what grows from input to input is found all the same.
    options = [
        *limits,
        "-rss_limit_mb=4096",
        f"-max_len={longest}",
        f"-artifact_prefix={out / name}/",
        "-timeout=60",
        "-print_final_stats=1",
    ]
    process = subprocess.run(
        [sys.executable, "-m", "tests.fuzz.target", name, *options, str(corpus), str(seed_folder)],
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
        errors="replace",
    )
    said = process.stdout
    executed = [int(n) for n in _EXECUTED.findall(said)]
    covered = [int(n) for n in _COVERED.findall(said)]
    fault = ""
    if process.returncode or not executed:
        found = _FAULT.search(said)
        artifact = re.search(r"Test unit written to (\S+)", said)
        fault = (found[1] if found else said[-2000:]).strip() + (f"\ninput: {artifact[1]}" if artifact else "")
    return Outcome(name, executed[-1] if executed else 0, max(covered, default=0), fault)


def fuzz_all(chosen: list[Parser], out: Path, jobs: int, *limits: str) -> Iterator[Outcome]:
    """Runs the targets, `jobs` at a time."""
    with ThreadPoolExecutor(jobs) as pool:
        yield from pool.map(lambda parser: fuzz(parser.name, parser.seeds(), parser.longest, out, *limits), chosen)


def main() -> int:
    arguments = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    arguments.add_argument("--seconds", type=int, default=60, help="how long each (default: %(default)s)")
    arguments.add_argument("--driver", action="append", help="a parser's name (default: every one)")
    arguments.add_argument("--jobs", type=int, default=os.cpu_count() or 1, help="at a time (default: %(default)s)")
    arguments.add_argument("--out", type=Path, default=OUT, help="corpus and inputs of faults (default: %(default)s)")
    options = arguments.parse_args()
    known = parsers()
    for name in options.driver or ():
        if name not in known:
            arguments.error(f"there is no parser {name!r}; there are: {', '.join(known)}")
    chosen = [known[name] for name in options.driver or known]
    faults = 0
    for outcome in fuzz_all(chosen, options.out, options.jobs, f"-max_total_time={options.seconds}"):
        print(outcome, flush=True)
        faults += bool(outcome.fault)
    return 1 if faults else 0


if __name__ == "__main__":
    sys.exit(main())
