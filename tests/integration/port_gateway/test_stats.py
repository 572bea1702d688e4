"""`port-gateway stats`: from a booth's signed counts to tables and a picture."""

import contextlib
import csv
import io
import json
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import TYPE_CHECKING, Any

import apsw
import pytest

from edge_agent.domain.clock import ClockState, Instant, SystemClock
from edge_agent.domain.event import DeviceChanged, Draft
from edge_agent.domain.inspection import Expected, MissingReason
from edge_agent.domain.observation import DeviceState, DeviceStatus
from edge_agent.domain.statistics import Confidences, DeviceTime, LaneStatistics, PartEnd, durations
from edge_agent.wire.chain import Head
from edge_agent.wire.codec import event_payload
from edge_agent.wire.codec_statistics import read_statistics
from edge_agent.wire.envelope import envelope_sha256
from edge_agent.wire.identity import key_id
from edge_agent.wire.v1alpha1.event_pb2 import Event
from edge_agent.wire.verify import Chain, verify_next
from port_gateway.cli import main
from port_gateway.inbox import Inbox
from port_gateway.lane_quarters import COLUMNS, counts_of, packed, unpacked
from port_gateway.stats_command.table import _cell
from tests.unit.port_gateway.signing import INSTANT, sign

if TYPE_CHECKING:
    from tests.integration.port_gateway.conftest import Port

# The day on which clocks go back in Chicago: it has 25 hours there, from 05:00 UTC on.
DAY = datetime(2025, 11, 2, tzinfo=UTC)


def part(hours: float, covered_s: float = 900, dwell: tuple[float, ...] = (30, 40, 50), **more: Any) -> LaneStatistics:
    at = DAY + timedelta(hours=hours)
    quarter_us = round(at.timestamp() * 1e6) // 900_000_000 * 900_000_000
    begin = Instant(at, round(hours * 3.6e12), ClockState.SYNCHRONISED)
    return LaneStatistics(**{
        "lane_id": "1",
        "quarter_utc_us": quarter_us,
        "begin": begin,
        "end": begin.shifted(covered_s),
        "ended": PartEnd.QUARTER,
        "clock_synchronised": True,
        "arrived": len(dwell),
        "complete": len(dwell),
        "dwell": durations(dwell),
        "gap": durations((8.0,) * max(0, len(dwell) - 1)),
        "service": durations((48.0,) * max(0, len(dwell) - 1)),
        "plates": Confidences((0, 0, 0, 0, 0, 0, 0, len(dwell)), 0),
        "devices": (DeviceTime("portal", covered_s, 0, 0),),
        "settle_s": 3.0,
        **more,
    })  # fmt: skip


class Held:
    """A port that holds what one booth says."""

    def __init__(self, port: "Port") -> None:
        self.port = port
        self.ledger = port.ledger(bytes(range(16)))
        self.kept = 0
        self.config = str(port.write_config())

    def says(self, *parts: LaneStatistics) -> "Held":
        for one in parts:
            self.ledger.add(one)
        return self.receive()

    def receive(self) -> "Held":
        key = self.port.booth.key.public_key()
        chain, verified = Chain(Head(self.ledger.booth_id, self.ledger.epoch), {key_id(key): key}), []
        for envelope in self.ledger.envelopes:
            verified.append(verify_next(chain, envelope))
            chain = verified[-1].chain
        start = verified[self.kept - 1].chain.head if self.kept else Head(self.ledger.booth_id, self.ledger.epoch)
        with contextlib.closing(self.port.store()) as store:
            Inbox(store, SystemClock()).append(start, verified[self.kept :]).result()
        self.kept = len(verified)
        return self

    def stats(self, capsys: pytest.CaptureFixture[str], *options: str) -> str:
        capsys.readouterr()
        assert main(["stats", self.config, *options]) == 0, capsys.readouterr().err
        return capsys.readouterr().out

    def rows(self, capsys: pytest.CaptureFixture[str], *options: str) -> list[dict[str, Any]]:
        return [json.loads(line) for line in self.stats(capsys, "--format", "json", *options).splitlines()]


@pytest.fixture
def held(port: "Port") -> Held:
    return Held(port)


