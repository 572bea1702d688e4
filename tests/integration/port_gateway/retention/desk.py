"""A port's inbox that a booth fills, with evidence, and a clock that the test moves."""

import hashlib
from dataclasses import dataclass
from datetime import timedelta

from edge_agent.domain.clock import ClockState, Instant
from edge_agent.domain.event import AlarmRaised, DecisionRecorded, EventBody, InspectionClosed
from edge_agent.domain.evidence import EvidenceKind, EvidenceRef
from edge_agent.domain.finding import Decision
from edge_agent.domain.inspection import Complete, Inspection
from edge_agent.domain.observation import RadiationKind
from edge_agent.domain.retention import PORT_DAYS, PORT_EVENT_DAYS
from edge_agent.wire.chain import Head
from edge_agent.wire.identity import key_id
from edge_agent.wire.verify import Chain, verify_next
from port_gateway.evidence import EvidenceFiles
from port_gateway.inbox import Inbox
from port_gateway.retention import Retention
from port_gateway.retention_events import EventRetention
from port_gateway.retention_worker import RetentionWorker
from port_gateway.store import Store
from tests.integration.port_gateway.conftest import Port
from tests.unit.port_gateway.signing import INSTANT, NOW, Ledger, device_event

ID = "3f8a5d2e-0c41-4a6e-9d57-1b2c3d4e5f6{}"
RULE = "events of inspections with standing clear are kept for 365 days"
DECIDED = DecisionRecorded(ID.format(3), "1", Decision.RELEASE, "R. Vega", "papers seen", 7, b"m" * 16)


class Clock:
    """The port's, moved by the test."""

    def __init__(self) -> None:
        self.days = self.seconds = 0.0

    def now(self) -> Instant:
        return Instant(NOW + timedelta(days=self.days), round(self.seconds * 1e9), ClockState.SYNCHRONISED)

    def monotonic(self) -> float:
        return self.seconds

    def forward(self, days: float) -> None:
        self.days += days
        self.seconds += days * 86_400


def closed(number: int) -> EventBody:
    return InspectionClosed(Inspection(ID.format(number), "1", INSTANT, INSTANT, Complete()))


def alarmed(number: int) -> EventBody:
    return AlarmRaised(ID.format(number), "1", "portal", RadiationKind.GAMMA, (1,), b"")


def ref(data: bytes, kind: EvidenceKind = EvidenceKind.PLATE_CROP) -> EvidenceRef:
    return EvidenceRef(kind, "image/jpeg", hashlib.sha256(data).digest(), len(data))


@dataclass
class Desk:
    port: Port
    store: Store
    ledger: Ledger
    clock: Clock

    def receive(self, body: EventBody, *evidence: EvidenceRef, ledger: Ledger | None = None) -> None:
        """One event comes in, verified as the gateway does."""
        ledger = ledger or self.ledger
        party = self.port.booth if ledger is self.ledger else self.port.other_booth
        ledger.add(body, evidence=evidence)
        key = party.key.public_key()
        chain, verified = Chain(Head(ledger.booth_id, ledger.epoch), {key_id(key): key}), []
        for envelope in ledger.envelopes:
            verified.append(verify_next(chain, envelope))
            chain = verified[-1].chain
        with self.store.reading() as db:
            seq = db.execute("SELECT coalesce(max(seq), 0) FROM event WHERE booth_id = ?", (ledger.booth_id,)).get
        assert isinstance(seq, int)
        before = verified[seq - 1].chain.head if seq else Head(ledger.booth_id, ledger.epoch)
        Inbox(self.store, self.clock).append(before, verified[seq:]).result()

    def arrive(self, *pieces: bytes) -> None:
        for data in pieces:
            path = self.files.path(hashlib.sha256(data).digest())
            path.parent.mkdir(parents=True, exist_ok=True)
            path.write_bytes(data)

    @property
    def files(self) -> EvidenceFiles:
        return EvidenceFiles(self.port.settings().evidence)

    @property
    def retention(self) -> Retention:
        return Retention(self.store, self.files, PORT_DAYS, self.clock)

    @property
    def events(self) -> EventRetention:
        return EventRetention(self.store, self.files, PORT_EVENT_DAYS, self.clock)

    def worker(self) -> RetentionWorker:
        return RetentionWorker(self.retention, self.events, self.store, self.clock, 300)

    def run(self) -> int:
        return sum(self.retention.run())

    def here(self, *pieces: bytes) -> list[bytes]:
        return [data for data in pieces if self.files.complete(hashlib.sha256(data).digest())]


def a_year_ago(desk: Desk) -> None:
    """1 session, 2 and 3 of a clear inspection, 4 of a device, 5 and 6 of an alarm, 7 a decision, 8 of a device."""
    desk.receive(closed(1), ref(b"crop"))
    desk.receive(closed(1))
    desk.receive(device_event())
    desk.receive(closed(2))
    desk.receive(alarmed(2))
    desk.receive(DECIDED)
    desk.receive(device_event())
    desk.run()
    assert end(desk) == 0


def end(desk: Desk) -> int:
    return sum(desk.events.run())
