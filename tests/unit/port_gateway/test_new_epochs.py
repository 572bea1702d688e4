"""A known booth that begins a new ledger: an alarm, unless its first event says that the old one was damaged."""

import pytest

from edge_agent.domain.event import Replaced, SessionOpened
from edge_agent.wire.chain import Head
from edge_agent.wire.identity import key_id, spki
from edge_agent.wire.v1alpha1 import event_pb2 as wire
from edge_agent.wire.verify import Chain, Verified
from port_gateway.describe import event_text
from port_gateway.inbox import Inbox
from port_gateway.receive import judge_batch
from port_gateway.store import Store
from tests.unit.port_gateway.signing import Ledger, Party


def take(inbox: Inbox, booth: Party, ledger: Ledger) -> list[wire.Event]:
    key = booth.key.public_key()
    chain = Chain(Head(booth.identity, ledger.epoch), {key_id(key): key})
    judged = judge_batch(inbox, chain, {}, 1, ledger.envelopes)
    assert judged.refused is None
    inbox.append(chain.head, judged.verified).result(10)
    return [verified.event for verified in judged.verified if isinstance(verified, Verified)]


def alarms(store: Store) -> list[tuple[object, ...]]:
    with store.reading() as db:
        return list(db.execute("SELECT code, epoch, seq FROM alarm"))


class Replacing(Ledger):
    """Says in its first event what it replaces."""

    old: bytes = bytes(range(16))
    earlier: tuple[bytes, ...] = ()

    def open_session(self) -> bytes:
        from cryptography.hazmat.primitives.asymmetric import ed25519

        self.session_key = ed25519.Ed25519PrivateKey.generate()
        replaced = Replaced(self.old, 41, b"h" * 32, 40, ((7, 7),), self.earlier)
        return self.add(SessionOpened(spki(self.session_key.public_key()), "0.1", replaced), self.device_key)


def test_a_ledger_that_the_port_never_had_explains_nothing(
    store: Store, inbox: Inbox, booth: Party, caplog: pytest.LogCaptureFixture
) -> None:
    take(inbox, booth, Ledger(booth.identity, booth.key, bytes(range(2, 18))))
    epoch = bytes(range(1, 17))
    take(inbox, booth, Replacing(booth.identity, booth.key, epoch))
    assert alarms(store) == [("UNANNOUNCED_EPOCH", epoch, 1)]
    assert "UNANNOUNCED_EPOCH: the booth begins epoch 0102" in caplog.text


@pytest.mark.parametrize("announced", [False, True])
def test_a_second_epoch(store: Store, inbox: Inbox, booth: Party, announced: bool) -> None:
    first = Ledger(booth.identity, booth.key)
    first.grow(3)
    take(inbox, booth, first)
    assert alarms(store) == []
    epoch = bytes(range(1, 17))
    second = (Replacing if announced else Ledger)(booth.identity, booth.key, epoch)
    second.grow(2)
    events = take(inbox, booth, second)
    assert alarms(store) == ([] if announced else [("UNANNOUNCED_EPOCH", epoch, 1)])
    assert len(inbox.page(0, None, 100)[0]) == 7  # taken all the same
    text = event_text(events[0])
    assert ("in place of the damaged ledger 000102" in text) is announced
    if announced:
        assert "with 40 whole events of it" in text


@pytest.mark.parametrize("known", [False, True])
def test_a_ledger_that_was_salvaged_twice_before_the_port_saw_the_first(
    store: Store, inbox: Inbox, booth: Party, known: bool
) -> None:
    first = Ledger(booth.identity, booth.key)
    take(inbox, booth, first)

    class Third(Replacing):
        old = b"never sent to it"
        earlier = (b"nor this one 4ex", first.epoch if known else bytes(16 * [9]))

    take(inbox, booth, Third(booth.identity, booth.key, bytes(range(1, 17))))
    assert [code for code, *_ in alarms(store)] == ([] if known else ["UNANNOUNCED_EPOCH"])