def test_parts_of_a_quarter_add_up(held: Held, capsys: pytest.CaptureFixture[str]) -> None:
    missing, new = ((Expected.SEAL, MissingReason.NOT_SEEN, 1),), DeviceTime("front", 0, 0, 900)
    held.says(
        part(0, 300, (30,), ended=PartEnd.CUT_OFF),
        part(0.125, 450, (40, 50, 600), complete=2, incomplete=1, missing=missing, gamma_alarms=1),
        part(0.25, clock_synchronised=False, devices=(DeviceTime("portal", 450, 450, 0), new)),
    )  # fmt: skip
    first, second = held.rows(capsys, "--by", "quarter")
    assert (first["vehicles"], first["complete"], first["incomplete"], first["arrived"]) == (4, 3, 1, 4)
    assert (first["covered_s"], first["coverage"]) == (750, pytest.approx(750 / 900, abs=1e-4))
    assert first["dwell_s"]["p50"] == pytest.approx(40, rel=0.045)
    assert (first["dwell_s"]["max"], first["dwell_s"]["min"], first["dwell_s"]["mean"]) == (600, 30, 180)
    assert (first["queued_share"], first["gamma_alarms"]) == (0.5, 1)
    assert first["missing"] == [{"what": "seal", "reason": "not_seen", "vehicles": 1}]
    assert first["plates"]["counts"] == [0, 0, 0, 0, 0, 0, 0, 4]
    assert second["devices"]["portal"] == {"up_s": 450, "down_s": 450, "unknown_s": 0}
    assert (second["availability"], second["clock_unsynchronised_s"]) == (0.5, 900)
    [hour] = held.rows(capsys, "--by", "hour")
    assert (hour["vehicles"], hour["covered_s"], hour["coverage"]) == (7, 1650, pytest.approx(1650 / 3600, abs=1e-4))


def test_days_of_a_zone_are_as_long_as_they_are(held: Held, capsys: pytest.CaptureFixture[str]) -> None:
    held.says(*(part(hours) for hours in (4, 5, 20, 29.75, 30)))
    days = held.rows(capsys, "--by", "day", "--zone", "America/Chicago", "--from", "2025-11-01", "--to", "2025-11-03")
    assert [(d["begin"], d["vehicles"], d["due_s"]) for d in days] == [
        ("2025-11-01T00:00:00-05:00", 3, 86_400),
        ("2025-11-02T00:00:00-05:00", 9, 90_000),
        ("2025-11-03T00:00:00-06:00", 3, 86_400),
    ]
    hours = held.rows(capsys, "--zone", "America/Chicago", "--from", "2025-11-02", "--to", "2025-11-02")
    assert len(hours) == 25
    assert len({hour["begin"] for hour in hours}) == 25
    assert sum(hour["vehicles"] for hour in hours) == 9


def test_a_table_says_what_is_not_known(held: Held, capsys: pytest.CaptureFixture[str]) -> None:
    held.says(
        part(0), part(2, dwell=(), ended=PartEnd.CLOCK_SET, clock_step_s=60.0), part(2.25, clock_synchronised=False)
    )
    text = held.stats(capsys, "--from", "2025-11-02T00:00", "--to", "2025-11-02T03:00")
    lines = [line.split() for line in text.splitlines()]
    assert lines[0] == ["lane", "lane-1/1,", "UTC"]
    assert lines[2][2:] == ["3", "100", "%", "·", "40", "50", "8.0", "48", "67", "%", "·", "100", "%", "25", "%"]
    assert lines[3][2:] == ["·"] * 10 + ["0", "%"]
    assert lines[4][1] == "02:00?!"
    assert "±4.4 %" in text


def test_for_programs(held: Held, capsys: pytest.CaptureFixture[str]) -> None:
    held.says(part(0), replace(part(0), lane_id="2"))
    lines = list(csv.DictReader(io.StringIO(held.stats(capsys, "--format", "csv"))))
    assert [(row["lane_id"], row["vehicles"], row["dwell_p95_s"], row["gap_count"]) for row in lines] == [
        ("1", "3", "50.0", "2"), ("2", "3", "50.0", "2"),
    ]  # fmt: skip
    held.says(replace(part(0), lane_id="10"))
    assert [row["lanes"][0]["lane_id"] for row in held.rows(capsys)] == ["1", "2", "10"]
    [both] = held.rows(capsys, "--together")
    assert (both["vehicles"], both["due_s"], len(both["lanes"])) == (9, 10_800, 3)
    [one] = held.rows(capsys, "--booth", "lane-1", "--lane", "2")
    assert one["lanes"] == [{"booth_id": "spiffe://uslrd/booth/lane-1", "lane_id": "2"}]


@pytest.mark.parametrize("lanes", [1, 7], ids=["lane by lane", "a map"])
def test_a_picture(held: Held, tmp_path: Path, capsys: pytest.CaptureFixture[str], lanes: int) -> None:
    held.says(*(replace(part(hour), lane_id=str(lane)) for hour in (0, 1, 3) for lane in range(lanes)))
    picture = tmp_path / "day.svg"
    held.stats(capsys, "--plot", str(picture))
    assert b"<svg" in picture.read_bytes()[:1000]
    assert main(["stats", held.config, "--plot", str(tmp_path / "day.doc")]) == 2
    assert "end it in .png" in capsys.readouterr().err


