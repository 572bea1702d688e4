"""`edge-agent devices`, on pseudo-terminals and TCP: what a person at a booth types and reads."""

import json
import os
import signal
import subprocess
import sys
from datetime import datetime, timedelta
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest

from edge_agent.devices.link import LinkSettings
from edge_agent.devices_command.attached import everything, in_words, ports
from edge_agent.devices_command.booth import running_agent
from edge_agent.devices_command.settings import read_devices
from edge_agent.domain.clock import SystemClock
from edge_agent.ledger.store import LOCK_FILE
from tests.integration.devices.command_booth import PATIENCE_S, Booth, another_program, run
from tests.integration.devices.conftest import BACKGROUND
from tests.integration.devices.uart import Uart

# --- list -----------------------------------------------------------------------------------------------------------


def test_list_shows_the_drivers_there_are(capsys: pytest.CaptureFixture[str]) -> None:
    status, said, _ = run(capsys, "list")
    assert status == 0
    assert said.startswith("serial ports\n")
    assert "  barcode_scanner       serial barcode scanner: seal numbers" in said
    status, said, _ = run(capsys, "list", "--json")
    assert {"rapiscan_vm250", "barcode_scanner"} <= {row["driver"] for row in json.loads(said)["drivers"]}


def test_list_shows_ports_by_the_names_that_stay(booth: Booth, tmp_path: Path) -> None:
    booth.add("adapter", "barcode_scanner")
    terminal = os.readlink(tmp_path / "adapter")
    by_id = tmp_path / "by-id"
    by_id.mkdir()
    (by_id / "usb-FTDI_USB-RS232_A1B2-if00").symlink_to(terminal)
    found = [SimpleNamespace(device=terminal, manufacturer="FTDI", product="USB-RS232", serial_number="A1B2")]
    found += [SimpleNamespace(device="/dev/ttyS9", manufacturer=None, product=None, serial_number=None)]
    hold = "import os,sys; os.open(sys.argv[1], os.O_RDWR | os.O_NOCTTY); print('held', flush=True); sys.stdin.read()"
    with another_program(hold, terminal) as holder:
        lines = in_words(everything(read_devices(booth.path), ports(lambda: found, [by_id, tmp_path / "absent"])))
        assert f"held by {holder_name(holder.pid)} (process {holder.pid})" in lines[1]
        assert f"now {terminal}, held by {holder_name(holder.pid)}" in lines[-1]
    assert lines[1].startswith(f"  {by_id}/usb-FTDI_USB-RS232_A1B2-if00  {terminal}  FTDI USB-RS232 A1B2")
    assert lines[2] == "  /dev/ttyS9"
    assert lines[-2] == f"  adapter               lane 1: barcode_scanner at {tmp_path}/adapter"


def holder_name(pid: int) -> str:
    return Path(f"/proc/{pid}/comm").read_text().strip()


def test_list_without_any_port() -> None:
    assert in_words(everything(None, ports(list, [])))[:2] == ["serial ports", "  none on this computer"]


# --- probe ----------------------------------------------------------------------------------------------------------


def test_probe_says_of_each_device_whether_it_speaks(booth: Booth, capsys: pytest.CaptureFixture[str]) -> None:
    booth.add("portal", "rapiscan_vm250", BACKGROUND)
    booth.add("wrong-rate", "rapiscan_vm250", BACKGROUND, Uart(4800))
    booth.add("parity", "rapiscan_vm250", BACKGROUND, Uart(9600, 7, "O"))
    booth.add("mute", "rapiscan_vm250")
    booth.add("scanner", "barcode_scanner")
    booth.at("gone", "barcode_scanner", "/dev/serial/by-id/usb-gone")
    status, said, told = run(capsys, "probe", booth.path, "--seconds", 2)
    assert status == 1
    assert "listening to 6 devices for 2 s" in told
    assert "use them now: scanner, gone" in told
    by_device = {text.split(":")[0]: text for text in said.replace("\n  ", "|").splitlines()}
    assert by_device["portal"].startswith("portal: SPEAKS|Rapiscan / TSA")
    assert "radiation_sample     kind=gamma channel=background counts=379/371/407/371" in by_device["portal"]
    assert "GARBLED: bytes come" in by_device["wrong-rate"]
    assert "perhaps another baud rate: try --baud-scan" in by_device["wrong-rate"]
    assert "write `bytesize: 7, parity: odd` into its link" in by_device["parity"]
    assert "SILENT: connected, and not a byte comes" in by_device["mute"]
    assert "→ check its power, the cable (crossed?) and the baud rate" in by_device["mute"]
    assert "SILENT: connected; it speaks only when it is used" in by_device["scanner"]
    assert "NO CONNECTION: /dev/serial/by-id/usb-gone cannot be opened: there is no such port" in by_device["gone"]


