"""True is no number, whatever Python counts it as."""

from typing import Annotated, Literal

import pytest
from pydantic import BaseModel, Field

from edge_agent.domain.errors import SettingsInvalid
from edge_agent.settings_file import parse_settings
from tests.unit.test_config import GOOD, folder, mistakes

__all__ = ["folder"]


class Inner(BaseModel):
    port: int = Field(default=1, ge=0)
    flag: bool | int = False


class Other(BaseModel):
    kind: Literal["other"]
    size: float


class Settings(BaseModel):
    port: int = 1
    wait_s: float | None = None
    on: bool = False
    inner: Inner | None = None
    ports: tuple[Annotated[int, Field(ge=0)], ...] = ()
    rows: list[Inner] = []
    by_name: dict[str, int] = {}
    either: Inner | Other | None = None
    bits: Literal[1, 2] = 1


@pytest.mark.parametrize(
    ("text", "place"),
    [
        ("port: true", "port"),
        ("port: false", "port"),
        ("wait_s: true", "wait_s"),
        ("inner: {port: true}", "inner.port"),
        ("ports: [1, true]", "ports.1"),
        ("rows: [{port: 1}, {port: true}]", "rows.1.port"),
        ("by_name: {a: true}", "by_name.a"),
        ("either: {kind: other, size: true}", "either.size"),
        ("bits: true", "bits"),
    ],
)
def test_a_truth_value_for_a_number(text: str, place: str) -> None:
    with pytest.raises(SettingsInvalid, match=f"x.yaml:1: {place}: must be"):
        parse_settings(text, Settings, "x.yaml")


@pytest.mark.parametrize("text", ["on: true", "inner: {flag: true}", "port: 1", "rows: [{flag: false}]", "wait_s: 2"])
def test_where_one_may_stand(text: str) -> None:
    parse_settings(text, Settings, "x.yaml")


@pytest.mark.parametrize(
    ("setting", "place"),
    [
        ("settings: {stable_frames: true}", "settings.stable_frames"),
        ("settings: {tare: true}", ""),
    ],
)
def test_a_drivers_settings(folder: object, setting: str, place: str) -> None:
    text = GOOD.replace("expects: [plate, container_code, seal, radiation]", "expects: []").replace(
        "driver: rapiscan_vm250,", f"driver: toledo_continuous, {setting},"
    )
    text = text if place else text.replace("expects: []", "expects: []\n    settle_s: true")
    said = mistakes(folder, text)  # type: ignore[arg-type]
    assert f"{'devices.0.' + place if place else 'lanes.0.settle_s'}: must be a number" in said
    assert "1 mistake to correct" in said
