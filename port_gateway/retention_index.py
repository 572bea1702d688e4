"""Which inspection brought which evidence, and what of it was deleted: noted with each event, in its transaction."""

from collections.abc import Iterable, Iterator
from typing import NamedTuple

import apsw
from google.protobuf.message import DecodeError

from edge_agent.domain.counted import counted
from edge_agent.domain.evidence import EvidenceKind
from edge_agent.domain.retention import EvidenceRules, Standing
from edge_agent.wire.envelope import read_envelope
from edge_agent.wire.refused import Refused
from edge_agent.wire.standing import inspection_of, standing_of
from edge_agent.wire.v1alpha1.event_pb2 import Event, EvidenceRef
from edge_agent.wire.v1alpha1.retention_pb2 import DELETION_REASON_NO_FINDING
from port_gateway.evidence import MAX_BLOB_BYTES
from port_gateway.moments import moment

# What an inbox held before it knew of retention counts as having come so long after the upgrade: time to look at the
# settings, and at `retention status`.
UPGRADE_US = 7 * 86_400_000_000
SHA256_BYTES = 32
# Stands for every kind that this version does not know: it is kept as long as what is kept longest.
OTHER_KIND = "other"
_KINDS = frozenset(kind.value for kind in EvidenceKind)
_AT_THE_BOOTH = "kept only with a finding, and there was none"


class Deleted(NamedTuple):
    """Evidence that is gone by policy: when, by the port's clock, where ('port' or 'booth'), by which rule."""

    at_utc_us: int
    place: str
    rule: str


class DeletedEvent(NamedTuple):
    """That an event's bytes are gone: when, by the port's clock, and by which rule."""

    at_utc_us: int
    rule: str


def note_uses(db: apsw.Connection, booth_id: str, event: Event, now_us: int) -> None:
    """What a verified event, which came at `now_us`, means for the evidence that it and its inspection name."""
    standing, refs = standing_of(event), list(named(event))
    inspection = inspection_of(event) if refs or standing is not Standing.CLEAR else ""
    if inspection:
        value = db.execute(
            "SELECT standing FROM inspection_standing WHERE booth_id = ? AND inspection_id = ?", (booth_id, inspection)
        ).get
        known = Standing(value) if isinstance(value, int) else Standing.CLEAR
        if standing > known:  # twice at most: whatever the inspection names is looked through then
            db.execute("INSERT OR REPLACE INTO inspection_standing VALUES (?,?,?)", (booth_id, inspection, standing))
            db.execute(
                "UPDATE evidence_use SET standing = ? WHERE inspection_id = ? AND booth_id = ?",
                (standing, inspection, booth_id),
            )
        standing = max(standing, known)
    for ref in refs:
        db.execute(
            "INSERT INTO evidence_use VALUES (?,?,?,?,?,?,?) ON CONFLICT DO UPDATE SET"
            " standing = max(standing, excluded.standing), received_utc_us = excluded.received_utc_us",
            (ref.sha256, booth_id, inspection, kind_of(ref.kind), min(ref.size, MAX_BLOB_BYTES), standing, now_us),
        )
        # It was over for other inspections, and is wanted again.
        db.execute("DELETE FROM doomed_evidence WHERE sha256 = ?", (ref.sha256,))
    gone = event.evidence_deleted
    if gone.reason == DELETION_REASON_NO_FINDING:
        _note_deleted_at_booth(db, booth_id, gone.sha256, now_us)


def kind_of(kind: str) -> str:
    """As it is noted."""
    return kind if kind in _KINDS else OTHER_KIND


def days_of(rules: EvidenceRules, kind: str, standing: Standing) -> float | None:
    """How many days it is kept; None for ever."""
    if kind in _KINDS:
        days = rules.get(EvidenceKind(kind))
        return None if days is None else days.of(standing)
    each = [days.of(standing) for days in rules.values()]
    return None if None in each else max((days for days in each if days is not None), default=None)


