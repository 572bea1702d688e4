import re
from importlib.resources import files
from string import Formatter

import pytest

from edge_agent.console import words
from edge_agent.devices.catalogue import CATALOGUE, SOURCES
from edge_agent.domain.clock import ClockState
from edge_agent.domain.finding import Decision, Recommendation, Severity
from edge_agent.domain.inspection import Expected, MissingReason
from edge_agent.domain.observation import DeviceState, FaultKind, RadiationKind, SealCondition
from edge_agent.domain.terms import term


def places(text: str) -> list[str]:
    return sorted(name for _, name, _, _ in Formatter().parse(text) if name)


@pytest.mark.parametrize(("key", "texts"), words.TEXTS.items())
def test_both_languages_say_it_with_the_same_in_it(key: str, texts: tuple[str, str]) -> None:
    english, spanish = texts
    assert places(english) == places(spanish), key
    assert english.strip()
    assert spanish.strip()


def test_every_word_that_a_template_says_is_there() -> None:
    for template in (files("edge_agent.console") / "templates").iterdir():
        for key in re.findall(r'say\("([a-z_.]+)"[,)]', template.read_text()):
            assert key in words.TEXTS, f"{template.name}: {key}"


@pytest.mark.parametrize(
    ("stem", "ends"),
    [
        ("device", DeviceState),
        ("clock", ClockState),
        ("what", Expected),
        ("seal", SealCondition),
        ("alarm", RadiationKind),
        ("fault", FaultKind),
        ("link", ["", "up", "down", "refused", "forked"]),
    ],
)
def test_every_state_has_its_words(stem: str, ends: list[str]) -> None:
    assert not [str(end) for end in ends if f"{stem}.{end}" not in words.TEXTS]


def test_every_device_of_the_catalogue_is_named_in_spanish_too() -> None:
    named = [row.device for row in CATALOGUE.values()] + [row.device for row in SOURCES.values()]
    assert sorted(words.DEVICES_IN_SPANISH) == sorted(named)


def test_a_word_of_a_newer_agent_is_said_as_it_is() -> None:
    assert words.said("es", "read.axle_count") == "axle count"


@pytest.mark.parametrize(
    ("key", "values", "one", "uno"),
    [
        ("health.ledger.events", {}, "1 event", "1 evento"),
        ("health.waiting.events", {}, "1 event", "1 evento"),
        ("health.waiting.files", {}, "1 file", "1 archivo"),
        ("health.list.vehicles", {}, "1 vehicle", "1 vehículo"),
        ("value.answered", {}, "answered once", "respondió una vez"),
        (
            "value.reads",
            {"reads": 1, "confidence": 1},
            "read 1 of 1 time, confidence 1",
            "leída 1 de 1 vez, confianza 1",
        ),
    ],
)
def test_one_alone_is_said_as_one(key: str, values: dict[str, int], one: str, uno: str) -> None:
    assert [words.said(language, key, {"count": 1, **values}) for language in words.LANGUAGES] == [one, uno]
    assert words.said("en", key, {"count": 2, **values}) == words.TEXTS[key][0].format(count=2, **values)


def test_an_age_is_said_in_a_unit_that_says_enough() -> None:
    said = [words.age(seconds) for seconds in (-5, 59, 119, 120, 7200, 172_800)]
    assert said == ["0\u00a0s", "59\u00a0s", "119\u00a0s", "2\u00a0min", "2\u00a0h", "2\u00a0d"]


@pytest.mark.parametrize("kind", [Severity, Recommendation, Decision, MissingReason])
def test_a_verdict_is_said_by_the_same_words_everywhere(
    kind: type[Severity | Recommendation | Decision | MissingReason],
) -> None:
    stem = "missing" if kind is MissingReason else kind.__name__.lower()
    for language in words.LANGUAGES:
        for one in kind:
            assert words.said(language, f"{stem}.{one}").casefold() == term(one, language).casefold()
    assert len({term(one, "es") for one in kind}) == len(kind)
