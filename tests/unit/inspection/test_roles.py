"""Roles of plates and codes, and what each device read, by the numbers of the rules in inspection/roles.py."""

import pytest

from edge_agent.domain.event import InspectionClosed
from edge_agent.domain.inspection import Expected, Inspection
from edge_agent.domain.joining import CodeRole, TextRead
from edge_agent.domain.observation import Body, Direction, Observation, Presence, TagRead
from edge_agent.inspection.assemble import Assembly, Provider
from edge_agent.inspection.roles import alike, same_plate
from edge_agent.inspection.whereabouts import End
from tests.unit.inspection.script import code, plate, seal
from tests.unit.inspection.script import instant as at

SERIES = {"AAA0000": 0.6, "AAA000": 0.4}
SEES = {"front": End.FRONT, "rear": End.REAR, "side": End.ANY, "other side": End.ANY}


def record(*said: tuple[str, Body], series: dict[str, float] | None = None) -> Inspection:
    """What devices said, a second apart, as one record."""
    assembly = Assembly("i", "1", at(0))
    for n, (device, body) in enumerate(said):
        assembly.join(Observation(f"o{n}", device, "1", at(n), body))
    providers = {d: Provider(d, frozenset({Expected.PLATE, Expected.CONTAINER_CODE}), sees=e) for d, e in SEES.items()}
    closing = assembly.close(at(99), (), providers, None, series=series or {}).body
    assert isinstance(closing, InspectionClosed)
    return closing.inspection


def roles(inspection: Inspection) -> list[tuple[str, str]]:
    assert (inspection.plates[0].vote if inspection.plates else None) == inspection.plate
    return [(p.role.value, p.vote.text) for p in inspection.plates]


def test_rule_1_tractor_and_trailer() -> None:
    said = record(("front", plate("ABC1234")), *[("rear", plate("TRL5678"))] * 5)
    assert roles(said) == [("tractor", "ABC1234"), ("trailer", "TRL5678")]


def test_rule_1_one_vehicle_with_one_plate_at_both_ends() -> None:
    said = record(("front", plate("ABC1234")), ("rear", plate("ABC1284", 0.5)), ("rear", plate("ABC1234")))
    assert roles(said) == [("tractor", "ABC1234")]
    assert said.plate is not None
    assert (said.plate.reads, said.plate.others) == (2, ("ABC1284",))


def test_rule_1_read_at_the_rear_alone() -> None:
    assert roles(record(("rear", plate("TRL5678")))) == [("rear", "TRL5678")]
    assert roles(record()) == []


def test_rule_2_a_camera_at_the_side_speaks_for_what_an_end_showed() -> None:
    said = record(("front", plate("ABC1234", 0.6)), ("side", plate("ABC1234")), ("side", plate("TRL5678")))
    assert roles(said) == [("tractor", "ABC1234")]
    assert said.plates[0].vote.reads == 2
    said = record(("rear", plate("TRL5678")), *[("side", plate("ABC1234"))] * 3)
    assert roles(said) == [("unknown", "ABC1234"), ("rear", "TRL5678")]
    assert roles(record(("side", plate("ABC1234")), ("other side", plate("ABC1234")))) == [("unknown", "ABC1234")]


@pytest.mark.parametrize(
    ("text", "role"),
    [("CSQU3054383", CodeRole.CONTAINER), ("CSQZ3054381", CodeRole.CHASSIS), ("CSQJ3054384", CodeRole.EQUIPMENT)],
)
def test_rule_3_what_carries_a_code(text: str, role: CodeRole) -> None:
    [found] = record(("side", code(text))).container_codes
    assert (found.role, found.place) == (role, 0)


def places(inspection: Inspection) -> dict[str, int]:
    return {c.vote.text: c.place for c in inspection.container_codes}


