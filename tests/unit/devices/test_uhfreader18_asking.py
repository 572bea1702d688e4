"""Who is asked for what, and when: inventories, tags, seals' memory."""

import pytest
from pydantic import ValidationError

from edge_agent.devices.drivers.uhfreader18 import MAX_READS, SCAN_S, Settings
from edge_agent.devices.uhf_frames import frame
from edge_agent.domain.observation import (
    Body,
    DeviceFault,
    DeviceSetup,
    FaultKind,
    Malformed,
    Opaque,
    SealCondition,
    SealState,
    TagRead,
)
from tests.unit.devices.uhf_booth import (
    ASK_INFORMATION,
    INFORMATION_18,
    INVENTORY_18,
    NO_TAG,
    NONE_288,
    SEAL,
    SEALS,
    TAG_18,
    TAG_288,
    Booth,
    answer,
    informed,
    inventory,
    polled,
)

# --- asking ----------------------------------------------------------------------------------------------------


def test_who_it_is_then_inventories_for_ever() -> None:
    booth = Booth(interval_s=0.2)
    assert booth.asks() == ASK_INFORMATION
    assert booth.asks() == b"", "handed out once"
    (setup,) = booth.hears(INFORMATION_18)
    assert isinstance(setup, DeviceSetup)
    assert booth.asks() == INVENTORY_18
    assert booth.hears(NO_TAG) == []
    assert booth.asks() == b""
    assert booth.dialogue.next_wake() == pytest.approx(booth.now + 0.2)
    assert booth.waits(0.2) == []
    assert booth.asks() == INVENTORY_18


def test_the_288_is_told_how() -> None:
    booth = informed(model=288, antennas=[1, 4], scan_time_s=2.0, session=1, q=5, interval_s=0)
    asked = []
    for _ in range(3):
        asked.append(booth.asks().hex())
        booth.hears(NONE_288)
    assert asked == [frame(0, 1, bytes([5, 1, 0, ant, 20])).hex() for ant in (0x80, 0x83, 0x80)]


def test_one_command_at_a_time() -> None:
    booth = polled(interval_s=0)
    assert booth.waits(0.5 + 0.9) == []
    assert booth.asks() == b"", "the reader hears nothing while it works"
    booth.hears(inventory(b"AB", status=0x03))
    assert booth.asks() == b"", "more frames are to come"
    booth.hears(inventory(b"CD"))
    assert booth.asks() == INVENTORY_18


def test_an_inventory_in_several_frames() -> None:
    booth = polled()
    bodies = booth.hears(inventory(b"AB", b"CD", status=0x03) + inventory(b"EF", status=0x03))
    bodies += booth.hears(inventory(b"GH", status=0x02))
    assert [body.text for body in bodies if isinstance(body, TagRead)] == ["AB", "CD", "EF", "GH"]


def test_the_wait_for_an_answer_follows_the_readers_own_time() -> None:
    slow = Booth(answer_timeout_s=1.0)
    slow.asks()
    slow.hears(answer(0x21, 0, bytes.fromhex("0016090200001e00")))  # 0: as long as it takes
    assert slow.dialogue.next_wake() == pytest.approx(slow.now + 25.5 + 1.0)
    told = informed(model=288, scan_time_s=4.0)
    assert told.dialogue.next_wake() == pytest.approx(told.now + 4.0 + 1.0)
    refused = Booth()
    refused.hears(answer(0x21, 0xFF))
    assert refused.dialogue.next_wake() == pytest.approx(refused.now + SCAN_S + 1.0)


def test_a_reader_that_does_not_answer_is_asked_again_and_then_who_it_is() -> None:
    booth = polled(answer_timeout_s=1.0)
    asked = []
    for _ in range(4):
        assert booth.waits(1.5) == [], "silence is no bytes"
        asked.append(booth.asks())
    assert asked == [INVENTORY_18, INVENTORY_18, ASK_INFORMATION, ASK_INFORMATION]


