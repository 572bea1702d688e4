"""The demo's judgement: each kind of difference is seen, and only a misread character is forgiven."""

from typing import Any

import pytest

from edge_agent.demo.compare import belongs, by_kind, compare, pieces, with_finding

TRUTH: dict[str, Any] = {
    "index": 0,
    "plate": "ABC-123",
    "container_code": "CSQU3054383",
    "seal": "ML-1234567",
    "night": False,
    "portal_entered": "2026-01-01T00:00:10.000Z",
    "portal_left": "2026-01-01T00:00:14.000Z",
    "radiation": {"source": "none", "expected_gamma_alarm": False},
}
START_US = 1767225600 * 1_000_000


def record(**changes: Any) -> dict[str, Any]:
    inspection = {
        "opened": {"utc_us": str(START_US + 9_000_000)},
        "closed": {"utc_us": str(START_US + 16_000_000)},
        "plate": {"text": "ABC123"},
        "container_codes": [{"vote": {"text": "CSQU3054383"}}],
        "seals": [{"number": "ML-1234567"}],
        "radiation": [{"number": 1}],
    } | changes
    return {"event": {"inspection_closed": {"inspection": inspection}}}


def test_all_right() -> None:
    vehicle = compare(TRUTH, record())
    assert vehicle.wholly_right
    assert not vehicle.mismatched


@pytest.mark.parametrize("change", [{"plate": {"text": "ABC128"}}, {"plate": {}}, {"container_codes": []}])
def test_a_misread_is_shown_and_forgiven(change: dict[str, Any]) -> None:
    vehicle = compare(TRUTH, record(**change))
    assert not vehicle.wholly_right
    assert vehicle.misread
    assert not vehicle.mismatched
    assert [line.wrong for line in vehicle.lines if not line.right] == [
        "misread" if "text" in str(change) else "not read"
    ]


@pytest.mark.parametrize(
    "change",
    [{"seals": []}, {"seals": [{"number": "ML-7"}]}, {"radiation": []}, {"radiation": [{"gamma_alarm": True}]}],
)
def test_anything_else_is_a_mismatch(change: dict[str, Any]) -> None:
    assert compare(TRUTH, record(**change)).mismatched


def test_a_source_must_alarm() -> None:
    truth = TRUTH | {"radiation": {"source": "source", "expected_gamma_alarm": True}}
    assert compare(truth, record()).mismatched
    assert not compare(truth, record(radiation=[{"gamma_alarm": True}])).mismatched


def test_a_truck_without_plate_or_seal() -> None:
    truth = TRUTH | {"plate": None, "seal": None}
    assert compare(truth, record(plate={}, seals=[])).wholly_right
    assert compare(truth, record(plate={}, seals=[{"number": "ML-1"}])).mismatched


def test_belonging_is_overlap_in_time() -> None:
    assert belongs(record(), TRUTH)
    assert not belongs(record(opened={"utc_us": str(START_US + 14_000_000)}), TRUTH)
    assert not belongs(record(closed={"utc_us": str(START_US + 11_000_000)}), TRUTH)
    assert not belongs({"event": {"session_opened": {}}}, TRUTH)


@pytest.mark.parametrize(
    ("severities", "alarm", "found"),
    [
        ((), "", False),
        (("NOTICE",), "", False),
        (("NOTICE", "WARNING"), "", True),
        ((), "this", True),
        ((), "other", False),
    ],
)
def test_whole_pictures_leave_the_booth_with_a_finding_alone(
    severities: tuple[str, ...], alarm: str, found: bool
) -> None:
    inspection = {"id": "this", "findings": [{"severity": f"FINDING_SEVERITY_{one}"} for one in severities]}
    raised = [{"event": {"alarm_raised": {"inspection_id": alarm}}}] if alarm else []
    assert with_finding([{"event": {"session_opened": {}}}, *raised], inspection) is found
    evidence = [
        {"sha256": digest, "kind": kind} for digest, kind in (("a", "frame"), ("b", "plate_crop"), ("c", "frame"))
    ]
    sent, stays = pieces({"event": {"evidence": [*evidence, evidence[0]]}}, found)
    assert (by_kind(sent), by_kind(stays)) == (("2 frames, plate crop", "") if found else ("plate crop", "2 frames"))
