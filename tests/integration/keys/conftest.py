from pathlib import Path

import pytest

from tests.hardware_token import HardwareToken


@pytest.fixture
def token(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> HardwareToken:
    return HardwareToken(tmp_path, monkeypatch)
