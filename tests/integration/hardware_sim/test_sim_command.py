"""`hardware-sim` as a user's program meets it: a process, its output, its devices, its end."""

import asyncio
import json
import signal
import subprocess
import sys
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from datetime import datetime
from io import BytesIO
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

import pytest
import serial
from PIL import Image

from hardware_sim.cli import main

FAST = """\
title: Two short trucks
seed: 4
lanes:
  1:
    drive: {speed_mps: 14, slow_mps: 10}
    devices:
      portal:
        kind: rapiscan_vm250
        hold_in: 1
        links: [{kind: tcp}, {kind: pty, path: portal.tty}]
      seal-scanner:
        kind: barcode_scanner
        links: [{kind: pty, path: seal.tty}]
    cameras:
      plate-camera: {view: plate, fps: 20}
      container-camera: {view: container, fps: 5, max_clients: 1}
    traffic:
      gap_s: 1.3
      first_truck_s: 0.2
      trucks: [{size_type: 22G1}, {size_type: 22G1, cargo: {kind: source, gamma_cps: 30000}}]
"""


@pytest.fixture
def scenario(tmp_path: Path) -> Path:
    path = tmp_path / "fast.yaml"
    path.write_text(FAST)
    return path


@asynccontextmanager
async def simulator(*arguments: str | Path) -> AsyncIterator[asyncio.subprocess.Process]:
    process = await asyncio.create_subprocess_exec(
        sys.executable, "-m", "hardware_sim", "run", *map(str, arguments),
        stdin=asyncio.subprocess.PIPE, stdout=asyncio.subprocess.PIPE, stderr=asyncio.subprocess.PIPE,
    )  # fmt: skip
    try:
        async with asyncio.timeout(60):
            yield process
    finally:
        if process.returncode is None:
            process.kill()
        await process.communicate()


async def ready_line(process: asyncio.subprocess.Process) -> Any:
    assert process.stdout is not None
    ready = json.loads(await process.stdout.readline())
    assert ready["ready"] is True
    return ready


def release(process: asyncio.subprocess.Process) -> None:
    assert process.stdin is not None
    process.stdin.write(b"\n")


async def test_run_to_the_end_with_truth_beside_what_was_said(scenario: Path, tmp_path: Path) -> None:
    out = tmp_path / "out"
    async with simulator(scenario, "--json", "--hold", "--out", out) as process:
        ready = await ready_line(process)
        devices = ready["devices"]
        assert devices["portal"]["kind"] == "rapiscan_vm250"
        assert devices["portal"]["urls"][1] == str(out / "portal.tty")
        assert devices["seal-scanner"]["url"] == str(out / "seal.tty")
        assert devices["plate-camera"]["view"] == "plate"
        assert (ready["held"], ready["trucks"]) == (True, 2)

        host, port = devices["portal"]["url"].removeprefix("socket://").split(":")
        reader, writer = await asyncio.open_connection(host, int(port))
        with serial.Serial(devices["seal-scanner"]["url"], timeout=0) as scanner:
            assert (await reader.readline()).startswith(b"SG1,")
            release(process)
            said, labels = b"", b""
            while line := await reader.readline():  # to the end: the simulator closes the line when it is done
                said += line
                if said.count(b"GX,") < 2:  # a terminal that hangs up takes what was not read with it
                    labels += scanner.read(4096)
        writer.close()
        assert process.stdout is not None
        printed = [json.loads(line) for line in (await process.stdout.read()).splitlines()]
        assert await process.wait() == 0
    truth = [json.loads(line) for line in (out / "truth.jsonl").read_text().splitlines()]
    assert printed == truth
    assert [t["index"] for t in truth] == [1, 2]
    assert said.count(b"GX,") == 2
    assert b"GA," not in said.split(b"GX,")[0]
    assert b"GA," in said.split(b"GX,")[1]
    assert [t["devices"]["portal"]["gamma_alarm"] for t in truth] == [False, True]
    assert labels.decode().split() == ["]C0" + t["seal"] for t in truth]
    assert not list(out.glob("*.tty"))


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGINT])
async def test_a_signal_ends_the_run_cleanly(scenario: Path, tmp_path: Path, number: signal.Signals) -> None:
    out = tmp_path / "out"
    async with simulator(scenario, "--json", "--hold", "--out", out) as process:
        await ready_line(process)
        assert sorted(p.name for p in out.glob("*.tty")) == ["portal.tty", "seal.tty"]
        process.send_signal(number)
        assert process.stderr is not None
        assert await process.stderr.read() == b""
        assert await process.wait() == 0
    assert not list(out.glob("*.tty"))


