"""Contacts on modem-control lines: a real RFC 2217 server, and ports that have none."""

import asyncio
import os
import time
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

import pytest
from serial.rfc2217 import IAC, SE

from edge_agent.devices.attend import attend
from edge_agent.devices.catalogue import SOURCES
from edge_agent.devices.link import LinkSettings, SerialLink
from edge_agent.devices.sources import modem_lines
from edge_agent.devices.sources.modem_lines import Settings
from edge_agent.domain.clock import SystemClock
from edge_agent.domain.errors import LinkDown
from edge_agent.domain.observation import Direction, Malformed, Presence
from tests.contracts.source_modem_lines import CD, CTS, DSR, RI, contact_box
from tests.integration.devices.conftest import Cable, Heard, until

BARRIERS = {"cts": {"sensor": "entry"}, "dsr": {"sensor": "exit"}}


@asynccontextmanager
async def attended(url: str, **settings: object) -> AsyncIterator[Heard]:
    heard, row = Heard(), SOURCES["modem_lines"]
    wired = Settings.model_validate(
        {"url": url, "lines": BARRIERS, "forward": ("cts", "dsr"), "debounce_s": 0.06, **settings}
    )
    async with asyncio.TaskGroup() as tasks:
        task = tasks.create_task(
            attend("x", row, wired, heard.emit, SystemClock(), uniform=lambda low, high: 0.02), name="attend"
        )
        try:
            yield heard
        finally:
            task.cancel()


def presences(heard: Heard) -> list[Presence]:
    return [reading.body for reading in heard.readings if isinstance(reading.body, Presence)]


async def test_a_vehicle_drives_through_two_barriers() -> None:
    async with contact_box() as box, attended(box.url) as heard:
        await until(lambda: presences(heard) == [Presence(False)])
        for state, told in ((CTS, 2), (CTS | DSR, 3)):
            box.switch(state)
            await until(lambda told=told: len(presences(heard)) == told)  # type: ignore[misc]
        box.switch(DSR)
        await until(lambda: any(reading.raw == bytes([DSR]) for reading in heard.readings))
        box.switch(0)
        await until(lambda: len(presences(heard)) == 4)
    assert presences(heard)[1:] == [
        Presence(True),
        Presence(True, Direction.FORWARD),
        Presence(False, Direction.FORWARD),
    ]
    assert heard.raw == bytes([0, CTS, CTS | DSR, DSR, 0]), "every state, once"
    assert heard.states == ["waiting", "online"]


@pytest.mark.parametrize(("line", "mask"), [("cts", CTS), ("dsr", DSR), ("ri", RI), ("cd", CD)])
async def test_each_line_is_its_own(line: str, mask: int) -> None:
    lines = {line: {"sensor": "loop"}}
    async with contact_box() as box, attended(box.url, lines=lines, forward=None) as heard:
        await until(lambda: presences(heard) == [Presence(False)])
        box.switch(0xF0 & ~mask)
        await until(lambda: any(reading.raw == bytes([0xF0 & ~mask]) for reading in heard.readings))
        box.switch(mask)
        await until(lambda: presences(heard) == [Presence(False), Presence(True)])


async def test_a_device_server_that_goes_and_comes_back() -> None:
    async with contact_box() as box, attended(box.url) as heard:
        await until(lambda: presences(heard) == [Presence(False)])
        box.switch(CTS)
        await until(lambda: len(presences(heard)) == 2)
        await box.vanish()
        await until(lambda: "offline" in heard.states)
        assert len(presences(heard)) == 2, "that the line was lost says nothing of the lane"
        await box.come_back()
        await until(lambda: len(presences(heard)) == 3)
        assert presences(heard)[-1] == Presence(True), "told anew"
    assert heard.states[:2] == ["waiting", "online"]
    assert heard.states[-1] == "online"


