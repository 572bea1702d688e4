"""The events of earlier runs that are not in any count of a lane yet, read back from the ledger."""

from collections.abc import Collection

from edge_agent.domain.event import (
    AlarmRaised,
    DeviceChanged,
    Draft,
    EventBody,
    InspectionClosed,
    InspectionOpened,
    Recorded,
    SessionOpened,
    Unassigned,
)
from edge_agent.domain.inspection import (
    Inspection,
    Voted,
    VotedCode,
)
from edge_agent.domain.joining import Away
from edge_agent.domain.observation import DeviceState, DeviceStatus, Observation, Opaque, RadiationKind
from edge_agent.ledger.instants import instant_of
from edge_agent.ledger.outbox import LedgerReader
from edge_agent.wire.codec_recall import outcome_of
from edge_agent.wire.codec_statistics import read_statistics
from edge_agent.wire.v1alpha1 import event_pb2 as wire

# Some hours of a busy booth; what lies before is not looked at.
LAST_EVENTS = 10_000
# Vehicles and gaps that begin before what is counted.
CONTEXT_EVENTS = 256
_STATES = {
    wire.DEVICE_STATE_ONLINE: DeviceState.ONLINE,
    wire.DEVICE_STATE_WAITING: DeviceState.WAITING,
    wire.DEVICE_STATE_OFFLINE: DeviceState.OFFLINE,
    wire.DEVICE_STATE_FAILED: DeviceState.FAILED,
}


def uncounted(reader: LedgerReader, lanes: Collection[str]) -> list[Recorded]:
    """The ledger's last events, from somewhat before the last count of each of `lanes`, oldest first; of what its
    devices did, from the beginning of that run. Raises StoreFailed, StoreCorrupt."""
    return [recorded_of(event) for event in reader.since_counted(lanes, LAST_EVENTS, CONTEXT_EVENTS)]


def recorded_of(event: wire.Event) -> Recorded:
    """An event, as far as it is counted."""
    at = instant_of(event.at)
    try:
        found = _counted(event)
    except ValueError:  # of another version: nobody could add it up
        found = None
    return Recorded(at) if found is None else Recorded(at, found[0], Draft(found[1], at))


def _counted(event: wire.Event) -> tuple[str, EventBody] | None:
    """The lane, and what is said. Raises ValueError for words that this version does not know."""
    match event.WhichOneof("body"):
        case "session_opened" if not event.session_opened.while_running:  # a run of the agent begins
            return "", SessionOpened(event.session_opened.public_key, event.session_opened.agent_version)
        case "lane_statistics":
            return event.lane_statistics.lane_id, read_statistics(event.lane_statistics)
        case "inspection_opened":
            opened = event.inspection_opened
            return opened.lane_id, InspectionOpened(opened.inspection_id, opened.lane_id, opened.cause)
        case "inspection_closed":
            closed = event.inspection_closed.inspection
            return closed.lane_id, InspectionClosed(_inspection(closed))
        case "alarm_raised":
            alarm = event.alarm_raised
            neutron = alarm.kind == wire.RADIATION_KIND_NEUTRON
            kind = RadiationKind.NEUTRON if neutron else RadiationKind.GAMMA
            return alarm.lane_id, AlarmRaised(alarm.inspection_id, alarm.lane_id, alarm.device_id, kind, (), b"")
        case "unassigned":
            one = event.unassigned
            place = (one.observation_id, one.device_id, one.lane_id, instant_of(event.at))
            return one.lane_id, Unassigned(Observation(*place, Opaque(one.kind, ())))
        case "device_changed" if event.device_changed.HasField("status"):
            changed = event.device_changed
            status = DeviceStatus(_STATES[changed.status.state]) if changed.status.state in _STATES else None
            return (
                None if status is None else (changed.lane_id, DeviceChanged(changed.device_id, changed.lane_id, status))
            )
        case _:
            return None


def _inspection(message: wire.Inspection) -> Inspection:
    """What is counted of a record."""
    return Inspection(
        message.id,
        message.lane_id,
        instant_of(message.opened),
        instant_of(message.closed),
        outcome_of(message),
        plate=_voted(message.plate) if message.HasField("plate") else None,
        container_codes=tuple(VotedCode(_voted(code.vote), code.check_digit_ok) for code in message.container_codes),
        resumed=tuple(Away(instant_of(a.since), instant_of(a.until), a.stopped) for a in message.resumed),
    )


def _voted(vote: wire.Voted) -> Voted:
    return Voted(vote.text, vote.confidence, (), vote.reads, vote.reads_other)
