"""Which files of a folder are a whole scan, decided from what one look after the other finds; without input or output.

A file counts once its size and time of change have stayed for `settle_s`. With `done_suffix` its marker must be there
as well, and must not be older than it: a marker that was left behind says nothing of a new file of that name. Files
with the same stem, or the same `scan` in their names, are one scan.
"""

import re
from collections.abc import Iterable
from dataclasses import dataclass, field
from enum import Enum
from fnmatch import fnmatchcase
from pathlib import PurePath

from edge_agent.devices.sources.scan_file import MAX_FILE_BYTES, TEXT_MAX, clean, stated_by_name
from edge_agent.devices.sources.sidecar import SIDECAR_MAX_BYTES

# A scan is held in memory while it is taken over. Two energies and two views of it are four files.
SCAN_MAX_BYTES = 2 * MAX_FILE_BYTES
SCAN_MAX_FILES = 16
# A scan that waits for its marker so long will not get it by itself.
PATIENCE_S = 600.0


@dataclass(frozen=True, slots=True)
class Entry:
    """A name in the folder; `regular` unless it is a symbolic link, a pipe, a device. Folders are left out before."""

    name: str
    size: int
    mtime_ns: int
    inode: int
    regular: bool = True


@dataclass(frozen=True, slots=True)
class Rules:
    """Which names are what. `patterns` and `temporary` are in lower case."""

    patterns: tuple[str, ...]
    temporary: tuple[str, ...]
    sidecars: tuple[str, ...]
    done_suffix: str
    name_pattern: re.Pattern[str] | None
    settle_s: float


@dataclass(frozen=True, slots=True)
class WholeScan:
    """The files of one scan, in the order of their names, and what belongs to them."""

    key: str
    files: tuple[Entry, ...]
    sidecars: tuple[Entry, ...]
    markers: tuple[Entry, ...]


def all_entries(scan: WholeScan) -> tuple[Entry, ...]:
    """Files first, markers last."""
    return (*scan.files, *scan.sidecars, *scan.markers)


@dataclass(frozen=True, slots=True)
class Found:
    """Scans that are whole, oldest first; what is wrong, each told once. `settling`: some changed within `settle_s`."""

    scans: tuple[WholeScan, ...]
    wrong: tuple[str, ...]
    settling: bool


class _Kind(Enum):
    SCAN = "scan"
    SIDECAR = "sidecar"
    MARKER = "marker"


@dataclass(slots=True)
class _Group:
    files: list[Entry] = field(default_factory=list)
    sidecars: list[Entry] = field(default_factory=list)
    markers: list[Entry] = field(default_factory=list)

    @property
    def data(self) -> list[Entry]:
        return [*self.files, *self.sidecars]


class Gathering:
    """Remembers between looks since when each name has not changed, and what was told."""

    def __init__(self, rules: Rules) -> None:
        self._rules = rules
        self._since: dict[Entry, float] = {}
        self._told: set[tuple[str, str]] = set()

    def look(self, entries: Iterable[Entry], now: float) -> Found:
        """`now` in seconds, on a clock that never runs back."""
        groups: dict[str, _Group] = {}
        since: dict[Entry, float] = {}
        wrong: list[str] = []
        names: set[str] = set()
        for entry in sorted(entries, key=lambda e: e.name):
            kind = self._kind(entry.name)
            if kind is None:
                continue
            names.add(entry.name)
            if not entry.regular:
                wrong += self._once(entry.name, "is no regular file and is not followed: put the file itself there")
                continue
            since[entry] = self._since.get(entry, now)
            group = groups.setdefault(self._key(entry.name), _Group())
            lists = {_Kind.SCAN: group.files, _Kind.SIDECAR: group.sidecars, _Kind.MARKER: group.markers}
            lists[kind].append(entry)
        self._since = since
        self._told = {(name, what) for name, what in self._told if name in names}
        scans, settling = [], False
        for key, group in groups.items():
            stays = min((now - since[entry] for entry in group.data), default=0.0)
            if not group.data:
                continue
            if stays < self._rules.settle_s:
                settling = True
            elif why := self._not_whole(group):
                if stays >= PATIENCE_S:
                    wrong += self._once(group.data[0].name, f"{why} for {PATIENCE_S / 60:.0f} minutes")
            elif why := _too_much(group):
                wrong += self._once(group.data[0].name, why)
            else:
                scans.append(WholeScan(key, tuple(group.files), tuple(group.sidecars), tuple(group.markers)))
        scans.sort(key=lambda scan: (max(entry.mtime_ns for entry in scan.files), scan.key))
        return Found(tuple(scans), tuple(wrong), settling)

    def once(self, name: str, what: str) -> tuple[str, ...]:
        """`what` of that name, the first time; nothing after that, while the name is there."""
        return tuple(self._once(name, what))

    def _once(self, name: str, what: str) -> list[str]:
        if (name, what) in self._told:
            return []
        self._told.add((name, what))
        return [f"{clean(name, TEXT_MAX)}: {what}"]

    def _kind(self, name: str) -> _Kind | None:
        low = name.lower()
        done = self._rules.done_suffix
        if low.startswith(".") or low.endswith(self._rules.temporary):
            return None
        if done and low.endswith(done):
            return _Kind.MARKER
        if low.endswith(self._rules.sidecars):
            return _Kind.SIDECAR
        return _Kind.SCAN if self._is_scan(name) else None

    def _is_scan(self, name: str) -> bool:
        return any(fnmatchcase(name.lower(), pattern) for pattern in self._rules.patterns)

    def _key(self, name: str) -> str:
        """Of a.dcm, a.json, a.dcm.json, a.done and a.dcm.done it is the same."""
        base, done = name, self._rules.done_suffix
        if done and base.lower().endswith(done):
            base = base[: -len(done)]
        while base.lower().endswith(self._rules.sidecars):
            base = base[: base.rindex(".")]
        if self._is_scan(base):
            named = stated_by_name(base, self._rules.name_pattern).scan_id
            return named or PurePath(base).stem
        return stated_by_name(base, self._rules.name_pattern).scan_id or base

    def _not_whole(self, group: _Group) -> str:
        if not group.files:
            return "has waited without its scan"
        if any(entry.size == 0 for entry in group.files):
            return "has been empty"
        done = self._rules.done_suffix
        if not done:
            return ""
        marked = {marker.name[: -len(done)]: marker.mtime_ns for marker in group.markers}
        names = {entry.name for entry in group.files}
        whole = max((at for name, at in marked.items() if name not in names), default=-1)  # a.done is of all of a
        if all(max(marked.get(entry.name, -1), whole) >= entry.mtime_ns for entry in group.files):
            return ""
        return f"has waited without a marker {done} that is at least as new"


def _too_much(group: _Group) -> str:
    largest = max(entry.size for entry in group.files)
    if largest > MAX_FILE_BYTES:
        return f"has {largest} bytes, more than {MAX_FILE_BYTES >> 20} MiB: it stays here and is not taken over"
    if sum(entry.size for entry in group.files) > SCAN_MAX_BYTES or len(group.data) > SCAN_MAX_FILES:
        return (
            f"is of a scan of {len(group.data)} files, more than {SCAN_MAX_FILES} or {SCAN_MAX_BYTES >> 20} MiB: "
            "it stays here and is not taken over"
        )
    if any(entry.size > SIDECAR_MAX_BYTES for entry in group.sidecars):
        return f"has a sidecar of more than {SIDECAR_MAX_BYTES >> 10} KiB: the scan stays here and is not taken over"
    return ""
