import numpy as np
import pytest

from edge_agent.vision.ctc import LETTERS_AND_DIGITS, Probabilities
from edge_agent.vision.frame import Image
from edge_agent.vision.text_reader import (
    HEIGHT,
    WIDTH_MAX,
    classes,
    decode,
    reader_input,
    reader_width,
)

ALPHABET = (*LETTERS_AND_DIGITS, "a", "o", "О", "⑥", "-", "京")  # the third O is Cyrillic
KNOWN = classes(ALPHABET)
COLUMN = {c: i + 1 for i, c in enumerate(ALPHABET)} | {"": 0, " ": len(ALPHABET) + 1}


def probabilities(*steps: dict[str, float]) -> Probabilities:
    out = np.zeros((len(steps), len(ALPHABET) + 2), np.float32)
    for row, step in zip(out, steps, strict=True):
        for character, p in step.items():
            row[COLUMN[character]] = p
    return out


def test_repeats_merge_and_blanks_part() -> None:
    read = decode(probabilities({"A": 0.9}, {"A": 0.8}, {"": 0.9}, {"A": 0.7}, {"1": 1.0}, {"": 1.0}), KNOWN)
    assert read.as_read == "AA1"
    assert [c.confidence for c in read.characters] == pytest.approx([0.9, 0.7, 1.0])


def test_places_run_along_the_line() -> None:
    read = decode(probabilities({"A": 1}, {"": 1}, {"": 1}, {"B": 1}), KNOWN)
    assert read.places == pytest.approx((0.125, 0.875))
    half = decode(probabilities({"A": 1}, {"": 1}, {"": 1}, {"": 1}), KNOWN, used=0.5)
    assert half.places == pytest.approx((0.25,))


def test_both_cases_and_equal_shapes_count_together() -> None:
    read = decode(probabilities({"O": 0.3, "o": 0.2, "О": 0.2, "0": 0.25}), KNOWN)
    (character,) = read.characters
    assert character.character == "O"
    assert character.confidence == pytest.approx(0.7)
    assert character.alternatives == (("0", 0.25),)


def test_a_ringed_digit_is_a_digit() -> None:
    assert decode(probabilities({"⑥": 0.8}), KNOWN).as_read == "6"


def test_other_characters_stand_as_read_and_do_not_become_letters() -> None:
    read = decode(probabilities({"A": 1}, {"-": 0.6, "1": 0.3}, {"京": 0.9}, {" ": 1.0}, {"7": 1}), KNOWN)
    assert read.as_read == "A-京 7"
    assert read.characters[1].alternatives == (("1", 0.3),)


def test_many_weak_others_do_not_outvote_a_letter() -> None:
    assert decode(probabilities({"A": 0.4, "-": 0.3, "京": 0.3}), KNOWN).as_read == "A"


def test_nothing_but_blanks_reads_nothing() -> None:
    assert decode(probabilities({"": 1}, {"": 1}), KNOWN).characters == ()


def test_every_column_belongs_to_one_class() -> None:
    columns = sorted([*np.concatenate(KNOWN.columns).tolist(), *KNOWN.rest.tolist()])
    assert columns == list(range(1, len(ALPHABET) + 2))


def lines(*sizes: tuple[int, int]) -> list[Image]:
    return [np.full((h, w, 3), 255, np.uint8) for h, w in sizes]


def test_input_is_48_high_and_filled_up_with_zero() -> None:
    batch = reader_input(lines((24, 60), (48, 300)))
    assert batch.shape == (2, 3, HEIGHT, 320)
    assert batch[0, :, :, :120].min() == pytest.approx(1)
    assert np.abs(batch[0, :, :, 120:]).max() == 0


@pytest.mark.parametrize(("width", "height", "expected"), [(100, 48, 100), (1, 100, 16), (100000, 10, WIDTH_MAX)])
def test_width_is_bounded(width: int, height: int, expected: int) -> None:
    assert reader_width(width, height) == expected
