"""What the series of a region say about characters that look alike: O and 0, I and 1, B and 8, by their place.

The most probable text is sought over every series of as many characters as were read: the share of the series times the
probability that the reader gave to a character of the right kind at each place. A share is kept for texts of no
listed series, so that a plate that somebody chose is not bent into one.
"""

import math
from collections.abc import Iterable, Mapping

from edge_agent.domain.observation import CharacterRead
from edge_agent.vision.formats import plate_form

# Share of plates of no listed series, spread over all forms of their length. With less, chosen texts among 745 US crops
# were bent into series. With it, and all countries, a reader in training has 678 of them exactly, 680 by itself: many
# of these crops carry chosen texts, which no series describes.
UNLISTED = 0.5
PROBABILITY_MIN = 0.001  # of what the reader did not name; it names what it gives 0.005
# On most plates these are the same die: the reader's preference says little.
SAME_SIGN = {"O": "0", "0": "O", "I": "1", "1": "I"}
# Of one, where the reader was sure of the other. O and 0 are the same die nearly everywhere; an I has a foot on many
# plates and a 1 a flag. Exactly right so are 401 of 423 US crops that hold such signs (395 with 0.05 for both letters,
# 0.3 for both digits) and, had the reader said one of them the other way round, 283 of 565 plates in photos (201).
SAME_SIGN_MIN = {"0": 0.5, "1": 0.3, "O": 0.3, "I": 0.1}


def as_series(characters: tuple[CharacterRead, ...], shares: Mapping[str, float]) -> str:
    """The most probable text under the `shares` of series (formats.shares)."""
    as_read = "".join(c.character for c in characters)
    forms = {form for form in shares if len(form) == len(characters)} | {plate_form(as_read)}
    best = max(forms, key=lambda form: (_score(characters, form, shares), form == plate_form(as_read)))
    return "".join(_likeliest(c, kind)[0] for c, kind in zip(characters, best, strict=True))


def with_same_signs(characters: tuple[CharacterRead, ...], expected: str) -> tuple[CharacterRead, ...]:
    """The characters with O for 0, I for 1 and the reverse where `expected`, of the same length, has the other.

    Its confidence is that of the sign, whichever of the two it means; the one that was read stands among the
    alternatives, which are best first.
    """
    out = []
    for c, wanted in zip(characters, expected, strict=True):
        if SAME_SIGN.get(c.character) != wanted:
            out.append(c)
            continue
        both = min(1.0, round(c.confidence + sum(p for a, p in c.alternatives if a == wanted), 4))
        rest = [(c.character, c.confidence), *(a for a in c.alternatives if a[0] != wanted)]
        out.append(CharacterRead(wanted, both, tuple(sorted(rest, key=lambda a: -a[1]))))
    return tuple(out)


def form_share(text: str, shares: Mapping[str, float]) -> float:
    """How common the text's series is among plates of any length: 0..1."""
    form = plate_form(text)
    return float((1 - UNLISTED) * shares.get(form, 0.0) + UNLISTED / 2 ** len(form))


def _score(characters: Iterable[CharacterRead], form: str, shares: Mapping[str, float]) -> float:
    share = math.log((1 - UNLISTED) * shares.get(form, 0.0) + UNLISTED / 2 ** len(form))
    return share + sum(math.log(_likeliest(c, kind)[1]) for c, kind in zip(characters, form, strict=True))


def _likeliest(read: CharacterRead, kind: str) -> tuple[str, float]:
    """The likeliest character of the kind (A letter, 0 digit), and its probability."""
    said = [(read.character, read.confidence), *read.alternatives]
    for character, p in tuple(said):
        if other := SAME_SIGN.get(character):
            said.append((other, p * SAME_SIGN_MIN[other]))
    of_kind = [(c, p) for c, p in said if c.isdigit() == (kind == "0")]
    character, p = max(of_kind, key=lambda item: item[1], default=(read.character, 0.0))
    return character, max(p, PROBABILITY_MIN)
