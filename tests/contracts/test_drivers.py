"""What every driver of the catalogue must do, whatever its protocol."""

import math
from collections.abc import Iterable

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from edge_agent.devices.catalogue import CATALOGUE
from edge_agent.devices.dialogue import Dialogue
from edge_agent.domain.observation import Malformed, Reading
from tests.contracts.case import Case, noise
from tests.contracts.cases import CASES

NOW = 1000.0

contract = settings(
    max_examples=30, deadline=None, suppress_health_check=[HealthCheck.too_slow, HealthCheck.data_too_large]
)
every_case = pytest.mark.parametrize("case", CASES, ids=str)


def opened(case: Case) -> Dialogue:
    dialogue = CATALOGUE[case.driver].open(case.settings)
    dialogue.opened(NOW)
    return dialogue


def read(case: Case, pieces: Iterable[bytes], now: float = NOW) -> list[Reading]:
    """Everything that a connection with these pieces says, its end included."""
    dialogue = opened(case)
    readings = [reading for piece in pieces for reading in dialogue.received(piece, now)]
    return [*readings, *dialogue.woke(math.inf)]


def inputs(case: Case) -> st.SearchStrategy[bytes]:
    limit = case.holds
    return st.lists(case.messages | noise(limit), max_size=12).map(b"".join)


def cut(data: bytes, sizes: list[int]) -> Iterable[bytes]:
    position = 0
    for size in sizes:
        yield data[position : position + size]
        position += size
    yield data[position:]


def test_every_driver_is_under_contract() -> None:
    assert {case.driver for case in CASES} == set(CATALOGUE)
    assert all(name == driver.name for name, driver in CATALOGUE.items())


@every_case
def test_any_cutting_reads_the_same(case: Case) -> None:
    @contract
    @given(inputs(case), st.lists(st.integers(0, 60), max_size=30))
    def check(data: bytes, sizes: list[int]) -> None:
        whole = read(case, [data])
        assert read(case, cut(data, sizes)) == whole
        assert read(case, (data[i : i + 1] for i in range(len(data)))) == whole

    check()


@every_case
def test_no_byte_is_lost_and_few_are_held(case: Case) -> None:
    limit = case.holds

    @contract
    @given(inputs(case), st.lists(st.integers(0, 600), max_size=30))
    def check(data: bytes, sizes: list[int]) -> None:
        dialogue = opened(case)
        given_in, given_out = b"", b""
        for piece in cut(data, sizes):
            given_in += piece
            given_out += b"".join(reading.raw for reading in dialogue.received(piece, NOW))
            assert given_in.startswith(given_out)
            assert len(given_in) - len(given_out) <= limit
        rest = tuple(dialogue.woke(math.inf))
        assert all(math.isfinite(reading.at) for reading in rest)
        assert given_out + b"".join(reading.raw for reading in rest) == data
        assert not tuple(dialogue.woke(math.inf)), "given up twice"

    check()


@every_case
def test_a_recording_without_a_clock_loses_nothing_either(case: Case) -> None:
    @contract
    @given(inputs(case))
    def check(data: bytes) -> None:
        dialogue = CATALOGUE[case.driver].open(case.settings)
        dialogue.opened(math.nan)
        readings = [*dialogue.received(data, math.nan), *dialogue.woke(math.inf)]
        assert b"".join(reading.raw for reading in readings) == data

    check()


@every_case
def test_waking_is_asked_for_once_and_dates_lie_in_the_past(case: Case) -> None:
    @contract
    @given(st.lists(st.tuples(case.messages | noise(100), st.floats(0, 9)), max_size=8))
    def check(said: list[tuple[bytes, float]]) -> None:
        dialogue, now = opened(case), NOW
        for data, pause in said:
            readings = [*dialogue.received(data, now)]
            while (wake := dialogue.next_wake()) is not None and wake <= now + pause:
                readings += dialogue.woke(wake)
                again = dialogue.next_wake()
                assert again is None or again > wake, "would be woken without end"
            now += pause
            assert all(reading.at <= now for reading in readings)

    check()


@every_case
@pytest.mark.parametrize("pause", [0.0, 60.0], ids=["ended noise", "noise, then silence"])
def test_a_good_message_after_noise_is_read(case: Case, pause: float) -> None:
    limit = case.holds

    @contract
    @given(noise(limit))
    def check(rubbish: bytes) -> None:
        dialogue = opened(case)
        tuple(dialogue.received(rubbish if pause else rubbish + case.end, NOW))
        tuple(dialogue.woke(NOW + pause))
        readings = tuple(dialogue.received(case.good, NOW + pause))
        assert any(
            reading.raw.strip() == case.good.strip() and not isinstance(reading.body, Malformed) for reading in readings
        ), readings

    check()
