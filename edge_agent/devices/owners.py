"""Where a device's one owner takes hold of it: a port, a connection or a folder, by whatever name it is called."""

import os
from collections.abc import Iterator, Mapping
from contextlib import suppress
from pathlib import Path
from typing import Any

from edge_agent.devices.catalogue import AnyDriver
from edge_agent.devices.link import port_of


def held_places(
    driver: AnyDriver, device: Mapping[str, object], folder: Path
) -> Iterator[tuple[tuple[str, str], str, str]]:
    """Of a device as it stands in the settings file: the setting, what it says, and the same for all that mean it.

    What is wrong in itself is left out. `folder` is what paths are relative to.
    """
    link, settings = _mapping(device.get("link")), _mapping(device.get("settings"))

    def said(name: str) -> Any:
        field = driver.settings.model_fields.get(name)
        return None if field is None else settings.get(name, None if field.is_required() else field.default)

    for section, url in (("link", link.get("url")), ("settings", said("url"))):
        try:
            if isinstance(url, str) and url:
                yield (section, "url"), url, port_of(url)
        except ValueError:
            continue
    host, port, unit = said("host"), said("port"), said("unit")
    if isinstance(host, str) and isinstance(port, int) and port:
        try:
            place = port_of(f"tcp://{f'[{host}]' if ':' in host else host}:{port}")
        except ValueError:
            return
        # Behind one Modbus gateway there are several devices.
        yield ("settings", "port"), f"{host}:{port}", place if unit is None else f"{place} unit {unit}"
    done = said("done_directory")
    for name in ("directory", "done_directory", "memory"):
        with suppress(ValueError):  # no path at all
            if isinstance(path := said(name), str):
                yield ("settings", name), path, os.path.realpath(folder / path)
    with suppress(ValueError):
        if isinstance(path := said("directory"), str) and said("after") == "move" and done is None:
            yield ("settings", "directory"), f"{path}/done", os.path.realpath(folder / path / "done")


def _mapping(value: object) -> Mapping[str, Any]:
    return value if isinstance(value, Mapping) else {}
