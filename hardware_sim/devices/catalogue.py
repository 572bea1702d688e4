"""Every simulated device: its kind, what a scenario can tell it, and how it is put up. A new one is a row here.

Which links a device can have stands in its settings. Whatever needs a heavy library imports it when it is put up.
"""

from collections.abc import Callable
from dataclasses import dataclass
from typing import Annotated, Any

from pydantic import Field

from hardware_sim.device import Device, DeviceSettings, Service, Site, WiredSettings
from hardware_sim.devices import barcode_scanner, rapiscan_vm250


@dataclass(frozen=True, slots=True)
class DeviceRow:
    """A device that speaks in bytes: `build(name, settings, site)`."""

    settings: type[WiredSettings]
    build: Callable[[str, Any, Site], Device]


@dataclass(frozen=True, slots=True)
class ServiceRow:
    """A device that speaks through a protocol library: `build(name, settings, site)`."""

    settings: type[DeviceSettings]
    build: Callable[[str, Any, Site], Service]


DEVICES: dict[str, DeviceRow] = {
    "barcode_scanner": DeviceRow(barcode_scanner.Settings, barcode_scanner.BarcodeScanner),
    "rapiscan_vm250": DeviceRow(rapiscan_vm250.Settings, rapiscan_vm250.RapiscanVm250),
}
SERVICES: dict[str, ServiceRow] = {}

# The same once more as a type: what may stand under `devices:` in a scenario.
AnyDevice = Annotated[
    barcode_scanner.Settings | rapiscan_vm250.Settings,
    Field(discriminator="kind"),
]
