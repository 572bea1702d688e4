"""Tags that answer, and what is told of them."""

import math
from collections.abc import Mapping

import pytest
from pydantic import ValidationError

from edge_agent.devices.sealing import (
    MAX_ANTENNAS,
    MAX_TAGS,
    REPEATS_A_SECOND,
    Place,
    Seals,
    TagRules,
    TagWatch,
    access_plan,
    as_text,
)
from edge_agent.domain.observation import Body, Opaque, SealCondition, SealState, TagRead

SEAL = b"SEAL00000001"
USER0 = Place(bank="user", word=0)
TAMPERED = {"epc_prefix": "5345414C", "tamper": {"bank": "user", "word": 0, "bit": 3}}


def watch(**rules: object) -> TagWatch:
    return TagWatch(TagRules.model_validate(rules))


def read(watch: TagWatch, epc: bytes, memory: Mapping[Place, bytes], now: float = 0.0) -> list[Body]:
    """The tag answers, and all that is due of its memory is read."""
    bodies = watch.answered(epc, now)
    for place in watch.due(epc, now):
        bodies += watch.read(epc, place, memory[place])
    return bodies


def state(watch: TagWatch, epc: bytes, memory: Mapping[Place, bytes], now: float = 0.0) -> SealState | None:
    return next((body for body in read(watch, epc, memory, now) if isinstance(body, SealState)), None)


# --- tags ------------------------------------------------------------------------------------------------------


def test_a_tag_is_told_when_first_seen_and_then_now_and_again() -> None:
    tags = watch(repeat_s=60, forget_s=30)
    told = [bool(tags.answered(SEAL, float(second))) for second in range(125)]
    assert [second for second, news in enumerate(told) if news] == [0, 60, 120]


def test_a_tag_and_a_seal_that_stay_are_told_each_second() -> None:
    """What is heard of a truck before the lane knows of it is heard once more when it does."""
    tags = watch(seals={"text_prefix": "SEAL"})
    told = [tags.answered(SEAL, tenth / 10) for tenth in range(31)]
    both = [TagRead(SEAL.hex().upper(), SEAL.decode()), SealState(SEAL.decode(), SealCondition.PRESENT)]
    assert [(n, bodies) for n, bodies in enumerate(told) if bodies] == [(n, both) for n in (0, 10, 20, 30)]


@pytest.mark.parametrize("antennas", [1, 4])
def test_many_tags_that_stay_are_told_again_less_often_however_many_antennas_hear_them(antennas: int) -> None:
    tags = watch(seals={"epc_prefix": ""})
    rate = 0
    for tenth in range(700):
        for number in range(200):
            bodies = tags.answered(number.to_bytes(2, "big"), tenth / 10, antenna=1 + tenth % antennas)
            rate += sum(isinstance(body, TagRead) for body in bodies) if tenth >= 100 else 0
    assert 0.8 * REPEATS_A_SECOND * 60 <= rate <= REPEATS_A_SECOND * 60 + 200
    for tenth in range(700, 1100):  # all but two have left
        tags.answered(b"\0\0", tenth / 10), tags.answered(b"\0\1", tenth / 10)
    assert sum(bool(tags.answered(b"\0\0", 110 + tenth / 10)) for tenth in range(100)) == 10


def test_what_is_told_of_a_tag() -> None:
    tags = watch()
    assert tags.answered(b"ANAM12345678", 1.0, 2, 0x6B, -56.0, bytes.fromhex("E28011")) == [
        TagRead("414E414D3132333435363738", "ANAM12345678", 2, -56.0, "E28011")
    ]
    assert tags.answered(bytes.fromhex("E20000"), 1.0) == [TagRead("E20000")]


def test_a_tag_that_was_away_is_new() -> None:
    tags = watch(repeat_s=60, forget_s=30)
    assert tags.answered(SEAL, 0.0)
    assert not tags.answered(SEAL, 30.0)
    assert tags.answered(SEAL, 60.5)


def test_each_antenna_tells_a_tag_once() -> None:
    tags = watch()
    told = [bool(tags.answered(SEAL, 0.1 * turn, antenna=1 + turn % 2)) for turn in range(10)]
    assert [turn for turn, news in enumerate(told) if news] == [0, 1]


def test_a_strength_that_changes_much_is_told_but_not_at_every_answer() -> None:
    tags = watch(rssi_change=10, repeat_s=60)
    assert tags.answered(SEAL, 0.0, strength=-60)
    assert not tags.answered(SEAL, 5.0, strength=-51)
    assert tags.answered(SEAL, 6.0, strength=-50)
    assert not tags.answered(SEAL, 6.5, strength=-70), "twice within a second"
    assert tags.answered(SEAL, 7.0, strength=-70)
    assert not tags.answered(SEAL, 9.0), "no strength is no change"


