"""A poison event holds nobody up: kept, acknowledged as such, passed over by readers, let out when it can be read."""

import asyncio
import contextlib
import json
import tracemalloc
from typing import Any

import apsw
import grpc
import pytest
from cryptography.hazmat.primitives.asymmetric import ed25519

from edge_agent.domain.event import Draft
from edge_agent.domain.evidence import EvidenceKind, EvidenceRef
from edge_agent.wire import verify
from edge_agent.wire.checkpoint import open_checkpoint
from edge_agent.wire.codec import event_payload
from edge_agent.wire.envelope import MAX_ENVELOPE_BYTES, envelope_sha256
from edge_agent.wire.identity import certificate_key, key_id, spki
from edge_agent.wire.refused import RefusalCode, Refused
from edge_agent.wire.tree import Tree
from edge_agent.wire.v1alpha1 import services_pb2 as wire
from edge_agent.wire.v1alpha1.event_pb2 import Event
from port_gateway import quarantine
from port_gateway.cli import main
from port_gateway.client import Deleted, InQuarantine, Received, Subscription
from tests.integration.port_gateway.conftest import Port, Stream
from tests.integration.port_gateway.retention.desk import Clock, Desk
from tests.unit.port_gateway.signing import INSTANT, Ledger, device_event, sign

OF_PICTURE = EvidenceRef(EvidenceKind.FRAME, "image/jpeg", b"p" * 32, 1)


def poison(ledger: Ledger, rest: bytes = b"", keep_body: bool = False) -> bytes:
    """The next event, with a body that no version knows yet, and with whatever else."""
    event = Event.FromString(event_payload(Draft(device_event(), INSTANT), ledger.head, (OF_PICTURE,)))
    if not keep_body:
        event.ClearField("device_changed")
    envelope = sign(event.SerializeToString() + b"\xfa\x3f\x02hi" + rest, ledger.session_key)
    ledger.envelopes.append(envelope)
    ledger.head = ledger.head.after(envelope_sha256(envelope))
    return envelope


async def sent(port: Port, ledger: Ledger) -> tuple[wire.Welcome, list[wire.Quarantined], wire.Ack]:
    """Everything that the port does not hold yet: what it said of quarantine, and the last acknowledgement."""
    told: list[wire.Quarantined] = []
    async with port.ingest() as stub:
        stream = Stream(stub)
        welcome = await stream.hello(ledger.hello())
        if welcome.durable_through < ledger.head.seq:
            await stream.send(welcome.durable_through + 1, *ledger.envelopes[welcome.durable_through :])
        while stream.durable < ledger.head.seq:
            response = await stream.read()
            assert response.WhichOneof("message") == "ack", response
            stream.durable = response.ack.durable_through
            told += response.ack.quarantined
        heartbeat = await stream.read()
        assert not heartbeat.ack.quarantined, "it is said once"
        await stream.call.done_writing()
        assert await stream.status() is grpc.StatusCode.OK
    return welcome, told, heartbeat.ack


async def run(*arguments: object) -> int:
    return await asyncio.to_thread(main, [str(argument) for argument in arguments])


