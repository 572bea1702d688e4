import pytest

from edge_agent.domain.observation import CharacterRead
from edge_agent.vision.lines import TextLine
from edge_agent.vision.plates import plate_candidates, without_marks
from tests.unit.vision.builders import line

H, W = 720, 1280


def texts(*lines: TextLine) -> list[str]:
    return [c.text for c in plate_candidates(lines, H, W)]


def test_the_plate_comes_before_lettering_and_small_print() -> None:
    found = texts(
        line("R1300", 900, 200, h=14),
        line("ABC 1234", 600, 500, h=40),
        line("2FAST4U", 100, 100, h=20),
    )
    assert found[0] == "ABC1234"


@pytest.mark.parametrize(
    "text",
    ["12:45:07", "2026-11-21", "11/21/2026", "21.11.2026", "06-10", "2009", "555-1234", "(505) 555-1234", "1-800-4"],
)
def test_times_dates_and_telephone_numbers_are_no_plates(text: str) -> None:
    assert texts(line(text, 500, 400)) == []


@pytest.mark.parametrize("text", ["TOYOTA", "HAPAG-LLOYD", "MAX GROSS 30480", "京A12345京B", "12", "AB1"])
def test_lettering_is_no_plate(text: str) -> None:
    assert texts(line(text, 500, 400)) == []


def test_letters_alone_are_a_plate_only_beside_their_issuer() -> None:
    assert texts(line("BATMANX", 500, 400, h=50)) == []
    assert texts(line("BATMANX", 500, 400, h=50), line("MICHIGAN", 520, 455, h=15)) == ["BATMANX"]
    assert texts(line("BATMANX", 500, 400, h=50), line("MICHIGAN", 900, 55, h=15)) == []


def test_a_burnt_in_number_at_the_edge_comes_last() -> None:
    assert texts(line("CAM0412", 20, 2, h=30), line("7KLM223", 600, 400, h=30)) == ["7KLM223", "CAM0412"]


def test_two_halves_of_a_row_are_one_plate() -> None:
    left = line("ABC", 500, 400)
    found = plate_candidates([left, line("1234", 500 + left.width + 20, 401)], H, W)
    assert [c.text for c in found] == ["ABC1234"]
    assert found[0].as_read == "ABC 1234"


def test_halves_far_apart_or_of_other_size_stay_apart() -> None:
    assert "ABC1234" not in texts(line("ABC", 200, 400), line("1234", 700, 400))
    assert "ABC1234" not in texts(line("ABC", 500, 400, h=30), line("1234", 570, 400, h=80))


def test_two_rows_are_one_plate() -> None:
    assert texts(line("ABC", 500, 400, w=70), line("1D23", 495, 432, w=80)) == ["ABC1D23"]


def test_nothing_is_corrected() -> None:
    (found,) = plate_candidates([line("A8C-0I23", 500, 400)], H, W)
    assert found.text == "A8C0I23"
    assert found.as_read == "A8C-0I23"


def test_a_decal_read_as_a_character_stays_in_the_text_as_read() -> None:
    sure = [CharacterRead(c, 0.999) for c in "ASN1074"]
    decal = CharacterRead("O", 0.28, (("0", 0.015),))
    assert "".join(c.character for c in without_marks([*sure[:3], decal, *sure[3:]])) == "ASN1074"


def test_a_character_in_doubt_between_two_letters_is_kept() -> None:
    sure = [CharacterRead(c, 0.999) for c in "ASN107"]
    doubtful = CharacterRead("8", 0.5, (("B", 0.45),))
    assert len(without_marks([*sure, doubtful])) == 7


def test_a_blurred_plate_keeps_all_its_characters() -> None:
    blurred = [CharacterRead(c, 0.6) for c in "ASN1074"]
    assert without_marks(blurred) == tuple(blurred)


def test_a_line_serves_one_plate_only() -> None:
    found = plate_candidates([line("AB1", 500, 400), line("C234", 560, 400), line("D567", 640, 400)], H, W)
    used = [id(part) for c in found for part in c.lines]
    assert len(used) == len(set(used))


def test_no_lines_no_plates() -> None:
    assert plate_candidates([], H, W) == []
