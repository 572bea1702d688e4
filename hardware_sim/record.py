"""A session on disk: every byte that went over a line, with its time, device and direction. JSON lines.

    {"session": 1, "started": "…Z", "title": "…", "seed": 1,
     "devices": {"portal": {"kind": "rapiscan_vm250", "lane": "1", "links": [{"kind": "tcp", …}]}}}
    {"t": 0.204113, "device": "portal", "link": 0, "what": "out", "hex": "4e422c…"}

`t`: seconds on the world's clock from the beginning of the record. `link`: its place in the device's list. `what`:
`greeting` (sent because a reader attached), `out` (to the reader, whether or not there was one), `in` (from it), `up`
and `down` (the link could be opened, and no more), `payload` (what a service offered through its own protocol; `link`
is -1). Modem-control lines and cameras' pictures are not recorded.
"""

import json
from collections.abc import Callable, Iterator
from datetime import UTC
from pathlib import Path
from typing import Any, Literal, NoReturn, TypeVar

from pydantic import AwareDatetime, BaseModel, ConfigDict, Field, ValidationError

from edge_agent.domain.errors import SettingsInvalid
from hardware_sim.clock import WorldClock
from hardware_sim.folders import check_folder
from hardware_sim.lines_file import LinesFile
from hardware_sim.links.link import Connected, Link, Received
from hardware_sim.links.settings import ByteLink
from hardware_sim.settings import Name

# 64 KiB in one go as hex, and what stands beside it.
_MAX_LINE = 64 * 1024 * 1024  # a scan of an imaging scanner is a line of some megabytes
_Line = TypeVar("_Line", bound=BaseModel)
What = Literal["greeting", "out", "in", "up", "down", "payload"]


class RecordedDevice(BaseModel):
    """A device of the record. `links` are the scenario's entries."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    kind: str
    lane: str = ""
    links: list[ByteLink] = Field(default_factory=list)


class Header(BaseModel):
    """The first line."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    session: Literal[1]
    started: AwareDatetime
    title: str = ""
    seed: int = 0
    devices: dict[Name, RecordedDevice]


