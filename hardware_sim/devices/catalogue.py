"""Every simulated device: its kind, what a scenario can tell it, and how it is put up. A new one is a row here.

Which links a device can have stands in its settings. Whatever needs a heavy library imports it when it is put up.
"""

from collections.abc import Callable
from dataclasses import dataclass
from typing import Annotated, Any

from pydantic import Field

from hardware_sim.device import Device, DeviceSettings, Service, Site, WiredSettings
from hardware_sim.devices import (
    aspect_modbus,
    barcode_scanner,
    imaging_dicom,
    imaging_folder,
    imaging_http,
    llrp_reader,
    modem_lines,
    mt_sics,
    nci_scp01,
    rapiscan_vm250,
    rice_lake_iq355,
    spectroscopic_n42,
    sti_vs6400,
    toledo_continuous,
    uhfreader,
)


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
    "modem_lines": DeviceRow(modem_lines.Settings, modem_lines.ModemLines),
    "mt_sics": DeviceRow(mt_sics.Settings, mt_sics.MtSics),
    "nci_scp01": DeviceRow(nci_scp01.Settings, nci_scp01.NciScp01),
    "rapiscan_vm250": DeviceRow(rapiscan_vm250.Settings, rapiscan_vm250.RapiscanVm250),
    "rice_lake_iq355": DeviceRow(rice_lake_iq355.Settings, rice_lake_iq355.RiceLakeIq355),
    "spectroscopic_n42": DeviceRow(spectroscopic_n42.Settings, spectroscopic_n42.SpectroscopicN42),
    "sti_vs6400": DeviceRow(sti_vs6400.Settings, sti_vs6400.StiVs6400),
    "toledo_continuous": DeviceRow(toledo_continuous.Settings, toledo_continuous.ToledoContinuous),
    "uhfreader18": DeviceRow(uhfreader.Settings18, uhfreader.UhfReader),
    "uhfreader288": DeviceRow(uhfreader.Settings288, uhfreader.UhfReader),
}
SERVICES: dict[str, ServiceRow] = {
    "aspect_modbus": ServiceRow(aspect_modbus.Settings, aspect_modbus.AspectModbus),
    "imaging_dicom": ServiceRow(imaging_dicom.Settings, imaging_dicom.ImagingDicom),
    "imaging_folder": ServiceRow(imaging_folder.Settings, imaging_folder.ImagingFolder),
    "imaging_http": ServiceRow(imaging_http.Settings, imaging_http.ImagingHttp),
    "llrp_reader": ServiceRow(llrp_reader.Settings, llrp_reader.LlrpReader),
}

# The same once more as a type: what may stand under `devices:` in a scenario.
AnyDevice = Annotated[
    aspect_modbus.Settings
    | barcode_scanner.Settings
    | imaging_dicom.Settings
    | imaging_folder.Settings
    | imaging_http.Settings
    | llrp_reader.Settings
    | modem_lines.Settings
    | mt_sics.Settings
    | nci_scp01.Settings
    | rapiscan_vm250.Settings
    | rice_lake_iq355.Settings
    | spectroscopic_n42.Settings
    | sti_vs6400.Settings
    | toledo_continuous.Settings
    | uhfreader.Settings18
    | uhfreader.Settings288,
    Field(discriminator="kind"),
]
