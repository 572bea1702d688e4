"""Expected crossings and how a record compares with them: the domain's words and the wire's messages."""

from datetime import UTC, datetime, timedelta

from edge_agent.domain import expected as domain
from edge_agent.domain.errors import Permanent
from edge_agent.wire.clipping import clip
from edge_agent.wire.v1alpha1 import expected_pb2 as wire

_EPOCH = datetime(1970, 1, 1, tzinfo=UTC)
# As in a record (wire/codec_inspection.py).
MAX_READ = 64
MAX_DETAIL = 200
_LAST_US = 253_402_300_799_999_999  # the year 9999
_LOADING = {domain.Loading.LADEN: wire.LOADING_LADEN, domain.Loading.EMPTY: wire.LOADING_EMPTY}
_LOADING_OF = {number: loading for loading, number in _LOADING.items()}
_OUTCOMES = {
    domain.MatchOutcome.MATCHED: wire.MATCH_OUTCOME_MATCHED,
    domain.MatchOutcome.AMBIGUOUS: wire.MATCH_OUTCOME_AMBIGUOUS,
    domain.MatchOutcome.NONE: wire.MATCH_OUTCOME_NONE,
    domain.MatchOutcome.COULD_NOT_LOOK: wire.MATCH_OUTCOME_COULD_NOT_LOOK,
}
_TIMINGS = {
    domain.ArrivalTiming.WITHIN: wire.ARRIVAL_TIMING_WITHIN,
    domain.ArrivalTiming.EARLY: wire.ARRIVAL_TIMING_EARLY,
    domain.ArrivalTiming.LATE: wire.ARRIVAL_TIMING_LATE,
}
_VERDICTS = {
    domain.IdentifierVerdict.SAME: wire.IDENTIFIER_VERDICT_SAME,
    domain.IdentifierVerdict.LOOKS_ALIKE: wire.IDENTIFIER_VERDICT_LOOKS_ALIKE,
    domain.IdentifierVerdict.ONE_CHARACTER_OFF: wire.IDENTIFIER_VERDICT_ONE_CHARACTER_OFF,
    domain.IdentifierVerdict.WITHOUT_CHECK_DIGIT: wire.IDENTIFIER_VERDICT_WITHOUT_CHECK_DIGIT,
    domain.IdentifierVerdict.OTHER: wire.IDENTIFIER_VERDICT_OTHER,
    domain.IdentifierVerdict.NOT_READ: wire.IDENTIFIER_VERDICT_NOT_READ,
    domain.IdentifierVerdict.UNDECLARED: wire.IDENTIFIER_VERDICT_UNDECLARED,
}


class ExpectationUnreadable(Permanent):
    """A message that is no possible expectation."""


def microseconds(at: datetime) -> int:
    """Since 1970-01-01T00:00:00Z."""
    return (at - _EPOCH) // timedelta(microseconds=1)


def moment(utc_us: int) -> datetime:
    """Raises ExpectationUnreadable where a date has no such number."""
    if not 0 <= utc_us <= _LAST_US:
        raise ExpectationUnreadable(f"a time of {utc_us} microseconds", "compare the versions of both ends")
    return _EPOCH + timedelta(microseconds=utc_us)


def crossing_message(crossing: domain.ExpectedCrossing) -> wire.ExpectedCrossing:
    """One expectation."""
    message = wire.ExpectedCrossing(
        id=crossing.id,
        booth_ids=crossing.booth_ids,
        lane_ids=crossing.lane_ids,
        plates=[wire.ExpectedPlate(text=plate.text, role=plate.role) for plate in crossing.plates],
        container_codes=crossing.container_codes,
        seals=crossing.seals,
        scac=crossing.scac,
        gross_weight_kg=crossing.gross_weight_kg,
        loading=wire.LOADING_UNSPECIFIED if crossing.loading is None else _LOADING[crossing.loading],
        programmes=crossing.programmes,
        expires_utc_us=microseconds(crossing.expires),
        note=crossing.note,
    )
    if crossing.arrives_from is not None:
        message.arrives_from_utc_us = microseconds(crossing.arrives_from)
    if crossing.arrives_until is not None:
        message.arrives_until_utc_us = microseconds(crossing.arrives_until)
    return message


def crossing_of(message: wire.ExpectedCrossing) -> domain.ExpectedCrossing:
    """One expectation as it was sent or kept. Raises ExpectationUnreadable if it is an impossible one."""
    crossing = domain.ExpectedCrossing(
        id=message.id,
        expires=moment(message.expires_utc_us),
        booth_ids=tuple(message.booth_ids),
        lane_ids=tuple(message.lane_ids),
        plates=tuple(domain.ExpectedPlate(plate.text, plate.role) for plate in message.plates),
        container_codes=tuple(message.container_codes),
        seals=tuple(message.seals),
        scac=message.scac,
        gross_weight_kg=message.gross_weight_kg if message.HasField("gross_weight_kg") else None,
        loading=_LOADING_OF.get(message.loading),
        programmes=tuple(message.programmes),
        arrives_from=moment(message.arrives_from_utc_us) if message.HasField("arrives_from_utc_us") else None,
        arrives_until=moment(message.arrives_until_utc_us) if message.HasField("arrives_until_utc_us") else None,
        note=message.note,
    )
    for mistake in domain.mistakes(crossing):
        # A programme or role that a newer port knows is no reason to expect nobody.
        if mistake.fault is not domain.ExpectationFault.PROGRAMME_UNKNOWN:
            raise ExpectationUnreadable(
                f"the expectation {crossing.id[:64]!r}: {mistake.fault}: {mistake.field}: {mistake.wrong}",
                "it is left out; compare the versions of both ends",
            )
    return crossing


def list_message(held: domain.ExpectationList) -> wire.ExpectationList:
    """Which state of the list."""
    return wire.ExpectationList(list_id=held.list_id, revision=held.revision, mark=held.mark)


def list_of(message: wire.ExpectationList) -> domain.ExpectationList:
    """Which state of the list."""
    return domain.ExpectationList(message.list_id, message.revision, message.mark)


def match_message(match: domain.ExpectationMatch) -> wire.ExpectationMatch:
    """How a record compares with what was expected."""
    return wire.ExpectationMatch(
        outcome=_OUTCOMES[match.outcome],
        expectation_ids=match.expectation_ids[: domain.MAX_AMBIGUOUS],
        identifiers=[
            wire.IdentifierComparison(
                kind=one.kind.value,
                declared=one.declared,
                read=clip(one.read, MAX_READ),
                role=one.role,
                verdict=_VERDICTS[one.verdict],
            )
            for one in match.identifiers
        ],
        timing=wire.ARRIVAL_TIMING_UNSPECIFIED if match.timing is None else _TIMINGS[match.timing],
        outside_s=match.outside_s,
        list=None if match.list is None else list_message(match.list),
        list_age_s=match.list_age_s,
        expected=None if match.expected is None else crossing_message(match.expected),
        detail=clip(match.detail, MAX_DETAIL),
    )
