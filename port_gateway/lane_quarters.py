"""What lanes did, as rows beside the events: one for each LaneStatistics, written in the same transaction as its event.

A message that cannot be (a count that no lane reaches, bins that do not add up) stays in its chain and gets no row.
"""

import json
import logging
import struct
import zlib
from collections.abc import Iterable, Iterator, Mapping
from typing import Any

import apsw
from google.protobuf.message import DecodeError

from edge_agent.domain.inspection import Expected, MissingReason
from edge_agent.domain.statistics import Confidences, Durations, LaneStatistics, PartEnd
from edge_agent.wire.chain import Head
from edge_agent.wire.codec_statistics import read_statistics
from edge_agent.wire.envelope import read_envelope
from edge_agent.wire.refused import Refused
from edge_agent.wire.v1alpha1.event_pb2 import Event

log = logging.getLogger(__name__)

# Where each count stands in `counts`: pairs of a place (16 bits) and a count (32 bits), little-endian, zeros left out.
_PAIR = struct.Struct("<HI")
DWELL, GAP, SERVICE, PLATES, CODES, DISPUTED, MISSING = 0, 256, 512, 768, 784, 800, 816
_WHATS = tuple(Expected)
_REASONS = tuple(MissingReason)
# Whether `counts` was written by a version for which each place means the same.
_WORDS = zlib.crc32(repr((_WHATS, _REASONS, len(Confidences().counts))).encode())
COLUMNS = (
    "lane, quarter_s, cursor, covered_s, unsynced_s, clock_set, arrived, complete, incomplete, abandoned, dwell_sum_s,"
    " dwell_min_s, dwell_max_s, gap_sum_s, gap_min_s, gap_max_s, service_sum_s, service_min_s, service_max_s,"
    " gamma_alarms, neutron_alarms, unassigned, up_s, down_s, unknown_s, counts, devices"
)
Row = tuple[Any, ...]


def counts_of(said: LaneStatistics) -> dict[int, int]:
    """Every count that is no column, by its place."""
    found: dict[int, int] = {}
    for begin, times in ((DWELL, said.dwell), (GAP, said.gap), (SERVICE, said.service)):
        found.update({begin + number: count for number, count in times.bins.items()})
    for n, (begin, reads) in enumerate(((PLATES, said.plates), (CODES, said.codes))):
        found.update({begin + number: count for number, count in enumerate(reads.counts)})
        found[DISPUTED + n] = reads.disputed
    for what, reason, count in said.missing:
        place = MISSING + _WHATS.index(what) * len(_REASONS) + _REASONS.index(reason)
        found[place] = found.get(place, 0) + count
    return {place: count for place, count in found.items() if count}


def packed(counts: Mapping[int, int]) -> bytes:
    """As they are kept."""
    return b"".join(_PAIR.pack(place, count) for place, count in sorted(counts.items()))


def unpacked(blob: bytes) -> Iterator[tuple[int, int]]:
    """Place and count, one after the other."""
    return _PAIR.iter_unpack(blob)


def times_of(counts: Mapping[int, int], begin: int, ends: tuple[float, float | None, float | None]) -> Durations:
    """The durations whose bins stand from `begin` on; `ends` are their sum, least and most."""
    bins = {place - begin: count for place, count in sorted(counts.items()) if begin <= place < begin + 256}
    total, least, most = ends
    return Durations(sum(bins.values()), total, least or 0.0, most or 0.0, bins)


def reads_of(counts: Mapping[int, int], begin: int) -> Confidences:
    """Plates or codes, by confidence."""
    kept = tuple(counts.get(begin + n, 0) for n in range(len(Confidences().counts)))
    return Confidences(kept, counts.get(DISPUTED + (begin == CODES), 0))


def missing_of(counts: Mapping[int, int]) -> dict[tuple[Expected, MissingReason], int]:
    """What was missing of vehicles, and why."""
    places = ((w, r, MISSING + n * len(_REASONS) + m) for n, w in enumerate(_WHATS) for m, r in enumerate(_REASONS))
    return {(what, reason): counts[place] for what, reason, place in places if place in counts}