def test_probe_of_one_that_speaks(booth: Booth, capsys: pytest.CaptureFixture[str]) -> None:
    booth.add("portal", "rapiscan_vm250", BACKGROUND)
    booth.at("far", "rapiscan_vm250", "socket://127.0.0.1:9")
    status, said, _ = run(capsys, "probe", booth.path, "portal", "--seconds", 1, "--json")
    assert status == 0
    [found] = map(json.loads, said.splitlines())
    assert (found["device"], found["verdict"]) == ("portal", "speaks")
    assert found["malformed"] <= 1  # a link that opens in mid-line cuts that line
    assert [latest["type"] for latest in found["latest"]] == ["presence", "radiation_sample"]
    assert run(capsys, "probe", booth.path, "far", "--seconds", 0.5)[0] == 1


def test_a_baud_scan_finds_the_rate(booth: Booth, capsys: pytest.CaptureFixture[str]) -> None:
    booth.add("portal", "rapiscan_vm250", BACKGROUND, Uart(4800))
    status, said, told = run(capsys, "probe", booth.path, "--seconds", 1.5, "--baud-scan")
    assert status == 1, "it does not speak with the file as it is"
    assert "portal: at  19200 Bd garbled" in told
    assert "portal: at   4800 Bd speaks" in told
    assert "→ it speaks at 4800 Bd: write `baud: 4800` into its link" in said
    booth.rows.clear()
    booth.at("portal", "rapiscan_vm250", str(booth.folder / "portal"), baud=4800)
    assert run(capsys, "probe", booth.path, "--seconds", 1)[0] == 0


def test_a_baud_scan_that_finds_none(booth: Booth, capsys: pytest.CaptureFixture[str]) -> None:
    booth.add("portal", "rapiscan_vm250")
    status, said, told = run(capsys, "probe", booth.path, "--seconds", 0.2, "--baud-scan")
    assert status == 1
    assert told.count(" Bd silent") == 7
    assert "it speaks at none of the common rates" in said


def test_a_device_that_is_not_there_is_named(booth: Booth, capsys: pytest.CaptureFixture[str]) -> None:
    booth.add("portal", "rapiscan_vm250", BACKGROUND)
    status, _, told = run(capsys, "probe", booth.path, "portl")
    assert (status, "there is no device 'portl'" in told, "its devices are: portal" in told) == (2, True, True)


