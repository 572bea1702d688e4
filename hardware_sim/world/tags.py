"""The UHF tags on a truck, and how strongly an antenna beside the lane hears each.

A truck may carry a tag behind its windscreen, and an electronic seal on the rear doors of a container (EPC Gen2, ISO
18000-63). The seal reports whether its bolt is intact in a bit of its user memory, since the air interface itself
knows no tamper.
"""

from dataclasses import dataclass
from math import log10, sqrt
from typing import Annotated, Literal
from zlib import crc32

from pydantic import Field

from hardware_sim.settings import SimSettings
from hardware_sim.world.lane import Lane
from hardware_sim.world.passage import Passage
from hardware_sim.world.stretch import Stretch
from hardware_sim.world.truck import Truck

# Memory banks (EPC Gen2, 6.3.2.1).
RESERVED, EPC, TID, USER = range(4)
_USER_BYTES = 32
# How loud a tag is at one metre, and how fast that falls: twice the free space loss, there and back.
_AT_ONE_METRE_DBM = -38.0
_SIDE_M = 2.2  # from the antenna to the middle of the lane


class TagSettings(SimSettings):
    """What is in the tags that trucks and seals carry."""

    seal: bool = Field(default=True, description="a seal is an electronic one, with a tag that carries its number")
    pad: Literal["space", "nul"] = Field(default="space", description="what fills a number up to whole words")
    tamper_word: Annotated[int, Field(ge=0, le=15)] = Field(
        default=0, description="word of user memory in which the seal says whether it is intact"
    )
    tamper_bit: Annotated[int, Field(ge=0, le=15)] = Field(
        default=0, description="bit of that word, 0 the lowest: 1 once the seal was opened"
    )


@dataclass(frozen=True, slots=True)
class Tag:
    """One tag: its number as the EPC, its place behind the truck's front, its memory by bank."""

    text: str
    epc: bytes
    behind_m: float
    tid: bytes
    user: bytes
    is_seal: bool

    def bank(self, number: int) -> bytes:
        """A bank's content; the EPC bank begins with its check word and its protocol control word."""
        match number:
            case 0:
                return bytes(8)
            case 1:
                return b"\x00\x00" + (len(self.epc) // 2 << 11).to_bytes(2, "big") + self.epc
            case 2:
                return self.tid
            case _:
                return self.user


def tags_of(truck: Truck, settings: TagSettings) -> list[Tag]:
    """The truck's tags, from its front to its rear."""
    tags: list[Tag] = []
    if truck.tag is not None:
        tags.append(_tag(truck.tag, 1.6, settings, opened=None))
    for container, behind in truck.placed:
        if settings.seal and container.seal is not None:
            tags.append(
                _tag(container.seal.number, behind + container.length_m, settings, opened=container.seal.opened)
            )
    return tags


def _tag(text: str, behind_m: float, settings: TagSettings, opened: bool | None) -> Tag:
    pad = b" " if settings.pad == "space" else b"\x00"
    epc = text.encode("ascii")
    epc = epc.ljust(max(12, len(epc) + len(epc) % 2), pad)
    user = bytearray(_USER_BYTES)
    if opened:
        word = 1 << settings.tamper_bit
        user[2 * settings.tamper_word : 2 * settings.tamper_word + 2] = word.to_bytes(2, "big")
    # TID: allocation class E2, an unassigned mask designer, and a serial number that belongs to the chip.
    tid = b"\xe2\x80\x6f\x12" + crc32(b"tid/" + epc).to_bytes(4, "big") + crc32(b"chip/" + epc).to_bytes(4, "big")
    return Tag(text, epc, behind_m, tid, bytes(user), is_seal=opened is not None)


@dataclass(frozen=True, slots=True)
class Heard:
    """A tag in an antenna's field."""

    tag: Tag
    passage: Passage
    antenna: int
    rssi_dbm: float


class Antennas:
    """The fields of a reader's antennas beside the lane. Asked for moments that never go back."""

    def __init__(self, lane: Lane, at_m: float, antennas: int, spacing_m: float, reach_m: float, tags: TagSettings):
        self._places = [at_m + n * spacing_m for n in range(antennas)]
        self._reach = reach_m
        self._tags = tags
        self._stretch = Stretch(lane, at_m - reach_m, self._places[-1] + reach_m)

    def heard(self, at: float, antennas: frozenset[int] | None = None) -> list[Heard]:
        """Every tag in the field of each antenna (1 is the first), by antenna."""
        found: list[Heard] = []
        for passage in self._stretch.touched_by(at):
            front = passage.position(at)
            for tag in tags_of(passage.truck, self._tags):
                for number, place in enumerate(self._places, 1):
                    along = front - tag.behind_m - place
                    if abs(along) <= self._reach and (antennas is None or number in antennas):
                        distance = sqrt(along**2 + _SIDE_M**2)
                        found.append(Heard(tag, passage, number, _AT_ONE_METRE_DBM - 40 * log10(distance)))
        return sorted(found, key=lambda h: h.antenna)

    def touched_from(self, at: float) -> float | None:
        """When a truck next is near, from `at` on."""
        return self._stretch.touched_from(at)

    def leaves(self, passage: Passage) -> float:
        """When the truck is out of every antenna's reach."""
        return self._stretch.leaves(passage)

    def expected(self, passage: Passage) -> dict[str, object]:
        """The tags that a reader can have heard of the truck, for the truth."""
        return {
            "tags": [
                {
                    "epc": tag.epc.hex().upper(),
                    "text": tag.text,
                    "kind": "seal" if tag.is_seal else "truck",
                    **({"opened": any(tag.user)} if tag.is_seal else {}),
                }
                for tag in tags_of(passage.truck, self._tags)
            ]
        }
