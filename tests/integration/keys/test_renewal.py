"""A booth renews its certificate under way, and nothing is refused or lost by it."""

import asyncio
import contextlib
import os
from collections.abc import AsyncIterator, Iterator
from datetime import timedelta
from pathlib import Path

import grpc
import pytest
from cryptography import x509
from cryptography.hazmat.primitives import serialization

from edge_agent.domain.clock import SystemClock
from edge_agent.domain.errors import PortUnreachable
from edge_agent.ledger.recorder import open_ledger
from edge_agent.uplink.client import Uplink
from edge_agent.uplink.link import LinkState
from edge_agent.uplink.link import Port as UplinkPort
from edge_agent.wire.identity import SpiffeId, create_identity, load_certificate
from edge_agent.wire.v1alpha1 import services_pb2 as wire
from edge_agent.wire.v1alpha1.services_pb2_grpc import (
    EnrollmentServiceStub,
)
from port_gateway.audit import audit
from port_gateway.authority import Authority
from port_gateway.trust import TrustStore
from tests.integration.keys.booth_at_port import BOOTH, Booth
from tests.integration.keys.enrolling_port import LANE, EnrollingPort, enrolling, present, request
from tests.integration.ledger.conftest import alarm
from tests.unit.port_gateway.signing import Party


@pytest.fixture
async def port(tmp_path: Path) -> AsyncIterator[EnrollingPort]:
    port = EnrollingPort(tmp_path)
    async with port.serving():
        yield port


@pytest.fixture
def trust(port: EnrollingPort) -> Iterator[TrustStore]:
    with contextlib.closing(port.store()) as store:
        yield port.trust_store(store)


def active(trust: TrustStore) -> list[x509.Certificate]:
    """The booth's certificates that open something."""
    return [r.certificate for r in trust.current().registered if r.active and str(r.identity) == BOOTH]


async def test_renewal_is_for_the_callers_own_name_and_key(port: EnrollingPort) -> None:
    async with port.channel(port.booth) as channel:
        stub = EnrollmentServiceStub(channel)
        own = SpiffeId.parse(port.booth.identity)
        for der in (request(own), request(SpiffeId.parse(port.other_booth.identity), port.booth.key)):
            with pytest.raises(grpc.aio.AioRpcError, match="REQUEST_OF_ANOTHER"):
                await stub.Renew(wire.RenewRequest(request=der), timeout=10)
        with pytest.raises(grpc.aio.AioRpcError, match="NOT_DUE: more than half"):
            await stub.Renew(wire.RenewRequest(request=request(own, port.booth.key)), timeout=10)
    aged = Party(port.folder / "aged", BOOTH, now=present() - timedelta(days=420))  # of 825
    port.trust(aged)
    async with port.channel(aged) as channel:
        renew = wire.RenewRequest(request=request(LANE, aged.key))
        issued = await EnrollmentServiceStub(channel).Renew(renew, timeout=10)
        assert x509.load_der_x509_certificate(issued.certificate).public_key() == aged.key.public_key()
    async with port.channel(port.office) as channel:
        with pytest.raises(grpc.aio.AioRpcError, match="NOT_TRUSTED"):
            await EnrollmentServiceStub(channel).Renew(wire.RenewRequest(request=b""), timeout=10)
    credentials = grpc.ssl_channel_credentials(port.gateway.pair[1])
    async with grpc.aio.secure_channel(enrolling(port), credentials) as channel:
        with pytest.raises(grpc.aio.AioRpcError, match="NOT_TRUSTED"):
            await EnrollmentServiceStub(channel).Renew(wire.RenewRequest(request=b""), timeout=10)


