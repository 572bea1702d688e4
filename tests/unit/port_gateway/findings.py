"""An inbox that takes events of booths, for tests of what follows from them."""

from typing import Any

import apsw

from edge_agent.domain import event as domain
from edge_agent.domain.evidence import EvidenceRef
from edge_agent.domain.identifiers import check_digit_ok
from edge_agent.domain.inspection import (
    Complete,
    Inspection,
    PlateSeen,
    SealSeen,
    SealStateSeen,
    TagSeen,
    Voted,
    VotedCode,
)
from edge_agent.domain.observation import SealCondition, SealState, TagRead
from edge_agent.wire.chain import Head
from edge_agent.wire.identity import key_id
from edge_agent.wire.v1alpha1.watch_pb2 import WatchResponse
from edge_agent.wire.verify import Chain, verify_next
from port_gateway.booth_messages import waiting
from port_gateway.inbox import Inbox
from port_gateway.store import Store
from tests.unit.port_gateway.signing import INSTANT, Ledger, Party


class AtPort:
    """One booth's ledger, and the port that takes its events one by one."""

    def __init__(self, store: Store, inbox: Inbox, booth: Party) -> None:
        self.store, self.inbox = store, inbox
        self.ledger = Ledger(booth.identity, booth.key)
        key = booth.key.public_key()
        self.chain = Chain(Head(booth.identity, self.ledger.epoch), {key_id(key): key})
        self._take(self.ledger.envelopes[0])

    def says(self, body: domain.EventBody, *evidence: EvidenceRef) -> None:
        self._take(self.ledger.add(body, evidence=evidence))

    def closes(self, inspection_id: str = "i-1", *evidence: EvidenceRef, **seen: Any) -> None:
        self.says(domain.InspectionClosed(closed(inspection_id, **seen)), *evidence)

    def _take(self, envelope: bytes) -> None:
        verified = verify_next(self.chain, envelope)
        self.inbox.append(self.chain.head, [verified]).result(20)
        self.chain = verified.chain

    def waiting(self) -> list[WatchResponse]:
        return [message for _, message in waiting(self.store, self.ledger.booth_id, 0)]

    def run(self, work: Any) -> Any:
        return self.store.submit(work).result(20)

    def rows(self, query: str) -> list[Any]:
        def read(db: apsw.Connection) -> list[Any]:
            return list(db.execute(query).fetchall())

        with self.store.reading() as db:
            return read(db)


def closed(
    inspection_id: str = "i-1",
    plates: tuple[str, ...] = (),
    codes: tuple[str, ...] = (),
    seals: tuple[str, ...] = (),
    states: tuple[str, ...] = (),
    tags: tuple[TagRead, ...] = (),
) -> Inspection:
    votes = [Voted(text, 0.9, (), 3) for text in plates]
    return Inspection(
        inspection_id,
        "1",
        INSTANT,
        INSTANT,
        Complete(),
        plate=votes[0] if votes else None,
        plates=tuple(PlateSeen(vote) for vote in votes),
        container_codes=tuple(VotedCode(Voted(code, 0.9, (), 3), check_digit_ok(code)) for code in codes),
        seals=tuple(SealSeen(seal, "", "scanner", INSTANT) for seal in seals),
        seal_states=tuple(SealStateSeen(SealState(s, SealCondition.PRESENT), "reader", INSTANT) for s in states),
        tags=tuple(TagSeen(tag, "reader", INSTANT) for tag in tags),
    )