def test_a_reader_that_does_not_know_itself_is_used_all_the_same() -> None:
    booth = Booth()
    assert booth.hears(answer(0x21, 0xFE)) == [
        Opaque("information", ("status 0xfe, the command is not known, or was garbled", ""))
    ]
    assert booth.asks()[-len(INVENTORY_18) :] == INVENTORY_18
    other = Booth()
    (fault,) = other.hears(answer(0x00, 0xFE))
    assert fault == DeviceFault(
        FaultKind.INTERNAL, True, "command 0x21: status 0xfe, the command is not known, or was garbled"
    )
    assert other.asks()[-len(INVENTORY_18) :] == INVENTORY_18


def test_what_is_wrong_with_inventories_is_told_when_it_changes() -> None:
    booth = polled()
    wrong = "inventory: status 0xff, the command's parameters are wrong: `model` is not as the reader is"
    assert booth.hears(answer(0x01, 0xFF)) == [DeviceFault(FaultKind.INTERNAL, True, wrong)]
    assert booth.hears(answer(0x01, 0xFF), after=1.0) == []
    assert booth.hears(NO_TAG, after=1.0) == [DeviceFault(FaultKind.INTERNAL, False, "inventories work again")]
    assert booth.hears(NO_TAG, after=1.0) == []


def test_each_antenna_has_its_own_faults() -> None:
    booth = informed(model=288, antennas=[1, 2], interval_s=0)
    told: list[Body] = []
    for turn in range(6):
        booth.asks()
        told += booth.hears(NONE_288 if turn % 2 == 0 else answer(0x01, 0xF8))
    assert told == [
        DeviceFault(FaultKind.INTERNAL, True, "antenna 2: inventory: status 0xf8, an antenna error: is it connected?")
    ]


# --- tags and seals --------------------------------------------------------------------------------------------


@pytest.mark.parametrize(("offset", "dbm"), [(None, None), (-164.0, -57.0)])
def test_rssi_is_in_dbm_only_where_its_offset_is_known(offset: float | None, dbm: float | None) -> None:
    (tag,) = polled(model=288, rssi_offset_dbm=offset).hears(TAG_288)
    assert tag == TagRead("000000000000000000000313", antenna=1, rssi_dbm=dbm)


def test_the_other_model_is_said() -> None:
    (wrong,) = polled(model=18).hears(TAG_288)
    assert wrong == Malformed(
        "an inventory with more bytes than its tags have: `model` is perhaps not as the reader is"
    )
    (wrong,) = polled(model=288).hears(TAG_18)
    assert wrong == Malformed("an inventory that ends within a tag: `model` is perhaps not as the reader is")


def test_a_tag_with_its_tid() -> None:
    tid = bytes.fromhex("E28011052000000000000001")
    (tag,) = polled(model=288).hears(answer(0x01, 0x01, b"\x01\x01\x8e\xe2\x01" + tid + b"\x6b"))
    assert tag == TagRead("E201", antenna=1, tid=tid.hex().upper())


def test_a_reader_in_realtime_mode() -> None:
    said = answer(0xEE, 0x00, b"\x02\x02\xe2\x01\x6b")
    assert polled(model=288).hears(said) == [TagRead("E201", antenna=2)]
    assert polled(model=18).hears(said) == [Opaque("unasked", ("0xee", "status 0x00", "0202E2016B"))]
    assert polled(model=288).hears(answer(0xEE, 0x55)) == [Opaque("unasked", ("0xee", "status 0x55", ""))]


READ_SEAL = frame(0, 0x02, b"\x06" + SEAL + bytes.fromhex("03 03 01 00000000"))


def test_a_seals_memory_is_read_between_two_inventories() -> None:
    booth = polled(seals=SEALS)
    (tag,) = booth.hears(inventory(SEAL, b"OTHER1"))[:1]
    assert tag == TagRead(SEAL.hex().upper(), SEAL.decode())
    assert booth.asks() == READ_SEAL
    assert booth.hears(answer(0x02, 0x00, b"\x80\x00")) == [SealState("SEAL00000001", SealCondition.BROKEN)]
    assert booth.asks() == b""
    booth.waits(0.1)
    assert booth.asks() == INVENTORY_18