async def test_the_stream_goes_on_over_events_whose_content_cannot_be_read(served: Port) -> None:
    ledger = served.ledger()
    ledger.grow(2)
    newer = poison(ledger)
    ledger.grow(1)
    large = poison(ledger, b"\xfa\x3f\x80\x80\x08" + bytes(MAX_ENVELOPE_BYTES), keep_body=True)
    ledger.grow(1)
    ledger.open_session()
    ledger.grow(1)
    welcome, told, ack = await sent(served, ledger)
    assert not welcome.quarantined
    wanted = [
        (4, envelope_sha256(newer), RefusalCode.MALFORMED_EVENT),
        (6, envelope_sha256(large), RefusalCode.OVERSIZED),
    ]
    assert [(one.seq, one.sha256, RefusalCode(one.code)) for one in told] == wanted
    # It is in the chain, and in the tree that the port signs for, like any other event.
    tree, _ = Tree().extended(envelope_sha256(envelope) for envelope in ledger.envelopes)
    held = open_checkpoint(ack.receipt, served.gateway.identity, certificate_key(served.gateway.certificate))
    assert (ack.chain_head, held.size, held.root) == (ledger.head.sha256, 9, tree.root())
    # A booth that missed it is told again; sent again, it has no second effect.
    again, told, _ = await sent(served, ledger)
    assert [(one.seq, one.sha256, RefusalCode(one.code)) for one in again.quarantined] == wanted
    async with served.ingest() as stub:
        stream = Stream(stub)
        await stream.hello(ledger.hello())
        await stream.send(3, *ledger.envelopes[2:6])
        await stream.acked(9)
    assert rows(served, "SELECT seq FROM quarantine ORDER BY cursor") == [(4,), (6,)]
    assert rows(served, "SELECT envelope FROM event ORDER BY cursor") == [(one,) for one in ledger.envelopes]


def rows(port: Port, query: str) -> list[tuple[object, ...]]:
    with contextlib.closing(apsw.Connection(str(port.settings().database))) as db:
        return list(db.execute(query))


async def read(
    port: Port, count: int, after: int = 0, name: str = "", place: bytes = b""
) -> list[Received | InQuarantine | Deleted]:
    async with port.subscribe() as stub, Subscription(stub, name, after, place) as subscription:
        found = []
        for _ in range(count):
            received = await subscription.next(20)
            assert received is not None
            found.append(received)
        return found


