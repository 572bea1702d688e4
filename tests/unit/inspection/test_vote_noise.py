"""Voting against simulated noise, seeded: reads that confuse characters, and are unsure where they do."""

from collections import Counter
from random import Random

import pytest

from edge_agent.domain.identifiers import check_digit_ok, container_check_digit
from edge_agent.domain.observation import CharacterRead
from edge_agent.inspection.vote import Ballots, vote_codes, vote_plate
from tests.unit.inspection.script import code

ALIKE = ("0OQD", "1I7", "8B3", "5S", "2Z", "6G", "4A", "UV", "MN", "CE", "HK", "PR", "TY", "XW", "9J", "FL")
OTHERS = {sign: group.replace(sign, "") for group in ALIKE for sign in group}
TRIALS = 400


def noisy(text: str, random: Random, errors: float) -> tuple[CharacterRead, ...]:
    """One look: some characters read as one that looks alike, with the true one among the alternatives."""
    read = []
    for sign in text:
        other = random.choice(OTHERS[sign])
        if random.random() < errors:
            share = random.uniform(0.45, 0.6)
            read.append(CharacterRead(other, share, ((sign, 0.95 - share),)))
        else:
            share = random.uniform(0.6, 0.95)
            read.append(CharacterRead(sign, share, ((other, 0.97 - share),)))
    return tuple(read)


def text_of(characters: tuple[CharacterRead, ...]) -> str:
    return "".join(c.character for c in characters)


def confidence(characters: tuple[CharacterRead, ...]) -> float:
    return sum(c.confidence for c in characters) / len(characters)


@pytest.mark.parametrize("kind", ["plate", "code"])
def test_character_evidence_beats_the_best_read_and_the_majority_of_whole_texts(kind: str) -> None:
    random = Random(f"vote {kind}")
    right: Counter[str] = Counter()
    for _ in range(TRIALS):
        owner = "".join(random.choice("BCEGHKMPRSTUXZ") for _ in range(3))
        serial = "".join(random.choice("0123456789") for _ in range(6))
        true = owner + serial[:4] if kind == "plate" else f"{owner}U{serial}"
        true += str(container_check_digit(true)) if kind == "code" else ""
        looks = [noisy(true, random, 0.15) for _ in range(5)]
        texts = [text_of(look) for look in looks]
        ballots = Ballots()
        for number, look in enumerate(looks):
            ballots.add(text_of(look), confidence(look), look, f"camera-{number % 2}", ())
        voted = vote_plate(ballots)
        result = voted[0].text if voted and kind == "plate" else vote_codes(ballots)[0][0].vote.text
        assert result in texts, "a text that no look read is never the result"
        right["vote"] += result == true
        right["read by any"] += true in texts
        right["best"] += text_of(max(looks, key=confidence)) == true
        right["majority"] += Counter(texts).most_common(1)[0][0] == true
    share = {name: number / TRIALS for name, number in right.items()}
    assert share["vote"] >= share["majority"] + 0.1, share
    assert share["vote"] >= share["best"] + 0.15, share
    assert share["vote"] >= 0.97 * share["read by any"], share


def test_what_both_cameras_read_stays_visible() -> None:
    ballots = Ballots()
    for text, device in (("ABC1234", "front"), ("ABC1234", "front"), ("XYZ9876", "rear")):
        ballots.add(text, 0.9, tuple(CharacterRead(c, 0.9) for c in text), device, ())
    voted = vote_plate(ballots)
    assert voted is not None
    assert (voted[0].text, voted[0].others, voted[0].reads_other) == ("ABC1234", ("XYZ9876",), 1)


def test_the_check_digit_does_not_stand_against_two_clear_looks_more() -> None:
    right, wrong = "CSQU3054383", "CSQU3054388"
    assert check_digit_ok(right)
    for extra, winner in ((1, right), (3, wrong)):
        ballots = Ballots()
        for read in [right] + [wrong] * (1 + extra):
            ballots.add_code(code(read), "rear", ())
        [(voted, _)] = vote_codes(ballots)
        assert voted.vote.text == winner
        assert voted.vote.others == ((wrong,) if winner == right else (right,))