def test_several_seals_one_after_the_other() -> None:
    booth = polled(seals=SEALS, access_password="0badcafe")
    booth.hears(inventory(b"SEAL01", b"SEAL02"))
    told = []
    for data in (b"\x00\x00", b"\x80\x00"):
        asked = booth.asks()
        assert asked[-6:-2] == bytes.fromhex("0badcafe")
        told += booth.hears(answer(0x02, 0x00, data))
    assert told == [SealState("SEAL01", SealCondition.PRESENT), SealState("SEAL02", SealCondition.BROKEN)]


@pytest.mark.parametrize(
    ("said", "why"),
    [
        (answer(0x02, 0xFC, b"\x03"), "status 0xfc, the tag reports that it has no such memory"),
        (answer(0x02, 0xFA), "status 0xfa, the tag is heard too badly"),
        (answer(0x02, 0x05), "status 0x05, the tag's access password is another"),
        (answer(0x02, 0x00, b"\x00"), "1 byte came instead of 2"),
    ],
)
def test_memory_that_cannot_be_read(said: bytes, why: str) -> None:
    booth = polled(seals=SEALS)
    booth.hears(inventory(SEAL))
    assert booth.asks() == READ_SEAL
    assert booth.hears(said) == [Opaque("memory_unread", (SEAL.hex().upper(), "user words 3 to 3", why))]
    booth.waits(0.1)
    assert booth.asks() == INVENTORY_18
    assert booth.hears(inventory(SEAL)) == []
    assert booth.asks() == READ_SEAL, "tried again while it is there"


def test_a_read_that_comes_late_is_not_taken_for_another_tags() -> None:
    booth = polled(seals=SEALS, answer_timeout_s=1.0)
    booth.hears(inventory(b"SEAL01", b"SEAL02"))
    assert b"SEAL01" in booth.asks()
    booth.waits(1.5)  # no answer
    assert booth.asks() == INVENTORY_18, "an inventory goes between"
    late = booth.hears(answer(0x02, 0x00, b"\x80\x00"))
    assert late == [Opaque("unasked", ("0x02", "status 0x00", "8000"))]
    booth.hears(inventory(b"SEAL02"))
    assert b"SEAL02" in booth.asks()
    assert booth.hears(answer(0x02, 0x00, b"\x00\x00")) == [SealState("SEAL02", SealCondition.PRESENT)]


def test_a_tag_that_cannot_be_selected() -> None:
    booth = polled(seals={"epc_prefix": "", "tamper": {"bank": "user", "word": 0, "bit": 0}})
    odd, long = b"ODD", bytes(32)
    said = [body for body in booth.hears(inventory(odd, long)) if isinstance(body, Opaque)]
    assert [body.fields[2] for body in said] == [
        "an EPC of 3 bytes cannot be selected",
        "an EPC of 32 bytes cannot be selected",
    ]
    assert booth.asks() == b""


def test_few_reads_wait() -> None:
    booth = polled(seals={"epc_prefix": "", "tamper": {"bank": "user", "word": 0, "bit": 0}})
    for number in range(MAX_READS + 6):
        booth.hears(inventory(number.to_bytes(2, "big"), status=0x03))
    assert len(booth.dialogue._reads) == MAX_READS


def test_a_read_that_is_refused_as_unknown() -> None:
    booth = polled(seals=SEALS)
    booth.hears(inventory(SEAL))
    assert booth.asks() == READ_SEAL
    assert booth.hears(answer(0x00, 0xFE)) == [
        DeviceFault(FaultKind.INTERNAL, True, "command 0x02: status 0xfe, the command is not known, or was garbled")
    ]


@pytest.mark.parametrize(
    "settings",
    [
        {"model": 19},
        {"address": 256},
        {"antennas": [0]},
        {"antennas": [9]},
        {"antennas": []},
        {"scan_time_s": 0.1},
        {"access_password": "0000"},
        {"access_password": "0000000g"},
        {"baud": 9600},
    ],
)
def test_settings_that_are_wrong(settings: dict[str, object]) -> None:
    with pytest.raises(ValidationError):
        Settings.model_validate(settings)
