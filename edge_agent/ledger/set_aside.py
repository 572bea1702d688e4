"""The end of what was set aside: damaged files, and ledgers that were salvaged and that the port holds.

    damaged/<number>              ── so many days after it came ──────────────────────► removed
    salvaged/<epoch>/             ── so many days after the port said that it has all ► removed
    a damaged copy of the list    ── so many days after it was set aside ─────────────► removed

Nothing goes while the clock follows no time source, nor what of a salvaged ledger the port lacks or refuses.
"""

import asyncio
import logging
import shutil
from collections.abc import Iterable, Iterator
from pathlib import Path
from typing import Never

from edge_agent.domain.clock import Clock, ClockState
from edge_agent.domain.errors import EdgeAgentError
from edge_agent.domain.retention import DAY_S
from edge_agent.ledger.leftover import DAMAGED, places
from edge_agent.ledger.salvage import SALVAGED
from edge_agent.ledger.salvaged import NOTE, SalvagedLedger, said_by_port
from edge_agent.wire.chain import EPOCH_BYTES

EVERY_S = 3_600.0
# Renamed first: a kill in the middle leaves nothing that is taken for a ledger.
_GOING = ".removed"

log = logging.getLogger(__name__)


async def tend(directory: Path, days: float | None, files: Iterable[Path], clock: Clock) -> Never:
    """Look again and again below the ledger's `directory`, and at single `files`. `days` None: for ever."""
    others = tuple(files)
    while True:
        if days is not None:
            await asyncio.to_thread(remove_over, directory, days, others, clock)
        await asyncio.sleep(EVERY_S)


def remove_over(directory: Path, days: float, files: Iterable[Path], clock: Clock) -> list[Path]:
    """Remove what is over; which it was. Raises nothing: what cannot be removed is said, and tried again."""
    now = clock.now()
    if now.clock_state is not ClockState.SYNCHRONISED:
        return []
    before = now.utc.timestamp() - days * DAY_S
    removed = []
    for path in (*_over(directory, before), *_files_over(files, before)):
        try:
            if path.is_dir():
                going = path.with_name(path.name.removesuffix(_GOING) + _GOING)
                path.rename(going)
                shutil.rmtree(going)
            else:
                path.unlink()
        except OSError as error:
            log.warning("%s: its time is over, and it cannot be removed: %s", path, error.strerror)
        else:
            removed.append(path)
            log.info("%s: removed, %g days after it was set aside", path, days)
    return removed


def _over(directory: Path, before: float) -> Iterator[Path]:
    yield from (*directory.glob(f"{DAMAGED}/*{_GOING}"), *directory.glob(f"{SALVAGED}/*{_GOING}"))
    for place in places(directory):
        if _changed(place) < before:
            yield place
    for folder in sorted((directory / SALVAGED).glob("*")):
        if len(folder.name) == 2 * EPOCH_BYTES and _changed(folder / NOTE) < before and _is_held(folder):
            yield folder


def _files_over(files: Iterable[Path], before: float) -> Iterator[Path]:
    return (path for path in files if path.is_file() and path.stat().st_ctime < before)


def _changed(path: Path) -> float:
    """Of a folder: when something came into it, whatever its files' own times. Without it: not over."""
    try:
        return path.stat().st_mtime
    except OSError:
        return float("inf")


def _is_held(folder: Path) -> bool:
    said = said_by_port(folder)
    try:
        ledger = SalvagedLedger(folder)
        try:
            newest = ledger.extent().newest
        finally:
            ledger.close()
    except EdgeAgentError:
        return False
    return said is not None and said[0] >= newest and not said[1]
