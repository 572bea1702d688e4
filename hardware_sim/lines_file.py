"""A file of lines that a run writes as it goes, from wherever something happens."""

import asyncio
from contextlib import suppress
from pathlib import Path
from typing import NoReturn, TextIO

from edge_agent.domain.errors import SettingsInvalid


class LinesFile:
    """What is written is on its way to the disk when `write` returns, and there after `close`.

    `named` says in a message which file it is. A link's callback has nobody to raise to: when the disk is full, `write`
    writes no more, and `failed` raises, which ends the run.
    """

    def __init__(self, path: Path, named: str) -> None:
        self.path = path
        self._named = named
        self._file: TextIO | None = None
        self._failure: SettingsInvalid | None = None
        self._fails = asyncio.Event()

    @property
    def is_open(self) -> bool:
        return self._file is not None

    def open(self, advice: str) -> None:
        """Begin the file anew. Raises SettingsInvalid, with that advice, when it cannot be written."""
        try:
            self.path.parent.mkdir(parents=True, exist_ok=True)
            self._file = self.path.open("w", encoding="utf-8")
        except OSError as error:
            raise SettingsInvalid(self._wrong(error), advice) from None

    def write(self, line: str) -> None:
        """Writes nothing before `open`, after `close`, and after a failure."""
        if self._file is None or self._failure is not None:
            return
        try:
            self._file.write(line + "\n")
            self._file.flush()
        except OSError as error:
            self._failure = SettingsInvalid(self._wrong(error), "make room and run it anew, or choose another disk")
            self._fails.set()

    async def failed(self) -> NoReturn:
        """Waits until a line could not be written. Raises SettingsInvalid then."""
        while (failure := self._failure) is None:
            await self._fails.wait()
        raise failure

    def close(self) -> None:
        file, self._file = self._file, None
        if file is not None:
            with suppress(OSError):  # of a disk that is full: `failed` tells
                file.close()

    def discard(self) -> None:
        """Close, and leave no file: nothing was played."""
        if self._file is not None:
            self.close()
            self.path.unlink(missing_ok=True)

    def _wrong(self, error: OSError) -> str:
        return f"{self._named} cannot be written: {error.strerror}"
