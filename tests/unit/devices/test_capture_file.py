"""Recordings with times: what is written is read again, what is damaged is said with its line."""

import json
from datetime import UTC, datetime
from pathlib import Path

import pytest

from edge_agent.devices.capture_file import CaptureWriter, Event, Header, is_capture, read_events, read_header
from edge_agent.domain.errors import SettingsInvalid, StoreFull
from edge_agent.replay import replay

STARTED = datetime(2026, 11, 22, 2, 40, 11, 500000, tzinfo=UTC)
BACKGROUND = b"GB,000379,000371,000407,000371\r\n"


def header(driver: str = "barcode_scanner", **settings: object) -> Header:
    return Header(device="x", driver=driver, settings=settings, link={"url": "/dev/x"}, started=STARTED)


def written(path: Path, *lines: object, head: object = None) -> Path:
    head = header().model_dump(mode="json") if head is None else head
    path.write_text("".join(json.dumps(line) + "\n" for line in (head, *lines)))
    return path


def types(path: Path, driver: str | None = None) -> list[tuple[str, str | None]]:
    return [(o["type"], o["at"]) for o in replay(driver, path)]


def test_what_is_written_is_read(tmp_path: Path) -> None:
    path = tmp_path / "c"
    with CaptureWriter(path, header(suffix="cr"), 100.0) as writer:
        writer.event("opened", 100.00001)
        writer.event("tx", 100.5, b"W\r")
        writer.event("rx", 101.123456, b"\x00\xff]C0")
        writer.event("rx", 101.1, b"late")  # two threads date events: time does not run back in the file
        writer.event("lost", 102, why="pulled")
        writer.event("end", 160, why="60 s are over")
        assert writer.received == 9
    assert is_capture(path)
    assert read_header(path) == header(suffix="cr")
    assert list(read_events(path)) == [
        Event(0.00001, "opened"),
        Event(0.5, "tx", b"W\r"),
        Event(1.123456, "rx", b"\x00\xff]C0"),
        Event(1.123456, "rx", b"late"),
        Event(2.0, "lost", why="pulled"),
        Event(60.0, "end", why="60 s are over"),
    ]


def test_every_line_is_whole_at_once(tmp_path: Path) -> None:
    with CaptureWriter(tmp_path / "c", header(), 0.0) as writer:
        writer.event("rx", 1.0, b"abc")
        assert list(read_events(tmp_path / "c")) == [Event(1.0, "rx", b"abc")]


def test_a_recording_is_not_replaced(tmp_path: Path) -> None:
    written(tmp_path / "c")
    with pytest.raises(SettingsInvalid, match="exists already"):
        CaptureWriter(tmp_path / "c", header(), 0.0)
    with pytest.raises(SettingsInvalid, match="cannot be made: No such file"):
        CaptureWriter(tmp_path / "absent" / "c", header(), 0.0)


def test_a_disk_that_fills_up(tmp_path: Path) -> None:
    writer = CaptureWriter(tmp_path / "c", header(), 0.0)
    writer._file.close()
    writer._file = Path("/dev/full").open("w")  # noqa: SIM115 - the writer closes it
    with pytest.raises(StoreFull, match="No space left"):
        writer.event("rx", 1.0, b"abc")
    with pytest.raises(OSError, match="No space left"):
        writer._file.close()


# --- replayed -----------------------------------------------------------------------------------------------------


def test_times_date_readings_and_time_passes_as_it_did(tmp_path: Path) -> None:
    path = written(
        tmp_path / "c",
        {"t": 0.0, "opened": True},
        {"t": 1.0, "rx": b"]C0HQ0012345\r\n]C0HQ00".hex()},
        {"t": 1.2, "rx": b"1234".hex()},  # within the half second that a scan may pause
        {"t": 9.0, "rx": b"]C0HQ0012399\r".hex()},
        {"t": 10.0, "end": "stopped"},
    )
    assert types(path) == [
        ("seal_read", "2026-11-22T02:40:12.500Z"),
        ("malformed", "2026-11-22T02:40:12.700Z"),  # given up at 1.7 s, dated by its last byte; not at 9 s
        ("seal_read", "2026-11-22T02:40:20.500Z"),
    ]
    assert types(path, "barcode_scanner") == types(path)


def test_recorded_settings_are_used_and_a_named_driver_replaces_them(tmp_path: Path) -> None:
    head = header(prefix="S:", suffix="lf").model_dump(mode="json")
    path = written(tmp_path / "c", {"t": 1, "rx": b"S:HQ0012345\n".hex()}, head=head)
    assert types(path) == [("seal_read", "2026-11-22T02:40:12.500Z")]
    assert [o["number"] for o in replay(None, path)] == ["HQ0012345"]
    assert types(path, "rapiscan_vm250") == [("malformed", "2026-11-22T02:40:12.500Z")]


