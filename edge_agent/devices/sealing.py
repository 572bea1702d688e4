"""What UHF tags, and seals that are tags, mean: the rules that every tag reader of this agent follows.

A tag is told as `TagRead` when it is first seen, when another antenna first sees it, when it is much stronger or weaker
than told, and every `repeat_s` while it stays: not at every answer, which come many times a second. A field reaches
farther than a sensor: what is heard of a truck before the lane knows of it has to be told again when it does. One that
has not answered for `forget_s` is new again.

A seal is a tag whose EPC begins as `seals` says. Gen2 (ISO/IEC 18000-63) knows no tamper bit, so where a seal says that
it was opened is a setting: bank, word and bit. `SealState` is told when a seal is first seen, when what it says changes
and every `repeat_s` while it stays. Memory is counted in words of 16 bits from the bank's beginning; bank `epc` begins
with the CRC (word 0) and the protocol control word (word 1), the EPC follows from word 2. Bit 0 is a word's lowest
(Gen2's own bit addresses count from the highest: there it is bit 15 of the word).
"""

import string
from collections.abc import Iterator
from dataclasses import dataclass, field, replace
from typing import Annotated, Literal, Self

from pydantic import AfterValidator, BaseModel, BeforeValidator, ConfigDict, Field, model_validator

from edge_agent.domain.counted import counted
from edge_agent.domain.observation import Body, Opaque, SealCondition, SealState, TagRead

# Far more tags than a lane holds; the one that answered longest ago is forgotten for the next.
MAX_TAGS = 512
MAX_ANTENNAS = 64
MAX_PREFIXES = 32
# A seal's memory is read again this often while it answers, so that its opening before the reader is seen.
SEAL_REREAD_S = 1.0
# A tag's own memory hardly changes, and each reading of it is a command to the reader.
MEMORY_REREAD_S = 60.0
# A change of strength is told at most this often for each tag and antenna.
CHANGE_EVERY_S = 1.0
# Tags that stay are told again at this rate at most, all together: a yard may hold hundreds.
REPEATS_A_SECOND = 16
EPC_BEGINS_AT_WORD = 2

BANKS = {"epc": 1, "tid": 2, "user": 3}

_PRINTABLE = frozenset(string.printable[:95].encode())


def _hex(text: str) -> str:
    if set(text) - set(string.hexdigits):
        raise ValueError(f"{text!r} is not hexadecimal")
    return text.upper()


def _ascii(text: str) -> str:
    if set(text.encode()) - _PRINTABLE:
        raise ValueError(f"{text!r} is not printable ASCII")
    return text


def _several(value: object) -> object:
    return (value,) if isinstance(value, str) else value  # most booths have one


Hex = Annotated[str, Field(max_length=124), AfterValidator(_hex)]
Ascii = Annotated[str, Field(max_length=62), AfterValidator(_ascii)]


class _Settings(BaseModel):
    model_config = ConfigDict(extra="forbid", frozen=True)


class Place(_Settings):
    """Words of a tag's memory."""

    bank: Literal["epc", "tid", "user"]
    word: int = Field(ge=0, le=255, description="the first word, of 16 bits each, from the bank's beginning")
    words: int = Field(default=1, ge=1, le=32)

    def __str__(self) -> str:
        return f"{self.bank} words {self.word} to {self.word + self.words - 1}"

    def within_epc(self, epc: bytes) -> bytes | None:
        """These words, where they lie within an EPC that is known; else None: they have to be read."""
        first = 2 * (self.word - EPC_BEGINS_AT_WORD)
        if self.bank != "epc" or first < 0 or first + 2 * self.words > len(epc):
            return None
        return epc[first : first + 2 * self.words]


class Number(Place):
    """Where a seal's number is written."""

    form: Literal["text", "hex"] = Field(
        default="text", description="text: ASCII, zeros and blanks at its end left out"
    )

    @property
    def place(self) -> Place:
        return Place(bank=self.bank, word=self.word, words=self.words)

    def written(self, data: bytes) -> str:
        """The number; '' if none is written there."""
        if self.form == "hex":
            return data.hex().upper() if any(data) else ""
        return as_text(data).lstrip()


class Tamper(_Settings):
    """Which bit says that the seal was opened."""

    bank: Literal["epc", "tid", "user"]
    word: int = Field(ge=0, le=255)
    bit: int = Field(ge=0, le=15, description="0 is the word's lowest bit")
    broken: Literal[0, 1] = Field(default=1, description="the bit's value in a seal that was opened")

    @property
    def place(self) -> Place:
        return Place(bank=self.bank, word=self.word)

    def is_broken(self, word: bytes) -> bool:
        return (int.from_bytes(word, "big") >> self.bit) & 1 == self.broken


