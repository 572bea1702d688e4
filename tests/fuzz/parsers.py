"""What is fuzzed: every dialogue of the catalogue, and the pure parsers of the sources.

Nothing is allowed to be raised, whatever the bytes. An exception that a parser may raise has to stand in `allowed`.
"""

import math
from collections.abc import Callable, Iterable
from dataclasses import dataclass, field

from hypothesis import HealthCheck, Phase, given, settings
from hypothesis import strategies as st

from edge_agent.devices.catalogue import CATALOGUE
from edge_agent.domain.observation import Reading
from tests.contracts.case import Case
from tests.contracts.cases import CASES

NOW = 1000.0
SEEDS_PER_CASE = 8
# What libFuzzer mutates in one piece; a message that is longer is refused by every driver long before, or is one
# large document that small ones stand for.
LONGEST = 65_536


class ContractBrokenError(AssertionError):
    """A parser did not raise, and did not do what it promises either."""


@dataclass(frozen=True)
class Parser:
    """`parse` is given arbitrary bytes; `seeds` are good ones."""

    name: str
    parse: Callable[[bytes], None]
    seeds: Callable[[], list[bytes]]
    longest: int = 4096
    allowed: tuple[type[Exception], ...] = field(default=())


def parsers() -> dict[str, Parser]:
    """Every parser by its name: a driver's, or the module's of what a source reads."""
    from tests.fuzz.source_parsers import PARSERS

    found = [*(_dialogue(name) for name in CATALOGUE), *PARSERS]
    return {parser.name: parser for parser in found}


# --- dialogues ----------------------------------------------------------------------------------------------------
#
# The first bytes of an input say how it is given: which case's settings, pieces of what length, and what pause follows
# each piece. The rest are the device's bytes.

_HOW = 3
_MOST_PIECES = 256


def _dialogue(name: str) -> Parser:
    cases = [case for case in CASES if case.driver == name]

    def parse(data: bytes) -> None:
        if len(data) >= _HOW:
            # Byte by byte only what is short: a long message would take a second.
            size = max(data[1] or len(data), len(data) // _MOST_PIECES)
            converse(cases[data[0] % len(cases)], data[_HOW:], size, data[2] / 32)

    def seeds() -> list[bytes]:
        return [bytes([index, 0, 0]) + message for index, case in enumerate(cases) for message in examples(case)]

    longest = min(LONGEST, max(4 * max(case.holds for case in cases), 4096))
    return Parser(name, parse, seeds, longest)


def converse(case: Case, data: bytes, size: int, pause: float) -> None:
    """One connection; raises ContractBrokenError where a byte is lost, or more is held than the limit."""
    dialogue = CATALOGUE[case.driver].open(case.settings)
    dialogue.opened(NOW)
    dialogue.to_send()
    now, given_in, given_out = NOW, 0, 0

    def gave(readings: Iterable[Reading]) -> None:
        nonlocal given_out
        raw = b"".join(reading.raw for reading in readings)
        if not data.startswith(raw, given_out) or given_out + len(raw) > given_in:
            raise ContractBrokenError(f"gave {raw!r} after {given_out} bytes, of which it was not given these")
        given_out += len(raw)
        dialogue.to_send()

    for at in range(0, len(data), size):
        piece = data[at : at + size]
        given_in += len(piece)
        gave(dialogue.received(piece, now))
        now += pause
        while (wake := dialogue.next_wake()) is not None and wake <= now:
            gave(dialogue.woke(wake))
            again = dialogue.next_wake()
            if again is not None and again <= wake:
                raise ContractBrokenError(f"woken at {wake}, wants to be woken at {again}")
        if given_in - given_out > case.holds:
            raise ContractBrokenError(f"holds {given_in - given_out} bytes, of {case.holds} at most")
    gave(dialogue.woke(math.inf))
    if given_out != len(data):
        raise ContractBrokenError(f"{len(data) - given_out} bytes were not given back")


def examples(case: Case) -> list[bytes]:
    """The good message, and some of the case's others: the same ones at every run."""
    found = [case.good, case.good + case.good]

    @settings(
        max_examples=SEEDS_PER_CASE,
        derandomize=True,
        database=None,
        deadline=None,
        phases=[Phase.generate],
        suppress_health_check=list(HealthCheck),
    )
    @given(st.lists(case.messages, min_size=1, max_size=3).map(b"".join))
    def collect(message: bytes) -> None:
        found.append(message)

    collect()
    return found