def test_a_connection_that_was_lost(tmp_path: Path) -> None:
    path = written(
        tmp_path / "c",
        {"t": 0, "opened": True},
        {"t": 1, "rx": (BACKGROUND + b"GB,0003").hex()},
        {"t": 2, "lost": "pulled"},
        {"t": 4, "opened": True},
        {"t": 5, "rx": BACKGROUND.hex()},
        head=header("rapiscan_vm250").model_dump(mode="json"),
    )
    said = types(path)
    assert [kind for kind, _ in said] == [
        "presence",
        "radiation_sample",
        "malformed",  # given up with the connection
        "device_status",
        "presence",  # a new connection knows nothing of the old one
        "radiation_sample",
    ]
    assert said[3][1] == "2026-11-22T02:40:13.500Z"


def test_a_silent_link_that_was_opened_anew(tmp_path: Path) -> None:
    path = written(
        tmp_path / "c",
        {"t": 0, "opened": True},
        {"t": 1, "rx": (BACKGROUND + b"GB,0003").hex()},
        {"t": 2, "opened": True},
        {"t": 3, "rx": BACKGROUND.hex()},
        head=header("rapiscan_vm250").model_dump(mode="json"),
    )
    kinds = [kind for kind, _ in types(path)]
    assert kinds == ["presence", "radiation_sample", "malformed", "presence", "radiation_sample"]


def test_what_a_killed_recording_left(tmp_path: Path) -> None:
    path = written(tmp_path / "c", {"t": 1, "rx": b"]C0HQ0012345\r".hex()})
    with path.open("a") as file:
        file.write('{"t": 2, "rx": "5d43')
    assert types(path) == [("seal_read", "2026-11-22T02:40:12.500Z")]


@pytest.mark.parametrize(
    ("line", "why"),
    [
        ({"t": 1}, ":3: no event of a capture"),
        ({"t": 1, "rx": "4", "tx": "4"}, ":3: no event"),
        ({"t": 1, "rx": "4z"}, ":3: no event of a capture: non-hexadecimal"),
        ({"t": 1, "rx": 4}, ":3: no event"),
        ({"t": "1", "rx": "44"}, ":3: no event of a capture: an event is a time"),
        ({"t": True, "rx": "44"}, ":3: no event"),
        ({"t": float("nan"), "rx": "44"}, ":3: no event"),
        ({"t": float("inf"), "rx": "44"}, ":3: no event"),
        ({"t": 1, "rx": "44", "more": 1}, ":3: no event"),
        (["t", "rx"], ":3: no event"),
        (17, ":3: no event"),
        ({"t": 0.4, "rx": "44"}, ":3: its time 0.4 lies before the line above"),
        ({"t": -1, "rx": "44"}, ":3: its time -1 lies before"),
        ({"t": 86402, "rx": "44"}, ":3: nothing for longer than 24 hours"),
        ({"t": 10**400, "rx": "44"}, ":3: "),
        ({"t": 1, "rx": "44" * 40000}, ":3: longer than 65536 bytes"),
    ],
)
def test_a_damaged_recording(tmp_path: Path, line: object, why: str) -> None:
    path = written(tmp_path / "c", {"t": 0.5, "opened": True}, line, {"t": 2, "end": ""})
    with pytest.raises(SettingsInvalid) as raised:
        list(replay(None, path))
    assert f"{path}{why}" in str(raised.value)
    assert "docs/captures.md" in raised.value.remedy


@pytest.mark.parametrize(
    ("head", "why"),
    [
        ({"capture": 2}, ":1: capture: Input should be 1"),
        ({"capture": 1}, ":1: device: Field required"),
        (header("nothing").model_dump(mode="json"), "there is no driver 'nothing'"),
        (header(colour="red").model_dump(mode="json"), ":1: settings.colour: Extra inputs"),
        ({**header().model_dump(mode="json"), "started": "2026-01-01T00:00:00"}, ":1: started: "),
    ],
)
def test_a_first_line_that_does_not_say_what_it_is(tmp_path: Path, head: object, why: str) -> None:
    with pytest.raises(SettingsInvalid) as raised:
        replay(None, written(tmp_path / "c", head=head))
    assert why in str(raised.value)


def test_bare_bytes_need_a_driver(tmp_path: Path) -> None:
    path = tmp_path / "c"
    path.write_bytes(BACKGROUND)
    with pytest.raises(SettingsInvalid, match="is no capture that names its driver"):
        replay(None, path)
    with pytest.raises(SettingsInvalid, match="cannot be read: No such file"):
        replay(None, tmp_path / "absent")


def test_bytes_that_would_move_the_cursor_are_spelt_out(tmp_path: Path) -> None:
    from edge_agent.replay import line

    path = written(tmp_path / "c", {"t": 1, "rx": b"\x1b[2J hello\r".hex()})
    [said] = [line(o) for o in replay(None, path)]
    assert "\x1b" not in said
    assert "\\x1b[2J hello" in said
