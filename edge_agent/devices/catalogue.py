"""Every driver there is: ours in two visible tables, third parties' by the entry point group `edge_agent.drivers`."""

import functools
from collections.abc import Callable, Iterable
from dataclasses import dataclass
from importlib.metadata import EntryPoint, entry_points
from typing import Any

from pydantic import BaseModel

from edge_agent.devices.dialogue import Dialogue
from edge_agent.devices.drivers import (
    barcode_scanner,
    mt_sics,
    nci_scp01,
    rapiscan_vm250,
    rice_lake_iq355,
    spectroscopic_n42,
    sti_vs6400,
    toledo_continuous,
    uhfreader18,
)
from edge_agent.devices.source import Source
from edge_agent.devices.sources import aspect_modbus, dicom_store, http_push, llrp, modem_lines, watched_folder
from edge_agent.domain.clock import Clock
from edge_agent.domain.errors import SettingsInvalid
from edge_agent.domain.inspection import Expected

ENTRY_POINT_GROUP = "edge_agent.drivers"


@dataclass(frozen=True, slots=True)
class Driver:
    """A row of the catalogue whose device speaks bytes over a link.

    `gives` says what a lane can expect of it. `dialogue` makes the conversation of one connection from this driver's
    own `settings`. `silence_s` is how long the device may say nothing before that is news; None for a device that
    speaks only when used. `buffer_limit` is the most bytes that a dialogue holds. Bytes with one of `slow_at` among
    them may take long to make sense of: they are given to the dialogue in a thread, and other devices go on meanwhile.
    """

    name: str
    device: str
    provides: str
    gives: frozenset[Expected]
    settings: type[BaseModel]
    # Any: each driver takes its own settings type, and `open` checks it.
    dialogue: Callable[[Any], Dialogue]
    baud: int
    silence_s: float | None
    buffer_limit: int
    slow_at: bytes = b""

    def open(self, settings: BaseModel) -> Dialogue:
        """A dialogue for a new connection. Raises TypeError if `settings` are another driver's."""
        if not isinstance(settings, self.settings):
            raise TypeError(f"{self.name} takes {self.settings.__qualname__}, not {type(settings).__qualname__}")
        return self.dialogue(settings)


@dataclass(frozen=True, slots=True)
class SourceDriver:
    """A row of the catalogue whose protocol is spoken by a library, which owns the input and output.

    `source` makes one from this driver's own `settings`, which say where the device is, and the booth's clock.
    `pushes`: the device is heard of only when it has something; its silence is no fault.
    """

    name: str
    device: str
    provides: str
    gives: frozenset[Expected]
    settings: type[BaseModel]
    # Any: each driver takes its own settings type, and `open` checks it.
    source: Callable[[Any, Clock], Source]
    pushes: bool = False

    def open(self, settings: BaseModel, clock: Clock) -> Source:
        """A source for a new connection. Raises TypeError if `settings` are another driver's."""
        if not isinstance(settings, self.settings):
            raise TypeError(f"{self.name} takes {self.settings.__qualname__}, not {type(settings).__qualname__}")
        return self.source(settings, clock)


AnyDriver = Driver | SourceDriver

