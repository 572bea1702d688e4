"""LLRP readers over loopback: llrpkit's emulator."""

import asyncio

import pytest
from llrpkit.emulator.core import EmulatedTag, LLRPEmulator
from llrpkit.protocol import messages

from edge_agent.devices.attend import attend
from edge_agent.devices.catalogue import SOURCES
from edge_agent.domain.clock import SystemClock
from edge_agent.domain.observation import (
    DeviceFault,
    DeviceSetup,
    DeviceState,
    DeviceStatus,
    FaultKind,
    Malformed,
    Opaque,
    Reading,
    SealCondition,
    SealState,
    TagRead,
)
from tests.contracts.source_cases import until
from tests.contracts.source_llrp import reader
from tests.integration.devices.llrp_booth import SEAL, hearing

# --- llrpkit's reader ------------------------------------------------------------------------------------------


async def test_what_a_reader_and_its_tags_say() -> None:
    tags = [EmulatedTag(b"ANAM00000001", antennas=(3,), rssi_dbm=-50), EmulatedTag(b"\xe2\x01", antennas=(1,))]
    async with LLRPEmulator(tags=tags) as emulator, hearing(emulator.port, tid=True) as heard:
        await until(lambda: len(heard.of(TagRead)) >= 2, "both tags")
        (setup,) = heard.of(DeviceSetup)
        assert dict(setup.values) == {
            "manufacturer": "25882",
            "model": "700",
            "firmware": "llrpkit-emu 0.1",
            "antennas": "4",
        }
        by_epc = {tag.epc: tag for tag in heard.of(TagRead)}
        anam = by_epc["414E414D3030303030303031"]
        assert (anam.text, anam.antenna, anam.tid) == ("ANAM00000001", 3, "E280110530303030" + "30303031")
        assert anam.rssi_dbm == pytest.approx(-50, abs=10)
        assert by_epc["E201"].text == ""
        (at,) = (reading.device_time for reading in heard.readings if reading.body == anam)
        assert at.endswith("+00:00"), "the reader's own time, in UTC"
        assert all(r.raw for r in heard.readings if isinstance(r.body, TagRead))


async def test_only_the_antennas_asked_for() -> None:
    tags = [EmulatedTag(b"\xe2\x01", antennas=(1,)), EmulatedTag(b"\xe2\x02", antennas=(2,))]
    async with LLRPEmulator(tags=tags) as emulator, hearing(emulator.port, antennas=[2], power_dbm=20) as heard:
        await until(lambda: heard.of(TagRead), "a tag")
        (spec, _) = emulator._rospecs[1]
        assert spec.spec_parameters[0].antenna_ids == [2]  # type: ignore[union-attr]
        assert {tag.epc for tag in heard.of(TagRead)} == {"E202"}


SEALS = {
    "text_prefix": "SEAL",
    "number": {"bank": "user", "word": 4, "words": 4},
    "tamper": {"bank": "user", "word": 0, "bit": 15},
}


async def test_a_seal_is_opened_before_the_reader() -> None:
    tags = [EmulatedTag(SEAL), EmulatedTag(b"OTHER1")]
    async with LLRPEmulator(tags=tags) as emulator:
        user = emulator._memory_for(SEAL)[3]
        user[8:16] = b"HQ001234"
        async with hearing(emulator.port, seals=SEALS) as heard:
            await until(lambda: heard.of(SealState), "the seal is told")
            user[0] = 0x80
            await until(lambda: len(heard.of(SealState)) == 2 and len(heard.of(TagRead)) >= 2, "its opening is told")
        assert heard.of(SealState) == [
            SealState("HQ001234", SealCondition.PRESENT),
            SealState("HQ001234", SealCondition.BROKEN),
        ]
        assert {tag.text for tag in heard.of(TagRead)} == {"SEAL00000001", "OTHER1"}


async def test_a_seal_whose_memory_is_closed() -> None:
    async with LLRPEmulator(tags=[EmulatedTag(SEAL)]) as emulator:
        emulator.set_tag_passwords(SEAL, access=0x0BADCAFE)
        async with hearing(emulator.port, seals=SEALS) as heard:
            await until(lambda: len(heard.of(Opaque)) == 2, "what could not be read is told")
        assert heard.of(Opaque) == [
            Opaque("memory_unread", (SEAL.hex().upper(), place, "nonspecific tag error"))
            for place in ("user words 4 to 7", "user words 0 to 0")
        ]
        assert heard.of(SealState) == [], "nothing is known of it"
        async with hearing(emulator.port, seals=SEALS, access_password="0BADCAFE") as heard:
            await until(lambda: heard.of(SealState), "the password opens it")


