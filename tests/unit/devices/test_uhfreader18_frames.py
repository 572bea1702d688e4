"""A reader's bytes in, readings out. Frames marked published are others' captures, not made here."""

import math
from typing import Literal

import pytest

from edge_agent.devices.drivers.uhfreader18 import BYTE_GAP_S, QUIET_LIMIT, QUIET_S, Settings, UhfReader18
from edge_agent.devices.uhf_frames import Answer, crc, frame, set_up, tags_of, words
from edge_agent.domain.observation import Body, DeviceSetup, Malformed, Opaque, Reading, TagRead
from tests.unit.devices.uhf_booth import (
    INFORMATION_18,
    INFORMATION_288,
    NO_TAG,
    SEAL,
    SEALS,
    TAG_18,
    TAG_288,
    answer,
    inventory,
    polled,
)

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
