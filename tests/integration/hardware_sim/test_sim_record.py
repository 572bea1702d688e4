"""A session recorded on real links, and served again: a reader gets the same bytes at the same times."""

import asyncio
import json
from pathlib import Path
from typing import Any

import pytest
import serial

from edge_agent.domain.clock import SystemClock
from edge_agent.domain.errors import SettingsInvalid
from hardware_sim import record
from hardware_sim.faults import AnyFault
from hardware_sim.record import Session
from hardware_sim.replay import Replay
from hardware_sim.scenario import parse_scenario
from tests.integration.hardware_sim.sim import address, connected, lane, running, until

Heard = list[tuple[float, bytes]]


class Listener:
    """Collects what a link says, with the time since it attached."""

    def __init__(self) -> None:
        self.heard: Heard = []
        self._began = asyncio.get_running_loop().time()

    @property
    def data(self) -> bytes:
        return b"".join(data for _, data in self.heard)

    async def tcp(self, url: str) -> None:
        reader, writer = await connected(url)
        try:
            while data := await reader.read(4096):
                self.heard.append((asyncio.get_running_loop().time() - self._began, data))
        except OSError:
            pass
        finally:
            writer.close()

    async def terminal(self, path: str) -> None:
        try:
            with serial.Serial(path, timeout=0) as port:
                while True:
                    if data := port.read(4096):
                        self.heard.append((asyncio.get_running_loop().time() - self._began, data))
                    await asyncio.sleep(0.005)
        except serial.SerialException:
            pass


async def test_byte_for_byte_what_was_recorded(tmp_path: Path) -> None:
    record = tmp_path / "session.jsonl"
    async with asyncio.TaskGroup() as tasks:
        async with running(lane(), tmp_path / "out", record=record, speed=3.0) as sim:
            portal, scale, tty = Listener(), Listener(), Listener()
            listening = [
                tasks.create_task(portal.tcp(address(sim, "portal"))),
                tasks.create_task(scale.tcp(address(sim, "scale"))),
                tasks.create_task(tty.terminal(address(sim, "portal", 1))),
            ]
            await until(lambda: b"SN2" in portal.data and b"SN2" in tty.data and bool(scale.data))
            sim.send("1", None)
            await until(lambda: b"GX" in portal.data and b"GX" in tty.data)
            garbled = sim.faults.begin(
                AnyFault.validate_python({"target": "portal", "kind": "garble", "share": 0.5, "for_s": None})
            )
            sim.send("1", None)
            await until(lambda: sim.truth_path.read_text().count("\n") == 2)
            sim.faults.end(garbled.id)
        for task in listening:
            task.cancel()
    session = Session(record)
    assert session.header.seed == 4
    assert set(session.header.devices) == {"portal", "seal-scanner", "scale"}
    said = {(e.device, e.link): b"" for e in session.entries()}
    for e in session.entries():
        if e.what in ("out", "greeting"):
            said[e.device, e.link] += e.data
    assert said["portal", 0].endswith(portal.data)  # the first bytes came before the reader did
    assert len(portal.data) > 800

    replay = Replay(session, tmp_path / "again", SystemClock(), speed=4.0)
    await replay.open()
    released = asyncio.Event()
    try:
        async with asyncio.TaskGroup() as tasks:
            again, again_scale, again_tty = Listener(), Listener(), Listener()
            places: dict[str, Any] = replay.places()
            listening = [
                tasks.create_task(again.tcp(places["portal"]["url"])),
                tasks.create_task(again_scale.tcp(places["scale"]["url"])),
                tasks.create_task(again_tty.terminal(places["portal"]["urls"][1])),
            ]
            playing = tasks.create_task(replay.run(released))
            await until(lambda: b"SN2" in again.data and b"SN2" in again_tty.data)
            began = asyncio.get_running_loop().time()
            released.set()
            await playing
            lasted = asyncio.get_running_loop().time() - began
            # In the record the reader attached a moment after the beginning; here it hears that moment too.
            greeting = session.greetings["portal", 0][0][1]
            outs = said["portal", 0].replace(greeting, b"", 1)
            await until(lambda: len(again.data) >= len(greeting + outs))
            for task in listening:
                task.cancel()
    finally:
        await replay.close()
    assert again.data == greeting + outs
    assert portal.data.removeprefix(greeting) in again.data
    assert again_tty.data.endswith(tty.data.removeprefix(greeting))
    assert again_scale.data == said["scale", 0]
    assert scale.data in again_scale.data
    assert session.lasts_s / 4 * 0.95 <= lasted