def test_a_tid_that_comes_later_is_told_and_stays() -> None:
    tags = watch(repeat_s=10)
    assert tags.answered(SEAL, 0.0)
    assert tags.answered(SEAL, 0.1, tid=b"\xe2") == [TagRead(SEAL.hex().upper(), SEAL.decode(), tid="E2")]
    assert not tags.answered(SEAL, 0.2, tid=b"\xe2")
    assert tags.answered(SEAL, 11.0) == [TagRead(SEAL.hex().upper(), SEAL.decode(), tid="E2")]


def test_without_a_clock_each_tag_is_told_once() -> None:
    tags = watch(seals={"epc_prefix": "", "tamper": {"bank": "user", "word": 0, "bit": 0}})
    assert tags.answered(SEAL, math.nan)
    assert not tags.answered(SEAL, math.nan)
    assert list(tags.due(SEAL, math.nan)) == [USER0]
    assert not list(tags.due(SEAL, math.nan))


def test_few_tags_and_antennas_are_remembered() -> None:
    tags = watch()
    for number in range(MAX_TAGS + 1):
        tags.answered(number.to_bytes(2, "big"), 0.0)
    assert tags.answered(b"\0\0", 0.0), "the one that answered longest ago made room"
    assert not tags.answered(MAX_TAGS.to_bytes(2, "big"), 0.0)
    for antenna in range(3 * MAX_ANTENNAS):
        tags.answered(SEAL, 0.0, antenna)
    assert len(tags._tags[SEAL].told) <= MAX_ANTENNAS + 1


@pytest.mark.parametrize(
    ("data", "text"),
    [
        (b"ANAM", "ANAM"),
        (b"ANAM\0\0", "ANAM"),
        (b"ANAM  ", "ANAM"),
        (b"    ", ""),
        (b"\0ANAM", ""),
        (b"\x7f", ""),
        (b"A\n", ""),
        (b"", ""),
        (b"\0\0", ""),
        ("Ñ".encode(), ""),
    ],
)
def test_text(data: bytes, text: str) -> None:
    assert as_text(data) == text


# --- memory ----------------------------------------------------------------------------------------------------


def test_memory_of_some_tags_is_read_and_told_with_them() -> None:
    tags = watch(memory={"text_prefix": "ANAM", "bank": "user", "word": 0, "words": 1}, repeat_s=60, forget_s=90)
    assert read(tags, b"ANAM01", {USER0: b"\x12\x34"}) == [
        TagRead("414E414D3031", "ANAM01"),
        TagRead("414E414D3031", "ANAM01", memory="1234"),
    ]
    assert read(tags, SEAL, {}) == [TagRead(SEAL.hex().upper(), SEAL.decode())]
    assert read(tags, b"ANAM01", {}, now=59.0) == [], "read once"
    (repeated,) = tags.answered(b"ANAM01", 60.0)
    assert repeated == TagRead("414E414D3031", "ANAM01", memory="1234")
    assert list(tags.due(b"ANAM01", 60.0)) == [USER0]
    assert tags.read(b"ANAM01", USER0, b"\x12\x34") == [], "as it was"


def test_memory_that_cannot_be_read_is_said_once_and_tried_again() -> None:
    tags = watch(memory={"epc_prefix": "", "bank": "user", "word": 0, "words": 2})
    place = Place(bank="user", word=0, words=2)
    tags.answered(b"AB", 0.0)
    assert list(tags.due(b"AB", 0.0)) == [place]
    said = Opaque("memory_unread", ("4142", "user words 0 to 1", "heard too badly"))
    assert tags.unread(b"AB", place, "heard too badly") == [said]
    assert tags.unread(b"AB", place, "heard too badly") == []
    assert list(tags.due(b"AB", 0.1)) == [place]
    short = Opaque("memory_unread", ("4142", "user words 0 to 1", "2 bytes came instead of 4"))
    assert tags.read(b"AB", place, b"\0\0") == [short]
    assert tags.read(b"AB", place, b"\0\0\0\1") == [TagRead("4142", "AB", memory="00000001")]
    assert tags.unread(b"AB", place, "heard too badly") == [said], "it had worked meanwhile"


def test_what_was_forgotten_or_never_seen_has_no_memory() -> None:
    tags = watch(memory={"epc_prefix": "", "bank": "user", "word": 0})
    assert list(tags.due(b"AB", 0.0)) == []
    assert tags.read(b"AB", USER0, b"\0\0") == []
    assert tags.unread(b"AB", USER0, "why") == []
    tags.answered(b"", 0.0)
    assert list(tags.due(b"", 0.0)) == [], "an empty EPC selects any tag"