# --- one owner ------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("command", [("probe",), ("monitor", "portal"), ("capture", "portal", "--out", "x")])
def test_a_running_agents_devices_are_left_alone(
    booth: Booth, command: tuple[str, ...], capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(booth.folder)
    booth.add("portal", "rapiscan_vm250", BACKGROUND)
    (booth.folder / "ledger").mkdir()
    lock = "import fcntl,sys; f = open(sys.argv[1], 'w'); fcntl.flock(f, fcntl.LOCK_EX); print('locked', flush=True); "
    assert running_agent(read_devices(booth.path).ledger) is None
    with another_program(lock + "sys.stdin.read()", str(booth.folder / "ledger" / LOCK_FILE)) as agent:
        status, said, told = run(capsys, command[0], booth.path, *command[1:])
        assert (status, said) == (2, "")
        assert "the agent of this booth is running and holds its devices: " in told
        assert f"(process {agent.pid})" in told
        assert f"whose agent runs: {holder_name(agent.pid)}" in run(capsys, "list", booth.path)[1]
    assert running_agent(read_devices(booth.path).ledger) is None
    assert not (booth.folder / "x").exists()


@pytest.mark.parametrize("command", ["monitor", "capture"])
def test_a_port_that_another_program_holds(booth: Booth, command: str, capsys: pytest.CaptureFixture[str]) -> None:
    booth.add("portal", "rapiscan_vm250", BACKGROUND)
    hold = "import os,sys; os.open(sys.argv[1], os.O_RDWR | os.O_NOCTTY); print('held', flush=True); sys.stdin.read()"
    more = ["--out", booth.folder / "x"] if command == "capture" else []
    with another_program(hold, str(booth.folder / "portal")) as holder:
        status, said, told = run(capsys, command, booth.path, "portal", *more)
    assert (status, said) == (2, "")
    assert f"portal: {booth.folder}/portal is held by " in told
    assert f"(process {holder.pid})" in told


# --- monitor ----------------------------------------------------------------------------------------------


def test_monitor_prints_what_is_said_as_it_is_said(booth: Booth, capsys: pytest.CaptureFixture[str]) -> None:
    booth.add("scanner", "barcode_scanner", b"]C0HQ0012345\r")
    status, said, _ = run(capsys, "monitor", booth.path, "scanner", "--seconds", 1)
    lines = said.splitlines()
    assert status == 0
    assert "device_status        state=waiting detail=connected" in lines[0]
    assert "device_status        state=online" in lines[1]
    assert lines[2].endswith("seal_read            number=HQ0012345 symbology=Code 128  ]C0HQ0012345")
    since = [float(line.split()[0]) for line in lines]
    assert since == sorted(since)
    assert 0 < since[-1] < 2
    status, said, _ = run(capsys, "monitor", booth.path, "scanner", "--seconds", 0.5, "--json")
    found = [json.loads(line) for line in said.splitlines()]
    assert "seal_read" in {o["type"] for o in found}
    ago = SystemClock().now().utc - datetime.fromisoformat(found[-1]["at"])
    assert timedelta(0) <= ago < timedelta(minutes=1)


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
def test_monitor_ends_well_on_ctrl_c(booth: Booth, number: int) -> None:
    booth.add("scanner", "barcode_scanner", b"]C0HQ0012345\r")
    with subprocess.Popen(
        [sys.executable, "-m", "edge_agent", "devices", "monitor", booth.path, "scanner"],
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
    ) as monitor:
        assert monitor.stdout
        while "seal_read" not in monitor.stdout.readline():
            pass
        monitor.send_signal(number)
        _, told = monitor.communicate(timeout=PATIENCE_S)
    assert (monitor.returncode, told) == (0, "")


def test_monitor_ends_well_when_its_reader_has_enough(booth: Booth) -> None:
    booth.add("scanner", "barcode_scanner", b"]C0HQ0012345\r")
    with subprocess.Popen(
        [sys.executable, "-m", "edge_agent", "devices", "monitor", booth.path, "scanner"],
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
    ) as monitor:
        assert monitor.stdout
        assert monitor.stderr
        monitor.stdout.readline()
        monitor.stdout.close()  # as `head -1` does
        assert (monitor.wait(PATIENCE_S), monitor.stderr.read()) == (0, "")


# --- what a library speaks ------------------------------------------------------------------------------------------


def test_a_scan_is_shown_and_stays_where_it_is(booth: Booth, capsys: pytest.CaptureFixture[str]) -> None:
    scans = booth.folder / "scans"
    scans.mkdir()
    settings = {"directory": "scans", "settle_s": 0.1, "poll_s": 0.05}
    booth.row({"id": "x-ray", "driver": "watched_folder", "settings": settings})
    status, said, told = run(capsys, "probe", booth.path, "--seconds", 1)
    assert (status, "x-ray: SILENT: " in said, "let the device send something" in said) == (1, True, True)
    assert "use them now: x-ray" in told
    for name in ("one.uff", "two.uff"):
        (scans / name).write_bytes(b"a scan, opaque")
    status, said, _ = run(capsys, "probe", booth.path, "--seconds", 2)
    assert (status, "x-ray: SPEAKS" in said, "scan_id=one format=uff" in said) == (0, True, True)
    status, said, told = run(capsys, "monitor", booth.path, "x-ray", "--seconds", 2)
    assert (status, "scan_id=one format=uff" in said, "left with its sender" in told) == (0, True, True)
    assert sorted(path.name for path in scans.rglob("*.uff")) == ["one.uff", "two.uff"]
    assert (scans / "one.uff").exists(), "it was taken over, and no ledger has it"
    assert run(capsys, "probe", booth.path, "x-ray", "--seconds", 2)[0] == 0, "the next one is shown it too"
    status, said, told = run(capsys, "capture", booth.path, "x-ray", "--out", booth.folder / "c")
    assert (status, "x-ray has no byte stream: watched_folder speaks through a library" in told) == (2, True)
    assert not (booth.folder / "c").exists()
    assert "watched_folder at directory scans" in run(capsys, "list", booth.path)[1]


# --- words --------------------------------------------------------------------------------------------


def test_the_line_of_a_link_in_words() -> None:
    from edge_agent.devices_command.booth import line_of

    device: Any = SimpleNamespace(driver=None)
    seven = LinkSettings(url="/dev/ttyUSB0", baud=4800, bytesize=7, parity="even", stopbits=2)
    assert line_of(device, seven) == "/dev/ttyUSB0 at 4800 7E2"
    assert line_of(device, LinkSettings(url="socket://192.0.2.1:1")) == "socket://192.0.2.1:1"
