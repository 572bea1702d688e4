"""Precision and recall of findings against discrepancies planted in a simulated day.

    python -m benchmarks.findings [--trucks 230] [--seeds 3] [--json]

Simulator and agent run in one process on a stepped clock (benchmarks/day.py): portal, seal scanner, tag reader, scale
over links in memory, the real line, rules and ledger; an oracle in the recogniser's and in an imaging scanner's place,
so that every read is right. The signed events then go through the port's inbox with its watch list. Half of the trucks
carry one planted discrepancy each, the others none. The peer is what a booth without rules finds: nothing.
"""

import argparse
import json
import tempfile
import time
from collections import Counter
from pathlib import Path

from edge_agent.inspection.rules import TABLE
from tests.e2e.planted import Found, played


def main() -> None:
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("--trucks", type=int, default=230)
    parser.add_argument("--seeds", type=int, default=3)
    parser.add_argument("--json", action="store_true")
    options = parser.parse_args()
    began, all_found = time.perf_counter(), list[Found]()
    for seed in range(options.seeds):
        with tempfile.TemporaryDirectory(prefix="findings-") as folder:
            all_found.append(played(seed, options.trucks, Path(folder)))
    right, wrong, missed = Counter[str](), Counter[str](), Counter[str]()
    for found in all_found:
        right, wrong, missed = right + found.right, wrong + found.wrong, missed + found.missed
    whole = Found(right=right, wrong=wrong, missed=missed)
    result = {
        "vehicles": sum(found.vehicles for found in all_found),
        "left_out": sum(found.left_out for found in all_found),
        "planted": right.total() + missed.total(),
        "precision": whole.precision,
        "recall": whole.recall,
        "by_rule": {rule: [right[rule], wrong[rule], missed[rule]] for rule in (*TABLE, "watch_list")},
        "details": [detail for found in all_found for detail in found.details],
        "wall_s": round(time.perf_counter() - began, 1),
    }
    if options.json:
        print(json.dumps(result))
        return
    print(f"{result['vehicles']} vehicles whose reads were right ({result['left_out']} left out), "
          f"{result['planted']} findings planted; {result['wall_s']} s")  # fmt: skip
    print(f"precision {100 * whole.precision:.1f} %, recall {100 * whole.recall:.1f} %")
    print("| rule | planted | precision | recall |\n| --- | --- | --- | --- |")
    for rule, (found_right, found_wrong, not_found) in result["by_rule"].items():  # type: ignore[attr-defined]
        shares = [found_right / max(1, found_right + other) for other in (found_wrong, not_found)]
        print(f"| `{rule}` | {found_right + not_found} | {100 * shares[0]:.1f} % | {100 * shares[1]:.1f} % |")
    for detail in result["details"]:  # type: ignore[attr-defined]
        print(f"  {detail}")


if __name__ == "__main__":
    main()
