import shutil
from pathlib import Path

import pytest

from tests.unit.pack.small import Small


@pytest.fixture(scope="module")
def written(tmp_path_factory: pytest.TempPathFactory) -> tuple[Small, Path]:
    place = Small(tmp_path_factory.mktemp("small"))
    return place, place.pack()


@pytest.fixture
def place(written: tuple[Small, Path]) -> Small:
    return written[0]


@pytest.fixture(scope="module")
def without_receipt(tmp_path_factory: pytest.TempPathFactory) -> tuple[Small, Path]:
    """Half of the proofs, for what is looked at behind them."""
    place = Small(tmp_path_factory.mktemp("lean"))
    place.chain.receipt_size = 0
    return place, place.pack()


@pytest.fixture
def lean(without_receipt: tuple[Small, Path], tmp_path: Path) -> tuple[Small, Path]:
    """A copy to be changed."""
    return without_receipt[0], Path(shutil.copytree(without_receipt[1], tmp_path / "lean"))


@pytest.fixture
def pack(written: tuple[Small, Path], tmp_path: Path) -> Path:
    """A copy to be changed."""
    return Path(shutil.copytree(written[1], tmp_path / "pack"))
