"""Which files are a whole scan: looks at a folder, stepped by hand."""

import re
from typing import Any

import pytest

from edge_agent.devices.sources.gathering import PATIENCE_S, Entry, Found, Gathering, Rules
from edge_agent.devices.sources.scan_file import MAX_FILE_BYTES
from edge_agent.devices.sources.sidecar import SIDECAR_MAX_BYTES

S = 1_000_000_000


def rules(**changes: Any) -> Rules:
    given: dict[str, Any] = {
        "patterns": ("*.png", "*.uff", "*.dcm"),
        "temporary": (".tmp", "~"),
        "sidecars": (".json", ".xml"),
        "done_suffix": "",
        "name_pattern": None,
        "settle_s": 2.0,
    }
    return Rules(**{**given, **changes})


def a(name: str, size: int = 10, changed: int = 1, regular: bool = True) -> Entry:
    return Entry(name, size, changed * S, hash(name) & 0xFFFF, regular)


def settled(gathering: Gathering, *entries: Entry) -> Found:
    gathering.look(entries, 0.0)
    return gathering.look(entries, 2.0)


def names(found: Found) -> list[list[str]]:
    return [[entry.name for entry in (*s.files, *s.sidecars, *s.markers)] for s in found.scans]


def test_a_file_counts_once_it_has_not_changed_for_the_time_set() -> None:
    gathering = Gathering(rules())
    for now, size in [(0.0, 10), (1.0, 20), (2.0, 20), (2.9, 20)]:
        found = gathering.look([a("1.png", size)], now)
        assert not found.scans
        assert found.settling
    found = gathering.look([a("1.png", 20)], 3.0)
    assert names(found) == [["1.png"]]
    assert not found.settling
    assert not gathering.look([a("1.png", 20, changed=2)], 3.1).scans, "its time of change is new"


def test_a_file_that_went_and_came_back_is_new() -> None:
    gathering = Gathering(rules())
    gathering.look([a("1.png")], 0.0)
    gathering.look([], 1.0)
    assert not gathering.look([a("1.png")], 2.5).scans


@pytest.mark.parametrize("name", [".1.png", "1.png.tmp", "1.PNG.TMP", "1.png~", "readme.txt", "1.done"])
def test_names_that_are_left_alone(name: str) -> None:
    assert settled(Gathering(rules()), a(name)) == Found((), (), False)


def test_files_of_one_stem_are_one_scan_oldest_first() -> None:
    entries = [a("2.png", changed=9), a("1.uff"), a("1.PNG"), a("1.json"), a("1.uff.xml")]
    assert names(settled(Gathering(rules()), *entries)) == [["1.PNG", "1.uff", "1.json", "1.uff.xml"], ["2.png"]]


def test_one_file_that_still_changes_holds_the_scan_up() -> None:
    gathering = Gathering(rules())
    gathering.look([a("1.uff")], 0.0)
    assert not gathering.look([a("1.uff"), a("1.json")], 2.0).scans
    assert names(gathering.look([a("1.uff"), a("1.json")], 4.0)) == [["1.uff", "1.json"]]


def test_a_scan_can_be_named_in_the_middle_of_its_files_names() -> None:
    pattern = re.compile(r"^(?P<scan>[A-Z0-9]+)_(top|side)")
    entries = [a("X1_top.png"), a("X1_side.png"), a("X1_top.json"), a("other.png")]
    found = names(settled(Gathering(rules(name_pattern=pattern)), *entries))
    assert found == [["X1_side.png", "X1_top.png", "X1_top.json"], ["other.png"]]


@pytest.mark.parametrize(
    ("markers", "whole"),
    [
        ([], False),
        ([a("1.done", 0)], True),
        ([a("1.png.done", 0)], False),
        ([a("1.png.done", 0), a("1.uff.DONE", 0)], True),
        ([a("2.done", 0)], False),
        ([a("1.done", 0, changed=0)], False),  # left behind by an earlier scan of that name
        ([a("1.png.done", 0), a("1.uff.done", 0, changed=0)], False),
        ([a("1.png.done", 0, changed=0), a("1.done", 0, changed=7)], True),
    ],
)
def test_a_marker_of_the_scan_or_of_each_file(markers: list[Entry], whole: bool) -> None:
    gathering = Gathering(rules(done_suffix=".done"))
    found = settled(gathering, a("1.png"), a("1.uff"), *markers)
    assert bool(found.scans) is whole
    assert not found.wrong


@pytest.mark.parametrize(
    ("entries", "why"),
    [
        ([a("1.png")], "1.png: has waited without a marker .done that is at least as new for 10 minutes"),
        ([a("1.png", 0), a("1.done")], "1.png: has been empty for 10 minutes"),
        ([a("1.json")], "1.json: has waited without its scan for 10 minutes"),
    ],
)
def test_what_waits_for_too_long_is_told_once(entries: list[Entry], why: str) -> None:
    gathering = Gathering(rules(done_suffix=".done"))
    gathering.look(entries, 0.0)
    assert not gathering.look(entries, PATIENCE_S - 1).wrong
    assert gathering.look(entries, PATIENCE_S).wrong == (why,)
    assert not gathering.look(entries, 9 * PATIENCE_S).wrong
    gathering.look([], 10 * PATIENCE_S)
    gathering.look(entries, 11 * PATIENCE_S)
    assert gathering.look(entries, 12 * PATIENCE_S).wrong == (why,), "it went, and came back"


@pytest.mark.parametrize(
    ("entries", "why"),
    [
        ([a("1.png", MAX_FILE_BYTES + 1)], f"has {MAX_FILE_BYTES + 1} bytes, more than 64 MiB: it stays here"),
        ([a(f"1.{kind}", MAX_FILE_BYTES - 1) for kind in ("png", "uff", "dcm")], "is of a scan of 3 files"),
        ([a("1.png"), a("1.json", SIDECAR_MAX_BYTES + 1)], "has a sidecar of more than 64 KiB"),
        ([a("1.png", regular=False)], "is no regular file and is not followed"),
    ],
)
def test_what_is_too_much_stays_and_is_told_once(entries: list[Entry], why: str) -> None:
    gathering = Gathering(rules())
    said = gathering.look(entries, 0.0).wrong + gathering.look(entries, 2.0).wrong + gathering.look(entries, 9.0).wrong
    assert len(said) == 1
    assert why in said[0]
    assert not gathering.look(entries, 20.0).scans


def test_the_largest_that_is_taken() -> None:
    assert settled(Gathering(rules()), a("1.png", MAX_FILE_BYTES), a("1.uff", MAX_FILE_BYTES)).scans


def test_a_scan_of_many_files_is_not_taken() -> None:
    pattern = re.compile(r"^(?P<scan>\d)_")
    gathering = Gathering(rules(name_pattern=pattern))
    assert settled(gathering, *(a(f"1_{i}.png") for i in range(16))).scans
    assert (
        "scan of 17 files"
        in settled(Gathering(rules(name_pattern=pattern)), *(a(f"1_{i}.png") for i in range(17))).wrong[0]
    )
