"""What may be passed over in a chain: what a later ledger of the booth says that this one lost, and nothing else."""

import pytest

from edge_agent.domain.event import Replaced, SessionOpened
from edge_agent.wire.chain import GENESIS_SHA256
from edge_agent.wire.gaps import MAX_GAP, MISSING_SHA256, Gaps, declared, leaves, may_pass_over
from edge_agent.wire.identity import spki
from edge_agent.wire.refused import RefusalCode, Refused
from edge_agent.wire.v1alpha1.event_pb2 import Event
from edge_agent.wire.verify import Chain, verify_next
from tests.unit.wire.booth import EPOCH, Booth


@pytest.mark.parametrize(
    ("gaps", "first", "last", "may"),
    [
        ((), 3, 3, False),
        (((3, 5),), 3, 5, True),
        (((3, 5),), 4, 4, True),
        (((3, 5),), 2, 5, False),
        (((3, 5),), 3, 6, False),
        (((6, 7), (3, 5)), 3, 7, True),
        (((3, 4), (6, 7)), 3, 7, False),
        (((5, 3),), 3, 5, False),
        (((1, 2**63),), 3, 2 + MAX_GAP, True),
        (((1, 2**63),), 3, 3 + MAX_GAP, False),
    ],
)
def test_every_one_of_them_is_said_to_be_missing(gaps: Gaps, first: int, last: int, may: bool) -> None:
    assert may_pass_over(gaps, first, last) is may


def read(booth: Booth, missing: Gaps, *envelopes: bytes) -> Chain:
    chain = booth.chain()
    chain = Chain(chain.head, chain.device_keys, missing=missing)
    for envelope in envelopes:
        chain = verify_next(chain, envelope).chain
    return chain


def test_a_chain_goes_on_over_a_gap_and_nowhere_else() -> None:
    booth = Booth()
    envelopes = [booth.opening(), *(booth.event() for _ in range(5))]
    kept = envelopes[:2] + envelopes[4:]
    chain = read(booth, ((3, 4),), *kept)
    assert chain.head == booth.head
    for missing in ((), ((3, 3),), ((4, 4),)):
        with pytest.raises(Refused, match="GAP at sequence 5"):
            read(booth, missing, *kept)
    with pytest.raises(Refused, match="REPLAYED"):
        read(booth, ((3, 4),), *kept, envelopes[2])


def test_within_what_is_there_every_link_counts() -> None:
    booth = Booth()
    first = booth.opening()
    lost = booth.head
    one = booth.event()
    booth.head = lost.at(lost.seq, b"another event's digest, 32 bytes")
    other = booth.event()
    assert read(booth, ((3, 4),), first, one).head.seq == 2
    with pytest.raises(Refused) as refused:
        read(booth, ((2, 2), (3, 4)), first, other)
    assert refused.value.code is RefusalCode.BROKEN_CHAIN


def test_a_gap_lets_no_other_key_in() -> None:
    booth, other = Booth(), Booth()
    first, _ = booth.opening(), booth.event()
    other.head = booth.head
    for envelope in (other.by_session(other.payload()), booth.by_device(booth.payload())):
        with pytest.raises(Refused) as refused:
            read(booth, ((2, 2),), first, envelope)
        assert refused.value.code in (RefusalCode.UNKNOWN_KEY, RefusalCode.WRONG_SIGNER)


def said(seq: int = 1, epoch: bytes = EPOCH, replaces: bytes = b"r" * 16) -> Event:
    booth = Booth()
    replaced = Replaced(replaces, 9, b"h" * 32, 7, ((2, 3),), (b"e" * 16, b"short"))
    payload = booth.payload(SessionOpened(spki(booth.session.public_key()), "1", replaced))
    event = Event.FromString(payload)
    event.seq, event.epoch = seq, epoch
    return event


def test_the_first_event_alone_says_what_another_ledger_lost() -> None:
    assert declared(said()) == {b"r" * 16: ((2, 3),), b"e" * 16: ()}
    assert declared(said(seq=2)) == {}
    assert declared(said(epoch=b"r" * 16)) == {b"e" * 16: ()}  # nobody excuses gaps of its own
    booth = Booth()
    assert declared(Event.FromString(booth.payload())) == {}


def test_a_gap_is_filled_with_leaves_that_no_event_has() -> None:
    assert list(leaves(1, [(2, b"2"), (5, b"5")])) == [b"2", MISSING_SHA256, MISSING_SHA256, b"5"]
    assert MISSING_SHA256 == GENESIS_SHA256
