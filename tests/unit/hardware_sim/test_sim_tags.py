"""UHF readers against their manual's frames and the published vectors (devices.md)."""

from dataclasses import replace
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from hardware_sim.devices.uhfreader import Settings18, Settings288, UhfReader, crc
from hardware_sim.world.lane import Lane
from hardware_sim.world.tags import TagSettings, tags_of
from hardware_sim.world.truck import Seal
from tests.unit.hardware_sim.roads import TCP, lane_of, site_of, truck


def framed(*body: int | bytes) -> bytes:
    data = b"".join(bytes([b]) if isinstance(b, int) else b for b in body)
    frame = bytes([len(data) + 2]) + data
    return frame + crc(frame)


def reader18(lane: Lane, **more: Any) -> UhfReader:
    return UhfReader("tags", Settings18(kind="uhfreader18", links=TCP, misses=0.0, **more), site_of(lane))  # type: ignore[arg-type]


def reader288(lane: Lane, **more: Any) -> UhfReader:
    return UhfReader("tags", Settings288(kind="uhfreader288", links=TCP, misses=0.0, **more), site_of(lane))  # type: ignore[arg-type]


def asked(reader: UhfReader, command: bytes, at: float) -> list[bytes]:
    """The frames of the answer, each checked."""
    assert reader.received(command, at) == b""
    due = reader.next_wake()
    if due is None:
        return []
    assert at < due < at + 1
    answer, frames = reader.woke(due), []
    while answer:
        frame, answer = answer[: answer[0] + 1], answer[answer[0] + 1 :]
        assert crc(frame[:-2]) == frame[-2:]
        frames.append(frame)
    return frames


def test_crc_is_that_of_the_published_vectors() -> None:
    assert crc(b"123456789") == bytes([0x91, 0x6F])
    for vector in (
        "1100210000160c034e001e0a01000000e651", "13000103010c0000000000000000000003133f39",
        "1500010301010c0000000000000000000003136bb1a5", "0700010101001e4b",
    ):  # fmt: skip
        frame = bytes.fromhex(vector)
        assert crc(frame[:-2]) == frame[-2:]
    assert crc(bytes.fromhex("1500010301010c0000000000000000000003136b")) != bytes.fromhex("b1a6")


def test_288_information_and_empty_field_are_the_published_frames() -> None:
    lane = lane_of([])
    assert asked(reader288(lane), framed(0xFF, 0x21), 1.0) == [bytes.fromhex("1100210000160c034e001e0a01000000e651")]
    assert asked(reader288(lane), framed(0x00, 0x01), 1.0) == [bytes.fromhex("0700010101001e4b")]


def test_18_says_no_tag_operable_where_there_is_none() -> None:
    assert asked(reader18(lane_of([])), framed(0x00, 0x01), 1.0) == [framed(0x00, 0x01, 0xFB)]


def test_18_hears_the_trucks_tag_and_then_its_seal() -> None:
    lane = lane_of([truck(tag="ANAM00001234")])
    passage = lane.passages[0]
    reader = reader18(lane)
    at = passage.reaches(-2.0 + 1.6)
    (frame,) = asked(reader, framed(0x00, 0x01), at)
    assert frame == framed(0x00, 0x01, 0x01, 1, 12, b"ANAM00001234")
    seal_at = passage.reaches(-2.0 + passage.truck.container_from_m + passage.truck.container_m)
    (frame,) = asked(reader, framed(0x00, 0x01), seal_at)
    assert passage.truck.seal is not None
    assert frame[4:-2] == bytes([1, 12]) + passage.truck.seal.ljust(12).encode()
    said = reader.said_of(passage)
    assert said is not None
    assert said["reads"] == {"ANAM00001234": 1, passage.truck.seal: 1}


def test_288_gives_each_antennas_tags_with_their_rssi_and_then_the_end() -> None:
    lane = lane_of([truck(tag="ANAM00001234")])
    at = lane.passages[0].reaches(-1.0 + 1.6)  # between the two antennas
    frames = asked(reader288(lane, antennas=2), framed(0x00, 0x01, 4, 0), at)
    assert [f[3] for f in frames] == [0x03, 0x03, 0x01]
    assert [f[4] for f in frames] == [0x01, 0x02, 0x02]  # a bit for each antenna
    assert all(f[5:19] == bytes([1, 12]) + b"ANAM00001234" for f in frames[:2])
    assert 50 < frames[0][19] < 100
    nearer = asked(reader288(lane, antennas=2), framed(0x00, 0x01), lane.passages[0].reaches(-2.0 + 1.6))
    assert nearer[0][19] > frames[0][19]


def test_288_asks_one_antenna_and_refuses_one_that_is_not_there() -> None:
    lane = lane_of([truck(tag="ANAM00001234")])
    at = lane.passages[0].reaches(-1.0 + 1.6)
    frames = asked(reader288(lane, antennas=2), framed(0x00, 0x01, 4, 0, 0, 0x81, 10), at)
    assert [f[4] for f in frames] == [0x02, 0x02]
    assert asked(reader288(lane), framed(0x00, 0x01, 4, 0, 0, 0x83, 10), at) == [framed(0x00, 0x01, 0xFF)]


