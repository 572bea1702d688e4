"""A reader's answers in, readings and commands out. Frames marked published are others' captures, not made here."""

import math
from typing import Literal

import pytest
from pydantic import ValidationError

from edge_agent.devices.drivers.uhfreader18 import (
    BYTE_GAP_S,
    MAX_READS,
    QUIET_LIMIT,
    QUIET_S,
    SCAN_S,
    Settings,
    UhfReader18,
)
from edge_agent.devices.uhf_frames import Answer, crc, frame, set_up, tags_of, words
from edge_agent.domain.observation import (
    Body,
    DeviceFault,
    DeviceSetup,
    FaultKind,
    Malformed,
    Opaque,
    Reading,
    SealCondition,
    SealState,
    TagRead,
)

# Published
TAG_18 = bytes.fromhex("13000103010c0000000000000000000003133f39")
TAG_288 = bytes.fromhex("1500010301010c0000000000000000000003136bb1a5")
NONE_288 = bytes.fromhex("0700010101001e4b")
INFORMATION_288 = bytes.fromhex("1100210000160c034e001e0a01000000e651")

ASK_INFORMATION = frame(0, 0x21)
INVENTORY_18 = frame(0, 0x01)
SEAL = b"SEAL00000001"


def answer(code: int, status: int, data: bytes = b"", address: int = 0) -> bytes:
    body = bytes([len(data) + 5, address, code, status]) + data
    return body + crc(body)


OWN_18 = bytes.fromhex("0016090200001e05")  # inventories of 0.5 s
INFORMATION_18 = answer(0x21, 0, OWN_18)
NO_TAG = answer(0x01, 0xFB)


def inventory(*epcs: bytes, status: int = 0x01) -> bytes:
    return answer(0x01, status, bytes([len(epcs)]) + b"".join(bytes([len(epc)]) + epc for epc in epcs))


class Booth:
    """The dialogue with a clock that is stepped."""

    def __init__(self, **settings: object) -> None:
        self.now = now = 100.0
        self.dialogue = UhfReader18(Settings.model_validate(settings))
        self.dialogue.opened(now)

    def asks(self) -> bytes:
        return self.dialogue.to_send()

    def hears(self, data: bytes, after: float = 0.0) -> list[Body]:
        """What is news."""
        bodies = [reading.body for reading in self.readings(data, after)]
        return [body for body in bodies if not (isinstance(body, Opaque) and body.tag == "inventory")]

    def readings(self, data: bytes, after: float = 0.0) -> list[Reading]:
        self.now += after
        return list(self.dialogue.received(data, self.now))

    def waits(self, until: float) -> list[Body]:
        """Wakes as often as the dialogue asks for within the time."""
        bodies: list[Body] = []
        end = self.now + until
        while (wake := self.dialogue.next_wake()) is not None and wake <= end:
            self.now = max(self.now, wake)
            bodies += [reading.body for reading in self.dialogue.woke(self.now)]
        self.now = end
        return bodies


def informed(**settings: object) -> Booth:
    """One that has asked who the reader is, and now awaits an inventory."""
    booth = Booth(**settings)
    address = booth.dialogue._settings.address
    assert booth.asks() == frame(address, 0x21)
    booth.hears(answer(0x21, 0, OWN_18, address % 255) if settings.get("model", 18) == 18 else INFORMATION_288)
    return booth


def polled(**settings: object) -> Booth:
    booth = informed(**settings)
    assert booth.asks()
    return booth


# --- frames ----------------------------------------------------------------------------------------------------


def test_the_checksum() -> None:
    assert crc(b"123456789") == b"\x91\x6f"  # the catalogue of CRCs: MCRF4XX, 6F91


@pytest.mark.parametrize(
    ("command", "published"),
    [
        (frame(0, 0x01, bytes([4, 0])), "0600010400ac36"),
        (frame(0, 0x01, bytes([4, 0, 0, 0x80, 0x14])), "0900010400008014dd23"),
    ],
)
def test_commands_as_published(command: bytes, published: str) -> None:
    assert command.hex() == published


@pytest.mark.parametrize(
    ("model", "said", "body"),
    [
        (18, TAG_18, TagRead("000000000000000000000313")),
        (288, TAG_288, TagRead("000000000000000000000313", antenna=1)),
    ],
)
def test_a_tag_as_published(model: int, said: bytes, body: Body) -> None:
    assert polled(model=model).readings(said) == [Reading(body, 100.0, said)]