def test_rule_4_of_two_containers_the_one_seen_first_is_the_foremost() -> None:
    one, two = code("CSQU3054383", size_type="22G1"), code("MSKU0383250", size_type="22G1")
    said = record(("side", one), ("side", one), ("side", two), ("side", two), ("side", two))
    assert places(said) == {"CSQU3054383": 1, "MSKU0383250": 2}
    chassis = record(("side", one), ("side", code("ABCZ1234567")), ("side", two))
    assert places(chassis) == {"CSQU3054383": 1, "MSKU0383250": 2, "ABCZ1234567": 0}


def test_rule_4_what_contradicts_itself_is_not_known() -> None:
    one, two = code("CSQU3054383"), code("MSKU0383250")
    unknown = {"CSQU3054383": 0, "MSKU0383250": 0}
    assert places(record(("side", one), ("side", two), ("side", one))) == unknown
    assert places(record(("side", one), ("side", two), ("other side", two), ("other side", one))) == unknown
    assert places(record(("side", one), ("other side", two))) == unknown
    backwards = Presence(False, Direction.BACKWARD)
    assert places(record(("side", one), ("side", two), ("gate", backwards))) == unknown


def test_rule_5_devices_that_disagree_are_named_with_what_they_read() -> None:
    said = record(
        *[("front", plate("ABC1234", 0.9))] * 2,
        ("side", plate("A8C1234", 0.5)),
        ("side", code("CSQU3054388")),
        ("rear", code("CSQU305438")),
        series=SERIES,
    )
    assert [(r.device_id, r.what, r.sees, r.texts) for r in said.device_reads] == [
        ("front", "plate", "front", (TextRead("ABC1234", 2, 0.9, True),)),
        ("side", "plate", "any", (TextRead("A8C1234", 1, 0.5, False),)),
        ("side", "container_code", "any", (TextRead("CSQU3054388", 1, 0.9, False),)),
        ("rear", "container_code", "rear", (TextRead("CSQU305438", 1, 0.9, None),)),
    ]
    assert said.plate is not None
    assert said.plate.in_series is True


def test_the_form_of_the_regions_plates_decides_between_looks_that_are_as_good() -> None:
    looks = [("side", plate("A8C1234", 0.8)), ("side", plate("ABC1234", 0.8))]
    for said in (looks, looks[::-1]):
        inspection = record(*said, series=SERIES)
        assert inspection.plate is not None
        assert (inspection.plate.text, inspection.plate.in_series, inspection.plate.others) == (
            *("ABC1234", True),
            ("A8C1234",),
        )


def test_and_corrects_nothing_that_was_read_clearly() -> None:
    looks = [("side", plate("A8C1234", 0.99))] * 3 + [("side", plate("ABC1234", 0.6))]
    said = record(*looks, series=SERIES)
    assert said.plate is not None
    assert (said.plate.text, said.plate.in_series) == ("A8C1234", False)
    only = record(("side", plate("A8C1234", 0.3)), series=SERIES)
    assert only.plate is not None
    assert only.plate.text == "A8C1234", "what nobody read is never the result"
    assert record(*looks).plate is not None


def test_a_tag_that_states_an_identifier_of_the_vehicle_says_so() -> None:
    tags = [TagRead(f"E{n}", text) for n, text in enumerate(("ABC-1234", "CSQU3054383", "ML-1", "other", ""))]
    said = record(
        ("front", plate("ABC1234")),
        ("side", code("CSQU3054383")),
        ("scanner", seal("ML1")),
        *[("uhf", t) for t in tags],
    )
    assert [t.states for t in said.tags] == [Expected.PLATE, Expected.CONTAINER_CODE, Expected.SEAL, None, None]


def test_what_counts_as_the_same_plate_and_as_alike() -> None:
    assert same_plate("ABC1O34", "ABC1034")
    assert same_plate("ABC1234", "ABC1284")
    assert not same_plate("ABC1234", "ABD1284")
    assert not same_plate("ABC1234", "ABC123")
    assert alike("ABC1234", "BC1234")
    assert not alike("ABC1234", "XYZ7890")
