"""Events whose time at the port is over: the bytes go, and everything that proves the chain stays."""

import contextlib
import hashlib
import json
import signal
import subprocess
import sys
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

import apsw
import pytest

from edge_agent.domain.event import DecisionRecorded
from edge_agent.domain.finding import Decision
from edge_agent.domain.retention import KeptDays
from edge_agent.wire.chain import Head
from edge_agent.wire.envelope import envelope_sha256
from edge_agent.wire.identity import key_id
from edge_agent.wire.refused import RefusalCode, Refused
from port_gateway import retention_events
from port_gateway.chains import Chains
from port_gateway.cli import main
from port_gateway.client import Deleted, Received, Subscription, connected
from port_gateway.clock_doubt import believe
from port_gateway.inbox import Inbox
from port_gateway.receive import judge_batch
from port_gateway.retention_events import EventRetention
from tests.integration.port_gateway.conftest import PATIENCE_S, Port
from tests.integration.port_gateway.test_retention import ID, Clock, Desk, alarmed, closed, ref
from tests.unit.port_gateway.signing import Ledger, Party, device_event

RULE = "events of inspections with standing clear are kept for 365 days"
DECIDED = DecisionRecorded(ID.format(3), "1", Decision.RELEASE, "R. Vega", "papers seen", 7, b"m" * 16)
# Deletes four inspections a step, and says so; by a clock of years later.
KILLED = """
import sys, time
from dataclasses import replace
from datetime import timedelta
from pathlib import Path
from edge_agent.domain.clock import SystemClock
from edge_agent.domain.retention import KeptDays
from port_gateway import retention_events
from port_gateway.evidence import EvidenceFiles
from port_gateway.store import Store

class Later(SystemClock):
    def now(self):
        now = super().now()
        return replace(now, utc=now.utc + timedelta(days=3000))

retention_events.STEP = 4
store, files = Store(Path(sys.argv[1])), EvidenceFiles(Path(sys.argv[2]))
for step in retention_events.EventRetention(store, files, KeptDays(1, 1, 1), Later()).run():
    print(step, flush=True)
    time.sleep(0.2)
"""


@pytest.fixture
def desk(port: Port) -> Iterator[Desk]:
    with contextlib.closing(port.store()) as store:
        yield Desk(port, store, port.ledger(), Clock())


def a_year_ago(desk: Desk) -> None:
    """1 session, 2 and 3 of a clear inspection, 4 of a device, 5 and 6 of an alarm, 7 a decision, 8 of a device."""
    desk.receive(closed(1), ref(b"crop"))
    desk.receive(closed(1))
    desk.receive(device_event())
    desk.receive(closed(2))
    desk.receive(alarmed(2))
    desk.receive(DECIDED)
    desk.receive(device_event())
    desk.run()
    assert end(desk) == 0


def end(desk: Desk) -> int:
    return sum(desk.events.run())


def gone(desk: Desk) -> list[int]:
    with desk.store.reading() as db:
        return [int(str(row[0])) for row in db.execute("SELECT seq FROM event WHERE envelope = x'' ORDER BY seq")]


def test_each_inspection_goes_whole_when_its_time_is_over(desk: Desk) -> None:
    a_year_ago(desk)
    desk.clock.forward(364.9)
    desk.run()
    assert end(desk) == 0
    desk.clock.forward(0.2)
    assert [(over.inspection_id, len(over.cursors)) for over in desk.events.over()] == [
        (ID.format(1), 2),
        (ID.format(3), 1),
    ]
    assert gone(desk) == []
    assert end(desk) == 3
    assert gone(desk) == [2, 3, 7]
    desk.clock.forward(1_825)
    assert end(desk) == 2
    assert gone(desk) == [2, 3, 5, 6, 7]
    desk.clock.forward(36_500)
    assert end(desk) == 0, "sessions and devices stay"


def test_what_keeps_an_inspection(desk: Desk) -> None:
    config = str(desk.port.write_config())
    a_year_ago(desk)
    desk.arrive(b"crop")
    desk.receive(closed(4))  # the end of the chain
    assert end(desk) == 0
    assert main(["retention", "hold", config, ID.format(3), "--reason", "court order 17"]) == 0
    desk.clock.forward(366)
    assert end(desk) == 0, "evidence is here, an order holds, and the chain needs its end"
    assert desk.run() == 1
    assert main(["retention", "release", config, ID.format(3), "--reason", "case closed"]) == 0
    desk.clock.forward(1.1)
    assert end(desk) == 3
    desk.receive(device_event())
    desk.clock.forward(1.1)
    assert end(desk) == 1
    assert gone(desk) == [2, 3, 7, 9]