async def test_nobody_left_to_release_traffic_is_an_error(scenario: Path, tmp_path: Path) -> None:
    async with simulator(scenario, "--json", "--hold", "--out", tmp_path / "out") as process:
        await ready_line(process)
        assert process.stdin is not None
        process.stdin.close()
        assert process.stderr is not None
        assert b"standard input ended" in await process.stderr.read()
        assert await process.wait() == 1


async def read_frames(url: str, count: int) -> list[bytes]:
    """A client of its own, by the letter of multipart/x-mixed-replace."""
    parts = urlsplit(url)
    reader, writer = await asyncio.open_connection(parts.hostname, parts.port)
    writer.write(f"GET {parts.path} HTTP/1.0\r\nHost: {parts.netloc}\r\n\r\n".encode())
    head = (await reader.readuntil(b"\r\n\r\n")).decode()
    assert "multipart/x-mixed-replace; boundary=frame" in head
    frames = []
    for _ in range(count):
        assert await reader.readline() == b"--frame\r\n"
        headers = dict(
            line.split(": ") for line in (await reader.readuntil(b"\r\n\r\n")).decode().strip().split("\r\n")
        )
        assert headers["Content-Type"] == "image/jpeg"
        frames.append(await reader.readexactly(int(headers["Content-Length"])))
        assert await reader.readline() == b"\r\n"
    writer.close()
    await writer.wait_closed()
    return frames


async def test_cameras_serve_pictures_that_are_never_the_same_bytes(scenario: Path, tmp_path: Path) -> None:
    async with simulator(scenario, "--json", "--hold", "--out", tmp_path / "out") as process:
        devices = (await ready_line(process))["devices"]
        both = await asyncio.gather(
            read_frames(devices["plate-camera"]["url"], 5), read_frames(devices["plate-camera"]["url"], 5)
        )
        for frames in both:
            assert len(set(frames)) == 5
            for frame in frames:
                with Image.open(BytesIO(frame)) as image:
                    image.load()
                    assert (image.format, image.size, image.mode) == ("JPEG", (1280, 720), "RGB")
        pictures = {Image.open(BytesIO(frame)).tobytes() for frame in both[0]}
        assert len(pictures) == 5  # not only the comment differs: the sensor's noise does
        process.send_signal(signal.SIGTERM)
        assert await process.wait() == 0


async def test_cameras_bound_their_clients(scenario: Path, tmp_path: Path) -> None:
    async with simulator(scenario, "--json", "--hold", "--out", tmp_path / "out") as process:
        parts = urlsplit((await ready_line(process))["devices"]["container-camera"]["url"])
        request = f"GET {parts.path} HTTP/1.0\r\nHost: {parts.netloc}\r\n\r\n".encode()
        first, first_writer = await asyncio.open_connection(parts.hostname, parts.port)
        first_writer.write(request)
        assert b"200 OK" in await first.readline()
        second, second_writer = await asyncio.open_connection(parts.hostname, parts.port)
        second_writer.write(request)
        assert b"503" in await second.readline()
        first_writer.close()
        second_writer.close()