def test_without_matplotlib_a_plot_says_what_to_install(
    held: Held, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    held.says(part(0))
    monkeypatch.setitem(__import__("sys").modules, "matplotlib", None)
    monkeypatch.delitem(__import__("sys").modules, "port_gateway.stats_command.plot", raising=False)
    assert main(["stats", held.config, "--plot", "day.png"]) == 2
    assert "edge-agent[stats]" in capsys.readouterr().err


@pytest.mark.parametrize(
    ("options", "said"),
    [
        (["--lane", "9"], "known are: spiffe://uslrd/booth/lane-1 lane 1"),
        (["--from", "2025-11-03", "--to", "2025-11-02"], "turn them round"),
        (["--from", "1000-01-01", "--by", "quarter"], "at most 50000"),
        (["--to", "2025-11-01"], "nothing is known before --to 2025-11-02T00:00+0000"),
        (["--from", "2025-11-04"], "nothing is known after --from 2025-11-04T00:00+0000"),
    ],
)
def test_what_cannot_be_shown(held: Held, capsys: pytest.CaptureFixture[str], options: list[str], said: str) -> None:
    held.says(part(0))
    assert main(["stats", held.config, *options]) == 2
    assert said in capsys.readouterr().err


@pytest.mark.parametrize("moment", ["9999-12-31", "0001-01-01T00:00+14:00", "2026-13-01", "soon"])
def test_a_time_that_is_none_is_named(held: Held, capsys: pytest.CaptureFixture[str], moment: str) -> None:
    for option in ("--from", "--to"):
        with pytest.raises(SystemExit, match="2"):
            main(["stats", held.config, option, moment])
        assert f"argument {option}: {moment!r}" in capsys.readouterr().err


def test_before_there_is_anything(held: Held, capsys: pytest.CaptureFixture[str]) -> None:
    held.ledger.add(DeviceChanged("portal", "1", DeviceStatus(DeviceState.ONLINE)))
    held.receive()
    assert main(["stats", held.config]) == 2
    assert "no booth has sent statistics yet" in capsys.readouterr().err


def test_a_clock_that_runs_ahead_hides_no_day(held: Held, capsys: pytest.CaptureFixture[str]) -> None:
    held.says(part(0), part(24 * 365 * 100, lane_id="ahead"))
    assert [row["vehicles"] for row in held.rows(capsys, "--by", "quarter")] == [3, 0]
    assert [row["vehicles"] for row in held.rows(capsys, "--by", "quarter", "--lane", "ahead")] == [3]


def test_what_cannot_be_stays_an_event_and_is_not_counted(held: Held, capsys: pytest.CaptureFixture[str]) -> None:
    held.says(part(0))
    event = Event.FromString(event_payload(Draft(part(0.25), INSTANT), held.ledger.head))
    event.lane_statistics.vehicles = 4_000_000_000
    envelope = sign(event.SerializeToString(), held.ledger.session_key)
    held.ledger.envelopes.append(envelope)
    held.ledger.head = held.ledger.head.after(envelope_sha256(envelope))
    held.receive().says(part(0.5))
    assert [row["vehicles"] for row in held.rows(capsys, "--by", "quarter")] == [3, 0, 3]
    assert main(["verify", held.config]) == 0


@pytest.mark.parametrize("change", ["UPDATE lane_quarter SET complete = 2", "DELETE FROM lane_quarter"])
def test_verify_finds_a_row_that_is_not_its_event(held: Held, capsys: pytest.CaptureFixture[str], change: str) -> None:
    held.says(part(0))
    assert main(["verify", held.config]) == 0
    with contextlib.closing(apsw.Connection(str(held.port.settings().database))) as db:
        db.execute(change)
    assert main(["verify", held.config]) == 1
    assert "statistics is not what the event says" in capsys.readouterr().err


def test_rows_in_the_words_of_another_version_are_written_anew(held: Held, capsys: pytest.CaptureFixture[str]) -> None:
    held.says(part(0, missing=((Expected.SEAL, MissingReason.NOT_SEEN, 1),)), part(0.25))
    rows = held.rows(capsys, "--by", "quarter")
    with contextlib.closing(apsw.Connection(str(held.port.settings().database))) as db:
        db.execute("UPDATE meta SET value = 7 WHERE key = 'lane_words'")
        db.execute("DELETE FROM lane_quarter WHERE cursor = 3; UPDATE lane_quarter SET counts = x''")
    assert main(["verify", held.config]) == 2
    assert "start `port-gateway serve` once" in capsys.readouterr().err
    held.port.store().close()
    assert main(["verify", held.config]) == 0
    assert held.rows(capsys, "--by", "quarter") == rows


def test_counts_as_they_are_kept() -> None:
    said = part(0, codes=Confidences((1,) * 8, 3), missing=((Expected.SCAN, MissingReason.COULD_NOT_LOOK, 7),))
    counts = counts_of(said)
    assert dict(unpacked(packed(counts))) == counts
    everything = [(what, reason, 1) for what in Expected for reason in MissingReason]
    assert len(counts_of(replace(said, missing=tuple(everything)))) == len(counts) - 1 + len(everything)
    assert len(COLUMNS.split(",")) == 27


def test_the_message_is_read_as_it_was_said(held: Held) -> None:
    event = Event.FromString(event_payload(Draft(part(0), INSTANT), Head("b", bytes(16))))
    assert read_statistics(event.lane_statistics) == part(0)


def test_a_lane_id_is_no_formula_to_a_spreadsheet() -> None:
    cells = ("=1+1", "@x", "lane-1", "", -3, None)
    assert [_cell(value) for value in cells] == ["'=1+1", "'@x", "lane-1", "", -3, None]
