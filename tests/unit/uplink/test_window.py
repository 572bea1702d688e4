import hashlib
from collections.abc import Callable
from typing import Any, cast

import pytest
from hypothesis import given
from hypothesis import strategies as st

from edge_agent.domain.errors import PortRefused, StoreCorrupt
from edge_agent.uplink.window import MAX_BATCH_BYTES, MAX_BATCH_RECORDS, ChainForked, SendWindow
from edge_agent.wire.v1alpha1.services_pb2 import (
    REFUSAL_CODE_BAD_SIGNATURE,
    REFUSAL_CODE_FORK,
    REFUSAL_CODE_NOT_TRUSTED,
    Ack,
    Nack,
    Welcome,
)

GENESIS = bytes(32)


def sha(envelope: bytes) -> bytes:
    return hashlib.sha256(envelope).digest()


def envelopes(count: int, size: int = 100) -> list[bytes]:
    return [b"%06d" % n + bytes(size - 6) for n in range(1, count + 1)]


def welcome(
    through: int = 0, head: bytes = GENESIS, records: int = 100, size: int = 10**6, batch: int = 10**6
) -> Welcome:
    return Welcome(
        durable_through=through, chain_head=head, window_records=records, window_bytes=size, max_batch_bytes=batch
    )


def window(held: list[bytes], oldest: int = 1) -> SendWindow:
    newest = len(held)
    return SendWindow("spiffe://uslrd/booth/lane-1", bytes(16), oldest, newest, sha(held[-1]) if held else GENESIS)


def ours(held: list[bytes], seq: int) -> bytes:
    return sha(held[seq - 1]) if seq else GENESIS


def test_the_hello_says_what_the_ledger_holds() -> None:
    held = envelopes(3)
    hello = window(held).hello("1.0")
    assert (hello.booth_id, hello.epoch, hello.agent_version) == ("spiffe://uslrd/booth/lane-1", bytes(16), "1.0")
    assert (hello.oldest_seq, hello.newest_seq, hello.chain_head) == (1, 3, sha(held[2]))


def test_it_goes_on_after_what_the_port_holds() -> None:
    held = envelopes(5)
    w = window(held)
    assert w.room() == (0, 0), "nothing may be sent before the welcome"
    w.welcomed(welcome(3, sha(held[2])), ours(held, 3))
    batch = w.batch(held[3:])
    assert batch is not None
    assert (batch.first_seq, list(batch.envelopes)) == (4, held[3:])
    assert (w.next_seq, w.in_flight, w.durable_through) == (6, 2, 3)
    assert w.acked(Ack(durable_through=5, chain_head=sha(held[4])))
    assert (w.in_flight, w.durable_through) == (0, 5)
    assert not w.acked(Ack(durable_through=5, chain_head=sha(held[4]))), "a heartbeat"


def test_another_hash_at_the_welcome_is_a_fork() -> None:
    held = envelopes(5)
    with pytest.raises(ChainForked, match="FORK at sequence 3"):
        window(held).welcomed(welcome(3, sha(b"another")), ours(held, 3))


@pytest.mark.parametrize("head", [b"", sha(b"x")])
def test_a_port_that_holds_nothing_shows_the_genesis(head: bytes) -> None:
    with pytest.raises(ChainForked, match="FORK at sequence 0"):
        window(envelopes(5)).welcomed(welcome(0, head), GENESIS)


def test_another_hash_in_an_acknowledgement_is_a_fork() -> None:
    held = envelopes(5)
    w = window(held)
    w.welcomed(welcome(), GENESIS)
    w.batch(held)
    with pytest.raises(ChainForked, match="FORK at sequence 4"):
        w.acked(Ack(durable_through=4, chain_head=sha(held[4])))
    assert w.durable_through == 0
    assert w.in_flight == 5


def test_another_hash_in_a_heartbeat_is_a_fork() -> None:
    held = envelopes(5)
    w = window(held)
    w.welcomed(welcome(2, sha(held[1])), ours(held, 2))
    with pytest.raises(ChainForked, match="FORK at sequence 2"):
        w.acked(Ack(durable_through=2, chain_head=sha(held[2])))


def test_a_port_that_holds_more_than_the_ledger_stops_everything() -> None:
    with pytest.raises(StoreCorrupt, match="up to sequence 9, and here it ends at 5") as error:
        window(envelopes(5)).welcomed(welcome(9, sha(b"x")), None)
    assert "older copy" in error.value.remedy


def test_a_sequence_beyond_all_is_the_same() -> None:
    with pytest.raises(StoreCorrupt):
        window(envelopes(5)).welcomed(welcome(2**64 - 1, sha(b"x")), None)


def test_a_port_that_lost_more_than_is_kept_is_told() -> None:
    with pytest.raises(PortRefused, match="asks for sequence 3, and the oldest held here is 4"):
        window(envelopes(9), oldest=4).welcomed(welcome(2, sha(b"x")), None)


def test_right_before_the_oldest_there_is_nothing_to_compare() -> None:
    held = envelopes(9)
    w = window(held, oldest=4)
    w.welcomed(welcome(3, sha(held[2])), None)
    assert w.next_seq == 4


@pytest.mark.parametrize("granted", [welcome(records=0), welcome(size=0), welcome(batch=0)])
def test_a_welcome_without_credit_breaks_the_protocol(granted: Welcome) -> None:
    with pytest.raises(PortRefused, match="grants no credit"):
        window(envelopes(5)).welcomed(granted, GENESIS)


