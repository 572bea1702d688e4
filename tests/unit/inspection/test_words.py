import pytest

from edge_agent.domain.event import (
    AlarmRaised,
    DeviceChanged,
    Draft,
    EventBody,
    InspectionClosed,
    InspectionOpened,
    Unassigned,
)
from edge_agent.domain.inspection import (
    Abandoned,
    Complete,
    Expected,
    Incomplete,
    Inspection,
    Missing,
    MissingReason,
    SealSeen,
    Voted,
    VotedCode,
)
from edge_agent.domain.observation import DeviceState, Observation, RadiationKind
from edge_agent.inspection.words import in_words
from tests.unit.inspection.script import instant, occupancy, plate, seal, status

VOTE = Voted("ABC123", 0.9, (), 3)
CODE = VotedCode(Voted("CSQU3054388", 0.9, (), 3), check_digit_ok=False)
SEAL = SealSeen("ML-1", "", "scanner", instant(1))
DISAGREES = occupancy(1, gamma_alarm=True)
MISSING = Missing(Expected.SEAL, MissingReason.NOT_SEEN)


def closed(outcome: Complete | Incomplete | Abandoned, **seen: object) -> InspectionClosed:
    return InspectionClosed(Inspection("i", "1", instant(1), instant(2), outcome, **seen))  # type: ignore[arg-type]


@pytest.mark.parametrize(
    ("body", "expected"),
    [
        (InspectionOpened("i", "1", "plate"), "vehicle arrived (plate)"),
        (closed(Complete(), plate=VOTE, container_codes=(CODE,), seals=(SEAL,), radiation=(occupancy(),)),
         "vehicle done, complete: plate, container code (check digit), seal"),
        (closed(Incomplete((MISSING,)), radiation=(DISAGREES,)),
         "vehicle done, without seal (not seen): RADIATION ALARM, radiation cross-check disagrees"),
        (closed(Complete(), plate=VOTE, seals=(SEAL, SEAL)), "vehicle done, complete: plate, 2 × seal"),
        (closed(Abandoned("stopped")), "vehicle done, abandoned: stopped: nothing read"),
        (AlarmRaised("i", "1", "portal", RadiationKind.GAMMA, (9, 8), b""),
         "RADIATION ALARM gamma at portal, counts 9 8"),
        (Unassigned(Observation("o", "scanner", "1", instant(1), seal("ML-1"))),
         "belongs to no vehicle: seal read of scanner"),
        (Unassigned(Observation("o", "front", "1", instant(1), plate("A1"))),
         "belongs to no vehicle: plate read of front"),
        (DeviceChanged("portal", "1", status(DeviceState.ONLINE)), ""),
    ],
)  # fmt: skip
def test_what_a_person_reads(body: EventBody, expected: str) -> None:
    assert in_words(Draft(body, instant(1))) == expected
