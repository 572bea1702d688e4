"""SQLite's log as bytes: which of its transactions were surely durable, whatever is damaged before or in them.

Source: sqlite.org/fileformat2.html, 4.1 to 4.3. With synchronous=FULL a transaction is on the disk before the next one
writes its first frame. So a frame that follows a commit by its checksum proves that commit: a power cut cannot have
torn it, and what is missing there was damaged later.
"""

import struct
from dataclasses import dataclass

PAGE = 4096  # SQLite's own default, which the ledger never changes
HEADER, FRAME_HEADER = 32, 24
FRAME = FRAME_HEADER + PAGE
_BIG_ENDIAN_SUMS = 0x377F0683
_SALT_BITS = 3  # so many bits of the 64 may be damaged; another generation's differ in about 32


@dataclass(frozen=True, slots=True)
class _Frame:
    commits: bool
    salt: int
    sums: tuple[int, int]
    image: bytes  # what its checksum covers of it: 8 bytes of its header, and the page


def surely_durable(log: bytes) -> bytes:
    """The log through the last commit that another transaction's frame follows; empty when none is proved."""
    if len(log) < HEADER + FRAME:
        return b""
    order = ">" if struct.unpack_from(">I", log)[0] == _BIG_ENDIAN_SUMS else "<"
    frames = [_frame(log, at) for at in range(HEADER, len(log) - FRAME + 1, FRAME)]
    salt = _salt(log, frames, order)
    for index in range(len(frames) - 2, -1, -1):
        commit, following = frames[index], frames[index + 1]
        of_now = (commit.salt ^ salt).bit_count() <= _SALT_BITS and following.salt == salt
        if commit.commits and of_now and _sums(following.image, order, commit.sums) == following.sums:
            return log[: HEADER + (index + 1) * FRAME]
    return b""


def _frame(log: bytes, at: int) -> _Frame:
    _, pages, salt, *sums = struct.unpack_from(">IIQII", log, at)
    return _Frame(pages != 0, salt, (sums[0], sums[1]), log[at : at + 8] + log[at + FRAME_HEADER : at + FRAME])


def _salt(log: bytes, frames: list[_Frame], order: str) -> int:
    """Of the present generation: the header's, or what the frames say when the header is damaged."""
    salt, *sums = struct.unpack_from(">QII", log, 16)
    if _sums(log[:24], order, (0, 0)) == tuple(sums):
        return int(salt)
    return frames[0].salt if len(frames) < 2 or frames[0].salt == frames[1].salt else frames[1].salt


def _sums(data: bytes, order: str, before: tuple[int, int]) -> tuple[int, int]:
    first, second = before
    for one, other in struct.iter_unpack(f"{order}II", data):
        first = (first + one + second) & 0xFFFFFFFF
        second = (second + other + first) & 0xFFFFFFFF
    return first, second