def test_a_published_frame_with_a_wrong_checksum_is_none() -> None:
    booth = polled(model=288)
    assert booth.hears(TAG_288[:-1] + b"\xa6") == []
    (wrong,) = booth.waits(BYTE_GAP_S)
    assert wrong == Malformed("an answer with a wrong checksum")


@pytest.mark.parametrize(
    ("model", "data", "antenna", "answers"),
    [
        (18, "00", None, []),
        (18, "", None, []),
        (18, "02 02 E201 01 AB", None, [Answer(b"\xe2\x01"), Answer(b"\xab")]),
        (18, "01 00", None, [Answer(b"")]),
        (288, "", None, []),
        (288, "04 01 02 E201 6B", 3, [Answer(b"\xe2\x01", rssi=0x6B)]),
        (288, "80 01 02 E201 6B", 8, [Answer(b"\xe2\x01", rssi=0x6B)]),
        (288, "03 01 02 E201 6B", None, [Answer(b"\xe2\x01", rssi=0x6B)]),  # two antennas: neither
        (288, "01 01 8E E201 E28011052000000000000001 6B", 1,
         [Answer(b"\xe2\x01", bytes.fromhex("E28011052000000000000001"), 0x6B)]),
        (288, "01 01 8C E28011052000000000000001 6B", 1,
         [Answer(b"", bytes.fromhex("E28011052000000000000001"), 0x6B)]),
    ],
)  # fmt: skip
def test_the_tags_of_an_inventory(
    model: Literal[18, 288], data: str, antenna: int | None, answers: list[Answer]
) -> None:
    assert tags_of(bytes.fromhex(data), model) == (antenna, answers)


@pytest.mark.parametrize(
    ("model", "data"),
    [
        (18, "01"),
        (18, "01 02 E2"),
        (18, "01 02 E201 00"),
        (288, "01"),
        (288, "01 01 02 E201"),
        (288, "01 01 82 E201 6B"),
        (288, "01 00 6B"),
    ],
)
def test_an_inventory_that_is_laid_out_otherwise(model: Literal[18, 288], data: str) -> None:
    with pytest.raises(ValueError, match="an inventory"):
        tags_of(bytes.fromhex(data), model)


@pytest.mark.parametrize(
    ("status", "data", "said"),
    [
        (0xFB, b"", "status 0xfb, no tag answers"),
        (0xFC, b"\x04", "status 0xfc, the tag reports that that memory is locked"),
        (0xFC, b"\x77", "status 0xfc, the tag reports that error 0x77 happened"),
        (0xFC, b"", "status 0xfc, the tag reports an error"),
        (0x55, b"", "status 0x55"),
    ],
)
def test_statuses_in_words(status: int, data: bytes, said: str) -> None:
    assert words(status, data) == said


def test_what_a_reader_says_of_itself() -> None:
    # Published: an UHFReader288 in the European band; then version 2.8, type 75, US band, of another's integration.
    assert dict(set_up(INFORMATION_288[4:-2])) == {
        "version": "0.22",
        "type": "0x0c",
        "protocols": "ISO 18000-6C, ISO 18000-6B",
        "band": "Europe, 865.1 to 867.9 MHz",
        "power_dbm": "30",
        "inventory_time_s": "1",
        "antennas": "1",
        "antenna_check": "off",
    }
    other = dict(set_up(bytes.fromhex("02087502318021140000000f")))
    assert (other["version"], other["band"]) == ("2.8", "United States, 902.75 to 927.25 MHz")
    assert (other["antennas"], other["antenna_check"]) == ("", "on")
    assert dict(set_up(bytes.fromhex("000009020000c805")))["band"] == "user, 902.6 to 902.6 MHz"
    assert dict(set_up(bytes.fromhex("00000902c000c805")))["band"] == "number 12"


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


SEALS = {"text_prefix": "SEAL", "tamper": {"bank": "user", "word": 3, "bit": 15}}
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
        (answer(0x02, 0x00, b"\x00"), "1 bytes came instead of 2"),
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


# --- bytes -----------------------------------------------------------------------------------------------------


def test_answers_without_news_are_kept_together() -> None:
    booth = polled(interval_s=0.1)
    booth.hears(inventory(b"AB"))
    for _ in range(5):
        assert booth.hears(inventory(b"AB"), after=0.1) == []
    first, second = booth.readings(inventory(b"CD"), after=0.1)
    assert first == Reading(Opaque("inventory", ("5 answers without news",)), booth.now, inventory(b"AB") * 5)
    assert (second.body, second.raw) == (TagRead("4344", "CD"), inventory(b"CD"))
    booth.hears(NO_TAG)
    assert Opaque("inventory", ("1 answers without news",)) in booth.waits(QUIET_S)


