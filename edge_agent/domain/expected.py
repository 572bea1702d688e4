"""What the port says will arrive, and how a vehicle's record compares with it."""

import re
from collections.abc import Iterator
from dataclasses import dataclass
from datetime import datetime, timedelta
from enum import StrEnum

from edge_agent.domain.counted import counted
from edge_agent.domain.identifiers import check_digit_ok, is_container_code, is_seal_number


class Loading(StrEnum):
    """Whether a vehicle carries cargo."""

    LADEN = "laden"
    EMPTY = "empty"


TRACTOR, TRAILER = "tractor", "trailer"
PLATE_ROLES = ("", TRACTOR, TRAILER)
# CBP's FAST and C-TPAT, Mexico's Operador Económico Autorizado, Canada's Partners in Protection.
PROGRAMMES = ("FAST", "C-TPAT", "OEA", "PIP")


@dataclass(frozen=True, slots=True)
class ExpectedPlate:
    """A declared plate, upper case and without separators; `role` is tractor, trailer, or '' if unknown."""

    text: str
    role: str = ""


@dataclass(frozen=True, slots=True)
class ExpectedCrossing:
    """One vehicle that the port expects. What is not declared is left out, and then nothing is compared.

    No `booth_ids` (SPIFFE ids) or `lane_ids`: any of the port. Codes and seals are upper case and without separators.
    The window is open where `arrives_from` or `arrives_until` is None; from `expires` on nobody keeps it.
    """

    id: str
    expires: datetime
    booth_ids: tuple[str, ...] = ()
    lane_ids: tuple[str, ...] = ()
    plates: tuple[ExpectedPlate, ...] = ()
    container_codes: tuple[str, ...] = ()
    seals: tuple[str, ...] = ()
    scac: str = ""
    gross_weight_kg: float | None = None
    loading: Loading | None = None
    programmes: tuple[str, ...] = ()
    arrives_from: datetime | None = None
    arrives_until: datetime | None = None
    note: str = ""


@dataclass(frozen=True, slots=True)
class ExpectationList:
    """Which state of the port's list is meant. `mark` was drawn with the revision: a restored port has others."""

    list_id: bytes
    revision: int
    mark: int


class MatchOutcome(StrEnum):
    """Whether a record belongs to an expectation."""

    MATCHED = "matched"  # to exactly one
    AMBIGUOUS = "ambiguous"  # several fit equally well
    NONE = "none"
    COULD_NOT_LOOK = "could_not_look"  # the booth holds no list, or cannot read it


class ArrivalTiming(StrEnum):
    """When a vehicle came, by its booth's clock."""

    WITHIN = "within"
    EARLY = "early"
    LATE = "late"


class IdentifierKind(StrEnum):
    """What is compared."""

    PLATE = "plate"
    CONTAINER_CODE = "container_code"
    SEAL = "seal"


class IdentifierVerdict(StrEnum):
    """How a declared identifier compares with one that was read. Nothing is corrected."""

    SAME = "same"
    LOOKS_ALIKE = "looks_alike"  # but for O and 0, or I and 1
    ONE_CHARACTER_OFF = "one_character_off"  # as long, and one character differs
    WITHOUT_CHECK_DIGIT = "without_check_digit"  # of a container code all but the check digit was read
    OTHER = "other"
    NOT_READ = "not_read"
    UNDECLARED = "undeclared"


@dataclass(frozen=True, slots=True)
class IdentifierComparison:
    """One identifier: declared beside read, '' where there is none. `role` is that of a declared plate."""

    kind: IdentifierKind
    declared: str
    read: str
    verdict: IdentifierVerdict
    role: str = ""


@dataclass(frozen=True, slots=True)
class ExpectationMatch:
    """How a vehicle's record compares with what the port expects.

    `expected` and `identifiers` are there if exactly one matched; if several fit, `expectation_ids` names them, at most
    MAX_AMBIGUOUS. `outside_s` is how long before or after its window it came. `list` and `list_age_s`, seconds since
    the port last said that it is the newest, are None if the booth holds none.
    """

    outcome: MatchOutcome
    expectation_ids: tuple[str, ...] = ()
    expected: ExpectedCrossing | None = None
    identifiers: tuple[IdentifierComparison, ...] = ()
    timing: ArrivalTiming | None = None
    outside_s: int = 0
    list: ExpectationList | None = None
    list_age_s: int | None = None
    detail: str = ""


MAX_AMBIGUOUS = 8


# --- what can be expected ---------------------------------------------------------------------------------------------


