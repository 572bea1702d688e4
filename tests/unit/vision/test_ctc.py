import itertools

import numpy as np
import pytest

from edge_agent.vision.ctc import (
    CLASSES,
    LETTERS_AND_DIGITS,
    Probabilities,
    best_path,
    label_probabilities,
    labels_of,
    text_probabilities,
    text_probability,
)

COLUMN = {c: i + 1 for i, c in enumerate(LETTERS_AND_DIGITS)} | {"": 0}


def probabilities(*steps: dict[str, float]) -> Probabilities:
    out = np.zeros((len(steps), CLASSES), np.float32)
    for row, step in zip(out, steps, strict=True):
        for character, p in step.items():
            row[COLUMN[character]] = p
    return out


def test_repeats_merge_blanks_part_and_alternatives_stay() -> None:
    read = best_path(
        probabilities({"A": 0.9}, {"A": 0.8}, {"": 0.9}, {"A": 0.7}, {"B": 0.6, "8": 0.3, "3": 0.1}, {"": 1.0})
    )
    assert read.as_read == "AAB"
    assert [c.confidence for c in read.characters] == pytest.approx([0.9, 0.7, 0.6])
    assert read.characters[2].alternatives == (("8", 0.3), ("3", 0.1))


def test_places_run_along_the_used_part() -> None:
    assert best_path(probabilities({"A": 1}, {"": 1}, {"": 1}, {"B": 1})).places == pytest.approx((0.125, 0.875))
    half = best_path(probabilities({"A": 1}, {"": 1}, {"": 1}, {"": 1}), used=0.5)
    assert half.places == pytest.approx((0.25,))


def test_nothing_but_blanks_reads_nothing() -> None:
    read = best_path(probabilities({"": 1}, {"": 1}))
    assert read.characters == ()
    assert read.probability == 1.0


def test_the_probability_of_a_text_is_the_sum_over_its_paths() -> None:
    random = np.random.default_rng(3)
    kinds = ["", "A", "B"]
    steps = [dict(zip(kinds, random.dirichlet([1, 1, 1]).tolist(), strict=True)) for _ in range(5)]
    sums: dict[str, float] = {}
    for path in itertools.product(kinds, repeat=5):
        text = "".join(k for k, _ in itertools.groupby(path) if k)
        sums[text] = sums.get(text, 0.0) + float(np.prod([s[c] for s, c in zip(steps, path, strict=True)]))
    for text, expected in sums.items():
        assert text_probability(probabilities(*steps), text) == pytest.approx(expected, abs=1e-6), text
    assert text_probability(probabilities(*steps), "ABABAB") == 0.0
    other = probabilities(*steps[::-1])
    together = text_probabilities(np.stack([probabilities(*steps), other]), "AB")
    assert together == pytest.approx([sums["AB"], sums["BA"]], abs=1e-6), "the other is the first, read backwards"
    texts = ["AA", "AB", "BB", "BA"]
    each = label_probabilities(np.stack([probabilities(*steps)]), [labels_of(text) for text in texts])[0]
    assert each == pytest.approx([sums[text] for text in texts], abs=1e-6)
    assert text_probabilities(np.stack([other, other]), "") == pytest.approx([sums[""]] * 2, abs=1e-6)
