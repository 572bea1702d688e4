"""Events that the port keeps in their chain and gives nobody to act on, until it can read them.

    event(cursor 7) + quarantine(cursor 7)  ── gateway of a newer version: release ─►  quarantine(released_cursor 31)
    readers get cursor 7 marked as such                                                and cursor 31 for use

What may come here is decided by wire/quarantine.py, in receive.py.
"""

import itertools
from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass

import apsw

from edge_agent.domain.errors import Permanent
from edge_agent.wire.chain import Head
from edge_agent.wire.envelope import read_envelope
from edge_agent.wire.identity import load_public_key
from edge_agent.wire.quarantine import MAX_QUARANTINED_BYTES, Linked
from edge_agent.wire.refused import RefusalCode, Refused
from edge_agent.wire.v1alpha1 import services_pb2 as wire
from edge_agent.wire.v1alpha1.event_pb2 import Event
from edge_agent.wire.verify import Chain, Session, verify_event
from port_gateway.evidence_index import note_evidence
from port_gateway.following import follow
from port_gateway.lane_quarters import note_at
from port_gateway.moments import UNDATED_US, moment
from port_gateway.retention_index import deleted_event, note_uses
from port_gateway.store import Store

# What a booth is told of at once; the rest is to be seen at the port.
MAX_TOLD = 100
MAX_DETAIL = 300
# Let out in one transaction: a running gateway waits for it.
GROUP = 256


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
    """One event in quarantine, of `size` bytes; `released_cursor` is None while it is there."""

    cursor: int
    booth_id: str
    epoch: bytes
    seq: int
    code: str
    detail: str
    released_cursor: int | None
    received_utc_us: int
    sha256: bytes
    size: int


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
        " WHERE q.booth_id = ? AND q.epoch = ? AND q.released_cursor IS NULL AND length(e.envelope) > 0"
        " ORDER BY q.seq LIMIT ?",
        (head.booth_id, head.epoch, MAX_TOLD),
    )
    return [
        wire.Quarantined(seq=seq, sha256=sha256, code=_code(code).value, detail=detail)
        for seq, sha256, code, detail in rows
    ]


def read_quarantine(db: apsw.Connection, all_of_it: bool = False, after: int = 0) -> Iterator[Kept]:
    """What is in quarantine beyond the cursor `after`, in cursor order; with `all_of_it` also what was let out."""
    rows = db.execute(
        f"{_KEPT} WHERE q.cursor > ? AND (q.released_cursor IS NULL OR ?) AND length(e.envelope) > 0 ORDER BY q.cursor",
        (after, all_of_it),
    )
    return (Kept(*row) for row in rows)


def read_kept(db: apsw.Connection, cursor: int) -> Kept:
    """The event that is in quarantine at that cursor, or was. Raises Permanent."""
    gone = deleted_event(db, cursor)
    if gone is not None:
        raise Permanent(
            f"cursor {cursor} was deleted under retention on {moment(gone.at_utc_us)}", "its digest is what is left"
        )
    row = db.execute(f"{_KEPT} WHERE q.cursor = ?", (cursor,)).fetchone()
    if row is None:
        raise Permanent(f"cursor {cursor} is not in quarantine", "`port-gateway quarantine list` shows what is")
    return Kept(*row)


def read_kept_envelope(db: apsw.Connection, cursor: int) -> bytes:
    """The envelope of an event that is in quarantine, or was."""
    envelope = db.execute("SELECT envelope FROM event WHERE cursor = ?", (cursor,)).get
    if not isinstance(envelope, bytes):
        raise apsw.CorruptError(f"the envelope at cursor {cursor} is not there")
    return envelope


_KEPT = (
    "SELECT q.cursor, q.booth_id, q.epoch, q.seq, q.code, q.detail, q.released_cursor, e.received_utc_us, e.sha256,"
    " length(e.envelope) FROM quarantine q JOIN event e USING (cursor)"
)


def release(store: Store, cursors: Sequence[int], now_us: int) -> Iterator[Outcome]:
    """Let out what this gateway can read now: of `cursors`, or, without any, of everything.

    In groups, each durable when its outcomes come: what is read and verified holds nobody up who writes.
    Raises Permanent, before anything is let out, for a cursor that is not in quarantine.
    """
    wanted = sorted(set(cursors))
    with store.reading() as db:
        for cursor in wanted:
            if read_kept(db, cursor).released_cursor is not None:
                raise Permanent(f"cursor {cursor} was let out", "`port-gateway quarantine list --all` shows where")
    after = 0
    while True:
        with store.reading() as db:
            some = (read_kept(db, c) for c in wanted if c > after) if wanted else read_quarantine(db, after=after)
            group = [(kept, _read_again(db, kept)) for kept in list(itertools.islice(some, GROUP))]
        if not group:
            return
        after = group[-1][0].cursor
        yield from store.submit(_letting_out(group, now_us)).result()


def _read_again(db: apsw.Connection, kept: Kept) -> Event | str:
    """The event, or why it stays."""
    envelope = read_kept_envelope(db, kept.cursor)
    try:
        _, signature = read_envelope(envelope, MAX_QUARANTINED_BYTES)
        key = db.execute(
            "SELECT public_key FROM session WHERE booth_id = ? AND epoch = ? AND key_id = ?",
            (kept.booth_id, kept.epoch, signature.keyid),
        ).get
        if not isinstance(key, bytes):
            raise apsw.CorruptError(f"the session of sequence {kept.seq} of {kept.booth_id} is not there")
        chain = Chain(Head(kept.booth_id, kept.epoch), {}, Session.of(load_public_key(key)))
        return verify_event(chain, envelope)[0]
    except Refused as refused:
        return f"{refused.code.name}: {refused.detail}"


def _letting_out(group: Sequence[tuple[Kept, Event | str]], now_us: int) -> Callable[[apsw.Connection], list[Outcome]]:
    return lambda db: [_let_out(db, kept, read, now_us) for kept, read in group]


def _let_out(db: apsw.Connection, kept: Kept, read: Event | str, now_us: int) -> Outcome:
    """In the transaction of `db`."""
    if isinstance(read, str):
        return Outcome(kept, None, read)
    released = read_kept(db, kept.cursor).released_cursor
    if released is not None:  # by another process, meanwhile
        return Outcome(kept, released)
    cursor = db.execute("UPDATE sqlite_sequence SET seq = seq + 1 WHERE name = 'event' RETURNING seq").get
    if not isinstance(cursor, int):
        raise apsw.CorruptError("the count of cursors is not there")
    db.execute(
        "UPDATE quarantine SET released_cursor = ?, released_utc_us = ? WHERE cursor = ?", (cursor, now_us, kept.cursor)
    )
    note_evidence(db, kept.booth_id, read)
    note_uses(db, kept.booth_id, read, UNDATED_US)  # by whatever clock it was let out
    follow(db, kept.booth_id, read, now_us)
    note_at(db, kept.booth_id, read, kept.cursor)
    return Outcome(kept, cursor)


def _code(name: object) -> RefusalCode:
    if name not in RefusalCode.__members__:
        raise apsw.CorruptError("an event in quarantine has no code")
    return RefusalCode[str(name)]
