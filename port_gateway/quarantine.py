"""Events that the port keeps in their chain and gives nobody to act on, until it can read them.

    event(cursor 7) + quarantine(cursor 7)  ── gateway of a newer version: release ─►  quarantine(released_cursor 31)
    readers get cursor 7 marked as such                                                and cursor 31 for use

What may come here is decided by wire/quarantine.py, in receive.py.
"""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass

import apsw

from edge_agent.domain.errors import Permanent
from edge_agent.wire.chain import Head
from edge_agent.wire.envelope import read_envelope
from edge_agent.wire.identity import load_public_key
from edge_agent.wire.quarantine import MAX_QUARANTINED_BYTES, Linked
from edge_agent.wire.refused import RefusalCode, Refused
from edge_agent.wire.v1alpha1 import services_pb2 as wire
from edge_agent.wire.verify import Chain, Session, verify_event
from port_gateway.evidence_index import note_evidence

# What a booth is told of at once; the rest is to be seen at the port.
MAX_TOLD = 100
MAX_DETAIL = 300


@dataclass(frozen=True, slots=True)
class Quarantined:
    """A linked event, and what is wrong with its content."""

    linked: Linked
    code: RefusalCode
    detail: str

    @property
    def seq(self) -> int:
        return self.linked.seq

    @property
    def sha256(self) -> bytes:
        return self.linked.sha256

    @property
    def envelope(self) -> bytes:
        return self.linked.envelope

    @property
    def chain(self) -> Chain:
        """The chain behind it."""
        return self.linked.chain

    def told(self) -> wire.Quarantined:
        """As the booth is told."""
        return wire.Quarantined(seq=self.seq, sha256=self.sha256, code=self.code.value, detail=self.detail[:MAX_DETAIL])


@dataclass(frozen=True, slots=True)
class Kept:
    """One event in quarantine; `released_cursor` is None while it is there."""

    cursor: int
    booth_id: str
    epoch: bytes
    seq: int
    code: str
    detail: str
    released_cursor: int | None
    received_utc_us: int
    sha256: bytes
    envelope: bytes


@dataclass(frozen=True, slots=True)
class Outcome:
    """What a release did: the new cursor, or None and why the event stays."""

    kept: Kept
    released_cursor: int | None
    why: str = ""


def note_quarantined(db: apsw.Connection, head: Head, found: Iterable[Quarantined]) -> None:
    """Mark events of `head`'s chain that were just added."""
    db.executemany(
        "INSERT INTO quarantine (cursor, booth_id, epoch, seq, code, detail)"
        " SELECT cursor, booth_id, epoch, seq, ?, ? FROM event WHERE booth_id = ? AND epoch = ? AND seq = ?",
        [(one.code.name, one.detail[:MAX_DETAIL], head.booth_id, head.epoch, one.seq) for one in found],
    )


def told_of(db: apsw.Connection, head: Head) -> list[wire.Quarantined]:
    """What is in quarantine of `head`'s chain, oldest first, as its booth is told."""
    rows = db.execute(
        "SELECT q.seq, e.sha256, q.code, q.detail FROM quarantine q JOIN event e USING (cursor)"
        " WHERE q.booth_id = ? AND q.epoch = ? AND q.released_cursor IS NULL ORDER BY q.seq LIMIT ?",
        (head.booth_id, head.epoch, MAX_TOLD),
    )
    return [
        wire.Quarantined(seq=seq, sha256=sha256, code=_code(code).value, detail=detail)
        for seq, sha256, code, detail in rows
    ]


def read_quarantine(db: apsw.Connection, all_of_it: bool = False) -> list[Kept]:
    """What is in quarantine, in cursor order; with `all_of_it` also what was let out."""
    rows = db.execute(
        "SELECT q.cursor, q.booth_id, q.epoch, q.seq, q.code, q.detail, q.released_cursor, e.received_utc_us, e.sha256,"
        " e.envelope FROM quarantine q JOIN event e USING (cursor) WHERE q.released_cursor IS NULL OR ?"
        " ORDER BY q.cursor",
        (all_of_it,),
    )
    return [Kept(*row) for row in rows]


def release(db: apsw.Connection, cursors: Sequence[int] | None, now_us: int) -> list[Outcome]:
    """Let out what this gateway can read now: of `cursors`, or of everything. In the transaction of `db`.

    Raises Permanent for a cursor that is not in quarantine.
    """
    waiting = {kept.cursor: kept for kept in read_quarantine(db)}
    for cursor in cursors or ():
        if cursor not in waiting:
            raise Permanent(f"cursor {cursor} is not in quarantine", "`port-gateway quarantine list` shows what is")
    wanted = [waiting[cursor] for cursor in cursors] if cursors is not None else list(waiting.values())
    return [_released(db, kept, now_us) for kept in wanted]


def _released(db: apsw.Connection, kept: Kept, now_us: int) -> Outcome:
    try:
        _, signature = read_envelope(kept.envelope, MAX_QUARANTINED_BYTES)
        key = db.execute(
            "SELECT public_key FROM session WHERE booth_id = ? AND epoch = ? AND key_id = ?",
            (kept.booth_id, kept.epoch, signature.keyid),
        ).get
        if not isinstance(key, bytes):
            raise apsw.CorruptError(f"the session of sequence {kept.seq} of {kept.booth_id} is not there")
        chain = Chain(Head(kept.booth_id, kept.epoch), {}, Session.of(load_public_key(key)))
        event, _ = verify_event(chain, kept.envelope)
    except Refused as refused:
        return Outcome(kept, None, f"{refused.code.name}: {refused.detail}")
    cursor = db.execute("UPDATE sqlite_sequence SET seq = seq + 1 WHERE name = 'event' RETURNING seq").get
    if not isinstance(cursor, int):
        raise apsw.CorruptError("the count of cursors is not there")
    db.execute(
        "UPDATE quarantine SET released_cursor = ?, released_utc_us = ? WHERE cursor = ?", (cursor, now_us, kept.cursor)
    )
    note_evidence(db, kept.booth_id, event)
    return Outcome(kept, cursor)


def _code(name: object) -> RefusalCode:
    if name not in RefusalCode.__members__:
        raise apsw.CorruptError("an event in quarantine has no code")
    return RefusalCode[str(name)]