def test_the_end_of_what_another_booth_said_of_an_inspection(desk: Desk, capsys: pytest.CaptureFixture[str]) -> None:
    other, config = Ledger(desk.port.other_booth.identity, desk.port.other_booth.key), str(desk.port.write_config())
    desk.receive(closed(1))
    desk.receive(alarmed(1))
    desk.receive(device_event())
    desk.receive(closed(1), ledger=other)
    desk.receive(device_event(), ledger=other)
    assert end(desk) == 0
    desk.clock.forward(366)
    assert end(desk) == 1
    decide = ["decide", config, ID.format(1), "hold", "--officer", "R. Vega", "--reason", "court order 17", "--booth"]
    assert main([*decide, desk.port.booth.identity]) == 0
    assert main(["retention", "hold", config, ID.format(1), "--reason", "court order 17"]) == 0
    capsys.readouterr()
    assert main([*decide, desk.port.other_booth.identity]) != 0
    assert "deleted under retention" in capsys.readouterr().err
    desk.clock.forward(3_650)
    assert end(desk) == 0


def test_other_days_count_for_what_is_here(desk: Desk) -> None:
    a_year_ago(desk)
    desk.clock.forward(31)
    desk.run()
    assert end(desk) == 0
    assert sum(EventRetention(desk.store, desk.files, KeptDays(30, None, None), desk.clock).run()) == 3


