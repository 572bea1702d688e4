"""Trucks drive past the simulator's UHF reader, written apart from the driver that asks it; time is stepped."""

import asyncio
from dataclasses import replace
from typing import Any

import pytest

from edge_agent.devices.drivers.uhfreader18 import Settings, UhfReader18
from edge_agent.devices.link import LinkSettings
from edge_agent.domain.observation import Body, DeviceSetup, Malformed, Opaque, SealCondition, SealState, TagRead
from hardware_sim.devices import uhfreader
from hardware_sim.world.lane import Lane
from hardware_sim.world.tags import TagSettings
from hardware_sim.world.truck import Seal
from tests.integration.devices.conftest import talking, tcp_device, until
from tests.unit.hardware_sim.roads import TCP, lane_of, site_of, truck

SEALS = {"text_prefix": "HS", "tamper": {"bank": "user", "word": 2, "bit": 3}}


def sealed_truck(opened: bool) -> Lane:
    one = truck(tag="ANAM00001234")
    sealed = replace(one.containers[0], seal=Seal("HS1234567", opened))
    return lane_of([replace(one, containers=(sealed, *one.containers[1:]))])


def simulated(lane: Lane, model: int, **more: Any) -> uhfreader.UhfReader:
    kind: Any = uhfreader.Settings18 if model == 18 else uhfreader.Settings288
    tags = TagSettings(tamper_word=2, tamper_bit=3)
    return uhfreader.UhfReader("tags", kind(kind=f"uhfreader{model}", links=TCP, tags=tags, **more), site_of(lane))


def passed(lane: Lane, reader: uhfreader.UhfReader, settings: Settings) -> list[Body]:
    """What is told while the lane's first truck passes, its reader's bytes one by one."""
    now, end = 0.0, lane.passages[0].reaches(11.0)
    dialogue = UhfReader18(settings)
    dialogue.opened(now)
    heard, said, bodies = b"", b"", []
    while now < end:
        reader.received(dialogue.to_send(), now)
        due = [wake for wake in (dialogue.next_wake(), reader.next_wake()) if wake is not None]
        now = max(now, min(due))
        answer = reader.woke(now)
        heard += answer
        readings = [reading for byte in answer for reading in dialogue.received(bytes([byte]), now)]
        readings += dialogue.woke(now) if (dialogue.next_wake() or 0.0) <= now else ()
        said += b"".join(reading.raw for reading in readings)
        bodies += [reading.body for reading in readings]
    bodies += [reading.body for reading in dialogue.woke(end + 60)]
    assert heard.startswith(said)
    return bodies


@pytest.mark.parametrize("opened", [False, True])
@pytest.mark.parametrize("model", [18, 288])
def test_a_truck_with_its_tag_and_its_seal(model: int, opened: bool) -> None:
    lane = sealed_truck(opened)
    settings = Settings.model_validate({"model": model, "seals": SEALS, "rssi_offset_dbm": -129})
    bodies = passed(lane, simulated(lane, model), settings)
    assert isinstance(bodies[0], DeviceSetup)
    assert {tag.text for tag in bodies if isinstance(tag, TagRead)} == {"ANAM00001234", "HS1234567"}
    said = [body for body in bodies if isinstance(body, SealState)]
    assert set(said) == {SealState("HS1234567", SealCondition.BROKEN if opened else SealCondition.PRESENT)}
    again = [tag.text for tag in bodies if isinstance(tag, TagRead)]
    assert min(len(said), again.count("ANAM00001234")) > 1, "the lane may not know of the truck when it is first heard"
    for tag in (body for body in bodies if isinstance(body, TagRead)):
        assert tag.antenna == (1 if model == 288 else None)
        assert (tag.rssi_dbm is None) is (model == 18)
        assert tag.rssi_dbm is None or -70 < tag.rssi_dbm < -45
    assert not [body for body in bodies if isinstance(body, Malformed)]


def test_several_antennas_and_frames_that_go_on() -> None:
    lane = sealed_truck(opened=False)
    settings = Settings.model_validate(
        {"model": 288, "antennas": [1, 2], "memory": {"text_prefix": "ANAM", "bank": "tid", "word": 0, "words": 2}}
    )
    bodies = passed(lane, simulated(lane, 288, antennas=2, per_frame=1, reach_m=6.0), settings)
    tags = [body for body in bodies if isinstance(body, TagRead)]
    assert {(tag.text, tag.antenna) for tag in tags} == {
        (text, antenna) for text in ("ANAM00001234", "HS1234567") for antenna in (1, 2)
    }
    assert {tag.memory for tag in tags if tag.text == "ANAM00001234"} == {"", "E2806F12"}


def test_the_wrong_model_is_told_and_reads_no_tag() -> None:
    lane = sealed_truck(opened=False)
    bodies = passed(lane, simulated(lane, 18), Settings(model=288))
    assert not [body for body in bodies if isinstance(body, TagRead)]
    assert "`model` is not as the reader is" in str([body for body in bodies if not isinstance(body, Opaque)])


async def test_over_tcp_one_command_is_under_way_at_a_time() -> None:
    lane = sealed_truck(opened=False)
    reader = simulated(lane, 18)
    answered = 0

    async def converse(incoming: asyncio.StreamReader, outgoing: asyncio.StreamWriter) -> None:
        nonlocal answered
        moment = lane.passages[0].reaches(-0.4)  # the truck's tag is before the antenna, and stays there
        while command := await incoming.read(4096):
            assert len(command) == command[0] + 1, "one command, whole"
            reader.received(command, moment)
            moment = reader.next_wake() or moment
            answer = reader.woke(moment)
            for begin in range(0, len(answer), 3):  # in pieces, as a device server has them
                outgoing.write(answer[begin : begin + 3])
                await outgoing.drain()
            answered += 1

    async with tcp_device(converse) as url, talking(LinkSettings(url=url), "uhfreader18") as heard:
        await until(lambda: answered >= 8)
    tags = [reading.body for reading in heard.readings if isinstance(reading.body, TagRead)]
    assert [tag.text for tag in tags] == ["ANAM00001234"]
    assert heard.states == ["waiting", "online"]
    assert not [reading for reading in heard.readings if isinstance(reading.body, Malformed)]
