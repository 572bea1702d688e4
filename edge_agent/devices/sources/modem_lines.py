"""Loops, light barriers and other dry contacts, wired to the modem-control lines of a serial port.

A contact between DTR or RTS (which are on while the port is open) and CTS, DSR, RI or CD switches that line. The port
is local, or behind a device server that tells its lines by RFC 2217 (NOTIFY-MODEMSTATE, section 3). pyserial reads
both. A line is looked at every 50 ms: what a contact does in between is not seen.
"""

import errno
from collections.abc import Mapping
from typing import Annotated, Literal, Self, cast

import serial
from pydantic import AfterValidator, BaseModel, ConfigDict, Field, model_validator
from serial.serialutil import SerialBase

from edge_agent.devices.link import LinkSettings, SerialLink, read_port
from edge_agent.devices.source import Emit
from edge_agent.domain.clock import Clock
from edge_agent.domain.observation import DeviceState, DeviceStatus, Direction, Malformed, Opaque, Presence, Reading

# No byte is read in earnest; a port has to be opened at some rate.
BAUD = 9600
# A device server that tells its lines does so when the connection is set up.
FIRST_STATE_S = 5.0

Line = Literal["cts", "dsr", "ri", "cd"]
# RFC 2217, section 3, NOTIFY-MODEMSTATE: the upper four bits of its octet. A local port's are put the same way.
MASKS: Mapping[Line, int] = {"cts": 0x10, "dsr": 0x20, "ri": 0x40, "cd": 0x80}


def _has_lines(url: str) -> str:
    if url.startswith("socket:"):
        raise ValueError(f"{url!r} carries bytes only: the lines of a device server need rfc2217://host:port")
    return LinkSettings(url=url).url


class Contact(BaseModel):
    """What one line means."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    sensor: str = Field(min_length=1, max_length=64, description="its name, for people")
    occupied_when: Literal["high", "low"] = Field(
        default="high", description="the line while a vehicle is there; low: a contact that a vehicle opens"
    )


class Settings(BaseModel):
    """Where the port is, and what stands behind its lines."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    url: Annotated[str, AfterValidator(_has_lines)] = Field(
        description="a local port (/dev/serial/by-id/...) or rfc2217://host:port"
    )
    lines: dict[Line, Contact] = Field(min_length=1, description="cts, dsr, ri, cd: those that are wired")
    forward: tuple[Line, Line] | None = Field(
        default=None, description="the two lines that a vehicle meets one after the other when it drives forward"
    )
    debounce_s: float = Field(default=0.1, ge=0, le=10, description="how long a line must keep its state to count")

    @model_validator(mode="after")
    def _wired(self) -> Self:
        if self.forward and (self.forward[0] == self.forward[1] or not {*self.forward} <= {*self.lines}):
            raise ValueError("forward names two different lines of `lines`")
        return self


