"""A booth without a certificate gets one for a token, and sends with it; nobody else gets one."""

import asyncio
import base64
import contextlib
import hashlib
import json
from collections.abc import AsyncIterator
from datetime import UTC, datetime, timedelta
from pathlib import Path

import grpc
import pytest
from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec

from edge_agent.cli import main as booth_main
from edge_agent.domain.clock import SystemClock
from edge_agent.domain.errors import PortUnreachable
from edge_agent.keys_command.enroll import enroll_booth
from edge_agent.uplink.enroll import enroll
from edge_agent.wire.enrollment import EnrollmentFault, NotEnrolled, Token, requested
from edge_agent.wire.identity import SpiffeId, key_id, load_certificate
from edge_agent.wire.v1alpha1 import services_pb2 as wire
from edge_agent.wire.v1alpha1.services_pb2_grpc import (
    EnrollmentServiceStub,
    add_EnrollmentServiceServicer_to_server,
)
from port_gateway.audit import audit
from port_gateway.authority import Authority, create_authority
from port_gateway.cli import main
from port_gateway.enrollment import MAX_TRIES, Enrollment
from port_gateway.serve import running
from tests.hardware_token import HardwareToken, needs_softhsm
from tests.integration.keys.booth_at_port import BOOTH, Booth
from tests.integration.keys.enrolling_port import (
    LANE,
    EnrollingPort,
    Hours,
    enrolling,
    openssl_verifies,
    present,
    request,
)
from tests.integration.port_gateway.conftest import Port, Stream
from tests.unit.port_gateway.signing import Ledger, Party


@pytest.fixture
async def port(tmp_path: Path) -> AsyncIterator[EnrollingPort]:
    port = EnrollingPort(tmp_path)
    async with port.serving():
        yield port


async def fault(port: Port, token: Token, der: bytes | None = None, now: datetime | None = None) -> EnrollmentFault:
    with pytest.raises(NotEnrolled) as caught:
        await enroll(enrolling(port), token, der or request(), now or present())
    assert token.secret.hex() not in str(caught.value)
    return caught.value.fault


