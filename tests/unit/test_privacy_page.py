"""docs/privacy.md says what the code does: its tables are the defaults, and what it says of logs holds."""

import re
from pathlib import Path

import pytest

from edge_agent.config_retention import RetentionSettings
from edge_agent.domain.event import Draft, InspectionClosed, Unassigned
from edge_agent.domain.inspection import Complete, Inspection, SealSeen, TagSeen, Voted, VotedCode
from edge_agent.domain.observation import Box, Observation, PlateRead, TagRead
from edge_agent.domain.retention import BOOTH_DAYS, PORT_DAYS, PORT_EVENT_DAYS, EvidenceRules
from edge_agent.inspection.words import in_words
from edge_agent.wire.v1alpha1.event_pb2 import Event
from port_gateway.config_retention import Retention
from port_gateway.retention_events import OF_VEHICLES
from tests.unit.port_gateway.signing import INSTANT

PAGE = (Path(__file__).parents[2] / "docs" / "privacy.md").read_text()


def table(rules: EvidenceRules) -> list[str]:
    rows = ["| evidence | clear | finding | referred |", "| --- | --- | --- | --- |"]
    for kind, days in rules.items():
        cells = ["-" if one is None else f"{one:g}" for one in (days.clear, days.finding, days.referred)]
        rows.append(f"| {kind} | {' | '.join(cells)} |")
    return rows


@pytest.mark.parametrize(("place", "rules"), [("booth", BOOTH_DAYS), ("port", PORT_DAYS)])
def test_the_tables_are_the_defaults(place: str, rules: EvidenceRules) -> None:
    found = re.search(rf"<!-- {place} -->\n(.*?)\n<!-- end -->", PAGE, re.DOTALL)
    assert found is not None
    assert found[1].splitlines() == table(rules)


def test_the_table_of_events_is_the_default() -> None:
    days = PORT_EVENT_DAYS
    row = f"| of an inspection | {days.clear:g} | {days.finding:g} | {days.referred:g} |"
    found = re.search(r"<!-- events -->\n(.*?)\n<!-- end -->", PAGE, re.DOTALL)
    assert found is not None
    assert found[1].splitlines()[2:] == [row]
    assert Retention().events.rule() == days


def test_every_kind_of_event_either_has_an_end_or_is_known_to_name_nobody() -> None:
    stay = {
        *("session_opened", "key_rotated"),  # whose signatures count
        *("device_changed", "lane_statistics", "storage_level"),
        *("evidence_shed", "evidence_deleted", "events_trimmed"),  # digests and sequences
    }
    assert {field.name for field in Event.DESCRIPTOR.oneofs_by_name["body"].fields} == stay | OF_VEHICLES
    assert not stay & OF_VEHICLES


def test_the_defaults_in_words() -> None:
    booth = RetentionSettings()
    assert booth.rules().days == BOOTH_DAYS
    assert Retention().days.rules() == PORT_DAYS
    flat = " ".join(PAGE.split())
    assert f"for {booth.wait_min:g} minutes (`retention.wait_min`)" in flat
    assert f"for {booth.wait_longest_h:g} hours of running (`retention.wait_longest_h`)" in flat
    assert f"removed `retention.set_aside_days` ({booth.set_aside_days:g}) days after" in flat


def test_what_a_lane_logs_names_no_vehicle() -> None:
    def vote(text: str) -> Voted:
        return Voted(text, 0.9, (), 3, 1, ("7ABC12B",))

    tag = TagRead("E200341201")
    inspection = Inspection(
        *("3f8a5d2e", "1", INSTANT, INSTANT, Complete(), vote("7ABC123"), (VotedCode(vote("MSKU9070323"), True),)),
        seals=(SealSeen("SEAL0042", "", "scanner", INSTANT),),
        tags=(TagSeen(tag, "reader", INSTANT),),
    )
    read = Observation("o", "front", "1", INSTANT, PlateRead("7ABC123", 0.9, (), Box(0, 0, 9, 9)), b"7ABC123")
    said = in_words(Draft(InspectionClosed(inspection), INSTANT)) + in_words(Draft(Unassigned(read), INSTANT))
    assert "vehicle done" in said
    assert "belongs to no vehicle" in said
    for identifier in ("7ABC12", "MSKU", "SEAL0042", "E2003"):
        assert identifier not in said
