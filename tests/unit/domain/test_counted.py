"""What people are told in numbers: of one thing as of one, of more as of more, and nothing twice over."""

import re
from pathlib import Path

import pytest

from edge_agent.domain.counted import counted
from edge_agent.domain.finding import Finding, Recommendation, Severity
from edge_agent.domain.sentences import LANGUAGES, SENTENCES, say

ROOT = Path(__file__).parents[3]
# What the programs count. A number before one of these in the plural, in a sentence, may be a 1.
NOUNS = (
    "alarms|beams|booths|certificates|chains|cosignatures|entries|events|faults|frames|hits|inspections|messages|"
    "mistakes|pieces|receipts|records|sessions|streams|tokens|trucks|vehicles"
)
A_COUNT = re.compile(rf"(\{{[^{{}}]*\}}|%d) ([a-z]+ )?({NOUNS})\b")
# More than a limit, or a limit itself, is never 1.
LIMITED = re.compile(r"more than|at most|\{_?[A-Z_]{2,}[^{}]*\} ")
# Nor is what these sentences count; the last two are columns of a table.
NEVER_ONE = (
    "frames/s",
    "certificates of its signer",
    "{len(roots)} certificates",
    "messages wait for",
    "records and {stream.size",
    "split: {1 + len(one.parts)} records",
    "trucks wait for lane",
    ":>8} pieces",
    ":>18} pieces",
)
PAGES = ("console/words.py", "domain/sentences.py")  # in two languages, with tests of their own
APART = ("v1alpha1", "ledger", "vision")  # generated; of others at work


@pytest.mark.parametrize(
    ("number", "words", "said"),
    [
        (0, ("event",), "0 events"),
        (1, ("event",), "1 event"),
        (2, ("event",), "2 events"),
        (1, ("entry", "entries"), "1 entry"),
        (3, ("entry", "entries"), "3 entries"),
        (1, ("piece of evidence",), "1 piece of evidence"),
        (2, ("piece of evidence",), "2 pieces of evidence"),
        (0.5, ("day",), "0.5 days"),
    ],
)
def test_one_is_one(number: float, words: tuple[str, ...], said: str) -> None:
    assert counted(number, *words) == said


def test_a_number_in_its_form() -> None:
    assert counted(1234567, "vehicle", form=",") == "1,234,567 vehicles"
    assert counted(1.0, "day", form="g") == "1 day"


def test_no_sentence_counts_without_it() -> None:
    """Where a sentence counts, `counted` says of how many."""
    found = [
        f"{path.relative_to(ROOT)}:{number}: {line.strip()}"
        for program in ("edge_agent", "port_gateway", "hardware_sim")
        for path in sorted((ROOT / program).rglob("*.py"))
        if not set(APART) & set(path.parts)
        for number, line in enumerate(path.read_text().splitlines(), start=1)
        if A_COUNT.search(line) and not LIMITED.search(line) and not any(words in line for words in NEVER_ONE)
        if f"{path.parent.name}/{path.name}" not in PAGES
    ]
    assert not found, "\n".join(found)


# What scenarios, and so many lanes, call their devices.
NAMES = ("portal", "scanner", "scale", "camera", "reader", "pórtico", "escáner", "báscula")


@pytest.mark.parametrize("key", SENTENCES)
@pytest.mark.parametrize("language", LANGUAGES)
def test_no_word_stands_twice_where_a_device_is_called_what_it_is(key: str, language: str) -> None:
    for name in NAMES:
        finding = Finding("a_rule", Severity.ALARM, Recommendation.HOLD, key, (("device", name),))
        said = say(finding, language)
        assert not re.search(r"\b(\w+) \1\b", said), said
