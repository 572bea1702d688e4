"""States of modem-control lines in, presence and direction out."""

import pytest
from pydantic import ValidationError

from edge_agent.devices.sources.modem_lines import MASKS, Contacts, Settings
from edge_agent.domain.observation import Direction, Opaque, Presence, Reading

URL = "rfc2217://192.0.2.10:4001"
ENTRY, EXIT, LOOP = MASKS["cts"], MASKS["dsr"], MASKS["ri"]
TWO = {"cts": {"sensor": "entry"}, "dsr": {"sensor": "exit"}}
FORWARD, BACKWARD = Direction.FORWARD, Direction.BACKWARD


def contacts(**settings: object) -> Contacts:
    wired = {"url": URL, "lines": TWO, "forward": ("cts", "dsr"), "debounce_s": 0.1, **settings}
    return Contacts(Settings.model_validate(wired))


def presences(lines: Contacts, *states: tuple[float, int], until: float = 1000.0) -> list[tuple[float, Presence]]:
    """What is told while the lines take these states; they are woken when they ask to be."""
    readings: list[Reading] = []
    for now, state in (*states, (until, None)):
        while (wake := lines.next_wake()) is not None and wake <= now:
            readings += lines.woke(wake)
        if state is not None:
            readings += lines.seen(state, now)
    return [(r.at, r.body) for r in readings if isinstance(r.body, Presence)]


def test_every_state_is_kept_with_its_octet() -> None:
    (reading,) = contacts().seen(ENTRY | LOOP, 1.0)
    assert reading == Reading(Opaque("lines", ("entry occupied", "exit free")), 1.0, bytes([ENTRY | LOOP]))


def test_a_vehicle_drives_through() -> None:
    states = [(1.0, 0), (2.0, ENTRY), (3.0, ENTRY | EXIT), (4.0, EXIT), (5.0, 0)]
    assert presences(contacts(), *states) == [
        (1.0, Presence(False)),
        (2.0, Presence(True)),
        (3.0, Presence(True, FORWARD)),
        (5.0, Presence(False, FORWARD)),
    ]


def test_a_vehicle_comes_the_other_way() -> None:
    states = [(1.0, 0), (2.0, EXIT), (3.0, ENTRY | EXIT), (4.0, ENTRY), (5.0, 0)]
    assert presences(contacts(), *states)[1:] == [
        (2.0, Presence(True)),
        (3.0, Presence(True, BACKWARD)),
        (5.0, Presence(False, BACKWARD)),
    ]


def test_a_vehicle_that_backs_out_has_left_backward() -> None:
    states = [(1.0, 0), (2.0, ENTRY), (3.0, ENTRY | EXIT), (4.0, ENTRY), (5.0, 0)]
    assert presences(contacts(), *states)[2:] == [(3.0, Presence(True, FORWARD)), (5.0, Presence(False, BACKWARD))]


def test_a_vehicle_that_only_noses_in_has_no_direction() -> None:
    assert presences(contacts(), (1.0, 0), (2.0, ENTRY), (3.0, 0))[1:] == [
        (2.0, Presence(True)),
        (3.0, Presence(False)),
    ]


def test_rocking_on_a_contact_tells_nothing_new() -> None:
    states = [(1.0, 0), (2.0, ENTRY), (3.0, ENTRY | EXIT), (4.0, ENTRY), (5.0, ENTRY | EXIT), (6.0, EXIT), (7.0, 0)]
    assert presences(contacts(), *states)[2:] == [(3.0, Presence(True, FORWARD)), (7.0, Presence(False, FORWARD))]


def test_of_two_that_switch_together_nothing_is_said() -> None:
    assert presences(contacts(), (1.0, 0), (2.0, ENTRY | EXIT), (3.0, 0))[1:] == [
        (2.0, Presence(True)),
        (3.0, Presence(False)),
    ]


def test_the_vehicle_before_says_nothing_of_the_next() -> None:
    through = [(2.0, ENTRY), (3.0, ENTRY | EXIT), (4.0, EXIT), (5.0, 0)]
    assert presences(contacts(), (1.0, 0), *through, (6.0, EXIT), (7.0, 0))[-2:] == [
        (6.0, Presence(True)),
        (7.0, Presence(False)),
    ]


