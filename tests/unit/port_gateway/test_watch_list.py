"""What the port watches for is compared with what closes, and the booth is told no more than it must know."""

import logging
from dataclasses import replace
from typing import Any

import pytest

from edge_agent.domain.event import FindingsAdded, InspectionOpened
from edge_agent.domain.evidence import EvidenceKind, EvidenceRef
from edge_agent.domain.finding import Recommendation, Severity
from edge_agent.domain.observation import TagRead
from edge_agent.wire.codec_findings import finding_of, findings_added_of
from port_gateway import booth_messages, watch_list
from port_gateway.inbox import Inbox
from port_gateway.store import Store
from port_gateway.watch_list import Entry, EntryRefused, put, read_list, remove
from tests.unit.port_gateway.findings import AtPort
from tests.unit.port_gateway.signing import Party

PLATE = Entry("w-1", "plate", "AB-1203", "stolen tractor")
NOW_US = 1_700_000_000_000_000


@pytest.fixture
def port(store: Store, inbox: Inbox, booth: Party) -> AtPort:
    return AtPort(store, inbox, booth)


def watch(port: AtPort, *entries: Entry) -> None:
    port.run(lambda db: put(db, entries, "operator", "added", NOW_US))


@pytest.mark.parametrize(
    ("entry", "seen", "near"),
    [
        (PLATE, {"plates": ("AB1203",)}, False),
        (PLATE, {"plates": ("ABI2O3",)}, False),  # O as 0, I as 1
        (PLATE, {"plates": ("AB1283",)}, True),
        (PLATE, {"plates": ("XYZ999", "AB1203")}, False),  # the trailer's
        (replace(PLATE, kind="container_code", text="CSQU3054383"), {"codes": ("CSQU3054383",)}, False),
        (replace(PLATE, kind="seal", text="ml-1234567"), {"seals": ("ML1234567",)}, False),
        (replace(PLATE, kind="seal", text="ML1234567"), {"states": ("ML-1234567",)}, False),
        (replace(PLATE, kind="tag", text="E2801160"), {"tags": (TagRead("E2801160"),)}, False),
        (replace(PLATE, kind="tag", text="ANAM0001"), {"tags": (TagRead("414E", text="ANAM0001"),)}, False),
        (replace(PLATE, kind="tag", text="E2806894"), {"tags": (TagRead("414E", tid="E2806894"),)}, False),
    ],
)
def test_a_hit(port: AtPort, entry: Entry, seen: dict[str, Any], near: bool) -> None:
    watch(port, entry)
    port.closes("i-1", **seen)
    [message] = port.waiting()
    body = findings_added_of(message.findings, "1")
    assert (body.inspection_id, body.origin, body.cause) == ("i-1", "port", "watch_list")
    [one] = body.findings
    assert one.key == ("watch_list.near" if near else "watch_list.hit")
    assert (one.severity, one.recommends) == (Severity.ALARM, Recommendation.HOLD)
    assert dict(one.parameters)["note"] == "stolen tractor"


@pytest.mark.parametrize(
    "seen",
    [
        {"plates": ("AB1288",)},  # two characters
        {"plates": ("AB12034",)},
        {"plates": ("AB120",)},
        {"plates": ("",)},
        {"codes": ("AB1203",)},
        {"seals": ("AB1203",)},
        {},
    ],
)
def test_no_hit(port: AtPort, seen: dict[str, Any]) -> None:
    watch(port, PLATE)
    port.closes("i-1", **seen)
    assert port.waiting() == []


def test_the_booth_learns_nothing_else_of_the_list(port: AtPort) -> None:
    watch(port, PLATE, replace(PLATE, id="w-2", text="ZZ9999", tell="another matter"))
    port.closes("i-1", plates=("AB1283",))
    sent = port.waiting()[0].SerializeToString()
    assert b"AB1283" in sent  # what it had read itself
    for secret in (b"AB1203", b"AB-1203", b"w-1", b"ZZ9999", b"another matter"):
        assert secret not in sent


def test_pictures_are_what_it_rests_on(port: AtPort) -> None:
    refs = [EvidenceRef(kind, "x", kind.value.encode().ljust(32), 1) for kind in EvidenceKind]
    watch(port, PLATE)
    port.closes("i-1", *refs, plates=("AB1203",))
    found = finding_of(port.waiting()[0].findings.findings[0])
    assert {digest.rstrip() for digest in found.evidence} == {b"frame", b"plate_crop", b"container_code_crop"}


