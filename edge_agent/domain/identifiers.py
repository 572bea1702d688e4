"""ISO 6346 container codes, licence plates and ISO 17712 seal numbers as they are written."""

import re

# ISO 6346:2022, 3.2: owner code (three letters), category (U freight container, J detachable equipment, Z trailer
# or chassis), serial number (six digits), check digit.
_CONTAINER_CODE = re.compile(r"[A-Z]{3}[UJZ][0-9]{7}")
# Annex A: letters count from 10 and leave out the multiples of 11.
_VALUES = {str(digit): digit for digit in range(10)} | dict(
    zip("ABCDEFGHIJKLMNOPQRSTUVWXYZ", (v for v in range(10, 39) if v % 11), strict=True)
)
_SEPARATORS = re.compile(r"[\s\-·.•]+")
SEAL_NUMBER_MAX = 32


def container_check_digit(code: str) -> int:
    """The check digit that belongs to the first ten characters (ISO 6346, annex A).

    Raises ValueError on fewer than ten characters or on one that is neither A-Z nor 0-9.
    """
    if len(code) < 10:
        raise ValueError(f"a container code has ten characters before its check digit, not {len(code)}: {code!r}")
    try:
        return sum(_VALUES[c] << i for i, c in enumerate(code[:10])) % 11 % 10
    except KeyError as error:
        raise ValueError(f"{error.args[0]!r} does not occur in container codes: {code!r}") from None


def is_container_code(code: str) -> bool:
    """Whether `code` has the form of a complete code; says nothing of its check digit."""
    return _CONTAINER_CODE.fullmatch(code) is not None


def check_digit_ok(code: str) -> bool:
    """Whether a complete code carries its own check digit. Evidence, not proof: one random code in eleven does."""
    return is_container_code(code) and container_check_digit(code) == int(code[10])


def normalise_plate(text: str) -> str:
    """Upper case without separators: the form in which plates are compared. The text as read is kept beside it."""
    return _SEPARATORS.sub("", text).upper()


def fold_plate(text: str) -> str:
    """Plates as equal when O = 0 and I = 1: for comparing with labels that follow no rule, never for a record."""
    return normalise_plate(text).replace("O", "0").replace("I", "1")


def plate_form(text: str) -> str:
    """A plate with every letter as A and every digit as 0: what series are told by."""
    return "".join("0" if c.isdigit() else "A" for c in text)


def is_seal_number(text: str) -> bool:
    """Whether `text` can be a mechanical seal's number as printed: letters, digits and hyphens (ISO 17712, 4.2)."""
    return (
        4 <= len(text) <= SEAL_NUMBER_MAX
        and re.fullmatch(r"[A-Za-z0-9][A-Za-z0-9 \-/]*", text) is not None
        and any(c.isdigit() for c in text)
    )
