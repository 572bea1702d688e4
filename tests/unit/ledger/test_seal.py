import hashlib
from dataclasses import replace
from datetime import UTC, datetime

import pytest

from edge_agent.domain.clock import ClockState, Instant
from edge_agent.domain.event import (
    AlarmRaised,
    DeviceChanged,
    Draft,
    EventBody,
    InspectionClosed,
    InspectionOpened,
    SessionOpened,
)
from edge_agent.domain.evidence import Evidence, EvidenceKind
from edge_agent.domain.inspection import Complete, Inspection
from edge_agent.domain.observation import DeviceState, DeviceStatus, RadiationKind
from edge_agent.ledger.seal import seal
from edge_agent.ledger.signer import SessionSigner
from edge_agent.wire.chain import Head
from edge_agent.wire.identity import load_public_key
from edge_agent.wire.refused import RefusalCode, Refused
from edge_agent.wire.verify import Chain, Session, verify_next

AT = Instant(datetime(2026, 3, 1, 12, 0, 0, 250_000, tzinfo=UTC), 7_000_000_000, ClockState.SYNCHRONISED)
HEAD = Head("spiffe://uslrd/booth/lane-1", bytes(range(16)), 41, hashlib.sha256(b"the event before").digest())
ALARM = AlarmRaised("insp-1", "lane-1", "portal", RadiationKind.GAMMA, (900, 1200), b"GA,900,1200\r\n")


@pytest.mark.parametrize(
    ("body", "kind", "inspection_id"),
    [
        (InspectionOpened("insp-1", "lane-1", "presence"), "inspection_opened", "insp-1"),
        (InspectionClosed(Inspection("insp-2", "lane-1", AT, AT, Complete())), "inspection_closed", "insp-2"),
        (ALARM, "alarm_raised", "insp-1"),
        (replace(ALARM, inspection_id=""), "alarm_raised", ""),
        (DeviceChanged("portal", "lane-1", DeviceStatus(DeviceState.ONLINE)), "device_changed", ""),
    ],
)
def test_a_sealed_event_is_the_next_link_and_verifies(body: EventBody, kind: str, inspection_id: str) -> None:
    signer = SessionSigner()
    sealed = seal(Draft(body, AT), HEAD, signer)
    assert (sealed.seq, sealed.kind, sealed.inspection_id) == (42, kind, inspection_id)
    assert sealed.sha256 == hashlib.sha256(sealed.envelope).digest()
    assert sealed.head_after == HEAD.after(sealed.sha256)
    chain = Chain(HEAD, {}, Session.of(load_public_key(signer.public_key)))
    verified = verify_next(chain, sealed.envelope)
    assert verified.event.id == sealed.id
    assert verified.chain.head == sealed.head_after


def test_evidence_is_named_in_the_event_and_beside_it() -> None:
    picture = Evidence(EvidenceKind.FRAME, "image/jpeg", b"not really a picture")
    signer = SessionSigner()
    sealed = seal(Draft(ALARM, AT, (picture,)), HEAD, signer)
    assert sealed.evidence == (picture.ref,)
    chain = Chain(HEAD, {}, Session.of(load_public_key(signer.public_key)))
    (named,) = verify_next(chain, sealed.envelope).event.evidence
    assert (named.sha256, named.size, named.kind) == (picture.sha256, 20, "frame")


def test_sealing_does_not_move_the_head() -> None:
    signer = SessionSigner()
    first, second = (seal(Draft(ALARM, AT), HEAD, signer) for _ in range(2))
    assert first.seq == second.seq == HEAD.seq + 1
    assert first.id != second.id


def test_an_event_that_the_port_would_never_take_is_refused() -> None:
    body = SessionOpened(bytes(200_000), "1")
    with pytest.raises(Refused) as refused:
        seal(Draft(body, AT), HEAD, SessionSigner())
    assert refused.value.code is RefusalCode.OVERSIZED
    assert refused.value.seq == 42
