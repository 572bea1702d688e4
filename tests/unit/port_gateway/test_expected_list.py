"""The port's list: who is told what, in which order, and what it does not take."""

from pathlib import Path

import pytest

from edge_agent.domain.errors import Permanent
from edge_agent.domain.expected import ExpectationFault, ExpectationList
from port_gateway import expected as module
from port_gateway.expected import ExpectationsRefused, read_changes, read_expected
from port_gateway.inbox import Inbox
from port_gateway.store import Store, offline
from tests.unit.port_gateway.expected_list import LANE_1, LANE_2, Follower, HandClock, ListAtPort, crossing
from tests.unit.port_gateway.findings import AtPort
from tests.unit.port_gateway.signing import Party


@pytest.fixture
def port(store: Store) -> ListAtPort:
    return ListAtPort(store)


def faults(refused: "pytest.ExceptionInfo[ExpectationsRefused]") -> list[ExpectationFault]:
    return [mistake.fault for _, mistake in refused.value.found]


def test_a_booth_is_told_of_its_own_lanes_and_of_those_for_all(port: ListAtPort) -> None:
    port.expect(crossing("all"), crossing("one", "", LANE_1), crossing("two", "", LANE_2))
    assert Follower(port, LANE_1).ids() == ["all", "one"]
    assert Follower(port, LANE_2).ids() == ["all", "two"]
    elsewhere = Follower(port, "spiffe://usotm/booth/lane-1", own=False)
    assert elsewhere.ids() == []


def test_a_booth_learns_no_id_of_what_is_expected_elsewhere(port: ListAtPort) -> None:
    booth = Follower(port, LANE_1)
    port.expect(crossing("mine", "", LANE_1))
    booth.follow()
    port.expect(crossing("secret", "", LANE_2))
    port.remove("secret")
    assert (booth.ids(), booth.removed) == (["mine"], [])


def test_only_what_changed_is_told_to_a_booth_that_holds_the_list(port: ListAtPort) -> None:
    booth = Follower(port)
    port.expect(crossing("a"), crossing("b"))
    assert booth.ids() == ["a", "b"]
    port.expect(crossing("b", "NEW1"))
    port.remove("a")
    assert (booth.ids(), booth.known["b"], booth.wholes) == (["b"], "NEW1", 1)


def test_what_is_expected_already_word_for_word_is_no_change(port: ListAtPort) -> None:
    revision = port.expect(crossing("a"), crossing("b"))
    given = module.Given((crossing("a"), crossing("b", note="new")), "operator", "import", ())
    changed = port.list.put(given).result(10)
    assert (changed.put, changed.same, changed.revision) == (1, 1, revision + 1)


def test_one_that_moves_to_another_booth_is_taken_from_the_first(port: ListAtPort) -> None:
    one, two, three = Follower(port, LANE_1), Follower(port, LANE_2), Follower(port, "spiffe://uslrd/booth/lane-3")
    port.expect(crossing("a", "", LANE_1))
    assert (one.ids(), two.ids(), three.ids()) == (["a"], [], [])
    port.expect(crossing("a"))
    assert (one.ids(), two.ids(), three.ids()) == (["a"], ["a"], ["a"])
    port.expect(crossing("a", "", LANE_2))
    assert (one.ids(), two.ids(), three.ids()) == ([], ["a"], [])
    port.remove("a")
    assert two.ids() == []


