"""A recorded conversation with a device: its bytes with their times and directions, as text.

One JSON object a line. The first says what was recorded and when it began; the others what happened, `t` seconds
later (six decimals, never running back), bytes as hex:

    {"capture": 1, "device": "scale", "driver": "nci_scp01", "settings": {}, "link": {"url": "socket://192.0.2.7:4001",
     "baud": 9600, ...}, "started": "2026-11-22T02:40:11.123456Z"}
    {"t": 0.000012, "opened": true}        the connection is up: a new one, whatever was before
    {"t": 0.000150, "tx": "570d"}          to the device
    {"t": 0.042817, "rx": "0a30313233"}    from the device, as it came out of the port
    {"t": 9.100000, "lost": "why"}         the connection ended
    {"t": 60.000000, "end": "why"}         the recording ended; missing if its program was killed
"""

import json
import math
import os
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from types import TracebackType
from typing import Any, Literal, Self

from pydantic import AwareDatetime, BaseModel, ConfigDict, ValidationError

from edge_agent.domain.errors import SettingsInvalid, StoreFull

MARK = b'{"capture":'
# The link's chunks have 4 KiB, which are 8 KiB of hex; eight times that for files by other programs.
LINE_LIMIT = 65536
# A poll falls due some times a second, and each is gone through: a file that jumps by years would never end.
LONGEST_PAUSE_S = 86_400.0

Kind = Literal["opened", "rx", "tx", "lost", "end"]
_KINDS: tuple[Kind, ...] = ("opened", "rx", "tx", "lost", "end")


class Header(BaseModel):
    """What was recorded. `link` is the link's settings as they were, `settings` the driver's own."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    capture: Literal[1] = 1
    device: str
    driver: str
    settings: dict[str, Any]
    link: dict[str, Any]
    started: AwareDatetime


@dataclass(frozen=True, slots=True)
class Event:
    """What happened `t` seconds after the start: `data` are bytes of rx and tx, `why` the words of lost and end."""

    t: float
    kind: Kind
    data: bytes = b""
    why: str = ""


class CaptureWriter:
    """Writes a capture, each event at once; a context manager. `received` counts the device's bytes.

    Without a byte of the device there is nothing to replay: on leaving it the file is removed.
    Raises SettingsInvalid if the file exists or cannot be made, StoreFull if it cannot be written.
    """

    def __init__(self, path: Path, header: Header, started: float) -> None:
        """`started` is the monotonic second of `header.started`."""
        self._path = path
        self._started = started
        self._last = 0.0
        self.received = 0
        try:
            self._file = path.open("x", encoding="ascii")
        except FileExistsError:
            raise SettingsInvalid(f"{path} exists already", "give another name: a recording is not replaced") from None
        except OSError as error:
            raise SettingsInvalid(f"{path} cannot be made: {error.strerror}", "give another path") from None
        self._put(header.model_dump(mode="json"))

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        with self._file:
            self._file.flush()
            os.fsync(self._file.fileno())
            if not self.received:
                self._path.unlink(missing_ok=True)

    def event(self, kind: Kind, at: float, data: bytes = b"", why: str = "") -> None:
        """`at` is in monotonic seconds; `data` go with rx and tx, `why` with lost and end."""
        self._last = max(self._last, round(at - self._started, 6))
        self.received += len(data) if kind == "rx" else 0
        said = data.hex() if kind in ("rx", "tx") else why if kind in ("lost", "end") else True
        self._put({"t": self._last, kind: said})

    def _put(self, line: dict[str, Any]) -> None:
        try:
            self._file.write(json.dumps(line) + "\n")
            self._file.flush()  # what a killed recording holds is whole up to its last line
        except OSError as error:
            raise StoreFull(f"{self._path} cannot be written: {error.strerror}", "free space on its disk") from None


def is_capture(path: Path) -> bool:
    """Whether the file begins as one. Raises SettingsInvalid if it cannot be read."""
    try:
        with path.open("rb") as file:
            return file.read(len(MARK)) == MARK
    except OSError as error:
        raise SettingsInvalid(f"{path} cannot be read: {error.strerror}", "give the path of a capture file") from None


def read_header(path: Path) -> Header:
    """What was recorded. Raises SettingsInvalid if the first line does not say it."""
    with path.open("rb") as file:
        try:
            return Header.model_validate_json(file.readline(LINE_LIMIT))
        except ValidationError as error:
            first = error.errors(include_url=False, include_input=False)[0]
            at = ".".join(str(part) for part in first["loc"])
            raise _wrong(path, 1, f"{at}: {first['msg']}" if at else first["msg"]) from None


def read_events(path: Path) -> Iterator[Event]:
    """What happened, in order. Memory does not grow with the file. Raises SettingsInvalid with the line.

    A last line without its end was being written when the recording was killed: it is left out.
    """
    last = 0.0
    with path.open("rb") as file:
        file.readline(LINE_LIMIT)
        number = 1
        while line := file.readline(LINE_LIMIT):
            number += 1
            if not line.endswith(b"\n"):
                if len(line) == LINE_LIMIT:
                    raise _wrong(path, number, f"longer than {LINE_LIMIT} bytes")
                return
            event = _event(path, number, line)
            if event.t < last:
                raise _wrong(path, number, f"its time {event.t:g} lies before the line above")
            if event.t - last > LONGEST_PAUSE_S:
                raise _wrong(path, number, f"nothing for longer than {LONGEST_PAUSE_S / 3600:g} hours")
            last = event.t
            yield event


def _event(path: Path, number: int, line: bytes) -> Event:
    try:
        values = json.loads(line)
        [kind] = [kind for kind in _KINDS if kind in values]
        t, said = values["t"], values[kind]
        if set(values) != {"t", kind} or isinstance(t, bool) or not isinstance(t, int | float) or not math.isfinite(t):
            raise ValueError("an event is a time `t` and one thing that happened")
        if kind in ("rx", "tx"):
            return Event(float(t), kind, data=bytes.fromhex(said))
        return Event(float(t), kind, why=said if isinstance(said, str) else "")
    except (ValueError, TypeError, KeyError, RecursionError, OverflowError) as error:
        raise _wrong(path, number, f"no event of a capture: {error}") from None


def _wrong(path: Path, line: int, what: str) -> SettingsInvalid:
    return SettingsInvalid(f"{path}:{line}: {what}", "the format is described in docs/captures.md")
