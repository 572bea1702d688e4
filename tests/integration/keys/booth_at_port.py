"""A booth in a folder, its agent as a whole, and a real gateway beside it."""

import asyncio
import contextlib
from collections.abc import AsyncIterator, Callable
from pathlib import Path

from edge_agent import agent
from edge_agent.config import Setup, read_config
from edge_agent.domain.clock import Clock, SystemClock
from edge_agent.domain.errors import StoreCorrupt, StoreFailed
from edge_agent.ledger.outbox import LedgerReader
from edge_agent.wire.identity import load_certificate
from tests.integration.port_gateway.conftest import Port

BOOTH = "spiffe://uslrd/booth/lane-7"


class Booth:
    """`key` is what stands in `identity.key`; the certificate is booth.crt."""

    def __init__(self, folder: Path, port: Port, key: str) -> None:
        self.folder, self.port, self.key = folder, port, key
        self.config = folder / "booth.yaml"
        self.clock: Clock = SystemClock()
        self.write("127.0.0.1:1")

    def write(self, address: str) -> None:
        self.config.write_text(
            f"identity: {{key: '{self.key}', certificate: booth.crt}}\nledger: {{directory: ledger}}\n"
            f"uplink: {{gateway: '{address}', gateway_certificate: gw/main.crt, back_off_s: 0.05, back_off_max_s: 0.1,"
            " certificate_look_s: 0.05, refused_retry_s: 0.2, renewal_look_s: 0.05}\nlanes: [{id: 1, expects: []}]\n"
        )

    def setup(self) -> Setup:
        return read_config(self.config, files=False)

    def trust(self) -> None:
        with contextlib.closing(self.port.store()) as store:
            self.port.trust_store(store).add([load_certificate(self.folder / "booth.crt")])

    @contextlib.asynccontextmanager
    async def running(self) -> AsyncIterator["asyncio.Task[None]"]:
        assert self.port.running is not None
        self.write(self.port.running.address)
        stop = asyncio.Event()
        running = asyncio.ensure_future(agent.run(self.setup(), self.clock, stop))
        try:
            yield running
        finally:
            stop.set()
            await running

    async def run_until(self, condition: Callable[[], bool]) -> None:
        """The agent runs until `condition`, or until it ends by itself: then with its error."""
        async with self.running() as running, asyncio.timeout(30):
            while not running.done() and not condition():
                await asyncio.sleep(0.01)

    def acked(self) -> int:
        try:
            with contextlib.closing(LedgerReader(self.folder / "ledger")) as reader:
                return reader.acked_through()
        except (StoreFailed, StoreCorrupt):  # it is only just being made
            return 0
