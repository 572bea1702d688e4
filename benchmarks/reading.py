"""What the reading benchmarks share: the named peer, times and tables."""

import importlib
import json
import math
import statistics
import sys
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, TypeVar

import numpy as np
import numpy.typing as npt

from edge_agent.vision.plate_code import PlateCodeRecogniser
from edge_agent.vision.recogniser import Recogniser

THREADS = 2
Image = npt.NDArray[np.uint8]
T = TypeVar("T")


@dataclass(frozen=True)
class PeerLine:
    """One line as rapidocr reports it: text, score, and the upright box around its corners as x0, y0, x1, y1."""

    text: str
    score: float
    box: tuple[float, float, float, float]


class Peer:
    """rapidocr with its own sizes, thresholds and steps, the agent's threads, and without its classifier of upside-down
    lines: photos are upright, and it would only take time.
    """

    def __init__(self) -> None:
        try:
            rapidocr = importlib.import_module("rapidocr")
        except ImportError as error:
            raise SystemExit(
                f"the peer rapidocr cannot be imported ({error}); run `make .venv/dev.stamp`, which installs it "
                "without its own OpenCV, and the `bench` extra"
            ) from error
        import logging

        logging.getLogger("RapidOCR").setLevel(logging.ERROR)
        self._engine = rapidocr.RapidOCR(
            params={
                "Global.log_level": "error",
                "Global.use_cls": False,
                "EngineConfig.onnxruntime.intra_op_num_threads": THREADS,
                "EngineConfig.onnxruntime.inter_op_num_threads": 1,
            }
        )

    def read(self, image: Image) -> list[PeerLine]:
        answer = self._engine(image)
        if answer.txts is None:
            return []
        out = []
        for text, score, box in zip(answer.txts, answer.scores, answer.boxes, strict=True):
            points = np.asarray(box, dtype=float)
            low, high = points.min(axis=0), points.max(axis=0)
            out.append(PeerLine(str(text), float(score), (low[0], low[1], high[0], high[1])))
        return out


def timed(work: Callable[[], T]) -> tuple[T, float]:
    """The result and the milliseconds that it took."""
    start = time.perf_counter()
    result = work()
    return result, (time.perf_counter() - start) * 1000


def p95(values: Sequence[float]) -> float:
    return float(np.percentile(values, 95)) if values else 0.0


def milliseconds(values: Sequence[float]) -> dict[str, float]:
    """Median and 95th percentile, rounded."""
    return {"median_ms": round(statistics.median(values), 1), "p95_ms": round(p95(values), 1)}


def table(headers: Sequence[str], rows: Sequence[Sequence[str]]) -> str:
    """A Markdown table."""
    lines = [headers, ["---"] * len(headers), *rows]
    return "\n".join("| " + " | ".join(line) + " |" for line in lines)


def share(count: int, total: int) -> str:
    return f"{count} ({100 * count / total:.1f} %)" if total else "–"


def wilson(count: int, total: int) -> tuple[float, float]:
    """The interval in which the true share (0..1) lies with a probability of 95 % (Wilson, 1927)."""
    if not total:
        return 0.0, 1.0
    p, z = count / total, 1.96
    middle, half = p + z * z / (2 * total), z * math.sqrt(p * (1 - p) / total + z * z / (4 * total * total))
    return max(0.0, (middle - half) / (1 + z * z / total)), min(1.0, (middle + half) / (1 + z * z / total))


def share_with_interval(count: int, total: int) -> str:
    """As `share`, with Wilson's interval."""
    low, high = wilson(count, total)
    return f"{share(count, total)} [{100 * low:.0f}–{100 * high:.0f}]" if total else "–"


def folder_or_exit(given: str, wanted: str) -> Path:
    """The folder, or an end with a sentence on what to pass."""
    path = Path(given)
    if not path.is_dir():
        raise SystemExit(f"{given} is not a folder; {wanted}")
    return path


def own_or_exit(recogniser: Recogniser) -> PlateCodeRecogniser:
    """The project's own recogniser: PP-OCR's cannot read a plate without finding its lines first."""
    if not isinstance(recogniser, PlateCodeRecogniser):
        raise SystemExit("only the project's own models can be measured so: pass --reader own")
    return recogniser


def show(results: dict[str, Any], text: str, as_json: bool) -> None:
    sys.stdout.write((json.dumps(results, indent=2) if as_json else text) + "\n")
