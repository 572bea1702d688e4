import numpy as np

from edge_agent.vision.columns import column_cells, column_line, column_quad, strip_lines, strips
from edge_agent.vision.text_finder import TextRegion
from tests.unit.vision.builders import quad


def region(x: float, y: float, w: float, h: float) -> TextRegion:
    return TextRegion(quad(x, y, w, h), 0.9)


def test_single_characters_over_each_other_form_a_column() -> None:
    regions = [region(100 + i % 3, 50 + 60 * i, 40, 50) for i in range(11)]
    (cells,) = column_cells(list(reversed(regions)))
    assert len(cells) == 11
    assert [c[0][1] for c in cells] == sorted(c[0][1] for c in cells)
    assert column_quad(cells)[:, 1].max() == 50 + 600 + 50


def test_a_tall_strip_is_cut_into_cells() -> None:
    (cells,) = column_cells([region(100, 50, 40, 550)])
    assert len(cells) == 11


def test_one_missing_character_is_filled_in() -> None:
    regions = [region(100, 50 + 60 * i, 40, 50) for i in range(11) if i != 4]
    (cells,) = column_cells(regions)
    assert len(cells) == 11
    assert abs(float(cells[4][0][1]) - (50 + 240 - 5)) < 3


def test_a_row_is_no_column() -> None:
    assert column_cells([region(50 + 60 * i, 100, 40, 50) for i in range(11)]) == []


def test_few_characters_or_a_page_of_them_are_no_column() -> None:
    assert column_cells([region(100, 50 + 60 * i, 40, 50) for i in range(6)]) == []
    assert column_cells([region(100, 50 + 60 * i, 40, 50) for i in range(30)]) == []


def test_cells_become_one_line() -> None:
    image = np.zeros((800, 300, 3), np.uint8)
    (cells,) = column_cells([region(100, 50 + 60 * i, 40, 50) for i in range(11)])
    line = column_line(image, cells)
    assert line.shape[0] == 48
    assert line.shape[1] >= 11 * 30


def test_a_strip_is_one_column_and_so_are_its_parts() -> None:
    assert len(strips([region(100, 50, 40, 550)])) == 1
    (whole,) = strips([region(101, 240, 38, 400), region(100, 20, 40, 190)])
    assert (whole[:, 1].min(), whole[:, 1].max()) == (20, 640)
    assert strips([region(100, 50, 40, 120), region(300, 50, 400, 40)]) == []


def test_a_strip_is_cut_in_every_way_that_its_shape_allows() -> None:
    image = np.zeros((800, 300, 3), np.uint8)
    for i in range(12):
        image[50 + 50 * i : 50 + 50 * (i + 1), 100:140] = 20 * i
    (strip,) = strips([region(100, 50, 40, 600)])
    lines = strip_lines(image, strip)
    assert len(lines) == 5
    twelve = lines[1]
    pitch = twelve.shape[1] / 12
    assert [int(twelve[24, int((i + 0.5) * pitch), 0]) for i in range(12)] == [20 * i for i in range(12)]
    assert len(strip_lines(image, quad(100, 50, 120, 600))) == 0
