"""What is told of events that were deleted: to people, to back-offices, to booths; and what would lie about it."""

import contextlib
import json
from dataclasses import replace

import apsw
import pytest

from edge_agent.wire.chain import Head
from edge_agent.wire.envelope import envelope_sha256
from edge_agent.wire.identity import key_id
from edge_agent.wire.refused import Refused
from port_gateway.chains import Chains
from port_gateway.cli import main
from port_gateway.client import Deleted, Received, Subscription, connected
from port_gateway.inbox import Inbox
from port_gateway.receive import judge_batch
from tests.integration.port_gateway.conftest import PATIENCE_S, Port
from tests.integration.port_gateway.retention.desk import (
    ID,
    RULE,
    Clock,
    Desk,
    a_year_ago,
    closed,
    end,
    ref,
)
from tests.unit.port_gateway.signing import Ledger, Party, device_event


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
            async with Subscription(stub, after=first.cursor, after_place=first.place) as reading:
                assert await reading.next(PATIENCE_S) == got[2]
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


def test_an_argument_that_is_no_text(desk: Desk, capsys: pytest.CaptureFixture[str]) -> None:
    config = str(desk.port.write_config())
    for command in (
        ["decisions", config, "\udcff"],
        ["export", config, "\udcff", "out"],
        ["expect", "list", config, "--plate", "\udcff"],
    ):
        assert main(command) == 2
        assert "not UTF-8" in capsys.readouterr().err
