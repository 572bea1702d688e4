"""What one lane heard since it was last empty, kept beside the ledger, so that a start that follows soon goes on there.

<directory>/lanes/<lane>.heard       a line for each thing that happened: its CRC-32 and JSON
<directory>/lanes/<lane>.before      the same, before the lane was last empty
<directory>/lanes/<lane>.trying      while it is read: what ends the agent at that is not tried a second time

A start writes both anew into one `heard`, whose first line says so: a kill before `before` is gone leaves nothing that
is heard twice. A `heard` that follows a `before` begins with an empty lane: it stands by itself, if that is damaged.

It proves nothing and is not the ledger: what counts is committed there. No line waits for the disk: it outlives the
agent, and a power cut as far as the system had written it.
"""

import json
import logging
import os
import zlib
from collections.abc import Collection, Iterable, Mapping, Sequence
from pathlib import Path
from typing import Any, overload

LANES = "lanes"
# Of one lane, `heard` and `before` together. A busy lane says some 30 lines and 30 kB a second with its pictures; past
# this nothing is kept until the lane is empty. So many lines take some ten seconds to hear again.
MAX_BYTES = 96 * 1024 * 1024
MAX_LINES = 100_000
# In the first line of a `heard` that holds what `before` did, too.
WHOLE = "whole"

Line = Mapping[str, Any]

log = logging.getLogger(__name__)


class Lines(Sequence[Line]):
    """Lines of the journal, each read when it is asked for: as objects they take ten times the room."""

    def __init__(self, texts: Iterable[bytes] = ()) -> None:
        self._texts = list(texts)

    def __len__(self) -> int:
        return len(self._texts)

    @overload
    def __getitem__(self, index: int) -> Line: ...
    @overload
    def __getitem__(self, index: slice) -> "Lines": ...
    def __getitem__(self, index: int | slice) -> "Line | Lines":
        if isinstance(index, slice):
            return Lines(self._texts[index])
        line: Line = json.loads(self._texts[index])
        return line


class LaneJournal:
    """One lane's. Its writer is the agent that holds the ledger's lock. Nothing here raises OSError but `take`."""

    def __init__(self, ledger: Path, lane_id: str, max_bytes: int = MAX_BYTES, max_lines: int = MAX_LINES) -> None:
        self._lane_id = lane_id
        self._max_bytes, self._max_lines = max_bytes, max_lines
        folder = ledger / LANES
        self._heard, self._before = folder / f"{lane_id}.heard", folder / f"{lane_id}.before"
        self._trying, self._unfinished = folder / f"{lane_id}.trying", folder / f"{lane_id}.unfinished"
        self._file: int | None = None
        self._size = self._lines = 0
        self._size_before = self._lines_before = 0

    def take(self) -> Lines:
        """All that is there and whole, the oldest first; nothing where the last start did not survive it.

        Raises OSError. Until `begin` it is not there for another start.
        """
        survived = not self._trying.exists()
        found = self._found() if survived else []
        if not survived:
            log.error("lane %s: what it heard before cannot be taken up: the last start ended at it", self._lane_id)
        self._heard.parent.mkdir(mode=0o700, exist_ok=True)
        self._trying.touch(0o600)
        return Lines(found)

    def _found(self) -> list[bytes]:
        (before, undamaged), (heard, _) = (
            _whole(path.read_bytes() if path.exists() else b"") for path in (self._before, self._heard)
        )
        if heard and (not undamaged or WHOLE in json.loads(heard[0])):
            return heard
        return [*before, *heard]

    def survived(self) -> None:
        """What was taken led to no end of the agent: until `begin` another start may take it again."""
        try:
            self._trying.unlink(missing_ok=True)
        except OSError as error:
            log.warning("%s: %s", self._trying, error.strerror)

    def begin(self, lines: Iterable[Line]) -> None:
        """Holds just these lines from now on."""
        self._close()
        try:
            self._file = os.open(self._unfinished, os.O_WRONLY | os.O_CREAT | os.O_TRUNC, 0o600)
            self._size = self._lines = self._size_before = self._lines_before = 0
            for n, line in enumerate(lines):
                self._write(line if n else {**line, WHOLE: True})
            self._unfinished.replace(self._heard)
            for path in (self._before, self._trying):
                path.unlink(missing_ok=True)
        except OSError as error:
            self._give_up(f"{error.strerror}")

    def note(self, line: Line) -> None:
        """One more thing that happened."""
        if self._file is None:
            return
        size, lines = self._size + self._size_before, self._lines + self._lines_before
        if size > self._max_bytes or lines >= self._max_lines:
            self._give_up(f"the lane has not been empty for {lines} lines of {size} bytes")
            return
        try:
            self._write(line)
        except OSError as error:
            self._give_up(f"{error.strerror}")

    def turn(self) -> None:
        """The lane is empty: what was heard till now is `before`, what was before that goes."""
        try:
            if self._heard.exists():
                self._heard.replace(self._before)
        except OSError as error:
            self._give_up(f"{error.strerror}")
            return
        self._close()
        try:
            self._file = os.open(self._heard, os.O_WRONLY | os.O_CREAT | os.O_TRUNC, 0o600)
            self._size_before, self._lines_before = self._size, self._lines
            self._size = self._lines = 0
        except OSError as error:
            self._give_up(f"{error.strerror}")

    @property
    def keeps(self) -> bool:
        """Whether what happens now could be taken up."""
        return self._file is not None

    def close(self) -> None:
        """What was noted stays."""
        self._close()

    def _write(self, line: Line) -> None:
        if self._file is None:
            raise ValueError("the journal is closed")
        data = json.dumps(line, separators=(",", ":")).encode()
        data = b"%08x %s\n" % (zlib.crc32(data), data)
        self._size += len(data)
        self._lines += 1
        view = memoryview(data)
        while view:
            view = view[os.write(self._file, view) :]

    def _give_up(self, why: str) -> None:
        """A part would be worse than nothing: who has left would be taken for one that is there."""
        log.warning("lane %s: a vehicle in it could not be taken up after a restart: %s", self._lane_id, why)
        self._close()
        for path in (self._heard, self._before, self._unfinished):
            try:
                path.unlink(missing_ok=True)
            except OSError as error:
                log.warning("%s: %s", path, error.strerror)

    def _close(self) -> None:
        if self._file is not None:
            os.close(self._file)
            self._file = None


def forget_others(ledger: Path, lane_ids: Collection[str]) -> None:
    """What lanes heard that the settings name no more. Raises nothing."""
    try:
        for path in (ledger / LANES).glob("*.*"):
            if path.stem not in lane_ids:
                path.unlink(missing_ok=True)
    except OSError as error:
        log.warning("%s: what earlier lanes heard cannot be removed: %s", ledger / LANES, error.strerror)


def _whole(data: bytes) -> tuple[list[bytes], bool]:
    """Up to the first line that a kill or a power cut left damaged; whether that is all."""
    whole = list[bytes]()
    *lines, rest = data.split(b"\n")
    for line in lines:
        crc, _, said = line.partition(b" ")
        if crc != b"%08x" % zlib.crc32(said):
            return whole, False
        whole.append(said)
    return whole, not rest
