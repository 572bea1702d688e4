"""Short and middle form of tests/proofs/mutations.py, and that it finds what is taken where nothing is checked."""

from functools import partial
from pathlib import Path

import pytest

from edge_agent.wire import verify
from tests.proofs.mutations import Wrong, found, judge, talk

FLAT = 12_000_000


def test_thousands_of_mutated_envelopes_are_refused(tmp_path: Path) -> None:
    figures = found(judge, tmp_path, 0, 3_000)
    assert len(figures.answers) >= 8, figures
    assert figures.grown() < FLAT, figures


def test_mutated_streams_are_answered_and_the_booths_own_goes_on(tmp_path: Path) -> None:
    figures = found(talk, tmp_path, 0, 100)
    assert len(figures.answers) >= 5, figures


def test_without_signatures_a_false_accept_is_found(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(verify, "check_signature", lambda *_: None)
    with pytest.raises(Wrong, match="false accept"):
        found(judge, tmp_path, 0, 500)


@pytest.mark.proof
@pytest.mark.timeout(300)
def test_a_gateway_without_signatures_is_found_by_mutated_streams(tmp_path: Path) -> None:
    with pytest.raises(Wrong, match="does not go on"):
        found(partial(talk, without="signatures"), tmp_path, 0, 300)


@pytest.mark.proof
@pytest.mark.timeout(600)
def test_tens_of_thousands_of_mutated_envelopes_and_streams(tmp_path: Path) -> None:
    envelopes = found(judge, tmp_path / "envelopes", 1_000_000, 20_000)
    assert envelopes.grown() < FLAT, envelopes
    (tmp_path / "streams").mkdir()
    streams = found(talk, tmp_path / "streams", 1_000_000, 1_000)
    assert streams.grown() < 3 * FLAT, streams  # levels off: docs/reliability.md
