"""What is wrong with `ledger.directory`, before the agent finds out.

Whether there is room, and whether its user may write there, is known to that user when it runs.
"""

import os
from collections.abc import Iterator
from pathlib import Path

from edge_agent.settings_file import Mistake


def ledger_mistakes(ledger: dict[str, object], folder: Path) -> Iterator[Mistake]:
    """Whether a ledger can lie there at all: on no file, below none, and on no disk that takes nothing."""
    directory = ledger.get("directory")
    if not isinstance(directory, str) or "\0" in directory:
        return
    path = folder / directory
    there = next((at for at in (path, *path.parents) if os.path.lexists(at)), folder)
    if not there.is_dir():
        wrong = f"{there} is no folder" if there.exists() else f"{there} leads nowhere"
        yield Mistake(("ledger", "directory"), wrong, "give a folder of this agent alone: it is made if need be")
    elif _read_only(there):
        wrong = f"{there} is on a disk that is mounted read-only"
        yield Mistake(("ledger", "directory"), wrong, "mount it for writing, or give a folder on another disk")


def _read_only(folder: Path) -> bool:
    try:
        return bool(os.statvfs(folder).f_flag & os.ST_RDONLY)
    except OSError:  # a disk that is away: the agent names it when it opens the ledger
        return False
