"""Whether confidences hold, counted by hand: of whole texts and of characters."""

import numpy as np
import pytest

from models.plate_code_reader.train.reliability import above, calibration_error, right_characters, tenths


@pytest.mark.parametrize(
    ("text", "read", "right"),
    [
        ("ABC123", "ABC123", "111111"),
        ("ABC123", "ABG123", "110111"),
        ("ABC123", "AC123", "11111"),  # one missing: the others stand where they should
        ("ABC123", "XABC123", "0111111"),
        ("ABC123", "ABC1239", "1111110"),
        ("ABC123", "ABA123", "110111"),  # it stands elsewhere
        ("ABC123", "", ""),
        ("", "AB", "00"),
        ("ABCD", "XBYD", "0101"),
        ("7KLM223", "KLM22377", "11111100"),
    ],
)
def test_a_character_is_right_where_it_stands(text: str, read: str, right: str) -> None:
    assert right_characters(text, read) == [c == "1" for c in right]


def test_of_a_character_that_is_doubled_one_is_right() -> None:
    found = right_characters("ABC123", "ABCC123")
    assert sum(found) == 6
    assert found[2] != found[3]


def test_of_ways_with_as_few_edits_the_one_that_keeps_most_counts() -> None:
    assert sum(right_characters("AB", "BA")) == 1


def test_above_a_confidence() -> None:
    said = [(0.99, True), (0.95, True), (0.95, False), (0.4, False)]
    assert above(said, 0.9) == (3, 2)
    assert above(said, 0.95) == (3, 2)
    assert above(said, 0.0) == (4, 2)
    assert above(said, 0.999) == (0, 0)


def test_the_calibration_error_is_the_distance_between_confidence_and_share() -> None:
    said = [(0.9, True)] * 9 + [(0.9, False)] + [(0.2, True)] * 10
    assert np.allclose(tenths(said), [(0.2, 1.0, 10), (0.9, 0.9, 10)])
    assert calibration_error(said) == pytest.approx(0.4)
    assert calibration_error([(1.0, True)]) == 0
    assert calibration_error([]) == 0
