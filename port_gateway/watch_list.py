"""What the port watches for: a list that no booth ever sees, compared with every inspection that closes.

    add, import ─► watch_list ─┐
    InspectionClosed ──────────┴─► hit ─► PortFindings for the booth, in the transaction that keeps the event

Compared is the text in capitals without separators, O as 0 and I as 1. One character may differ; that is said. What the
booth is told are the words of the entry for the officer and what it had read itself: nothing else of the list.
"""

import logging
import re
import secrets
from collections.abc import Collection, Iterable, Iterator, Sequence
from dataclasses import dataclass

import apsw

from edge_agent.domain.counted import counted
from edge_agent.domain.errors import Permanent
from edge_agent.domain.finding import Cause, Finding, Identifier, Recommendation, Severity
from edge_agent.domain.identifiers import fold_plate
from edge_agent.wire import codec_findings
from edge_agent.wire.v1alpha1 import event_pb2 as wire
from edge_agent.wire.v1alpha1.findings_pb2 import PortFindings
from port_gateway.booth_messages import TooManyMessages, new_message_id, post

log = logging.getLogger(__name__)

KINDS = ("plate", "container_code", "seal", "tag")
MAX_ENTRIES = 1_000_000
MAX_TELL = 200
MAX_ID = 64
_TEXT = re.compile(r"[0-9A-Z]{4,64}")
_ID = re.compile(r"[A-Za-z0-9][A-Za-z0-9._:/#-]{0,63}")
# Of one inspection, by whatever booth: bounds the work that one event can ask for.
MAX_COMPARED = 100
MAX_CHARACTERS = 64
MAX_HITS = 8
MAX_NEAR = 64
_PICTURES = ("plate_crop", "container_code_crop", "frame")


class EntryRefused(Permanent):
    """An entry that cannot be."""


@dataclass(frozen=True, slots=True)
class Entry:
    """One line of the list. `tell` is for the officer; `until_utc_us` None: until it is taken out."""

    id: str
    kind: str
    text: str
    tell: str
    severity: Severity = Severity.ALARM
    recommends: Recommendation = Recommendation.HOLD
    until_utc_us: int | None = None

    @property
    def folded(self) -> str:
        """As it is compared."""
        return fold_plate(self.text)


@dataclass(frozen=True, slots=True)
class Hit:
    """An entry that an inspection fits; `read` as its booth read it."""

    entry: Entry
    kind: str
    read: str
    near: bool


def checked(entry: Entry, now_us: int) -> Entry:
    """The entry. Raises EntryRefused. What is wrong is said without the text, which may go to a log."""
    if not _ID.fullmatch(entry.id):
        raise EntryRefused(
            f"an id of {counted(len(entry.id), 'character')}", f"letters, digits and ._:/#-, at most {MAX_ID}"
        )
    if entry.kind not in KINDS:
        raise EntryRefused(f"{entry.id}: a kind that there is not", f"one of {', '.join(KINDS)}")
    if not _TEXT.fullmatch(fold_plate(entry.text)):
        say = "4 to 64 letters A to Z and digits, separators aside"
        raise EntryRefused(f"{entry.id}: no such {entry.kind.replace('_', ' ')} can be read", say)
    if not entry.tell or not entry.tell.isprintable() or len(entry.tell.encode()) > MAX_TELL:
        raise EntryRefused(f"{entry.id}: what the officer is told", f"one line, 1 to {MAX_TELL} bytes of UTF-8")
    if entry.until_utc_us is not None and entry.until_utc_us <= now_us:
        raise EntryRefused(f"{entry.id}: it ended in the past", "leave the end out, or correct it")
    return entry


