from dataclasses import replace
from importlib.metadata import EntryPoint

import pytest

from edge_agent.devices.catalogue import CATALOGUE, ENTRY_POINT_GROUP, SOURCES, driver, drivers
from edge_agent.devices.drivers import barcode_scanner, rapiscan_vm250
from edge_agent.domain.errors import SettingsInvalid

REPEATED = CATALOGUE["barcode_scanner"]
OTHER = replace(REPEATED, name="other")


def entry(name: str, value: str) -> EntryPoint:
    return EntryPoint(name, f"{__name__}:{value}", ENTRY_POINT_GROUP)


def test_third_parties_add_drivers() -> None:
    found = drivers([entry("other", "OTHER")])
    assert found["other"] is OTHER
    assert set(found) == {*CATALOGUE, *SOURCES, "other"}


@pytest.mark.parametrize(
    ("bad", "why"),
    [
        (EntryPoint("x", "no_such_module:y", ENTRY_POINT_GROUP), "does not load: ModuleNotFoundError"),
        (entry("other", "no_such_thing"), "does not load: AttributeError"),
        (entry("another", "OTHER"), "is not a Driver of that name"),
        (entry("entry", "entry"), "is not a Driver of that name"),
        (entry("barcode_scanner", "REPEATED"), "takes a name that is taken"),
    ],
)
def test_a_broken_entry_point_is_an_error(bad: EntryPoint, why: str) -> None:
    with pytest.raises(SettingsInvalid, match=why) as raised:
        drivers([bad])
    assert "an unnamed package" in raised.value.remedy


def test_the_package_is_named() -> None:
    from importlib.metadata import distribution

    bad = EntryPoint("x", "no_such_module:y", ENTRY_POINT_GROUP)
    vars(bad).update(dist=distribution("pytest"))
    with pytest.raises(SettingsInvalid, match="of pytest"):
        drivers([bad])


def test_an_unknown_driver_names_those_there_are() -> None:
    assert driver("rapiscan_vm250") is CATALOGUE["rapiscan_vm250"]
    with pytest.raises(SettingsInvalid, match=r"barcode_scanner, .*rapiscan_vm250"):
        driver("nothing")


def test_a_driver_takes_its_own_settings_only() -> None:
    with pytest.raises(TypeError, match="barcode_scanner takes Settings"):
        REPEATED.open(rapiscan_vm250.Settings())
    assert REPEATED.open(barcode_scanner.Settings()).to_send() == b""
