"""Keys that end at a sequence: verification, the trust store, and the inbox in the moment of a commit."""

from collections.abc import Iterable
from pathlib import Path

import pytest
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec

from edge_agent.domain import event as domain
from edge_agent.domain.clock import SystemClock
from edge_agent.domain.errors import IdentityInvalid, Permanent
from edge_agent.wire.chain import Head
from edge_agent.wire.identity import SpiffeId, key_id, spki
from edge_agent.wire.refused import RefusalCode, Refused
from edge_agent.wire.rotation import possession_message
from edge_agent.wire.v1alpha1 import services_pb2 as wire
from edge_agent.wire.verify import Chain, KeyEnd, Verified, verify_next
from port_gateway.chains import Chains, Ended, device_keys, ended_keys
from port_gateway.inbox import Inbox
from port_gateway.revocation import end_key
from port_gateway.store import Store
from port_gateway.trust import TrustStore
from tests.unit.port_gateway.signing import Ledger, Party

EPOCH, OTHER = bytes(range(16)), bytes(16)


def verified(chain: Chain, envelopes: Iterable[bytes]) -> list[Verified]:
    found = []
    for envelope in envelopes:
        found.append(verify_next(chain, envelope))
        chain = found[-1].chain
    return found


@pytest.fixture
def ledger(booth: Party) -> Ledger:
    ledger = Ledger(booth.identity, booth.key, EPOCH)
    ledger.grow(4)
    return ledger


@pytest.fixture
def trust(store: Store, booth: Party) -> TrustStore:
    trust = TrustStore(store, SystemClock())
    trust.add([booth.certificate])
    return trust


def identity(booth: Party) -> SpiffeId:
    return SpiffeId.parse(booth.identity)


def code(chain: Chain, envelope: bytes) -> RefusalCode:
    with pytest.raises(Refused) as refused:
        verify_next(chain, envelope)
    return refused.value.code


@pytest.mark.parametrize("why", [RefusalCode.KEY_REVOKED, RefusalCode.KEY_RETIRED])
def test_a_session_ends_with_the_key_that_vouched_for_it(ledger: Ledger, booth: Party, why: RefusalCode) -> None:
    mine = key_id(booth.key.public_key())
    keys = {mine: booth.key.public_key()}
    ended = Chain(Head(booth.identity, EPOCH), keys, None, {mine: KeyEnd(3, why)})
    third = verified(ended, ledger.envelopes[:3])[-1].chain
    assert code(third, ledger.envelopes[3]) is why
    forged = Ledger(booth.identity, booth.key, EPOCH)
    forged.head = third.head
    assert code(third, forged.open_session()) is why
    assert verified(Chain(Head(booth.identity, EPOCH), keys, None, {"0" * 64: KeyEnd(0, why)}), ledger.envelopes)


def test_now_is_what_is_held_and_an_unknown_epoch_counts_for_nothing(
    store: Store, inbox: Inbox, trust: TrustStore, ledger: Ledger, booth: Party
) -> None:
    begin = Head(booth.identity, EPOCH)
    chain = inbox.chain(begin, trust.current().device_keys(booth.identity))
    inbox.append(begin, verified(chain, ledger.envelopes[:3])).result()
    mine = key_id(booth.key.public_key())
    assert trust.revoke(identity(booth), mine[:8].upper()).through == {EPOCH: 3}
    keys = trust.current().device_keys(booth.identity)
    stands = inbox.chain(begin, keys)
    assert stands.ends == {mine: KeyEnd(3, RefusalCode.KEY_REVOKED)}
    assert code(stands, ledger.envelopes[3]) is RefusalCode.KEY_REVOKED
    anew = Ledger(booth.identity, booth.key, OTHER)
    assert code(inbox.chain(Head(booth.identity, OTHER), keys), anew.envelopes[0]) is RefusalCode.KEY_REVOKED


