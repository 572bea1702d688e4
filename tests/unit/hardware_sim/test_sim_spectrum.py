"""Spectra and N42 documents, judged by SpecUtils; and the registers of an Aspect portal."""

import struct
import xml.etree.ElementTree as ET
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from hardware_sim.devices import aspect_modbus, spectroscopic_n42
from hardware_sim.devices.n42 import NAMESPACE
from hardware_sim.world.lane import Lane
from hardware_sim.world.spectrum import (
    ENERGIES,
    NUCLIDES,
    background_shape,
    identify,
    nuclide_shape,
)
from hardware_sim.world.truck import Cargo, CargoKind
from tests.unit.hardware_sim.roads import TCP, lane_of, said_by, site_of, truck

SOURCE = Cargo(CargoKind.SOURCE, 1000.0, 0.0, 0.2, "Co-60")
NORM = Cargo(CargoKind.NORM, 300.0, 0.0, 0.0, "K-40")


def portal(lane: Lane, seed: int = 1, **more: Any) -> spectroscopic_n42.SpectroscopicN42:
    settings = spectroscopic_n42.Settings(kind="spectroscopic_n42", links=TCP, **more)  # type: ignore[arg-type]
    return spectroscopic_n42.SpectroscopicN42("spectro", settings, site_of(lane, seed))


def document(lane: Lane, **more: Any) -> ET.Element:
    ((_, framed),) = said_by(portal(lane, **more), 1e6)
    return ET.fromstring(framed[1:-1])  # noqa: S314  our own document


def texts(root: ET.Element, name: str) -> list[str]:
    return [e.text or "" for e in root.iter(f"{{{NAMESPACE}}}{name}")]


@pytest.mark.parametrize("name", NUCLIDES)
def test_every_nuclide_has_its_strongest_line_where_it_belongs(name: str) -> None:
    shape = nuclide_shape(name, 0.0)
    assert shape.sum() == pytest.approx(1.0)
    assert shape.min() >= 0
    for kev in NUCLIDES[name].key:
        window = np.abs(ENERGIES - kev) < 0.05 * kev + 12
        beside = (np.abs(ENERGIES - kev) < 0.14 * kev + 30) & ~window
        assert shape[window].max() > shape[beside & (kev < ENERGIES)].max()


def test_shielding_takes_low_energies_more() -> None:
    for name in ("Co-60", "Ir-192"):
        open_, behind = nuclide_shape(name, 0.0), nuclide_shape(name, 0.9)
        low = np.abs(ENERGIES - NUCLIDES[name].key[0]) < 40
        assert behind[low].sum() < open_[low].sum()


def test_background_alone_is_no_nuclide_and_each_nuclide_is_known_again() -> None:
    random = np.random.default_rng(3)
    for name in (None, *NUCLIDES):
        right = 0
        for _ in range(10):
            mean = background_shape() * 2800 * 8 * 0.85
            before = random.poisson(background_shape() * 2800 * 120).astype(float)
            if name is not None:
                mean = mean + nuclide_shape(name, 0.2) * 1000 * 8
            found = identify(random.poisson(mean).astype(float), before, 8 * 0.85 / 120)
            right += [f.nuclide.name for f in found] == ([] if name is None else [name])
        assert right >= 8, name


def test_document_is_read_by_specutils_as_it_was_meant(tmp_path: Path) -> None:
    specutils = pytest.importorskip("SpecUtils")
    lane = lane_of([truck(cargo=SOURCE)], stop_s=0.0)
    for counted_zeroes in (False, True):
        ((_, framed),) = said_by(portal(lane, counted_zeroes=counted_zeroes), 1e6)
        assert (framed[:1], framed[-1:]) == (b"\x02", b"\x03")
        path = tmp_path / "occupancy.n42"
        path.write_bytes(framed[1:-1])
        read = specutils.SpecFile()
        read.loadFile(str(path), specutils.ParserType.N42_2012 if hasattr(specutils.ParserType, "N42_2012") else
                      specutils.ParserType.Auto, "")  # fmt: skip
        assert list(read.parseWarnings()) == []
        assert (read.numMeasurements(), read.instrumentModel()) == (4, "SPM-2")
        assert list(read.detectorNames()) == ["Aa1", "Ba1"]
        fore = [m for m in read.measurements() if m.sourceType() == specutils.SourceType.Foreground]
        back = [m for m in read.measurements() if m.sourceType() == specutils.SourceType.Background]
        assert (len(fore), len(back)) == (2, 2)
        passage = lane.passages[0]
        assert fore[0].occupied() == specutils.OccupancyStatus.Occupied
        assert fore[0].realTime() == pytest.approx(passage.leaves(0.0) - passage.reaches(0.0) + 2.0, abs=0.4)
        assert fore[0].speed() == pytest.approx(2.0 / (passage.reaches(2.0) - passage.reaches(0.0)), abs=0.01)
        assert back[0].realTime() == 120.0
        assert fore[0].numGammaChannels() == 1024
        assert fore[0].gammaEnergyMax() == pytest.approx(3072)
        root = ET.fromstring(framed[1:-1])  # noqa: S314
        sent = sum(sum(map(int, t.split())) for t in texts(root, "ChannelData")) if not counted_zeroes else None
        if sent is not None:
            assert sum(m.gammaCountSum() for m in (*fore, *back)) == sent
            assert sum(m.neutronCountsSum() for m in (*fore, *back)) == sum(map(int, texts(root, "CountData")))
            plain = [m.gammaCountSum() for m in (*fore, *back)]
        else:
            assert [m.gammaCountSum() for m in (*fore, *back)] == plain


