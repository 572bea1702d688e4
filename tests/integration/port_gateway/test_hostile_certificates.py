"""One booth with a certificate or a request made to harm: the port goes on for all the others."""

from collections.abc import AsyncIterator
from datetime import timedelta
from pathlib import Path

import grpc
import pytest
from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization

from edge_agent.domain.clock import SystemClock
from edge_agent.wire.identity import SpiffeId, signing_request
from edge_agent.wire.v1alpha1 import services_pb2 as wire
from edge_agent.wire.v1alpha1.services_pb2_grpc import EnrollmentServiceStub
from port_gateway.authority import Authority, create_authority
from port_gateway.config import Enroll, Settings
from port_gateway.enrollment import new_token
from tests.integration.port_gateway.conftest import Port
from tests.unit.port_gateway.signing import Party

NOW = SystemClock().now().utc
EC_KEY = bytes.fromhex("06072a8648ce3d0201")


class EnrollingPort(Port):
    """Its gateway has an authority of its own."""

    def settings(self) -> Settings:
        key, certificate = self.folder / "ca" / "ca.key", self.folder / "ca" / "ca.crt"
        if not key.exists():
            create_authority(key.parent, "uslrd", NOW, timedelta(days=30))
        enroll = Enroll(listen="127.0.0.1:0", days=9, key=key, certificate=certificate)
        return super().settings().model_copy(update={"enroll": enroll})

    def authority(self) -> Authority:
        return Authority.load(self.folder / "ca" / "ca.key", self.folder / "ca" / "ca.crt", timedelta(days=9))


@pytest.fixture
async def port(tmp_path: Path) -> AsyncIterator[EnrollingPort]:
    port = EnrollingPort(tmp_path)
    async with port.serving():
        yield port


async def is_served(port: Port, party: Party) -> None:
    async with port.evidence(party) as stub:
        await stub.StatBlobs(wire.StatBlobsRequest(), timeout=10)


def likeness(authority: x509.Certificate, booth: Party) -> x509.Certificate:
    """The booth's own certificate, under the subject and the subject key id of the authority."""
    skid = authority.extensions.get_extension_for_class(x509.SubjectKeyIdentifier).value
    names = x509.SubjectAlternativeName([x509.UniformResourceIdentifier(booth.identity)])
    return (
        x509.CertificateBuilder()
        .subject_name(authority.subject)
        .issuer_name(authority.subject)
        .public_key(booth.key.public_key())
        .serial_number(5)
        .not_valid_before(NOW - timedelta(minutes=5))
        .not_valid_after(NOW + timedelta(days=5))
        .add_extension(names, critical=False)
        .add_extension(x509.BasicConstraints(ca=True, path_length=None), critical=True)
        .add_extension(skid, critical=False)
        .sign(booth.key, hashes.SHA256())
    )


async def test_a_booth_under_the_authoritys_name_does_not_shut_out_those_that_it_issued_for(
    port: EnrollingPort,
) -> None:
    authority, other = port.authority(), port.other_booth
    issued = authority.issue(SpiffeId.parse(other.identity), other.key.public_key(), NOW)
    other.certificate_path.write_bytes(issued.public_bytes(serialization.Encoding.PEM))
    store = port.store()
    try:
        port.trust_store(store).add([likeness(authority.certificate, port.booth)], replace=True)
    finally:
        store.close()
    await is_served(port, other)


async def test_a_registered_certificate_that_cannot_be_read_whole_shuts_out_nobody(tmp_path: Path) -> None:
    port = Port(tmp_path)
    der = bytearray(port.booth.certificate.public_bytes(serialization.Encoding.DER))
    der[der.rfind(b"booth lane-")] = 0xFF  # the subject is no UTF-8 any more
    store = port.store()
    try:
        row = (port.booth.identity, "booth", bytes(der), 0)
        sql = "INSERT INTO trust (identity, role, certificate, added_utc_us) VALUES (?,?,?,?)"
        store.submit(lambda db: db.execute(sql, row)).result()
    finally:
        store.close()
    async with port.serving():
        await is_served(port, port.other_booth)


async def test_a_request_with_a_key_of_an_unknown_kind_ends_no_gateway(port: EnrollingPort) -> None:
    lane = SpiffeId.parse("spiffe://uslrd/booth/lane-7")
    store = port.store()
    try:
        token = new_token(
            store, SystemClock(), lane, timedelta(hours=1), port.gateway.certificate, port.authority().certificate
        )
    finally:
        store.close()
    good = x509.load_pem_x509_csr(signing_request(port.booth.key, lane)).public_bytes(serialization.Encoding.DER)
    strange = good.replace(EC_KEY, EC_KEY[:-1] + b"\x7f")
    assert port.running is not None
    credentials = grpc.ssl_channel_credentials(port.gateway.pair[1])
    async with grpc.aio.secure_channel(port.running.enroll_address, credentials) as channel:
        stub = EnrollmentServiceStub(channel)
        asked = wire.EnrollRequest(token_id=token.id, secret=token.secret, request=strange)
        with pytest.raises(grpc.aio.AioRpcError, match="REQUEST_INVALID"):
            await stub.Enroll(asked, timeout=10)
        await stub.Enroll(wire.EnrollRequest(token_id=token.id, secret=token.secret, request=good), timeout=10)
    assert not port.running.failed.done()
