"""What an officer must know of one vehicle, and what the rules recommend. A finding recommends; it never decides."""

from collections.abc import Iterable
from dataclasses import dataclass
from enum import StrEnum


class Severity(StrEnum):
    """How grave a finding is."""

    NOTICE = "notice"  # worth telling
    WARNING = "warning"  # does not fit, or could not be looked at
    ALARM = "alarm"  # a danger, or a lie


class Recommendation(StrEnum):
    """What the rules recommend, the mildest first."""

    RELEASE = "release"  # nothing speaks against letting it go
    REFER = "refer"  # an officer should look
    HOLD = "hold"  # it should not leave


class Decision(StrEnum):
    """What an officer decided."""

    RELEASE = "release"
    REFER = "refer"  # to secondary inspection
    HOLD = "hold"


class Origin(StrEnum):
    """Who found something after the inspection had closed."""

    BOOTH = "booth"
    PORT = "port"


class Cause(StrEnum):
    """What became known after the inspection had closed."""

    SCAN = "scan"
    EXPECTATION = "expectation"
    WATCH_LIST = "watch_list"


@dataclass(frozen=True, slots=True)
class Identifier:
    """What a finding rests on: `kind` is plate, container_code, seal, tag, weight, scan or expectation; `text` as read,
    or as declared."""

    kind: str
    text: str


@dataclass(frozen=True, slots=True)
class Finding:
    """One thing that a rule found.

    `rule` is its id (docs/findings.md). `key` names the sentence and `parameters` are what stands in it, by name:
    `domain/sentences.py` says it in the languages of the booth. `devices`, `identifiers` and `evidence` (SHA-256) are
    what it rests on. `sentence` is for a key that this agent does not know: what its finder said, in English.
    """

    rule: str
    severity: Severity
    recommends: Recommendation
    key: str
    parameters: tuple[tuple[str, str], ...] = ()
    devices: tuple[str, ...] = ()
    identifiers: tuple[Identifier, ...] = ()
    evidence: tuple[bytes, ...] = ()
    sentence: str = ""


_BY_STRICTNESS = tuple(Recommendation)


def strictest(findings: Iterable[Finding]) -> Recommendation:
    """What findings recommend together; without one, release."""
    return max((f.recommends for f in findings), key=_BY_STRICTNESS.index, default=Recommendation.RELEASE)