def named(event: Event) -> Iterator[EvidenceRef]:
    """The evidence that a verified event names. A scan that came before its vehicle is named by the vehicle's record
    alone.
    """
    scans = event.inspection_closed.inspection.scans
    for ref in (*event.evidence, *(file for scan in scans for file in scan.files)):
        if len(ref.sha256) == SHA256_BYTES:  # of a scan's file nothing else is verified
            yield ref


def _note_deleted_at_booth(db: apsw.Connection, booth_id: str, digests: Iterable[bytes], now_us: int) -> None:
    """Only of what this booth alone named, and of which nothing was found: whoever has a booth's key takes away
    neither another's evidence nor that of an alarm, nor what is held. Doomed with its uses still there is a word that
    nobody has looked at: Retention.settle does, beside the files.
    """
    for sha256 in digests:
        uses = db.execute(
            "SELECT booth_id, kind, size, standing, EXISTS (SELECT 1 FROM legal_hold h"
            " WHERE h.inspection_id = u.inspection_id) FROM evidence_use u WHERE sha256 = ?",
            (sha256,),
        ).fetchall()
        if not uses or any(use[0] != booth_id or use[3] != Standing.CLEAR or use[4] for use in uses):
            continue
        db.execute(
            "INSERT OR IGNORE INTO deleted_evidence VALUES (?,?,'booth',?,?,?)",
            (sha256, now_us, _AT_THE_BOOTH, uses[0][1], uses[0][2]),
        )
        db.execute("INSERT OR IGNORE INTO doomed_evidence VALUES (?)", (sha256,))


def note_all_uses(db: apsw.Connection) -> None:
    """As `note_uses` of every event, once, in an inbox of before; what cannot be read was never let in, and is for
    `verify` to name.

    Gathered in the order of the events, and written in the order of the tables: row by row, each of them lands on
    another page, and the disk is what is waited for. A booth's word that it deleted something is weighed at the end.
    """
    newest = db.execute("SELECT coalesce(max(received_utc_us), 0) FROM event").get
    since = (newest if isinstance(newest, int) else 0) + UPGRADE_US
    db.execute(
        "CREATE TEMP TABLE found (sha256, booth_id, inspection_id, kind, size, standing);"
        "CREATE TEMP TABLE rose (booth_id, inspection_id, standing);"
        "CREATE TEMP TABLE gone (sha256, booth_id, after)"
    )
    for booth_id, envelope in db.execute(
        "SELECT booth_id, envelope FROM event e WHERE NOT EXISTS"
        " (SELECT 1 FROM quarantine q WHERE q.cursor = e.cursor AND q.released_cursor IS NULL) ORDER BY cursor"
    ):
        try:
            event = Event.FromString(read_envelope(bytes(envelope))[0])
        except (Refused, DecodeError, TypeError):
            continue
        _gather(db, str(booth_id), event)
    indexes = db.execute(
        "SELECT name, sql FROM main.sqlite_schema WHERE type = 'index' AND tbl_name = 'evidence_use' AND sql NOT NULL"
    ).fetchall()
    for name, _ in indexes:
        db.execute(f"DROP INDEX {name}")
    db.execute("INSERT INTO inspection_standing SELECT booth_id, inspection_id, max(standing) FROM rose GROUP BY 1, 2")
    db.execute(  # of each piece the first row says what it is, and each of them how much it matters
        "INSERT INTO evidence_use SELECT f.sha256, f.booth_id, f.inspection_id, f.kind, f.size,"
        " max(f.standing, coalesce(s.standing, 0)), ? FROM found f LEFT JOIN inspection_standing s"
        " ON s.booth_id = f.booth_id AND s.inspection_id = f.inspection_id WHERE true"
        " ORDER BY f.sha256, f.booth_id, f.inspection_id, f.rowid"
        " ON CONFLICT DO UPDATE SET standing = max(standing, excluded.standing)",
        (since,),
    )
    for _, statement in indexes:
        db.execute(str(statement))
    for booth_id, sha256 in db.execute(  # else it is wanted again
        "SELECT booth_id, sha256 FROM gone g WHERE NOT EXISTS"
        " (SELECT 1 FROM found f WHERE f.rowid > g.after AND f.sha256 = g.sha256) ORDER BY g.rowid"
    ).fetchall():
        _note_deleted_at_booth(db, str(booth_id), (bytes(sha256),), since)  # type: ignore[arg-type]
    db.execute("DROP TABLE found; DROP TABLE rose; DROP TABLE gone")


