"""Averages the weights of runs that went on from one another: what a later run forgot, an earlier one still holds.

    python -m models.plate_code_reader.train.average OUT.pt RUN3/last.pt=0.2 RUN4/last.pt=0.2 RUN5/last.pt=0.6

Method: Wortsman et al., Robust fine-tuning of zero-shot models (CVPR 2022). Shares are scaled to a sum of one; OUT.pt
is read like a start.pt.
"""

import argparse
from collections.abc import Sequence
from pathlib import Path

import torch
from torch import Tensor


def averaged(runs: Sequence[tuple[dict[str, Tensor], float]]) -> dict[str, Tensor]:
    """The mean of networks of one shape, each with its share. Raises ValueError if shares are not above 0."""
    total = sum(share for _, share in runs)
    if not runs or min(share for _, share in runs) <= 0:
        raise ValueError("each run needs a share above 0, as RUN/last.pt=0.5")
    first, _ = runs[0]
    return {
        name: sum((state[name].float() * (share / total) for state, share in runs), torch.zeros(())).to(weight.dtype)
        for name, weight in first.items()
    }


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("out", type=Path)
    parser.add_argument("runs", nargs="+", metavar="WEIGHTS=SHARE")
    a = parser.parse_args()
    runs = []
    for entry in a.runs:
        path, _, share = entry.rpartition("=")
        state = torch.load(path, weights_only=True)
        runs.append((state.get("mean", state), float(share)))
    torch.save(averaged(runs), a.out)


if __name__ == "__main__":
    main()
