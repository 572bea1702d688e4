"""GS1 element strings: what a GS1-128, GS1 DataMatrix or GS1 QR symbol holds (GS1 General Specifications, section 7.8).

Each element is an application identifier and a value. Values whose length is not fixed end at FNC1, which scanners
send as GS (1D hexadecimal), or at the end of the symbol.
"""

GS = "\x1d"
VALUE_MAX = 90  # no value is longer

# Digits that the identifier itself has, by its first two.
_IDENTIFIER = (
    dict.fromkeys(["00", "01", "02", "03", "04", *map(str, range(10, 23)), "30", "37", *map(str, range(90, 100))], 2)
    | dict.fromkeys(["23", "24", "25", "40", "41", "42", "71"], 3)
    | dict.fromkeys(["31", "32", "33", "34", "35", "36", "39", "43", "70", "72", "80", "81", "82"], 4)
)
# Figure 7.8.5-2: identifier and value together, where that is fixed; the values are digits.
_FIXED = (
    {"00": 20, "01": 16, "02": 16, "03": 16, "04": 18, "20": 4, "41": 16}
    | dict.fromkeys(map(str, range(11, 20)), 8)
    | dict.fromkeys(map(str, range(31, 37)), 10)
)
# SSCC, GTIN and GLN end with a check digit.
_CHECKED = frozenset({"00", "01", "02", "03", *(f"41{digit}" for digit in range(8))})


def elements(text: str) -> tuple[tuple[str, str], ...]:
    """Application identifiers and values, in order. Raises ValueError, saying why, if `text` is not made of them."""
    found: list[tuple[str, str]] = []
    rest = text.removeprefix(GS)
    while rest:
        start = rest[:2]
        digits = _IDENTIFIER.get(start)
        if digits is None or not _are_digits(rest[:digits]) or len(rest) < digits:
            raise ValueError(f"no application identifier begins with {rest[:4]!r}")
        identifier = rest[:digits]
        if start in _FIXED:
            value, rest = rest[digits : _FIXED[start]], rest[_FIXED[start] :].removeprefix(GS)
            if digits + len(value) < _FIXED[start] or not _are_digits(value):
                raise ValueError(f"({identifier}) has {_FIXED[start] - digits} digits, not {value!r}")
        else:
            value, _, rest = rest[digits:].partition(GS)
            if not value or len(value) > VALUE_MAX:
                raise ValueError(f"({identifier}) has one to {VALUE_MAX} characters, not {len(value)}")
        found.append((identifier, value))
    if not found:
        raise ValueError("nothing in it")
    return tuple(found)


def in_words(identifier: str, value: str) -> str:
    """An element as it is printed under a symbol, with a remark where its check digit is wrong."""
    wrong = identifier in _CHECKED and not check_digit_ok(value)
    return f"({identifier}){value}{' check digit wrong' if wrong else ''}"


def check_digit_ok(digits: str) -> bool:
    """GS1 General Specifications 7.9.1: weights 3, 1, 3, ... from the right, the check digit left out, modulo 10."""
    weighted = sum(int(digit) * (3 if place % 2 == 0 else 1) for place, digit in enumerate(reversed(digits[:-1])))
    return (weighted + int(digits[-1])) % 10 == 0


def _are_digits(text: str) -> bool:
    return text.isascii() and text.isdigit()
