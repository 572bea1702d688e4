"""How the page shows what the agent says."""

import re
from datetime import UTC
from pathlib import Path

from edge_agent.console.board import Board
from edge_agent.console.page import Page
from edge_agent.console.tail import Records
from edge_agent.devices.catalogue import CATALOGUE
from edge_agent.domain.errors import StoreFailed
from edge_agent.domain.observation import (
    Box,
    ContainerCodeRead,
    DeviceState,
    DeviceStatus,
    PlateRead,
    SealCondition,
    SealRead,
    SealState,
    Weight,
)
from tests.unit.console.test_live import Lane

BOX = Box(0, 0, 10, 10)
PLATE = PlateRead("MXR7319", 0.99, (), BOX)
SIGNING = DeviceStatus(DeviceState.ONLINE)
CODE = ContainerCodeRead("CSQU3054383", 0.99, (), BOX, True)


def no_ledger() -> Records:
    raise StoreFailed("there is no ledger yet", "start the agent")


def panel(lane: Lane, folder: Path, name: str, language: str = "en", device_key: DeviceStatus = SIGNING) -> str:
    board = Board(folder, no_ledger, lambda: (None, None), lane)
    board.heard(lane.live.snapshot(7, device_key))
    return Page(board, UTC, "UTC").panels(language, "")[name]


def cards(lane: Lane, folder: Path) -> list[str]:
    """What was read, in the order in which the page shows it."""
    return re.findall(r'<b class="identifier">(.*?)</b>', panel(lane, folder, "lanes"))


def test_what_is_read_again_stays_at_its_place(tmp_path: Path) -> None:
    lane = Lane()
    lane.comes("a")
    for body in (Weight(17_100.0, True, "17100", "kg"), CODE, SealRead("HS1"), PLATE):
        lane.says("scanner", body)
    shown = cards(lane, tmp_path)
    assert shown == ["MXR7319", "CSQU3054383", "HS1", "17100 kg"]
    for again in (PLATE, CODE, PLATE, SealRead("HS1")):
        lane.says("scanner", again)
        assert cards(lane, tmp_path) == shown


def test_what_is_wrong_stands_first_and_the_newest_of_a_kind_before_the_others(tmp_path: Path) -> None:
    lane = Lane()
    lane.comes("a")
    for body in (PLATE, PlateRead("MXR7318", 0.4, (), BOX), SealState("HS2", SealCondition.BROKEN), PLATE):
        lane.says("scanner", body)
    assert cards(lane, tmp_path) == ["HS2", "MXR7318", "MXR7319"]


def test_a_device_is_named_in_the_readers_language(tmp_path: Path) -> None:
    lane = Lane(portal=CATALOGUE["rapiscan_vm250"].device)
    assert "radiation portal monitor" in panel(lane, tmp_path, "devices")
    spanish = panel(lane, tmp_path, "devices", "es")
    assert "pórtico de radiación" in spanish
    assert "a scanner" in spanish  # of somebody else's driver


def test_a_device_key_that_opens_no_new_session_is_told_until_it_does(tmp_path: Path) -> None:
    away = DeviceStatus(DeviceState.OFFLINE, "the token <booth> is not in its slot")
    told = panel(Lane(), tmp_path, "health", device_key=away)
    assert re.search(
        r'<div class="bad"><dt>Device key</dt><dd>OPENS NO NEW SESSION: the token &lt;booth&gt; is not', told
    )
    assert "NO ABRE UNA SESIÓN NUEVA" in panel(Lane(), tmp_path, "health", "es", away)
    assert "Device key" not in panel(Lane(), tmp_path, "health")
