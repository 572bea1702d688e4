"""Pages of the port's list, as they come to a booth."""

from dataclasses import replace
from datetime import UTC, datetime, timedelta

from edge_agent.domain.expected import ExpectationList, ExpectedCrossing, ExpectedPlate
from edge_agent.wire.codec_expected import crossing_message, list_message
from edge_agent.wire.v1alpha1.watch_pb2 import ExpectationsPage

NOW = datetime(2026, 11, 22, 12, tzinfo=UTC)
LIST = ExpectationList(b"l" * 16, 1, 2**63 + 5)


def crossing(id: str, plate: str = "TX1234", *codes: str, hours: float = 24) -> ExpectedCrossing:
    plates = (ExpectedPlate(plate),) if plate else ()
    return ExpectedCrossing(id, NOW + timedelta(hours=hours), plates=plates, container_codes=codes)


def page(
    *put: ExpectedCrossing, revision: int = 1, whole: bool = False, newest: bool = True, removed: tuple[str, ...] = ()
) -> ExpectationsPage:
    held = list_message(replace(LIST, revision=revision))
    messages = [crossing_message(one) for one in put]
    return ExpectationsPage(list=held, whole=whole, newest=newest, put=messages, removed=removed)
