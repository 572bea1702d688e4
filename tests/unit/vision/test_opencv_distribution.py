"""Two OpenCV distributions in one environment overwrite each other's files (docs/adr, OpenCV)."""

from collections.abc import Iterable
from importlib.metadata import distributions


def opencv_distributions(names: Iterable[str]) -> list[str]:
    return sorted({n.lower().replace("_", "-") for n in names if n.lower().replace("_", "-").startswith("opencv")})


def test_only_the_headless_opencv_is_installed() -> None:
    names = [d.metadata["Name"] for d in distributions() if d.metadata["Name"]]
    assert opencv_distributions(names) == ["opencv-python-headless"]


def test_a_second_one_would_be_seen() -> None:
    names = ["numpy", "opencv_python", "opencv-python-headless"]
    assert opencv_distributions(names) == ["opencv-python", "opencv-python-headless"]
