"""The booth's copy of the list: whole or not at all, found by one misread character, replaced when damaged."""

import logging
from collections.abc import Iterator
from contextlib import closing
from dataclasses import replace
from datetime import timedelta
from pathlib import Path

import apsw
import pytest

from edge_agent.domain.errors import PortRefused, StoreCorrupt, StoreFull
from edge_agent.domain.expected import IdentifierKind
from edge_agent.expectations import store as module
from edge_agent.expectations.store import DAMAGED, DATABASE, ExpectationStore, read_status
from edge_agent.wire.v1alpha1.expected_pb2 import ExpectedPlate
from tests.unit.expectations.pages import LIST, NOW, crossing, page

PLATE, CODE = IdentifierKind.PLATE, IdentifierKind.CONTAINER_CODE


@pytest.fixture
def store(tmp_path: Path) -> Iterator[ExpectationStore]:
    with closing(ExpectationStore.opened(tmp_path)) as store:
        yield store


def found(store: ExpectationStore, text: str, kind: IdentifierKind = PLATE) -> list[str]:
    return sorted(one.id for one in store.candidates([(kind, text)], NOW))


def test_a_list_outlives_a_restart_with_its_state_and_age(tmp_path: Path) -> None:
    with closing(ExpectationStore.opened(tmp_path)) as store:
        assert store.held() == (None, None)
        store.keep(page(crossing("a"), whole=True), NOW)
    with closing(ExpectationStore.opened(tmp_path)) as store:
        assert store.held() == (LIST, round(NOW.timestamp() * 1e6))
        assert found(store, "TX1234") == ["a"]


@pytest.mark.parametrize("text", ["TX1234", "XX1234", "TX1284", "TXI234", "TX123A"])
def test_a_plate_is_found_with_any_one_character_misread(store: ExpectationStore, text: str) -> None:
    store.keep(page(crossing("a"), crossing("b", "AB9876"), whole=True), NOW)
    assert found(store, text) == ["a"]


def test_texts_of_another_length_or_kind_are_no_candidates(store: ExpectationStore) -> None:
    store.keep(page(crossing("a", "TX1234", "CSQU3054383"), whole=True), NOW)
    assert found(store, "TX123") == found(store, "TX12345") == found(store, "TX1234", CODE) == []
    for code in ("CSQU3054383", "CSQU305438", "CSQU3054388", "CSOU3054383", "C5QU3054383"):
        assert found(store, code, CODE) == ["a"]


def test_changes_replace_and_remove(store: ExpectationStore) -> None:
    store.keep(page(crossing("a"), crossing("b"), whole=True), NOW)
    store.keep(page(crossing("a", "NEW12"), revision=2, removed=("b",)), NOW)
    assert (found(store, "TX1234"), found(store, "NEW12"), store.count()) == ([], ["a"], 1)
    held = store.held()[0]
    assert held == replace(LIST, revision=2)


def test_a_new_whole_list_is_looked_in_only_when_all_of_it_is_there(tmp_path: Path) -> None:
    with closing(ExpectationStore.opened(tmp_path)) as store:
        store.keep(page(crossing("old"), whole=True), NOW)
        store.keep(page(crossing("new-1"), revision=5, whole=True, newest=False), NOW)
        assert (found(store, "TX1234"), store.held()[0]) == (["old"], LIST)
    with closing(ExpectationStore.opened(tmp_path)) as store:  # killed in the middle of it
        assert (found(store, "TX1234"), store.held()[0]) == (["old"], LIST)
        store.begin()
        store.keep(page(crossing("other"), revision=6, whole=True, newest=False), NOW)
        store.keep(page(crossing("last"), revision=7, whole=True), NOW)
        assert (found(store, "TX1234"), store.count()) == (["last", "other"], 2)
        assert store.held()[0] == replace(LIST, revision=7)


def test_what_has_run_out_is_not_found_and_is_dropped(store: ExpectationStore) -> None:
    store.keep(page(crossing("short", hours=1), crossing("long", hours=9), whole=True), NOW)
    later = NOW + timedelta(hours=1)
    texts = [(PLATE, "TX1234")]
    assert [one.id for one in store.candidates(texts, later)] == ["long"]
    assert len(store.candidates(texts, None)) == 2, "a clock that runs free drops nothing"
    store.drop_expired(later)
    assert store.count() == 1


