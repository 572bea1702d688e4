import pytest

from edge_agent.domain.observation import Box, CharacterRead
from edge_agent.vision.alike import distance, likeness, overlap, steps_apart, support


@pytest.mark.parametrize(
    ("one", "other", "expected"),
    [
        ("ABC123", "ABC123", 0.0),
        ("ABC123", "ABC128", 0.4),  # 3 and 8 are taken for each other
        ("ABC123", "ABC124", 1.0),
        ("0BC123", "OBC123", 0.4),
        ("ABC123", "BC123", 0.5),  # cut at an end
        ("ABC123", "ABC12", 0.5),
        ("ABC123", "ABC23", 1.0),  # a character inside does not get lost as easily
        ("", "ABC", 1.5),
        ("AB", "CD", 2.0),
    ],
)
def test_a_confusable_character_and_a_cut_end_cost_less(one: str, other: str, expected: float) -> None:
    assert distance(one, other) == pytest.approx(expected)
    assert distance(other, one) == pytest.approx(expected)


def test_likeness_is_one_for_the_same_and_zero_for_nothing_in_common() -> None:
    assert likeness("7KLM223", "7KLM223") == 1.0
    assert likeness("", "") == 1.0
    assert likeness("7KLM223", "7KLM22B") > 0.85
    assert likeness("7KLM223", "9XHS456") < 0.3


def _read(text: str, confidence: float = 1.0) -> tuple[CharacterRead, ...]:
    return tuple(CharacterRead(c, confidence) for c in text)


def test_a_reading_supports_what_its_characters_and_alternatives_say() -> None:
    assert support("ABC", _read("ABC", 0.9)) == pytest.approx(0.9)
    assert support("A8C", tuple(CharacterRead(c, 0.9, (("8", 0.3),)) for c in "ABC")) == pytest.approx(2.1 / 3)
    assert support("XYZ", _read("ABC")) == 0.0
    assert support("ABC", ()) == 0.0


def test_a_reading_cut_at_its_end_supports_the_whole_text_more_than_the_whole_supports_the_cut() -> None:
    assert support("34A23126", _read("A23126")) > support("A23126", _read("34A23126"))


def test_overlap_and_steps() -> None:
    box = Box(100, 100, 80, 20)
    assert overlap(box, box) == 1.0
    assert overlap(box, Box(140, 100, 80, 20)) == pytest.approx(1 / 3)
    assert overlap(box, Box(180, 100, 80, 20)) == 0.0
    assert steps_apart(box, Box(180, 100, 80, 20)) == pytest.approx(1.0)
    assert steps_apart(Box(0, 0, 20, 160), Box(0, 160, 20, 160)) == pytest.approx(1.0)
