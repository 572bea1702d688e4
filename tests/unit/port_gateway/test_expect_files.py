"""Files of expectations: every mistake by its name and line, and nothing guessed."""

from dataclasses import replace
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest

from edge_agent.domain.expected import ExpectationFault as Fault
from edge_agent.domain.expected import ExpectedPlate, Loading
from port_gateway import entry_files
from port_gateway.entry_files import FileRefused
from port_gateway.expect_command.given import SHAPE, Terms, crossing_of

NOW = datetime(2026, 11, 22, 12, tzinfo=UTC)
TERMS = Terms("uslrd", NOW, timedelta(hours=24), timedelta(days=7))
HEADER = "id,plates,container_codes,arrives_from,arrives_until"
WINDOW = {"arrives_from": "2026-11-22T08:00-06:00", "arrives_until": "2026-11-22T20:00:00Z"}


def written(tmp_path: Path, name: str, text: str | bytes) -> Path:
    path = tmp_path / name
    path.write_bytes(text.encode() if isinstance(text, str) else text)
    return path


def entries(path: Path) -> list[entry_files.Entry]:
    return entry_files.entries(path, "", SHAPE)


# --- files ------------------------------------------------------------------------------------------------------------
def test_csv_entries_come_with_the_line_on_which_they_begin(tmp_path: Path) -> None:
    text = f'\ufeff{HEADER},note\r\nA-1,TX1|TX2,,,,"two\r\nlines"\r\n\r\nA-2,,CSQU3054383,,,\r\n'
    assert entries(written(tmp_path, "a.csv", text)) == [
        (2, {"id": "A-1", "plates": "TX1|TX2", "note": "two\r\nlines"}),
        (5, {"id": "A-2", "container_codes": "CSQU3054383"}),
    ]


def test_a_semicolon_may_stand_between_cells(tmp_path: Path) -> None:
    assert entries(written(tmp_path, "a.csv", "ID;plates\nA-1;TX1\n")) == [(2, {"id": "A-1", "plates": "TX1"})]


def test_json_entries_come_with_the_line_on_which_they_begin(tmp_path: Path) -> None:
    text = '[\n  {"id": "A-1",\n   "plates": ["TX1"]},\n\n  {"id": "A-2"}]\n'
    assert entries(written(tmp_path, "a.json", text)) == [(2, {"id": "A-1", "plates": ["TX1"]}), (5, {"id": "A-2"})]


@pytest.mark.parametrize(
    ("name", "text", "said"),
    [
        ("a.csv", "", "there is no entry"),
        ("a.csv", HEADER, "there is no entry"),
        ("a.csv", f"{HEADER}\nA-1,TX1\n", "a.csv:2: NOT_READABLE: 2 cells, the header has 5"),
        ("a.csv", "id,colour\nA-1,red\n", "a.csv:1: NOT_READABLE: the header: no name is known of column 2"),
        ("a.csv", "id,plates,plates\nA-1,a,b\n", "the header: a column stands there twice"),
        ("a.csv", "plates\nTX1\n", "the header: there is no column id"),
        ("a.csv", 'id,note\nA-1,"x\nA-2,y\n', "no CSV"),
        ("a.csv", b"id,note\nA-1,\xff\n", "a.csv:2: NOT_READABLE: this is no UTF-8"),
        ("a.csv", "id,note\nA-1," + "x" * 20_000, "no CSV: field larger"),
        ("a.txt", "id", "neither .csv nor .json"),
        ("missing.csv", None, "No such file"),
        ("a.json", "", "no JSON array"),
        ("a.json", '{"id": "A-1"}', "a.json:1: NOT_READABLE: no JSON array"),
        ("a.json", '[\n{"id": "A-1"}\n{"id": "A-2"}]', "a.json:3: NOT_READABLE: neither , nor ]"),
        ("a.json", '[\n{"id": "A-1"},\n{"id": A}]', "a.json:3: NOT_READABLE: no JSON"),
        ("a.json", '[\n"A-1"]', "a.json:2: NOT_READABLE: this is no object"),
        ("a.json", '[{"id": "A-1", "id": "A-2"}]', "a name stands twice"),
        ("a.json", '[{"id": "A-1", "gross_weight_kg": NaN}]', "NaN is no number"),
        ("a.json", "[" * 100_000, "nested too deep"),
        ("a.json", '[{"id": "A-1"}] x', "something stands behind"),
        ("a.json", '[{"id": "A-1"}', "neither , nor ]"),
        ("a.json", '[{"gross_weight_kg": ' + "9" * 5000 + "}]", "no JSON"),
    ],
)
def test_a_file_that_cannot_be_read_is_refused_in_words(
    tmp_path: Path, name: str, text: str | bytes | None, said: str
) -> None:
    path = tmp_path / name if text is None else written(tmp_path, name, text)
    with pytest.raises(FileRefused) as refused:
        entries(path)
    assert said in str(refused.value)
    assert refused.value.remedy
    assert "A-1" not in f"{refused.value} {refused.value.remedy}", "what stands in a file may not be for a log"


