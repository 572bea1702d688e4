"""Legal holds, the log of who did what, and what is kept and deleted: for the people at the port."""

from dataclasses import dataclass, field
from typing import Any

import apsw

from edge_agent.domain.errors import Permanent
from edge_agent.domain.retention import Standing
from port_gateway.moments import moment
from port_gateway.retention_index import deleted_inspection

MAX_WORDS = 500


@dataclass(slots=True)
class Status:
    """What is known of evidence.

    `kept`: pieces and bytes by kind and standing, arrived or not; `deleted` likewise by place; `doomed` files are still
    to be removed. `holds`: inspection, reason, by whom and since when. `events_kept` are about vehicles, and will go.
    """

    kept: list[tuple[str, str, int, int]] = field(default_factory=list)
    deleted: list[tuple[str, int, int]] = field(default_factory=list)
    doomed: int = 0
    holds: list[tuple[str, str, str, str]] = field(default_factory=list)
    events_kept: int = 0
    events_deleted: int = 0
    events_deleted_bytes: int = 0
    events_deleted_last: str = ""


def read_status(db: apsw.Connection) -> Status:
    """As it stands now."""
    kept: list[tuple[Any, ...]] = db.execute(
        "SELECT kind, standing, count(*), sum(size) FROM (SELECT max(kind) AS kind, max(standing) AS standing,"
        " max(size) AS size FROM evidence_use GROUP BY sha256) GROUP BY kind, standing ORDER BY kind, standing"
    ).fetchall()
    deleted: list[tuple[Any, ...]] = db.execute(
        "SELECT place, count(*), sum(size) FROM deleted_evidence d WHERE NOT EXISTS"
        " (SELECT 1 FROM evidence_use u WHERE u.sha256 = d.sha256) GROUP BY place ORDER BY place"
    ).fetchall()
    holds: list[tuple[Any, ...]] = db.execute(
        "SELECT inspection_id, reason, by_whom, at_utc_us FROM legal_hold ORDER BY at_utc_us"
    ).fetchall()
    events = db.execute("SELECT coalesce(sum(events), 0), coalesce(sum(bytes), 0), max(at_utc_us) FROM event_deletion")
    went, size, last = events.fetchone() or (0, 0, None)
    kept_events = db.execute("SELECT count(*) FROM event_kept").get
    doomed = db.execute("SELECT count(*) FROM doomed_evidence").get
    return Status(
        [(kind, Standing(standing).name.lower(), pieces, size) for kind, standing, pieces, size in kept],
        [(place, pieces, size) for place, pieces, size in deleted],
        doomed if isinstance(doomed, int) else 0,
        [(inspection, reason, by, moment(at)) for inspection, reason, by, at in holds],
        kept_events if isinstance(kept_events, int) else 0,
        int(str(went)),
        int(str(size)),
        moment(last) if isinstance(last, int) else "",
    )


def hold(db: apsw.Connection, inspection_id: str, reason: str, by_whom: str, now_us: int) -> None:
    """From now on nothing of this inspection is deleted. In a transaction. Raises Permanent."""
    reason = _words(reason)
    if len(inspection_id) != 36 or not _named(db, inspection_id):
        raise Permanent(
            f"no event here names an inspection {inspection_id[:100]!r}",
            "give its UUID, as `port-gateway tail` shows it",
        )
    gone = deleted_inspection(db, inspection_id)
    if gone:
        raise Permanent(f"{inspection_id}: {gone}", "there is nothing left to hold")
    held = db.execute("SELECT reason FROM legal_hold WHERE inspection_id = ?", (inspection_id,)).get
    if held is not None:
        raise Permanent(f"{inspection_id} is held already: {held}", "release it first to give another reason")
    db.execute("INSERT INTO legal_hold VALUES (?,?,?,?)", (inspection_id, reason, _words(by_whom), now_us))
    log_action(db, by_whom, "hold", f"{inspection_id}: {reason}", now_us)


def _named(db: apsw.Connection, inspection_id: str) -> bool:
    """By the tables at once; what came before them is looked for in every event, while a running gateway waits."""
    for query, value in (
        ("SELECT 1 FROM inspection WHERE inspection_id = ?", inspection_id),
        ("SELECT 1 FROM evidence_use WHERE inspection_id = ?", inspection_id),
        ("SELECT 1 FROM event WHERE instr(envelope, ?) > 0 LIMIT 1", inspection_id.encode()),
    ):
        if db.execute(query, (value,)).get is not None:
            return True
    return False


def release(db: apsw.Connection, inspection_id: str, reason: str, by_whom: str, now_us: int) -> None:
    """The inspection's evidence goes again as the settings say. In a transaction. Raises Permanent."""
    reason = _words(reason)
    if db.execute("SELECT 1 FROM legal_hold WHERE inspection_id = ?", (inspection_id,)).get is None:
        raise Permanent(f"{inspection_id[:100]!r} is not held", "`port-gateway retention status` shows what is")
    db.execute("DELETE FROM legal_hold WHERE inspection_id = ?", (inspection_id,))
    log_action(db, by_whom, "release", f"{inspection_id}: {reason}", now_us)


def log_action(db: apsw.Connection, by_whom: str, what: str, detail: str, now_us: int) -> None:
    """One row that stays. `detail` never names a plate."""
    db.execute(
        "INSERT INTO retention_log (at_utc_us, by_whom, what, detail) VALUES (?,?,?,?)",
        (now_us, _words(by_whom), what, detail),
    )


def _words(text: str) -> str:
    words = " ".join(text.split())
    if not words or len(words) > MAX_WORDS or not words.isprintable():
        raise Permanent(f"{text[:60]!r} says nothing", f"give it in words, at most {MAX_WORDS} characters")
    return words