async def test_a_booth_enrols_and_sends(
    port: EnrollingPort, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    config = port.write_config()
    assert await asyncio.to_thread(main, ["enroll", "token", str(config), BOOTH, "--valid", "30m"]) == 0
    secret = tmp_path / "token"
    secret.write_text(capsys.readouterr().out)
    secret.chmod(0o600)
    command = ["enroll", enrolling(port), "--token-file", str(secret), "--out", str(tmp_path)]
    assert await asyncio.to_thread(booth_main, command) == 0
    assert f"identity     {BOOTH}" in capsys.readouterr().out
    assert load_certificate(tmp_path / "gateway.crt") == port.gateway.certificate
    assert (tmp_path / "booth.key").stat().st_mode & 0o777 == 0o600
    assert await asyncio.to_thread(openssl_verifies, tmp_path / "ca/ca.crt", tmp_path / "booth.crt")
    booth = Booth(tmp_path, port, "booth.key")
    await booth.run_until(lambda: booth.acked() >= 1)
    assert audit(port.settings())[0].events >= 1
    # A token in a database or a log is worth nothing: only a digest is there.
    token = Token.parse(secret.read_text().strip())
    assert token.secret not in b"".join(path.read_bytes() for path in (tmp_path / "data").glob("inbox*"))
    assert await asyncio.to_thread(booth_main, command) == 2
    assert "booth.crt exists already" in capsys.readouterr().err


@needs_softhsm
async def test_a_key_in_a_hardware_token_enrols(port: EnrollingPort, tmp_path: Path, token: HardwareToken) -> None:
    said = await enroll_booth(enrolling(port), port.token(), tmp_path, token.uri(), present())
    assert str(LANE) in said
    booth = Booth(tmp_path, port, token.uri())
    await booth.run_until(lambda: booth.acked() >= 1)


async def test_a_token_works_once_and_for_its_own_key_again(port: EnrollingPort) -> None:
    token, key = port.token(), ec.generate_private_key(ec.SECP256R1())
    _, first = await enroll(enrolling(port), token, request(LANE, key), present())
    _, again = await enroll(
        enrolling(port), token, request(LANE, key), present()
    )  # the first answer may have been lost
    assert again.certificate == first.certificate
    assert await fault(port, token) is EnrollmentFault.TOKEN_USED


async def test_what_no_token_opens(port: EnrollingPort) -> None:
    late = port.token(valid=timedelta(minutes=1), clock=Hours(-1))
    assert await fault(port, late) is EnrollmentFault.TOKEN_EXPIRED
    good = port.token()
    assert await fault(port, good, request(SpiffeId.parse("spiffe://uslrd/booth/lane-8"))) is (
        EnrollmentFault.REQUEST_OF_ANOTHER
    )
    assert await fault(port, good, b"no request") is EnrollmentFault.REQUEST_INVALID
    unknown = Token(LANE, "00000000", good.secret, good.gateway_sha256)
    assert await fault(port, unknown) is EnrollmentFault.TOKEN_WRONG
    elsewhere = Token(LANE, good.id, good.secret, hashlib.sha256(b"another gateway").digest())
    assert await fault(port, elsewhere) is EnrollmentFault.TOKEN_WRONG
    await enroll(enrolling(port), good, request(), present())  # none of that has used it up


async def test_a_secret_cannot_be_tried_out(port: EnrollingPort) -> None:
    token = port.token()
    for _ in range(MAX_TRIES):
        assert await fault(port, Token(LANE, token.id, bytes(32), token.gateway_sha256)) is EnrollmentFault.TOKEN_WRONG
    assert await fault(port, token) is EnrollmentFault.TOKEN_WRONG


async def test_a_stranger_does_not_occupy_the_writer(tmp_path: Path) -> None:
    port = EnrollingPort(tmp_path)
    token, settings = port.token(), port.settings()
    assert settings.enroll is not None
    authority = Authority.load(settings.enroll.key, settings.enroll.certificate, timedelta(days=1))
    commits: list[bool] = []
    server = grpc.aio.server()
    with contextlib.closing(port.store()) as store:
        store.on_commit = lambda: commits.append(True)
        service = Enrollment(store, port.trust_store(store), authority, SystemClock())
        add_EnrollmentServiceServicer_to_server(service, server)
        address = f"127.0.0.1:{server.add_insecure_port('127.0.0.1:0')}"
        await server.start()
        async with grpc.aio.insecure_channel(address) as channel:
            enrol = EnrollmentServiceStub(channel).Enroll
            for _ in range(3):
                with pytest.raises(grpc.aio.AioRpcError, match="TOKEN_WRONG"):
                    await enrol(wire.EnrollRequest(token_id="ffffffff", secret=bytes(32)), timeout=10)
            assert commits == []
            await enrol(wire.EnrollRequest(token_id=token.id, secret=token.secret, request=request()), timeout=10)
            assert commits == [True]
        await server.stop(None)


async def test_a_stranger_sends_little(port: EnrollingPort) -> None:
    credentials = grpc.ssl_channel_credentials(port.gateway.pair[1])
    async with grpc.aio.secure_channel(enrolling(port), credentials) as channel:
        large = wire.EnrollRequest(token_id="ffffffff", request=bytes(17 * 1024))
        with pytest.raises(grpc.aio.AioRpcError) as refused:
            await EnrollmentServiceStub(channel).Enroll(large, timeout=10)
    assert refused.value.code() is grpc.StatusCode.RESOURCE_EXHAUSTED


async def test_a_clock_at_1970_is_named_before_the_token_is_sent(port: EnrollingPort) -> None:
    token = port.token()
    assert await fault(port, token, now=datetime(1970, 1, 1, 0, 3, tzinfo=UTC)) is EnrollmentFault.CLOCK_WRONG
    await enroll(enrolling(port), token, request(), present())


async def test_a_gateways_clock_at_1970_issues_nothing(tmp_path: Path) -> None:
    port = EnrollingPort(tmp_path)
    token = port.token(valid=timedelta(days=7))
    async with running(port.settings(), Hours(-24 * 365 * 50)) as gateway:
        port.running = gateway
        assert await fault(port, token) is EnrollmentFault.CLOCK_WRONG


async def test_a_key_that_ended_gets_no_certificate(port: EnrollingPort) -> None:
    key = port.booth.key
    store = port.store()
    try:
        port.trust_store(store).revoke(SpiffeId.parse(port.booth.identity), key_id(key.public_key()))
    finally:
        store.close()
    identity = SpiffeId.parse(port.booth.identity)
    assert await fault(port, port.token(identity), request(identity, key)) is EnrollmentFault.KEY_ENDED


async def test_without_an_authority_nobody_is_enrolled(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    port = Port(tmp_path)
    async with port.serving() as gateway:
        assert gateway.enroll_address == ""
        async with port.channel(port.booth) as channel:
            with pytest.raises(grpc.aio.AioRpcError, match="NO_AUTHORITY"):
                await EnrollmentServiceStub(channel).Renew(wire.RenewRequest(request=b""), timeout=10)
    assert await asyncio.to_thread(main, ["enroll", "token", str(port.write_config()), BOOTH]) == 2
    assert "has no `enroll`" in capsys.readouterr().err
    with pytest.raises(PortUnreachable, match="nobody answers TLS"):
        await enroll("127.0.0.1:1", Token(LANE, "", bytes(32), bytes(32)), b"", present())


async def test_a_sites_own_authority_is_taken_for_registered_booths_alone(tmp_path: Path) -> None:
    port = Port(tmp_path)
    site, certificate = create_authority(tmp_path / "site", "uslrd", present(), timedelta(days=30))
    stranger, other = create_authority(tmp_path / "other", "uslrd", present(), timedelta(days=30))
    settings = port.settings().model_copy(update={"authorities": [certificate]})

    def issued(key_file: Path, by: Path, identity: str) -> Party:
        party = Party(tmp_path / f"{key_file.parent.name}-{identity[-6:]}", identity)
        authority = Authority.load(key_file, by, timedelta(days=1))
        public = party.key.public_key()
        party.certificate = authority.issue(SpiffeId.parse(identity), public, present())
        party.certificate_path.write_bytes(party.certificate.public_bytes(serialization.Encoding.PEM))
        return party

    async def code(party: Party) -> grpc.StatusCode | None:
        async with port.evidence(party) as stub:
            try:
                await stub.StatBlobs(wire.StatBlobsRequest(), timeout=10)
            except grpc.aio.AioRpcError as error:
                return error.code()
        return None

    async with running(settings) as gateway:
        port.running = gateway
        assert await code(issued(site, certificate, port.booth.identity)) is None
        assert await code(issued(site, certificate, "spiffe://uslrd/booth/lane-9")) is grpc.StatusCode.PERMISSION_DENIED
        assert await code(issued(stranger, other, port.other_booth.identity)) is grpc.StatusCode.UNAVAILABLE
        party = issued(site, certificate, port.other_booth.identity)
        ledger = Ledger(party.identity, party.key)
        async with port.ingest(party) as stub:
            stream = Stream(stub)
            await stream.hello(ledger.hello())
            await stream.send(1, *ledger.envelopes)
            await stream.acked(1)
        assert await code(port.other_booth) is grpc.StatusCode.UNAVAILABLE  # the one before opens nothing more
        # Nor does another certificate for a key that was replaced.
        authority = Authority.load(site, certificate, timedelta(days=2))
        again = authority.issue(SpiffeId.parse(party.identity), port.other_booth.key.public_key(), present())
        port.other_booth.certificate_path.write_bytes(again.public_bytes(serialization.Encoding.PEM))
        assert await code(port.other_booth) is grpc.StatusCode.PERMISSION_DENIED


def test_any_text_is_no_token() -> None:
    for text in ("", "ea1.", "ea1.!!", "ea1." + base64.urlsafe_b64encode(b"[]").decode(), "ea1." + "A" * 2000):
        with pytest.raises(NotEnrolled, match="TOKEN_WRONG"):
            Token.parse(text)
    fields = {"booth": BOOTH, "id": "1", "secret": "00", "gateway": "00" * 32}
    with pytest.raises(NotEnrolled):
        Token.parse("ea1." + base64.urlsafe_b64encode(json.dumps(fields).encode()).decode())
    token = Token(LANE, "0a", bytes(32), bytes(32))
    assert Token.parse(str(token)) == token


def test_a_request_must_be_signed_and_p256() -> None:
    good = request()
    forged = bytearray(good)
    forged[-1] ^= 1
    with pytest.raises(NotEnrolled, match="REQUEST_INVALID"):
        requested(bytes(forged), LANE)
    pem = x509.CertificateSigningRequestBuilder().subject_name(x509.Name([]))
    key = ec.generate_private_key(ec.SECP384R1())
    with pytest.raises(NotEnrolled, match="not P-256"):
        requested(pem.sign(key, hashes.SHA256()).public_bytes(serialization.Encoding.DER), LANE)
