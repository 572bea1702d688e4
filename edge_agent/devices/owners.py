"""Where a device's one owner takes hold of it: a port, a connection or a folder, by whatever name it is called."""

import ipaddress
import os
from collections.abc import Iterator, Mapping
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from edge_agent.devices.catalogue import AnyDriver, SourceDriver
from edge_agent.devices.link import port_of
from edge_agent.settings_numbers import whole_number


@dataclass(frozen=True, slots=True)
class Held:
    """What a device holds: the setting that names it, what that says, and the same for all that mean the same place.

    `listens` is the port where it lets its device come; at every address of this computer if `everywhere`.
    """

    setting: tuple[str, str]
    said: str
    place: str
    listens: int | None = None
    everywhere: bool = False

    def meets(self, other: "Held") -> bool:
        """Both cannot be held at a time."""
        one_port = self.listens is not None and self.listens == other.listens
        return self.place == other.place or (one_port and (self.everywhere or other.everywhere))

    def also(self, other: "Held") -> str:
        """How they meet, where they say different things of it."""
        return "" if self.place == other.place else f": it listens on {self.said}"


def held_places(driver: AnyDriver, device: Mapping[str, object], folder: Path) -> Iterator[Held]:
    """Of a device as it stands in the settings file. What is wrong in itself is left out.

    `folder` is what paths are relative to.
    """
    link, settings = _mapping(device.get("link")), _mapping(device.get("settings"))

    def said(name: str) -> Any:
        field = driver.settings.model_fields.get(name)
        return None if field is None else settings.get(name, None if field.is_required() else field.default)

    for section, url in (("link", link.get("url")), ("settings", said("url"))):
        try:
            if isinstance(url, str) and url:
                yield Held((section, "url"), url, port_of(url))
        except ValueError:
            continue
    host, port, unit = said("host"), whole_number(said("port")), whole_number(said("unit"))
    if isinstance(host, str) and port:
        try:
            place = port_of(f"tcp://{f'[{host}]' if ':' in host else host or '*'}:{port}")
        except ValueError:
            return
        listens = port if isinstance(driver, SourceDriver) and driver.pushes else None
        # Behind one Modbus gateway there are several devices.
        place = place if unit is None else f"{place} unit {unit}"
        everywhere = listens is not None and _every_address(host)
        yield Held(("settings", "port"), f"{host}:{port}", place, listens, everywhere)
    done = said("done_directory")
    for name in ("directory", "done_directory", "memory"):
        with suppress(ValueError):  # no path at all
            if isinstance(path := said(name), str):
                yield Held(("settings", name), path, os.path.realpath(folder / path))
    with suppress(ValueError):
        if isinstance(path := said("directory"), str) and said("after") == "move" and done is None:
            yield Held(("settings", "directory"), f"{path}/done", os.path.realpath(folder / path / "done"))


def _every_address(host: str) -> bool:
    with suppress(ValueError):
        return ipaddress.ip_address(host).is_unspecified
    return not host


def _mapping(value: object) -> Mapping[str, Any]:
    return value if isinstance(value, Mapping) else {}
