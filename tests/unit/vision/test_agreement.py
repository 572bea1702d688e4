import numpy as np
import pytest

from edge_agent.vision.agreement import agreed
from edge_agent.vision.ctc import CLASSES, LETTERS_AND_DIGITS, Probabilities

STEPS = 24


def crop(text: str, sure: float = 0.99, **doubts: str) -> Probabilities:
    """A reader's answer, a step for each character with a blank after it; `c3="B"`: half of what 3 has goes to B."""
    out = np.full((STEPS, CLASSES), 1e-4, np.float32)
    out[: 2 * len(text) + 1 : 2, 0] = 0.99
    out[2 * len(text) + 1 :, 0] = 1
    for i, c in enumerate(text):
        out[2 * i + 1, LETTERS_AND_DIGITS.index(c) + 1] = sure
    for place, other in doubts.items():
        row = out[2 * int(place[1:]) + 1]
        row[LETTERS_AND_DIGITS.index(other) + 1] = row.max() * 0.9
    return out


def alike(text: str) -> float:
    return 0.01


def test_two_crops_that_agree_outweigh_a_surer_one() -> None:
    assert agreed([crop("AB1Z34", 0.9), crop("AB1234", 0.88), crop("AB1234", 0.87)], alike).read.as_read == "AB1234"


def test_a_doubt_counts_for_what_is_doubted() -> None:
    assert agreed([crop("8BC123", 0.6, c0="B"), crop("BBC123", 0.6)], alike).read.as_read == "BBC123"


def test_of_equal_texts_the_commoner_series_wins() -> None:
    crops = [crop("ABCI234", 0.9), crop("ABC7234", 0.9)]
    assert agreed(crops, lambda text: 0.1 if text == "ABC7234" else 0.001).read.as_read == "ABC7234"
    assert agreed(crops, lambda text: 0.1 if text == "ABCI234" else 0.001).read.as_read == "ABCI234"


def test_o_and_0_are_one_sign_for_support_and_the_surer_is_said() -> None:
    said = agreed([crop("ABC7", 0.9), crop("A0C1", 0.8), crop("AOC1", 0.85)], alike)
    assert said.read.as_read == "AOC1"
    assert said.read == agreed([crop("AOC1", 0.85)], alike).read


def test_only_what_a_crop_read_is_said() -> None:
    nothing = np.zeros((STEPS, CLASSES), np.float32)
    nothing[:, 0] = 1
    assert agreed([nothing], alike).read.as_read == ""
    assert agreed([nothing, crop("AB12", 0.3)], alike).read.as_read == "AB12"


def test_agreement_is_low_where_one_crop_alone_is_sure() -> None:
    one, other = crop("MS301"), crop("LM5301", 0.6)
    assert agreed([one], alike).agreement > 0.85
    assert agreed([one, one], alike).agreement > 0.85
    mixed = agreed([one, other, other], alike)
    assert mixed.read.as_read == "MS301"
    assert mixed.agreement < 0.4
    assert agreed([crop("A0C1"), crop("AOC1")], alike).agreement > 0.85, "one sign"
    nothing = np.zeros((STEPS, CLASSES), np.float32)
    nothing[:, 0] = 1
    assert agreed([nothing], alike).agreement == 0


def test_a_text_that_the_other_crops_doubt_is_less_sure_than_the_crop_that_says_it() -> None:
    sure, other = crop("AB1234", 0.95), crop("AB1Z34", 0.5, c3="2")
    alone, mixed = agreed([sure], alike), agreed([sure, other, other], alike)
    assert alone.confidence == pytest.approx(alone.read.probability, abs=2e-4)
    assert mixed.read == alone.read
    assert mixed.agreement < 0.5
    assert 0.8 * alone.confidence < mixed.confidence < 0.95 * alone.confidence


def test_what_nobody_read_has_no_confidence() -> None:
    nothing = np.zeros((STEPS, CLASSES), np.float32)
    nothing[:, 0] = 1
    assert agreed([nothing], alike).confidence == 0.0
