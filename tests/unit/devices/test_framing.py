"""Bytes in, frames and what lies between them out."""

import math

from hypothesis import given
from hypothesis import strategies as st

from edge_agent.devices.framing import Framer, line, why_not_a_frame


def boxes(window: bytes) -> int | None:
    """`<..>`: four bytes."""
    if len(window) < 4:
        return None
    return 4 if window[3:4] == b">" else 0


def opened() -> Framer:
    framer = Framer(boxes, b"<", 4, unfinished_s=1.0)
    framer.opened(10.0)
    return framer


def test_frames_and_what_lies_between_them() -> None:
    framer = opened()
    assert list(framer.feed(b"ab<12><3", 11.0)) == [(b"ab", False), (b"<12>", True)]
    assert framer.next_wake() == 12.0
    assert framer.overdue(11.9) == b""
    assert list(framer.feed(b"<45>", 11.9)) == [(b"<3", False), (b"<45>", True)], "a torn frame costs itself only"
    assert framer.next_wake() is None
    assert framer.overdue(math.inf) == b""


def test_what_is_no_frame_comes_out_in_bounded_pieces() -> None:
    assert list(opened().feed(b"abcdefghi<12>", 11.0)) == [
        (b"abcd", False),
        (b"efgh", False),
        (b"i", False),
        (b"<12>", True),
    ]


def test_an_unfinished_frame_is_overdue() -> None:
    framer = opened()
    assert list(framer.feed(b"x<1", 11.0)) == []
    assert framer.overdue(12.0) == b"x<1"
    assert framer.overdue(13.0) == b""
    assert list(framer.feed(b"<12>", 14.0)) == [(b"<12>", True)]


@given(st.lists(st.binary(max_size=9) | st.sampled_from([b"<12>", b"<", b"<<<"])))
def test_no_byte_is_lost_and_cutting_changes_nothing(said: list[bytes]) -> None:
    whole = b"".join(said)
    expected = list(opened().feed(whole, 11.0))
    for pieces in (said, [whole[i : i + 1] for i in range(len(whole))]):
        framer = opened()
        found = []
        for piece in pieces:
            found += list(framer.feed(piece, 11.0))
        assert found == expected
        held = framer.overdue(math.inf)
        assert len(held) < 8
        assert b"".join(piece for piece, _ in found) + held == whole


def test_lines() -> None:
    framer = Framer(line(5), b"", 5, unfinished_s=1.0)
    assert list(framer.feed(b"a\n1234\n12345\n", 1.0)) == [
        (b"a\n", True),
        (b"1234\n", True),
        (b"12345", True),
        (b"\n", True),
    ]


def test_what_to_say_of_other_bytes() -> None:
    assert why_not_a_frame(b"abc", "a box") == "no frame (a box)"
    assert "check baud, bytesize and parity" in why_not_a_frame(b"ab\x82", "a box")
