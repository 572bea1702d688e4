"""Who may do what: every certificate that is not exactly a registered one, in its role, is turned away."""

from datetime import UTC, datetime, timedelta

import grpc
import pytest
from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec

from edge_agent.domain.clock import ClockState, Instant, SystemClock
from edge_agent.wire.v1alpha1 import services_pb2 as wire
from edge_agent.wire.v1alpha1.services_pb2_grpc import IngestServiceStub
from port_gateway.serve import running
from tests.integration.port_gateway.conftest import Port, Stream
from tests.unit.port_gateway.signing import Party


async def list_booths(port: Port, party: Party) -> wire.ListBoothsResponse:
    async with port.subscribe(party) as stub:
        return await stub.ListBooths(wire.ListBoothsRequest(), timeout=10)


async def refused(port: Port, party: Party) -> grpc.StatusCode:
    with pytest.raises(grpc.aio.AioRpcError) as caught:
        await list_booths(port, party)
    return caught.value.code()


async def test_an_unregistered_certificate_opens_no_connection(served: Port) -> None:
    unknown = Party(served.folder / "u", "spiffe://uslrd/back-office/unknown")
    assert await refused(served, unknown) is grpc.StatusCode.UNAVAILABLE
    assert await refused(served, served.stranger) is grpc.StatusCode.UNAVAILABLE


async def test_a_certificate_registered_while_the_gateway_runs_works_at_once(served: Port) -> None:
    late = Party(served.folder / "late", "spiffe://uslrd/back-office/late")
    assert await refused(served, late) is grpc.StatusCode.UNAVAILABLE
    served.trust(late)
    assert len((await list_booths(served, late)).booths) == 2


async def test_the_same_name_at_another_port_is_another_party(served: Port) -> None:
    elsewhere = Party(served.folder / "e", "spiffe://usotm/back-office/customs")
    served.trust(elsewhere)
    assert not (await list_booths(served, elsewhere)).booths  # it reads its own port
    assert (await list_booths(served, served.office)).booths


async def test_booths_read_nothing_and_back_offices_write_nothing(served: Port) -> None:
    assert await refused(served, served.booth) is grpc.StatusCode.PERMISSION_DENIED
    async with served.subscribe(served.booth) as reader:
        call = reader.Subscribe()
        await call.write(wire.SubscribeRequest(start=wire.SubscribeStart()))
        assert await call.code() is grpc.StatusCode.PERMISSION_DENIED
        blob = reader.GetBlob(wire.GetBlobRequest(sha256=bytes(32)))
        assert await blob.code() is grpc.StatusCode.PERMISSION_DENIED
    async with served.ingest(served.office) as stub:
        stream = Stream(stub)
        await stream.call.write(wire.StreamEventsRequest(hello=served.ledger().hello()))
        assert (await stream.nack()).code == wire.REFUSAL_CODE_NOT_TRUSTED
        assert await stream.status() is grpc.StatusCode.PERMISSION_DENIED
    async with served.evidence(served.office) as store:
        with pytest.raises(grpc.aio.AioRpcError) as caught:
            await store.StatBlobs(wire.StatBlobsRequest())
        assert caught.value.code() is grpc.StatusCode.PERMISSION_DENIED
        put = store.PutBlob()
        assert await put.code() is grpc.StatusCode.PERMISSION_DENIED


async def test_a_booth_cannot_stream_under_another_booths_name(served: Port) -> None:
    async with served.ingest(served.other_booth) as stub:
        stream = Stream(stub)
        await stream.call.write(wire.StreamEventsRequest(hello=served.ledger().hello()))
        assert (await stream.nack()).code == wire.REFUSAL_CODE_NOT_TRUSTED
        assert await stream.status() is grpc.StatusCode.PERMISSION_DENIED


async def test_a_certificate_that_a_registered_key_has_issued_is_not_trusted(served: Port) -> None:
    """TLS accepts it: its library takes a registered certificate for an authority. peers.py does not."""
    key = ec.generate_private_key(ec.SECP256R1())
    issuer, now = served.booth.certificate, datetime.now(UTC)  # noqa: TID251
    minted = (
        x509.CertificateBuilder()
        .subject_name(x509.Name([]))
        .issuer_name(issuer.subject)
        .public_key(key.public_key())
        .serial_number(7)
        .not_valid_before(now - timedelta(days=1))
        .not_valid_after(now + timedelta(days=1))
        .add_extension(
            x509.SubjectAlternativeName([x509.UniformResourceIdentifier(served.other_booth.identity)]), critical=True
        )
        .sign(served.booth.key, hashes.SHA256())
    )
    pem = key.private_bytes(serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8, serialization.NoEncryption())
    chain = minted.public_bytes(serialization.Encoding.PEM) + served.booth.pair[1]
    assert served.running
    credentials = grpc.ssl_channel_credentials(served.gateway.pair[1], pem, chain)
    async with grpc.aio.secure_channel(served.running.address, credentials) as channel:
        stream = Stream(IngestServiceStub(channel))
        hello = served.ledger().hello()
        hello.booth_id = served.other_booth.identity
        await stream.call.write(wire.StreamEventsRequest(hello=hello))
        assert (await stream.nack()).code == wire.REFUSAL_CODE_NOT_TRUSTED


async def test_a_replaced_certificate_ends_the_open_stream_and_its_key_still_verifies(served: Port) -> None:
    ledger = served.ledger()
    ledger.grow(1)
    new = Party(served.folder / "new", served.booth.identity)
    async with served.ingest() as stub:
        stream = Stream(stub)
        await stream.hello(ledger.hello())
        await stream.send(1, *ledger.envelopes)
        await stream.acked(2)
        served.trust(new, replace=True)
        assert (await stream.nack()).code == wire.REFUSAL_CODE_NOT_TRUSTED  # at the next heartbeat
    ledger.device_key = new.key
    ledger.grow(1)  # the backlog, signed before the change
    ledger.open_session()
    async with served.ingest(new) as stub:
        stream = Stream(stub)
        assert (await stream.hello(ledger.hello())).durable_through == 2
        await stream.send(3, *ledger.envelopes[2:])
        await stream.acked(4)
    booths = {booth.booth_id: booth for booth in (await list_booths(served, served.office)).booths}
    assert len(booths[served.booth.identity].certificates) == 2


class LateClock(SystemClock):
    """A clock that can be put forward."""

    ahead = timedelta()

    def now(self) -> Instant:
        return Instant(super().now().utc + self.ahead, 0, ClockState.SYNCHRONISED)


async def test_a_certificate_that_expires_ends_the_open_stream(port: Port) -> None:
    clock = LateClock()
    async with running(port.settings(), clock) as gateway:
        port.running = gateway
        async with port.ingest() as stub:
            stream = Stream(stub)
            ledger = port.ledger()
            await stream.hello(ledger.hello())
            await stream.send(1, *ledger.envelopes)
            await stream.acked(1)
            clock.ahead = timedelta(days=900)
            assert (await stream.nack()).code == wire.REFUSAL_CODE_NOT_TRUSTED


async def test_a_gateway_with_another_certificate_is_not_believed(served: Port) -> None:
    assert served.running
    credentials = grpc.ssl_channel_credentials(served.other_booth.pair[1], *served.booth.pair)
    async with grpc.aio.secure_channel(served.running.address, credentials) as channel:
        stream = Stream(IngestServiceStub(channel))
        assert await stream.status() is grpc.StatusCode.UNAVAILABLE
