"""The real gateway on one address, and a booth's two uplinks to it over one port, as the agent runs them."""

import asyncio
import contextlib
import random
import shutil
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import apsw

from edge_agent.domain.clock import SystemClock
from edge_agent.ledger.recorder import Ledger
from edge_agent.uplink.client import Uplink
from edge_agent.uplink.evidence import EvidenceUplink
from edge_agent.uplink.link import LinkState
from edge_agent.wire.chain import Head
from edge_agent.wire.identity import load_certificate
from port_gateway.audit import Counts, audit
from port_gateway.config import Identity, Limits, Settings
from port_gateway.inbox import Inbox
from port_gateway.serve import Gateway, running
from port_gateway.store import Store
from port_gateway.trust import TrustStore
from tests.integration.uplink.conftest import Site


@dataclass
class RealPort:
    """A gateway's folder, and the booth of `site`, which it knows."""

    site: Site
    folder: Path
    limits: Limits = field(default_factory=lambda: Limits(heartbeat_s=0.2, drain_s=5, back_after_s=0))
    links: list[tuple[LinkState, str]] = field(default_factory=list)

    def __post_init__(self) -> None:
        self.begin()

    @property
    def data(self) -> Path:
        return self.folder / "data"

    def settings(self) -> Settings:
        keys = self.site.keys
        identity = Identity(key=keys / "gateway.key", certificate=keys / "gateway.crt")
        return Settings(identity=identity, listen=self.site.address, data=self.data, limits=self.limits)

    def begin(self) -> None:
        """An empty inbox that knows the booth."""
        with contextlib.closing(Store(self.settings().database)) as store:
            trust = TrustStore(store, SystemClock())
            trust.add([load_certificate(self.site.booth.keys / f"{self.site.booth.name}.crt")], False)

    def back_up(self) -> Path:
        return Path(shutil.copytree(self.data, self.folder / "backup", dirs_exist_ok=True))

    def restore(self, backup: Path | None) -> None:
        """An older copy in place of the data; None: an empty inbox."""
        shutil.rmtree(self.data)
        if backup is None:
            self.begin()
        else:
            shutil.copytree(backup, self.data)

    @asynccontextmanager
    async def serving(self) -> AsyncIterator[Gateway]:
        async with running(self.settings()) as gateway:
            self.site.address = gateway.address
            yield gateway

    @asynccontextmanager
    async def sending(self, ledger: Ledger, **changes: Any) -> AsyncIterator[None]:
        """Both uplinks at work."""
        settings = self.site.settings(**changes)
        port = self.site.port(settings)
        clock, rng = SystemClock(), random.Random(1)

        def on_link(state: LinkState, why: str) -> None:
            self.links.append((state, why))

        events = Uplink(settings, port, ledger.outbox, clock, "1.0", on_link, rng)
        evidence = EvidenceUplink(settings, port, ledger.outbox, clock, lambda _, __: None, rng)
        for one in (events, evidence):
            ledger.recorder.notify(one.wake)
        tasks = [asyncio.ensure_future(events.run()), asyncio.ensure_future(evidence.run())]
        try:
            yield
        finally:
            for task in tasks:
                task.cancel()
            await asyncio.wait(tasks)

    def rows(self, query: str) -> list[tuple[Any, ...]]:
        with contextlib.closing(apsw.Connection(str(self.settings().database))) as db:
            return list(db.execute(query))

    def held(self) -> int:
        """Events in the inbox."""
        return int(self.rows("SELECT count(*) FROM event")[0][0])

    def root(self, ledger: Ledger) -> tuple[int, bytes]:
        """Size and RFC 6962 root of the booth's chain, from what the port keeps of it."""
        with contextlib.closing(Store(self.settings().database)) as store:
            inbox = Inbox(store, SystemClock())
            chain = inbox.chain(Head(ledger.outbox.booth_id, ledger.outbox.epoch), self.site.booth.device_keys)
            tree, _ = inbox.tree(chain.head)
        return tree.size, tree.root()

    def audit(self) -> Counts:
        """Everything verified, as `port-gateway verify` does it."""
        return audit(self.settings())[0]
