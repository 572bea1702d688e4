"""The running gateway: the inbox, the services over it, and one mTLS port."""

import asyncio
import contextlib
import fcntl
import os
import signal
from collections.abc import AsyncIterator, Callable, Iterator
from datetime import timedelta
from pathlib import Path
from typing import Any

import grpc
from cryptography import x509
from cryptography.hazmat.primitives import serialization

from edge_agent.domain.clock import Clock, SystemClock
from edge_agent.domain.errors import (
    EdgeAgentError,
    Fatal,
    IdentityInvalid,
    PortUnreachable,
    Recoverable,
    StoreFailed,
)
from edge_agent.wire.identity import (
    Role,
    SpiffeId,
    certificate_key,
    identity_of,
    key_id,
    load_certificate,
    load_certificates,
    load_private_key,
)
from edge_agent.wire.v1alpha1 import services_pb2_grpc as services
from edge_agent.wire.v1alpha1.watch_pb2_grpc import add_BoothServiceServicer_to_server
from port_gateway.admin import administered
from port_gateway.authority import Authority
from port_gateway.config import Limits, Settings
from port_gateway.config_witnesses import asked
from port_gateway.enrollment import Enrollment
from port_gateway.evidence import EvidenceFiles
from port_gateway.expected import Expectations
from port_gateway.inbox import Inbox
from port_gateway.ingest import Ingest
from port_gateway.retention import Retention
from port_gateway.retention_events import EventRetention
from port_gateway.retention_worker import RetentionWorker
from port_gateway.store import Store
from port_gateway.subscribe import Bell, Subscriptions
from port_gateway.time_authority import TimeAuthority
from port_gateway.time_tokens import Stamping, TimeTokens
from port_gateway.trees import Receipts
from port_gateway.trust import TrustStore
from port_gateway.upload import EvidenceUpload
from port_gateway.watch import Watching
from port_gateway.witnesses import Witnesses, Witnessing

# A full batch with its framing, or one envelope of twice the allowed size, so that it is refused by its code.
MAX_MESSAGE_BYTES = 512 * 1024
# Anybody may call where booths enrol: a token and a request are small, and nobody stays.
_ENROLL_OPTIONS = (
    ("grpc.max_receive_message_length", 16 * 1024),
    ("grpc.max_concurrent_streams", 2),
    ("grpc.so_reuseport", 0),
    ("grpc.max_connection_idle_ms", 30_000),
    ("grpc.max_connection_age_ms", 60_000),
    ("grpc.max_connection_age_grace_ms", 10_000),
)
_ENROLL_CALLS = 16
STOP_GRACE_S = 2.0
# So many times of `keepalive_s` after its last call, a connection is ended; who is still there dials again.
NOTHING_RUNS = 10
# How soon a revocation ends open streams; a look is one indexed row.
TRUST_LOOK_S = 0.25


def _options(limits: Limits) -> tuple[tuple[str, int], ...]:
    return (
        ("grpc.max_receive_message_length", MAX_MESSAGE_BYTES),
        ("grpc.max_concurrent_streams", 64),
        ("grpc.so_reuseport", 0),
        # A booth's connection may be silent for hours and must be known dead soon: both sides ping.
        ("grpc.keepalive_time_ms", round(1000 * limits.keepalive_s)),
        ("grpc.keepalive_timeout_ms", round(1000 * limits.keepalive_timeout_s)),
        ("grpc.http2.ping_timeout_ms", round(1000 * limits.keepalive_timeout_s)),  # measured: this is what ends it
        # gRPC's client keeps a connection for good when a call on it ended in the middle of a write: measured.
        ("grpc.max_connection_idle_ms", round(1000 * NOTHING_RUNS * limits.keepalive_s)),
        ("grpc.keepalive_permit_without_calls", 1),
        ("grpc.http2.max_pings_without_data", 0),  # a reader to whom nothing is sent is asked all the same
        ("grpc.http2.min_recv_ping_interval_without_data_ms", 15_000),
    )


class Gateway:
    """Everything that `serve` runs, for a command or a test. `async with running(settings) as gateway`."""

    def __init__(
        self,
        identity: SpiffeId,
        address: str,
        failed: "asyncio.Future[Fatal]",
        enroll_address: str = "",
        admin_address: str = "",
    ) -> None:
        self.identity = identity
        self.admin_address = admin_address  # '' where there is no admin port
        self.enroll_address = enroll_address  # '' where booths do not enrol
        self.address = address
        self.failed = failed


