"""How the reading benchmarks count: a mistake there is believed by everybody."""

from pathlib import Path

import pytest

from benchmarks import containers, plates
from benchmarks.plates import Label, Report, Tally, labels, meets, peer_reports
from benchmarks.reading import PeerLine, wilson

BOX = (100.0, 100.0, 200.0, 150.0)
ELSEWHERE = (400.0, 100.0, 500.0, 150.0)


def counted(reports: list[Report], label: Label) -> dict[str, int]:
    tally = Tally()
    tally.add(reports, label, 1.0)
    return {name: n for name, n in tally.counts.items() if n}


def test_wilson_by_hand() -> None:
    assert wilson(0, 0) == (0.0, 1.0)
    assert wilson(55, 57) == pytest.approx((0.881, 0.990), abs=1e-3)
    assert wilson(10, 10) == pytest.approx((0.722, 1.0), abs=1e-3)


def test_the_best_report_is_the_first_and_any_is_any() -> None:
    label = Label("a.jpg", (BOX,), ("ABC1034",))
    seen = counted([Report("XYZ999", BOX), Report("ABC1O34", BOX, "ABC1034")], label)
    assert seen == {"photos": 1, "texts": 1, "reported": 2, "boxes": 1, "found": 1, "any_folded": 1}
    assert counted([Report("ABC1034", BOX)], label)["best_exact"] == 1
    assert counted([Report("8BC1034", BOX, "ABC1034")], label)["best_series"] == 1


def test_how_far_the_confidence_of_the_best_report_holds() -> None:
    tally, label = Tally(), Label("a.jpg", (BOX,), ("ABC1034",))
    each = (0.97, 0.9, 0.9, 0.9, 0.9, 0.9, 0.9)
    tally.add([Report("ABC1O34", BOX, "", 0.9, each), Report("XYZ999", BOX, "", 0.99, (0.99,) * 6)], label, 1.0)
    tally.add([Report("XYZ999", BOX, "", 0.7, (0.96,) * 6)], label, 1.0)
    tally.add([], label, 1.0)
    tally.add([Report("XYZ999", BOX, confidence=1.0)], Label("b.jpg", (BOX, ELSEWHERE), ("ABC1034",)), 1.0)
    result = tally.result()
    assert result["calibration_error"] == pytest.approx(0.4)
    assert {c: of for c, of in result["above"].items() if c in ("0.95", "0.9", "0.6")} == {
        "0.95": (0, 0), "0.9": (1, 1), "0.6": (2, 1),
    }  # fmt: skip
    characters = result["characters_above"]
    assert (characters["0.99"], characters["0.95"], characters["0.9"]) == ((0, 0), (7, 1), (13, 7))
    assert result["characters_calibration_error"] == pytest.approx((6 * 0.96 + 0.97 + 6 * 0.9 - 7) / 13)
    text = plates.as_table({"us": {"agent": result}})
    assert "| characters right above | ≥ 0.99 |" in text
    assert "| right above | ≥ 0.99 |" in text
    assert "| us | – | – | 1 (100.0 %) of 1 | 1 (100.0 %) of 1 | 1 (50.0 %) of 2 | 1 (50.0 %) of 2 | 40.0 |" in text


def test_of_two_labels_the_nearer_one_says_which_characters_are_right() -> None:
    tally = Tally()
    label = Label("a.jpg", (BOX, ELSEWHERE), ("XYZ99", "ABC12"))
    tally.add([Report("ABC17", BOX, "", 0.9, (0.9,) * 5)], label, 1.0)
    assert tally.result()["characters_above"]["0.9"] == (5, 4)
    tally.add([Report("ABC17", BOX, "", 0.9)], label, 1.0)  # of a reader that says nothing of characters
    assert tally.result()["characters_above"]["0.9"] == (5, 4)


def test_a_report_that_meets_no_box_is_no_plate() -> None:
    label = Label("a.jpg", (BOX,), ("ABC1034",))
    assert "no_plate" not in counted([Report("ABC1034", BOX)], label)
    assert (
        counted([Report("ABC1034", BOX), Report("R1300", ELSEWHERE), Report("R12", ELSEWHERE)], label)["no_plate"] == 1
    )
    assert "no_plate" not in counted([Report("ABC1034", BOX)], Label("crop.jpg", (), ("ABC1034",)))


def test_boxes_meet_from_a_fifth_of_the_smaller() -> None:
    assert meets(BOX, BOX)
    assert meets(BOX, (120.0, 110.0, 180.0, 140.0))  # the characters in the whole plate
    assert not meets(BOX, ELSEWHERE)
    assert not meets(BOX, (190.0, 140.0, 290.0, 190.0))


def test_a_photo_may_have_several_boxes_and_texts_may_be_missing(tmp_path: Path) -> None:
    (tmp_path / "labels.csv").write_text(
        "image,x,y,w,h,plate\na.jpg,100,100,100,50,abc 1034\na.jpg,400,100,100,50,\nb.jpg,1,2,3,4,X1\n"
    )
    first, second = labels(tmp_path, None)
    assert first == Label("a.jpg", (BOX, ELSEWHERE), ("ABC1034",))
    assert second.boxes == ((1.0, 2.0, 4.0, 6.0),)
    assert len(labels(tmp_path, 1)) == 1
    (tmp_path / "labels.csv").write_text("image,state,plate\na.jpg,ak,FUW999\n")
    assert labels(tmp_path, None) == [Label("a.jpg", (), ("FUW999",))]


def test_lines_of_the_peer_become_plates_surest_first() -> None:
    lines = [PeerLine("ABC-123", 0.8, BOX), PeerLine("TAXI", 0.99, BOX), PeerLine("7klm 223", 0.9, ELSEWHERE)]
    assert [r.text for r in peer_reports(lines)] == ["7KLM223", "ABC123"]


def test_codes_right_wrong_and_other() -> None:
    tally = containers.Tally()
    tally.add({"MSKU4135329": "22G1"}, "MSKU4135329", "22G1", 1.0)
    tally.add({"MSKU413532": "", "DFSU4382559": "", "TCNU123": ""}, "MSKU4135329", "", 1.0)
    assert tally.counts == {
        "photos": 2, "right": 1, "first_ten": 2, "wrong": 1, "other": 1, "size_types": 1, "size_types_right": 1,
    }  # fmt: skip


def test_tables_have_a_row_for_each_reader() -> None:
    tally = Tally()
    tally.add([Report("ABC1034", BOX)], Label("a.jpg", (BOX,), ("ABC1034",)), 12.0)
    text = plates.as_table({"us": {"agent": tally.result(), "rapidocr": tally.result()}})
    assert text.count("| us") == 3
    assert "1 (100.0 %) [21–100]" in text
