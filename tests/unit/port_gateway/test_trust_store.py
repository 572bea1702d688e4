from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest
from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec

from edge_agent.domain.clock import SystemClock
from edge_agent.domain.errors import IdentityInvalid
from edge_agent.wire.identity import Role, SpiffeId, self_signed
from edge_agent.wire.refused import RefusalCode, Refused
from port_gateway.authority import Authority, create_authority
from port_gateway.store import Store
from port_gateway.trust import TrustStore
from tests.unit.port_gateway.signing import Party


@pytest.fixture
def trust(store: Store) -> TrustStore:
    return TrustStore(store, SystemClock())


def pem(party: Party) -> bytes:
    return party.certificate.public_bytes(serialization.Encoding.PEM)


def test_a_registered_certificate_is_known_in_its_role(trust: TrustStore, booth: Party, tmp_path: Path) -> None:
    twin = Party(tmp_path / "twin", booth.identity)
    assert [new for _, new in trust.add([booth.certificate])] == [True]
    assert [new for _, new in trust.add([booth.certificate])] == [False]
    assert str(trust.peer(pem(booth), Role.BOOTH).identity) == booth.identity
    for shown, role in ((pem(booth), Role.BACK_OFFICE), (pem(twin), Role.BOOTH), (b"", Role.BOOTH)):
        with pytest.raises(Refused) as caught:
            trust.peer(shown, role)
        assert caught.value.code is RefusalCode.NOT_TRUSTED


def test_another_key_needs_replace_and_the_old_one_stays_for_old_events(
    trust: TrustStore, booth: Party, tmp_path: Path
) -> None:
    new = Party(tmp_path / "new", booth.identity)
    trust.add([booth.certificate])
    with pytest.raises(IdentityInvalid, match="another key"):
        trust.add([new.certificate])
    trust.add([new.certificate], replace=True)
    with pytest.raises(Refused):
        trust.peer(pem(booth), Role.BOOTH)
    trust.peer(pem(new), Role.BOOTH)
    assert len(trust.current().device_keys(booth.identity)) == 2
    assert pem(booth) not in trust.current().roots_pem()
    with pytest.raises(IdentityInvalid, match="replaced before"):
        trust.add([booth.certificate], replace=True)
    trust.peer(pem(new), Role.BOOTH)  # and nothing changed


def test_what_cannot_be_registered(trust: TrustStore, tmp_path: Path) -> None:
    expired = Party(tmp_path / "old", "spiffe://uslrd/booth/lane-9", now=datetime(2020, 1, 1, tzinfo=UTC))
    gateway = Party(tmp_path / "gw", "spiffe://uslrd/gateway/main", ("localhost",))
    good = Party(tmp_path / "good", "spiffe://uslrd/booth/lane-3")
    for party, words in ((expired, "not now"), (gateway, "is a gateway")):
        with pytest.raises(IdentityInvalid, match=words):
            trust.add([good.certificate, party.certificate])
    assert trust.current().registered == ()  # all or none


def built(issuer: Party, subject: x509.Name, uri: str, key: ec.EllipticCurvePrivateKey) -> x509.Certificate:
    return (
        x509.CertificateBuilder()
        .subject_name(subject)
        .issuer_name(subject)
        .public_key(key.public_key())
        .serial_number(5)
        .not_valid_before(issuer.certificate.not_valid_before_utc)
        .not_valid_after(issuer.certificate.not_valid_after_utc)
        .add_extension(x509.SubjectAlternativeName([x509.UniformResourceIdentifier(uri)]), critical=False)
        .sign(issuer.key, hashes.SHA256())
    )


def test_a_certificate_signed_by_another_key_is_not_registered(trust: TrustStore, booth: Party) -> None:
    foreign = built(booth, x509.Name([]), "spiffe://uslrd/booth/lane-7", ec.generate_private_key(ec.SECP256R1()))
    with pytest.raises(IdentityInvalid, match="signed neither by its own key nor by an authority"):
        trust.add([foreign])


def test_a_subject_belongs_to_one_identity(trust: TrustStore, booth: Party, tmp_path: Path) -> None:
    other = Party(tmp_path / "other", "spiffe://uslrd/booth/lane-7")
    trust.add([booth.certificate])
    same = built(other, booth.certificate.subject, other.identity, other.key)
    with pytest.raises(IdentityInvalid, match="subject"):
        trust.add([same])


def test_a_key_that_was_replaced_while_its_stream_waited_does_not_come_back(store: Store, tmp_path: Path) -> None:
    now = datetime.now(UTC)  # noqa: TID251 - the store's clock is the real one
    authority = Authority.load(*create_authority(tmp_path, "uslrd", now, timedelta(days=30)), timedelta(days=9))
    trust = TrustStore(store, SystemClock(), [authority.certificate])
    old, new = (Party(tmp_path / name, "spiffe://uslrd/booth/lane-1") for name in ("old", "new"))
    trust.add([old.certificate])
    issued = authority.issue(SpiffeId.parse(old.identity), old.key.public_key(), now)
    shown = issued.public_bytes(serialization.Encoding.PEM)
    peer = trust.peer(shown, Role.BOOTH)
    before = trust.current()
    trust.add([new.certificate], replace=True)
    with pytest.raises(Refused, match="NOT_TRUSTED"):
        trust.arrived(peer)
    # Nor when the other comes between the look and the write.
    looks = iter((before,))
    trust.current = lambda: next(looks)  # type: ignore[method-assign]
    with pytest.raises(Refused, match="NOT_TRUSTED"):
        trust.arrived(peer)
    del trust.current
    trust.peer(pem(new), Role.BOOTH)
    with pytest.raises(Refused):
        trust.peer(shown, Role.BOOTH)


def test_of_each_key_the_newest_certificate_is_listed(trust: TrustStore, booth: Party, tmp_path: Path) -> None:
    identity = SpiffeId.parse(booth.identity)
    trust.add([booth.certificate])
    renewed = self_signed(booth.key, identity, SystemClock().now().utc)
    trust.add([renewed])
    new = Party(tmp_path / "new", booth.identity)
    trust.add([new.certificate], replace=True)
    ders = [c.public_bytes(serialization.Encoding.DER) for c in (new.certificate, renewed)]
    assert trust.current().certificates() == {booth.identity: ders}
    assert len(trust.current().device_keys(booth.identity)) == 2