class Which(_Settings):
    """Tags by the beginning of their EPC, in either form, one or several. An empty beginning is every tag."""

    epc_prefix: Annotated[tuple[Hex, ...], BeforeValidator(_several)] = Field(
        default=(), max_length=MAX_PREFIXES, description="the EPC's beginning in hexadecimal, or a list of them"
    )
    text_prefix: Annotated[tuple[Ascii, ...], BeforeValidator(_several)] = Field(
        default=(), max_length=MAX_PREFIXES, description="the EPC's beginning as text, where it is text, or a list"
    )

    @model_validator(mode="after")
    def _one_at_least(self) -> Self:
        if not self.prefixes:
            raise ValueError("say which tags: epc_prefix or text_prefix ('' is every tag)")
        return self

    @property
    def prefixes(self) -> tuple[str, ...]:
        """The beginnings in hexadecimal."""
        return (*self.epc_prefix, *(text.encode().hex().upper() for text in self.text_prefix))

    def matches(self, epc_hex: str) -> bool:
        return epc_hex.startswith(self.prefixes)


class Seals(Which):
    """Which tags are seals, and how they are to be understood."""

    number: Number | None = Field(default=None, description="unset: the whole EPC, as text where it is text, else hex")
    number_again: Number | None = Field(default=None, description="a second place that must hold the same number")
    tamper: Tamper | None = Field(default=None, description="unset: a seal that answers counts as present")

    @property
    def all_places(self) -> tuple[Place, ...]:
        """Where a seal says something, each place once."""
        wanted = [written.place for written in (self.number, self.number_again) if written]
        return tuple(dict.fromkeys([*wanted, self.tamper.place] if self.tamper else wanted))

    def places(self, epc: bytes) -> tuple[Place, ...]:
        """What of it has to be read, because the EPC does not hold it."""
        return tuple(place for place in self.all_places if place.within_epc(epc) is None)

    def state(self, epc: bytes, memory: dict[Place, bytes]) -> SealState:
        """What the seal says. `memory` holds all its `places`."""

        def at(place: Place) -> bytes:
            known = place.within_epc(epc)
            return memory[place] if known is None else known

        number = self.number.written(at(self.number.place)) if self.number else as_text(epc) or epc.hex().upper()
        remarks = []
        if not number:
            remarks.append(f"no number is written in {self.number}")
        if self.number_again:
            again = self.number_again.written(at(self.number_again.place))
            if again != number:
                remarks.append(f"{self.number_again} holds {again!r}" if again else f"{self.number_again} holds none")
        condition = SealCondition.OTHER_NUMBER if remarks else SealCondition.PRESENT
        if self.tamper and self.tamper.is_broken(at(self.tamper.place)):
            condition = SealCondition.BROKEN
        return SealState(number or epc.hex().upper(), condition, "; ".join(remarks))


class Memory(Which, Place):
    """Words that are read of tags and told with them."""

    @property
    def place(self) -> Place:
        return Place(bank=self.bank, word=self.word, words=self.words)


class TagRules(_Settings):
    """What a reader's tags mean here; the settings of every tag reader begin with it."""

    seals: Seals | None = Field(default=None, description="which tags are seals; unset: none")
    memory: Memory | None = Field(default=None, description="memory that is read of some tags and told with them")
    repeat_s: float = Field(default=1.0, ge=1, description="a tag that stays is told again after so many seconds")
    forget_s: float = Field(default=30.0, ge=1, description="a tag silent for so many seconds is new again")
    rssi_change: float = Field(default=10.0, gt=0, description="a tag is told again when its strength differs by this")


@dataclass(slots=True)
class _Tag:
    """What is known of one tag in the field."""

    seen_at: float
    told: dict[int | None, tuple[float, float | None]] = field(default_factory=dict)  # by antenna: when, how strong
    told_at: float = 0.0  # by whichever antenna, last
    memory: dict[Place, bytes] = field(default_factory=dict)
    asked_at: dict[Place, float] = field(default_factory=dict)
    unread: set[tuple[Place, str]] = field(default_factory=set)
    tid: bytes = b""
    state: SealState | None = None
    state_told_at: float = 0.0
    shown: TagRead = field(default_factory=lambda: TagRead(""))


