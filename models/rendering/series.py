"""What an issuer's plates look like: the table's row, and random serials in its form."""

import csv
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Literal

import numpy as np

from models.rendering.drawn import Colour, pick

LETTERS = "ABCDEFGHIJKLMNOPQRSTUVWXYZ"
DIGITS = "0123456789"
ALIKE = frozenset("ZDABSGQTI2048571")
"""Characters that are taken for one another (2 and Z, 0 and D, A and 4, 5 and S): some serials hold these alone."""
ALIKE_SHARE = 0.2
Layout = Literal["american", "european", "brazilian", "mercosul"]


@dataclass(frozen=True)
class Series:
    """One series of one issuer.

    `patterns` is a list separated by `;`. `A` is a letter of `letters`, `9` a digit, `1` a digit but 0, `X` either,
    another digit itself, `'AB'` these very characters; `_` a gap, `-` a dash, `.` a dot, `*` the series' decal, `#` a
    seal, `|` a new row; `(TRK)` small stacked letters, which name the kind of plate and are not read. A colour is
    `rrggbb`.
    """

    region: str
    patterns: str
    layout: Layout = "american"
    weight: float = 1.0
    ground: str = "plain:f4f4f0"
    """`plain:c`, `fade:c,c[,c]` from top to bottom, `bands:top,middle,bottom`."""
    ink: str = "202060"
    name: str = ""
    """Set above the serial; alternatives separated by `|`."""
    name_ink: str = ""
    name_style: str = "sans"
    slogan: str = ""
    """Set below it; alternatives separated by `|`."""
    slogan_ink: str = ""
    art: str = ""
    """Background pictures `shape:colour`, separated by blanks."""
    decal: str = ""
    """`shape:colour` of the one in the serial."""
    letters: str = LETTERS
    faces: str = "us"
    size: tuple[float, float] = (305, 152)
    """Millimetres."""
    band: str = ""
    """European country letters, or `top,bottom` strip colours elsewhere."""


Item = tuple[Literal["character", "gap", "dash", "dot", "decal", "seal", "stack"], str]


def serial(rng: np.random.Generator, series: Series, pattern: str | None = None) -> list[list[Item]]:
    """A random serial of the series, row after row."""
    if pattern is None:
        pattern = pick(rng, series.patterns.split(";")).strip()
    rows: list[list[Item]] = [[]]
    alike = rng.random() < ALIKE_SHARE
    at = 0
    while at < len(pattern):
        sign = pattern[at]
        if sign in "'(":
            end = pattern.index("'" if sign == "'" else ")", at + 1)
            inside = pattern[at + 1 : end]
            rows[-1] += [("character", c) for c in inside] if sign == "'" else [("stack", inside)]
            at = end
        elif sign == "|":
            rows.append([])
        elif sign in "_-.*#":
            kinds: dict[str, Item] = {
                "_": ("gap", ""),
                "-": ("dash", ""),
                ".": ("dot", ""),
                "*": ("decal", ""),
                "#": ("seal", ""),
            }
            rows[-1].append(kinds[sign])
        elif sign in "02345678":
            rows[-1].append(("character", sign))
        elif sign in "A91X":
            choices = {"A": series.letters, "9": DIGITS, "1": DIGITS[1:], "X": series.letters + DIGITS}[sign]
            likely = [c for c in choices if c in ALIKE] if alike else choices
            rows[-1].append(("character", pick(rng, likely or choices)))
        else:
            raise ValueError(f"series {series.region}: the pattern {pattern!r} holds {sign!r}, which means nothing")
        at += 1
    return rows


def text_of(rows: list[list[Item]]) -> str:
    """What is read: the characters, without gaps, signs and stacked letters."""
    return "".join(value for row in rows for kind, value in row if kind == "character")


def colour(code: str) -> Colour:
    """`rrggbb` (or `rgb`) as blue, green, red."""
    if len(code) == 3:
        code = "".join(c * 2 for c in code)
    return int(code[4:6], 16), int(code[2:4], 16), int(code[0:2], 16)


def read_table(path: Path, prefix: str, letters_of: Callable[[str], str]) -> tuple[Series, ...]:
    """Series from a `;`-separated table: a code and fields of Series; its patterns are separated by blanks."""
    with path.open(encoding="utf-8", newline="") as file:
        return tuple(_series(row, prefix, letters_of) for row in csv.DictReader(file, delimiter=";"))


def _series(row: dict[str, str], prefix: str, letters_of: Callable[[str], str]) -> Series:
    code = row["code"]
    return Series(
        region=prefix + code,
        patterns=";".join(row["patterns"].split()),
        ground=row["ground"],
        ink=row["ink"],
        name=row["name"],
        name_ink=row["name_ink"],
        name_style=row["name_style"],
        slogan=row["slogan"],
        slogan_ink=row["slogan_ink"],
        art=row["art"],
        decal=row["decal"] or "any:808080",
        letters=letters_of(code),
    )
