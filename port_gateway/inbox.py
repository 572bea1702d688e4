"""What the port has accepted, by booth, epoch and sequence, and in commit order by cursor."""

import hashlib
import logging
from collections.abc import Collection, Mapping, Sequence
from concurrent.futures import Future
from dataclasses import dataclass

import apsw

from edge_agent.domain.clock import Clock
from edge_agent.domain.errors import IdentityInvalid, Permanent, Recoverable, StoreCorrupt
from edge_agent.wire.chain import Head
from edge_agent.wire.envelope import read_envelope
from edge_agent.wire.gaps import Gaps
from edge_agent.wire.identity import PublicKey, key_id, load_public_key, spki
from edge_agent.wire.refused import RefusalCode, Refused
from edge_agent.wire.tree import Node, Tree
from edge_agent.wire.v1alpha1.services_pb2 import Quarantined as QuarantinedMessage
from edge_agent.wire.verify import Chain, Session, Verified
from port_gateway.alarms import note_alarm
from port_gateway.chains import ends_within
from port_gateway.clock_doubt import ClockDoubt
from port_gateway.evidence_index import named_by, note_evidence
from port_gateway.following import follow
from port_gateway.lane_quarters import note_statistics
from port_gateway.quarantine import Quarantined, note_quarantined, told_of
from port_gateway.retention_index import Deleted, deleted, note_uses
from port_gateway.revocation import follow_rotation, read_ended, refuse_beyond
from port_gateway.salvaged import note_missing, replaced_epochs
from port_gateway.store import Store
from port_gateway.trees import ChainNodes, keep_tiles

log = logging.getLogger(__name__)

# A page of a subscriber: bounds its memory, whatever the size of the envelopes.
PAGE_BYTES = 1024 * 1024
SCAN_CURSORS = 10_000
MAX_READERS_AN_IDENTITY = 100
PLACE_BYTES = 16
_NEWEST = (
    "SELECT max(coalesce((SELECT max(cursor) FROM event), 0),"
    " coalesce((SELECT max(released_cursor) FROM quarantine), 0))"
)


class HeadMoved(Recoverable):
    """Another stream of the same booth has written in between."""


@dataclass(frozen=True, slots=True)
class Stored:
    """One accepted event, as a reader gets it."""

    cursor: int
    booth_id: str
    envelope: bytes
    received_utc_us: int
    quarantined: str | None = None  # the code for which it is in quarantine, or was at this cursor
    released_from: int = 0  # the cursor at which it was in quarantine
    epoch: bytes = b""
    seq: int = 0
    sha256: bytes = b""
    deleted_utc_us: int | None = None  # its bytes went then, by `rule`: `envelope` is empty
    rule: str = ""
    given_utc_us: int = 0  # when the cursor was given: received, or released then

    @property
    def place(self) -> bytes:
        """See SubscribeResponse."""
        return _place(self.cursor, self.sha256, self.given_utc_us)