CATALOGUE: dict[str, Driver] = {
    "rapiscan_vm250": Driver(
        name="rapiscan_vm250",
        device="Rapiscan / TSA radiation portal monitor, VM-250 family, ASCII protocol",
        provides="gamma and neutron counts, alarms, occupancies, presence, faults",
        gives=frozenset({Expected.RADIATION}),
        settings=rapiscan_vm250.Settings,
        dialogue=rapiscan_vm250.RapiscanVm250,
        baud=9600,
        silence_s=15.0,  # a background every 5 s; three missed
        buffer_limit=rapiscan_vm250.LINE_LIMIT,
    ),
    "barcode_scanner": Driver(
        name="barcode_scanner",
        device="serial barcode scanner",
        provides="seal numbers and other barcodes",
        gives=frozenset({Expected.SEAL}),
        settings=barcode_scanner.Settings,
        dialogue=barcode_scanner.BarcodeScanner,
        baud=9600,
        silence_s=None,
        buffer_limit=barcode_scanner.SCAN_LIMIT,
    ),
    "spectroscopic_n42": Driver(
        name="spectroscopic_n42",
        device="spectroscopic radiation portal, ANSI N42.42 documents between STX and ETX",
        provides="gamma and neutron counts of a passage, alarms, nuclides",
        gives=frozenset({Expected.RADIATION}),
        settings=spectroscopic_n42.Settings,
        dialogue=spectroscopic_n42.SpectroscopicN42,
        baud=115_200,
        silence_s=None,  # most speak once a vehicle
        buffer_limit=spectroscopic_n42.NOISE_LIMIT + 1 + spectroscopic_n42.LARGEST_LIMIT,
        slow_at=bytes([spectroscopic_n42.ETX]),
    ),
    "uhfreader18": Driver(
        name="uhfreader18",
        device="UHF tag reader, UHFReader18 and UHFReader288 protocol",
        provides="tags, seals and their condition",
        gives=frozenset({Expected.TAG, Expected.SEAL}),
        settings=uhfreader18.Settings,
        dialogue=uhfreader18.UhfReader18,
        baud=57600,
        silence_s=30.0,  # it answers within its inventory time, of 25.5 s at most
        buffer_limit=uhfreader18.BUFFER_LIMIT,
    ),
    "toledo_continuous": Driver(
        name="toledo_continuous",
        device="scale terminal with Toledo continuous output",
        provides="weights, gross or net, and when they are settled; out of range, not zeroed",
        gives=frozenset({Expected.WEIGHT}),
        settings=toledo_continuous.Settings,
        dialogue=toledo_continuous.ToledoContinuous,
        baud=9600,
        silence_s=10.0,  # seven frames a second
        buffer_limit=toledo_continuous.BUFFER_LIMIT,
    ),
    "rice_lake_iq355": Driver(
        name="rice_lake_iq355",
        device="scale terminal that streams the Rice Lake IQ355 format",
        provides="weights, gross or net, and when they are settled; out of range, invalid",
        gives=frozenset({Expected.WEIGHT}),
        settings=rice_lake_iq355.Settings,
        dialogue=rice_lake_iq355.RiceLakeIq355,
        baud=9600,
        silence_s=10.0,  # several frames a second
        buffer_limit=rice_lake_iq355.BUFFER_LIMIT,
    ),
    "nci_scp01": Driver(
        name="nci_scp01",
        device="scale that is asked by the NCI protocol SCP-01",
        provides="weights and when they are settled; out of range, errors of the scale",
        gives=frozenset({Expected.WEIGHT}),
        settings=nci_scp01.Settings,
        dialogue=nci_scp01.NciScp01,
        baud=9600,
        silence_s=15.0,  # asked every 5 s at least
        buffer_limit=nci_scp01.BUFFER_LIMIT,
    ),
    "mt_sics": Driver(
        name="mt_sics",
        device="scale that is asked by MT-SICS",
        provides="weights and when they are settled; out of range, errors; what scale it is",
        gives=frozenset({Expected.WEIGHT}),
        settings=mt_sics.Settings,
        dialogue=mt_sics.MtSics,
        baud=9600,
        silence_s=15.0,  # asked every 5 s at least
        buffer_limit=mt_sics.BUFFER_LIMIT,
    ),
    "sti_vs6400": Driver(
        name="sti_vs6400",
        device="STI VS6400 vehicle separator, ASCII lists of objects",
        provides="presence; beams that are stuck",
        gives=frozenset(),
        settings=sti_vs6400.Settings,
        dialogue=sti_vs6400.StiVs6400,
        baud=9600,
        silence_s=None,  # it may be set up to report changes only
        buffer_limit=sti_vs6400.BUFFER_LIMIT,
    ),
}

