"""Faults on the world's clock, and what each does to a line's bytes."""

import asyncio
from dataclasses import dataclass, field
from typing import Any

import pytest
from pydantic import ValidationError

from edge_agent.domain.clock import SystemClock
from edge_agent.domain.errors import SettingsInvalid
from hardware_sim.clock import WorldClock
from hardware_sim.faults import BYTE_KINDS, MAX_FAULTS, AnyFault, Fault, Faults, describe
from hardware_sim.links.faults import FaultyLine
from hardware_sim.scenario import Scenario, load_scenario, parse_scenario
from tests.unit.hardware_sim.conftest import with_base

LINES = [f"GS,{n:06d},000060,000061,000050\r\n".encode() for n in range(40)]


@dataclass
class Traffic:
    """What faults ask of the world."""

    opened: float | None = 0.0
    moments: dict[tuple[int, str], float] = field(default_factory=dict)

    def began(self) -> float | None:
        return self.opened

    def moment(self, target: str, truck: int, when: str) -> float | None:
        return self.moments.get((truck, when))


def faults_of(*settings: dict[str, Any], traffic: Traffic | None = None, seed: int = 1) -> Faults:
    faults = Faults(seed, traffic or Traffic(), {"portal": BYTE_KINDS | {"wrong_checksum"}, "other": BYTE_KINDS})
    faults.plan([AnyFault.validate_python({"target": "portal"} | s) for s in settings])
    return faults


def played(faults: Faults, until: float = 60.0, every: float = 1.0) -> list[tuple[float, bytes]]:
    """What comes out of a line into which a message is put every second."""
    line = FaultyLine(faults, "portal")
    out: list[tuple[float, bytes]] = []
    said, at = iter(LINES), 0.0
    while at <= until:
        dues = [due for due in (faults.next_due(), line.next_due()) if due is not None and due < at]
        now = min(dues, default=at)
        faults.step(now)
        if now == at:
            line.said(next(said, b""), at)
            at += every
        out += [(now, data) for data in line.due(now)]
    return out


def data(out: list[tuple[float, bytes]]) -> bytes:
    return b"".join(piece for _, piece in out)


def test_without_a_fault_everything_comes_at_once() -> None:
    out = played(faults_of())
    assert [piece for _, piece in out] == LINES
    assert [at for at, _ in out] == [float(n) for n in range(40)]


def test_silence_from_a_moment_for_a_while() -> None:
    out = played(faults_of({"kind": "silence", "at": 10, "for_s": 5}))
    assert [piece for _, piece in out] == LINES[:10] + LINES[15:]


def test_a_moment_of_a_truck_is_known_when_it_is() -> None:
    traffic = Traffic()
    faults = faults_of({"kind": "silence", "truck": 2, "when": "clears", "after_s": 1.5}, traffic=traffic)
    assert faults.next_due() is None
    traffic.moments[2, "clears"] = 7.0
    assert faults.next_due() == 8.5
    faults.step(8.4)
    assert faults.active("portal") == []
    faults.step(8.5)
    assert faults.on("portal", "silence") is not None
    assert faults.next_due() is None  # it lasts until somebody ends it
    faults.close(20.0)
    assert faults.all[0].ended == 20.0


def test_a_fault_begins_with_traffic_and_not_before() -> None:
    traffic = Traffic(opened=None)
    faults = faults_of({"kind": "silence", "at": 3}, traffic=traffic)
    faults.step(100.0)
    assert not faults.active("portal")
    traffic.opened = 100.0
    faults.step(103.0)
    assert faults.active("portal")


def test_dropped_messages_are_whole_and_about_the_stated_share() -> None:
    out = [piece for _, piece in played(faults_of({"kind": "drop", "share": 0.5, "at": 0}))]
    assert set(out) < set(LINES)
    assert out == sorted(out)
    assert 8 <= len(out) <= 32


def test_the_same_seed_spoils_the_same_bytes() -> None:
    settings = {"kind": "garble", "share": 0.1}
    one, again, other = (data(played(faults_of(settings, seed=seed))) for seed in (1, 1, 2))
    assert one == again
    assert one != other
    plain = b"".join(LINES)
    assert len(one) == len(plain)
    assert 0.05 < sum(a != b for a, b in zip(one, plain, strict=True)) / len(plain) < 0.15