def test_elements_stand_in_the_schemas_order() -> None:
    root = document(lane_of([truck(cargo=SOURCE)]))
    names = [child.tag.removeprefix(f"{{{NAMESPACE}}}") for child in root]
    order = [
        "RadInstrumentDataCreatorName", "RadInstrumentInformation", "RadDetectorInformation", "RadItemInformation",
        "EnergyCalibration", "RadMeasurement", "AnalysisResults",
    ]  # fmt: skip
    assert [n for i, n in enumerate(names) if not i or names[i - 1] != n] == order
    ids = [e.get("id") for e in root.iter() if e.get("id")]
    assert len(ids) == len(set(ids))
    for element in root.iter():
        for attribute in ("radDetectorInformationReference", "energyCalibrationReference", "radMeasurementReferences"):
            assert set(element.get(attribute, "").split()) <= set(ids)


def test_verdict_names_source_and_norm_and_only_the_source_alarms() -> None:
    source = document(lane_of([truck(cargo=SOURCE)]))
    assert texts(source, "NuclideName") == ["Co-60"]
    assert texts(source, "RadAlarmCategoryCode") == ["Gamma"]
    norm = document(lane_of([truck(cargo=NORM)]))
    assert texts(norm, "NuclideName") == ["K-40"]
    assert texts(norm, "NuclideCategoryDescription") == ["NORM"]
    assert texts(norm, "RadAlarmCategoryCode") == []
    empty = document(lane_of([truck()]))
    assert texts(empty, "NuclideName") == texts(empty, "RadAlarm") == []


def test_neutrons_alarm_by_themselves() -> None:
    cargo = Cargo(CargoKind.SOURCE, 0.0, 40.0, 0.0, "Cs-137")
    assert texts(document(lane_of([truck(cargo=cargo)])), "RadAlarmCategoryCode") == ["Neutron"]


def test_same_seed_same_document_and_one_for_each_truck() -> None:
    lane = lane_of([truck(k) for k in range(1, 5)])
    assert said_by(portal(lane), 1e6) == said_by(portal(lane), 1e6) != said_by(portal(lane, seed=2), 1e6)
    device = portal(lane)
    said = said_by(device, 1e6)
    assert [at for at, _ in said] == [pytest.approx(device.done_with(p)) for p in lane.passages]
    assert all(device.said_of(p) is not None for p in lane.passages)


# --- Aspect ------------------------------------------------------------------------------------------------------


def aspect(lane: Lane, **more: Any) -> aspect_modbus.AspectModbus:
    return aspect_modbus.AspectModbus(
        "aspect", aspect_modbus.Settings(kind="aspect_modbus", **more), site_of(lane)
    )  # fmt: skip


def low_word_first(registers: list[int], at: int, form: str) -> Any:
    return struct.unpack(f">{form}", struct.pack(">HH", registers[at + 1], registers[at]))[0]


def test_registers_follow_the_truck_through_the_portal() -> None:
    lane = lane_of([truck(cargo=SOURCE), truck(2)], stop_s=0.0)
    device = aspect(lane)
    first, second = lane.passages
    said_by(device, first.reaches(0.0) - 0.5)
    idle = device.registers
    assert (idle[2], idle[3], idle[10], idle[17]) == (0, 0x80, 0x80, 0)
    assert low_word_first(idle, 4, "I") == pytest.approx(1800, abs=300)
    assert low_word_first(idle, 6, "f") == pytest.approx(1800, rel=0.05)
    assert low_word_first(idle, 8, "f") > 0
    assert low_word_first(idle, 0, "I") == int(device._woke)
    said_by(device, first.reaches(6.0))
    inside = device.registers
    assert inside[2] & 0b0100_0011 == 0b0100_0011
    assert inside[17] == 1
    said_by(device, first.leaves(0.0))
    assert device.registers[3] & 0x01
    assert device.registers[19] == pytest.approx(2.0 / (first.reaches(2.0) - first.reaches(0.0)) * 3.6, abs=0.6)
    said_by(device, device.done_with(first) + 0.5)
    assert (device.registers[2], device.registers[3]) == (0, 0x80)
    said = device.said_of(first)
    assert said is not None
    assert said["gamma_alarm"] is True
    said_by(device, device.done_with(second))
    assert device.registers[17] == 2
    assert (device.said_of(second) or {})["gamma_alarm"] is False
