"""Expected crossings over the wire and back, and how a record compares, with nothing lost or guessed."""

from datetime import UTC, datetime, timedelta

import pytest

from edge_agent.domain.expected import (
    ArrivalTiming,
    ExpectationList,
    ExpectationMatch,
    ExpectedCrossing,
    ExpectedPlate,
    IdentifierComparison,
    IdentifierKind,
    IdentifierVerdict,
    Loading,
    MatchOutcome,
)
from edge_agent.wire import codec_expected as codec
from edge_agent.wire.codec_expected import ExpectationUnreadable
from edge_agent.wire.v1alpha1 import expected_pb2 as wire

AT = datetime(2026, 11, 22, 12, 0, 0, 123456, tzinfo=UTC)
FULL = ExpectedCrossing(
    "ACE-1",
    AT + timedelta(days=1),
    ("spiffe://uslrd/booth/lane-1",),
    ("1", "2"),
    (ExpectedPlate("TX1234", "tractor"), ExpectedPlate("55AK7")),
    ("CSQU3054383",),
    ("JH123456",),
    "ABCD",
    36_287.5,
    Loading.EMPTY,
    ("FAST", "C-TPAT"),
    AT,
    AT + timedelta(hours=2),
    "hazmat",
)
BARE = ExpectedCrossing("A", AT, container_codes=("CSQU3054383",))


@pytest.mark.parametrize("crossing", [FULL, BARE])
def test_a_crossing_comes_back_as_it_was(crossing: ExpectedCrossing) -> None:
    message = wire.ExpectedCrossing.FromString(codec.crossing_message(crossing).SerializeToString())
    assert codec.crossing_of(message) == crossing


def test_what_a_newer_port_knows_more_is_no_reason_to_expect_nobody() -> None:
    message = codec.crossing_message(BARE)
    message.programmes.append("SMART")
    message.loading = 9  # type: ignore[assignment]
    assert codec.crossing_of(message).programmes == ("SMART",)
    assert codec.crossing_of(message).loading is None


@pytest.mark.parametrize(
    ("field", "value", "said"),
    [
        ("id", "x" * 100_000, "ID_INVALID"),
        ("note", "x" * 301, "NOTE_TOO_LONG"),
        ("scac", "1", "SCAC_INVALID"),
        ("gross_weight_kg", float("nan"), "WEIGHT_INVALID"),
        ("expires_utc_us", 2**63 - 1, "a time of"),
        ("arrives_from_utc_us", -1, "a time of"),
        ("arrives_until_utc_us", 2**62, "a time of"),
    ],
)
def test_an_impossible_crossing_is_named_and_not_taken(field: str, value: object, said: str) -> None:
    message = codec.crossing_message(FULL)
    setattr(message, field, value)
    with pytest.raises(ExpectationUnreadable, match=said) as refused:
        codec.crossing_of(message)
    assert len(str(refused.value)) < 500


def test_a_match_is_told_whole_and_within_bounds() -> None:
    seal = IdentifierComparison(IdentifierKind.SEAL, "JH123456", "x" * 1000, IdentifierVerdict.OTHER)
    plate = IdentifierComparison(
        IdentifierKind.PLATE, "TX1234", "TX1284", IdentifierVerdict.ONE_CHARACTER_OFF, "tractor"
    )
    held = ExpectationList(b"l" * 16, 7, 2**64 - 1)
    message = codec.match_message(
        ExpectationMatch(MatchOutcome.MATCHED, ("ACE-1",), FULL, (plate, seal), ArrivalTiming.LATE, 90, held, 12)
    )
    assert codec.list_of(message.list) == held
    assert codec.crossing_of(message.expected) == FULL
    assert (message.outcome, message.timing, message.outside_s, message.list_age_s) == (
        wire.MATCH_OUTCOME_MATCHED,
        wire.ARRIVAL_TIMING_LATE,
        90,
        12,
    )
    assert (message.identifiers[0].verdict, message.identifiers[0].role) == (
        wire.IDENTIFIER_VERDICT_ONE_CHARACTER_OFF,
        "tractor",
    )
    assert len(message.identifiers[1].read.encode()) <= codec.MAX_READ


def test_what_is_not_known_is_absent() -> None:
    message = codec.match_message(ExpectationMatch(MatchOutcome.COULD_NOT_LOOK, detail="x" * 1000))
    assert [field.name for field, _ in message.ListFields()] == ["outcome", "detail"]
    assert message.timing == wire.ARRIVAL_TIMING_UNSPECIFIED
    assert len(message.detail.encode()) <= codec.MAX_DETAIL
