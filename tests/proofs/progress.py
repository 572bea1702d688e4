"""How far a long run has come: a file that the next run goes on from. Git ignores the folder.

A run is made of parts with numbers; a part that was cut off begins anew, and those that are done are not done again.
"""

import json
import os
from dataclasses import fields
from pathlib import Path
from typing import Any, Generic, TypeVar

FOLDER = Path("soak-run")
T = TypeVar("T")


def add(found: Any, more: Any) -> None:
    """Add the numbers, counters and lists of one dataclass to another's."""
    for one in fields(found):
        setattr(found, one.name, getattr(found, one.name) + getattr(more, one.name))


class Progress(Generic[T]):
    """`done`: the numbers of the parts that are done; `found`: the sum of what they found, a flat dataclass."""

    def __init__(self, path: Path, nothing: T) -> None:
        """Goes on from `path`, where there is one."""
        self._path = path
        self.done: set[int] = set()
        self.found = nothing
        if path.exists():
            noted = json.loads(path.read_text())
            self.done, self.found = set(noted["done"]), type(nothing)(**noted["found"])
            print(f"{path}: {len(self.done)} parts are done: {self.found}", flush=True)

    def left(self, parts: int) -> list[int]:
        """The numbers below `parts` that are still to be done."""
        return [number for number in range(parts) if number not in self.done]

    def note(self, number: int, found: T) -> None:
        """A part is done. On the disk when this returns: killed now, the run goes on behind it."""
        self.done.add(number)
        add(self.found, found)
        self._path.parent.mkdir(parents=True, exist_ok=True)
        unfinished = self._path.with_suffix(".unfinished")
        with unfinished.open("w") as file:
            json.dump({"done": sorted(self.done), "found": vars(self.found)}, file)
            file.flush()
            os.fsync(file.fileno())
        unfinished.rename(self._path)