def test_quiet_answers_are_told_before_they_are_too_many() -> None:
    booth = polled()
    told = [booth.readings(NO_TAG, after=0.01) for _ in range(QUIET_LIMIT // len(NO_TAG) + 1)]
    assert [len(readings) for readings in told[:-1]] == [0] * (len(told) - 1)
    (quiet,) = told[-1]
    assert len(quiet.raw) <= QUIET_LIMIT


def test_rubbish_before_an_answer_costs_nothing_but_itself() -> None:
    booth = polled()
    noise = b"\x00\x01noise\x07\x00\x99"  # at its end, what could be an answer if there were such a command
    rubbish, tag = booth.readings(noise + inventory(b"AB"))
    assert rubbish == Reading(Malformed("bytes that are no answer of this reader: check the baud rate"), 100.0, noise)
    assert (tag.body, tag.raw) == (TagRead("4142", "AB"), inventory(b"AB"))


def test_a_wrong_len_hides_no_answer_behind_it() -> None:
    booth = polled()
    torn = b"\x30" + inventory(b"AB")[1:]  # a Len of 48: the answer behind it seems to belong to it
    assert booth.readings(torn + inventory(b"CD")) == []
    booth.now += BYTE_GAP_S
    wrong, tag = booth.dialogue.woke(booth.now)
    assert wrong == Reading(Malformed("an answer without its end"), 100.0, torn)
    assert (tag.body, tag.raw) == (TagRead("4344", "CD"), inventory(b"CD"))


def test_an_answer_within_a_tags_epc_is_no_answer() -> None:
    # A tag may be written by anybody; byte by byte, its EPC must not be taken for what the reader says.
    forged = inventory(b"HQ12")
    whole = inventory(forged)
    booth = polled()
    bodies = [body for byte in whole for body in booth.hears(bytes([byte]))]
    assert bodies == [TagRead(forged.hex().upper())]


def test_an_answer_without_its_end() -> None:
    booth = polled()
    assert booth.hears(TAG_18[:10]) == []
    assert booth.waits(BYTE_GAP_S - 0.01) == []
    assert booth.waits(0.01) == [Malformed("an answer without its end")]


def test_a_long_noise_is_told_in_pieces() -> None:
    booth = polled()
    assert [len(reading.raw) for reading in booth.readings(b"\xff" * 600)] == [256, 256]
    assert [reading.raw for reading in booth.dialogue.woke(math.inf)] == [b"\xff" * 88]
    assert list(booth.dialogue.woke(math.inf)) == []


def test_noise_comes_after_the_quiet_answers_before_it() -> None:
    booth = polled()
    quiet, noise = booth.readings(NO_TAG + b"\xff" * 257)
    assert (quiet.raw, noise.raw) == (NO_TAG, b"\xff" * 256)


def test_at_the_end_nothing_is_held_back() -> None:
    booth = polled()
    booth.hears(NO_TAG + TAG_18[:5])
    assert [reading.raw for reading in booth.dialogue.woke(math.inf)] == [NO_TAG, TAG_18[:5]]
    assert booth.asks() == b""


def test_another_readers_answers() -> None:
    booth = polled(address=3)
    assert booth.hears(NO_TAG) == []
    (wrong,) = booth.waits(BYTE_GAP_S)
    assert wrong == Malformed("bytes that are no answer of the reader with `address` 3")
    assert polled(address=3).hears(answer(0x01, 0x01, b"\x01\x02AB", address=3)) == [TagRead("4142", "AB")]
    assert polled(address=255).hears(answer(0x01, 0x01, b"\x01\x02AB", address=7)) == [TagRead("4142", "AB")]


def test_a_recording_is_read_without_asking() -> None:
    dialogue = UhfReader18(Settings(seals=Settings.model_validate({"seals": SEALS}).seals))
    dialogue.opened(math.nan)
    assert dialogue.to_send() == b""
    assert dialogue.next_wake() is None
    bodies = [
        r.body for r in dialogue.received(INFORMATION_18 + inventory(SEAL) + answer(0x02, 0, b"\x80\0"), math.nan)
    ]
    # Which tag a read was of stands in the command, which is not in the recording.
    assert [type(body) for body in bodies] == [DeviceSetup, TagRead, Opaque]
    assert dialogue.to_send() == b""


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