def _gather(db: apsw.Connection, booth_id: str, event: Event) -> None:
    inspection, standing = inspection_of(event), standing_of(event)
    if inspection and standing is not Standing.CLEAR:
        db.execute("INSERT INTO rose VALUES (?,?,?)", (booth_id, inspection, standing))
    db.executemany(
        "INSERT INTO found VALUES (?,?,?,?,?,?)",
        [
            (ref.sha256, booth_id, inspection, kind_of(ref.kind), min(ref.size, MAX_BLOB_BYTES), standing)
            for ref in named(event)
        ],
    )
    gone = event.evidence_deleted
    if gone.reason == DELETION_REASON_NO_FINDING:
        db.executemany(
            "INSERT INTO gone VALUES (?,?,(SELECT coalesce(max(rowid), 0) FROM found))",
            [(sha256, booth_id) for sha256 in gone.sha256],
        )


STAYS = "it stays at the booth: the port asks for it only with a finding, and there was none"


def stays_at_booth(db: apsw.Connection, sha256: bytes, rules: EvidenceRules) -> bool:
    """Whether this port, by its `rules`, waits for it at all: of a kind that is kept only with a finding, and of
    inspections without one, the bytes stay where they were made.
    """
    uses = db.execute("SELECT kind, standing FROM evidence_use WHERE sha256 = ?", (sha256,)).fetchall()
    unwanted = {kind.value for kind, days in rules.items() if days.clear == 0}
    return bool(uses) and all(kind in unwanted and standing == Standing.CLEAR for kind, standing in uses)


def deleted(db: apsw.Connection, sha256: bytes) -> Deleted | None:
    """When and why this evidence was deleted; None if it was not, or only a booth says so that nobody looked at."""
    row = db.execute(
        "SELECT at_utc_us, place, rule FROM deleted_evidence WHERE sha256 = ?1"
        " AND NOT EXISTS (SELECT 1 FROM evidence_use WHERE sha256 = ?1)",
        (sha256,),
    ).fetchone()
    return None if row is None else Deleted(int(row[0]), str(row[1]), str(row[2]))


def was_deleted(db: apsw.Connection, sha256: bytes) -> bool:
    """Whether this evidence was ever deleted, though an event may have named it since."""
    return db.execute("SELECT 1 FROM deleted_evidence WHERE sha256 = ?", (sha256,)).get is not None


def deleted_inspection(db: apsw.Connection, inspection_id: str, booth_id: str = "") -> str:
    """In words, that the events of this inspection (at this booth) are gone; '' if none are, or others are here."""
    of = "inspection_id = ?1 AND (?2 = '' OR booth_id = ?2)"
    if db.execute(f"SELECT 1 FROM event_kept WHERE {of} LIMIT 1", (inspection_id, booth_id)).get is not None:  # noqa: S608
        return ""
    row = db.execute(
        f"SELECT max(at_utc_us), sum(events), rule FROM event_deletion WHERE {of}",  # noqa: S608
        (inspection_id, booth_id),
    ).fetchone()
    if row is None or not isinstance(row[0], int) or not inspection_id:
        return ""
    return f"{counted(row[1], 'event')} of it deleted under retention on {moment(row[0])}: {row[2]}"


def deleted_event(db: apsw.Connection, cursor: int) -> DeletedEvent | None:
    """When and why the event's bytes went; None if they did not."""
    row = db.execute(
        "SELECT g.at_utc_us, g.rule FROM deleted_event d JOIN event_deletion g ON g.id = d.deletion WHERE d.cursor = ?",
        (cursor,),
    ).fetchone()
    return None if row is None else DeletedEvent(int(str(row[0])), str(row[1]))
