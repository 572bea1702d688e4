"""Rendered plates: every series draws what its form says, the same bytes from the same seed, within bounds."""

import re

import numpy as np
import pytest

from models.rendering import letters
from models.rendering.crops import reader_crop
from models.rendering.drawn import Drawn
from models.rendering.formats import ALL, GROUPS, REGIONS
from models.rendering.plates import draw_plate
from models.rendering.series import Series, serial, text_of
from models.rendering.wear import warp, wear

MISSING = letters.missing_packages()
needs_fonts = pytest.mark.skipif(
    bool(MISSING), reason=f"fonts are not installed (make system-packages): {', '.join(MISSING)}"
)


def form(series: Series, pattern: str) -> str:
    """The pattern as a regular expression over the text that is read."""
    bare = re.sub(r"\([^)]*\)|[_\-.*#|]", "", pattern.strip())
    parts = re.findall(r"'[^']*'|.", bare)
    classes = {"A": f"[{series.letters}]", "9": "[0-9]", "1": "[1-9]", "X": f"[{series.letters}0-9]"}
    return "".join(part.strip("'") if part.startswith("'") else classes.get(part, part) for part in parts)


def plate(seed: int, region: str | None = None) -> Drawn:
    return draw_plate(np.random.default_rng(seed), region)


def test_every_pattern_of_every_series_gives_serials_of_its_form() -> None:
    rng = np.random.default_rng(1)
    for series in ALL:
        for pattern in series.patterns.split(";"):
            text = text_of(serial(rng, series, pattern.strip()))
            assert re.fullmatch(form(series, pattern), text), (series.region, pattern, text)
            assert re.fullmatch("[A-Z0-9]{3,9}", text), (series.region, pattern, text)


def test_no_us_serial_holds_the_letter_o() -> None:
    rng = np.random.default_rng(2)
    texts = [text_of(serial(rng, series)) for series in GROUPS["us"][1] for _ in range(20)]
    assert not [text for text in texts if "O" in text]


def test_every_state_province_and_country_is_there() -> None:
    assert sum(region.startswith("us-") for region in REGIONS) == 51
    assert sum(region.startswith("ca-") for region in REGIONS) == 12
    assert sum(region.startswith("mx-") for region in REGIONS) == 33
    assert {"eu-DE", "eu-FR", "eu-PL", "eu-NL", "br-old", "br-mercosul", "ar-mercosul"} <= set(REGIONS)


def test_each_state_has_apportioned_and_trailer_plates_and_mexico_federal_cargo() -> None:
    def with_legend(legend: str) -> set[str]:
        return {series.region for series in ALL if legend in series.slogan.split("|")}

    states = {region for region in REGIONS if region.startswith("us-")}
    assert with_legend("APPORTIONED") == with_legend("TRAILER") == states
    assert with_legend("CARGA") == with_legend("REMOLQUE") == {"mx-federal"}
    assert all(series.name for series in GROUPS["us"][1]), "a state's name stands on its plates"


@needs_fonts
@pytest.mark.parametrize("group", GROUPS)
def test_every_region_draws_its_lines_inside_a_picture_of_bounded_size(group: str) -> None:
    for region in sorted({series.region for series in GROUPS[group][1]}):
        drawn = plate(3, region)
        high, wide = drawn.image.shape[:2]
        assert drawn.region == region
        assert drawn.kind == "plate"
        assert "".join(line.text for line in drawn.lines) == drawn.text
        assert 90 <= high <= 260, (region, drawn.image.shape)
        assert 180 <= wide <= 640, (region, drawn.image.shape)
        for line in drawn.lines:
            assert line.quad.shape == (4, 2)
            assert line.quad.min() > -0.05 * high, region
            assert (line.quad.max(0) < [wide * 1.05, high * 1.05]).all(), region
            assert np.ptp(line.quad[:, 1]) > 0.25 * high, "a line of text fills a good part of its plate"


@needs_fonts
def test_the_text_stands_out_from_its_ground_where_its_line_says() -> None:
    """Ink darkens or lightens: the spread inside the line's box is far from flat."""
    flat = 0
    for seed in range(60):
        drawn = plate(seed)
        for line in drawn.lines:
            left, top = np.maximum(line.quad.min(0), 0).astype(int)
            right, bottom = line.quad.max(0).astype(int)
            flat += float(drawn.image[top:bottom, left:right].mean(2).std()) < 18
    assert flat <= 2


@needs_fonts
def test_one_seed_is_one_plate_and_one_crop_and_another_seed_is_another() -> None:
    for seed in range(12):
        first, second = plate(seed), plate(seed)
        assert first.text == second.text
        assert first.image.tobytes() == second.image.tobytes()
        crops = [reader_crop(np.random.default_rng(seed), first)[0].tobytes() for _ in range(2)]
        assert crops[0] == crops[1]
    assert len({plate(seed).image.tobytes() for seed in range(12)}) == 12


@needs_fonts
def test_crops_are_of_the_sizes_that_a_detector_hands_over_and_keep_the_text() -> None:
    photo = np.random.default_rng(0).integers(0, 255, (40, 30, 3), np.uint8)
    for seed in range(40):
        drawn = plate(seed)
        crop, text = reader_crop(np.random.default_rng(seed), drawn, photo if seed % 2 else None)
        assert text == drawn.text
        assert crop.dtype == np.uint8
        assert 8 <= crop.shape[0] <= 420, crop.shape
        assert 30 <= crop.shape[1] <= 460, crop.shape


@needs_fonts
def test_a_region_that_no_series_has_is_refused_with_those_that_there_are() -> None:
    with pytest.raises(ValueError, match=r"eu-XX.*us-TX"):
        plate(0, "eu-XX")


def test_wear_keeps_the_size_and_one_seed_wears_alike() -> None:
    picture = np.full((60, 120, 3), 128, np.uint8)
    for seed in range(20):
        worn = [wear(np.random.default_rng(seed), picture, 1.0) for _ in range(2)]
        assert worn[0].shape == picture.shape
        assert worn[0].tobytes() == worn[1].tobytes()


def test_warp_moves_quads_with_what_they_mark() -> None:
    picture = np.zeros((120, 240, 3), np.uint8)
    picture[40:80, 80:160] = 255
    quad = np.array([[80, 40], [160, 40], [160, 80], [80, 80]], np.float32)
    for seed in range(20):
        seen, (moved,) = warp(np.random.default_rng(seed), picture, [quad], np.zeros((5, 5, 3), np.uint8))
        rows, columns = np.nonzero(seen[:, :, 0] > 127)
        assert seen.shape == picture.shape
        assert np.abs([columns.mean(), rows.mean()] - moved.mean(0)).max() < 3
        assert abs(columns.min() - moved[:, 0].min()) < 4
        assert abs(rows.max() - moved[:, 1].max()) < 4


def test_a_missing_font_names_its_package(monkeypatch: pytest.MonkeyPatch, tmp_path: object) -> None:
    monkeypatch.setattr(letters, "FOLDER", tmp_path)
    letters._font.cache_clear()
    with pytest.raises(letters.FontMissing, match=r"OSP-DIN\.ttf.*fonts-opendin"):
        letters._font("truetype/opendin/OSP-DIN.ttf", 31)