def put(db: apsw.Connection, entries: Sequence[Entry], by_whom: str, what: str, now_us: int) -> None:
    """Adds or replaces them, all or none. In a transaction. Raises EntryRefused."""
    for entry in entries:
        checked(entry, now_us)
        _take_out(db, entry.id)
        db.execute(
            "INSERT INTO watch_list VALUES (?,?,?,?,?,?,?,?)",
            (
                *(entry.id, entry.kind, entry.text, entry.folded, entry.tell),
                *(entry.severity.value, entry.recommends.value, entry.until_utc_us),
            ),
        )
        db.executemany(
            "INSERT OR IGNORE INTO watch_list_pattern VALUES (?,?)",
            [(pattern, entry.id) for pattern in _patterns(entry.kind, entry.folded)],
        )
    count = db.execute("SELECT count(*) FROM watch_list").get
    if isinstance(count, int) and count > MAX_ENTRIES:
        raise EntryRefused(
            f"{counted(count, 'entry', 'entries')}", f"at most {MAX_ENTRIES}: take out what is no longer watched for"
        )
    note_watch_change(db, by_whom, what, now_us)


def remove(db: apsw.Connection, ids: Sequence[str], by_whom: str, now_us: int) -> list[str]:
    """Takes them out; those that were not there. In a transaction."""
    unknown = [one for one in ids if not _take_out(db, one)]
    gone = [one for one in ids if one not in unknown]
    if gone:
        note_watch_change(db, by_whom, f"removed {', '.join(gone)}"[:1000], now_us)
    return unknown


def read_list(db: apsw.Connection) -> Iterator[Entry]:
    """The whole list, by id."""
    rows = db.execute("SELECT id, kind, text, tell, severity, recommends, until_utc_us FROM watch_list ORDER BY id")
    for row in rows:
        yield _entry(row)


def _entry(row: tuple[object, ...]) -> Entry:
    id, kind, text, tell, severity, recommends, until = row
    return Entry(
        *(str(id), str(kind), str(text), str(tell)),
        *(Severity(str(severity)), Recommendation(str(recommends)), until if isinstance(until, int) else None),
    )


def _take_out(db: apsw.Connection, id: str) -> bool:
    there = db.execute("SELECT 1 FROM watch_list WHERE id = ?", (id,)).get is not None
    db.execute("DELETE FROM watch_list_pattern WHERE id = ?", (id,))
    db.execute("DELETE FROM watch_list WHERE id = ?", (id,))
    return there


def note_watch_change(db: apsw.Connection, by_whom: str, what: str, now_us: int) -> None:
    """Who did what, for `watchlist changes`; no text of an entry. In a transaction."""
    db.execute(
        "INSERT INTO watch_list_change (at_utc_us, by_whom, what) VALUES (?,?,?)", (now_us, by_whom, what[:1000])
    )


def _patterns(kind: str, folded: str) -> list[str]:
    return [f"{kind} {folded[:place]}_{folded[place + 1 :]}" for place in range(len(folded))]


# --- an inspection closes ---------------------------------------------------------------------------------------------


def compare(
    db: apsw.Connection, booth_id: str, event: wire.Event, now_us: int, ids: Collection[str] | None = None
) -> int:
    """In the transaction that keeps the event: hits of a closed inspection are noted, and its booth will be told; how
    many. With `ids`: of these entries alone.

    Never stands in the way of the event: a booth that has too much waiting is not told, and the hit is kept here.
    """
    if event.WhichOneof("body") != "inspection_closed" or db.execute("SELECT 1 FROM watch_list LIMIT 1").get is None:
        return 0
    inspection = event.inspection_closed.inspection
    hits = _new(db, booth_id, inspection.id, _hits(db, inspection, now_us, ids))
    if not hits:
        return 0
    pictures = tuple(ref.sha256 for ref in event.evidence if ref.kind in _PICTURES)
    message = PortFindings(
        message_id=new_message_id(),
        inspection_id=inspection.id,
        cause=Cause.WATCH_LIST.value,
        findings=codec_findings.findings(_finding(hit, pictures) for hit in hits),
    )
    db.executemany(
        "INSERT INTO watch_list_hit (booth_id, inspection_id, id, message_id, near, found_utc_us) VALUES (?,?,?,?,?,?)",
        [(booth_id, inspection.id, hit.entry.id, message.message_id, int(hit.near), now_us) for hit in hits],
    )
    found = counted(len(hits), "hit")
    log.warning("%s: inspection %s: %s on the watch list", booth_id, inspection.id[:64], found)
    try:
        post(db, booth_id, message, now_us)
    except TooManyMessages as full:
        log.error("%s: inspection %s: its booth is not told: %s", booth_id, inspection.id[:64], full)
    return len(hits)