def test_a_long_inspection_goes_in_parts_and_waits_as_a_whole(desk: Desk, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(retention_events, "TOGETHER", 2)
    config = str(desk.port.write_config())
    for _ in range(5):
        desk.receive(closed(1))
    desk.receive(device_event())
    assert end(desk) == 0
    assert main(["retention", "hold", config, ID.format(1), "--reason", "court order 17"]) == 0
    desk.clock.forward(366)
    assert end(desk) == 0
    assert main(["retention", "release", config, ID.format(1), "--reason", "case closed"]) == 0
    desk.clock.forward(2)
    assert end(desk) == 5


def test_a_refused_event_is_kept_with_its_alarm_for_the_longest_time(desk: Desk) -> None:
    inbox, head = Inbox(desk.store, desk.clock), Head(desk.ledger.booth_id, desk.ledger.epoch)
    refused = Refused(RefusalCode.FORK, "another event", 5)
    query = "SELECT length(envelope), hex(envelope) FROM alarm"

    def alarms() -> list[tuple[object, ...]]:
        with desk.store.reading() as db:
            return list(db.execute(query).fetchall())

    inbox.alarm(head, refused, b"7ABC123 " * 9).result()
    desk.clock.forward(3_649)
    assert end(desk) == 0
    assert [row[0] for row in alarms()] == [72]
    desk.clock.forward(2)
    assert end(desk) == 0
    [row] = alarms()
    assert row[1] == hashlib.sha256(b"7ABC123 " * 9).hexdigest().upper()
    inbox.alarm(head, refused, b"7ABC123 " * 9).result()  # the same again
    desk.clock.forward(3_651)
    assert end(desk) == 0
    assert len(alarms()) == 1


def test_everything_says_so(desk: Desk, capsys: pytest.CaptureFixture[str]) -> None:
    config = str(desk.port.write_config())
    a_year_ago(desk)
    desk.receive(closed(1))  # comes again, a year late: the whole waits for it
    desk.receive(device_event())
    end(desk)
    old = desk.ledger.envelopes[1]
    decided = (b"m" * 16, desk.ledger.booth_id, ID.format(3), "release", "R. Vega", "papers seen", "operator", 7, 7)
    query = (
        "INSERT INTO decision (message_id, booth_id, inspection_id, decision, officer, reason, by_whom,"
        " decided_utc_us, chained_seq) VALUES (?,?,?,?,?,?,?,?,?)"
    )
    desk.store.submit(lambda db: db.execute(query, decided).fetchall()).result()
    desk.clock.forward(366)
    desk.run()
    assert end(desk) == 4
    for word in (b"R. Vega", b"papers seen"):
        with desk.store.reading() as db:
            assert db.execute("SELECT count(*) FROM event WHERE instr(envelope, ?)", (word,)).get == 0
    said = []
    for command in (
        ["verify", config, "--json"],
        ["export", config, ID.format(1), str(desk.port.folder / "pack")],
        ["export", config, "--booth", desk.ledger.booth_id, "--seq", "2", str(desk.port.folder / "pack")],
        ["decide", config, ID.format(1), "hold", "--officer", "A", "--reason", "b"],
        ["retention", "hold", config, ID.format(1), "--reason", "late"],
        ["retention", "status", config],
        ["about", config, "7ABC123", "--reason", "request 1"],
        ["decisions", config],
    ):
        status = main(command)
        out, err = capsys.readouterr()
        said.append((status, out + err))
    facts = json.loads(said[0][1])
    assert said[0][0] == 0
    assert (facts["events"], facts["events_deleted"], facts["evidence_missing"]) == (6, 4, 0)
    day = "2027-03-02"
    assert said[1][0] == 2
    assert f"3 events of it deleted under retention on {day}" in said[1][1]
    assert said[2][0] == 2
    assert f"event 2 was deleted under retention on {day}" in said[2][1]
    assert RULE in said[2][1]
    for status, words in said[3:5]:
        assert status == 2
        assert f"deleted under retention on {day}" in words
    assert "events about vehicles: 2 here, 4 deleted" in said[5][1]
    assert [status for status, _ in said[5:]] == [0, 0, 0]
    assert "not looked through: 4 events of which retention left the digest alone" in said[6][1]
    assert "RELEASE (by whom and why was deleted under retention)  chained" in said[7][1]
    assert "Vega" not in said[7][1]
    never = Inbox(desk.store, desk.clock).deleted(ref(b"crop").sha256)
    assert never is not None, "no event names it any more: it is not waited for"
    assert never.rule == RULE
    with desk.store.reading() as db:
        rows = db.execute("SELECT rule, sum(events) FROM event_deletion").fetchall()
        assert rows == [(RULE, 4)]
    # A booth that sends it again is told that it is held, and nothing comes back.
    inbox = Inbox(desk.store, desk.clock)
    chain = inbox.chain(Head(desk.ledger.booth_id, desk.ledger.epoch, 10), {})
    judged = judge_batch(inbox, chain, {}, 2, [old])
    assert (judged.verified, judged.refused) == ((), None)


def test_what_was_let_out_of_quarantine_and_is_deleted_comes_once(desk: Desk) -> None:
    a_year_ago(desk)
    query = "INSERT INTO quarantine VALUES (2, ?, ?, 2, 'MALFORMED_EVENT', '', 100, 7)"
    place = desk.ledger.booth_id, desk.ledger.epoch
    desk.store.submit(lambda db: db.execute(query, place).fetchall()).result()
    inbox = Inbox(desk.store, desk.clock)
    assert [one.cursor for one in inbox.page(0, None, 100)[0]] == [*range(1, 9), 100]
    desk.clock.forward(366)
    desk.run()
    assert end(desk) == 3
    assert [one.cursor for one in inbox.page(0, None, 100)[0]] == list(range(1, 9))


def test_the_bytes_are_in_no_file_of_the_inbox(desk: Desk) -> None:
    a_year_ago(desk)
    path = desk.store.path
    with desk.store.reading() as db:
        db.execute("SELECT 1").fetchall()
    assert b"papers seen" in path.read_bytes() + Path(f"{path}-wal").read_bytes()
    desk.clock.forward(366)
    desk.run()
    assert end(desk) == 3
    assert b"papers seen" in Path(f"{path}-wal").read_bytes(), "the log has what the file no longer shows"
    now = round(desk.clock.now().utc.timestamp() * 1e6)
    desk.store.submit(lambda db: believe(db, now)).result()
    with desk.store.reading() as db:  # somebody reads for long: nobody waits for him
        db.execute("SELECT 1 FROM event").fetchall()
        assert desk.worker().turn() == 0
    assert desk.worker().turn() == 0
    for name in (path, Path(f"{path}-wal")):
        assert b"papers seen" not in name.read_bytes(), "a gateway runs for years"
    desk.receive(device_event())


def test_what_was_changed_after_a_deletion_is_found(desk: Desk, capsys: pytest.CaptureFixture[str]) -> None:
    config = str(desk.port.write_config())
    a_year_ago(desk)
    desk.clock.forward(366)
    desk.run()
    assert end(desk) == 3
    desk.store.close()
    path = desk.store.path
    whole = path.read_bytes()
    for fault, code in (
        ("UPDATE event SET sha256 = zeroblob(32) WHERE seq = 2", "STORE_CORRUPT"),  # by the root alone
        ("UPDATE event SET sha256 = zeroblob(32) WHERE seq = 3", "BROKEN_CHAIN"),
        ("DELETE FROM event WHERE seq = 2", "GAP"),
        ("DELETE FROM deleted_event", "MALFORMED_ENVELOPE"),
        ("UPDATE event SET envelope = x'0a' WHERE seq = 3", "STORE_CORRUPT"),
    ):
        path.write_bytes(whole)
        assert main(["verify", config]) == 0
        capsys.readouterr()
        with contextlib.closing(apsw.Connection(str(path))) as db:
            db.execute(fault).fetchall()
        assert main(["verify", config]) == 1
        assert code in "".join(capsys.readouterr()), fault


async def test_a_reader_is_told_and_verifies_the_rest(port: Port) -> None:
    with contextlib.closing(port.store()) as store:
        desk = Desk(port, store, port.ledger(), Clock())
        a_year_ago(desk)
        desk.clock.forward(366)
        desk.run()
        assert end(desk) == 3
    async with port.serving() as gateway:
        where = gateway.address, port.gateway.certificate_path, port.office.key_path, port.office.certificate_path
        async with connected(*where) as stub:
            async with Subscription(stub, after=0) as reading:
                got = [await reading.next(PATIENCE_S) for _ in range(8)]
            assert [type(one) for one in got] == [Received, Deleted, Deleted, *[Received] * 3, Deleted, Received]
            first = got[1]
            assert isinstance(first, Deleted)
            assert (first.head.seq, first.rule) == (2, RULE)
            async with Subscription(stub, after=6) as reading:  # begins in the middle, at one that is gone
                seventh, eighth = await reading.next(PATIENCE_S), await reading.next(PATIENCE_S)
            assert isinstance(seventh, Deleted)
            assert isinstance(eighth, Received)
            assert eighth.verified.event.previous_sha256 == seventh.head.sha256


def test_a_port_that_lies_about_a_deletion_is_found(port: Port) -> None:
    booth: Party = port.booth
    ledger = Ledger(booth.identity, booth.key)
    first, second, third = ledger.envelopes[0], *ledger.grow(2)
    truth = Head(booth.identity, ledger.epoch, 2, envelope_sha256(second))
    key = booth.key.public_key()
    for said, code in (
        (truth, None),
        (replace(truth, sha256=b"x" * 32), "BROKEN_CHAIN"),
        (replace(truth, sha256=b"x"), "PROTOCOL"),
        (replace(truth, seq=4), "GAP"),
        (replace(truth, seq=1), "REPLAYED"),
        (replace(truth, epoch=b"y" * 16), "PROTOCOL"),
        (replace(truth, epoch=b"y"), "WRONG_EPOCH"),
        (replace(truth, booth_id="spiffe://uslrd/booth/lane-9"), "NOT_TRUSTED"),
    ):
        chains = Chains({booth.identity: {key_id(key): key}})
        chains.verify(booth.identity, first)
        found = None
        try:
            chains.pass_deleted(said)
            chains.verify(booth.identity, third)
        except Refused as refused:
            found = refused.code.name
        assert found == code


def test_a_kill_in_the_middle_leaves_whole_inspections(desk: Desk, capsys: pytest.CaptureFixture[str]) -> None:
    config = str(desk.port.write_config())
    for number in range(12):
        desk.receive(closed(number))
    desk.receive(device_event())
    end(desk)
    desk.store.close()
    data = desk.port.settings()
    with subprocess.Popen(
        [sys.executable, "-c", KILLED, str(data.database), str(data.evidence)], stdout=subprocess.PIPE
    ) as run:
        assert run.stdout is not None
        assert run.stdout.readline() == b"4\n"
        run.send_signal(signal.SIGKILL)
    assert main(["verify", config, "--json"]) == 0
    went = json.loads(capsys.readouterr().out)["events_deleted"]
    assert went in (4, 8)
    with contextlib.closing(desk.port.store()) as store:
        with store.reading() as db:
            left = db.execute("SELECT count(*) FROM event WHERE envelope = x''").get
            assert left == went == db.execute("SELECT sum(events) FROM event_deletion").get
        desk.store = store
        desk.clock.forward(4_000)
        assert end(desk) == 12 - went


def test_an_argument_that_is_no_text(desk: Desk, capsys: pytest.CaptureFixture[str]) -> None:
    config = str(desk.port.write_config())
    for command in (
        ["decisions", config, "\udcff"],
        ["export", config, "\udcff", "out"],
        ["expect", "list", config, "--plate", "\udcff"],
    ):
        assert main(command) == 2
        assert "not UTF-8" in capsys.readouterr().err