def test_288_tells_statistics_when_they_are_asked_for() -> None:
    lane = lane_of([truck(tag="ANAM00001234")])
    frames = asked(reader288(lane), framed(0x00, 0x01, 0x84, 0), lane.passages[0].reaches(-0.4))
    assert [f[3] for f in frames] == [0x03, 0x01, 0x26]
    assert frames[-1][7:-2] == (1).to_bytes(4, "big")


def test_more_tags_than_fit_follow_in_further_frames() -> None:
    lane = lane_of([truck(tag="ANAM00001234")])
    at = lane.passages[0].reaches(-2.0 + 6.0)
    frames = asked(reader18(lane, per_frame=1, reach_m=15), framed(0x00, 0x01), at)
    assert [f[3] for f in frames] == [0x03, 0x01]
    assert all(f[4] == 1 for f in frames)


def test_memory_tells_tid_and_whether_the_seal_was_opened() -> None:
    for opened in (False, True):
        one = truck(tag=None)
        sealed = replace(one.containers[0], seal=Seal("HS1234567", opened))
        lane = lane_of([replace(one, containers=(sealed,))])
        at = lane.passages[0].reaches(-2.0 + one.container_from_m + one.container_m)
        reader = reader18(lane, tags=TagSettings(tamper_word=2, tamper_bit=3))
        epc = b"HS1234567   "
        read: list[int | bytes] = [0x00, 0x02, 6, epc]
        (user,) = asked(reader, framed(*read, 3, 2, 1, bytes(4)), at)
        assert user == framed(0x00, 0x02, 0x00, bytes([0, 8 if opened else 0]))
        (tid,) = asked(reader, framed(*read, 2, 0, 2, bytes(4)), at)
        assert tid[4:6] == b"\xe2\x80"
        (pc,) = asked(reader, framed(*read, 1, 1, 7, bytes(4)), at)
        assert pc[4:-2] == (6 << 11).to_bytes(2, "big") + epc
        (beyond,) = asked(reader, framed(*read, 3, 15, 4, bytes(4)), at)
        assert beyond == framed(0x00, 0x02, 0xFC, 0x03)


def test_wrong_commands_are_answered_as_the_manual_says() -> None:
    lane = lane_of([])
    reader = reader18(lane)
    assert asked(reader, framed(0x00, 0x77), 1.0) == [framed(0x00, 0x00, 0xFE)]
    assert asked(reader, framed(0x00, 0x21, 1, 2), 2.0) == [framed(0x00, 0x21, 0xFD)]
    assert asked(reader, framed(0x00, 0x02, 6, bytes(3)), 3.0) == [framed(0x00, 0x02, 0xFD)]
    assert asked(reader, framed(0x00, 0x02, 6, bytes(12), 9, 0, 1, bytes(4)), 4.0) == [framed(0x00, 0x02, 0xFF)]
    assert asked(reader, framed(0x00, 0x02, 6, bytes(12), 3, 0, 1, bytes(4)), 5.0) == [framed(0x00, 0x02, 0xFB)]
    good = framed(0x00, 0x21)
    assert asked(reader, good[:-1] + bytes([good[-1] ^ 1]), 6.0) == []
    assert asked(reader, framed(0x05, 0x21), 8.0) == []
    assert len(asked(reader, good, 10.0)) == 1


def test_while_it_executes_it_takes_no_other_command() -> None:
    reader = reader18(lane_of([]))
    reader.received(framed(0x00, 0x21) + framed(0x00, 0x77) + framed(0x00, 0x01), 1.0)
    due = reader.next_wake()
    assert due is not None
    assert len(reader.woke(due)) == 14
    assert reader.next_wake() is None


@given(st.lists(st.binary(max_size=40), max_size=20))
def test_noise_never_raises_and_is_not_kept_for_ever(chunks: list[bytes]) -> None:
    reader = reader18(lane_of([]))
    at = 1.0
    for chunk in chunks:
        reader.received(chunk, at)
        at += 0.01
        if (due := reader.next_wake()) is not None:
            at = due
            reader.woke(due)
    assert len(reader._kept) <= 512
    assert len(asked(reader, framed(0x00, 0x21), at + 1.0)) == 1


def test_numbers_of_any_length_make_whole_words() -> None:
    for number in ("A1B2", "HS1234567", "ABCDEFGHIJKLM12", "A" * 31 + "1"):
        one = truck(tag=number)
        sealed = replace(one, containers=(replace(one.containers[0], seal=Seal(number)),))
        for tag in tags_of(sealed, TagSettings()):
            assert len(tag.epc) >= 12
            assert len(tag.epc) % 2 == 0
            assert tag.epc.decode().rstrip(" ") == number


def test_answers_are_split_where_the_length_byte_ends() -> None:
    parts = reader18(lane_of([]), per_frame=16)._parts([bytes([32]) + bytes(32)] * 16)
    assert [len(part) for part in parts] == [7, 7, 2]
    assert all(sum(map(len, part)) + 6 <= 0xFF for part in parts)


@pytest.mark.parametrize("per_frame", [1, 16])
def test_frames_never_outgrow_their_length_byte(per_frame: int) -> None:
    lane = lane_of([truck(k, tag="A" * 31 + "1") for k in range(1, 4)], stop_s=0.0, gap_s=0.0)
    for reader in (reader18(lane, reach_m=15, per_frame=per_frame), reader288(lane, reach_m=15, per_frame=per_frame)):
        for step in range(200):
            asked(reader, framed(0x00, 0x01), lane.passages[0].arrives + step * 0.5)
