"""Trains the reader with CTC on rendered shards, rehearsing what the base reads.

    python -m models.plate_code_reader.train.train START.pt CACHE RUN --steps 2000 \\
        --plates plates-us=4 plates-eu=2 --lines codes=1

Writes RUN/last.pt every minute (weights, averaged weights, optimiser, step), from which --resume goes on, and
RUN/log.csv. --minutes ends a run early without ending its schedule. --pause names a file while which exists the run
sleeps. One seed and one thread count give one result.
"""

import argparse
import csv
import math
import time
from collections.abc import Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from copy import deepcopy
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import torch
import torch.nn.functional as f
from torch import Tensor, nn

from edge_agent.vision.ctc import best_path
from models.plate_code_reader.train.data import Batch, Shard, batches, load_source, targets
from models.plate_code_reader.train.network import Reader

Batches = Iterator[Batch]

SAVE_SECONDS = 60
LOG_STEPS = 20


@dataclass(frozen=True)
class Plan:
    """What one run does."""

    steps: int
    plates: Sequence[str]
    lines: Sequence[str]
    batch: int = 64
    line_batch: int = 32
    lines_every: int = 4
    rate: float = 3e-4
    warm_up: int = 100
    decay: float = 0.01
    average: float = 0.998
    rehearse: float = 0.0
    frozen: int = 0
    threads: int = 2
    seed: int = 1


def rate_at(plan: Plan, step: int) -> float:
    """Linear warm-up, then half a cosine down to 1 % of the rate."""
    if step < plan.warm_up:
        return plan.rate * (step + 1) / plan.warm_up
    done = (step - plan.warm_up) / max(1, plan.steps - plan.warm_up)
    return plan.rate * (0.01 + 0.99 * (1 + math.cos(math.pi * done)) / 2)


def ctc(logits: Tensor, texts: Sequence[str]) -> Tensor:
    """CTC's loss for each character."""
    labels, lengths = targets(texts)
    steps = torch.full((logits.shape[0],), logits.shape[1], dtype=torch.long)
    chances = logits.float().log_softmax(2).transpose(0, 1)
    return f.ctc_loss(chances, labels, steps, lengths, zero_infinity=True)


def rehearsal(logits: Tensor, taught: Tensor, texts: Sequence[str]) -> Tensor:
    """How far the network has moved from the base on the pictures which the base reads right."""
    chances = taught.float().softmax(2)
    held = torch.tensor([best_path(c.numpy()).as_read == t for c, t in zip(chances, texts, strict=True)])
    if not held.any():
        return logits.new_zeros(())
    apart = f.kl_div(logits[held].float().log_softmax(2), chances[held], reduction="none").sum(2)
    return apart.mean()


def train_mode(network: Reader, frozen: int) -> None:
    """Everything learns but the stem and the first `frozen` blocks, and the statistics of batch normalisation."""
    network.train()
    for part in (network.stem, *network.blocks[:frozen]) if frozen else ():
        part.requires_grad_(False)
    for module in network.modules():
        if isinstance(module, nn.BatchNorm2d):
            module.eval()


class Trainer:
    """One run: the network, its average, the optimiser and the step."""

    def __init__(self, plan: Plan, start: dict[str, Tensor]) -> None:
        self.plan = plan
        self.step = 0
        self.network = Reader()
        self.network.load_state_dict(start)
        self.network.to(memory_format=torch.channels_last)
        train_mode(self.network, plan.frozen)
        self.base = deepcopy(self.network).eval() if plan.rehearse else None
        self.mean = deepcopy(self.network).eval()
        self.learning = [p for p in self.network.parameters() if p.requires_grad]
        self.optimiser = torch.optim.AdamW(self.learning, plan.rate, weight_decay=plan.decay)
        # Threads of our own, each with a batch: PyTorch's would wait for each other actively after every layer.
        torch.set_num_threads(1)
        self.threads = ThreadPoolExecutor(plan.threads)

    def gradients(self, batches: Batches) -> tuple[float, tuple[Tensor, ...]]:
        """The loss on the next batch, and its derivative by each weight that learns."""
        batch = next(batches)
        with torch.autocast("cpu", torch.bfloat16):
            logits = self.network(batch.x)
        loss = ctc(logits, batch.texts)
        if self.base is not None:
            with torch.no_grad(), torch.autocast("cpu", torch.bfloat16):
                taught = self.base(batch.x)
            loss = loss + self.plan.rehearse * rehearsal(logits, taught, batch.texts)
        return float(loss.detach()), torch.autograd.grad(loss, self.learning)

    def learn(self, batches: Sequence[Batches]) -> float:
        """One step on one batch of each thread; returns the mean loss."""
        for group in self.optimiser.param_groups:
            group["lr"] = rate_at(self.plan, self.step)
        found = list(self.threads.map(self.gradients, batches))
        for i, weight in enumerate(self.learning):
            weight.grad = torch.stack([gradients[i] for _, gradients in found]).mean(0)
        nn.utils.clip_grad_norm_(self.learning, 5.0)
        self.optimiser.step()
        self.step += 1
        share = min(self.plan.average, self.step / (self.step + 20))
        with torch.no_grad():
            for mean, now in zip(self.mean.parameters(), self.network.parameters(), strict=True):
                mean.lerp_(now, 1 - share)
        return float(np.mean([loss for loss, _ in found]))

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


