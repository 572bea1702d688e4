"""How full the disk is, and the ballast: space kept back so that what makes room can itself be written."""

import os
from pathlib import Path

from edge_agent.domain.event import StorageLevel, StorageState

# State -> share of the disk from which on it holds. Back again HYSTERESIS lower, so that it does not flutter.
THRESHOLDS = {
    StorageState.NORMAL: 0.0,
    StorageState.FILLING: 0.70,
    StorageState.HIGH: 0.85,
    StorageState.CRITICAL: 0.95,
}
HYSTERESIS = 0.05
_RISING = list(THRESHOLDS)


def state_at(share: float, before: StorageState) -> StorageState:
    """The state at `share` used (0..1), coming from `before`."""
    state = max((s for s in _RISING if share >= THRESHOLDS[s]), key=_RISING.index, default=StorageState.NORMAL)
    if _RISING.index(state) >= _RISING.index(before):
        return state
    held = max((s for s in _RISING if share >= THRESHOLDS[s] - HYSTERESIS), key=_RISING.index)
    return min(before, held, key=_RISING.index)


def measure(directory: Path, own_bytes: int, budget_bytes: int | None, before: StorageState) -> StorageLevel:
    """The level of the file system under `directory`, or of the budget if that is fuller. Raises OSError.

    `own_bytes` are those of the ledger and its evidence. Shares are those that df(1) shows.
    """
    system = os.statvfs(directory)
    used = (system.f_blocks - system.f_bfree) * system.f_frsize
    capacity = used + system.f_bavail * system.f_frsize
    if budget_bytes is not None and own_bytes * capacity > used * budget_bytes:
        used, capacity = own_bytes, budget_bytes
    return StorageLevel(state_at(used / capacity if capacity else 0.0, before), used, capacity)


class Ballast:
    """A file of `size` bytes that holds nothing. `size` 0: none."""

    def __init__(self, path: Path, size: int) -> None:
        self._path, self._size = path, size
        self.released = size > 0  # a kill may have come while it was

    def hold(self) -> bool:
        """Whether all of it is there now; nothing is left of it if there is no room."""
        if self._size and not self._is_whole():
            try:
                descriptor = os.open(self._path, os.O_WRONLY | os.O_CREAT, 0o600)
                try:
                    os.posix_fallocate(descriptor, 0, self._size)
                finally:
                    os.close(descriptor)
            except OSError:
                self._path.unlink(missing_ok=True)
                return False
        self.released = False
        return True

    def release(self) -> bool:
        """Its space is free on return; whether it was taken."""
        was_there = self._path.exists()
        self._path.unlink(missing_ok=True)
        self.released = True
        return was_there

    def _is_whole(self) -> bool:
        try:
            found = os.stat(self._path)
        except FileNotFoundError:
            return False
        return found.st_size == self._size and found.st_blocks * 512 >= self._size