class Inbox:
    """The accepted events over an open store. Reads may block on the disk: call them from a thread."""

    def __init__(self, store: Store, clock: Clock) -> None:
        """Raises StoreCorrupt when a chain does not end in the event it names."""
        self._store = store
        self._clock = clock
        self._doubt = ClockDoubt(store, clock)
        with store.reading() as db:
            lost = db.execute(
                "SELECT c.booth_id, c.seq FROM chain c LEFT JOIN event e USING (booth_id, epoch, seq)"
                " WHERE e.sha256 IS NOT c.sha256 LIMIT 1"
            ).fetchone()
        if lost is not None:
            raise StoreCorrupt(
                f"{store.path}: the chain of {lost[0]} should end at sequence {lost[1]}, and that event is not there",
                "run `port-gateway verify`, and restore the data folder from a backup",
            )

    # --- chains ---------------------------------------------------------------------------------------------
    def replaced(self, booth_id: str) -> Mapping[bytes, Gaps]:
        """The damaged epochs of a booth, as its later ones say, and what is missing of each."""
        with self._store.reading() as db:
            return replaced_epochs(db, booth_id)

    def chain(self, head: Head, device_keys: Mapping[str, PublicKey], missing: Gaps = ()) -> Chain:
        """The chain of `head`'s booth and epoch as it stands durably; at its beginning when it is new.

        `missing` may be passed over by what follows.
        """
        with self._store.reading() as db:
            row = _chain_row(db, head)
            ends = ends_within(read_ended(db, head.booth_id).get(head.booth_id, {}), head.epoch)
            if row is None:
                return Chain(Head(head.booth_id, head.epoch), device_keys, None, ends, missing)
            seq, sha256, der = row
            key = _key(der, self._store)
            session = Session.of(key, _voucher(db, head, key_id(key)))
        return Chain(head.at(seq, sha256), device_keys, session, ends, missing)

    def tree(self, head: Head) -> tuple[Tree, list[Node]]:
        """The Merkle tree of the chain at `head`, and nodes of it to be kept with the next `append`."""
        with self._store.reading() as db:
            return ChainNodes(db, head.booth_id, head.epoch).tree(head.seq)

    def admit(self, head: Head, most: int) -> None:
        """Whether `head`'s chain goes on, or its booth has begun fewer than `most`. Raises Refused(TOO_MANY_EPOCHS)."""
        if head.seq:
            return
        with self._store.reading() as db:
            begun = db.execute("SELECT count(*) FROM chain WHERE booth_id = ?", (head.booth_id,)).get
        if isinstance(begun, int) and begun >= most:
            detail = f"the booth has begun {begun} ledgers here, and limits.epochs_a_booth is {most}"
            raise Refused(RefusalCode.TOO_MANY_EPOCHS, detail)

    def quarantined(self, head: Head) -> list[QuarantinedMessage]:
        """What is in quarantine of `head`'s chain, as its booth is told."""
        with self._store.reading() as db:
            return told_of(db, head)

    def append(
        self, before: Head, verified: Sequence[Verified | Quarantined], tiles: Sequence[Node] = ()
    ) -> "Future[None]":
        """Keep consecutive events that follow `before`, and `tiles` of their tree. Durable when the future is set.

        The future fails with HeadMoved when the chain no longer stands at `before`, Refused when their key was ended
        meanwhile, StoreFull, or a fatal error.
        """
        after = verified[-1].chain
        if after.session is None:
            raise ValueError("a verified chain has a session")
        session_key = spki(after.session.key)
        now = self._now_us()
        rows = [(before.booth_id, before.epoch, v.seq, v.sha256, v.envelope, now) for v in verified]
        read = [v for v in verified if isinstance(v, Verified)]
        unread = [v for v in verified if isinstance(v, Quarantined)]
        sessions = [
            (before.booth_id, before.epoch, v.chain.session.key_id, spki(v.chain.session.key), v.event.seq)
            for v in read
            if v.event.WhichOneof("body") == "session_opened" and v.chain.session is not None
        ]
        rotations = [v for v in read if v.event.WhichOneof("body") == "key_rotated"]

        def write(db: apsw.Connection) -> None:
            row = _chain_row(db, before)
            stands = (0, Head(before.booth_id, before.epoch).sha256) if row is None else row[:2]
            if stands != (before.seq, before.sha256):
                raise HeadMoved(
                    f"the chain of {before.booth_id} stands at {stands[0]}, not at {before.seq}", "open a new stream"
                )
            refuse_beyond(read_ended(db, before.booth_id).get(before.booth_id, {}), before.epoch, verified)
            db.executemany(
                "INSERT INTO event (booth_id, epoch, seq, sha256, envelope, received_utc_us) VALUES (?,?,?,?,?,?)", rows
            )
            note_quarantined(db, before, unread)
            arrived = self._doubt.arrival_us(db)
            for one in read:
                note_evidence(db, before.booth_id, one.event)
                note_uses(db, before.booth_id, one.event, arrived)
                follow(db, before.booth_id, one.event, now)
            note_statistics(db, before, (v.event for v in read))
            if before.seq == 0:  # an epoch begins with a session, which is read or refused
                _alarm_of_new_epoch(db, before, read[0], now)
            keep_tiles(db, before, tiles)
            last = before
            for event in verified:
                if event.seq > last.seq + 1:
                    note_missing(db, last, event.seq, event.envelope, now)
                last = event.chain.head
            for rotated in rotations:
                follow_rotation(db, before, rotated, now)
            # A booth may open two sessions with one key: the device key of the later opening vouches for what follows.
            db.executemany("INSERT OR REPLACE INTO session VALUES (?,?,?,?,?)", sessions)
            db.execute(
                "INSERT INTO chain VALUES (?,?,?,?,?) ON CONFLICT DO UPDATE SET"
                " seq = excluded.seq, sha256 = excluded.sha256, session_key = excluded.session_key",
                (before.booth_id, before.epoch, after.head.seq, after.head.sha256, session_key),
            )

        return self._store.submit(write)

    def held_sha256(self, booth_id: str, epoch: bytes, seq: int) -> bytes | None:
        """The digest of the envelope held at that sequence."""
        with self._store.reading() as db:
            value = db.execute(
                "SELECT sha256 FROM event WHERE booth_id = ? AND epoch = ? AND seq = ?", (booth_id, epoch, seq)
            ).get
        return value if isinstance(value, bytes) else None

    def session(self, booth_id: str, epoch: bytes, key_id: str) -> Session | None:
        """A session that this chain has had, by key id."""
        with self._store.reading() as db:
            value = db.execute(
                "SELECT public_key FROM session WHERE booth_id = ? AND epoch = ? AND key_id = ?",
                (booth_id, epoch, key_id),
            ).get
        return Session.of(_key(value, self._store)) if isinstance(value, bytes) else None

    def alarm(self, head: Head, refused: Refused, envelope: bytes) -> "Future[None]":
        """Record a refusal that must be looked into. The same one is recorded once; at most 100 of a code a booth."""
        place, now = (head.booth_id, head.epoch, refused.seq), self._now_us()
        code = refused.code.name
        return self._store.submit(lambda db: note_alarm(db, place, code, refused.detail, envelope, now))

    # --- readers --------------------------------------------------------------------------------------------
    def newest_cursor(self) -> int:
        """Of what is durable here; 0 before the first event."""
        with self._store.reading() as db:
            return _newest(db)

    def place_at(self, cursor: int) -> bytes | None:
        """What `Stored.place` is of the event that readers get, or got before it was deleted, at this cursor; None at
        a hole. Whose booth's it is does not matter: who names a place has read it.
        """
        with self._store.reading() as db:
            row = db.execute(
                "SELECT e.sha256, e.received_utc_us FROM event e WHERE e.cursor = ?1 UNION ALL"
                " SELECT e.sha256, q.released_utc_us FROM quarantine q JOIN event e ON e.cursor = q.cursor"
                " WHERE q.released_cursor = ?1",
                (cursor,),
            ).fetchone()
        return None if row is None else _place(cursor, *row)

    def page(self, after: int, booth_ids: Sequence[str] | None, limit: int) -> tuple[list[Stored], int]:
        """Up to `limit` events after a cursor of these booths (None: of all), and the cursor looked through.

        It looks at SCAN_CURSORS at most: who reads one booth of many keeps no thread from the others.
        """
        wanted = "" if booth_ids is None else f" AND +e.booth_id IN ({','.join('?' * len(booth_ids))})"
        end = after + SCAN_CURSORS
        chosen = (after, end, *(booth_ids or ()))
        found: list[Stored] = []
        size = 0
        with self._store.reading() as db:
            newest = _newest(db)
            rows = db.execute(
                "SELECT e.cursor, e.booth_id, e.envelope, e.received_utc_us, q.code, 0,"  # noqa: S608 - only marks
                " e.epoch, e.seq, e.sha256, g.at_utc_us, g.rule, e.received_utc_us"
                " FROM event e LEFT JOIN quarantine q ON q.cursor = e.cursor"
                " LEFT JOIN deleted_event d ON d.cursor = e.cursor LEFT JOIN event_deletion g ON g.id = d.deletion"
                f" WHERE e.cursor > ? AND e.cursor <= ?{wanted}"
                " UNION ALL SELECT q.released_cursor, e.booth_id, e.envelope, e.received_utc_us, NULL, q.cursor,"
                " e.epoch, e.seq, e.sha256, NULL, NULL, q.released_utc_us"
                " FROM quarantine q CROSS JOIN event e ON e.cursor = q.cursor AND length(e.envelope) > 0"
                f" WHERE q.released_cursor > ? AND q.released_cursor <= ?{wanted} ORDER BY 1 LIMIT ?",
                (*chosen, *chosen, limit),
            )
            for row in rows:
                found.append(Stored(*row))
                size += len(found[-1].envelope)
                if size >= PAGE_BYTES:
                    break
        if len(found) == limit or size >= PAGE_BYTES:
            return found, found[-1].cursor
        return found, max(after, min(end, newest))

    def names(self, sha256: bytes, booths: Collection[str]) -> bool:
        """Whether an event of one of these booths names this evidence."""
        with self._store.reading() as db:
            return named_by(db, sha256, booths)

    def deleted(self, sha256: bytes) -> Deleted | None:
        """When and why retention deleted this evidence; None if it did not."""
        with self._store.reading() as db:
            return deleted(db, sha256)

    def reader_cursor(self, identity: str, name: str) -> int:
        """The cursor that this reader has acknowledged under `name`; 0 at its beginning."""
        with self._store.reading() as db:
            value = db.execute("SELECT through FROM reader WHERE identity = ? AND name = ?", (identity, name)).get
        return value if isinstance(value, int) else 0

    def keep_cursor(self, identity: str, name: str, through: int) -> "Future[None]":
        """Remember what this reader has acknowledged. It may go back: a reader that lost data reads again."""
        now = self._now_us()

        def write(db: apsw.Connection) -> None:
            count = db.execute("SELECT count(*) FROM reader WHERE identity = ? AND name <> ?", (identity, name)).get
            if isinstance(count, int) and count >= MAX_READERS_AN_IDENTITY:
                raise Permanent(f"{identity} keeps {count} cursors already", "use one of their names again")
            db.execute(
                "INSERT INTO reader VALUES (?,?,?,?) ON CONFLICT DO UPDATE SET"
                " through = excluded.through, updated_utc_us = excluded.updated_utc_us",
                (identity, name, through, now),
            )

        return self._store.submit(write)

    def _now_us(self) -> int:
        return round(self._clock.now().utc.timestamp() * 1e6)