def test_delay_keeps_the_order() -> None:
    out = played(faults_of({"kind": "delay", "delay_s": [0.5, 9.5], "for_s": 30}), until=80)
    assert data(out) == b"".join(LINES)
    assert all(at >= n for n, (at, _) in enumerate(out))
    assert max(at - n for n, (at, _) in enumerate(out[:25])) > 3


def test_what_was_held_back_comes_when_the_fault_is_over() -> None:
    out = played(faults_of({"kind": "delay", "delay_s": 50, "at": 10, "for_s": 5}))
    assert data(out) == b"".join(LINES)
    assert (15.0, b"".join(LINES[10:16])) in out


def test_split_messages_come_in_pieces_over_time() -> None:
    out = played(faults_of({"kind": "split", "size": 10, "gap_s": 0.1}))
    assert data(out) == b"".join(LINES)
    assert [len(piece) for _, piece in out[:4]] == [10, 10, 10, 2]
    assert [round(at, 3) for at, _ in out[:4]] == [0.0, 0.1, 0.2, 0.3]


def test_merged_messages_come_together() -> None:
    out = played(faults_of({"kind": "merge", "every_s": 4}))
    assert data(out) == b"".join(LINES)
    assert out[0] == (4.0, b"".join(LINES[:4]))
    assert out[1] == (8.0, b"".join(LINES[4:8]))


def test_a_wrong_check_value_is_one_bit_of_it() -> None:
    faults = faults_of({"kind": "wrong_checksum", "at": 0})
    line = FaultyLine(faults, "portal")
    faults.step(0.0)
    line.said(b"\x02123456\r\x51", 0.0)
    assert list(line.due(0.0)) == [b"\x02123456\r\x50"]


def test_at_a_wrong_rate_nothing_of_the_text_is_left() -> None:
    heard = data(played(faults_of({"kind": "wrong_baud", "sent_bd": 9600, "heard_bd": 19200})))
    assert heard
    assert heard == data(played(faults_of({"kind": "wrong_baud", "sent_bd": 9600, "heard_bd": 19200})))
    assert b"GS" not in heard


def test_pulling_the_plug_loses_what_was_on_its_way() -> None:
    faults = faults_of({"kind": "delay", "delay_s": 5})
    line = FaultyLine(faults, "portal")
    faults.step(0.0)
    line.said(LINES[0], 0.0)
    faults.begin(AnyFault.validate_python({"target": "portal", "kind": "hang_up", "for_s": 2}), 1.0)
    assert list(line.due(60.0)) == []
    assert line.lost_bytes == len(LINES[0])
    line.said(LINES[1], 1.5)
    faults.step(3.0)
    line.said(LINES[2], 3.0)
    assert data([(0, piece) for piece in line.due(60.0)]) == LINES[2]


def test_another_device_is_not_touched() -> None:
    faults = faults_of({"kind": "silence", "target": "other"})
    assert data(played(faults)) == b"".join(LINES)


def test_two_faults_at_once_both_act() -> None:
    out = played(faults_of({"kind": "split", "size": 20}, {"kind": "delay", "delay_s": 2}))
    assert data(out) == b"".join(LINES)
    assert out[0][0] == 2.0
    assert len(out[0][1]) == 20


def test_what_is_held_back_is_bounded() -> None:
    faults = faults_of({"kind": "delay", "delay_s": 86400})
    line = FaultyLine(faults, "portal")
    faults.step(0.0)
    for n in range(400):
        line.said(b"x" * 10_000, float(n))
    assert 0 < sum(len(piece) for piece in line.due(1e6)) <= 1024 * 1024
    assert line.lost_bytes >= 4_000_000 - 1024 * 1024