async def test_a_device_server_that_keeps_its_lines_to_itself(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(modem_lines, "FIRST_STATE_S", 0.5)
    async with contact_box(tells=False) as box, attended(box.url) as heard:
        await until(lambda: "offline" in heard.states)
        assert heard.states[:2] == ["waiting", "offline"]
        assert "tells nothing of its modem-control lines" in heard.details[1]


async def test_bytes_on_the_port_are_kept_and_the_lines_read_on() -> None:
    async with contact_box() as box, attended(box.url) as heard:
        await until(lambda: presences(heard) == [Presence(False)])
        await box.garble(b"\xff\x00noise")
        await until(lambda: any(isinstance(reading.body, Malformed) for reading in heard.readings))
        box.switch(CTS)
        await until(lambda: len(presences(heard)) == 2)
    noise = b"".join(reading.raw for reading in heard.readings if isinstance(reading.body, Malformed))
    assert noise == b"\xff\x00noise"


# pyserial's thread dies of a telnet sequence that nobody began; that it does is told as a lost link.
@pytest.mark.filterwarnings("ignore::pytest.PytestUnhandledThreadExceptionWarning")
async def test_a_peer_that_breaks_pyserials_telnet_is_a_lost_link() -> None:
    async with contact_box() as box, attended(box.url) as heard:
        await until(lambda: presences(heard) == [Presence(False)])
        box.write(IAC + SE)
        await until(
            lambda: heard.states[-3:] == ["offline", "waiting", "online"] or heard.states[-2:] == ["offline", "online"]
        )
        box.switch(CTS)
        await until(lambda: presences(heard)[-1] == Presence(True))


async def test_a_port_without_lines_says_so(cable: Cable) -> None:
    async with attended(str(cable.path)) as heard:
        await until(lambda: "offline" in heard.states)
        assert any("has no modem-control lines" in detail for detail in heard.details)


@pytest.fixture
def local_lines(monkeypatch: pytest.MonkeyPatch) -> list[int]:
    """A pseudo-terminal stands in for a port; its lines are answered for it, as the kernel would."""
    state = [0]

    def answered(mask: int) -> property:
        return property(lambda port: bool(state[0] & mask))

    for line, mask in (("cts", CTS), ("dsr", DSR), ("ri", RI), ("cd", CD)):
        monkeypatch.setattr(f"serial.Serial.{line}", answered(mask))
    return state


async def test_a_local_port_that_goes_is_a_lost_link(cable: Cable, local_lines: list[int]) -> None:
    async with attended(str(cable.path)) as heard:
        await until(lambda: presences(heard) == [Presence(False)])
        began = time.monotonic()
        local_lines[0] = CTS
        await until(lambda: presences(heard)[-1] == Presence(True))
        at = next(reading.at for reading in heard.readings if reading.raw == bytes([CTS]))
        assert began <= at <= time.monotonic()
        cable.pull()
        await until(lambda: heard.states[-1] == "offline")
        cable.plug_in()
        await until(lambda: presences(heard)[-2:] == [Presence(True), Presence(True)])


async def test_an_input_error_is_not_taken_for_a_port_without_lines(
    cable: Cable, monkeypatch: pytest.MonkeyPatch
) -> None:
    def unplugged(_: object) -> bool:
        raise OSError(5, os.strerror(5))

    monkeypatch.setattr("serial.Serial.cts", property(unplugged))
    lines = Settings.model_validate({"url": str(cable.path), "lines": BARRIERS})
    with pytest.raises(LinkDown, match="Input/output error") as raised:
        await modem_lines.ModemLines(lines, SystemClock()).run(Heard().emit)
    assert "check the cable" in raised.value.remedy


async def test_a_port_has_one_owner(cable: Cable, local_lines: list[int]) -> None:
    async with attended(str(cable.path)) as heard:
        await until(lambda: presences(heard))
        with pytest.raises(LinkDown, match="cannot be opened"):
            await SerialLink(LinkSettings(url=str(cable.path)), 9600, SystemClock()).__aenter__()