async def serve(settings: Settings, ready: Callable[[Gateway], None]) -> None:
    """Serve until SIGTERM or SIGINT, then drain. Raises the store's failure, and what `running` raises."""
    stop = asyncio.Event()
    loop = asyncio.get_running_loop()
    for number in (signal.SIGTERM, signal.SIGINT):
        loop.add_signal_handler(number, stop.set)
    async with running(settings) as gateway:
        ready(gateway)
        stopping = asyncio.ensure_future(stop.wait())
        waiting: list[asyncio.Future[Any]] = [stopping, gateway.failed]
        await asyncio.wait(waiting, return_when=asyncio.FIRST_COMPLETED)
        stopping.cancel()
        if gateway.failed.done():
            raise gateway.failed.result()


@contextlib.asynccontextmanager
async def running(settings: Settings, clock: Clock | None = None) -> AsyncIterator[Gateway]:
    """A gateway that serves while the block runs, and drains after it.

    Raises IdentityInvalid, StoreCorrupt, StoreFailed, Recoverable (in use by another gateway), PortUnreachable
    (the address cannot be listened on).
    """
    clock = clock or SystemClock()
    identity, pair = _identity(settings)
    loop = asyncio.get_running_loop()
    bell, failed = Bell(), loop.create_future()
    with _alone(settings.data), contextlib.closing(Store(settings.database, settings.limits.database_bytes)) as store:
        store.on_commit = lambda: _on_loop(loop, bell.ring)
        store.on_failure = lambda error: _on_loop(loop, lambda: failed.set_result(error))  # at most once
        authority, authorities = authorities_of(settings)
        inbox, files = Inbox(store, clock), EvidenceFiles(settings.evidence)
        trust = TrustStore(store, clock, authorities)
        receipts = Receipts(identity, load_private_key(settings.identity.key), clock)
        tokens = _time_tokens(settings, store, receipts, clock)
        witnesses = _witnesses(settings, store, receipts, clock)
        kept = Retention(store, files, settings.retention.days.rules(), clock)
        events = EventRetention(store, files, settings.retention.events.rule(), clock)
        retention = RetentionWorker(kept, events, store, clock, 60 * settings.retention.every_min)
        ingest = Ingest(inbox, trust, settings.limits, receipts)
        doubt = Bell()
        subscriptions = Subscriptions(inbox, files, trust, settings.limits, bell, doubt)
        server = grpc.aio.server(options=_options(settings.limits))
        services.add_IngestServiceServicer_to_server(ingest, server)
        services.add_EvidenceServiceServicer_to_server(
            EvidenceUpload(files, inbox, trust, settings.limits.idle_s), server
        )
        services.add_SubscribeServiceServicer_to_server(subscriptions, server)
        watching = Watching(store, Expectations(store, clock), trust, settings.limits, clock, identity.port)
        add_BoothServiceServicer_to_server(watching, server)
        enrollment = Enrollment(store, trust, authority, clock)
        services.add_EnrollmentServiceServicer_to_server(enrollment, server)
        address = _listen(server, settings.listen, _credentials(pair, trust))
        enrolling = grpc.aio.server(options=_ENROLL_OPTIONS, maximum_concurrent_rpcs=_ENROLL_CALLS)
        enroll_address = ""
        services.add_EnrollmentServiceServicer_to_server(enrollment, enrolling)
        if settings.enroll is not None:
            enroll_address = _listen(enrolling, settings.enroll.listen, grpc.ssl_server_credentials([pair]))
        await server.start()
        await enrolling.start()
        async with administered(settings.admin, store) as (health, admin_address):
            looking = [
                asyncio.ensure_future(_watch_trust(trust, doubt, ingest, watching)),
                asyncio.ensure_future(watching.run()),
            ]
            if tokens is not None:
                tokens.start()
            if witnesses is not None:
                witnesses.start()
            retention.start()
            try:
                yield Gateway(identity, address, failed, enroll_address, admin_address)
            finally:
                for look in looking:
                    look.cancel()
                if tokens is not None:
                    tokens.stop()
                if witnesses is not None:
                    witnesses.stop()
                retention.stop()
                await health.drain()
                await asyncio.gather(subscriptions.stop(), ingest.stop(), watching.stop())
                await enrolling.stop(None)
                await server.stop(STOP_GRACE_S)


async def _watch_trust(trust: TrustStore, doubt: Bell, ingest: Ingest, watching: Watching) -> None:
    """`trust add` and `trust revoke` write beside the gateway, which looks for it."""
    version = -1
    while True:
        with contextlib.suppress(EdgeAgentError):  # the store's own failure ends the gateway
            newest = (await asyncio.to_thread(trust.current)).version
            if newest != version:
                version = newest
                doubt.ring()
                ingest.doubt()
                watching.doubt()
        await asyncio.sleep(TRUST_LOOK_S)