async def test_a_photo_takes_the_trucks_place(scenario: Path, tmp_path: Path) -> None:
    photos = tmp_path / "photos"
    photos.mkdir()
    Image.new("RGB", (400, 400), (10, 200, 30)).save(photos / "a.jpg")
    Image.new("L", (900, 300), 90).save(photos / "b.png")
    (photos / "notes.txt").write_text("no photo")
    async with simulator(scenario, "--json", "--out", tmp_path / "out", "--photos", photos) as process:
        await ready_line(process)
        assert process.stdout is not None
        truth = [json.loads(line) for line in (await process.stdout.read()).splitlines()]
        assert await process.wait() == 0
    assert [t["photos"] for t in truth] == [{"plate-camera": "a.jpg"}, {"plate-camera": "b.png"}]
    assert [t["plate"] for t in truth] == [None, None]
    assert all(t["container_code"] for t in truth)


@pytest.mark.parametrize(
    ("prepare", "says"),
    [
        (lambda folder: None, "cannot be read: No such file"),
        (lambda folder: folder.mkdir(), "there is no .jpg or .png in it"),
        (lambda folder: (folder.mkdir(), (folder / "x.jpg").write_bytes(b"\xff\xd8 no photo")), "not a picture"),
    ],
)
def test_a_folder_without_photos_is_a_clear_error(
    scenario: Path, tmp_path: Path, prepare: object, says: str, capsys: pytest.CaptureFixture[str]
) -> None:
    assert callable(prepare)
    prepare(tmp_path / "photos")
    arguments = ["run", str(scenario), "--out", str(tmp_path / "out"), "--photos", str(tmp_path / "photos")]
    assert main(arguments) == 2
    assert says in capsys.readouterr().err


def test_mistakes_in_a_scenario_end_with_their_lines(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    path = tmp_path / "bad.yaml"
    path.write_text("title: x\nlanes: {1: {traffic: {count: -1}}}\nwheels: 18\n")
    assert main(["run", str(path), "--out", str(tmp_path / "out")]) == 2
    said = capsys.readouterr().err
    assert "bad.yaml:2: lanes.1.traffic.count" in said
    assert "bad.yaml:3: wheels: no such setting" in said
    assert not (tmp_path / "out").exists()


def test_scenarios_are_listed(capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["scenarios"]) == 0
    assert "\ndemo              Ten trucks" in capsys.readouterr().out
    assert main(["scenarios", "--json"]) == 0
    assert set(json.loads(capsys.readouterr().out)) >= {"demo", "quiet", "source"}


def test_the_schema_is_printed_for_editors(capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["schema"]) == 0
    schema = json.loads(capsys.readouterr().out)
    assert schema["$schema"].startswith("https://json-schema.org/")
    assert {"title", "seed", "lanes", "faults"} <= set(schema["properties"])


async def test_a_run_can_be_faster_than_real_time(scenario: Path, tmp_path: Path) -> None:
    out = tmp_path / "out"
    slow = scenario.with_name("slow.yaml")
    slow.write_text(scenario.read_text().replace("first_truck_s: 0.2", "first_truck_s: 120"))
    async with simulator(slow, "--json", "--speed", "100", "--out", out) as process:
        assert process.stdout is not None
        await process.stdout.read()
        assert await process.wait() == 0
    first, _ = (json.loads(line) for line in (out / "truth.jsonl").read_text().splitlines())
    between = datetime.fromisoformat(first["departed"]) - datetime.fromisoformat(first["arrived"])
    assert between.total_seconds() > 1  # of the world: its wall time runs as fast


@pytest.mark.parametrize("speed", ["0", "-1", "1e9", "nan"])
def test_a_speed_that_cannot_be_is_refused(scenario: Path, speed: str, capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit):
        main(["run", str(scenario), f"--speed={speed}"])
    assert "a speed is more than 0" in capsys.readouterr().err


def test_a_reader_that_has_enough_ends_it_quietly() -> None:
    piped = f"{sys.executable} -m hardware_sim schema | head -c 20"
    ended = subprocess.run(["bash", "-c", piped], capture_output=True, check=True)
    assert (len(ended.stdout), ended.stderr) == (20, b"")