def test_a_file_has_bounds(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    path = written(tmp_path, "a.csv", "id\n" + "A\n" * 11)
    with pytest.raises(FileRefused, match="more than 10 entries"):
        entry_files.entries(path, "", replace(SHAPE, max_entries=10))
    monkeypatch.setattr(entry_files, "MAX_FILE_BYTES", 10)
    with pytest.raises(FileRefused, match="more than 10 bytes"):
        entries(path)


# --- entries ----------------------------------------------------------------------------------------------------------
def test_an_entry_is_brought_into_the_form_in_which_it_is_compared() -> None:
    crossing, mistakes = crossing_of(
        {
            "id": "ACE-1",
            "booths": "lane-1|spiffe://uslrd/booth/lane-2",
            "lanes": ["1", 2],
            "plates": "tx-123 4:Tractor | 55·AK·7:trailer",
            "container_codes": ["csqu 305438-3"],
            "seals": "jh-123 456",
            "scac": "abcd",
            "gross_weight_kg": "36287.5",
            "loading": "Laden",
            "programmes": "fast|c-tpat",
            "note": " hazmat ",
            **WINDOW,
        },
        TERMS,
    )
    assert mistakes == []
    assert crossing is not None
    assert crossing.booth_ids == ("spiffe://uslrd/booth/lane-1", "spiffe://uslrd/booth/lane-2")
    assert crossing.lane_ids == ("1", "2")
    assert crossing.plates == (ExpectedPlate("TX1234", "tractor"), ExpectedPlate("55AK7", "trailer"))
    assert (crossing.container_codes, crossing.seals) == (("CSQU3054383",), ("JH123456",))
    assert (crossing.scac, crossing.gross_weight_kg, crossing.loading) == ("ABCD", 36287.5, Loading.LADEN)
    assert (crossing.programmes, crossing.note) == (("FAST", "C-TPAT"), "hazmat")
    assert crossing.arrives_from == datetime(2026, 11, 22, 14, tzinfo=UTC)
    assert crossing.expires == datetime(2026, 11, 23, 20, tzinfo=UTC)


def test_plates_of_json_may_say_their_role_apart() -> None:
    plates = [{"text": "TX1", "role": "tractor"}, "TX2:trailer", "TX3"]
    crossing, _ = crossing_of({"id": "A", "plates": plates}, TERMS)
    assert crossing is not None
    assert [(plate.text, plate.role) for plate in crossing.plates] == [
        ("TX1", "tractor"),
        ("TX2", "trailer"),
        ("TX3", ""),
    ]
    assert crossing.expires == NOW + timedelta(days=7)


@pytest.mark.parametrize(
    ("field", "value", "fault"),
    [
        ("id", "", Fault.ID_INVALID),
        ("id", "a b", Fault.ID_INVALID),
        ("id", "x" * 65, Fault.ID_INVALID),
        ("id", True, Fault.NOT_READABLE),
        ("id", {"a": 1}, Fault.NOT_READABLE),
        ("colour", "red", Fault.FIELD_UNKNOWN),
        ("booths", "../lane", Fault.PLACE_INVALID),
        ("booths", "|".join(f"lane-{n}" for n in range(65)), Fault.TOO_MANY_OF_A_KIND),
        ("lanes", "lane 1", Fault.PLACE_INVALID),
        ("plates", "", Fault.NOTHING_TO_MATCH),
        ("plates", "X", Fault.PLATE_INVALID),
        ("plates", "ÄÖ123", Fault.PLATE_INVALID),
        ("plates", "ABCDEFGHIJKLM", Fault.PLATE_INVALID),
        ("plates", "TX1:chassis", Fault.PLATE_INVALID),
        ("plates", "TX1|TX-1", Fault.TWICE),
        ("plates", "AB1|AB2|AB3|AB4|AB5", Fault.TOO_MANY_OF_A_KIND),
        ("plates", [{"number": "TX1"}], Fault.PLATE_INVALID),
        ("container_codes", "CSQU305438", Fault.CONTAINER_CODE_INVALID),
        ("container_codes", "CSQX3054383", Fault.CONTAINER_CODE_INVALID),
        ("container_codes", "CSQU3054384", Fault.CHECK_DIGIT_WRONG),
        ("seals", "ABC", Fault.SEAL_INVALID),
        ("seals", "SEALED", Fault.SEAL_INVALID),
        ("seals", "x" * 33, Fault.SEAL_INVALID),
        ("scac", "AB1D", Fault.SCAC_INVALID),
        ("gross_weight_kg", "heavy", Fault.WEIGHT_INVALID),
        ("gross_weight_kg", "36,287", Fault.WEIGHT_INVALID),
        ("gross_weight_kg", 0, Fault.WEIGHT_INVALID),
        ("gross_weight_kg", -5, Fault.WEIGHT_INVALID),
        ("gross_weight_kg", 1e300, Fault.WEIGHT_INVALID),
        ("gross_weight_kg", 1e999, Fault.WEIGHT_INVALID),
        ("gross_weight_kg", "nan", Fault.WEIGHT_INVALID),
        ("gross_weight_kg", True, Fault.WEIGHT_INVALID),
        ("gross_weight_kg", [1], Fault.WEIGHT_INVALID),
        ("loading", "half", Fault.LOADING_INVALID),
        ("programmes", "SLOW", Fault.PROGRAMME_UNKNOWN),
        ("arrives_from", "tomorrow", Fault.WINDOW_INVALID),
        ("arrives_from", "2026-11-22T08:00:00", Fault.WINDOW_INVALID),
        ("arrives_from", "2026-02-30T08:00:00Z", Fault.WINDOW_INVALID),
        ("arrives_from", "2026-11-23T00:00:00Z", Fault.WINDOW_INVALID),  # after its end
        ("arrives_from", "2026-09-01T00:00:00Z", Fault.WINDOW_INVALID),  # far too long
        ("arrives_until", "9999-12-31T23:59:59-14:00", Fault.WINDOW_INVALID),
        ("arrives_until", "2027-06-01T00:00:00Z", Fault.WINDOW_INVALID),
        ("note", "x" * 301, Fault.NOTE_TOO_LONG),
        ("note", "one\ntwo", Fault.NOTE_TOO_LONG),
        ("note", "a\x00b", Fault.NOTE_TOO_LONG),
        ("note", "x" * 3000, Fault.NOT_READABLE),
    ],
)
def test_an_impossible_value_is_a_named_mistake(field: str, value: object, fault: Fault) -> None:
    _, mistakes = crossing_of({"id": "A-1", "plates": "TX1234", **WINDOW, field: value}, TERMS)
    assert fault in [mistake.fault for mistake in mistakes]
    assert all(mistake.field and mistake.wrong and mistake.remedy for mistake in mistakes)
    assert all(len(str(mistake)) < 600 for mistake in mistakes)


def test_a_window_long_over_is_a_mistake_and_one_just_over_is_not() -> None:
    _, mistakes = crossing_of({"id": "A", "plates": "TX1", "arrives_until": "2026-11-21T11:00:00Z"}, TERMS)
    assert [mistake.fault for mistake in mistakes] == [Fault.EXPIRED]
    _, mistakes = crossing_of({"id": "A", "plates": "TX1", "arrives_until": "2026-11-22T11:00:00Z"}, TERMS)
    assert mistakes == []


def test_all_that_is_wrong_is_said_at_once() -> None:
    values = {"id": "A", "plates": "TX1:boat", "container_codes": "CSQU3054384", "gross_weight_kg": "-1", "scac": "1"}
    _, mistakes = crossing_of(values, TERMS)
    assert {mistake.fault for mistake in mistakes} == {
        Fault.PLATE_INVALID,
        Fault.CHECK_DIGIT_WRONG,
        Fault.WEIGHT_INVALID,
        Fault.SCAC_INVALID,
    }