SOURCES: dict[str, SourceDriver] = {
    "llrp": SourceDriver(
        name="llrp",
        device="UHF tag reader that speaks LLRP",
        provides="tags, seals and their condition",
        gives=frozenset({Expected.TAG, Expected.SEAL}),
        settings=llrp.Settings,
        source=llrp.Llrp,
    ),
    "aspect_modbus": SourceDriver(
        name="aspect_modbus",
        device="Aspect radiation portal monitor, Modbus TCP",
        provides="gamma and neutron counts, alarms, occupancies, presence with direction, faults",
        gives=frozenset({Expected.RADIATION}),
        settings=aspect_modbus.Settings,
        source=aspect_modbus.AspectModbus,
    ),
    "modem_lines": SourceDriver(
        name="modem_lines",
        device="loops, light barriers and other contacts on a serial port's modem-control lines",
        provides="presence, and direction by two contacts",
        gives=frozenset(),
        settings=modem_lines.Settings,
        source=modem_lines.ModemLines,
        pushes=True,
    ),
    "watched_folder": SourceDriver(
        name="watched_folder",
        device="imaging scanner whose software writes files into a folder",
        provides="scans with a quick look",
        gives=frozenset({Expected.SCAN}),
        settings=watched_folder.Settings,
        source=watched_folder.WatchedFolder,
        pushes=True,
    ),
    "dicom_store": SourceDriver(
        name="dicom_store",
        device="imaging scanner that sends by DICOM C-STORE, DICOS too",
        provides="scans with a quick look",
        gives=frozenset({Expected.SCAN}),
        settings=dicom_store.Settings,
        source=dicom_store.DicomStore,
        pushes=True,
    ),
    "http_push": SourceDriver(
        name="http_push",
        device="imaging scanner that pushes files by HTTP",
        provides="scans with a quick look",
        gives=frozenset({Expected.SCAN}),
        settings=http_push.Settings,
        source=http_push.HttpPush,
        pushes=True,
    ),
}


def drivers(installed: Iterable[EntryPoint] | None = None) -> dict[str, AnyDriver]:
    """The catalogue, with what installed packages add.

    `installed` stands in for the entry points of the environment. Raises SettingsInvalid, naming the package, on
    an entry point that does not load, is no `Driver`, or takes a name that is taken.
    """
    found: dict[str, AnyDriver] = {**CATALOGUE, **SOURCES}
    for entry in _installed() if installed is None else installed:
        package = entry.dist.name if entry.dist else "an unnamed package"
        remedy = f"repair or uninstall {package}"
        try:
            driver = entry.load()
        except Exception as error:
            raise SettingsInvalid(
                f"the driver {entry.name!r} of {package} ({entry.value}) does not load: "
                f"{type(error).__name__}: {error}",
                remedy,
            ) from error
        if not isinstance(driver, AnyDriver) or driver.name != entry.name:
            raise SettingsInvalid(
                f"the driver {entry.name!r} of {package} ({entry.value}) is not a Driver of that name: {driver!r}",
                remedy,
            )
        if driver.name in found:
            raise SettingsInvalid(f"the driver {entry.name!r} of {package} takes a name that is taken", remedy)
        found[driver.name] = driver
    return found


@functools.cache
def _installed() -> tuple[EntryPoint, ...]:
    """Read once: a start asks five times, and each time every installed package's list would be opened."""
    return tuple(entry_points(group=ENTRY_POINT_GROUP))


def driver(name: str) -> AnyDriver:
    """The driver of that name. Raises SettingsInvalid, naming those there are, if there is none."""
    known = drivers()
    if name not in known:
        raise SettingsInvalid(f"there is no driver {name!r}", f"use one of: {', '.join(sorted(known))}")
    return known[name]
