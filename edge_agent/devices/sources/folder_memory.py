"""Which files of a folder were taken over, where they must stay in it: a file of lines, one a file.

A line is on the disk before the next scan is looked at; a line that a power cut tore is left out, and its scan is taken
over a second time, with the same digest.
"""

import json
import os
from collections.abc import Iterable
from pathlib import Path

from edge_agent.devices.sources.gathering import Entry
from edge_agent.domain.errors import LinkDown

# Lines of files that are gone are left, until they are this many: then the file is written anew.
SPARE_LINES = 1000


class FolderMemory:
    """One folder's. Not for the event loop: it waits for the disk. Made on an unusable file, it raises LinkDown."""

    def __init__(self, path: Path) -> None:
        self._path = path
        self._known: dict[str, tuple[int, int, str]] = {}
        self._lines = 0
        self._read()
        try:
            self._append(b"")  # to know before a scan is taken over that it can be remembered
        except OSError as error:
            raise self._unusable(error) from None

    def knows(self, entry: Entry) -> bool:
        """The file is as it was when it was taken over."""
        known = self._known.get(entry.name)
        return known is not None and known[:2] == (entry.size, entry.mtime_ns)

    def knows_content(self, name: str, sha256: str) -> bool:
        """The file of that name was taken over with these bytes; it may have been touched since."""
        known = self._known.get(name)
        return known is not None and known[2] == sha256

    def add(self, taken: Iterable[tuple[Entry, str]]) -> None:
        """Files with their SHA-256, in hex. On return they are on the disk. Raises OSError: call it again."""
        lines = b""
        for entry, sha256 in taken:
            self._known[entry.name] = (entry.size, entry.mtime_ns, sha256)
            self._lines += 1
            lines += _line(entry.name, self._known[entry.name])
        self._append(lines)

    def keep_only(self, names: set[str]) -> None:
        """Forgets files that are gone, once there are many."""
        if self._lines <= len(names) + SPARE_LINES:
            return
        self._known = {name: known for name, known in self._known.items() if name in names}
        fresh = self._path.with_name(self._path.name + ".new")
        try:
            with fresh.open("wb") as file:
                file.writelines(_line(name, known) for name, known in self._known.items())
                file.flush()
                os.fsync(file.fileno())
            fresh.replace(self._path)
        except OSError:
            return  # it only grows meanwhile
        self._lines = len(self._known)

    def _read(self) -> None:
        try:
            lines = self._path.read_bytes().splitlines()
        except FileNotFoundError:
            return
        except OSError as error:
            raise self._unusable(error) from None
        for line in lines:
            self._lines += 1
            try:
                name, size, mtime_ns, sha256 = json.loads(line)
                self._known[str(name)] = (int(size), int(mtime_ns), str(sha256))
            except (ValueError, TypeError):
                continue

    def _append(self, lines: bytes) -> None:
        with self._path.open("ab") as file:
            if lines and file.tell() and not self._ends_a_line():
                file.write(b"\n")
            file.write(lines)
            file.flush()
            os.fsync(file.fileno())

    def _ends_a_line(self) -> bool:
        with self._path.open("rb") as file:
            file.seek(-1, os.SEEK_END)
            return file.read(1) == b"\n"

    def _unusable(self, error: OSError) -> LinkDown:
        return LinkDown(
            f"{self._path}, where taken files are remembered, cannot be used: {error.strerror}",
            "give `memory` a file on a local disk with room, which the agent's user can write",
        )


def _line(name: str, known: tuple[int, int, str]) -> bytes:
    return json.dumps([name, *known]).encode() + b"\n"
