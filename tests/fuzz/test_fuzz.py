"""The fuzzers find what is wrong, and find nothing wrong. `make fuzz` runs them for as long as one likes."""

from pathlib import Path

import pytest

from edge_agent.devices.catalogue import CATALOGUE
from tests.fuzz.parsers import parsers
from tests.fuzz.run import fuzz, main

pytest.importorskip("atheris", reason="atheris is not installed: pip install 'edge-agent[dev]'")

PARSERS = parsers()
SEED = "-seed=20261122"


def test_a_fault_is_found_and_its_input_kept(tmp_path: Path) -> None:
    found = fuzz("planted", [b"...."], 16, tmp_path, SEED, "-runs=200000")
    assert "LookupError: the planted fault" in found.fault
    kept = Path(found.fault.rpartition("input: ")[2])
    assert kept.read_bytes()[:3] == b"STX"


def test_a_parser_bears_some_hundred_inputs(tmp_path: Path) -> None:
    parser = PARSERS["rice_lake_iq355"]
    found = fuzz(parser.name, parser.seeds(), parser.longest, tmp_path, SEED, "-runs=500")
    assert found.fault == ""
    assert found.executed >= 500
    assert found.covered > 50, "the parser is not instrumented"


@pytest.mark.parametrize("name", ["barcode_scanner", "sidecar"])
def test_good_seeds_are_borne(name: str) -> None:
    for seed in PARSERS[name].seeds():
        PARSERS[name].parse(seed)


def test_every_driver_is_fuzzed() -> None:
    assert {*CATALOGUE} < {*PARSERS}
    assert all(not parser.allowed for name, parser in PARSERS.items() if name in CATALOGUE)


def test_an_unknown_parser_is_named(monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> None:
    monkeypatch.setattr("sys.argv", ["run", "--driver", "nothing"])
    with pytest.raises(SystemExit):
        main()
    assert "there is no parser 'nothing'; there are: " in capsys.readouterr().err


@pytest.mark.proof
@pytest.mark.parametrize("name", PARSERS)
def test_every_parser_for_some_seconds(name: str, tmp_path: Path) -> None:
    parser = PARSERS[name]
    found = fuzz(name, parser.seeds(), parser.longest, tmp_path, SEED, "-max_total_time=3")
    assert found.fault == ""
    assert found.executed > len(parser.seeds())
    assert found.covered > 10, "the parser is not instrumented"