async def test_questions_and_answers_are_recorded(tmp_path: Path) -> None:
    text = "title: t\nlanes: {1: {devices: {scale: {kind: mt_sics, links: [{kind: tcp}]}}, traffic: {on_demand: true}}}"
    scenario = parse_scenario(text, "scale.yaml")
    async with running(scenario, tmp_path, record=tmp_path / "s.jsonl") as sim:
        reader, writer = await connected(address(sim, "scale"))
        writer.write(b"SI\r\n")
        answer = await asyncio.wait_for(reader.readuntil(b"\r\n"), 30)
        writer.close()
    entries = list(Session(tmp_path / "s.jsonl").entries())
    assert b"".join(e.data for e in entries if e.what == "in") == b"SI\r\n"
    assert b"".join(e.data for e in entries if e.what == "out").endswith(answer)


def session(path: Path, *lines: object, header: bool = True) -> Path:
    first = {
        "session": 1,
        "started": "2026-01-01T00:00:00Z",
        "devices": {"a": {"kind": "x", "links": [{"kind": "tcp"}]}},
    }
    objects = [*([first] if header else []), *lines]
    path.write_text("".join((o if isinstance(o, str) else json.dumps(o)) + "\n" for o in objects))
    return path


@pytest.mark.parametrize(
    ("lines", "words"),
    [
        (["{"], ":2: the line: Invalid JSON"),
        ([{"t": 0, "device": "a", "link": 0, "what": "sung"}], ":2: what: "),
        ([{"t": 0, "device": "b", "link": 0, "what": "out"}], ":2: no such link: b 0"),
        ([{"t": 0, "device": "a", "link": 1, "what": "out"}], ":2: no such link: a 1"),
        ([{"t": 0, "device": "a", "link": 0, "what": "out", "hex": "4"}], ":2: hex: "),
        ([{"t": -1, "device": "a", "link": 0, "what": "out"}], ":2: t: "),
        (
            [{"t": 2, "device": "a", "link": 0, "what": "up"}, {"t": 1, "device": "a", "link": 0, "what": "down"}],
            ":3: time",
        ),
        (["x" * 110_000], ":2: a line of more than"),
        (["ü"], "not ASCII"),
    ],
)
def test_a_file_that_is_no_session_is_named_with_its_line(
    tmp_path: Path, lines: list[object], words: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(record, "_MAX_LINE", 100_000)
    with pytest.raises(SettingsInvalid) as caught:
        Session(session(tmp_path / "s", *lines))
    assert words in str(caught.value)


def test_no_session_at_all(tmp_path: Path) -> None:
    with pytest.raises(SettingsInvalid, match="empty"):
        Session(session(tmp_path / "s", header=False))
    with pytest.raises(SettingsInvalid, match="cannot be read"):
        Session(tmp_path / "nowhere")
    with pytest.raises(SettingsInvalid, match="session: Field required"):
        Session(session(tmp_path / "s", {"t": 0}, header=False))


async def test_a_reader_that_comes_later_gets_the_greeting_of_that_time(tmp_path: Path) -> None:
    path = session(
        tmp_path / "s",
        {"t": 0.0, "device": "a", "link": 0, "what": "greeting", "hex": b"early".hex()},
        {"t": 0.5, "device": "a", "link": 0, "what": "greeting", "hex": b"late".hex()},
        {"t": 1.5, "device": "a", "link": 0, "what": "down"},
        {"t": 30.0, "device": "a", "link": 0, "what": "up"},
    )
    replay = Replay(Session(path), tmp_path, SystemClock())
    await replay.open()
    url = str(replay.places()["a"]["url"])
    reader, first = await connected(url)
    assert await asyncio.wait_for(reader.readexactly(5), 30) == b"early"
    async with asyncio.TaskGroup() as tasks:
        playing = tasks.create_task(replay.run())
        loop = asyncio.get_running_loop()
        began = loop.time()
        await until(lambda: loop.time() - began > 0.6)
        reader, second = await connected(url)
        assert await asyncio.wait_for(reader.readexactly(4), 30) == b"late"
        assert await asyncio.wait_for(reader.read(), 30) == b""  # it was hung up on then, and is now
        playing.cancel()
    await replay.close()
    first.close()
    second.close()
