"""MT-SICS: what scale it is, weights asked for or repeated, and what happens when nothing comes."""

import math

import pytest

from edge_agent.devices import weighing
from edge_agent.devices.drivers.mt_sics import LINE_LIMIT, MtSics, Settings
from edge_agent.domain.observation import Body, DeviceFault, DeviceSetup, FaultKind, Malformed, Opaque, Reading, Weight

BALANCE, SOFTWARE, SERIAL = (
    b'I2 A "WMS404C-L WMS-Bridge 410.00090 g"\r\n',
    b'I3 A "2.10" "10.28.0.493.142"\r\n',
    b'I4 A "B021002593"\r\n',
)
STABLE = b"S S   12340.00 kg\r\n"
WEIGHT = Weight(12340.0, False, "12340.00", "kg")
SETUP = DeviceSetup(
    (
        ("balance", "WMS404C-L WMS-Bridge 410.00090 g"),
        ("software", "2.10 10.28.0.493.142"),
        ("serial_number", "B021002593"),
    )
)


@pytest.fixture(autouse=True)
def _out_of_range_is_told_at_once(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(weighing, "OUT_OF_RANGE_S", 0.0)  # these frames have no time between them


def opened(**settings: object) -> MtSics:
    scale = MtSics(Settings.model_validate({"identity": False, **settings}))
    scale.opened(10.0)
    return scale


def bodies(*answers: bytes, **settings: object) -> list[Body]:
    return [reading.body for reading in opened(**settings).received(b"".join(answers), 10.0)]


def asked(scale: MtSics, now: float) -> bytes:
    """What it sends when it is woken at `now`, which must be its time."""
    assert scale.next_wake() == now
    assert list(scale.woke(now)) == []
    return scale.to_send()


@pytest.mark.parametrize(
    ("line", "body"),
    [
        (STABLE, WEIGHT),
        (b"S D      100.00 g\r\n", Weight(0.1, False, "100.00", "g")),
        (b"S S     -100.00 g\r\n", Weight(-0.1, False, "-100.00", "g")),
        (b"S S       - .5 lb\r\n", Weight(-0.226796185, False, "-.5", "lb")),
        (b"S S        0.00 kg   \n", Weight(0.0, False, "0.00", "kg")),
        (b"SI S      36.3 t\r\n", Weight(36300.0, False, "36.3", "t")),  # as some scales put it
        (b"SIR D       40 ton\r\n", Weight(36287.3896, False, "40", "ton")),
        (b"S I\r\n", Opaque("no_weight", ("I", ""))),
        (b"S L\r\n", Opaque("no_weight", ("L", ""))),
        (b'I4 A "B021002593"\r\n', Opaque("I4", ("A", "B021002593"))),
        (b"I1 I\r\n", Opaque("I1", ("I", ""))),
    ],
)
def test_one_line(line: bytes, body: Body) -> None:
    assert list(opened().received(line, 10.0)) == [Reading(body, 10.0, line)]


@pytest.mark.parametrize(
    ("line", "why"),
    [
        (b"ES\r\n", "set its interface to MT-SICS"),
        (b"ET\r\n", "check baud"),
        (b"EL\r\n", "cannot execute"),
        (b"S S   100.00 ct\r\n", "the unit 'ct' is not known"),
        (b"S S   100.00\r\n", "a line of MT-SICS"),
        (b"\r\n", "a line of MT-SICS"),
        (b"\xb3 \xb3\r\n", "bytesize and parity"),
    ],
)
def test_what_is_no_answer(line: bytes, why: str) -> None:
    (body,) = bodies(line)
    assert isinstance(body, Malformed)
    assert why in body.why


def test_settling() -> None:
    dynamic = STABLE.replace(b"S S", b"S D")
    heard = bodies(dynamic, STABLE, STABLE, STABLE)
    assert [isinstance(body, Weight) and body.settled for body in heard] == [False, False, False, True]
    for between in (dynamic, b"S I\r\n", b"what?\r\n", b"S +\r\n"):
        heard = bodies(STABLE, STABLE, between, STABLE, STABLE)
        assert not any(isinstance(body, Weight) and body.settled for body in heard), between
    other = STABLE.replace(b"40.00", b"60.00")
    assert bodies(STABLE, other, stable_frames=2, increment=20)[-1] == Weight(12360.0, True, "12360.00", "kg")


@pytest.mark.parametrize(
    ("line", "fault"),
    [
        (b"S +\r\n", (FaultKind.OUT_OF_RANGE, "over capacity")),
        (b"S -\r\n", (FaultKind.OUT_OF_RANGE, "under range")),
        (b"S S      Error 10b\r\n", (FaultKind.INTERNAL, "error 10b")),
        (b"S Error 10b\r\n", (FaultKind.INTERNAL, "error 10b")),
    ],
)
def test_faults_begin_and_end_once(line: bytes, fault: tuple[FaultKind, str]) -> None:
    heard = bodies(line, line, b"S I\r\n", STABLE)
    assert [body for body in heard if isinstance(body, DeviceFault)] == [
        DeviceFault(fault[0], True, fault[1]),
        DeviceFault(fault[0], False, fault[1]),
    ]


# --- what scale it is --------------------------------------------------------------------------------------------


def test_it_asks_what_scale_it_is_and_then_for_weights() -> None:
    scale = opened(identity=True)
    said: list[Reading] = []
    assert scale.to_send() == b"I2\r\n"
    said += scale.received(BALANCE, 10.1)
    assert asked(scale, 10.1) == b"I3\r\n"
    said += scale.received(SOFTWARE, 10.2)
    assert asked(scale, 10.2) == b"I4\r\n"
    said += scale.received(SERIAL, 10.3)
    assert [(r.body, r.raw) for r in said] == [
        (Opaque("I2", ("A", "WMS404C-L WMS-Bridge 410.00090 g")), BALANCE),
        (Opaque("I3", ("A", "2.10", "10.28.0.493.142")), SOFTWARE),
        (Opaque("I4", ("A", "B021002593")), SERIAL),
        (SETUP, b""),
    ]
    assert asked(scale, 10.3) == b"SI\r\n"


@pytest.mark.parametrize("refusal", [b"ES\r\n", b"I3 I\r\n", b"EL\r\n"])
def test_an_inquiry_that_it_does_not_know_is_left_out(refusal: bytes) -> None:
    scale = opened(identity=True)
    list(scale.received(BALANCE, 10.1))
    asked(scale, 10.1)
    (refused,) = scale.received(refusal, 10.2)
    assert isinstance(refused.body, Opaque), "it is nothing wrong"
    assert asked(scale, 10.2) == b"I4\r\n"
    *_, setup = scale.received(SERIAL, 10.3)
    assert setup.body == DeviceSetup((SETUP.values[0], SETUP.values[2]))


def test_an_inquiry_without_an_answer_is_left_out() -> None:
    scale = opened(identity=True)
    list(scale.received(BALANCE, 10.1))
    asked(scale, 10.1)
    list(scale.received(STABLE, 10.2))  # it speaks, a stream of the program before us
    assert asked(scale, 11.1) == b"I4\r\n"
    (setup,) = scale.woke(12.1)
    assert setup.body == DeviceSetup(SETUP.values[:1])
    assert scale.to_send() == b"SI\r\n"


def test_a_scale_that_is_off_is_asked_what_it_is_when_it_is_on() -> None:
    scale = opened(identity=True)
    for now in (11.0, 12.0, 13.0):
        assert asked(scale, now) == b"I2\r\n"
    assert len(list(scale.received(BALANCE, 13.1))) == 1
    assert asked(scale, 13.1) == b"I3\r\n"


def test_a_scale_that_knows_none_of_them_is_weighed_with_all_the_same() -> None:
    scale = opened(identity=True)
    for now in (10.1, 10.2, 10.3):
        assert [type(r.body) for r in scale.received(b"ES\r\n", now)] == [Opaque]
        sent = asked(scale, now)
    assert sent == b"SI\r\n"


def test_another_scale_is_noticed_when_it_is_switched_on() -> None:
    scale = opened(identity=True)
    for line, now in ((BALANCE, 10.1), (SOFTWARE, 10.2), (SERIAL, 10.3)):
        list(scale.received(line, now))
        asked(scale, now)
    other = SERIAL.replace(b"2593", b"9999")
    assert [type(r.body) for r in scale.received(other, 20.0)] == [Opaque]
    assert asked(scale, 20.0) == b"I2\r\n"
    for line, now in ((BALANCE, 20.1), (SOFTWARE, 20.2)):
        list(scale.received(line, now))
        asked(scale, now)
    *_, setup = scale.received(other, 20.3)
    assert isinstance(setup.body, DeviceSetup)
    assert setup.body.values[2] == ("serial_number", "B021009999")
    assert setup.body.changed == ("serial_number",)


def test_weights_before_and_after_a_switching_on_are_not_consecutive() -> None:
    heard = bodies(STABLE, STABLE, SERIAL, STABLE)
    assert not any(isinstance(body, Weight) and body.settled for body in heard)


def test_an_answer_to_something_else_is_kept_and_not_taken_for_the_inquirys() -> None:
    scale = opened(identity=True)
    assert len(list(scale.received(SERIAL, 10.1))) == 1
    assert asked(scale, 11.0) == b"I3\r\n", "I2 was not answered"


def test_a_refusal_while_a_switched_on_scale_waits_to_be_asked() -> None:
    scale = opened(identity=False)
    restarted = opened(identity=True)
    for line, now in ((BALANCE, 10.1), (SOFTWARE, 10.2), (SERIAL, 10.3)):
        list(restarted.received(line, now))
        asked(restarted, now)
    readings = list(restarted.received(SERIAL + b"ES\r\n", 20.0))
    assert [type(r.body) for r in readings] == [Opaque, Opaque], "the refusal was of SI, asked before"
    assert asked(restarted, 20.0) == b"I2\r\n"
    list(scale.received(SERIAL, 20.0))
    assert asked(scale, 20.0) == b"SI\r\n"


# --- asking for weights ------------------------------------------------------------------------------------------


def test_si_is_asked_after_each_answer_and_again_without() -> None:
    scale = opened()
    assert scale.to_send() == b"SI\r\n"
    assert scale.to_send() == b""
    list(scale.received(STABLE, 10.1))
    assert list(scale.woke(10.2)) == []
    assert scale.to_send() == b""
    for now in (10.25, 11.25, 12.25):
        assert asked(scale, now) == b"SI\r\n"
    list(scale.received(STABLE + STABLE, 12.3))
    assert scale.next_wake() == 12.5, "one more than was asked for changes nothing"


def test_sir_is_asked_once_and_again_when_the_scale_stops() -> None:
    scale = opened(mode="SIR")
    assert scale.to_send() == b"SIR\r\n"
    for now in (10.2, 10.4, 10.6):
        list(scale.received(STABLE, now))
        assert scale.to_send() == b""
    assert asked(scale, 11.6) == b"SIR\r\n"
    assert [r.body for r in scale.received(STABLE, 11.7)] == [WEIGHT], "not consecutive to those before"
    list(scale.received(SERIAL, 11.8))  # switched off and on: it repeats nothing any more
    assert asked(scale, 11.8) == b"SIR\r\n"


@pytest.mark.parametrize("wrong", [b"ES\r\n", b"rubbish\r\n", b"\xff" * 600, b"S S", b"S I\r\n"])
@pytest.mark.parametrize("mode", ["SI", "SIR"])
def test_a_wrong_answer_does_not_wedge_it(wrong: bytes, mode: str) -> None:
    scale, now = opened(mode=mode), 10.0
    for _ in range(4):
        assert scale.to_send() == f"{mode}\r\n".encode()
        list(scale.received(wrong, now))
        for _ in range(5):
            now = scale.next_wake() or math.nan
            list(scale.woke(now))
            if scale._outgoing:
                break
    list(scale.woke(now + 60))
    assert [r.body for r in scale.received(STABLE, now + 60)][-1:] == [WEIGHT]


def test_a_line_that_does_not_end_is_given_up() -> None:
    scale = opened(answer_timeout_s=5)
    list(scale.received(b"S S   123", 10.5))
    assert scale.next_wake() == 11.5
    assert [(r.body, r.raw) for r in scale.woke(11.5)] == [(Malformed("a line without its end"), b"S S   123")]
    (long,) = scale.received(b"7" * LINE_LIMIT, 12.0)
    assert isinstance(long.body, Malformed)


def test_nothing_is_asked_after_the_end() -> None:
    scale = opened()
    scale.to_send()
    assert list(scale.woke(math.inf)) == []
    assert scale.to_send() == b""
