import pytest

from edge_agent.domain.observation import CharacterRead
from edge_agent.vision.formats import ASPECTS, COUNTRIES, SERIES, VEHICLES, plate_form, shares
from edge_agent.vision.priors import as_series, form_share, with_same_signs

US, ALL = shares(("us",)), shares()


def read(text: str, confidence: float = 0.98, **doubts: str) -> tuple[CharacterRead, ...]:
    """Characters as read; `c3="B"` says that the one at 3 might be a B with probability 0.3."""
    out = [CharacterRead(c, confidence) for c in text]
    for place, other in doubts.items():
        i = int(place[1:])
        out[i] = CharacterRead(text[i], 0.65, ((other, 0.3),))
    return tuple(out)


def test_series_are_written_as_forms_and_make_up_a_hundred() -> None:
    assert all(plate_form(form) == form for forms in SERIES.values() for form in forms)
    assert {c: sum(forms.values()) for c, forms in SERIES.items() if sum(forms.values()) != 100} == {}
    assert sum(ALL.values()) == pytest.approx(1)


@pytest.mark.parametrize(
    ("as_read", "expected"),
    [
        ("ABC1O34", "ABC1034"),  # a digit's place
        ("A0C1234", "AOC1234"),  # a letter's place
        ("ABC123I", "ABC1231"),
        ("7KLM223", "7KLM223"),
    ],
)
def test_o_and_0_i_and_1_go_by_their_place(as_read: str, expected: str) -> None:
    assert as_series(read(as_read), US) == expected


@pytest.mark.parametrize(
    ("as_read", "expected"), [("0BC1234", "OBC1234"), ("AB01234", "ABO1234"), ("0OB0123", "OOB0123")]
)
def test_a_letter_is_no_rarer_than_its_digit_where_the_series_wants_it(as_read: str, expected: str) -> None:
    assert as_series(read(as_read), shares(COUNTRIES, 2.5)) == expected


def test_b_and_8_go_by_their_place_where_the_reader_doubts() -> None:
    assert as_series(read("8BC1234", c0="B"), US) == "BBC1234"
    assert as_series(read("ABC1B34", c4="8"), US) == "ABC1834"


def test_what_the_reader_is_sure_of_is_not_bent_into_a_series() -> None:
    assert as_series(read("8B2234"), US) == "8B2234"
    assert as_series(read("GODZILL"), US) == "GODZILL"
    assert as_series(read("A1B2C3D4E"), ALL) == "A1B2C3D4E"


def test_the_region_decides() -> None:
    assert as_series(read("AAO123"), shares(("ro", "hu"))) == "AAO123"
    assert as_series(read("0123ABC"), shares(("es",))) == "0123ABC"
    assert as_series(read("AB12O45"), shares(("gb",))) == "AB12O45"
    assert as_series(read("AB12O45"), shares(("pl",))) == "AB12045"


def test_the_shape_of_a_plate_tells_whose_series_it_may_be() -> None:
    wide, american = shares(COUNTRIES, 3.0), shares(COUNTRIES, 2.0)
    assert as_series(read("ABC1I34"), wide) == "ABC1I34"  # Mercosul's
    assert as_series(read("ABC1I34"), american) == "ABC1134"
    assert as_series(read("A0B1234"), wide) == as_series(read("A0B1234"), american) == "AOB1234"
    assert as_series(read("ABCO234"), wide) == "ABC0234"  # Paraguay has the form, and few vehicles
    assert as_series(read("ABCO234"), shares(("py",), 3.0)) == "ABCO234"
    assert sum(wide.values()) == pytest.approx(1)


def test_only_the_same_signs_are_put_into_the_text() -> None:
    raw = read("8BC1O34", c0="B")
    characters = with_same_signs(raw, "BBC1034")
    assert "".join(c.character for c in characters) == "8BC1034"
    assert characters[4] == CharacterRead("0", 0.98, (("O", 0.98),))
    assert characters[0] == raw[0]


def test_the_confidence_of_a_sign_is_that_of_both_its_meanings() -> None:
    (zero,) = with_same_signs((CharacterRead("O", 0.6, (("0", 0.35), ("Q", 0.02))),), "0")
    assert zero == CharacterRead("0", 0.95, (("O", 0.6), ("Q", 0.02)))
    (zero,) = with_same_signs((CharacterRead("O", 0.3, (("D", 0.4), ("0", 0.2))),), "0")
    assert zero == CharacterRead("0", 0.5, (("D", 0.4), ("O", 0.3))), "best first"


def test_common_series_have_a_larger_share_than_unlisted_ones() -> None:
    assert form_share("ABC1234", US) > form_share("AB123", US) > form_share("A1B2C3D", US) > 0


def test_every_country_can_be_asked_for() -> None:
    assert all(sum(shares((c,)).values()) == pytest.approx(1) for c in COUNTRIES)
    assert set(VEHICLES) == set(COUNTRIES) >= set(ASPECTS)


def test_nothing_read_is_nothing_expected() -> None:
    assert as_series((), ALL) == ""