def test_begun_and_ended_by_command() -> None:
    told: list[tuple[str, float]] = []

    def tell(fault: Fault, at: float) -> None:
        told.append((fault.state, at))

    faults = faults_of({"kind": "drop", "at": 50})
    faults.on_change.append(tell)
    fault = faults.begin(AnyFault.validate_python({"target": "portal", "kind": "silence", "for_s": 9}), 2.0)
    assert (fault.id, fault.planned, fault.ends) == (2, False, 11.0)
    assert faults.end(2, 4.0).state == "over"
    assert faults.end(2, 5.0).ended == 4.0
    assert faults.end(1, 6.0).state == "over"  # was only planned: never begins
    faults.step(100.0)
    assert told == [("active", 2.0), ("over", 4.0)]
    with pytest.raises(KeyError):
        faults.end(3, 1.0)
    assert describe(fault)["by"] == "command"


@pytest.mark.parametrize(
    ("settings", "words"),
    [
        ({"target": "nobody", "kind": "silence"}, "there is no nobody"),
        ({"target": "portal", "kind": "stuck_motion"}, "stuck_motion cannot happen to portal"),
        ({"target": "portal", "kind": "silence", "at": 4}, "begins at once"),
        ({"target": "portal", "kind": "silence", "truck": 4}, "begins at once"),
    ],
)
def test_a_command_that_cannot_be(settings: dict[str, Any], words: str) -> None:
    faults = faults_of()
    with pytest.raises(ValueError, match=words):
        faults.begin(AnyFault.validate_python(settings), 0.0)
    assert faults.all == []


def test_a_loop_that_runs_away_is_stopped() -> None:
    faults = faults_of()
    hang_up = AnyFault.validate_python({"target": "portal", "kind": "hang_up"})
    for n in range(MAX_FAULTS):
        faults.begin(hang_up, float(n))
    with pytest.raises(ValueError, match="start another"):
        faults.begin(hang_up, 0.0)


@pytest.mark.parametrize(
    "settings",
    [
        {"kind": "drop", "share": 0},
        {"kind": "delay", "delay_s": [3, 1]},
        {"kind": "wrong_baud", "sent_bd": 9600, "heard_bd": 9600},
        {"kind": "silence", "at": 1, "truck": 1},
        {"kind": "silence", "when": "enters"},
        {"kind": "silence", "share": 0.5},
        {"kind": "explode"},
    ],
)
def test_settings_that_do_not_fit(settings: dict[str, Any]) -> None:
    with pytest.raises(ValidationError):
        AnyFault.validate_python({"target": "portal"} | settings)


def read(more: str) -> Scenario:
    return parse_scenario(with_base("traffic: {count: 1}\n") + more, "lane.yaml")


def test_a_scenario_names_every_fault_that_cannot_be() -> None:
    with pytest.raises(SettingsInvalid) as caught:
        read("""\
faults:
  - {target: portal, kind: stuck_motion}
  - {target: camera, kind: black}
  - {target: port, kind: down}
""")
    for words in (
        "faults.0.kind: stuck_motion cannot happen to portal",
        "faults.1.target: there is no camera",
        "say `port: {upstream: host:port}`",
    ):
        assert words in str(caught.value)


def test_forgetting_needs_a_second_gateway() -> None:
    with pytest.raises(SettingsInvalid, match="needs a second gateway"):
        read("port: {upstream: '127.0.0.1:7443'}\nfaults: [{target: port, kind: forget}]\n")
    with pytest.raises(SettingsInvalid, match="is not host:port"):
        read("port: {upstream: '7443'}\n")


async def test_whoever_waits_looks_again_when_time_runs_faster() -> None:
    clock = WorldClock(SystemClock())
    async with asyncio.timeout(30), asyncio.TaskGroup() as tasks:
        waiting = tasks.create_task(clock.wait(3600.0, asyncio.Event()))
        await asyncio.sleep(0)
        before = clock.monotonic()
        clock.run_at(1000.0)
        assert clock.monotonic() - before < 60  # it goes on from where it was
        await waiting
    with pytest.raises(ValueError, match="greater than 0"):
        clock.run_at(0.0)


def test_shipped_faults_fit() -> None:
    assert load_scenario("reader-unplugged").faults[0].kind == "re_plug"
    assert [f.kind for f in load_scenario("link-down").faults] == ["slow", "down", "half_open"]