class TagWatch:
    """The tags before one reader. Times are in seconds; NaN where there is no clock: then each is told once."""

    def __init__(self, rules: TagRules) -> None:
        self._rules = rules
        self._tags: dict[bytes, _Tag] = {}

    def answered(
        self,
        epc: bytes,
        now: float,
        antenna: int | None = None,
        strength: float | None = None,
        rssi_dbm: float | None = None,
        tid: bytes = b"",
    ) -> list[Body]:
        """A tag answered. `strength` is in the reader's own unit, `rssi_dbm` the same in dBm where that is known."""
        self._forget(now)
        tag = self._tags.pop(epc, None) or _Tag(now)
        if len(self._tags) >= MAX_TAGS:
            del self._tags[next(iter(self._tags))]
        self._tags[epc] = tag
        tag.seen_at = now  # and the dict is in the order of this
        new_tid = bool(tid) and tid != tag.tid
        tag.tid = tid or tag.tid
        bodies: list[Body] = []
        if len(tag.told) > MAX_ANTENNAS:
            tag.told.clear()
        if new_tid or self._is_news(tag, antenna, now, strength):
            tag.told[antenna], tag.told_at = (now, strength), now
            tag.shown = TagRead(epc.hex().upper(), as_text(epc), antenna, rssi_dbm, tag.tid.hex().upper())
            bodies.append(self._with_memory(epc, tag))
        return [*bodies, *self._seal(epc, tag, was_read=False)]

    def due(self, epc: bytes, now: float) -> Iterator[Place]:
        """What is to be read of this tag's memory now."""
        tag = self._tags.get(epc)
        if tag is None or not epc:  # an empty EPC selects any tag: its memory could be another's
            return
        for place, again_s in self._wanted(epc).items():
            asked = tag.asked_at.get(place)
            if asked is None or now - asked >= (again_s if place in tag.memory else 0):
                tag.asked_at[place] = now
                yield place

    def read(self, epc: bytes, place: Place, data: bytes) -> list[Body]:
        """A place of this tag's memory was read: `data` are its words."""
        tag = self._tags.get(epc)
        if tag is None:
            return []
        if len(data) != 2 * place.words:
            return self.unread(epc, place, f"{counted(len(data), 'byte')} came instead of {2 * place.words}")
        news = tag.memory.get(place) != data
        tag.memory[place] = data
        tag.unread = {(where, why) for where, why in tag.unread if where != place}
        told: list[Body] = [self._with_memory(epc, tag)] if news and place == self._memory_of(epc) else []
        return [*told, *self._seal(epc, tag, was_read=True)]

    def unread(self, epc: bytes, place: Place, why: str) -> list[Body]:
        """A place of this tag's memory could not be read: told once for each reason while the tag stays."""
        tag = self._tags.get(epc)
        if tag is None or (place, why) in tag.unread:
            return []
        tag.unread.add((place, why))
        return [Opaque("memory_unread", (epc.hex().upper(), str(place), why))]

    def _forget(self, now: float) -> None:
        """Those that have not answered for `forget_s`."""
        while self._tags and now - self._tags[oldest := next(iter(self._tags))].seen_at > self._rules.forget_s:
            del self._tags[oldest]

    @property
    def _repeat_s(self) -> float:
        return max(self._rules.repeat_s, len(self._tags) / REPEATS_A_SECOND)

    def _is_news(self, tag: _Tag, antenna: int | None, now: float, strength: float | None) -> bool:
        if antenna not in tag.told:
            return True
        at, known = tag.told[antenna]
        changed = known is not None and strength is not None and abs(strength - known) >= self._rules.rssi_change
        return now - at >= CHANGE_EVERY_S if changed else now - tag.told_at >= self._repeat_s

    def _wanted(self, epc: bytes) -> dict[Place, float]:
        """What is to be read of this tag, and how often."""
        place = self._memory_of(epc)
        wanted = {place: max(self._rules.repeat_s, MEMORY_REREAD_S)} if place else {}
        seals = self._rules.seals
        if seals and seals.matches(epc.hex().upper()):
            wanted |= dict.fromkeys(seals.places(epc), SEAL_REREAD_S)
        return wanted

    def _memory_of(self, epc: bytes) -> Place | None:
        memory = self._rules.memory
        return memory.place if memory and memory.matches(epc.hex().upper()) else None

    def _with_memory(self, epc: bytes, tag: _Tag) -> TagRead:
        place = self._memory_of(epc)
        return replace(tag.shown, memory=tag.memory.get(place, b"").hex().upper()) if place else tag.shown

    def _seal(self, epc: bytes, tag: _Tag, was_read: bool) -> list[Body]:
        """The seal's state, if this is a seal, all of it is known, and it is news, or due again and not from memory
        that was read long ago."""
        seals = self._rules.seals
        if not seals or not seals.matches(epc.hex().upper()):
            return []
        places = seals.places(epc)
        if any(place not in tag.memory for place in places):
            return []
        state = seals.state(epc, tag.memory)
        due = (was_read or not places) and tag.seen_at - tag.state_told_at >= self._repeat_s
        if state == tag.state and not due:
            return []
        tag.state, tag.state_told_at = state, tag.seen_at
        return [state]


def as_text(data: bytes) -> str:
    """Printable ASCII, without the zeros or blanks that fill it up; '' if it is anything else."""
    filled = data.rstrip(b"\0")
    return filled.decode().rstrip() if _PRINTABLE.issuperset(filled) else ""


def access_plan(rules: TagRules) -> list[tuple[str, tuple[Place, ...]]]:
    """What a reader that is told beforehand is to read: beginnings of EPCs in hex, longest first, each with its places.

    For each tag it carries out the first that matches only.
    """
    prefixes = {prefix for which in (rules.seals, rules.memory) if which for prefix in which.prefixes}
    plan = []
    for prefix in sorted(prefixes, key=lambda prefix: (-len(prefix), prefix)):
        places = rules.seals.all_places if rules.seals and rules.seals.matches(prefix) else ()
        own = (rules.memory.place,) if rules.memory and rules.memory.matches(prefix) else ()
        plan.append((prefix, tuple(dict.fromkeys(places + own))))
    return [(prefix, places) for prefix, places in plan if places]