def weighted(folder: Path, sources: Sequence[str]) -> list[tuple[Shard, float]]:
    """`name=weight` as shards with weights."""
    parts = [s.partition("=") for s in sources]
    return [(load_source(folder, name), float(weight or 1)) for name, _, weight in parts]


def run(trainer: Trainer, cache: Path, folder: Path, minutes: float, pause: Path | None) -> None:
    """Learns until the plan's steps or the minutes are over."""
    plan = trainer.plan
    rngs = [np.random.default_rng([plan.seed, trainer.step, t]) for t in range(plan.threads)]
    of_plates, of_lines = weighted(cache, plan.plates), weighted(cache, plan.lines)
    plates = [batches(rng, of_plates, plan.batch // plan.threads) for rng in rngs]
    lines = [batches(rng, of_lines, plan.line_batch // plan.threads) for rng in rngs] if plan.lines else plates
    started = saved = time.monotonic()
    losses: list[float] = []
    with (folder / "log.csv").open("a", newline="") as log:
        write = csv.writer(log)
        while trainer.step < plan.steps and time.monotonic() - started < minutes * 60:
            if pause is not None and pause.exists():
                trainer.save(folder / "last.pt")
                while pause.exists():
                    time.sleep(1)
            turn = trainer.step % plan.lines_every == plan.lines_every - 1
            losses.append(trainer.learn(lines if turn else plates))
            if trainer.step % LOG_STEPS == 0:
                write.writerow([trainer.step, round(time.monotonic() - started, 1), round(float(np.mean(losses)), 4)])
                log.flush()
                print(
                    f"step {trainer.step}: loss {np.mean(losses):.4f}, {time.monotonic() - started:.0f} s", flush=True
                )
                losses.clear()
            if time.monotonic() - saved > SAVE_SECONDS:
                trainer.save(folder / "last.pt")
                saved = time.monotonic()
    trainer.save(folder / "last.pt")


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("start", type=Path)
    parser.add_argument("cache", type=Path)
    parser.add_argument("run", type=Path)
    parser.add_argument("--steps", type=int, default=2000)
    parser.add_argument("--plates", nargs="+", required=True)
    parser.add_argument("--lines", nargs="*", default=[])
    parser.add_argument("--batch", type=int, default=64)
    parser.add_argument("--lines-every", type=int, default=4)
    parser.add_argument("--rate", type=float, default=3e-4)
    parser.add_argument("--rehearse", type=float, default=0.0)
    parser.add_argument("--frozen", type=int, default=0, help="blocks that keep the base's weights, with the stem")
    parser.add_argument("--seed", type=int, default=1)
    parser.add_argument("--threads", type=int, default=2)
    parser.add_argument("--minutes", type=float, default=1e9)
    parser.add_argument("--resume", action="store_true")
    parser.add_argument("--pause", type=Path)
    a = parser.parse_args()
    plan = Plan(
        steps=a.steps,
        plates=a.plates,
        lines=a.lines,
        batch=a.batch,
        line_batch=a.batch // 2,
        lines_every=a.lines_every,
        rate=a.rate,
        rehearse=a.rehearse,
        frozen=a.frozen,
        threads=a.threads,
        seed=a.seed,
    )
    start = torch.load(a.start, weights_only=True)
    trainer = Trainer(plan, start.get("mean", start))
    a.run.mkdir(parents=True, exist_ok=True)
    if a.resume and (a.run / "last.pt").exists():
        trainer.resume(a.run / "last.pt")
    run(trainer, a.cache, a.run, a.minutes, a.pause)


if __name__ == "__main__":
    main()