@pytest.mark.parametrize(
    ("through", "message"), [(6, "acknowledged 6, and only 5 was sent"), (1, "acknowledged 2, and now only 1")]
)
def test_an_acknowledgement_that_cannot_be_breaks_the_protocol(through: int, message: str) -> None:
    held = envelopes(9)
    w = window(held)
    w.welcomed(welcome(2, sha(held[1])), ours(held, 2))
    w.batch(held[2:5])
    with pytest.raises(PortRefused, match=message):
        w.acked(Ack(durable_through=through, chain_head=ours(held, through)))


def test_credit_in_records() -> None:
    held = envelopes(9)
    w = window(held)
    w.welcomed(welcome(records=4), GENESIS)
    batch = w.batch(held)
    assert batch is not None
    assert len(batch.envelopes) == 4
    assert w.room() == (0, 0)
    assert w.batch(held[4:]) is None
    w.acked(Ack(durable_through=1, chain_head=ours(held, 1)))
    assert w.room()[0] == 1


def test_credit_in_bytes() -> None:
    held = envelopes(9, size=100)
    w = window(held)
    w.welcomed(welcome(size=250), GENESIS)
    batch = w.batch(held)
    assert batch is not None
    assert len(batch.envelopes) == 2
    assert w.room() == (98, 50)
    assert w.batch(held[2:]) is None, "the third waits for an acknowledgement"
    w.acked(Ack(durable_through=2, chain_head=ours(held, 2)))
    assert w.room() == (100, 250)


def test_an_event_that_the_port_can_never_take_is_told() -> None:
    held = envelopes(2, size=500)
    w = window(held)
    w.welcomed(welcome(batch=499), GENESIS)
    with pytest.raises(PortRefused, match="event 1 has 500 bytes, and the port takes at most 499"):
        w.batch(held)


@pytest.mark.parametrize(("count", "size", "taken"), [(1000, 100, MAX_BATCH_RECORDS), (100, 40_000, 6)])
def test_our_own_limits_of_a_batch(count: int, size: int, taken: int) -> None:
    held = envelopes(count, size)
    w = window(held)
    w.welcomed(welcome(records=10_000, size=2**31, batch=2**31), GENESIS)
    batch = w.batch(held)
    assert batch is not None
    assert len(batch.envelopes) == taken
    assert sum(map(len, batch.envelopes)) <= MAX_BATCH_BYTES


def test_nothing_to_send_is_no_batch() -> None:
    w = window([])
    w.welcomed(welcome(), GENESIS)
    assert w.batch([]) is None
    assert w.next_seq == 1


@pytest.mark.parametrize(
    ("nack", "kind", "message"),
    [
        (
            Nack(seq=7, code=REFUSAL_CODE_BAD_SIGNATURE, detail="no"),
            PortRefused,
            "the port refused event 7: BAD_SIGNATURE: no",
        ),
        (Nack(seq=7, code=REFUSAL_CODE_FORK, detail="other"), ChainForked, "the port refused event 7: FORK: other"),
        (
            Nack(code=REFUSAL_CODE_NOT_TRUSTED, detail="a\x1b[2Jb\n"),
            PortRefused,
            r"refused this booth's stream: NOT_TRUSTED: a\?\[2Jb\?",
        ),
        (Nack(code=cast(Any, 99), detail="x" * 10_000), PortRefused, "code 99: x{500}\n"),
    ],
)
def test_a_refusal_in_words(nack: Nack, kind: type[PortRefused], message: str) -> None:
    with pytest.raises(kind, match=message):
        raise window([]).nacked(nack)


@given(
    sizes=st.lists(st.integers(6, 3_000), max_size=60),
    records=st.integers(1, 20),
    size=st.integers(3_000, 20_000),
    batch=st.integers(3_000, 10_000),
    choose=st.data(),
)
def test_whatever_the_port_does_everything_arrives_once_and_in_order(
    sizes: list[int], records: int, size: int, batch: int, choose: st.DataObject
) -> None:
    """A port that takes, acknowledges and drops as it likes; the window is told only what the wire says."""
    held = [b"%06d" % n + bytes(length - 6) for n, length in enumerate(sizes, start=1)]
    port: list[bytes] = []

    def connect() -> tuple[SendWindow, list[list[bytes]]]:
        w = window(held)
        w.welcomed(welcome(len(port), ours(held, len(port)), records, size, batch), ours(held, len(port)))
        return w, []

    def send() -> None:
        sent = w.batch(held[w.next_seq - 1 :])
        if sent is not None:
            assert sent.first_seq == len(port) + sum(map(len, on_the_way)) + 1
            assert sum(map(len, sent.envelopes)) <= min(batch, MAX_BATCH_BYTES)
            on_the_way.append(list(sent.envelopes))
        in_flight = held[w.durable_through : w.next_seq - 1]
        assert w.in_flight == len(in_flight) <= records
        assert sum(map(len, in_flight)) <= size

    def take() -> None:
        if on_the_way:
            port.extend(on_the_way.pop(0))

    def ack() -> None:
        through = choose.draw(st.integers(w.durable_through, len(port)))
        assert w.acked(Ack(durable_through=through, chain_head=ours(held, through))) == (through > acked[-1])
        acked.append(through)

    w, on_the_way = connect()
    acked = [0]
    steps: list[Callable[[], None]] = [send, take, ack]
    for step in choose.draw(st.lists(st.sampled_from([*steps, None]), max_size=60)):
        if step is None:
            w, on_the_way = connect()
            acked = [w.durable_through]
        else:
            step()
    for _ in range(3 * len(held) + 3):
        send()
        take()
        w.acked(Ack(durable_through=len(port), chain_head=ours(held, len(port))))
    assert port == held
    assert w.durable_through == len(held)
    assert w.in_flight == 0
