"""Does each device speak, and if not, why perhaps not?"""

import asyncio
from collections.abc import Callable
from dataclasses import dataclass, field
from enum import StrEnum
from typing import Any

from edge_agent.config import Device
from edge_agent.devices.catalogue import Driver
from edge_agent.devices_command.booth import in_utc, line_of, listen, takes_over, with_baud
from edge_agent.domain.clock import Clock
from edge_agent.domain.counted import counted
from edge_agent.domain.observation import DeviceState, DeviceStatus, Malformed, Reading
from edge_agent.replay import as_object, said

# Rates that the devices of a lane are delivered with; the most usual first.
COMMON_BAUDS = (9600, 19200, 4800, 115200, 2400, 38400, 57600, 1200)
# So many bytes of which nothing is a message: this rate is none.
ENOUGH_GARBAGE = 256
# Fewer bytes say nothing about parity: that many random ones agree once in 65,536 times.
_PARITY_BYTES = 16


class Verdict(StrEnum):
    """What a probe found."""

    SPEAKS = "speaks"
    GARBLED = "garbled"  # bytes come, and none of them is a message of this device
    SILENT = "silent"  # connected, and it says nothing
    NO_CONNECTION = "no connection"
    FAILED = "failed"  # the driver raised


@dataclass
class Heard:
    """What one device said while it was probed."""

    device: Device
    messages: int = 0
    malformed: int = 0
    garbage: bytearray = field(default_factory=bytearray)
    latest: dict[str, dict[str, Any]] = field(default_factory=dict)
    states: list[DeviceStatus] = field(default_factory=list)
    why: str = ""

    @property
    def verdict(self) -> Verdict:
        if self.messages:
            return Verdict.SPEAKS
        if self.states and self.states[-1].state is DeviceState.FAILED:
            return Verdict.FAILED
        if self.malformed:
            return Verdict.GARBLED
        connected = any(status.state is not DeviceState.OFFLINE for status in self.states)
        return Verdict.SILENT if connected else Verdict.NO_CONNECTION


async def probe(device: Device, clock: Clock, seconds: float, enough: Callable[[Heard], bool] | None = None) -> Heard:
    """Listens to one device for `seconds`, or until `enough` of it was heard."""
    heard, done = Heard(device), asyncio.Event()

    async def emit(reading: Reading) -> None:
        body = reading.body
        if isinstance(body, DeviceStatus):
            heard.states.append(body)
            return
        if isinstance(body, Malformed):
            heard.malformed += 1
            heard.why = body.why
            heard.garbage += reading.raw[: ENOUGH_GARBAGE - len(heard.garbage)]
        else:
            heard.messages += 1
            said = as_object(in_utc(reading, clock))
            heard.latest[said["type"]] = said
        if enough and enough(heard):
            done.set()

    async with asyncio.TaskGroup() as tasks:
        listening = tasks.create_task(listen(device, emit, clock, seconds), name=f"probe {device.config.id}")
        stopping = tasks.create_task(_cancel_when(done, listening), name="stop a probe")
        await asyncio.wait([listening])
        stopping.cancel()
    return heard


async def _cancel_when(done: asyncio.Event, task: "asyncio.Task[None]") -> None:
    await done.wait()
    task.cancel()


def can_scan(heard: Heard) -> bool:
    """Whether another rate can be tried: it is connected, it does not speak, and we set its line."""
    link = heard.device.config.link
    ours = link is not None and not link.url.startswith("socket:")
    return ours and heard.verdict in (Verdict.GARBLED, Verdict.SILENT)


async def scan_bauds(heard: Heard, clock: Clock, seconds: float, say: Callable[[str], None]) -> int | None:
    """The first of the common rates at which the device speaks; None if there is none."""
    device = heard.device
    link, driver = device.config.link, device.driver
    if link is None or not isinstance(driver, Driver):
        return None
    for baud in COMMON_BAUDS:
        if baud == (link.baud or driver.baud):
            continue
        tried = await probe(
            with_baud(device, baud), clock, seconds, lambda h: h.messages > 0 or len(h.garbage) >= ENOUGH_GARBAGE
        )
        say(f"  {device.config.id}: at {baud:>6} Bd {tried.verdict}")
        if tried.verdict is Verdict.SPEAKS:
            return baud
    return None