async def test_readers_pass_over_it_and_get_it_when_it_can_be_read(
    served: Port, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    ledger = served.ledger()
    ledger.grow(1)
    envelope = poison(ledger)
    ledger.grow(2)
    await sent(served, ledger)
    passed = (await read(served, 5))[2]
    assert isinstance(passed, InQuarantine)
    assert (passed.code, passed.linked.sha256) == (RefusalCode.MALFORMED_EVENT, envelope_sha256(envelope))
    config = served.write_config()
    assert await run("verify", config, "--json") == 0
    facts = json.loads(capsys.readouterr().out)
    assert (facts["ok"], facts["events"], facts["quarantined"], facts["evidence_missing"]) == (True, 5, 1, 0)
    assert await run("quarantine", "list", config, "--json") == 0
    listed = json.loads(capsys.readouterr().out)
    assert (listed["seq"], listed["code"], listed["released_cursor"]) == (3, "MALFORMED_EVENT", None)
    out = served.folder / "poison"
    assert await run("quarantine", "show", config, listed["cursor"], "--out", out) == 0
    assert "unknown_fields   [1023]" in " ".join(capsys.readouterr().out.splitlines())
    assert out.read_bytes() == envelope
    # This version still cannot read it, and says so; it stays.
    assert await run("quarantine", "release", config) == 1
    assert "STAYS: MALFORMED_EVENT" in capsys.readouterr().out
    assert await run("quarantine", "release", config, 99) == 2
    capsys.readouterr()
    # A version that can: the event without a body is one, for this test.
    monkeypatch.setattr(verify, "_parse", lambda payload: Event.FromString(payload))
    async with served.subscribe() as stub, Subscription(stub, after=0) as live:
        assert all([await live.next(20) for _ in range(5)])
        assert await run("quarantine", "release", config, "--json") == 0
        released_cursor = json.loads(capsys.readouterr().out)["released_cursor"]
        assert released_cursor > passed.cursor + 2
        out_of_it = await live.next(20)
        assert isinstance(out_of_it, Received)
        assert (out_of_it.cursor, out_of_it.released_from) == (released_cursor, passed.cursor)
        assert out_of_it.verified.envelope == envelope
        ledger.grow(1)
        welcome, _, _ = await sent(served, ledger)
        assert not welcome.quarantined
        after = await live.next(20)
        assert isinstance(after, Received)
        assert (after.verified.seq, after.cursor) == (6, released_cursor + 1)
    # Whoever comes later gets the same at the same cursors, also from the middle.
    everything = await read(served, 7)
    assert [one.cursor for one in everything] == sorted({one.cursor for one in everything})
    assert isinstance(everything[2], InQuarantine)
    assert await read(served, 2, after=passed.cursor + 2) == everything[5:]
    assert await read(served, 1, released_cursor, place=everything[5].place) == everything[6:]
    assert rows(served, "SELECT sha256 FROM evidence_ref") == [(OF_PICTURE.sha256,)]
    assert await run("verify", config, "--json") == 0
    facts = json.loads(capsys.readouterr().out)
    assert (facts["events"], facts["quarantined"], facts["evidence_at_booth"]) == (6, 0, 1)
    # Let out again after a set-back, it would stand there again, but not since then.
    rows(served, "UPDATE quarantine SET released_utc_us = released_utc_us + 1")
    again = await read(served, 7)
    assert [a.place == b.place for a, b in zip(again, everything, strict=True)] == [True] * 5 + [False, True]
    # Its cursor stays its own when the event is deleted, and nothing comes there any more.
    rows(served, "UPDATE event SET envelope = x'' WHERE cursor = (SELECT cursor FROM quarantine)")
    async with served.subscribe() as stub:
        start = wire.SubscribeStart(after=released_cursor, after_place=again[5].place)
        call = stub.Subscribe()
        await call.write(wire.SubscribeRequest(start=start))
        response = await call.read()
    assert isinstance(response, wire.SubscribeResponse)
    assert response.cursor == everything[6].cursor


async def test_a_port_cannot_pass_off_another_event_as_let_out(served: Port) -> None:
    ledger = served.ledger()
    ledger.grow(1)
    await sent(served, ledger)
    async with served.subscribe() as stub, Subscription(stub, after=0) as subscription:
        await subscription.next(20)
        forged = wire.SubscribeResponse(cursor=9, booth_id=ledger.booth_id, envelope=ledger.grow(1)[0], released_from=2)
        with pytest.raises(Refused, match="not there at cursor 2"):
            subscription._in_chain(forged)
        hidden = wire.SubscribeResponse(
            cursor=9, booth_id=ledger.booth_id, envelope=ledger.envelopes[2], quarantined=wire.REFUSAL_CODE_FORK
        )
        with pytest.raises(Refused, match="in quarantine for the code 11"):
            subscription._in_chain(hidden)


async def test_what_is_not_of_content_alone_is_refused_and_never_kept(served: Port) -> None:
    ledger = served.ledger()
    ledger.grow(1)
    await sent(served, ledger)
    good_session, before = ledger.session_key, (list(ledger.envelopes), ledger.head)
    for change in ("signature", "link", "key"):
        if change == "key":
            ledger.session_key = ed25519.Ed25519PrivateKey.generate()
        if change == "link":
            ledger.head = type(ledger.head)(ledger.booth_id, ledger.epoch, ledger.head.seq, bytes(32))
        forged = poison(ledger)
        if change == "signature":
            forged = forged.replace(b"hi", b"ho")
        ledger.envelopes, ledger.head = list(before[0]), before[1]
        ledger.session_key = good_session
        async with served.ingest() as stub:
            stream = Stream(stub)
            hello = ledger.hello()
            hello.newest_seq = 100
            await stream.hello(hello)
            await stream.send(3, forged)
            nack = await stream.nack()
            assert nack.seq == 3
            assert await stream.status() is grpc.StatusCode.FAILED_PRECONDITION
    assert rows(served, "SELECT count(*) FROM quarantine") == [(0,)]
    assert rows(served, "SELECT count(*) FROM event") == [(2,)]


async def test_a_released_event_is_acted_on_once_and_where_it_was_passed_over(
    served: Port, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A port cannot have it counted twice by sending it under two cursors."""
    ledger = served.ledger()
    envelope = poison(ledger)
    await sent(served, ledger)
    async with served.subscribe() as stub, Subscription(stub, after=0) as subscription:
        await subscription.next(20)
        passed = await subscription.next(20)
        assert isinstance(passed, InQuarantine)
        monkeypatch.setattr(verify, "_parse", lambda payload: Event.FromString(payload))

        def let_out(cursor: int, released_from: int) -> Received | InQuarantine | Deleted:
            return subscription._in_chain(
                wire.SubscribeResponse(
                    cursor=cursor, booth_id=ledger.booth_id, envelope=envelope, released_from=released_from
                )
            )

        with pytest.raises(Refused, match="not there at cursor 1"):
            let_out(8, passed.cursor - 1)
        assert isinstance(let_out(9, passed.cursor), Received)
        with pytest.raises(Refused, match="PROTOCOL: let out of quarantine, and it is not there"):
            let_out(10, passed.cursor)


LARGE = b"\xfa\x3f\x80\x80\x08" + bytes(MAX_ENVELOPE_BYTES)


@pytest.mark.parametrize(
    ("rests", "keep_body"),
    [((b"", b"\xfa\x3f\x01x"), False), ((LARGE, LARGE[:-1] + b"x"), True)],
    ids=["small", "large"],
)
async def test_another_event_for_a_place_in_quarantine_is_a_fork(
    served: Port, rests: tuple[bytes, bytes], keep_body: bool
) -> None:
    """And the same one again at a new place a replay. The envelope, which proves it, is kept with the alarm."""
    ledger = served.ledger()
    held = poison(ledger, rests[0], keep_body)
    await sent(served, ledger)
    twin = served.ledger()
    twin.session_key, twin.envelopes = ledger.session_key, list(ledger.envelopes[:1])
    twin.head = type(twin.head)(twin.booth_id, twin.epoch).after(envelope_sha256(twin.envelopes[0]))
    other = poison(twin, rests[1], keep_body)
    ledger.open_session()  # what an earlier session signed is told apart, too
    await sent(served, ledger)
    for seq, envelope, code in ((2, other, "FORK"), (4, other, "FORK"), (4, held, "REPLAYED")):
        async with served.ingest() as stub:
            stream = Stream(stub)
            hello = ledger.hello()
            hello.newest_seq = 9
            await stream.hello(hello)
            await stream.send(seq, envelope)
            nack = await stream.nack()
            assert (RefusalCode(nack.code).name, nack.seq) == (code, 2)
    assert rows(served, "SELECT code, envelope FROM alarm ORDER BY id") == [("FORK", other), ("REPLAYED", held)]
    # Nobody else makes a fork: what no key of the booth signed has the code that it had.
    ledger.session_key = ed25519.Ed25519PrivateKey.generate()
    forged = poison(ledger, rests[0], keep_body)
    async with served.ingest() as stub:
        stream = Stream(stub)
        hello = ledger.hello()
        hello.newest_seq = 9
        await stream.hello(hello)
        await stream.send(2, forged)
        assert RefusalCode((await stream.nack()).code) is (
            RefusalCode.OVERSIZED if keep_body else RefusalCode.UNKNOWN_KEY
        )


def filled(port: Port, count: int, rest: bytes = b"") -> Ledger:
    """An inbox with a session and so many events in quarantine."""
    ledger = port.ledger()
    key = ledger.session_key.public_key()
    envelopes = [poison(ledger, rest, keep_body=bool(rest)) for _ in range(count)]

    def fill(db: apsw.Connection) -> None:
        db.execute("INSERT INTO session VALUES (?,?,?,?,1)", (ledger.booth_id, ledger.epoch, key_id(key), spki(key)))
        for seq, envelope in enumerate(ledger.envelopes, 1):
            place = (ledger.booth_id, ledger.epoch, seq)
            db.execute(
                "INSERT INTO event (booth_id, epoch, seq, sha256, envelope, received_utc_us) VALUES (?,?,?,?,?,0)",
                (*place, envelope_sha256(envelope), envelope),
            )
            if seq > 1:
                db.execute("INSERT INTO quarantine VALUES (?,?,?,?,'MALFORMED_EVENT','',NULL,NULL)", (seq, *place))
        db.execute(
            "INSERT INTO chain VALUES (?,?,?,?,?)",
            (ledger.booth_id, ledger.epoch, count + 1, envelope_sha256(envelopes[-1]), spki(key)),
        )

    with contextlib.closing(port.store()) as store:
        store.submit(fill).result()
    return ledger


def test_a_release_holds_up_nobody_who_writes(port: Port, monkeypatch: pytest.MonkeyPatch) -> None:
    """No lock while it verifies, and a few events a transaction: a running gateway commits in between."""
    count = 2 * quarantine.GROUP + 9
    filled(port, count)
    monkeypatch.setattr(verify, "_parse", lambda payload: Event.FromString(payload))
    judge, changes = verify.verify_event, []
    with contextlib.closing(apsw.Connection(str(port.settings().database))) as other:

        def verified(*arguments: Any) -> Any:
            other.execute("BEGIN IMMEDIATE")  # Busy when the release holds the lock
            other.execute("ROLLBACK")
            changes.append(other.execute("SELECT count(*) FROM quarantine WHERE released_cursor IS NOT NULL").get)
            return judge(*arguments)

        monkeypatch.setattr(quarantine, "verify_event", verified)
        assert main(["quarantine", "release", str(port.write_config()), "--json"]) == 0
    assert len(changes) == count
    assert sorted(set(changes)) == [0, quarantine.GROUP, 2 * quarantine.GROUP]
    released = rows(port, "SELECT released_cursor FROM quarantine ORDER BY cursor")
    assert released == [(count + 2 + n,) for n in range(count)]


def test_a_cursor_named_twice_is_let_out_once(
    port: Port, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    filled(port, 3)
    monkeypatch.setattr(verify, "_parse", lambda payload: Event.FromString(payload))
    config = str(port.write_config())
    assert main(["quarantine", "release", config, "3", "2", "3", "--json"]) == 0
    said = [json.loads(line) for line in capsys.readouterr().out.splitlines()]
    assert [(one["cursor"], one["released_cursor"]) for one in said] == [(2, 5), (3, 6)]
    assert main(["quarantine", "release", config, "4", "3"]) == 2  # and none, when one of them is not there
    assert rows(port, "SELECT released_cursor FROM quarantine ORDER BY cursor") == [(5,), (6,), (None,)]


@pytest.mark.parametrize("command", ["quarantine list", "quarantine show", "quarantine release", "verify"])
def test_envelopes_in_quarantine_are_read_one_at_a_time(port: Port, command: str) -> None:
    filled(port, 60, LARGE)
    arguments = [*command.split(), str(port.write_config()), *(["2"] if command.endswith("show") else [])]
    main(arguments)  # imports what it needs
    tracemalloc.start()
    main(arguments)
    peak = tracemalloc.get_traced_memory()[1]
    tracemalloc.stop()
    assert peak < 12 * len(LARGE)


def test_a_body_that_no_version_knows_yet_has_the_longest_time(port: Port) -> None:
    ledger = filled(port, 2)
    with contextlib.closing(port.store()) as store:
        desk = Desk(port, store, ledger, Clock())
        for days, ended in ((0, 0), (3_649, 0), (2, 1)):  # the other one ends its chain
            desk.clock.forward(days)
            assert sum(desk.events.run()) == ended
    assert rows(port, "SELECT seq FROM event WHERE envelope = x''") == [(2,)]
