"""The scenarios that come with the simulator, by name; reading them in full is `hardware_sim.scenario`'s."""

from importlib.resources import files
from importlib.resources.abc import Traversable

import yaml


def shipped() -> dict[str, Traversable]:
    """Each scenario's file, by name."""
    folder = files("hardware_sim") / "scenarios"
    entries = {entry.name.removesuffix(".yaml"): entry for entry in folder.iterdir() if entry.name.endswith(".yaml")}
    return dict(sorted(entries.items()))


def titles() -> dict[str, str]:
    """Each scenario's title, by name."""
    return {name: str(yaml.safe_load(entry.read_text("utf-8"))["title"]) for name, entry in shipped().items()}
