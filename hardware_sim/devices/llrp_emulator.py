"""llrpkit's emulator with the world's tags in its field, each with its own memory."""

from collections.abc import Sequence

from llrpkit.emulator import EmulatedTag, LLRPEmulator

from hardware_sim.world.tags import TID, USER, Heard, Tag

# Memories of tags that were in the field; a day's trucks would otherwise pile up.
_MOST_REMEMBERED = 64


class Emulator(LLRPEmulator):
    """An LLRP reader on a TCP port; raises OSError from `start` when the port is taken."""

    def __init__(self, host: str, port: int, antennas: int, reads_per_s: float, seed: int) -> None:
        super().__init__(
            host=host, port=port, tags=(), reads_per_sec=reads_per_s, antenna_count=antennas, seed=seed,
            firmware="hardware-sim",
        )  # fmt: skip

    def place(self, heard: Sequence[Heard]) -> None:
        """These tags, and no others, are in the field now."""
        by_tag: dict[bytes, tuple[Tag, list[Heard]]] = {}
        for each in heard:
            by_tag.setdefault(each.tag.epc, (each.tag, []))[1].append(each)
        self.tags = [
            EmulatedTag(epc, tuple(h.antenna for h in where), max(h.rssi_dbm for h in where))
            for epc, (_, where) in by_tag.items()
        ]
        for epc, (tag, _) in by_tag.items():
            if epc not in self._memories:
                self._memories[epc] = {0: bytearray(8), TID: bytearray(tag.tid), USER: bytearray(tag.user)}
        for old in list(self._memories)[:-_MOST_REMEMBERED]:
            del self._memories[old]
