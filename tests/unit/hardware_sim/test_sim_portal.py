"""The portal's bytes against the manual's facts (devices.md): tags, padding, intervals, order, alarm rule."""

import re
from collections.abc import Callable
from itertools import pairwise
from math import sqrt
from pathlib import Path

import pytest

from hardware_sim.device import Site
from hardware_sim.devices.rapiscan_vm250 import RapiscanVm250, Settings
from hardware_sim.links.settings import TcpLink
from tests.unit.hardware_sim.conftest import Played

Play = Callable[..., Played]
_COUNTS = re.compile(r"(GB|NB|GS|GA|NS|NA|GX)(,\d{6}){4}")
_SPEED = re.compile(r"SP,\d\.\d{4},\d\d\.\d{3},\d{3}\.\d\d,000000")


def tag(line: str) -> str:
    return line.split(",")[0]


def total(line: str) -> int:
    return sum(int(f) for f in line.split(",")[1:])


def occupancies(played: Played) -> list[list[tuple[float, str]]]:
    found: list[list[tuple[float, str]]] = []
    inside: list[tuple[float, str]] = []
    for at, line in played.lines():
        if tag(line) not in ("GB", "NB"):
            inside.append((at, line))
        if tag(line) == "GX":
            found.append(inside)
            inside = []
    return found


def sigmas(occupancy: list[tuple[float, str]], background: float) -> list[float]:
    """The alarm rule of devices.md, worked out anew from the lines."""
    gamma = [total(line) for _, line in occupancy if tag(line) in ("GS", "GA")]
    return [(sum(gamma[i - 4 : i + 1]) - background) / sqrt(background) for i in range(4, len(gamma))]


def test_every_record_has_the_manuals_form(played: Play) -> None:
    data = played("traffic: {count: 3}").data("portal")
    assert data.endswith(b"\r\n")
    for line in data.decode("ascii").removesuffix("\r\n").split("\r\n"):
        assert _COUNTS.fullmatch(line) or _SPEED.fullmatch(line), line


def test_background_comes_every_five_seconds_while_the_lane_is_empty(played: Play) -> None:
    lines = played("traffic: {count: 1}").lines()
    before = [(at, tag(line)) for at, line in lines if at < 11.0]
    assert before == [(0.0, "NB"), (0.0, "GB"), (5.0, "NB"), (5.0, "GB"), (10.0, "NB"), (10.0, "GB")]


def test_background_starts_anew_five_seconds_after_an_occupancy(played: Play) -> None:
    lines = played("traffic: {count: 2}").lines()
    ended = next(at for at, line in lines if tag(line) == "GX")
    following = next(at for at, line in lines if tag(line) == "GB" and at > ended)
    assert following == pytest.approx(ended + 5.0)


def test_occupancy_begins_with_neutrons_and_five_gamma_lines_at_once(played: Play) -> None:
    first = occupancies(played("traffic: {count: 1}"))[0]
    assert [tag(line) for _, line in first[:6]] == ["NS", "GS", "GS", "GS", "GS", "GS"]
    assert all(at == pytest.approx(11.0) for at, _ in first[:6])
    assert first[6][0] == pytest.approx(11.2)


def test_intervals_within_an_occupancy(played: Play) -> None:
    first = occupancies(played("traffic: {count: 1}"))[0]
    gamma = [at for at, line in first if tag(line) == "GS"][4:]
    neutron = [at for at, line in first if tag(line) == "NS"]
    assert all(b - a == pytest.approx(0.2) for a, b in pairwise(gamma))
    assert all(b - a == pytest.approx(1.0) for a, b in pairwise(neutron))
    assert len(neutron) >= 5


def test_occupancy_lasts_from_front_to_rear_and_its_hold_in(played: Play) -> None:
    run = played("traffic: {count: 1}")
    passage = run.player.lane.passages[0]
    ended = occupancies(run)[0][-1][0]
    assert passage.clears + 2.0 <= ended < passage.clears + 2.0 + 0.2 + 1e-6


def test_end_of_occupancy_counts_up_and_carries_the_neutron_background(played: Play) -> None:
    run = played("traffic: {count: 3}")
    lines = [line for _, line in run.lines()]
    ends = [line.split(",") for line in lines if tag(line) == "GX"]
    assert [int(f[1]) for f in ends] == [1, 2, 3]
    assert all(5500 <= int(f[2]) <= 7500 and f[3:] == ["000000", "000000"] for f in ends)


def test_speed_is_said_in_three_units_that_agree(played: Play) -> None:
    run = played("traffic: {count: 2}")
    said = [line.split(",") for _, line in run.lines() if tag(line) == "SP"]
    assert len(said) == 2
    for fields, passage in zip(said, run.player.lane.passages, strict=True):
        seconds_a_foot, mph, kmh = (float(f) for f in fields[1:4])
        assert seconds_a_foot * mph * 1.46667 == pytest.approx(1.0, abs=0.01)
        assert kmh == pytest.approx(passage.speed_at_portal() * 3.6, abs=0.01)
        assert mph == pytest.approx(kmh / 1.609344, abs=0.01)