def note_statistics(db: apsw.Connection, head: Head, events: Iterable[Event]) -> None:
    """Rows for those of these events, which were just added to `head`'s chain, that tell what a lane did."""
    for event in events:
        if event.WhichOneof("body") != "lane_statistics":
            continue
        cursor = db.execute(
            "SELECT cursor FROM event WHERE booth_id = ? AND epoch = ? AND seq = ?",
            (head.booth_id, head.epoch, event.seq),
        ).get
        note_at(db, head.booth_id, event, int(str(cursor)))


def note_at(db: apsw.Connection, booth_id: str, event: Event, cursor: int) -> None:
    """The same for one event whose cursor is known; nothing if it is of another kind."""
    said = believed(booth_id, event)
    if said is None:
        return
    db.execute("INSERT OR IGNORE INTO lane (booth_id, lane_id) VALUES (?,?)", (booth_id, said.lane_id))
    row = row_of(said, lane_number(db, booth_id, said.lane_id), cursor)
    marks = ",".join("?" * len(row))
    db.execute(f"INSERT OR IGNORE INTO lane_quarter ({COLUMNS}) VALUES ({marks})", row)  # noqa: S608 - only marks


def believed(booth_id: str, event: Event) -> LaneStatistics | None:
    """What the event says a lane did, if it does and that can be."""
    if event.WhichOneof("body") != "lane_statistics":
        return None
    try:
        return read_statistics(event.lane_statistics)
    except ValueError as error:
        log.warning("%s, sequence %d: statistics that cannot be: %s", booth_id, event.seq, error)
        return None


def lane_number(db: apsw.Connection, booth_id: str, lane_id: str) -> int | None:
    """The lane's number in the tables."""
    found = db.execute("SELECT id FROM lane WHERE booth_id = ? AND lane_id = ?", (booth_id, lane_id)).get
    return found if isinstance(found, int) else None


def row_of(said: LaneStatistics, lane: int | None, cursor: int) -> Row:
    """The row, in the order of COLUMNS."""
    ends: list[float | None] = []
    for times in (said.dwell, said.gap, said.service):
        ends += [times.sum_s, times.min_s if times.count else None, times.max_s if times.count else None]
    return (
        lane,
        said.quarter_utc_us // 1_000_000,
        cursor,
        said.covered_s,
        0.0 if said.clock_synchronised else said.covered_s,
        int(said.ended is PartEnd.CLOCK_SET),
        said.arrived,
        said.complete,
        said.incomplete,
        said.abandoned,
        *ends,
        said.gamma_alarms,
        said.neutron_alarms,
        said.unassigned,
        sum(d.up_s for d in said.devices),
        sum(d.down_s for d in said.devices),
        sum(d.unknown_s for d in said.devices),
        packed(counts_of(said)),
        json.dumps([[d.device_id, d.up_s, d.down_s, d.unknown_s] for d in said.devices], separators=(",", ":")),
    )


def kept_row(db: apsw.Connection, cursor: int, lane: int | None, quarter_s: int) -> Row | None:
    """The row that is kept for an event, to be compared with what the event says."""
    return db.execute(
        f"SELECT {COLUMNS} FROM lane_quarter WHERE lane = ? AND quarter_s = ? AND cursor = ?",  # noqa: S608
        (lane, quarter_s, cursor),
    ).fetchone()


def note_words(db: apsw.Connection) -> None:
    """The rows are of this version's words. In a transaction."""
    db.execute("INSERT OR REPLACE INTO meta VALUES ('lane_words', ?)", (_WORDS,))


def words_changed(db: apsw.Connection) -> bool:
    """Whether the rows were written by a version with other words for what was missing."""
    return db.execute("SELECT value FROM meta WHERE key = 'lane_words'").get not in (None, _WORDS)


def note_anew(db: apsw.Connection) -> None:
    """Every row again, from the events: these never go. In a transaction."""
    if not words_changed(db):  # by another process, meanwhile
        return
    db.execute("DELETE FROM lane_quarter")
    for cursor, booth_id, envelope in db.execute(
        "SELECT cursor, booth_id, envelope FROM event e WHERE length(envelope) > 0 AND NOT EXISTS"
        " (SELECT 1 FROM quarantine q WHERE q.cursor = e.cursor AND q.released_cursor IS NULL) ORDER BY cursor"
    ):
        try:
            event = Event.FromString(read_envelope(bytes(envelope))[0])
        except (Refused, DecodeError, TypeError):  # was never let in: for `verify` to name
            continue
        note_at(db, str(booth_id), event, int(str(cursor)))
    note_words(db)
