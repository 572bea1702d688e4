"""Views for choosing weights: one known plate in each, where its label says, and no other."""

import csv
from pathlib import Path

import cv2
import numpy as np
import pytest

from benchmarks import plate_views
from models.rendering.drawn import Picture
from models.text_finder.train.photos import Dashcam

RED, GREEN = (0, 0, 255), (0, 255, 0)


@pytest.fixture
def photos(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Dashcam:
    """Photos of five drives, each grey with a red plate and a smaller one beside it."""
    folder = tmp_path / "photos"
    folder.mkdir()
    rows = ["image,x,y,w,h"]
    for drive in "abcde":
        photo = np.full((360, 640, 3), 110, np.uint8)
        for x, y, w, h in ((300, 200, 60, 20), (40, 60, 30, 10)):
            photo[y : y + h, x : x + w] = RED
            rows.append(f"{drive}_t_1.jpg,{x},{y},{w},{h}")
        cv2.imwrite(str(folder / f"{drive}_t_1.jpg"), photo)
    (folder / "labels.csv").write_text("\n".join(rows) + "\n")
    monkeypatch.setattr(
        "models.text_finder.train.photos.EXTRA", folder / "labels.csv"
    )  # of these photos no more is known
    return Dashcam(folder, "validate")


def green(rng: np.random.Generator) -> tuple[Picture, str]:
    return np.full((50, 100, 3), GREEN, np.uint8), "7KLM223"


def test_each_view_shows_one_plate_where_its_label_says(photos: Dashcam, tmp_path: Path) -> None:
    plate_views.views(np.random.default_rng(1), photos, green, tmp_path / "us", 6)
    with (tmp_path / "us" / "labels.csv").open(newline="") as file:
        rows = list(csv.DictReader(file))
    assert [r["plate"] for r in rows] == ["7KLM223"] * 6
    for row in rows:
        picture = cv2.imread(str(tmp_path / "us" / row["image"]))
        assert picture is not None
        view = picture.astype(int)
        x, y, w, h = (float(row[k]) for k in "xywh")
        assert 50 < w < 230
        is_green = (view[..., 1] - view[..., 2] > 25) & (view[..., 1] - view[..., 0] > 25)
        inside = is_green[round(y) : round(y + h), round(x) : round(x + w)]
        assert inside.mean() > 0.6
        assert is_green.sum() - inside.sum() < 0.1 * inside.sum()
        assert (view[..., 2] - view[..., 1] > 60).mean() < 0.0005, "a real plate is left"


def test_hard_views_show_smaller_plates(photos: Dashcam, tmp_path: Path) -> None:
    plate_views.views(np.random.default_rng(1), photos, green, tmp_path, 6, hard=True)
    with (tmp_path / "labels.csv").open(newline="") as file:
        widths = [float(r["w"]) for r in csv.DictReader(file)]
    assert max(widths) < 140
    assert min(widths) < 60


def test_one_seed_gives_one_set(photos: Dashcam, tmp_path: Path) -> None:
    for name in ("a", "b"):
        plate_views.views(np.random.default_rng(3), photos, plate_views.drawn("br"), tmp_path / name, 2)
    for file in ("labels.csv", "0000.jpg", "0001.jpg"):
        assert (tmp_path / "a" / file).read_bytes() == (tmp_path / "b" / file).read_bytes()