async def test_a_certificate_is_renewed_under_way_and_nothing_is_refused(
    port: EnrollingPort, trust: TrustStore, tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    create_identity(tmp_path, "booth", LANE, present() - timedelta(days=80), valid_for=timedelta(days=90))
    booth = Booth(tmp_path, port, "booth.key")
    booth.trust()
    before = load_certificate(tmp_path / "booth.crt")

    await booth.run_until(lambda: booth.acked() >= 1 and active(trust) not in ([], [before]))
    after = load_certificate(tmp_path / "booth.crt")
    assert after.issuer != after.subject
    assert after.not_valid_after_utc > present() + timedelta(days=80)
    await booth.run_until(lambda: booth.acked() >= 2)
    troubles = [r.getMessage() for r in caplog.records if r.levelname in ("WARNING", "ERROR")]
    assert not [text for text in troubles if "refused" in text or "no connection" in text], troubles


# The long form: RENEWALS=1000 python -m pytest -m proof tests/integration/keys/test_renewal.py
RENEWALS = int(os.environ.get("RENEWALS", "150"))
PATIENCE_S = 130 + RENEWALS


async def renewed(port: EnrollingPort, trust: TrustStore, folder: Path, renewals: int) -> list[LinkState]:
    """How the link stood while a booth renewed its certificate so often, and events came all the time."""
    create_identity(folder, "booth", LANE, present(), valid_for=timedelta(hours=12))
    booth = Booth(folder, port, "booth.key")
    booth.trust()
    assert port.running is not None
    booth.write(port.running.address)
    setup = booth.setup()
    identity = setup.identity()
    authority = Authority.load(folder / "ca/ca.key", folder / "ca/ca.crt", timedelta(days=1))
    signer, links, recorded = identity.signer(None), list[LinkState](), 0
    clock, began = SystemClock(), present()
    quick = setup.uplink.model_copy(update={"certificate_look_s": 0.01})
    async with open_ledger(setup.ledger, BOOTH, signer, clock, "1.0", lambda *_: None) as ledger:
        uplink = Uplink(quick, UplinkPort(quick, identity), ledger.outbox, clock, "1.0", lambda s, _: links.append(s))
        ledger.recorder.notify(uplink.wake)
        async with asyncio.timeout(PATIENCE_S), asyncio.TaskGroup() as group:
            running = group.create_task(uplink.run())
            for turn in range(1, renewals + 1):
                now = began - timedelta(seconds=renewals - turn)  # each ends later than the one before, and counts now
                issued = authority.issue(LANE, signer.public_key, now)
                identity.accept(issued.public_bytes(serialization.Encoding.DER))
                while active(trust) != [issued]:
                    await ledger.recorder.record(alarm(recorded))
                    recorded += 1
                    await asyncio.sleep(0.002)
                if turn % 100 == 0:
                    print(f"{turn} renewals, {recorded} events", flush=True)
            while ledger.outbox.acked_through() <= recorded:
                await asyncio.sleep(0.01)
            running.cancel()
    assert audit(port.settings())[0].events == recorded + 1
    return links


@pytest.mark.parametrize(
    "renewals", [4, pytest.param(RENEWALS, marks=[pytest.mark.proof, pytest.mark.timeout(PATIENCE_S + 20)])]
)
async def test_renewed_again_and_again_under_load_no_acknowledgement_is_dropped(
    port: EnrollingPort, trust: TrustStore, tmp_path: Path, renewals: int
) -> None:
    assert await renewed(port, trust, tmp_path, renewals) == [LinkState.UP]  # never down, never refused


@pytest.mark.proof
async def test_a_booth_that_leaves_before_all_is_acknowledged_is_found(
    port: EnrollingPort, trust: TrustStore, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    takes_leave = Uplink._follow_certificate

    async def hangs_up(uplink: Uplink) -> None:
        await takes_leave(uplink)
        uplink._leaving.clear()
        raise PortUnreachable("the booth hung up", "dial again")

    monkeypatch.setattr(Uplink, "_follow_certificate", hangs_up)
    assert LinkState.DOWN in await renewed(port, trust, tmp_path, 4)
