import numpy as np

from edge_agent.vision.columns import column_cells, column_line, column_quad
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
