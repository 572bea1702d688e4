"""GS1 element strings, judged by python-stdnum."""

from contextlib import suppress

import pytest
from hypothesis import given
from hypothesis import strategies as st
from stdnum import ean
from stdnum.exceptions import ValidationError
from stdnum.gs1_128 import encode

from edge_agent.devices.gs1 import check_digit_ok, elements, in_words

TEXT = st.text("ABCXYZ0123456789-/.", min_size=1, max_size=20)


@pytest.mark.parametrize(
    ("text", "found"),
    [
        # GS1 General Specifications and GS1 US: an SSCC, a GTIN with a batch, weights
        ("00106141411234567897", (("00", "106141411234567897"),)),
        ("010400638133393110LOT7", (("01", "04006381333931"), ("10", "LOT7"))),
        ("10LOT7\x1d0104006381333931", (("10", "LOT7"), ("01", "04006381333931"))),
        ("\x1d10LOT7\x1d", (("10", "LOT7"),)),  # FNC1 sent at its beginning, and at its end
        ("0104006381333931\x1d10A", (("01", "04006381333931"), ("10", "A"))),  # needless, and allowed
        ("3102000400", (("3102", "000400"),)),
        ("4104000001123456", (("410", "4000001123456"),)),
        ("8004ABC-1\x1d91X", (("8004", "ABC-1"), ("91", "X"))),
        ("2351A", (("235", "1A"),)),
    ],
)
def test_elements(text: str, found: tuple[tuple[str, str], ...]) -> None:
    assert elements(text) == found


@pytest.mark.parametrize(
    ("text", "wrong"),
    [
        ("", "nothing in it"),
        ("\x1d", "nothing in it"),
        ("0", "no application identifier"),
        ("SEAL0001", "no application identifier"),
        ("05123", "no application identifier"),
        ("31A2000400", "no application identifier"),
        ("310", "no application identifier"),
        ("0010614141123456789", "has 18 digits"),
        ("00ABC14141123456789X", "has 18 digits"),
        ("10", "has one to 90 characters"),
        ("10" + "A" * 91, "has one to 90 characters"),
        ("10A\x1d\x1d11", "no application identifier"),
        ("²1A", "no application identifier"),
        ("00١06141411234567897", "has 18 digits"),
    ],
)
def test_what_is_no_element_string(text: str, wrong: str) -> None:
    with pytest.raises(ValueError, match=wrong):
        elements(text)


@given(batch=TEXT, serial=TEXT, gtin=st.integers(0, 10**13 - 1), count=st.integers(1, 99_999_999))
def test_what_another_encoder_makes(batch: str, serial: str, gtin: int, count: int) -> None:
    digits = f"{gtin:013d}"
    data = {"01": digits + ean.calc_check_digit(digits), "10": batch, "21": serial, "37": str(count)}
    assert dict(elements(encode(data, "\x1d"))) == data


@given(st.text("0123456789", min_size=13, max_size=14))
def test_check_digits(digits: str) -> None:
    try:
        ean.validate(digits)
        right = True
    except ValidationError:
        right = False
    assert check_digit_ok(digits) is right


@given(st.text(max_size=40))
def test_any_text_is_elements_or_refused(text: str) -> None:
    with suppress(ValueError):
        assert elements(text)


def test_in_words() -> None:
    assert in_words("00", "106141411234567897") == "(00)106141411234567897"
    assert in_words("00", "106141411234567890") == "(00)106141411234567890 check digit wrong"
    assert in_words("21", "HQ1") == "(21)HQ1"