class Entry(BaseModel):
    """Every other line."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    t: float = Field(ge=0)
    device: str
    link: int
    what: What
    hex: str = ""

    @property
    def data(self) -> bytes:
        return bytes.fromhex(self.hex)


class Recorder:
    """Writes a session, from `begin` on. What is written is on its way to the disk when the call returns, and there
    after `close`."""

    def __init__(self, path: Path, clock: WorldClock, own: Path) -> None:
        """`own`: the run's folder. Raises SettingsInvalid when the file's folder is missing, and does not lie in it."""
        self._clock = clock
        self._start = clock.monotonic()
        self._lines: list[str] = []
        self._file = LinesFile(path, f"--record {path}:")
        check_folder(path, own, f"--record {path}")

    def begin(self, header: dict[str, Any]) -> None:
        """Write the first line: `title`, `seed` and `devices`. What was said before follows it. Raises SettingsInvalid
        when the file cannot be written."""
        self._file.open("choose another path")
        started = self._clock.now()
        moment = started.shifted(self._start - started.monotonic).utc.astimezone(UTC)
        first = {"session": 1, "started": moment.isoformat().replace("+00:00", "Z"), **header}
        for line in (json.dumps(first), *self._lines):
            self._file.write(line)
        self._lines.clear()

    async def failed(self) -> NoReturn:
        """Waits until the disk takes no more. Raises SettingsInvalid then."""
        await self._file.failed()

    def note(self, device: str, link: int, what: What, data: bytes = b"") -> None:
        """One line of the record."""
        t = round(self._clock.monotonic() - self._start, 6)
        entry: dict[str, object] = {"t": t, "device": device, "link": link, "what": what}
        line = json.dumps(entry | ({"hex": data.hex()} if data else {}))
        if self._file.is_open:
            self._file.write(line)
        else:
            self._lines.append(line)

    def close(self) -> None:
        self._file.close()

    def discard(self) -> None:
        """Close, and leave no file: nothing was played."""
        self._file.discard()

    def link(
        self, device: str, number: int, build: Callable[[Connected, Received], Link], connected: Connected,
        received: Received,
    ) -> Link:  # fmt: skip
        """The link that `build` makes, with everything on it noted."""

        def greeting() -> bytes:
            data = connected()
            self.note(device, number, "greeting", data)
            return data

        def heard(data: bytes) -> bytes:
            self.note(device, number, "in", data)
            if answer := received(data):
                self.note(device, number, "out", answer)
            return answer

        return _RecordedLink(self, device, number, build(greeting, heard))


class _RecordedLink:
    def __init__(self, recorder: Recorder, device: str, number: int, inner: Link) -> None:
        self._recorder = recorder
        self._place = device, number
        self.inner = inner

    @property
    def url(self) -> str:
        return self.inner.url

    async def open(self) -> None:
        await self.inner.open()
        self._recorder.note(*self._place, "up")

    def write(self, data: bytes) -> None:
        if data:
            self._recorder.note(*self._place, "out", data)
        self.inner.write(data)

    def hang_up(self) -> None:
        self._recorder.note(*self._place, "down")
        self.inner.hang_up()
        self._recorder.note(*self._place, "up")

    async def watch(self) -> None:
        await self.inner.watch()

    async def close(self) -> None:
        self._recorder.note(*self._place, "down")
        await self.inner.close()


class Session:
    """A recorded session. Its entries are read as they are needed: a day's record does not fit in memory."""

    def __init__(self, path: Path) -> None:
        """Reads it through once. Raises SettingsInvalid with the line that is none."""
        self.path = path
        self.greetings: dict[tuple[str, int], list[tuple[float, bytes]]] = {}
        self.lasts_s = 0.0
        lines = self._numbered()
        try:
            _, first = next(lines)
        except StopIteration:
            raise SettingsInvalid(f"{path}: empty", "give a file that `hardware-sim run --record` wrote") from None
        self.header = self._parsed(Header, first, 1)
        for entry in self._checked(lines):
            self.lasts_s = entry.t
            if entry.what == "greeting":
                self.greetings.setdefault((entry.device, entry.link), []).append((entry.t, entry.data))

    def entries(self) -> Iterator[Entry]:
        """In order of time."""
        lines = self._numbered()
        next(lines)
        return self._checked(lines)

    def _checked(self, lines: Iterator[tuple[int, str]]) -> Iterator[Entry]:
        last = 0.0
        for number, line in lines:
            entry = self._parsed(Entry, line, number)
            device = self.header.devices.get(entry.device)
            place = f"{self.path}:{number}"
            if device is None or entry.link >= len(device.links):
                raise SettingsInvalid(
                    f"{place}: no such link: {entry.device} {entry.link}", "the first line names them"
                )
            if entry.t < last:
                raise SettingsInvalid(f"{place}: time runs back, from {last} to {entry.t}", "put the lines in order")
            try:
                entry.data  # noqa: B018 - is it hex?
            except ValueError:
                raise SettingsInvalid(f"{place}: hex: not pairs of hexadecimal digits", "correct that line") from None
            last = entry.t
            yield entry

    def _numbered(self) -> Iterator[tuple[int, str]]:
        try:
            with self.path.open(encoding="ascii") as file:
                for number, line in enumerate(iter(lambda: file.readline(_MAX_LINE + 1), ""), 1):
                    if len(line) > _MAX_LINE:
                        raise SettingsInvalid(
                            f"{self.path}:{number}: a line of more than {_MAX_LINE} bytes", "check the path"
                        )
                    if line.strip():
                        yield number, line
        except OSError as error:
            raise SettingsInvalid(f"{self.path}: cannot be read: {error.strerror}", "check the path") from None
        except UnicodeDecodeError:
            raise SettingsInvalid(f"{self.path}: not a session: not ASCII", "check the path") from None

    def _parsed(self, model: type[_Line], line: str, number: int) -> _Line:
        try:
            return model.model_validate_json(line)
        except ValidationError as error:
            first = error.errors(include_url=False)[0]
            where = ".".join(map(str, first["loc"])) or "the line"
            raise SettingsInvalid(
                f"{self.path}:{number}: {where}: {first['msg']}", "give a file that `hardware-sim run --record` wrote"
            ) from None