def fits(db: apsw.Connection, event: wire.Event, now_us: int, ids: Collection[str]) -> bool:
    """Whether a closed inspection fits one of these entries; nothing is noted."""
    return bool(_hits(db, event.inspection_closed.inspection, now_us, ids))


def _new(db: apsw.Connection, booth_id: str, inspection_id: str, hits: Iterable[Hit]) -> list[Hit]:
    known = "SELECT 1 FROM watch_list_hit WHERE booth_id = ? AND inspection_id = ? AND id = ?"
    return [hit for hit in hits if db.execute(known, (booth_id, inspection_id, hit.entry.id)).get is None][:MAX_HITS]


def _hits(
    db: apsw.Connection, inspection: wire.Inspection, now_us: int, ids: Collection[str] | None = None
) -> list[Hit]:
    """Each entry (of `ids`) once, as near as it came; the exact ones first."""
    found: dict[str, Hit] = {}
    for kind, read in list(dict.fromkeys(_identifiers(inspection)))[:MAX_COMPARED]:
        folded = fold_plate(read)
        if not _TEXT.fullmatch(folded):
            continue
        patterns = _patterns(kind, folded)
        rows = db.execute(
            "SELECT DISTINCT l.id, l.kind, l.text, l.tell, l.severity, l.recommends, l.until_utc_us,"  # noqa: S608 - marks
            " l.folded"
            " FROM watch_list_pattern p JOIN watch_list l ON l.id = p.id"
            f" WHERE p.pattern IN ({','.join('?' * len(patterns))})"
            " AND (l.until_utc_us IS NULL OR l.until_utc_us > ?)"
            " ORDER BY l.folded <> ?, l.id LIMIT ?",
            (*patterns, now_us, folded, MAX_NEAR if ids is None else -1),
        ).fetchall()
        for row in rows:
            if ids is not None and row[0] not in ids:
                continue
            entry = _entry(row[:7])
            hit = Hit(entry, kind, read, near=entry.folded != folded)
            if entry.id not in found or (found[entry.id].near and not hit.near):
                found[entry.id] = hit
    return sorted(found.values(), key=lambda hit: hit.near)


def _identifiers(inspection: wire.Inspection) -> Iterator[tuple[str, str]]:
    if inspection.HasField("plate"):
        yield "plate", inspection.plate.text
    for plate in inspection.plates:
        yield "plate", plate.vote.text
    for code in inspection.container_codes:
        yield "container_code", code.vote.text
    for seal in inspection.seals:
        yield "seal", seal.number
    for state in inspection.seal_states:
        yield "seal", state.number
    for tag in inspection.tags:
        for text in (tag.epc, tag.text, tag.tid):
            if text:
                yield "tag", text


def _finding(hit: Hit, pictures: tuple[bytes, ...]) -> Finding:
    return Finding(
        "watch_list",
        hit.entry.severity,
        hit.entry.recommends,
        "watch_list.near" if hit.near else "watch_list.hit",
        (("identifier", hit.read), ("note", hit.entry.tell)),
        identifiers=(Identifier(hit.kind, hit.read),),
        evidence=pictures,
    )


def told(db: apsw.Connection, booth_id: str, event: wire.Event) -> None:
    """The booth's event says that it holds what the port found."""
    if event.WhichOneof("body") == "findings_added" and event.findings_added.message_id:
        db.execute(
            "UPDATE watch_list_hit SET chained_seq = ? WHERE booth_id = ? AND message_id = ?",
            (min(event.seq, 2**63 - 1), booth_id, event.findings_added.message_id),
        )


def new_id() -> str:
    """For an entry that was given none."""
    return f"w-{secrets.token_hex(6)}"