class Contacts:
    """What the lines say, without input, output or clock.

    Every state is Opaque("lines") with its octet; a Presence carries no bytes. A vehicle is present while any contact
    is occupied. It goes forward when it meets the first line of `forward` before the second; when it leaves, it has
    gone to the side of the line that it leaves last. Of two that switch in the same look nothing is said.
    """

    def __init__(self, settings: Settings) -> None:
        self._settings = settings
        self._settled: dict[Line, bool] = {}  # occupied or not
        self._turning: dict[Line, tuple[bool, float]] = {}  # to what, since when; the earliest first
        self._present: bool | None = None
        self._met: dict[Line, float] = {}  # this vehicle's first meeting of each line
        self._left: dict[Line, float] = {}  # and its last leaving

    def seen(self, state: int, now: float) -> list[Reading]:
        """The lines are in `state` (bits as MASKS) since `now`."""
        readings, said = self.woke(now), []
        for line, contact in self._settings.lines.items():
            occupied = bool(state & MASKS[line]) == (contact.occupied_when == "high")
            said.append(f"{contact.sensor} {'occupied' if occupied else 'free'}")
            if line in self._turning and self._turning[line][0] != occupied:
                del self._turning[line]
            if line not in self._turning and self._settled.get(line) is not occupied:
                self._turning[line] = (occupied, now)
        return [*readings, Reading(Opaque("lines", tuple(said)), now, bytes([state])), *self.woke(now)]

    def next_wake(self) -> float | None:
        """When `woke` is to be called if the lines do not change before."""
        return min((since + self._settings.debounce_s for _, since in self._turning.values()), default=None)

    def woke(self, now: float) -> list[Reading]:
        """What has lasted until `now`."""
        lasting = [line for line, (_, since) in self._turning.items() if now >= since + self._settings.debounce_s]
        readings: list[Reading] = []
        for line in lasting:
            readings += self._turned(line, *self._turning.pop(line))
        return readings

    def _turned(self, line: Line, occupied: bool, at: float) -> list[Reading]:
        self._settled[line] = occupied
        first = occupied and line not in self._met
        if first:
            self._met[line] = at
        elif not occupied:
            self._left[line] = at
        if len(self._settled) < len(self._settings.lines):
            return []  # just connected: the others follow
        before, self._present = self._present, any(self._settled.values())
        direction = None
        if first:
            direction = self._direction(line, self._met)
        elif not self._present:
            direction = self._direction(line, self._left)
        if not self._present:
            self._met, self._left = {}, {}
        return [Reading(Presence(self._present, direction), at)] if direction or before != self._present else []

    def _direction(self, line: Line, times: Mapping[Line, float]) -> Direction | None:
        """Of a vehicle that has met both lines, and comes to or goes from `line` later than the other."""
        forward = self._settings.forward
        if forward is None or line not in forward or not {*forward} <= {*self._met} & {*times}:
            return None
        if times[forward[0]] == times[forward[1]]:
            return None
        return Direction.FORWARD if line == forward[1] else Direction.BACKWARD


class _Lines(SerialLink):
    """A link whose chunks are one octet, the state of its lines when it changes, or bytes after a mark."""

    _DATA = b"\0"

    def __init__(self, settings: LinkSettings, clock: Clock) -> None:
        super().__init__(settings, BAUD, clock)
        self._on_network = settings.on_network
        self._time = clock
        self._last: int | None = None
        self._opened_at: float | None = None

    async def next(self, timeout: float | None) -> tuple[int | bytes, float] | None:
        """The lines' state, or bytes that came on the port, and when; None after `timeout`. Raises LinkDown."""
        if received := await self.receive(timeout):
            chunk, at = received
            return (chunk[0] if len(chunk) == 1 else chunk[1:]), at
        return None

    def _look(self, port: SerialBase) -> bytes:
        if data := read_port(port):
            return self._DATA + data
        state = self._read_lines(port)
        if state is None or state == self._last:
            return b""
        self._last = state
        return bytes([state])

    def _read_lines(self, port: SerialBase) -> int | None:
        lines = cast(serial.Serial, port)  # every kind of port has them, pyserial's base class does not say so
        try:
            on: dict[Line, bool] = {"cts": lines.cts, "dsr": lines.dsr, "ri": lines.ri, "cd": lines.cd}
        except OSError as error:
            if not self._on_network:
                if error.errno in (errno.ENOTTY, errno.EINVAL):
                    raise OSError("it has no modem-control lines, as a pseudo-terminal and some adapters") from error
                raise
            now = self._time.monotonic()
            self._opened_at = now if self._opened_at is None else self._opened_at
            if now < self._opened_at + FIRST_STATE_S:
                return None
            raise serial.SerialException("the device server tells nothing of its modem-control lines") from error
        return sum(MASKS[line] for line, is_on in on.items() if is_on)


class ModemLines:
    """The source."""

    def __init__(self, settings: Settings, clock: Clock) -> None:
        self._settings = settings
        self._clock = clock

    async def run(self, emit: Emit) -> None:
        contacts = Contacts(self._settings)
        async with _Lines(LinkSettings(url=self._settings.url), self._clock) as lines:
            await emit(Reading(DeviceStatus(DeviceState.WAITING, "connected"), self._clock.monotonic()))
            while True:
                wake = contacts.next_wake()
                seen = await lines.next(None if wake is None else max(0.0, wake - self._clock.monotonic()))
                for reading in self._readings(contacts, seen):
                    await emit(reading)

    def _readings(self, contacts: Contacts, seen: tuple[int | bytes, float] | None) -> list[Reading]:
        if seen is None:
            return contacts.woke(self._clock.monotonic())
        what, at = seen
        if isinstance(what, int):
            return contacts.seen(what, at)
        return [Reading(Malformed("bytes on a port of which only the lines are read"), at, what)]
