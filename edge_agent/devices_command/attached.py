"""What is attached to this computer, what could be, and where a booth's devices are."""

import os
from collections.abc import Callable, Iterable
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any, Protocol

from serial.tools.list_ports import comports

from edge_agent.config import Device
from edge_agent.devices.catalogue import AnyDriver, Driver, drivers
from edge_agent.devices.holders import strangers
from edge_agent.devices_command.booth import running_agent
from edge_agent.devices_command.settings import Attached

# Names that stay with an adapter (by-id), or with the socket that it is plugged into (by-path).
STABLE_NAMES = (Path("/dev/serial/by-id"), Path("/dev/serial/by-path"))


class PortInfo(Protocol):
    """What pyserial knows of a port; None where it knows nothing."""

    @property
    def device(self) -> str: ...
    @property
    def manufacturer(self) -> str | None: ...
    @property
    def product(self) -> str | None: ...
    @property
    def serial_number(self) -> str | None: ...


@dataclass(frozen=True, slots=True)
class Port:
    """A local serial port: its names that stay, best first, what it calls itself, and who has it open."""

    device: str
    names: tuple[str, ...]
    about: str
    held_by: tuple[str, ...]


def ports(
    found: Callable[[], Iterable[PortInfo]] = comports, stable_names: Iterable[Path] = STABLE_NAMES
) -> list[Port]:
    """The local serial ports there are."""
    names: dict[str, list[str]] = {}
    for folder in stable_names:
        for link in sorted(folder.iterdir()) if folder.is_dir() else ():
            names.setdefault(os.path.realpath(link), []).append(str(link))
    return [
        Port(
            port.device,
            tuple(names.get(os.path.realpath(port.device), ())),
            " ".join(filter(None, (port.manufacturer, port.product, port.serial_number))),
            tuple(str(holder) for holder in strangers(port.device)),
        )
        for port in sorted(found(), key=lambda port: port.device)
    ]


def everything(booth: Attached | None, found: list[Port]) -> dict[str, Any]:
    """One JSON-able object: `ports`, `drivers` and, with a booth's settings, its `devices` and the `agent`."""
    known = drivers()
    said: dict[str, Any] = {
        "ports": [asdict(port) for port in found],
        "drivers": [_driver(known[name]) for name in sorted(known)],
    }
    if booth is not None:
        agent = running_agent(booth.ledger)
        said["agent"] = None if agent is None else str(agent)
        said["devices"] = [
            {
                "device": device.config.id,
                "lane": lane,
                "driver": device.driver.name,
                "what": device.driver.device,
                "where": device.where,
                "port": _presence(device),
            }
            for lane, device in booth.devices
        ]
    return said


def in_words(said: dict[str, Any]) -> list[str]:
    """The same for people."""
    lines = ["serial ports"]
    lines += [f"  {_port(port)}" for port in said["ports"]] or ["  none on this computer"]
    lines += ["drivers"]
    lines += [f"  {d['driver']:<20}  {d['what']}: {d['provides']}" for d in said["drivers"]]
    if "devices" in said:
        lines += ["devices of the booth" + (f", whose agent runs: {said['agent']}" if said["agent"] else "")]
        for d in said["devices"]:
            lines.append(f"  {d['device']:<20}  lane {d['lane']}: {d['driver']} at {d['where']}")
            if d["port"]:
                lines.append(f"  {'':<20}  {d['port']}")
    return lines


def _driver(driver: AnyDriver) -> dict[str, Any]:
    return {
        "driver": driver.name,
        "what": driver.device,
        "provides": driver.provides,
        "link": isinstance(driver, Driver),
        "baud": driver.baud if isinstance(driver, Driver) else None,
    }


def _presence(device: Device) -> str:
    """Of a local port, whether it is there and who holds it; '' for others, which are not tried."""
    link = device.config.link
    if link is None or link.on_network:
        return ""
    if not os.path.exists(link.url):
        return "no such port now"
    held = ", ".join(str(holder) for holder in strangers(link.url))
    real = os.path.realpath(link.url)
    return ("now " + real if real != link.url else "there") + (f", held by {held}" if held else "")


def _port(port: dict[str, Any]) -> str:
    said = "  ".join(filter(None, (*port["names"][:1], port["device"], port["about"])))
    return said + (f"  held by {', '.join(port['held_by'])}" if port["held_by"] else "")
