import numpy as np
import pytest

from edge_agent.domain.observation import CharacterRead
from edge_agent.vision.containers import CodeCandidate, code_candidates
from edge_agent.vision.ctc import LineRead
from edge_agent.vision.lines import TextLine
from edge_agent.vision.text_finder import Quad
from tests.unit.vision.builders import line


def nothing_there(quad: Quad) -> TextLine:
    return TextLine(quad, LineRead((), ()))


def candidates(*lines: TextLine) -> list[CodeCandidate]:
    return code_candidates(lines, nothing_there)


def codes(*lines: TextLine) -> list[str]:
    return [c.code for c in candidates(*lines)]


def test_one_line_with_size_type_behind() -> None:
    (found,) = candidates(line("MSKU 413532 9 22G1", 100, 100))
    assert found.code == "MSKU4135329"
    assert found.size_type == "22G1"
    assert found.as_read(720, 1280).check_digit_ok


def test_owner_serial_number_and_check_digit_as_three_lines_of_one_row() -> None:
    found = candidates(
        line("413532", 200, 101), line("MSKU", 100, 100), line("9", 325, 98, h=36), line("22G1", 200, 145)
    )
    assert [c.code for c in found] == ["MSKU4135329"]
    assert found[0].size_type == "22G1"
    box = found[0].as_read(720, 1280).box
    assert (box.x, box.y) == (100, 98)
    assert box.x + box.w >= 343


def test_two_rows() -> None:
    assert codes(line("MSKU", 100, 100), line("413532 9", 100, 140)) == ["MSKU4135329"]


def test_the_serial_number_under_the_owner_code_wins_over_one_far_away() -> None:
    assert codes(line("4827195", 600, 500), line("MSKU", 100, 100), line("413532 9", 100, 140)) == ["MSKU4135329"]


def test_careless_pairs_are_not_made() -> None:
    # Right check digit, wrong place: another container's number at the far end of the picture.
    assert codes(line("MSKU", 100, 100), line("4135329", 900, 600)) == []
    assert codes(line("MSKU", 100, 100), line("4135329", 700, 100)) == []
    assert codes(line("MSKU", 100, 100), line("4135329", 100, 400)) == []
    assert codes(line("MSKU", 100, 100, h=30), line("4135329", 100, 135, h=90)) == []


def test_the_confidence_is_that_of_the_whole_code() -> None:
    (found,) = candidates(line("MSKU 413532 9", 100, 100, confidence=0.9))
    assert found.as_read(720, 1280).confidence == pytest.approx(0.9**11, abs=1e-4)
    assert found.confidence == pytest.approx(0.9)


def test_geometry_decides_not_the_check_digit() -> None:
    near_wrong, far_right = line("413532 8", 200, 100), line("413532 9", 250, 138)
    (found,) = candidates(line("MSKU", 100, 100), near_wrong, far_right)
    assert found.code == "MSKU4135328"
    assert not found.as_read(720, 1280).check_digit_ok


def test_the_category_must_be_u_j_or_z() -> None:
    assert codes(line("MSKA 413532 9", 100, 100)) == []
    assert codes(line("MSKJ 413532 9", 100, 100)) != []


def test_without_check_digit_ten_characters_are_reported() -> None:
    (found,) = candidates(line("MSKU 413532", 100, 100))
    assert found.code == "MSKU413532"
    assert not found.as_read(720, 1280).check_digit_ok


def test_the_box_of_the_check_digit_is_read_once_more() -> None:
    asked: list[float] = []

    def again(quad: Quad) -> TextLine:
        asked.append(float(quad[1][0]))
        return line("413532 9", 200, 100)

    (found,) = code_candidates([line("MSKU", 100, 100), line("413532", 200, 100)], again)
    assert found.code == "MSKU4135329"
    assert asked[0] > 200 + 6 * 18  # further right than the serial number


def test_a_second_reading_that_says_something_else_adds_nothing() -> None:
    (found,) = code_candidates([line("MSKU 413532", 100, 100)], lambda _: line("777777 9", 0, 0))
    assert found.code == "MSKU413532"


def test_a_digit_read_alone_must_be_sure() -> None:
    def unsure(quad: Quad) -> TextLine:
        return line("9", 0, 0, confidence=0.5)

    assert [c.code for c in code_candidates([line("MSKU 413532", 100, 100)], unsure)] == ["MSKU413532"]


def test_letter_where_the_format_wants_a_digit_is_kept_among_the_alternatives() -> None:
    read = line("MSKU 4135329", 100, 100)
    characters = list(read.read.characters)
    characters[6] = CharacterRead("I", 0.7, (("1", 0.25),))
    (found,) = candidates(TextLine(read.quad, LineRead(tuple(characters), read.read.places)))
    assert found.code == "MSKU4135329"
    assert found.characters[5] == CharacterRead("1", 0.25, (("I", 0.7),))


def test_letter_that_the_model_was_sure_of_makes_no_code() -> None:
    assert codes(line("MSKU 4I35329", 100, 100)) == []


def test_the_tail_of_a_word_is_no_owner_code() -> None:
    assert codes(line("XMSKU4135329", 100, 100)) == []
    assert codes(line("X MSKU4135329", 100, 100)) == ["MSKU4135329"]


def test_doubtful_characters_make_no_code() -> None:
    assert codes(line("MSKU 413532 9", 100, 100, confidence=0.1)) == []


def test_two_containers() -> None:
    found = codes(line("MSKU 413532 9", 100, 100), line("DFSU 438255 9", 700, 100))
    assert sorted(found) == ["DFSU4382559", "MSKU4135329"]


def test_boxes_stay_inside_the_picture() -> None:
    found = candidates(line("MSKU 413532 9", -5, -5))[0].as_read(100, 120)
    assert (found.box.x, found.box.y) == (0, 0)
    assert found.box.w <= 120
    assert np.isfinite(found.confidence)


def test_a_row_that_the_finder_has_cut_into_pieces() -> None:
    pieces = (line("MSKU", 100, 100), line("413", 190, 101), line("532", 260, 99), line("9", 335, 98, h=36))
    assert codes(*pieces) == ["MSKU4135329"]
    assert codes(line("MSKU 413", 100, 100), line("532 9", 270, 101)) == ["MSKU4135329"]
    assert codes(line("MSKU", 100, 100), line("413", 100, 140), line("532 9", 170, 140)) == ["MSKU4135329"]


def test_the_size_type_code_is_not_taken_for_the_check_digit() -> None:
    (found,) = candidates(line("MSKU 413532 22G1", 100, 100))
    assert (found.code, found.size_type) == ("MSKU413532", "22G1")
    (found,) = candidates(line("MSKU", 100, 100), line("413532 22G1", 200, 100))
    assert (found.code, found.size_type) == ("MSKU413532", "22G1")
    (found,) = candidates(line("MSKU", 100, 100), line("413532 9 22G1", 200, 100))
    assert (found.code, found.size_type) == ("MSKU4135329", "22G1")
