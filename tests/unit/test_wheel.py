"""What the wheel brings: every model's description, card and own weights, and nothing of their training."""

import tomllib
import zipfile
from pathlib import Path

from hatchling.builders.wheel import WheelBuilder

ROOT = Path(__file__).resolve().parents[2]


def test_the_wheel_holds_the_models_and_not_their_training(tmp_path: Path) -> None:
    [wheel] = WheelBuilder(str(ROOT)).build(directory=str(tmp_path), versions=["standard"])
    with zipfile.ZipFile(wheel) as packed:
        brought = {name for name in packed.namelist() if name.startswith("edge_agent/models/")}
        outside = [name for name in packed.namelist() if name.startswith(("models/", "tests/", "benchmarks/"))]
    expected = set()
    for stated in ROOT.glob("models/*/model.toml"):
        source = tomllib.loads(stated.read_text(encoding="utf-8"))["source"]
        own = [] if "package" in source else [source["path"]]
        expected |= {f"edge_agent/models/{stated.parent.name}/{name}" for name in ("model.toml", "card.md", *own)}
    assert not outside
    assert {name for name in brought if not name.endswith(".png")} == expected