def test_a_list_longer_than_a_page_comes_in_pages(port: ListAtPort, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(module, "PAGE_RECORDS", 10)
    names = [f"c{n:03}" for n in range(35)]
    port.expect(*(crossing(name) for name in names))
    booth = Follower(port)
    assert (booth.ids(), booth.pages) == (names, 4)
    monkeypatch.setattr(module, "PAGE_RECORDS", 200)
    monkeypatch.setattr(module, "PAGE_BYTES", 100)
    assert Follower(port).follow().pages > 4


def test_a_change_while_the_whole_list_is_sent_comes_behind_it(
    port: ListAtPort, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(module, "PAGE_RECORDS", 2)
    port.expect(*(crossing(name) for name in "abcde"))
    first = port.list.page(LANE_1, True, port.list.begin(None))
    assert [message.id for message in first.put] == ["a", "b"]
    port.remove("c")
    port.expect(crossing("a", "NEW1"))
    second = port.list.page(LANE_1, True, module.Place(first.list.revision, whole=True))
    third = port.list.page(LANE_1, True, module.Place(second.list.revision, whole=True))
    assert [m.id for m in (*second.put, *third.put)] == ["d", "e", "a"]
    assert third.newest


def test_what_has_run_out_is_taken_out_and_later_forgotten(port: ListAtPort) -> None:
    booth = Follower(port)
    port.expect(crossing("short", hours=1), crossing("long", hours=500))
    away = booth.follow().twin()
    late = away.twin()
    port.clock.now_s = 3600.0
    assert port.expire() == 1
    assert booth.ids() == ["long"]
    assert (away.ids(), away.wholes) == (["long"], 0)
    port.clock.now_s += module.TELL_S
    assert port.expire() == 1
    with port.store.reading() as db:
        assert db.execute("SELECT group_concat(id) FROM expected").get == "long"
        assert db.execute("SELECT count(*) FROM expected_plate").get == 1
    assert (booth.ids(), booth.wholes) == (["long"], 1)
    assert (late.ids(), late.wholes) == (["long"], 1), "who was away for longer gets the whole list"
    assert port.expire() == 0


def test_a_clock_that_jumps_takes_nothing_out(port: ListAtPort, caplog: pytest.LogCaptureFixture) -> None:
    booth = Follower(port)
    port.expect(crossing("short", hours=1), crossing("long", hours=500))
    port.clock.set_s = 400 * 86_400
    assert (port.expire(), port.expire()) == (0, 0)
    assert booth.ids() == ["long", "short"]
    assert caplog.text.count("clock was set by 34560000 s; restart the gateway when it is right") == 1
    port.clock.now_s, port.clock.set_s = 3600.0, 0.0
    assert port.expire() == 1
    assert booth.ids() == ["long"]


def test_a_clock_that_was_wrong_from_the_start_takes_nothing_out(
    store: Store, booth: Party, caplog: pytest.LogCaptureFixture
) -> None:
    AtPort(store, Inbox(store, HandClock()), booth)  # one event comes
    ListAtPort(store).expect(crossing("a"))
    assert ListAtPort(store, HandClock(400 * 86_400)).expire() == 0
    assert "was last believed at 2026-11-22T12:00:00Z" in caplog.text
    assert "if it is right, say so with `port-gateway retention run`" in caplog.text
    assert ListAtPort(store, HandClock(86_400)).expire() == 1


def test_a_doubt_is_not_spoken_of_where_nothing_has_run_out(port: ListAtPort, caplog: pytest.LogCaptureFixture) -> None:
    port.expect(crossing("a", hours=500))
    port.clock.set_s = 86_400
    assert port.expire() == 0
    assert caplog.text == ""


def test_a_port_that_was_put_back_to_an_older_copy_sends_the_whole_list(port: ListAtPort, tmp_path: Path) -> None:
    booth = Follower(port)
    port.expect(crossing("a"), crossing("b"))
    booth.follow()
    old = Store(tmp_path / "old.sqlite")
    restored = ListAtPort(old)
    with port.store.reading() as db:
        list_id = db.execute("SELECT list_id FROM expected_list").get
    old.submit(lambda db: db.execute("UPDATE expected_list SET list_id = ?", (list_id,))).result(10)
    restored.expect(crossing("x"), crossing("y"))  # the same list counts on to the same revision, with other marks
    booth.port = restored
    assert (booth.ids(), booth.wholes) == (["x", "y"], 2)
    old.close()


def test_a_state_that_the_list_never_had_is_answered_with_the_whole_list(port: ListAtPort) -> None:
    port.expect(crossing("a"))
    held = Follower(port).follow().held
    assert held is not None
    for wrong in (
        ExpectationList(b"x" * 16, held.revision, held.mark),
        ExpectationList(held.list_id, held.revision + 1, held.mark),
        ExpectationList(held.list_id, 2**64 - 1, held.mark),
        ExpectationList(b"", 0, 0),
    ):
        booth = Follower(port, held=wrong, known={"stale": ""})
        assert (booth.ids(), booth.wholes) == (["a"], 1)


def test_a_thousand_for_one_plate_is_a_named_mistake_and_changes_nothing(port: ListAtPort) -> None:
    port.expect(*(crossing(f"day-{n}", "TX1234") for n in range(module.MAX_FOR_A_PLATE)))
    before = port.list.revision()
    with pytest.raises(ExpectationsRefused) as refused:
        port.expect(crossing("other"), *(crossing(f"c{n}", "TX1234") for n in range(1000)))
    assert set(faults(refused)) == {ExpectationFault.TOO_MANY_FOR_A_PLATE}
    assert [index for index, _ in refused.value.found] == list(range(1, 1001))
    assert "1020 expectations would name TX1234, at most 20" in str(refused.value)
    assert (port.list.revision(), Follower(port).ids()) == (before, sorted(f"day-{n}" for n in range(20)))
    port.remove("day-0")
    port.expect(crossing("c0", "TX1234"))


def test_more_than_the_list_keeps_is_a_named_mistake(port: ListAtPort, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(module, "MAX_EXPECTED", 3)
    port.expect(*(crossing(name) for name in "abc"))
    with pytest.raises(ExpectationsRefused) as refused:
        port.expect(crossing("d"))
    assert faults(refused) == [ExpectationFault.TOO_MANY]
    port.remove("a")
    port.expect(crossing("d"))


def test_a_booth_that_nobody_registered_is_a_named_mistake(port: ListAtPort) -> None:
    with pytest.raises(ExpectationsRefused) as refused:
        port.expect(crossing("a"), crossing("b", "", "spiffe://uslrd/booth/lane-9"))
    assert (faults(refused), refused.value.found[0][0]) == ([ExpectationFault.PLACE_INVALID], 1)
    assert "no booth spiffe://uslrd/booth/lane-9 is registered" in str(refused.value)


def test_what_is_not_expected_cannot_be_removed(port: ListAtPort) -> None:
    port.expect(crossing("a"))
    with pytest.raises(Permanent, match="not expected: 'b'"):
        port.remove("a", "b")
    assert Follower(port).ids() == ["a"]


def test_commands_leave_their_trace(port: ListAtPort) -> None:
    port.expect(crossing("a", "TX1"))
    port.remove("a")
    port.expect(crossing("b", "TX1"), crossing("c", "TX2"))
    with offline(port.store.path) as db:
        assert [(who, what) for _, who, what in read_changes(db)] == [
            ("operator", "add"),
            ("operator", "remove"),
            ("operator", "add"),
        ]
        assert [one.id for one in read_expected(db)] == ["b", "c"]
        assert [one.id for one in read_expected(db, "TX1")] == ["b"]