def test_an_index_lets_what_is_still_at_the_booth_come_through(
    inbox: Inbox, trust: TrustStore, ledger: Ledger, booth: Party
) -> None:
    begin, mine = Head(booth.identity, EPOCH), key_id(booth.key.public_key())
    chain = inbox.chain(begin, trust.current().device_keys(booth.identity))
    inbox.append(begin, verified(chain, ledger.envelopes[:3])).result()
    with pytest.raises(Permanent, match=r"events through 3 of epoch 0001.* are accepted already, and stand"):
        trust.revoke(identity(booth), mine, after_seq=2)
    assert trust.current().ended == {}
    assert trust.revoke(identity(booth), mine, after_seq=4).through == {EPOCH: 4}
    stands = inbox.chain(begin, trust.current().device_keys(booth.identity))
    (fourth,) = verified(stands, ledger.envelopes[3:4])
    inbox.append(stands.head, [fourth]).result()
    assert code(fourth.chain, ledger.envelopes[4]) is RefusalCode.KEY_REVOKED
    # It is never taken back, only drawn tighter.
    assert trust.revoke(identity(booth), mine, after_seq=9).through == {EPOCH: 4}


def test_what_was_verified_before_and_is_committed_after_is_refused(
    inbox: Inbox, trust: TrustStore, ledger: Ledger, booth: Party
) -> None:
    begin = Head(booth.identity, EPOCH)
    found = verified(inbox.chain(begin, trust.current().device_keys(booth.identity)), ledger.envelopes)
    trust.revoke(identity(booth), key_id(booth.key.public_key()), after_seq=2, epoch=EPOCH)
    with pytest.raises(Refused) as refused:
        inbox.append(begin, found).result()
    assert (refused.value.code, refused.value.seq) == (RefusalCode.KEY_REVOKED, 3)
    inbox.append(begin, found[:2]).result()


def test_a_new_key_goes_on_in_the_same_chain(
    tmp_path: Path, inbox: Inbox, trust: TrustStore, ledger: Ledger, booth: Party
) -> None:
    begin = Head(booth.identity, EPOCH)
    inbox.append(
        begin, verified(inbox.chain(begin, trust.current().device_keys(booth.identity)), ledger.envelopes)
    ).result()
    trust.revoke(identity(booth), key_id(booth.key.public_key()))
    with pytest.raises(IdentityInvalid, match="revoked or handed over"):
        trust.add([booth.certificate])
    new = Party(tmp_path / "new", booth.identity)
    trust.add([new.certificate], replace=True)
    ledger.device_key = new.key
    ledger.open_session()
    ledger.grow(2)
    stands = inbox.chain(begin, trust.current().device_keys(booth.identity))
    inbox.append(stands.head, verified(stands, ledger.envelopes[5:])).result()
    # As a back-office sees it from the beginning, through what ListBooths says.
    listed = [
        wire.KeyEnd(key_id=key, code=end.code.value, epochs=[wire.EpochEnd(epoch=EPOCH, through_seq=5)])
        for key, end in trust.current().ended[booth.identity].items()
    ]
    keys = device_keys(booth.identity, trust.current().certificates()[booth.identity])
    chains = Chains({booth.identity: keys}, {booth.identity: ended_keys(listed)})
    for envelope in ledger.envelopes:
        chains.verify(booth.identity, envelope)


def test_a_reader_that_learns_of_an_end_holds_its_chains_to_it(ledger: Ledger, booth: Party) -> None:
    mine, keys = key_id(booth.key.public_key()), {}
    keys[booth.identity] = {mine: booth.key.public_key()}
    chains = Chains(keys)
    for envelope in ledger.envelopes[:2]:
        chains.verify(booth.identity, envelope)
    for through in (3, 5):  # a later index draws nothing wider
        chains.learn(keys, {booth.identity: {mine: Ended(RefusalCode.KEY_REVOKED, {EPOCH: through})}})
    chains.verify(booth.identity, ledger.envelopes[2])
    with pytest.raises(Refused) as refused:
        chains.verify(booth.identity, ledger.envelopes[3])
    assert refused.value.code is RefusalCode.KEY_REVOKED


