import json
from pathlib import Path

import pytest

from edge_agent.domain.errors import SettingsInvalid
from edge_agent.replay import CHUNK, line, replay

STAMP = ",2016-05-31 09:30:0{}.974 -07"
RECORDS = (
    "GB,000400,000400,000400,000400",
    *["GA,000093,000093,000093,000093"] * 5,
    "NA,000009,000009,000009,000009",
    "GX,000017,006683,000000,000000",
)


def capture(path: Path, stamp: str = "") -> Path:
    path.write_bytes(b"".join(f"{r}{stamp.format(i)}\r\n".encode() for i, r in enumerate(RECORDS)) + b"G\xff")
    return path


def test_a_stamped_recording(tmp_path: Path) -> None:
    path = capture(tmp_path / "stamped.csv", STAMP)
    objects = list(replay("rapiscan_vm250", path, "stamped"))
    assert json.loads(json.dumps(objects, allow_nan=False))
    (left,) = [o for o in objects if o["type"] == "radiation_occupancy"]
    assert left["at"] == "2016-05-31T16:30:07.974Z"
    assert (left["gamma_alarm"], left["neutron_alarm"], left["cross_check_sigma"]) == (True, True, 6.5)
    assert left["disagreement"] is False
    assert left["duration_s"] == 6.8
    assert [o["type"] for o in objects if o["type"] == "radiation_alarm"] == ["radiation_alarm"] * 2
    assert objects[-1]["type"] == "malformed"
    assert objects[-1]["raw"] == "G\\xff"
    assert line(left).startswith(
        "2016-05-31T16:30:07.974Z  radiation_occupancy  number=17 duration_s=6.8 gamma_alarm=true"
    )


def test_a_wire_recording_has_no_times(tmp_path: Path) -> None:
    objects = list(replay("rapiscan_vm250", capture(tmp_path / "wire.txt")))
    assert {o["at"] for o in objects} == {None}
    (left,) = [o for o in objects if o["type"] == "radiation_occupancy"]
    assert left["duration_s"] is None
    assert left["gamma_alarm"] is True
    assert json.dumps(objects, allow_nan=False)
    assert line(left).startswith("-  ")
    assert "counts=400/400/400/400" in line(objects[1])


@pytest.mark.parametrize("stamp", [",9999-12-31 23:59:59.999 -12", ",0001-01-01 00:00:00.000 +12"])
def test_a_stamp_outside_the_calendar_is_no_date(tmp_path: Path, stamp: str) -> None:
    assert {o["at"] for o in replay("rapiscan_vm250", capture(tmp_path / "c", stamp), "stamped")} == {None}


def test_a_recording_longer_than_one_read_loses_nothing(tmp_path: Path) -> None:
    path = tmp_path / "scans"
    path.write_bytes(b"]C0HQ0012345\r" * (CHUNK // 10))
    objects = list(replay("barcode_scanner", path))
    assert [o["type"] for o in objects] == ["seal_read"] * (CHUNK // 10)


@pytest.mark.parametrize(
    ("driver", "form", "why"),
    [
        ("nothing", None, "there is no driver 'nothing'"),
        ("rapiscan_vm250", "xml", "has no format 'xml'"),
        ("barcode_scanner", "wire", "knows one form of recording only"),
    ],
)
def test_what_cannot_be_replayed(tmp_path: Path, driver: str, form: str | None, why: str) -> None:
    with pytest.raises(SettingsInvalid, match=why):
        replay(driver, capture(tmp_path / "capture"), form)


def test_a_file_that_cannot_be_read(tmp_path: Path) -> None:
    with pytest.raises(SettingsInvalid, match="No such file"):
        replay("barcode_scanner", tmp_path / "missing")
    with pytest.raises(SettingsInvalid, match="Is a directory"):
        replay("barcode_scanner", tmp_path)
