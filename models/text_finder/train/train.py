"""Teaches the finder.

    python -m models.text_finder.train.train START.pt RUN --steps 4000 \\
        --sources CACHE/street=3 CACHE/photo=3 ../shared/data/plates/dashcam=3

Writes RUN/last.pt every two minutes (weights, averaged weights, optimiser, step), from which --resume goes on, and
RUN/log.csv. --minutes ends a run early without ending its schedule. --pause names a file while which exists the run
sleeps. A batch depends on the seed and its number alone.
"""

import argparse
import csv
import math
import queue
import threading
import time
from collections.abc import Callable, Iterator, Sequence
from copy import deepcopy
from dataclasses import dataclass
from pathlib import Path

import cv2
import numpy as np
import torch
from torch import Tensor, nn
from torch.nn import functional

from models.text_finder.train.data import Floats, Labelled, Rng, Source, View, batches, view
from models.text_finder.train.network import Finder
from models.text_finder.train.sources import open_source

SAVE_SECONDS = 120
NEGATIVES = 3.0  # hardest places without text that count, for one with text
NEGATIVES_MIN = 0.01  # of all places, where there is little or no text
HEAD_RATE = 2.0  # neck and head, which have more to learn, at so many times the backbone's rate
DICE = 0.7  # weight of the dice loss beside the cross-entropy
Batch = tuple[Floats, Floats, Floats]


@dataclass(frozen=True)
class Plan:
    """What one run does."""

    steps: int
    batch: int = 8
    sides: tuple[int, ...] = (320,)
    rate: float = 4e-4
    warm_up: int = 100
    decay: float = 0.01
    average: float = 0.995
    frozen: int = 0  # the stem and so many blocks stay as they are
    seed: int = 1


def rate_at(plan: Plan, step: int) -> float:
    """Linear warm-up, then half a cosine down to 1 % of the rate."""
    if step < plan.warm_up:
        return plan.rate * (step + 1) / plan.warm_up
    done = (step - plan.warm_up) / max(1, plan.steps - plan.warm_up)
    return plan.rate * (0.01 + 0.99 * (1 + math.cos(math.pi * done)) / 2)


def loss(logits: Tensor, target: Tensor, counts: Tensor) -> Tensor:
    """Cross-entropy over the places with text and the hardest ones without, and dice; the mean of both channels.

    As Liao et al. (AAAI 2020) train their probability map; `counts` weighs each place, 0 leaves it out.
    """
    total = logits.new_zeros(())
    for channel in range(target.shape[1]):
        z, t, w = logits[:, channel].float(), target[:, channel], counts[:, channel]
        each = functional.binary_cross_entropy_with_logits(z, t, reduction="none") * w
        yes, no = each[t > 0], each[(t == 0) & (w > 0)]
        number = min(no.numel(), max(int(NEGATIVES * yes.numel()), int(NEGATIVES_MIN * each.numel())))
        hard = no.topk(number).values
        total = total + (yes.sum() + hard.sum()) / (w[t > 0].sum() + number)
        p = torch.sigmoid(z)
        total = total + DICE * (1 - (2 * (p * t * w).sum() + 1) / ((p * w).sum() + (t * w).sum() + 1))
    return total / target.shape[1]


class Trainer:
    """One run: the network, its average, the optimiser and the step."""

    def __init__(self, plan: Plan, start: dict[str, Tensor]) -> None:
        self.plan = plan
        self.step = 0
        self.network = Finder()
        self.network.load_state_dict(start)
        self.network.to(memory_format=torch.channels_last)
        self.mean = deepcopy(self.network).eval()
        for part in (self.network.stem, *self.network.blocks[: plan.frozen]) if plan.frozen else ():
            part.requires_grad_(False)
        backbone = [p for p in (*self.network.stem.parameters(), *self.network.blocks.parameters()) if p.requires_grad]
        known = {id(p) for p in (*self.network.stem.parameters(), *self.network.blocks.parameters())}
        head = [p for p in self.network.parameters() if id(p) not in known]
        self.optimiser = torch.optim.AdamW(
            [{"params": backbone, "share": 1.0}, {"params": head, "share": HEAD_RATE}],
            plan.rate,
            weight_decay=plan.decay,
        )

    def _loss(self, batch: Batch) -> Tensor:
        x, target, counts = (torch.from_numpy(part) for part in batch)
        return loss(self.network(x.contiguous(memory_format=torch.channels_last)), target, counts)

    def loss_of(self, batch: Batch) -> float:
        """The loss on a batch that nothing is learnt from."""
        with torch.inference_mode():
            return float(self._loss(batch))

    def probabilities(self, held: Sequence[Batch]) -> tuple[float, float]:
        """The mean probability where the batches say yes, and where they say no."""
        yes, no = [], []
        for x, target, counts in held:
            with torch.inference_mode():
                found = torch.sigmoid(self.network(torch.from_numpy(x))).numpy()
            yes.append(found[target > 0])
            no.append(found[(target == 0) & (counts > 0)])
        return float(np.concatenate(yes).mean()), float(np.concatenate(no).mean())

    def learn(self, batch: Batch) -> float:
        """One step; returns its loss."""
        for group in self.optimiser.param_groups:
            group["lr"] = rate_at(self.plan, self.step) * group["share"]
        value = self._loss(batch)
        self.optimiser.zero_grad()
        value.backward()
        nn.utils.clip_grad_norm_(self.network.parameters(), 5.0)
        self.optimiser.step()
        self.step += 1
        share = min(self.plan.average, self.step / (self.step + 20))
        with torch.no_grad():
            for mean, now in zip(self.mean.parameters(), self.network.parameters(), strict=True):
                mean.lerp_(now, 1 - share)
        return float(value.detach())

    def save(self, path: Path) -> None:
        """Everything that resuming needs, written whole or not at all."""
        part = path.with_suffix(".part")
        state = {
            "network": self.network.state_dict(),
            "mean": self.mean.state_dict(),
            "optimiser": self.optimiser.state_dict(),
            "step": self.step,
        }
        torch.save(state, part)
        part.rename(path)

    def resume(self, path: Path) -> None:
        """Goes on where `save` was called."""
        state = torch.load(path, weights_only=True)
        self.network.load_state_dict(state["network"])
        self.mean.load_state_dict(state["mean"])
        self.optimiser.load_state_dict(state["optimiser"])
        self.step = state["step"]


