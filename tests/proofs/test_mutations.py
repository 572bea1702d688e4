"""Short and middle form of tests/proofs/mutations.py, and that it finds what is taken where nothing is checked."""

from pathlib import Path

import pytest

from edge_agent.wire import verify
from tests.proofs.mutations import Wrong, judge, talked

FLAT = 12_000_000


def test_thousands_of_mutated_envelopes_are_refused(tmp_path: Path) -> None:
    figures = judge(3_000, tmp_path)
    assert len(figures.answers) >= 8, figures
    assert figures.rss_end - figures.rss_begin < FLAT, figures


def test_mutated_streams_are_answered_and_the_booths_own_goes_on(tmp_path: Path) -> None:
    figures = talked(100, tmp_path)
    assert len(figures.answers) >= 5, figures


def test_without_signatures_a_false_accept_is_found(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(verify, "check_signature", lambda *_: None)
    with pytest.raises(Wrong, match="false accept"):
        judge(500, tmp_path)


@pytest.mark.proof
@pytest.mark.timeout(600)
def test_tens_of_thousands_of_mutated_envelopes_and_streams(tmp_path: Path) -> None:
    envelopes = judge(20_000, tmp_path / "envelopes", 1_000_000)
    assert envelopes.rss_end - envelopes.rss_begin < FLAT, envelopes
    (tmp_path / "streams").mkdir()
    streams = talked(1_000, tmp_path / "streams", 1_000_000)
    assert streams.rss_end - streams.rss_begin < 3 * FLAT, streams  # levels off: docs/reliability.md
