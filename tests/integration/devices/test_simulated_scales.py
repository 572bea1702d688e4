"""Drivers against the simulated devices, each written from the manual by itself: both must have read the same."""

from collections.abc import Iterable
from typing import Any

import pytest

from edge_agent.devices.catalogue import CATALOGUE
from edge_agent.devices.dialogue import Dialogue
from edge_agent.devices.sources.modem_lines import MASKS, Contacts
from edge_agent.devices.sources.modem_lines import Settings as ContactSettings
from edge_agent.domain.observation import Direction, Malformed, Presence, Reading, Weight
from hardware_sim.device import Simulated
from hardware_sim.devices import modem_lines, mt_sics, nci_scp01, rice_lake_iq355, sti_vs6400, toledo_continuous
from hardware_sim.world.lane import Lane
from tests.unit.hardware_sim.roads import TCP, lane_of, site_of, truck

POUND = 0.45359237
WEIGHTS_KG = (7_990, 31_240, 36_280)
# A poll's answer comes back at once; a byte takes its time on the wire.
WIRE_S = 0.005


def lane() -> Lane:
    return lane_of([truck(number, gross_kg=kg) for number, kg in enumerate(WEIGHTS_KG, 1)], gap_s=60.0)


def converse(dialogue: Dialogue, device: Any, until: float) -> Iterable[Reading]:
    """Both sides on one clock that jumps to the next moment at which one of them does something."""
    now = 0.0
    dialogue.opened(now)
    while now < until:
        if asked := dialogue.to_send():
            now += WIRE_S
            if answer := device.received(asked, now):
                now += WIRE_S
                yield from dialogue.received(answer, now)
                continue
        moments = [moment for moment in (dialogue.next_wake(), device.next_wake()) if moment is not None]
        now = max(now, min(moments, default=until))
        if (wake := dialogue.next_wake()) is not None and wake <= now:
            yield from dialogue.woke(now)
        if (due := device.next_wake()) is not None and due <= now and (data := device.woke(now)):
            yield from dialogue.received(data, now)


KINDS: dict[str, tuple[Any, Any]] = {
    "toledo_continuous": (toledo_continuous.ToledoContinuous, toledo_continuous.Settings),
    "rice_lake_iq355": (rice_lake_iq355.RiceLakeIq355, rice_lake_iq355.Settings),
    "nci_scp01": (nci_scp01.NciScp01, nci_scp01.Settings),
    "mt_sics": (mt_sics.MtSics, mt_sics.Settings),
}


@pytest.mark.parametrize(
    ("kind", "simulated", "settings"),
    [
        ("toledo_continuous", {}, {}),
        ("toledo_continuous", {"checksum": False, "unit": "lb", "increment": 50}, {}),
        ("toledo_continuous", {"fixed_zero": False, "increment": 5}, {"checksum": "with"}),
        ("rice_lake_iq355", {"says_zero": True}, {"increment": 20}),
        ("rice_lake_iq355", {"unit": "lb"}, {}),
        ("nci_scp01", {"status_bytes": 3}, {}),
        ("nci_scp01", {"weight_in_motion": False, "unit": "lb"}, {"increment": 20}),
        ("mt_sics", {}, {"increment": 20}),
        ("mt_sics", {"unit": "lb"}, {"mode": "SIR"}),
    ],
)
def test_every_truck_is_weighed_as_the_scale_showed_it(
    kind: str, simulated: dict[str, Any], settings: dict[str, Any]
) -> None:
    road = lane()
    make, options = KINDS[kind]
    scale = make("scale", options.model_validate({"kind": kind, "links": TCP, **simulated}), site_of(road))
    row = CATALOGUE[kind]
    dialogue = row.open(row.settings.model_validate(settings))
    until = road.passages[-1].departs + 20
    readings = list(converse(dialogue, scale, until))
    assert not any(isinstance(reading.body, Malformed) for reading in readings)
    step = simulated.get("increment", 20) * (POUND if simulated.get("unit") == "lb" else 1) + 0.1  # told rounded
    for passage, kg in zip(road.passages, WEIGHTS_KG, strict=True):
        while_here = [r.body for r in readings if passage.arrives <= r.at <= passage.departs]
        settled = [body for body in while_here if isinstance(body, Weight) and body.settled and body.kg > 200]
        assert settled, f"{kg} kg was never settled"
        shown = scale.platform.settled_of(passage)["gross_kg"]
        assert isinstance(shown, float)
        assert abs(shown - kg) <= step
        assert abs(settled[-1].kg - shown) <= step
        assert any(isinstance(body, Weight) and not body.settled and body.kg > 200 for body in while_here)


def test_net_and_tare() -> None:
    road = lane()
    options = toledo_continuous.Settings.model_validate({"kind": "toledo_continuous", "links": TCP, "tare": 5_000})
    scale = toledo_continuous.ToledoContinuous("scale", options, site_of(road))
    row = CATALOGUE["toledo_continuous"]
    readings = list(converse(row.open(row.settings()), scale, road.passages[0].departs))
    weights = [r.body for r in readings if isinstance(r.body, Weight) and r.body.settled and r.body.kg > 200]
    assert {(weight.gross, weight.tare_kg) for weight in weights} == {(False, 5000.0)}
    assert abs(weights[-1].kg - (WEIGHTS_KG[0] - 5000)) <= 20


@pytest.mark.parametrize("reports", ["change", "scan"])
def test_the_separator_tells_one_truck_from_the_next(reports: str) -> None:
    road = lane()
    options = sti_vs6400.Settings.model_validate({"kind": "sti_vs6400", "links": TCP, "reports": reports})
    row = CATALOGUE["sti_vs6400"]
    curtain = sti_vs6400.StiVs6400("curtain", options, site_of(road))
    dialogue = row.open(row.settings.model_validate({"beams": 96}))
    readings = list(converse(dialogue, curtain, road.passages[-1].departs + 20))
    presences = [r.body.occupied for r in readings if isinstance(r.body, Presence)]
    assert presences == [True, False] * len(road.passages)
    assert not any(isinstance(r.body, Malformed) for r in readings)


def test_the_barriers_tell_that_trucks_drive_forward() -> None:
    road = lane()
    options = modem_lines.Settings.model_validate({"kind": "modem_lines", "links": [{"kind": "rfc2217"}]})
    barriers = modem_lines.ModemLines("barriers", options, site_of(road))
    lines = {"cts": {"sensor": "first"}, "dsr": {"sensor": "second"}}
    wired = {"url": "rfc2217://127.0.0.1:1", "lines": lines, "forward": ("cts", "dsr")}
    contacts = Contacts(ContactSettings.model_validate(wired))
    readings = list(watch(contacts, barriers, road.passages[-1].departs + 20))
    presences = [r.body for r in readings if isinstance(r.body, Presence)]
    forward = Direction.FORWARD
    assert presences == [
        Presence(False),
        *[Presence(True), Presence(True, forward), Presence(False, forward)] * len(road.passages),
    ]


def watch(contacts: Contacts, barriers: modem_lines.ModemLines, until: float) -> Iterable[Reading]:
    """Looks every 50 ms, as the source does."""
    simulated: Simulated = barriers
    last = -1
    for look in range(int(until / 0.05)):
        now = look * 0.05
        while (due := simulated.next_wake()) is not None and due <= now:
            barriers.woke(due)
        lines = barriers.control_lines()
        state = sum(mask for line, mask in MASKS.items() if getattr(lines, line))
        if state != last:
            yield from contacts.seen(state, now)
            last = state
        while (wake := contacts.next_wake()) is not None and wake <= now:
            yield from contacts.woke(wake)