def weights(path: Path) -> dict[str, Tensor]:
    """A file of weights, or the averaged weights of a run's state."""
    state: dict[str, dict[str, Tensor]] = torch.load(path, weights_only=True)
    return state.get("mean", state)


def ahead(source: Iterator[Batch], depth: int = 4) -> Iterator[Batch]:
    """The same batches, made in a thread of their own; what fails there fails here."""
    made: queue.Queue[Batch | BaseException] = queue.Queue(depth)

    def make() -> None:
        try:
            for batch in source:
                made.put(batch)
        except Exception as error:  # noqa: BLE001 - handed over, not swallowed
            made.put(error)

    threading.Thread(target=make, daemon=True).start()
    while True:
        got = made.get()
        if isinstance(got, BaseException):
            raise got
        yield got


def run(
    trainer: Trainer,
    sources: Sequence[tuple[Source, float]],
    folder: Path,
    minutes: float,
    pause: Path | None,
    part: Callable[[Rng, Labelled, int], View] = view,
) -> float:
    """Learns until the plan's steps or the minutes are over; returns the mean loss of the last steps.

    `part` makes a view of a picture.
    """
    plan = trainer.plan
    torch.manual_seed(plan.seed)
    made = ahead(batches(plan.seed, trainer.step, sources, plan.batch, plan.sides, part))
    started = saved = time.monotonic()
    losses: list[float] = []
    last = math.nan
    with (folder / "log.csv").open("a", newline="") as log:
        write = csv.writer(log)
        while trainer.step < plan.steps and time.monotonic() - started < minutes * 60:
            if pause is not None and pause.exists():
                trainer.save(folder / "last.pt")
                while pause.exists():
                    time.sleep(1)
            losses.append(trainer.learn(next(made)))
            if trainer.step % 20 == 0:
                last = float(np.mean(losses))
                write.writerow([trainer.step, round(time.monotonic() - started, 1), round(last, 4)])
                log.flush()
                print(f"step {trainer.step}: loss {last:.4f}, {time.monotonic() - started:.0f} s", flush=True)
                losses.clear()
            if time.monotonic() - saved > SAVE_SECONDS:
                trainer.save(folder / "last.pt")
                saved = time.monotonic()
    trainer.save(folder / "last.pt")
    return last


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("start", type=Path)
    parser.add_argument("run", type=Path)
    parser.add_argument(
        "--sources", nargs="+", required=True, help="FOLDER=WEIGHT: dashcam photos or a cache of scenes"
    )
    parser.add_argument("--steps", type=int, default=4000)
    parser.add_argument("--batch", type=int, default=8)
    parser.add_argument("--sides", type=int, nargs="+", default=[320], help="of the views, each batch one of them")
    parser.add_argument("--rate", type=float, default=4e-4)
    parser.add_argument("--seed", type=int, default=1)
    parser.add_argument("--frozen", type=int, default=0, help="the stem and so many blocks do not learn")
    parser.add_argument("--threads", type=int, default=2)
    parser.add_argument("--minutes", type=float, default=1e9)
    parser.add_argument("--resume", action="store_true")
    parser.add_argument("--pause", type=Path)
    a = parser.parse_args()
    cv2.setNumThreads(1)
    torch.set_num_threads(a.threads)
    plan = Plan(a.steps, a.batch, tuple(a.sides), a.rate, seed=a.seed, frozen=a.frozen)
    trainer = Trainer(plan, weights(a.start))
    a.run.mkdir(parents=True, exist_ok=True)
    if a.resume and (a.run / "last.pt").exists():
        trainer.resume(a.run / "last.pt")
    run(trainer, [open_source(s) for s in a.sources], a.run, a.minutes, a.pause)


if __name__ == "__main__":
    main()
