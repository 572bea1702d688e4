import pytest
from hypothesis import given
from hypothesis import strategies as st
from stdnum import iso6346

from edge_agent.domain.identifiers import (
    check_digit_ok,
    container_check_digit,
    fold_plate,
    is_container_code,
    is_seal_number,
    normalise_plate,
)

_CODES = st.builds(
    lambda owner, category, serial: owner + category + serial,
    st.text("ABCDEFGHIJKLMNOPQRSTUVWXYZ", min_size=3, max_size=3),
    st.sampled_from("UJZ"),
    st.text("0123456789", min_size=6, max_size=6),
)


@pytest.mark.parametrize("code", ["CSQU3054383", "TCNU7200794", "HLXU2008419", "MSKU0383250", "TOLU4734787"])
def test_published_codes(code: str) -> None:
    assert check_digit_ok(code)
    wrong = code[:-1] + str((int(code[-1]) + 1) % 10)
    assert is_container_code(wrong)
    assert not check_digit_ok(wrong)


@given(_CODES)
def test_agrees_with_an_independent_implementation(code: str) -> None:
    assert str(container_check_digit(code)) == iso6346.calc_check_digit(code)


@pytest.mark.parametrize("code", ["", "CSQX3054383", "CSQU305438", "CSQU30543830", "csqu3054383", "CSQU305438A"])
def test_what_is_no_complete_code(code: str) -> None:
    assert not is_container_code(code)
    assert not check_digit_ok(code)


@pytest.mark.parametrize("code", ["CSQU30543", "CSQU-305438", "CSQÜ305438"])
def test_a_check_digit_needs_ten_characters_of_the_alphabet(code: str) -> None:
    with pytest.raises(ValueError, match="container code"):
        container_check_digit(code)


def test_plates_compare_without_separators() -> None:
    assert normalise_plate("b-ab 12·34.") == "BAB1234"
    assert fold_plate("I0O1") == "1001"


@pytest.mark.parametrize(
    ("text", "expected"),
    [("ML-1234567", True), ("HS1234567", True), ("1234", True), ("123", False), ("ABCDEF", False), ("12;DROP", False),
     ("-1234", False), ("1" * 33, False)],
)  # fmt: skip
def test_seal_numbers(text: str, expected: bool) -> None:
    assert is_seal_number(text) is expected