# --- seals -----------------------------------------------------------------------------------------------------


def test_a_seal_that_answers_is_present() -> None:
    tags = watch(seals={"text_prefix": "SEAL"})
    assert tags.answered(SEAL, 0.0)[1:] == [SealState("SEAL00000001", SealCondition.PRESENT)]
    assert tags.answered(SEAL, 0.9) == []
    assert tags.answered(SEAL, 100.0)[1:] == [SealState("SEAL00000001", SealCondition.PRESENT)], "it was away"
    assert tags.answered(b"OTHER", 0.0)[1:] == []


def test_a_seal_without_text_is_known_by_its_hex() -> None:
    assert watch(seals={"epc_prefix": "e2"}).answered(b"\xe2\x01", 0.0)[1:] == [
        SealState("E201", SealCondition.PRESENT)
    ]


@pytest.mark.parametrize(
    ("word", "broken", "condition"),
    [
        ("0000", 1, SealCondition.PRESENT),
        ("0008", 1, SealCondition.BROKEN),  # bit 3, counted from the lowest
        ("FFF7", 1, SealCondition.PRESENT),
        ("1000", 1, SealCondition.PRESENT),  # bit 3 counted from the wrong end
        ("0000", 0, SealCondition.BROKEN),
        ("0008", 0, SealCondition.PRESENT),
    ],
)
def test_the_tamper_bit(word: str, broken: int, condition: SealCondition) -> None:
    rules = TAMPERED | {"tamper": {"bank": "user", "word": 0, "bit": 3, "broken": broken}}
    assert state(watch(seals=rules), SEAL, {USER0: bytes.fromhex(word)}) == SealState("SEAL00000001", condition)


def test_nothing_is_said_of_a_seal_whose_tamper_bit_is_not_known() -> None:
    tags = watch(seals=TAMPERED)
    assert [type(body) for body in tags.answered(SEAL, 0.0)] == [TagRead]
    assert [type(body) for body in tags.unread(SEAL, USER0, "locked")] == [Opaque]


def test_a_seal_opened_before_the_reader_is_told() -> None:
    tags = watch(seals=TAMPERED, repeat_s=60)
    told = [state(tags, SEAL, {USER0: b"\0\x08" if 3 <= second < 6 else b"\0\0"}, float(second)) for second in range(9)]
    assert [(second, said.condition) for second, said in enumerate(told) if said] == [
        (0, SealCondition.PRESENT),
        (3, SealCondition.BROKEN),
        (6, SealCondition.PRESENT),
    ]


def test_a_seal_that_cannot_be_read_any_more_is_not_told_again_as_it_was() -> None:
    tags = watch(seals=TAMPERED)
    assert state(tags, SEAL, {USER0: b"\0\0"}) is not None
    assert [type(body) for second in range(1, 5) for body in tags.answered(SEAL, float(second))] == [TagRead] * 4
    assert tags.read(SEAL, USER0, b"\0\0") == [SealState("SEAL00000001", SealCondition.PRESENT)]


def test_a_seal_is_read_again_each_second_not_at_each_answer() -> None:
    tags = watch(seals=TAMPERED)
    asked = 0
    for turn in range(100):
        tags.answered(SEAL, turn / 50)
        for place in tags.due(SEAL, turn / 50):
            asked += 1
            tags.read(SEAL, place, b"\0\0")
    assert asked == 2


NUMBER, AGAIN = Place(bank="user", word=4, words=4), Place(bank="tid", word=8, words=4)
NUMBERED = {
    "text_prefix": "SEAL",
    "number": {"bank": "user", "word": 4, "words": 4},
    "number_again": {"bank": "tid", "word": 8, "words": 4},
}


@pytest.mark.parametrize(
    ("number", "again", "said"),
    [
        (b"HQ001234", b"HQ001234", SealState("HQ001234", SealCondition.PRESENT)),
        (b"HQ0012\0\0", b" HQ0012 ", SealState("HQ0012", SealCondition.PRESENT)),
        (
            b"HQ001234",
            b"HQ001235",
            SealState("HQ001234", SealCondition.OTHER_NUMBER, "tid words 8 to 11 holds 'HQ001235'"),
        ),
        (b"HQ001234", bytes(8), SealState("HQ001234", SealCondition.OTHER_NUMBER, "tid words 8 to 11 holds none")),
        (
            bytes(8),
            bytes(8),
            SealState(SEAL.hex().upper(), SealCondition.OTHER_NUMBER, "no number is written in user words 4 to 7"),
        ),
    ],
)
def test_the_number_in_two_places(number: bytes, again: bytes, said: SealState) -> None:
    assert state(watch(seals=NUMBERED), SEAL, {NUMBER: number, AGAIN: again}) == said


