"""A run that cannot begin says why and what to do, and leaves nothing behind."""

import json
import socket
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from hardware_sim.cli import main

DEVICES = """\
      portal: {kind: rapiscan_vm250, links: [{kind: tcp}]}
"""
FILE = """\
title: A lane
lanes:
  1:
    devices:
DEVICES    traffic: {count: 1, first_truck_s: 0}
"""
Run = Callable[..., str]


@pytest.fixture
def taken() -> Iterator[int]:
    """A port on which somebody else listens."""
    with socket.create_server(("127.0.0.1", 0)) as other:
        yield other.getsockname()[1]


@pytest.fixture
def run(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> Run:
    """Runs a scenario that must fail; what it said."""

    def failed(devices: str = DEVICES, *arguments: str, more: str = "") -> str:
        path = tmp_path / "lane.yaml"
        path.write_text(FILE.replace("DEVICES", devices) + more)
        assert main(["run", str(path), "--out", str(tmp_path / "out"), *arguments]) == 2
        said = capsys.readouterr()
        assert said.out == ""
        return said.err

    return failed


SERVERS = [
    "      portal: {kind: rapiscan_vm250, links: [{kind: tcp, HERE}]}\n",
    "      portal: {kind: rapiscan_vm250, links: [{kind: rfc2217, HERE}]}\n",
    "      portal: {kind: aspect_modbus, HERE}\n",
    "      tags: {kind: llrp_reader, HERE}\n",
    DEVICES + "    cameras:\n      front: {view: plate, HERE}\n",
]


@pytest.mark.parametrize("devices", SERVERS)
@pytest.mark.parametrize(
    ("here", "expected"),
    [
        ("host: 192.0.2.7, port: 4001", "this machine has no such address\n  → write one that it has: 127.0.0.1"),
        ("host: no-such-host.invalid", "'no-such-host.invalid' is no address"),
        ("port: TAKEN", "another program has this port\n  → choose another port, or 0 for a free one"),
    ],
)
def test_an_address_that_cannot_be_served(
    run: Run, tmp_path: Path, taken: int, devices: str, here: str, expected: str
) -> None:
    said = run(devices.replace("HERE", here.replace("TAKEN", str(taken))))
    assert "cannot be served: " in said
    assert expected in said
    assert not (tmp_path / "out").exists()


def test_the_way_to_the_port_and_control_cannot_be_served(run: Run, tmp_path: Path, taken: int) -> None:
    for said in (
        run(more=f"port: {{upstream: 'g:1', listen: '127.0.0.1:{taken}'}}\n"),
        run(DEVICES, "--control", f"127.0.0.1:{taken}"),
    ):
        assert "cannot be served: another program has this port" in said
        assert not (tmp_path / "out").exists()


def test_a_failed_start_keeps_what_an_earlier_run_left(run: Run, tmp_path: Path, taken: int) -> None:
    out = tmp_path / "out"
    out.mkdir()
    for name in ("truth.jsonl", "faults.jsonl"):
        (out / name).write_text('{"id": "1-0001"}\n')
    record = tmp_path / "session.jsonl"
    record.write_text("earlier\n")
    for scenario, *options in (
        [SERVERS[0].replace("HERE", f"port: {taken}")],
        [DEVICES, "--control", f"127.0.0.1:{taken}"],
    ):
        said = run(scenario, "--record", str(record), *options)
        assert "another program has this port" in said
        assert (out / "truth.jsonl").read_text() == (out / "faults.jsonl").read_text() == '{"id": "1-0001"}\n'
        assert record.read_text() == "earlier\n"


def test_a_record_that_cannot_be_written_keeps_what_an_earlier_run_left(run: Run, tmp_path: Path) -> None:
    out = tmp_path / "out"
    out.mkdir()
    for name in ("truth.jsonl", "faults.jsonl"):
        (out / name).write_text('{"id": "1-0001"}\n')
    assert "cannot be written: Is a directory" in run(DEVICES, "--record", str(tmp_path))
    assert (out / "truth.jsonl").read_text() == (out / "faults.jsonl").read_text() == '{"id": "1-0001"}\n'


def test_a_record_begun_in_vain_is_not_left(run: Run, tmp_path: Path, taken: int) -> None:
    record = tmp_path / "session.jsonl"
    run(DEVICES, "--control", f"127.0.0.1:{taken}", "--record", str(record))
    assert not record.exists()


def test_folders_are_made_in_the_runs_own_folder_alone(run: Run, tmp_path: Path, taken: int) -> None:
    away = tmp_path / "no" / "such"
    pty = "      portal: {kind: rapiscan_vm250, links: [{kind: pty, path: PATH}]}\n"
    scans = "      x-ray: {kind: imaging_folder, path: PATH}\n"
    for devices, path in ((pty, f"{away}/p.tty"), (pty, "../no/such/p.tty"), (scans, f"{away}/scans")):
        said = run(devices.replace("PATH", path))
        assert f"there is no folder {away}\n  → make it, or correct the path" in said
    said = run(DEVICES, "--record", str(away / "session.jsonl"))
    assert said == f"--record {away}/session.jsonl: there is no folder {away}\n  → make it, or correct the path\n"
    assert not away.parent.exists()
    assert not (tmp_path / "out").exists()


def test_a_path_below_the_runs_folder_is_made_and_an_earlier_truth_replaced(tmp_path: Path) -> None:
    path = tmp_path / "lane.yaml"
    pty = "      portal: {kind: rapiscan_vm250, links: [{kind: pty, path: ttys/p.tty}]}\n"
    path.write_text(
        FILE.replace("DEVICES", pty).replace("traffic: {", "drive: {speed_mps: 14, slow_mps: 10}\n    traffic: {")
    )
    out = tmp_path / "out"
    out.mkdir()
    (out / "truth.jsonl").write_text("of an earlier run\n")
    assert main(["run", str(path), "--out", str(out), "--speed", "100", "--record", str(out / "a" / "s.jsonl")]) == 0
    assert (out / "ttys").is_dir()
    assert [json.loads(line)["id"] for line in (out / "truth.jsonl").read_text().splitlines()] == ["1-0001"]
    assert (out / "a" / "s.jsonl").read_text().count('"out"') > 3