def as_json(heard: Heard, baud: int | None) -> dict[str, Any]:
    """One JSON-able object; `baud` is the rate that a scan found."""
    wrong, remedy = _why(heard)
    return {
        "device": heard.device.config.id,
        "driver": heard.device.driver.name,
        "where": heard.device.where,
        "verdict": heard.verdict.value,
        "messages": heard.messages,
        "malformed": heard.malformed,
        "latest": list(heard.latest.values()),
        "wrong": wrong,
        "remedy": remedy,
        "baud": baud,
    }


def in_words(heard: Heard, seconds: float, baud: int | None, scanned: bool) -> list[str]:
    """The same for people."""
    device, link = heard.device, heard.device.config.link
    where = line_of(device, link) if link else device.where
    wrong, remedy = _why(heard)
    lines = [
        f"{device.config.id}: {heard.verdict.upper()}" + (f": {wrong}" if wrong else ""),
        f"  {device.driver.device}, {where}",
    ]
    if heard.messages:
        damaged = f", {heard.malformed} damaged" if heard.malformed else ""
        lines.append(f"  {counted(heard.messages, 'message')} in {seconds:g} s{damaged}; the latest of each kind:")
        lines += [f"    {latest['type']:<19}  {said(latest)}" for latest in heard.latest.values()]
    if heard.garbage and not heard.messages:
        lines.append(f"  {counted(heard.malformed, 'time')} {heard.why!r}, as in: {_sample(bytes(heard.garbage))}")
    if baud is not None:
        remedy = f"it speaks at {baud} Bd: write `baud: {baud}` into its link"
    elif scanned:
        remedy = f"{remedy}; it speaks at none of the common rates"
    return [*lines, f"  → {remedy}"] if remedy else lines


def _why(heard: Heard) -> tuple[str, str]:
    """What is wrong, and what to do."""
    device, last = heard.device, heard.states[-1].detail if heard.states else ""
    unasked = device.silent_is_down
    match heard.verdict:
        case Verdict.SPEAKS:
            return "", ""
        case Verdict.FAILED:
            return last, "report it with a recording: edge-agent devices capture"
        case Verdict.NO_CONNECTION:
            held = "is held by" in last
            return last or "not opened in this time", "stop that program" if held else "check power, cable and address"
        case Verdict.GARBLED:
            return "bytes come, and none of them is a message of this device", _garbled(heard)
        case Verdict.SILENT if takes_over(device):
            return f"{last}; nothing has come", "let the device send something meanwhile"
        case Verdict.SILENT if not unasked:
            return "connected; it speaks only when it is used", "use it while it is probed: scan something"
        case Verdict.SILENT:
            return "connected, and not a byte comes", "check its power, the cable (crossed?) and the baud rate"


def _garbled(heard: Heard) -> str:
    link = heard.device.config.link
    if link is None:
        return "perhaps another kind of device: compare with its page in docs/devices"
    if link.bytesize == 8 and (parity := _parity(bytes(heard.garbage))):
        return f"it looks like 7 bits with a parity bit: write `bytesize: 7, parity: {parity}` into its link"
    if link.url.startswith("socket:"):
        return "perhaps another baud rate (set in the device server), or another kind of device"
    return "perhaps another baud rate: try --baud-scan; or another kind of device"


def _parity(data: bytes) -> str:
    """What the eighth bits would be if they were parity: 'even', 'odd', 'mark', or ''."""
    if len(data) < _PARITY_BYTES or all(byte < 0x80 for byte in data):
        return ""
    odd_ones = {byte.bit_count() % 2 for byte in data}
    if len(odd_ones) == 1:
        return "odd" if odd_ones == {1} else "even"
    return "mark" if all(byte >= 0x80 for byte in data) else ""


def _sample(data: bytes) -> str:
    return " ".join(f"{byte:02x}" for byte in data[:16]) + (" ..." if len(data) > 16 else "")