@pytest.mark.parametrize("key", ["", "0", "abcdefg", "f" * 63, "g" * 64])
def test_a_key_must_be_named_beyond_doubt(trust: TrustStore, booth: Party, key: str) -> None:
    with pytest.raises(IdentityInvalid, match=r"0 keys of .* begin with"):
        trust.revoke(identity(booth), key)
    assert trust.current().ended == {}


def test_a_key_that_was_never_seen_is_revoked_by_its_whole_id_and_nothing_is_handed_over_to_it(
    tmp_path: Path, inbox: Inbox, trust: TrustStore, ledger: Ledger, booth: Party
) -> None:
    begin, new = Head(booth.identity, EPOCH), Party(tmp_path / "new", booth.identity)
    stolen = key_id(new.key.public_key())
    with pytest.raises(IdentityInvalid, match="0 keys of"):
        trust.revoke(SpiffeId.parse("spiffe://uslrd/booth/lane-9"), stolen)  # nobody has that name
    with pytest.raises(IdentityInvalid, match="was ever seen here: is it mistyped"):
        trust.revoke(identity(booth), stolen, after_seq=9, epoch=EPOCH)
    assert trust.current().ended == {}
    revoked = trust.revoke(identity(booth), stolen.upper(), after_seq=9, epoch=EPOCH, unseen=True)
    assert trust.revoke(identity(booth), stolen, after_seq=9, epoch=EPOCH).through == {EPOCH: 9}  # known by now
    assert (revoked.key_id, revoked.certificates) == (stolen, 0)
    der = new.certificate.public_bytes(serialization.Encoding.DER)
    message = possession_message(booth.identity, EPOCH, key_id(booth.key.public_key()), der)
    ledger.add(domain.KeyRotated(der, new.key.sign(message, ec.ECDSA(hashes.SHA256()))))
    found = verified(inbox.chain(begin, trust.current().device_keys(booth.identity)), ledger.envelopes)
    with pytest.raises(Refused) as refused:
        inbox.append(begin, found).result()
    assert (refused.value.code, refused.value.seq) == (RefusalCode.KEY_REVOKED, 6)
    inbox.append(begin, found[:5]).result()


def test_a_registered_certificate_of_a_revoked_key_opens_nothing(store: Store, trust: TrustStore, booth: Party) -> None:
    mine = key_id(booth.key.public_key())
    store.submit(lambda db: end_key(db, booth.identity, mine, RefusalCode.KEY_REVOKED, {}, 0)).result()
    with pytest.raises(Refused, match="KEY_REVOKED"):
        trust.peer(booth.pair[1], identity(booth).role)


def test_the_peer_hears_why(trust: TrustStore, booth: Party) -> None:
    trust.revoke(identity(booth), key_id(booth.key.public_key()))
    with pytest.raises(Refused, match="KEY_REVOKED"):
        trust.peer(booth.pair[1], identity(booth).role)
    assert trust.current().roots_pem() == b""


def test_the_session_is_of_the_key_that_opened_it_last(
    tmp_path: Path, inbox: Inbox, trust: TrustStore, ledger: Ledger, booth: Party
) -> None:
    new = Party(tmp_path / "new", booth.identity)
    trust.add([new.certificate], replace=True)
    ledger.add(domain.SessionOpened(spki(ledger.session_key.public_key()), "again"), new.key)
    begin = Head(booth.identity, EPOCH)
    keys = trust.current().device_keys(booth.identity)
    inbox.append(begin, verified(inbox.chain(begin, keys), ledger.envelopes)).result()
    session = inbox.chain(begin, keys).session
    assert session is not None
    assert session.device_key_id == key_id(new.key.public_key())
