"""Events found in the bytes of a damaged ledger, page by page, without SQLite: whatever is whole is found.

Source of the formats: sqlite.org/fileformat2.html (records, cells, overflow pages; 4.1 the log). Nothing found here is
believed: the caller verifies every envelope.
"""

import errno
import hashlib
import os
import re
import struct
from bisect import bisect_right
from collections.abc import Iterator, Sequence
from pathlib import Path

from edge_agent.ledger.wal import FRAME, FRAME_HEADER, HEADER, PAGE
from edge_agent.wire.envelope import MAX_ENVELOPE_BYTES, PAYLOAD_TYPE

# A record of `event` begins: its header's size (8 or 9), NULL (seq is the row's number), a text of 36 (id), two
# texts of up to 57 (kind, inspection_id), a blob of 32 (sha256), a blob whose type takes two bytes or three (envelope).
_NULL_AND_ID, _SHORT_TEXTS, _DIGEST = b"\x00\x55", range(13, 128, 2), 0x4C
# The field of an envelope behind its payload.
_TYPE = re.compile(re.escape(b"\x12" + bytes([len(PAYLOAD_TYPE)]) + PAYLOAD_TYPE.encode()))


class _Pages:
    """Images of pages: those of the database by number, and all that the log holds, in order."""

    def __init__(self, database: list[bytes], log: list[tuple[int, bytes]]) -> None:
        self.database, self.log = database, log
        self._places: dict[int, list[int]] = {}
        for index, (number, _) in enumerate(log):
            self._places.setdefault(number, []).append(index)

    def page(self, number: int, through: int) -> bytes:
        """The newest image of a page that the log holds through index `through`, or else the database's; or empty."""
        places = self._places.get(number, [])
        place = bisect_right(places, through)
        if place:
            return self.log[places[place - 1]][1]
        return self.database[number - 1] if 0 < number <= len(self.database) else b""


def find_envelopes(database: Path) -> Iterator[bytes]:
    """Every envelope that is whole in the file or in its log, each at least once; and what only looks like one."""
    pages = _Pages(
        _pages_of(read_damaged(database)), _frames_of(read_damaged(database.with_name(f"{database.name}-wal")))
    )
    for image in pages.database:
        yield from _in_page(image, pages, (len(pages.log), -1))
    yield from _in_log(pages)


def find_in_log(log: bytes) -> Iterator[bytes]:
    """Likewise, in the bytes of a log alone."""
    yield from _in_log(_Pages([], _frames_of(log)))


def _in_log(pages: _Pages) -> Iterator[bytes]:
    for index, (_, image) in enumerate(pages.log):
        yield from _in_page(image, pages, (len(pages.log), index + 64))


def read_damaged(path: Path) -> bytes:
    """The bytes of a file, zeros where the disk cannot read it; empty if it is not there."""
    if not path.exists():
        return b""
    with path.open("rb") as file:
        size = os.fstat(file.fileno()).st_size
        return b"".join(_read_page(file.fileno(), at, min(PAGE, size - at)) for at in range(0, size, PAGE))


def _read_page(descriptor: int, at: int, size: int) -> bytes:
    try:
        return os.pread(descriptor, size, at).ljust(size, b"\0")
    except OSError as error:
        if error.errno != errno.EIO:
            raise
        return bytes(size)


def _pages_of(data: bytes) -> list[bytes]:
    return [data[at : at + PAGE] for at in range(0, len(data), PAGE)]


def _frames_of(data: bytes) -> list[tuple[int, bytes]]:
    return [
        (int.from_bytes(data[at : at + 4], "big"), data[at + FRAME_HEADER : at + FRAME])
        for at in range(HEADER, len(data), FRAME)
    ]


def _in_page(image: bytes, pages: _Pages, moments: Sequence[int]) -> Iterator[bytes]:
    """Long records go on in other pages: the newest images of them, or those of that time."""
    for at in _records(image):
        for through in moments:
            found = _record(image, at, pages, through)
            if found is not None:
                yield found
                break
    for match in _TYPE.finditer(image):
        found = _contiguous(image, match.start(), match.end())
        if found is not None:
            yield found


def _records(image: bytes) -> Iterator[int]:
    at = image.find(_NULL_AND_ID, 1)
    while 0 < at < len(image) - 8:
        texts = image[at + 2] in _SHORT_TEXTS and image[at + 3] in _SHORT_TEXTS
        if image[at - 1] in (8, 9) and texts and image[at + 4] == _DIGEST and image[at + 5] >= 0x80:
            yield at - 1
        at = image.find(_NULL_AND_ID, at + 1)


def _record(image: bytes, at: int, pages: _Pages, through: int) -> bytes | None:
    """The envelope of the record at `at`, if the digest beside it is its own."""
    header = image[at]
    kind, inspection = ((image[at + n] - 13) // 2 for n in (3, 4))
    size_type, _ = _varint(image, at + 6)
    envelope_size = (size_type - 12) // 2
    if size_type % 2 or not 0 < envelope_size <= MAX_ENVELOPE_BYTES:
        return None
    digest_at = header + 36 + kind + inspection
    total = digest_at + 32 + envelope_size
    record = _payload(image, at, total, pages, through)
    if record is None:
        return None
    envelope = record[digest_at + 32 :]
    return envelope if hashlib.sha256(envelope).digest() == record[digest_at : digest_at + 32] else None


def _payload(image: bytes, at: int, total: int, pages: _Pages, through: int) -> bytes | None:
    if total <= PAGE - 35:
        return image[at : at + total] if at + total <= len(image) else None
    least = (PAGE - 12) * 32 // 255 - 23
    local = least + (total - least) % (PAGE - 4)
    local = local if local <= PAGE - 35 else least
    if at + local + 4 > len(image):
        return None
    data = image[at : at + local]
    (following,) = struct.unpack(">I", image[at + local : at + local + 4])
    while len(data) < total:
        page = pages.page(following, through)
        if len(page) < PAGE:
            return None
        (following,) = struct.unpack(">I", page[:4])
        data += page[4:]
    return data[:total]


def _contiguous(image: bytes, end: int, behind: int) -> bytes | None:
    """The envelope around a payload type, if all of it stands in this page: its record may be damaged."""
    begin = image.rfind(b"\x0a", 0, end - 1)
    while begin >= 0:
        size, length = _varint_protobuf(image, begin + 1)
        if length and size > 40 and begin + 1 + length + size == end:
            rest, width = _varint_protobuf(image, behind + 1)
            last = behind + 1 + width + rest
            whole = image[behind : behind + 1] == b"\x1a" and width and last <= len(image)
            return image[begin:last] if whole else None
        begin = image.rfind(b"\x0a", 0, begin)
    return None


def _varint_protobuf(data: bytes, at: int) -> tuple[int, int]:
    """Protobuf's, of up to four bytes: the value and its length; length 0 if there is none."""
    value = 0
    for n in range(4):
        if at + n >= len(data):
            break
        value |= (data[at + n] & 0x7F) << (7 * n)
        if data[at + n] < 0x80:
            return value, n + 1
    return 0, 0


def _varint(data: bytes, at: int) -> tuple[int, int]:
    """SQLite's, of up to four bytes: the value and its length; length 0 if there is none."""
    value = 0
    for n in range(4):
        if at + n >= len(data):
            break
        value = value << 7 | data[at + n] & 0x7F
        if data[at + n] < 0x80:
            return value, n + 1
    return 0, 0
