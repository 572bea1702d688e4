"""A booth with real keys, and drafts for it."""

import asyncio
import resource
import signal
from collections.abc import Callable, Iterator, Mapping
from contextlib import AbstractAsyncContextManager, contextmanager
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest

from edge_agent.domain.clock import Clock, ClockState, Instant, SystemClock
from edge_agent.domain.event import AlarmRaised, Draft, InspectionClosed, InspectionOpened
from edge_agent.domain.evidence import Evidence, EvidenceKind
from edge_agent.domain.inspection import Abandoned, Inspection
from edge_agent.domain.observation import RadiationKind
from edge_agent.ledger.housekeeping import Keeping
from edge_agent.ledger.recorder import Ledger, open_ledger
from edge_agent.ledger.signer import DeviceKey, open_signer
from edge_agent.wire.identity import PublicKey, SpiffeId, certificate_key, create_identity, key_id, load_certificate
from tests.integration.ledger.gated_token import Token

AT = Instant(datetime(2026, 3, 1, 12, 0, 0, 250_000, tzinfo=UTC), 7_000_000_000, ClockState.SYNCHRONISED)


def alarm(number: int, *evidence: Evidence) -> Draft:
    body = AlarmRaised("", "lane-1", "portal", RadiationKind.GAMMA, (number,), b"GA,%06d\r\n" % number)
    return Draft(body, AT, evidence)


def opened(inspection_id: str) -> Draft:
    return Draft(InspectionOpened(inspection_id, "lane-1", "presence"), AT)


def closed(inspection_id: str) -> Draft:
    return Draft(InspectionClosed(Inspection(inspection_id, "lane-1", AT, AT, Abandoned("test"))), AT)


def picture(size: int, fill: bytes = b"x") -> Evidence:
    return Evidence(EvidenceKind.FRAME, "image/jpeg", fill * size)


class HandClock:
    """Moved by the test alone; its wall clock may be set to anything."""

    def __init__(self) -> None:
        self.utc = AT.utc
        self.seconds = 1_000.0

    def now(self) -> Instant:
        return Instant(self.utc, round(self.seconds * 1e9), ClockState.SYNCHRONISED)

    def monotonic(self) -> float:
        return self.seconds

    def forward(self, seconds: float) -> None:
        self.seconds += seconds
        self.utc += timedelta(seconds=seconds)


@dataclass
class Booth:
    """Keys, a directory for the ledger, and what on_room said."""

    keys: Path
    directory: Path
    name: str = "lane-1"
    room: list[tuple[bool, str]] = field(default_factory=list)
    room_changed: asyncio.Event = field(default_factory=asyncio.Event)

    def __post_init__(self) -> None:
        create_identity(self.keys, self.name, SpiffeId.parse(self.booth_id), datetime(2026, 3, 1, tzinfo=UTC))

    @property
    def booth_id(self) -> str:
        return f"spiffe://uslrd/booth/{self.name}"

    @property
    def device_keys(self) -> Mapping[str, PublicKey]:
        key = certificate_key(load_certificate(self.keys / f"{self.name}.crt"))
        return {key_id(key): key}

    def device(self) -> DeviceKey:
        return open_signer(f"file:{self.keys}/{self.name}.key")

    def _on_room(self, has_room: bool, detail: str) -> None:
        self.room.append((has_room, detail))
        self.room_changed.set()

    async def until_no_room(self) -> None:
        async with asyncio.timeout(30):
            await self.room_changed.wait()
        assert [has_room for has_room, _ in self.room] == [False]

    def open(
        self,
        max_waiting: int = 256,
        full_retry_s: float = 0.05,
        vfs: str | None = None,
        clock: Clock | None = None,
        keeping: Keeping | None = None,
        session_s: float | None = None,
        device: DeviceKey | None = None,
    ) -> AbstractAsyncContextManager[Ledger]:
        return open_ledger(
            self.directory,
            self.booth_id,
            device or self.device(),
            clock or SystemClock(),
            "1.0",
            self._on_room,
            keeping=keeping,
            max_waiting=max_waiting,
            full_retry_s=full_retry_s,
            vfs=vfs,
            session_s=session_s,
        )


@pytest.fixture
def booth(tmp_path: Path) -> Booth:
    return Booth(tmp_path / "keys", tmp_path / "ledger")


@pytest.fixture
def clock() -> HandClock:
    return HandClock()


@pytest.fixture
def token(booth: Booth) -> Iterator[Token]:
    token = Token(booth.device())
    yield token
    token.open.set()


async def until(what: Callable[[], bool]) -> None:
    """Waits for what the recorder's thread is about to do."""
    async with asyncio.timeout(30):
        while not what():
            await asyncio.sleep(0.002)


@contextmanager
def largest_file(size: int) -> Iterator[None]:
    """No file of this process may grow beyond `size` bytes: a real refusal by the kernel to write more."""
    before = resource.getrlimit(resource.RLIMIT_FSIZE)
    ignored = signal.signal(signal.SIGXFSZ, signal.SIG_IGN)
    resource.setrlimit(resource.RLIMIT_FSIZE, (size, before[1]))
    try:
        yield
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, before)
        signal.signal(signal.SIGXFSZ, ignored)