def test_what_cannot_be_expected_is_left_out_and_said(
    store: ExpectationStore, caplog: pytest.LogCaptureFixture
) -> None:
    sent = page(crossing("a"), crossing("b"), crossing("c"), whole=True)
    sent.put[0].plates.append(ExpectedPlate(text="x" * 5000))
    sent.put[1].expires_utc_us = -1
    store.keep(sent, NOW)
    assert found(store, "TX1234") == ["c"]
    assert "the expectation 'a': PLATE_INVALID" in caplog.text
    assert "a time of -1 microseconds" in caplog.text


def test_a_port_cannot_fill_the_booths_disk(store: ExpectationStore, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(module, "MAX_HELD", 2)
    store.keep(page(crossing("a"), crossing("b"), whole=True), NOW)
    with pytest.raises(PortRefused, match="more than 2 vehicles"):
        store.keep(page(crossing("c"), revision=2), NOW)
    assert store.count() == 2


@pytest.mark.parametrize("damage", ["no database", "cut off", "another program's", "a newer version's", "one page"])
def test_a_damaged_file_is_set_aside_by_name_and_begun_anew(
    tmp_path: Path, damage: str, caplog: pytest.LogCaptureFixture
) -> None:
    path = tmp_path / DATABASE
    with closing(ExpectationStore.opened(tmp_path)) as store:
        store.keep(page(*(crossing(f"c{n}", f"TX{n}") for n in range(300)), whole=True), NOW)
    data = path.read_bytes()
    match damage:
        case "no database":
            path.write_bytes(b"x" * 10_000)
        case "cut off":
            path.write_bytes(data[: len(data) // 2])
        case "one page":
            path.write_bytes(data[:8192] + b"\xff" * 4096 + data[12288:])
        case _:
            pragma = "application_id = 7" if "program" in damage else "user_version = 99"
            with closing(apsw.Connection(str(path))) as db:
                db.execute(f"PRAGMA {pragma}")
    with caplog.at_level(logging.ERROR), closing(ExpectationStore.opened(tmp_path)) as store:
        assert (store.held(), store.count(), store.path) == ((None, None), 0, path)
        assert f"it is set aside as {DAMAGED}" in caplog.text
        store.keep(page(crossing("again"), whole=True), NOW)
    assert (tmp_path / DAMAGED).exists()


def test_a_file_damaged_while_it_is_open_is_corrupt_and_not_a_crash(tmp_path: Path) -> None:
    with closing(ExpectationStore.opened(tmp_path)) as store:
        store.keep(page(*(crossing(f"c{n}", f"TX{n:04}") for n in range(500)), whole=True), NOW)
        with closing(apsw.Connection(str(tmp_path / DATABASE))) as db:
            db.execute("PRAGMA writable_schema = ON")
            db.execute("UPDATE crossing SET message = x'ffffff'")
        with pytest.raises(StoreCorrupt, match="does not hold what was written"):
            found(store, "TX0007")


def test_a_full_disk_refuses_a_page_and_what_is_held_stays(store: ExpectationStore) -> None:
    store.keep(page(crossing("a"), whole=True), NOW)
    store._db.execute("PRAGMA max_page_count = 20")
    many = [crossing(f"c{n}", f"TX{n:04}", "CSQU3054383") for n in range(2000)]
    with pytest.raises(StoreFull, match="no room for what the port expects"):
        store.keep(page(*many, revision=2), NOW)
    assert (found(store, "TX1234"), store.held()[0]) == (["a"], LIST)


def test_the_status_is_read_beside_the_agent_and_writes_nothing(tmp_path: Path) -> None:
    assert read_status(tmp_path) == (None, 0, None)
    assert not list(tmp_path.iterdir())
    with closing(ExpectationStore.opened(tmp_path)) as store:
        store.keep(page(crossing("a"), whole=True), NOW)
        assert read_status(tmp_path) == (LIST, 1, round(NOW.timestamp() * 1e6))
    (tmp_path / DATABASE).write_bytes(b"x" * 5000)
    with pytest.raises(StoreCorrupt):
        read_status(tmp_path)


def test_without_a_place_on_the_disk_the_list_is_kept_in_memory(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    (tmp_path / "file").write_text("")
    with closing(ExpectationStore.opened(tmp_path / "file" / "expected")) as store:
        assert "kept in memory only" in caplog.text
        store.keep(page(crossing("a"), whole=True), NOW)
        assert found(store, "TX1234") == ["a"]