def test_alarm_lines_are_those_above_n_sigma_and_no_other(played: Play) -> None:
    run = played("traffic: {trucks: [{}, {cargo: {kind: source}}, {cargo: {kind: norm}}]}")
    lines = run.lines()
    seen = 0
    for occupancy in occupancies(run):
        background = next(total(li) for at, li in reversed(lines) if tag(li) == "GB" and at < occupancy[0][0])
        tags = [tag(line) for _, line in occupancy if tag(line) in ("GS", "GA")][4:]
        expected = ["GA" if s > 5.0 else "GS" for s in sigmas(occupancy, background)]
        assert tags == expected
        seen += tags.count("GA")
    assert seen > 5


@pytest.mark.parametrize("seed", range(8))
def test_a_source_alarms_and_tiles_or_clean_goods_do_not(played: Play, seed: int) -> None:
    run = played("traffic: {trucks: [{}, {cargo: {kind: source}}, {cargo: {kind: norm}}]}", seed)
    said = [d.said["portal"] for d in run.departed]
    assert [s["gamma_alarm"] for s in said] == [False, True, False]
    assert [s["expected_gamma_alarm"] for s in said] == [False, True, False]
    clean, source, norm = (float(str(s["gamma_peak_sigma"])) for s in said)
    assert clean < 3.5
    assert norm < 4.5
    assert 6.0 < source < 30.0


def test_tiles_raise_the_counts_of_the_same_truck(played: Play) -> None:
    def mean(cargo: str) -> float:
        truck = f"{{size_type: 42G1, gross_kg: 30000, cargo: {{kind: {cargo}}}}}"
        occupancy = occupancies(played(f"traffic: {{trucks: [{truck}]}}"))[0]
        gamma = [total(line) for _, line in occupancy if tag(line) in ("GS", "GA")]
        return sum(gamma[23:33]) / 10

    assert mean("norm") > mean("none") + 12  # some 30 at their means, give or take 7


def test_a_heavy_truck_keeps_background_from_the_panels(played: Play) -> None:
    def dip(kilograms: int) -> float:
        run = played(f"traffic: {{trucks: [{{size_type: 42G1, gross_kg: {kilograms}}}]}}")
        gamma = [total(line) for _, line in occupancies(run)[0] if tag(line) == "GS"]
        background = next(total(line) for _, line in run.lines() if tag(line) == "GB") / 5
        return 1 - (sum(gamma[12:27]) / 15) / background

    light, heavy = dip(15_000), dip(38_000)
    assert 0.08 < light < 0.18
    assert 0.18 < heavy < 0.30


def test_neutrons_alarm_on_their_own(played: Play) -> None:
    cargo = "{kind: source, gamma_cps: 0, neutron_cps: 60}"
    run = played(f"traffic: {{trucks: [{{cargo: {cargo}}}]}}")
    tags = {tag(line) for _, line in run.lines()}
    assert "NA" in tags
    assert "GA" not in tags
    assert run.departed[0].said["portal"]["neutron_alarm"] is True
    assert run.departed[0].said["portal"]["expected_neutron_alarm"] is True


def test_shielding_can_hide_a_source(played: Play) -> None:
    run = played("traffic: {trucks: [{cargo: {kind: source, shielding: 0.9}}]}")
    assert run.departed[0].said["portal"]["gamma_alarm"] is False
    assert run.departed[0].said["portal"]["expected_gamma_alarm"] is False


def test_background_out_of_its_bounds_is_a_fault_line(played: Play) -> None:
    lane = played("traffic: {count: 1}").player.lane
    for gamma, neutron, tags in (
        ([380.0, 376.0, 2600.0, 366.0], [3.9, 0.0, 2.6, 0.0], [b"NB", b"GH"]),
        ([380.0, 376.0, 20.0, 366.0], [80.0, 0.0, 2.6, 0.0], [b"NH", b"GL"]),
    ):
        settings = Settings(
            kind="rapiscan_vm250",
            links=[TcpLink(kind="tcp")],
            gamma_background=gamma,
            neutron_background=neutron,
        )
        said = RapiscanVm250("portal", settings, Site(lane, 1, 0.0, Path())).woke(0.0)
        assert [line[:2] for line in said.splitlines()] == tags


def test_setup_lines_are_sent_on_connecting(played: Play) -> None:
    lane = played("traffic: {count: 1}").player.lane
    settings = Settings(kind="rapiscan_vm250", links=[TcpLink(kind="tcp")])
    assert RapiscanVm250("portal", settings, Site(lane, 1, 0.0, Path())).connected() == (
        b"SG1,002000,000068,05,10,05.0,P\r\nSG2,1111,0.069,0.455,01,1010,A\r\nSG3,0.069,0.455,020,000,1.10.1\r\n"
        b"SN1,000050,03,0004,1200,01,120\r\nSN2,0.504,5.040,0.504,5.040,PP\r\n"
    )
    silent = settings.model_copy(update={"setup_on_connect": False})
    assert RapiscanVm250("portal", silent, Site(lane, 1, 0.0, Path())).connected() == b""
