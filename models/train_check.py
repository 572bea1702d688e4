"""Runs the short form of every model's training in a folder of its own: `make train-check`.

    python -m models.train_check [NAME ...]

A model takes part by having `train/check.py`, a program that is given a folder and fails if a step goes wrong.
"""

import subprocess
import sys
import tempfile
import time
from pathlib import Path

MODELS = Path(__file__).resolve().parent


def main() -> None:
    names = sys.argv[1:] or sorted(p.parent.parent.name for p in MODELS.glob("*/train/check.py"))
    if not names:
        raise SystemExit(f"no model in {MODELS} has train/check.py")
    for name in names:
        started = time.monotonic()
        with tempfile.TemporaryDirectory() as folder:
            command = [sys.executable, "-m", f"models.{name}.train.check", folder]
            if subprocess.run(command, cwd=MODELS.parent, check=False).returncode:
                raise SystemExit(f"{name}: a step of its training went wrong, see above")
        print(f"{name}: trained in short form in {time.monotonic() - started:.0f} s")


if __name__ == "__main__":
    main()
