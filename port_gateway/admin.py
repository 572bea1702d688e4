"""What a supervisor asks on this machine: the standard health service, and descriptions of the gateway's services.

Without TLS, and therefore on loopback alone. The answer follows the truth: NOT_SERVING while the gateway drains, when
its store failed, and while the store has no room or another process locks it.
"""

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager, suppress

import apsw
import grpc
import grpc.aio
from grpc_health.v1 import health, health_pb2, health_pb2_grpc
from grpc_reflection.v1alpha import reflection

from edge_agent.domain.errors import EdgeAgentError, PortUnreachable
from edge_agent.wire.v1alpha1 import services_pb2, watch_pb2
from port_gateway.config import Admin
from port_gateway.store import Store

SERVICES = tuple(
    sorted(one.full_name for file in (services_pb2, watch_pb2) for one in file.DESCRIPTOR.services_by_name.values())
)
LOOK_S = 0.25
# A store is tried with as much as a batch: a reader's cursor or a late event may still find room in a full one.
PROBE_S = 5.0
PROBE_BYTES = 256 * 1024
ANSWER_S = 5.0
# Any user of this machine may ask, and watch for as long as he likes.
MAX_CALLS = 64


class Health:
    """Says of the gateway, and of each of its services, whether it is serving."""

    def __init__(self) -> None:
        self.servicer = health.aio.HealthServicer()
        self._serving: bool | None = None

    async def say(self, serving: bool) -> None:
        """For '' and for every service."""
        if serving is self._serving:
            return
        self._serving = serving
        status = health_pb2.HealthCheckResponse.SERVING if serving else health_pb2.HealthCheckResponse.NOT_SERVING
        for name in ("", *SERVICES):
            await self.servicer.set(name, status)

    async def drain(self) -> None:
        """NOT_SERVING from now on, whatever is said later."""
        await self.servicer.enter_graceful_shutdown()


@asynccontextmanager
async def administered(settings: Admin | None, store: Store) -> AsyncIterator[tuple[Health, str]]:
    """The admin port while the block runs: its health, and its address; '' without `settings`.

    Raises PortUnreachable (the address cannot be listened on).
    """
    said = Health()
    if settings is None:
        yield said, ""
        return
    server = grpc.aio.server(options=[("grpc.so_reuseport", 0)], maximum_concurrent_rpcs=MAX_CALLS)
    health_pb2_grpc.add_HealthServicer_to_server(said.servicer, server)
    names = (*SERVICES, health.SERVICE_NAME, reflection.SERVICE_NAME)
    reflection.enable_server_reflection(names, server)
    try:
        port = server.add_insecure_port(settings.listen)
    except RuntimeError:
        raise PortUnreachable(f"cannot listen on {settings.listen}", "is another program using it?") from None
    await _try(store)  # it may have been full already when it was opened
    await said.say(store.writable)
    await server.start()
    watching = asyncio.ensure_future(_watch(store, said))
    try:
        yield said, f"{settings.listen.rpartition(':')[0]}:{port}"
    finally:
        watching.cancel()
        await server.stop(0.2)


async def _watch(store: Store, said: Health) -> None:
    looks = 0
    while True:
        await said.say(store.writable)
        looks += 1
        if not store.writable and looks % round(PROBE_S / LOOK_S) == 0:
            await _try(store)
        await asyncio.sleep(LOOK_S)


async def _try(store: Store) -> None:
    """Whether the store takes events; it knows afterwards."""
    with suppress(EdgeAgentError):
        await asyncio.wrap_future(store.submit(_probe))
        store.has_room()


def _probe(db: apsw.Connection) -> None:
    """Raises FullError while there is no room for a few events."""
    db.execute(
        "INSERT INTO alarm (booth_id, epoch, seq, code, detail, envelope, received_utc_us)"
        " VALUES ('', x'', 0, 'PROBE', '', zeroblob(?), 0)",
        (PROBE_BYTES,),
    )
    db.execute("DELETE FROM alarm WHERE code = 'PROBE'")


def ask(address: str, service: str = "") -> str:
    """SERVING, NOT_SERVING or SERVICE_UNKNOWN. Raises PortUnreachable."""
    with grpc.insecure_channel(address) as channel:
        try:
            request = health_pb2.HealthCheckRequest(service=service)
            answer = health_pb2_grpc.HealthStub(channel).Check(request, timeout=ANSWER_S)
        except grpc.RpcError as error:
            if error.code() is grpc.StatusCode.NOT_FOUND:
                return "SERVICE_UNKNOWN"
            raise PortUnreachable(f"{address}: {error.code().name}", "is `port-gateway serve` running?") from None
    return str(health_pb2.HealthCheckResponse.ServingStatus.Name(answer.status))