def test_connected_while_a_vehicle_stands_there() -> None:
    assert presences(contacts(), (1.0, ENTRY), (2.0, ENTRY | EXIT), (3.0, EXIT), (4.0, 0)) == [
        (1.0, Presence(True)),
        (2.0, Presence(True, FORWARD)),
        (4.0, Presence(False, FORWARD)),
    ]
    assert presences(contacts(), (1.0, ENTRY | EXIT), (3.0, EXIT), (4.0, 0)) == [
        (1.0, Presence(True)),
        (4.0, Presence(False, FORWARD)),
    ]


def test_connected_tells_one_presence_of_what_stands_there_then() -> None:
    assert presences(contacts(), (1.0, EXIT)) == [(1.0, Presence(True))]
    assert presences(contacts(), (1.0, ENTRY), (1.05, 0)) == [(1.05, Presence(False))], "it bounced when we came"
    gone = presences(contacts(), (1.0, ENTRY), (2.0, 0))
    assert gone[-1] == (2.0, Presence(False)), "it never met the second contact"


def test_bouncing_counts_once_and_is_dated_when_it_ended() -> None:
    bounces = [(2.0, ENTRY), (2.03, 0), (2.06, ENTRY), (2.09, 0), (2.12, ENTRY)]
    assert presences(contacts(), (1.0, 0), *bounces)[1:] == [(2.12, Presence(True))]
    lines = contacts()
    presences(lines, (1.0, 0))
    assert presences(lines, (2000.0, ENTRY), (2000.05, 0), until=3000) == [], "a spark is no vehicle"


def test_told_once_the_debounce_is_over_and_not_before() -> None:
    lines = contacts()
    presences(lines, (1.0, 0))
    lines.seen(ENTRY, 2000.0)
    assert lines.next_wake() == 2000.1
    assert lines.woke(2000.09) == []
    assert [r.body for r in lines.woke(2000.1)] == [Presence(True)]
    assert lines.next_wake() is None


def test_a_state_that_lasted_counts_even_if_nobody_woke_us() -> None:
    lines = contacts()
    lines.seen(0, 1.0)
    lines.seen(ENTRY, 2.0)
    told = [(r.at, r.body) for r in lines.seen(0, 3.0) if isinstance(r.body, Presence)]
    assert told == [(2.0, Presence(True))]


def test_without_debounce_it_is_told_at_once() -> None:
    readings = contacts(debounce_s=0).seen(ENTRY, 1.0)
    assert [type(r.body) for r in readings] == [Opaque, Presence]


def test_a_contact_that_a_vehicle_opens() -> None:
    barrier = {"dsr": {"sensor": "barrier", "occupied_when": "low"}}
    lines = contacts(lines=barrier, forward=None)
    assert presences(lines, (1.0, EXIT), (2.0, 0), (3.0, EXIT)) == [
        (1.0, Presence(False)),
        (2.0, Presence(True)),
        (3.0, Presence(False)),
    ]


def test_any_contact_keeps_the_vehicle_and_only_two_of_them_tell_its_direction() -> None:
    lines = contacts(lines={**TWO, "ri": {"sensor": "loop"}})
    states = [
        (1.0, 0),
        (2.0, LOOP),
        (3.0, LOOP | ENTRY),
        (4.0, LOOP | ENTRY | EXIT),
        (5.0, LOOP | EXIT),
        (6.0, LOOP),
        (7.0, 0),
    ]
    assert presences(lines, *states)[1:] == [
        (2.0, Presence(True)),
        (4.0, Presence(True, FORWARD)),
        (7.0, Presence(False)),
    ]


@pytest.mark.parametrize(
    ("wrong", "why"),
    [
        ({"url": "socket://192.0.2.10:4001"}, "need rfc2217://host:port"),
        ({"url": "COM3"}, "neither a path"),
        ({"lines": {}}, "at least 1"),
        ({"lines": {"rts": {"sensor": "x"}}}, "'cts', 'dsr', 'ri' or 'cd'"),
        ({"forward": ("cts", "cts")}, "two different lines"),
        ({"forward": ("cts", "cd")}, "two different lines of `lines`"),
    ],
)
def test_settings_that_cannot_be_meant(wrong: dict[str, object], why: str) -> None:
    with pytest.raises(ValidationError, match=why):
        contacts(**wrong)