class ExpectationFault(StrEnum):
    """What is wrong with an expectation, by name."""

    ID_INVALID = "ID_INVALID"
    PLACE_INVALID = "PLACE_INVALID"
    PLATE_INVALID = "PLATE_INVALID"
    CONTAINER_CODE_INVALID = "CONTAINER_CODE_INVALID"
    CHECK_DIGIT_WRONG = "CHECK_DIGIT_WRONG"
    SEAL_INVALID = "SEAL_INVALID"
    SCAC_INVALID = "SCAC_INVALID"
    WEIGHT_INVALID = "WEIGHT_INVALID"
    LOADING_INVALID = "LOADING_INVALID"
    PROGRAMME_UNKNOWN = "PROGRAMME_UNKNOWN"
    WINDOW_INVALID = "WINDOW_INVALID"
    EXPIRED = "EXPIRED"
    NOTE_TOO_LONG = "NOTE_TOO_LONG"
    TOO_MANY_OF_A_KIND = "TOO_MANY_OF_A_KIND"
    NOTHING_TO_MATCH = "NOTHING_TO_MATCH"
    TOO_MANY_FOR_A_PLATE = "TOO_MANY_FOR_A_PLATE"
    TOO_MANY = "TOO_MANY"
    TWICE = "TWICE"
    FIELD_UNKNOWN = "FIELD_UNKNOWN"
    NOT_READABLE = "NOT_READABLE"


@dataclass(frozen=True, slots=True)
class ExpectationMistake:
    """One thing that cannot be as it stands: where, what is wrong, and what to do."""

    fault: ExpectationFault
    field: str
    wrong: str
    remedy: str

    def __str__(self) -> str:
        return f"{self.fault}: {self.field}: {self.wrong}\n  → {self.remedy}"


MAX_PLACES = 64
MAX_PLATES = 4
MAX_CODES = 4
MAX_SEALS = 16
MAX_NOTE = 300
MAX_WINDOW = timedelta(days=31)
MAX_AHEAD = timedelta(days=92)
# The heaviest combinations on public roads weigh some 75 t; beyond this a figure is in other units.
MAX_GROSS_KG = 200_000.0
_ID = re.compile(r"[A-Za-z0-9][A-Za-z0-9._:/#-]{0,63}")
_PLATE = re.compile(r"[A-Z0-9]{2,12}")
_SEAL = re.compile(r"[A-Z0-9]{4,32}")
_SCAC = re.compile(r"[A-Z]{2,4}")
_LANE = re.compile(r"[A-Za-z0-9][A-Za-z0-9._-]{0,62}")
_BOOTH = re.compile(r"spiffe://[a-z0-9-]{2,32}/booth/[a-z0-9-]{1,63}")


def mistakes(crossing: ExpectedCrossing) -> Iterator[ExpectationMistake]:
    """Everything that is impossible in one expectation at any time, or beyond its limits."""
    fault = ExpectationFault
    if not _ID.fullmatch(crossing.id):
        say = "letters, digits and ._:/#-, at most 64, a letter or digit first"
        yield ExpectationMistake(fault.ID_INVALID, "id", f"{crossing.id[:80]!r}", say)
    yield from _counts(crossing)
    for booth in crossing.booth_ids:
        if not _BOOTH.fullmatch(booth):
            say = "a booth is given by its identity, spiffe://<port>/booth/<name>"
            yield ExpectationMistake(fault.PLACE_INVALID, "booths", f"{booth[:200]!r}", say)
    for lane in crossing.lane_ids:
        if not _LANE.fullmatch(lane):
            say = "a lane is given by its id in the booth's settings"
            yield ExpectationMistake(fault.PLACE_INVALID, "lanes", f"{lane[:80]!r}", say)
    yield from _identifiers(crossing)
    if crossing.scac and not _SCAC.fullmatch(crossing.scac):
        yield ExpectationMistake(fault.SCAC_INVALID, "scac", f"{crossing.scac[:80]!r}", "two to four letters A to Z")
    weight = crossing.gross_weight_kg
    if weight is not None and not 0 < weight <= MAX_GROSS_KG:
        say = f"kilograms, above 0 and at most {MAX_GROSS_KG:.0f}; leave it out if it is not declared"
        yield ExpectationMistake(fault.WEIGHT_INVALID, "gross_weight_kg", f"{weight:g}", say)
    for programme in crossing.programmes:
        if programme not in PROGRAMMES:
            say = f"one of {', '.join(PROGRAMMES)}"
            yield ExpectationMistake(fault.PROGRAMME_UNKNOWN, "programmes", f"{programme[:80]!r}", say)
    if len(crossing.note) > MAX_NOTE or not all(c.isprintable() for c in crossing.note):
        say = f"one line of at most {MAX_NOTE} printable characters"
        yield ExpectationMistake(fault.NOTE_TOO_LONG, "note", f"{counted(len(crossing.note), 'character')}", say)