async def test_memory_of_some_tags() -> None:
    memory = {"epc_prefix": "414", "bank": "user", "word": 0, "words": 2}  # half a byte is a beginning too
    tags = [EmulatedTag(b"ANAM00000001"), EmulatedTag(b"BNAM00000001")]
    async with LLRPEmulator(tags=tags) as emulator:
        emulator._memory_for(b"ANAM00000001")[3][0:4] = b"\x12\x34\x56\x78"
        async with hearing(emulator.port, memory=memory) as heard:
            await until(lambda: len(heard.of(TagRead)) >= 3, "both tags, and memory")
            (target,) = emulator._accessspecs[1][0].access_command.air_protocol_tag_spec.c1_g2_target_tags
            # 16.2.1.3.1.1: the mask says which bits are compared; the emulator takes it to be all of them.
            assert (target.tag_mask.bit_len, target.tag_mask.data) == (12, b"\xff\xf0")
            assert (target.tag_data.bit_len, target.tag_data.data) == (12, b"\x41\x40")
        assert {(tag.text, tag.memory) for tag in heard.of(TagRead)} == {
            ("ANAM00000001", ""),
            ("ANAM00000001", "12345678"),
            ("BNAM00000001", ""),
        }


async def test_keepalives_are_answered_and_hold_a_quiet_link() -> None:
    async with LLRPEmulator(tags=[]) as emulator, hearing(emulator.port, keepalive_s=0.1) as heard:
        await until(lambda: emulator.keepalive_acks >= 8 or heard.down, "more keepalives than may be missed")
        assert heard.down is None
        assert not heard.of(Malformed)


async def test_a_half_open_link_is_lost() -> None:
    async with reader() as device, hearing(device.relay.port, keepalive_s=0.1) as heard:
        await until(lambda: device.emulator.keepalive_acks, "it runs")
        device.relay.stalled = True
        await until(lambda: heard.down, "the silence is noticed")
        assert heard.down
        assert heard.down.wrong == f"127.0.0.1:{device.relay.port} has said nothing for 0.3 s"


async def test_it_comes_back_by_itself() -> None:
    states: list[DeviceState] = []
    seen: list[str] = []

    async def emit(reading: Reading) -> None:
        if isinstance(reading.body, DeviceStatus):
            states.append(reading.body.state)
        if isinstance(reading.body, TagRead):
            seen.append(reading.body.epc)

    async def no_time(_: float) -> None:
        await asyncio.sleep(0.01)

    async with reader() as device, asyncio.TaskGroup() as group:
        task = group.create_task(
            attend("tags", SOURCES["llrp"], device.settings, emit, SystemClock(), sleep=no_time), name="attend"
        )
        await device.say()
        await until(lambda: seen, "a tag")
        await device.vanish()
        await until(lambda: states[-1] is DeviceState.OFFLINE, "offline")
        await device.come_back()
        again = (await device.say()).hex().upper()
        await until(lambda: again in seen, "the tag after the return")
        task.cancel()
    assert states[:2] == [DeviceState.WAITING, DeviceState.ONLINE]
    assert states[-1] is DeviceState.ONLINE
    assert DeviceState.FAILED not in states


async def test_a_reader_that_another_program_holds() -> None:
    async with LLRPEmulator(tags=[]) as emulator, hearing(emulator.port) as first:
        await until(lambda: first.of(DeviceSetup), "the first has it")
        async with hearing(emulator.port) as second:
            await until(lambda: second.down, "the second is refused")
        assert second.down
        assert "Already_Exists" in second.down.wrong
        assert "no other program" in second.down.remedy
        assert first.down is None


async def test_an_antenna_that_is_pulled() -> None:
    async with LLRPEmulator(tags=[]) as emulator, hearing(emulator.port) as heard:
        await until(lambda: any(state == "Active" for _, state in emulator._rospecs.values()), "it inventories")
        await emulator.set_antenna_connected(2, False)
        await emulator.set_antenna_connected(2, True)
        await until(lambda: len(heard.of(DeviceFault)) == 2, "both are told")
        assert heard.of(DeviceFault) == [
            DeviceFault(FaultKind.INTERNAL, True, "antenna 2 is not connected"),
            DeviceFault(FaultKind.INTERNAL, False, "antenna 2 is connected"),
        ]


async def test_a_reader_that_does_not_answer_a_request() -> None:
    async with LLRPEmulator(tags=[]) as emulator:
        emulator.drop_next(messages.ENABLE_ROSPEC)
        async with hearing(emulator.port, timeout_s=0.3, keepalive_s=0.1) as heard:
            await until(lambda: heard.down, "is given up, though keepalives come")
    assert heard.down
    assert "has said nothing" in heard.down.wrong


async def test_power_that_the_reader_does_not_have() -> None:
    async with LLRPEmulator(tags=[]) as emulator, hearing(emulator.port, power_dbm=5) as heard:
        await until(lambda: heard.down, "is said")
        assert heard.down
        assert "cannot send with `power_dbm` 5" in heard.down.wrong