def _place(cursor: int, sha256: bytes, given_utc_us: int) -> bytes:
    """A cursor that is given again is given at another time, whatever event comes to stand there."""
    given = cursor.to_bytes(8, "big") + sha256 + given_utc_us.to_bytes(8, "big", signed=True)
    return hashlib.sha256(b"place in the port's order\0" + given).digest()[:PLACE_BYTES]


def _newest(db: apsw.Connection) -> int:
    newest = db.execute(_NEWEST).get
    return newest if isinstance(newest, int) else 0


def _voucher(db: apsw.Connection, head: Head, session_key_id: str) -> str:
    """The id of the device key that opened this session of the chain."""
    envelope = db.execute(
        "SELECT e.envelope FROM session s JOIN event e ON (e.booth_id, e.epoch, e.seq) ="
        " (s.booth_id, s.epoch, s.opened_seq) WHERE s.booth_id = ? AND s.epoch = ? AND s.key_id = ?",
        (head.booth_id, head.epoch, session_key_id),
    ).get
    if not isinstance(envelope, bytes):
        raise apsw.CorruptError(f"the opening of the session of {head.booth_id} is not there")
    return read_envelope(envelope)[1].keyid


def _alarm_of_new_epoch(db: apsw.Connection, head: Head, first: Verified, now: int) -> None:
    """A booth that had a ledger begins another one, and does not say of which: somebody took the old one away."""
    earlier = {row[0] for row in db.execute("SELECT epoch FROM chain WHERE booth_id = ?", (head.booth_id,))}
    replaces = first.event.session_opened.replaces
    known = (replaces.epoch, *replaces.earlier)
    if earlier and earlier.isdisjoint(known) and head.epoch not in replaced_epochs(db, head.booth_id):
        detail = f"the booth begins epoch {head.epoch.hex()}, and says of no ledger known here that it was salvaged"
        log.error("%s: UNANNOUNCED_EPOCH: %s", head.booth_id, detail)
        note_alarm(db, (head.booth_id, head.epoch, 1), "UNANNOUNCED_EPOCH", detail, first.envelope, now)


def _chain_row(db: apsw.Connection, head: Head) -> tuple[int, bytes, bytes] | None:
    row = db.execute(
        "SELECT seq, sha256, session_key FROM chain WHERE booth_id = ? AND epoch = ?", (head.booth_id, head.epoch)
    ).fetchone()
    return None if row is None else (row[0], row[1], row[2])


def _key(der: bytes, store: Store) -> PublicKey:
    try:
        return load_public_key(der)
    except IdentityInvalid as error:
        raise StoreCorrupt(f"{store.path}: a session key cannot be read: {error.wrong}", "restore a backup") from None