def test_broken_weighs_more_than_another_number() -> None:
    rules = NUMBERED | {"tamper": {"bank": "user", "word": 0, "bit": 15}}
    said = state(watch(seals=rules), SEAL, {NUMBER: b"HQ001234", AGAIN: b"HQ001235", USER0: b"\x80\0"})
    assert said == SealState("HQ001234", SealCondition.BROKEN, "tid words 8 to 11 holds 'HQ001235'")


def test_a_number_that_changes_while_the_seal_stays() -> None:
    tags = watch(seals=NUMBERED | {"number_again": None})
    assert state(tags, SEAL, {NUMBER: b"HQ001234"}) == SealState("HQ001234", SealCondition.PRESENT)
    assert state(tags, SEAL, {NUMBER: b"HQ009999"}, 2.0) == SealState("HQ009999", SealCondition.PRESENT)


def test_a_number_in_hexadecimal() -> None:
    rules = {"epc_prefix": "", "number": {"bank": "tid", "word": 0, "words": 2, "form": "hex"}}
    tid = Place(bank="tid", word=0, words=2)
    assert state(watch(seals=rules), b"AB", {tid: b"\xe2\x80\x11\0"}) == SealState("E2801100", SealCondition.PRESENT)
    assert state(watch(seals=rules), b"AB", {tid: bytes(4)}) == SealState(
        "4142", SealCondition.OTHER_NUMBER, "no number is written in tid words 0 to 1"
    )


def test_what_the_epc_holds_is_not_read_again() -> None:
    # Words 2 to 7 of the bank are the EPC; its last word has the tamper bit, the six bytes before it the number.
    rules = {
        "epc_prefix": "E2",
        "number": {"bank": "epc", "word": 4, "words": 3},
        "tamper": {"bank": "epc", "word": 7, "bit": 0},
    }
    tags = watch(seals=rules)
    epc = bytes.fromhex("E2000000") + b"HQ0012" + b"\0\1"
    assert tags.answered(epc, 0.0)[1:] == [SealState("HQ0012", SealCondition.BROKEN)]
    assert not list(tags.due(epc, 0.0))
    short = bytes.fromhex("E2000000") + b"HQ"
    assert tags.answered(short, 0.0)[1:] == []
    assert len(list(tags.due(short, 0.0))) == 2, "beyond the EPC there may be more of the bank"
    before = watch(seals={"epc_prefix": "", "tamper": {"bank": "epc", "word": 1, "bit": 5}})
    before.answered(epc, 0.0)
    assert list(before.due(epc, 0.0)) == [Place(bank="epc", word=1)]


# --- settings --------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("rules", "wrong"),
    [
        ({"seals": {}}, "say which tags"),
        ({"seals": {"epc_prefix": "SEAL"}}, "not hexadecimal"),
        ({"seals": {"text_prefix": "SIEGEL-Ñ"}}, "not printable ASCII"),
        ({"seals": {"epc_prefix": "", "tamper": {"bank": "user", "word": 0, "bit": 16}}}, "less than or equal to 15"),
        ({"seals": {"epc_prefix": "", "tamper": {"bank": "reserved", "word": 0, "bit": 0}}}, "'epc', 'tid' or 'user'"),
        ({"memory": {"bank": "user", "word": 0}}, "say which tags"),
        ({"forget_s": 0}, "greater than or equal to 1"),
    ],
)
def test_settings_that_are_wrong(rules: dict[str, object], wrong: str) -> None:
    with pytest.raises(ValidationError, match=wrong):
        TagRules.model_validate(rules)


def test_the_plan_of_a_reader_that_is_told_beforehand() -> None:
    rules = {
        "seals": {"epc_prefix": "E2", "text_prefix": "SEAL", "tamper": {"bank": "user", "word": 0, "bit": 0}},
        "memory": {"epc_prefix": "E28", "bank": "tid", "word": 0, "words": 6},
    }
    tid = Place(bank="tid", word=0, words=6)
    assert access_plan(TagRules.model_validate(rules)) == [
        ("5345414C", (USER0,)),
        ("E28", (USER0, tid)),  # a seal as well: a reader carries out one plan for each tag
        ("E2", (USER0,)),
    ]
    assert access_plan(TagRules.model_validate({"seals": {"epc_prefix": ""}})) == []
    assert access_plan(TagRules()) == []


def test_seals_of_several_makers() -> None:
    seals = Seals.model_validate({"text_prefix": ["HS", "ML"], "epc_prefix": "E280"})
    assert [seals.matches(number.hex().upper()) for number in (b"HS1", b"ML1", b"\xe2\x80\x01", b"ANAM")] == [
        True,
        True,
        True,
        False,
    ]
