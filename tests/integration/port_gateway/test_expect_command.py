"""`port-gateway expect`, as an operator and a back-office's program type it."""

import json
from pathlib import Path

import pytest

from port_gateway.cli import main
from tests.integration.port_gateway.conftest import Port

CSV = """id,booths,lanes,plates,container_codes,seals,scac,gross_weight_kg,loading,programmes,arrives_from,note
ACE-1,lane-1,1,TX1234:tractor|55AK7:trailer,CSQU3054383,JH123456,ABCD,36287,laden,FAST|C-TPAT,,hazmat
ACE-2,,,TX9999,,,,,empty,,,
"""


@pytest.fixture
def config(port: Port) -> str:
    return str(port.write_config())


def run(capsys: pytest.CaptureFixture[str], *arguments: str, status: int = 0) -> str:
    capsys.readouterr()
    assert main(["expect", *arguments]) == status
    said = capsys.readouterr()
    return said.out if status == 0 else said.err


def test_a_csv_file_is_expected_and_listed(port: Port, config: str, capsys: pytest.CaptureFixture[str]) -> None:
    path = port.folder / "day.csv"
    path.write_text(CSV)
    assert json.loads(run(capsys, "import", config, str(path), "--json")) == {
        "put": 2,
        "same": 0,
        "removed": 0,
        "revision": 2,
    }
    assert run(capsys, "list", config, "--plate", "tx-1234").splitlines() == [
        "ACE-1  TX1234 55AK7 | CSQU3054383 | seals JH123456 | ABCD | 36287 kg | laden | FAST C-TPAT"
        " | at spiffe://uslrd/booth/lane-1 1 | hazmat"
    ]
    first, second = map(json.loads, run(capsys, "list", config, "--json").splitlines())
    assert first["plates"] == [{"text": "TX1234", "role": "tractor"}, {"text": "55AK7", "role": "trailer"}]
    assert (first["gross_weight_kg"], first["loading"], second["loading"]) == (36287.0, "laden", "empty")
    assert "expires" in second
    assert run(capsys, "remove", config, "ACE-1", "ACE-2") == "removed 2; the list is at revision 4\n"
    assert run(capsys, "list", config) == "nothing is expected\n"
    whats = [json.loads(line)["what"] for line in run(capsys, "changes", config, "--json").splitlines()]
    assert whats == ["remove ACE-1 ACE-2", "import day.csv, 2 entries"]


def test_a_file_with_mistakes_changes_nothing_and_names_every_line(
    port: Port, config: str, capsys: pytest.CaptureFixture[str]
) -> None:
    run(capsys, "add", config, "kept", "--plate", "TX1")
    path = port.folder / "day.json"
    path.write_text(
        '[{"id": "A-1", "plates": ["TX1234"]},\n'
        ' {"id": "A-2", "plates": ["TX1234"], "container_codes": ["CSQU3054384"]},\n'
        ' {"id": "A-1", "plates": ["TX77"], "gross_weight_kg": -3},\n'
        ' {"id": "A-4", "plates": ["TX78"], "wheels": 18}]\n'
    )
    said = run(capsys, "import", config, str(path), status=2)
    assert "nothing was changed, 4 mistakes:" in said
    assert f"{path}:2: CHECK_DIGIT_WRONG: container_codes: CSQU3054384" in said
    assert f"{path}:3: WEIGHT_INVALID: gross_weight_kg: -3" in said
    assert f"{path}:3: TWICE: id: 'A-1' came before" in said
    assert f"{path}:4: FIELD_UNKNOWN: wheels" in said
    assert "  → kilograms, above 0" in said
    assert run(capsys, "list", config).startswith("kept")


def test_mistakes_that_only_the_list_shows_have_their_line_too(
    port: Port, config: str, capsys: pytest.CaptureFixture[str]
) -> None:
    path = port.folder / "day.csv"
    path.write_text("id,plates,booths\nX,TX7,lane-9\n" + "".join(f"C-{n},TX1234,\n" for n in range(1000)))
    said = run(capsys, "import", config, str(path), status=2)
    assert f"{path}:2: PLACE_INVALID: booths: no booth spiffe://uslrd/booth/lane-9 is registered" in said
    assert f"{path}:3: TOO_MANY_FOR_A_PLATE: plates: 1000 expectations would name TX1234, at most 20" in said
    assert "and 951 more" in said
    assert run(capsys, "list", config) == "nothing is expected\n"


def test_one_vehicle_is_added_and_replaced(config: str, capsys: pytest.CaptureFixture[str]) -> None:
    arguments = ("--plate", "TX1:tractor", "--plate", "TX2:trailer", "--weight-kg", "9000", "--loading", "empty")
    assert run(capsys, "add", config, "A", *arguments, "--booth", "lane-1", "--lane", "1").startswith("expected 1;")
    assert run(capsys, "add", config, "A", "--container", "CSQU3054383", "--programme", "fast").startswith(
        "expected 1;"
    )
    assert run(capsys, "list", config) == "A  CSQU3054383 | FAST\n"
    said = run(capsys, "add", config, "B", "--plate", "TX1", "--weight-kg", "heavy", "--from", "noon", status=2)
    assert "WEIGHT_INVALID" in said
    assert "WINDOW_INVALID" in said
    said = run(capsys, "remove", config, "B", status=2)
    assert "not expected: 'B'" in said


def test_a_file_that_is_not_there_is_said_in_words(
    config: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    said = run(capsys, "import", config, str(tmp_path / "none.csv"), status=2)
    assert "none.csv: NOT_READABLE: No such file or directory" in said
