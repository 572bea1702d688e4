"""`edge-agent devices capture`: what is recorded is what went over the link, and is replayed as it was heard."""

import json
import socket
import threading
from contextlib import suppress

import pytest

from edge_agent.cli import main
from tests.integration.devices.command_booth import PATIENCE_S, Booth, run
from tests.integration.devices.conftest import BACKGROUND


def test_a_capture_is_replayed_as_it_was_heard(booth: Booth, capsys: pytest.CaptureFixture[str]) -> None:
    booth.add("scanner", "barcode_scanner", b"]C0HQ0012345\r]C0HQ")
    file = booth.folder / "capture"
    status, said, told = run(capsys, "capture", booth.path, "scanner", "--out", file, "--seconds", 1.5)
    assert status == 0
    assert f"recording scanner at {booth.folder}/scanner for at most 1.5 s" in told
    assert f"look at it with: edge-agent replay {file}" in said
    lines = [json.loads(line) for line in file.read_text().splitlines()]
    assert lines[0]["capture"] == 1
    assert lines[0]["link"]["baud"] == 9600
    assert lines[1]["opened"] is True
    assert lines[-1]["end"] == "1.5 s are over"
    raw = b"".join(bytes.fromhex(line["rx"]) for line in lines if "rx" in line)
    assert f"{file}: {len(raw)} bytes, " in said
    assert main(["replay", str(file), "--json"]) == 0
    replayed = [json.loads(line) for line in capsys.readouterr().out.splitlines()]
    assert "".join(o["raw"] for o in replayed) == raw.decode()
    assert {"seal_read", "malformed"} <= {o["type"] for o in replayed}
    assert all(lines[0]["started"][:19] <= o["at"] for o in replayed)


def test_a_capture_of_a_device_that_is_asked(booth: Booth, capsys: pytest.CaptureFixture[str]) -> None:
    def answers(server: socket.socket) -> None:
        client, _ = server.accept()
        with client, suppress(OSError):
            while client.recv(100):
                client.sendall(b"\n012340kg\r\n00\r\x03")

    with socket.create_server(("127.0.0.1", 0)) as server:
        thread = threading.Thread(target=answers, args=(server,), daemon=True)
        thread.start()
        booth.at("scale", "nci_scp01", f"socket://127.0.0.1:{server.getsockname()[1]}")
        file = booth.folder / "capture"
        assert run(capsys, "capture", booth.path, "scale", "--out", file, "--seconds", 2)[0] == 0
        thread.join(PATIENCE_S)
    lines = [json.loads(line) for line in file.read_text().splitlines()[1:]]
    assert next(line["tx"] for line in lines if "tx" in line) == b"W\r".hex()
    first = [next(k for k in line if k != "t") for line in lines][:3]
    assert first == ["opened", "tx", "rx"]
    assert main(["replay", str(file), "--json"]) == 0
    said = [json.loads(line) for line in capsys.readouterr().out.splitlines()]
    assert next(o["kg"] for o in said if o["type"] == "weight") == 12340


def test_a_capture_stops_at_its_size_and_says_when_nothing_came(
    booth: Booth, capsys: pytest.CaptureFixture[str]
) -> None:
    booth.add("portal", "rapiscan_vm250", BACKGROUND)
    booth.add("mute", "rapiscan_vm250")
    status, said, _ = run(capsys, "capture", booth.path, "portal", "--out", booth.folder / "a", "--bytes", 100)
    assert (status, "100 bytes are recorded" in said) == (0, True)
    status, _, told = run(capsys, "capture", booth.path, "mute", "--out", booth.folder / "b", "--seconds", 0.5)
    assert (status, "no byte came: the device is waiting: connected" in told) == (1, True)
    assert f"{booth.folder / 'b'} was not made" in told
    assert not (booth.folder / "b").exists(), "it would block the next try"
    status, _, told = run(capsys, "capture", booth.path, "portal", "--out", booth.folder / "a")
    assert (status, "exists already" in told) == (2, True)


def test_a_capture_of_a_connection_that_is_lost(booth: Booth, capsys: pytest.CaptureFixture[str]) -> None:
    def hang_up_once(server: socket.socket) -> None:
        for _ in range(2):
            client, _ = server.accept()
            with client:
                client.sendall(BACKGROUND)

    with socket.create_server(("127.0.0.1", 0)) as server:
        thread = threading.Thread(target=hang_up_once, args=(server,), daemon=True)
        thread.start()
        booth.at("portal", "rapiscan_vm250", f"socket://127.0.0.1:{server.getsockname()[1]}")
        file = booth.folder / "capture"
        size = 2 * len(BACKGROUND)
        status, _, _ = run(capsys, "capture", booth.path, "portal", "--out", file, "--bytes", size, "--seconds", 20)
        thread.join(PATIENCE_S)
    assert status == 0
    kinds = [next(k for k in json.loads(line) if k != "t") for line in file.read_text().splitlines()[1:]]
    assert kinds == ["opened", "rx", "lost", "opened", "rx", "end"]