def _time_tokens(settings: Settings, store: Store, receipts: Receipts, clock: Clock) -> TimeTokens | None:
    """Raises IdentityInvalid."""
    if settings.time is None:
        return None
    roots = load_certificates(settings.time.authority)
    if len(roots) != 1:
        raise IdentityInvalid(
            f"{settings.time.authority}: {len(roots)} certificates",
            "give the time-stamp authority's root alone: its answers bring the others",
        )
    gateway, root = (
        certificate.public_bytes(serialization.Encoding.DER)
        for certificate in (load_certificate(settings.identity.certificate), roots[0])
    )
    authority = TimeAuthority(settings.time.url, settings.time.timeout_s)
    return TimeTokens(store, Stamping(receipts, gateway, authority, root, 60 * settings.time.every_min), clock)


def _witnesses(settings: Settings, store: Store, receipts: Receipts, clock: Clock) -> Witnesses | None:
    """Raises IdentityInvalid, SettingsInvalid, StoreFailed."""
    if settings.witnesses is None:
        return None
    section, policy = settings.witnesses, asked(settings.witnesses.policy)
    certificate = load_certificate(settings.identity.certificate).public_bytes(serialization.Encoding.DER)
    witnessing = Witnessing(receipts, certificate, policy, 60 * section.every_min, section.timeout_s)
    return Witnesses(store, witnessing, clock)


def authorities_of(settings: Settings) -> tuple[Authority | None, list[x509.Certificate]]:
    """The gateway's own authority, and all whose certificates it takes. Raises IdentityInvalid."""
    own, found = None, []
    if settings.enroll is not None:
        enroll = settings.enroll
        own = Authority.load(enroll.key, enroll.certificate, timedelta(days=enroll.days))
        found.append(own.certificate)
    for path in settings.authorities:
        found.extend(load_certificates(path))
    return own, found


def _listen(server: grpc.aio.Server, address: str, credentials: grpc.ServerCredentials) -> str:
    try:
        port = server.add_secure_port(address, credentials)
    except RuntimeError:
        raise PortUnreachable(
            f"cannot listen on {address}", "is another program using it, or is it no address of this computer?"
        ) from None
    return f"{address.rpartition(':')[0]}:{port}"


def _identity(settings: Settings) -> tuple[SpiffeId, tuple[bytes, bytes]]:
    key = load_private_key(settings.identity.key)
    certificate = load_certificate(settings.identity.certificate)
    identity = identity_of(certificate)
    if identity.role is not Role.GATEWAY:
        raise IdentityInvalid(f"{identity} is a {identity.role}", "give the gateway a gateway's certificate")
    if key_id(key.public_key()) != key_id(certificate_key(certificate)):
        raise IdentityInvalid(
            f"{settings.identity.key} does not belong to {settings.identity.certificate}",
            "give the pair of `keys init`",
        )
    pem = key.private_bytes(serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8, serialization.NoEncryption())
    return identity, (pem, certificate.public_bytes(serialization.Encoding.PEM))


def _credentials(pair: tuple[bytes, bytes], trust: TrustStore) -> grpc.ServerCredentials:
    """TLS that asks for the registered certificates at every handshake, so that `trust add` works at once.

    It is told only what has changed: gRPC aborts the process when it replaces its settings while another handshake
    takes them up (grpc/grpc#36693), and would replace them at every handshake.
    """
    # The gateway's own certificate keeps the list from being empty, and opens nothing (peers.py).
    known = pair[1] + trust.roots_pem()

    def changed() -> grpc.ServerCertificateConfiguration | None:
        nonlocal known
        try:
            roots = pair[1] + trust.roots_pem()
        except EdgeAgentError:
            return None  # the services look again, and end the call in words
        if roots == known:
            return None
        known = roots
        return grpc.ssl_server_certificate_configuration([pair], roots)

    first = grpc.ssl_server_certificate_configuration([pair], known)
    fetch: Any = changed  # types-grpcio does not know that None stands for no change
    return grpc.dynamic_ssl_server_credentials(first, fetch, require_client_authentication=True)


def _on_loop(loop: asyncio.AbstractEventLoop, what: Callable[[], object]) -> None:
    with contextlib.suppress(RuntimeError):  # the loop has ended, and with it everyone who listens
        loop.call_soon_threadsafe(what)


@contextlib.contextmanager
def _alone(data: Path) -> Iterator[None]:
    """One gateway a data folder."""
    try:
        data.mkdir(parents=True, exist_ok=True, mode=0o700)
        descriptor = os.open(data / "gateway.lock", os.O_RDWR | os.O_CREAT, 0o600)
    except OSError as error:
        raise StoreFailed(f"{data}: cannot be written: {error.strerror}", "check `data` in the settings") from None
    try:
        try:
            fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            raise Recoverable(f"{data} is served by another gateway", "stop it, or give another `data`") from None
        yield
    finally:
        os.close(descriptor)