def _counts(crossing: ExpectedCrossing) -> Iterator[ExpectationMistake]:
    limits = {
        "booths": (crossing.booth_ids, MAX_PLACES),
        "lanes": (crossing.lane_ids, MAX_PLACES),
        "plates": (crossing.plates, MAX_PLATES),
        "container_codes": (crossing.container_codes, MAX_CODES),
        "seals": (crossing.seals, MAX_SEALS),
        "programmes": (crossing.programmes, len(PROGRAMMES)),
    }
    for field, (values, limit) in limits.items():
        if len(values) > limit:
            wrong = f"{len(values)} of them, at most {limit} belong to one vehicle"
            yield ExpectationMistake(ExpectationFault.TOO_MANY_OF_A_KIND, field, wrong, "make it several expectations")
        if len(set(values)) < len(values):
            wrong = "the same stands there twice"
            yield ExpectationMistake(ExpectationFault.TWICE, field, wrong, "take one of them out")
    if not (crossing.plates or crossing.container_codes):
        wrong = "neither a plate nor a container code"
        say = "give one: by these a vehicle is found"
        yield ExpectationMistake(ExpectationFault.NOTHING_TO_MATCH, "plates", wrong, say)


def _identifiers(crossing: ExpectedCrossing) -> Iterator[ExpectationMistake]:
    fault = ExpectationFault
    for plate in crossing.plates:
        if not _PLATE.fullmatch(plate.text):
            say = "2 to 12 letters A to Z and digits"
            yield ExpectationMistake(fault.PLATE_INVALID, "plates", f"{plate.text[:80]!r}", say)
        if plate.role not in PLATE_ROLES:
            say = "tractor or trailer"
            yield ExpectationMistake(fault.PLATE_INVALID, "plates", f"the role {plate.role[:80]!r}", say)
    for code in crossing.container_codes:
        if not is_container_code(code):
            say = "four letters, the fourth U, J or Z, and seven digits (ISO 6346)"
            yield ExpectationMistake(fault.CONTAINER_CODE_INVALID, "container_codes", f"{code[:80]!r}", say)
        elif not check_digit_ok(code):
            say = "a character is wrong: compare it with the papers"
            wrong = f"{code}: its check digit does not belong to it"
            yield ExpectationMistake(fault.CHECK_DIGIT_WRONG, "container_codes", wrong, say)
    for seal in crossing.seals:
        if not _SEAL.fullmatch(seal) or not is_seal_number(seal):
            say = "4 to 32 letters A to Z and digits, with at least one digit"
            yield ExpectationMistake(fault.SEAL_INVALID, "seals", f"{seal[:80]!r}", say)


def untimely(crossing: ExpectedCrossing, now: datetime) -> Iterator[ExpectationMistake]:
    """What is wrong with an expectation's window at this time."""
    begins, ends = crossing.arrives_from, crossing.arrives_until
    fault = ExpectationFault.WINDOW_INVALID
    if begins is not None and ends is not None and not timedelta(0) < ends - begins <= MAX_WINDOW:
        wrong = f"from {begins:%Y-%m-%d %H:%M} to {ends:%Y-%m-%d %H:%M} UTC"
        say = f"later than arrives_from, by {MAX_WINDOW.days} days at most"
        yield ExpectationMistake(fault, "arrives_until", wrong, say)
    for field, at in (("arrives_from", begins), ("arrives_until", ends)):
        if at is not None and at > now + MAX_AHEAD:
            wrong = f"{at:%Y-%m-%d %H:%M} UTC"
            yield ExpectationMistake(fault, field, wrong, f"at most {MAX_AHEAD.days} days ahead")
    if crossing.expires <= now:
        wrong = f"its window ended, and {crossing.expires:%Y-%m-%d %H:%M} UTC is when it would be forgotten"
        yield ExpectationMistake(
            ExpectationFault.EXPIRED, "arrives_until", wrong, "correct the window, or leave it out"
        )
    elif crossing.expires > now + MAX_AHEAD + MAX_WINDOW:
        wrong = f"kept until {crossing.expires:%Y-%m-%d %H:%M} UTC"
        yield ExpectationMistake(fault, "expires", wrong, "bring the window nearer")
