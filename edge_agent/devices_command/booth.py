"""A booth's devices for a person who looks at them: held by nobody else, and listened to."""

import asyncio
import os
from contextlib import suppress
from dataclasses import replace
from pathlib import Path

from edge_agent.config import Device
from edge_agent.devices.attend import attend
from edge_agent.devices.catalogue import Driver, SourceDriver
from edge_agent.devices.holders import PROC, Holder, strangers
from edge_agent.devices.link import LinkSettings, SerialLink
from edge_agent.devices.source import Emit
from edge_agent.devices.talk import OpenLink, talk
from edge_agent.domain.clock import Clock, at_monotonic
from edge_agent.domain.errors import LinkDown
from edge_agent.domain.inspection import Expected
from edge_agent.domain.observation import DeviceStatus, Reading
from edge_agent.ledger.store import LOCK_FILE

_PARITY = {"none": "N", "even": "E", "odd": "O", "mark": "M", "space": "S"}


def running_agent(ledger: Path | None) -> Holder | None:
    """The agent that writes this ledger now, by its lock in /proc/locks (proc(5))."""
    if ledger is None:
        return None
    with suppress(OSError):
        lock = os.stat(ledger / LOCK_FILE)
        for line in (PROC / "locks").read_text().splitlines():
            fields = line.split()
            if len(fields) < 6 or fields[1] != "FLOCK" or fields[3] != "WRITE":
                continue
            major, minor, inode = fields[5].split(":")
            # Some file systems show programs another device number than the kernel's; theirs have no major number.
            same = os.major(lock.st_dev) == 0 or (int(major, 16), int(minor, 16)) == _device(lock.st_dev)
            if int(inode) == lock.st_ino and same:
                return Holder(int(fields[4]), _program(fields[4]))
    return None


def _device(number: int) -> tuple[int, int]:
    return os.major(number), os.minor(number)


def _program(pid: str) -> str:
    with suppress(OSError):
        return (PROC / pid / "comm").read_text(errors="replace").strip()
    return "a program"


def refuse_running(ledger: Path | None) -> None:
    """Raises LinkDown if the agent of this ledger runs: its devices are its own."""
    if agent := running_agent(ledger):
        raise LinkDown(
            f"the agent of this booth is running and holds its devices: {agent}",
            "stop it first; while it runs, its log tells every device's state",
        )


def refuse_held(device: Device) -> None:
    """Raises LinkDown if another program holds the device's local port."""
    url = device.config.link.url if device.config.link else str(device.config.settings.get("url", ""))
    if url.startswith("/") and (others := strangers(url)):
        raise LinkDown(
            f"{device.config.id}: {url} is held by {', '.join(map(str, others))}",
            "stop that program first: two readers would each get some of the bytes",
        )


def line_of(device: Device, link: LinkSettings) -> str:
    """Where it is and how its line is set: `/dev/... at 9600 8N1`. A raw TCP port has no line that we could set."""
    if link.url.startswith("socket:"):
        return link.url
    baud = link.baud or (device.driver.baud if isinstance(device.driver, Driver) else None)
    return f"{link.url} at {baud} {link.bytesize}{_PARITY[link.parity]}{link.stopbits}"


def takes_over(device: Device) -> bool:
    """What it says is given away once, as a scanner's file is: only the agent may take that over."""
    return isinstance(device.driver, SourceDriver) and Expected.SCAN in device.driver.gives


async def listen(
    device: Device, emit: Emit, clock: Clock, seconds: float | None, open_link: OpenLink = SerialLink
) -> None:
    """Lets the device speak to `emit` for `seconds`; returns sooner if its driver fails.

    Of a scanner the first scan is shown, and never acknowledged: it stays with its sender.
    """

    async def shown(reading: Reading) -> None:
        await emit(reading)
        if takes_over(device) and not isinstance(reading.body, DeviceStatus):
            await asyncio.Event().wait()

    name, driver, link = device.config.id, device.driver, device.config.link
    limit = asyncio.timeout(seconds)
    try:
        async with limit:
            if isinstance(driver, SourceDriver):
                await attend(name, driver, device.settings, shown, clock)
            elif link is not None:
                await talk(name, driver, device.settings, link, shown, clock, open_link=open_link)
    except TimeoutError:
        if not limit.expired():
            raise


def in_utc(reading: Reading, clock: Clock) -> Reading:
    """The reading dated in seconds since 1970."""
    return replace(reading, at=at_monotonic(clock, reading.at).utc.timestamp())


def with_baud(device: Device, baud: int) -> Device:
    """The same device, its line at another rate."""
    link = device.config.link
    if link is None:
        raise TypeError(f"{device.config.id} has no link")
    changed = link.model_copy(update={"baud": baud})
    return replace(device, config=device.config.model_copy(update={"link": changed}))
