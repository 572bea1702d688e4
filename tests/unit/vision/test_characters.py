from collections.abc import Sequence

import numpy as np
import pytest

from edge_agent.domain.observation import CharacterRead
from edge_agent.inspection.vote import Ballots
from edge_agent.vision.agreement import agreed
from edge_agent.vision.characters import by_place
from edge_agent.vision.ctc import Probabilities, best_path, labels_of
from tests.unit.vision.test_agreement import alike, crop


def said(crops: Sequence[Probabilities]) -> tuple[CharacterRead, ...]:
    return by_place(crops, agreed(crops, alike).read)


def test_a_character_is_as_sure_as_all_crops_make_it() -> None:
    crops = [crop("AB1234", 0.9), crop("A81234", 0.9), crop("A81234", 0.9)]
    assert agreed(crops, alike).read.characters[1].confidence == 0.9
    places = said(crops)
    assert "".join(c.character for c in places) == "A81234"
    assert places[1].confidence == pytest.approx(2 / 3, abs=0.01)
    ((other, share),) = places[1].alternatives
    assert other == "B"
    assert share == pytest.approx(1 / 3, abs=0.01)
    assert all(c.confidence > 0.98 and not c.alternatives for c in (places[0], *places[2:]))


def test_a_crop_that_reads_another_text_says_nothing_of_its_characters() -> None:
    one, other = crop("AB1234", 0.9, c3="Z"), crop("XYZ", 0.6)
    for mine, its in zip(said([one, other]), said([one]), strict=True):
        assert (mine.character, [a for a, _ in mine.alternatives]) == (its.character, [a for a, _ in its.alternatives])
        assert mine.confidence == pytest.approx(its.confidence, abs=0.01)
    assert said([crop("XYZ"), crop("XYZ")])[0].confidence > 0.98


def test_the_likelier_character_of_a_place_may_be_another_than_the_texts() -> None:
    """As where the text's series is the commoner one."""
    crops = [crop("ABC7234", 0.8), crop("ABCI234", 0.85)]
    read = agreed(crops, lambda text: 0.1 if text == "ABC7234" else 0.0001).read
    assert read.as_read == "ABC7234"
    place = by_place(crops, read)[3]
    assert place.alternatives[0][0] == "I"
    assert place.alternatives[0][1] > place.confidence > 0.3


def test_what_crops_doubt_is_named_though_none_reads_it() -> None:
    (other, share), *_ = said([crop("AB1234", 0.5, c2="I")] * 2)[2].alternatives
    assert other == "I"
    assert share == pytest.approx(0.45 / 0.95, abs=0.01)


def test_a_place_names_the_likeliest_few() -> None:
    places = said([crop(f"AB{sign}", 0.9 - n / 100) for n, sign in enumerate("0123456789")])
    assert [a for a, _ in places[2].alternatives] == ["1", "2", "3", "4"]
    assert sum(p for _, p in places[2].alternatives) + places[2].confidence < 0.6
    assert said([crop("AB8", 0.9), *[crop("AB7", 0.9)] * 300])[2].alternatives == ()


def faint(text: str, place: int, blank: float, others: float = 1e-4) -> Probabilities:
    """A crop that says at one character's step that nothing stands there, or any of twenty other signs."""
    out = crop(text)
    row = out[2 * place + 1]
    row[labels_of("0123456789CDEFGHIJKLMN")] = others
    row[0] = blank
    row[labels_of(text[place])] = 1 - blank - 20 * others
    return out


def test_what_is_not_named_takes_its_share() -> None:
    nothing, anything = said([faint("AX1234", 1, 0.4)]), said([faint("AX1234", 1, 0.0, others=0.03)])
    assert nothing[1].confidence == pytest.approx(0.6, abs=0.01)
    assert nothing[1].alternatives == ()
    assert anything[1].confidence == pytest.approx(0.4, abs=0.03)
    assert sum(p for _, p in anything[1].alternatives) < 0.15


def test_a_doubted_look_does_not_outvote_a_sure_one() -> None:
    """Its doubt is whether anything stands there: no other sign is named for it."""
    crops = {"A8C12": [faint("A8C12", 1, 0.45)], "ABC12": [crop("ABC12", 0.985)]}
    ballots = Ballots()
    for text, seen in crops.items():
        characters = said(seen)
        assert "".join(c.character for c in characters) == text
        ballots.add(text, 0.5, characters, "lane", ())
    assert [ballot.text for ballot in ballots.ranked()] == ["ABC12", "A8C12"]


def test_one_character_none_and_what_no_reader_says() -> None:
    assert said([crop("A", 0.8)])[0].confidence == pytest.approx(0.99, abs=0.02)
    assert said([faint("A", 0, 0.3)])[0].confidence == pytest.approx(0.7, abs=0.02)
    nothing = np.zeros_like(crop("A"))
    nothing[:, 0] = 1
    assert said([nothing]) == ()
    read = best_path(crop("AB12"))
    assert by_place([np.zeros_like(crop("A"))], read) == read.characters
    assert by_place([np.full_like(crop("A"), np.nan)], read) == read.characters