def test_an_exact_hit_is_told_before_a_near_one(port: AtPort) -> None:
    watch(port, PLATE, replace(PLATE, id="w-2", text="AB1283", recommends=Recommendation.REFER))
    port.closes("i-1", plates=("AB1283",))
    keys = [one.sentence_key for one in port.waiting()[0].findings.findings]
    assert keys == ["watch_list.hit", "watch_list.near"]


def test_only_a_closed_inspection_is_compared(port: AtPort) -> None:
    watch(port, PLATE)
    port.says(InspectionOpened("i-1", "1", "plate"))
    assert port.waiting() == []


def test_an_inspection_is_told_of_an_entry_once(port: AtPort) -> None:
    watch(port, PLATE)
    port.closes("i-1", plates=("AB1203",))
    port.closes("i-1", plates=("AB1203",))  # a booth that closes twice
    assert len(port.waiting()) == 1
    port.closes("i-2", plates=("AB1203",))
    assert len(port.waiting()) == 2


def test_told_until_the_chain_holds_it(port: AtPort) -> None:
    watch(port, PLATE)
    port.closes("i-1", plates=("AB1203",))
    added = findings_added_of(port.waiting()[0].findings, "1")
    assert isinstance(added, FindingsAdded)
    port.says(replace(added, message_id=b"x" * 16))
    assert len(port.waiting()) == 1
    assert port.rows("SELECT chained_seq FROM watch_list_hit") == [(None,)]
    port.says(added)
    assert port.waiting() == []
    assert port.rows("SELECT chained_seq FROM watch_list_hit") == [(4,)]


def test_an_entry_ends(port: AtPort) -> None:
    with pytest.raises(EntryRefused, match="it ended in the past"):
        watch(port, replace(PLATE, until_utc_us=NOW_US))
    watch(port, replace(PLATE, until_utc_us=NOW_US + 1))  # the inbox's clock is years on
    port.closes("i-1", plates=("AB1203",))
    assert port.waiting() == []


def test_what_is_taken_out_or_replaced_is_watched_for_no_longer(port: AtPort) -> None:
    watch(port, PLATE, replace(PLATE, id="w-2", text="CD5678"))
    watch(port, replace(PLATE, text="EF9012"))
    assert port.run(lambda db: remove(db, ["w-2", "w-9"], "operator", NOW_US)) == ["w-9"]
    port.closes("i-1", plates=("AB1203",))
    port.closes("i-2", plates=("CD5678",))
    assert port.waiting() == []
    with port.store.reading() as db:
        assert [one.text for one in read_list(db)] == ["EF9012"]
    assert [what for (what,) in port.rows("SELECT what FROM watch_list_change")] == ["added", "added", "removed w-2"]


@pytest.mark.parametrize(
    "wrong",
    [
        replace(PLATE, id="no id"),
        replace(PLATE, kind="face"),
        replace(PLATE, text="AB1"),
        replace(PLATE, text="AB_123"),
        replace(PLATE, text="A" * 65),
        replace(PLATE, tell=""),
        replace(PLATE, tell="x" * 201),
        replace(PLATE, tell="two\nlines"),
        replace(PLATE, tell="\ud800"),
    ],
)
def test_what_is_no_entry(port: AtPort, wrong: Entry) -> None:
    with pytest.raises(EntryRefused) as refused:
        watch(port, replace(PLATE, id="w-0", text="CD5678"), wrong)
    assert wrong.text not in str(refused.value)
    with port.store.reading() as db:
        assert list(read_list(db)) == []  # all or none


def test_the_list_is_bounded(port: AtPort, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(watch_list, "MAX_ENTRIES", 1)
    with pytest.raises(EntryRefused, match="at most 1"):
        watch(port, PLATE, replace(PLATE, id="w-2"))


def test_nothing_that_is_watched_for_stands_in_a_log(port: AtPort, caplog: pytest.LogCaptureFixture) -> None:
    caplog.set_level(logging.DEBUG)
    watch(port, PLATE)
    port.closes("i-1", plates=("AB1203",))
    assert "i-1: 1 hit on" in caplog.text
    assert "1203" not in caplog.text
    assert "stolen" not in caplog.text


def test_a_booth_with_too_much_waiting_loses_no_event(port: AtPort, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(booth_messages, "MAX_WAITING", 0)
    watch(port, PLATE)
    port.closes("i-1", plates=("AB1203",))
    assert port.waiting() == []
    assert port.rows("SELECT inspection_id, id FROM watch_list_hit") == [("i-1", "w-1")]
    assert port.chain.head.seq == 2


def test_one_inspection_asks_for_bounded_work(port: AtPort) -> None:
    watch(port, PLATE)
    tags = tuple(TagRead(f"{n:064X}") for n in range(200))
    port.closes("i-1", tags=tags, plates=("AB1203",))
    assert len(port.waiting()) == 1
