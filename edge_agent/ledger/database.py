"""The ledger's database as SQLite keeps it: settings that make a commit durable, numbered migrations, and what is
checked before anything is added."""

import os
import time
from collections.abc import Iterator
from contextlib import contextmanager
from importlib.resources import files
from pathlib import Path
from typing import Any

import apsw
from google.protobuf.message import DecodeError

from edge_agent.domain.errors import IdentityInvalid, StoreCorrupt, StoreFailed
from edge_agent.ledger.faults import SALVAGE
from edge_agent.ledger.kept import read_kept
from edge_agent.wire.chain import EPOCH_BYTES, Head
from edge_agent.wire.envelope import envelope_sha256, read_envelope
from edge_agent.wire.refused import Refused
from edge_agent.wire.v1alpha1.event_pb2 import Event

APPLICATION_ID = 0x45644167  # "EdAg" in the database's header, so that `file` and we know whose it is
MIGRATIONS = ("0001.sql", "0002.sql", "0003.sql", "0004.sql")  # the n-th brings a database from user_version n - 1 to n
BUSY_MS = 5_000
EPOCH_FILE = "epoch"  # beside the database; written when that is made
MADE_WITHIN_S = 2.0
SYNCHRONOUS = 2  # FULL: a commit is on the disk when it returns
# A log that grew while a reader was in the way is cut to this when it begins anew. Four times store.CHECKPOINT_PAGES.
LOG_BYTES = 16 * 1024 * 1024


def opened(database: apsw.Connection, path: Path, booth_id: str, begun: bool) -> Head:
    """Set up, bring to the present schema, and check; the end of the chain. `begun`: events were written here before.

    Raises IdentityInvalid, StoreCorrupt, StoreFailed, and what SQLite raises.
    """
    database.set_busy_timeout(BUSY_MS)
    if value_of(database, "PRAGMA application_id") == 0 and value_of(database, "SELECT count(*) FROM sqlite_schema"):
        raise StoreCorrupt(f"{path}: a database of another program", "give the ledger a directory of its own")
    _set_up(database, path)
    _migrate(database, path, booth_id, begun, os.urandom(EPOCH_BYTES))
    return _checked(database, path, booth_id)


def open_reader(path: Path) -> apsw.Connection:
    """A connection that cannot write, whether or not an agent writes; waits a little for a ledger that is being made.

    Raises StoreFailed when it still is, and what SQLite raises.
    """
    until = time.monotonic() + MADE_WITHIN_S
    while True:
        database = apsw.Connection(str(path), flags=apsw.SQLITE_OPEN_READONLY)
        try:
            database.set_busy_timeout(BUSY_MS)
            if path.with_name(EPOCH_FILE).exists() or value_of(database, "PRAGMA user_version"):
                return database
        except BaseException:
            database.close()
            raise
        database.close()
        if time.monotonic() > until:
            raise StoreFailed(f"{path}: this ledger is being made", "try again when the agent has started")
        time.sleep(0.02)


def begin(path: Path, booth_id: str, epoch: bytes) -> apsw.Connection:
    """A new database of this epoch, open. Raises what SQLite raises."""
    database = apsw.Connection(str(path))
    _set_up(database, path)
    _migrate(database, path, booth_id, False, epoch)
    return database


def _set_up(database: apsw.Connection, path: Path) -> None:
    settings = (
        ("journal_mode", "wal"),
        ("synchronous", SYNCHRONOUS),
        ("foreign_keys", 1),
        ("journal_size_limit", LOG_BYTES),
    )
    for pragma, wanted in settings:
        database.execute(f"PRAGMA {pragma} = {wanted}").fetchall()
        got = value_of(database, f"PRAGMA {pragma}")
        if got != wanted:
            raise StoreFailed(
                f"{path}: SQLite keeps {pragma} at {got!r} instead of {wanted!r}",
                "put the ledger on a local file system: network drives do not keep what they say",
            )


def _migrate(database: apsw.Connection, path: Path, booth_id: str, begun: bool, epoch: bytes) -> None:
    version = int(value_of(database, "PRAGMA user_version"))
    if version == 0 and begun:
        # Its log could not be read, say: anything written now would take the place of what is still in it.
        raise StoreCorrupt(f"{path}: holds nothing, and events were written here", SALVAGE)
    if version > len(MIGRATIONS):
        raise StoreFailed(
            f"{path}: written by a newer edge-agent (schema {version}, this one knows {len(MIGRATIONS)})",
            "install that version again",
        )
    for number, name in enumerate(MIGRATIONS[version:], start=version + 1):
        with transaction(database):
            database.execute(script(name))
            database.execute(f"PRAGMA user_version = {number}")
            if number == 1:
                database.execute(f"PRAGMA application_id = {APPLICATION_ID}")
                database.execute(
                    "INSERT INTO meta VALUES ('booth_id', ?), ('epoch', ?)",
                    (booth_id.encode(), epoch),
                )


@contextmanager
def transaction(database: apsw.Connection) -> Iterator[None]:
    """All or nothing; durable when it ends."""
    database.execute("BEGIN IMMEDIATE")
    try:
        yield
        database.execute("COMMIT")
    except BaseException:
        if not database.get_autocommit():  # SQLite may have rolled back by itself
            database.execute("ROLLBACK")
        raise


def script(name: str) -> str:
    """The statements of one migration."""
    return (files("edge_agent.ledger") / "schema" / name).read_text()


def _checked(database: apsw.Connection, path: Path, booth_id: str) -> Head:
    """Whether the database is whole, is this booth's, and its chain ends in what was written."""
    if value_of(database, "PRAGMA application_id") != APPLICATION_ID:
        raise StoreCorrupt(f"{path}: a database of another program", "give the ledger a directory of its own")
    found = [row[0] for row in database.execute("PRAGMA quick_check(3)")]
    if found != ["ok"]:
        raise StoreCorrupt(f"{path}: {'; '.join(found)}", SALVAGE)
    meta = {key: bytes(value) for key, value in database.execute("SELECT key, value FROM meta")}
    if not {"booth_id", "epoch"} <= set(meta) or len(meta["epoch"]) != EPOCH_BYTES:
        raise StoreCorrupt(f"{path}: says neither whose ledger it is nor which epoch", SALVAGE)
    owner = meta["booth_id"].decode(errors="replace")
    if owner != booth_id:
        raise IdentityInvalid(
            f"{path}: this is the ledger of {owner}, and this agent is {booth_id}",
            "use the key and certificate of that booth, or give this one a directory of its own",
        )
    kept = read_kept(database)
    oldest: int = value_of(database, "SELECT min(seq) FROM event") or kept.trimmed_seq + 1
    newest: int = value_of(database, "SELECT coalesce(max(seq), 0) FROM event")
    count: int = value_of(database, "SELECT count(*) FROM event")
    if newest - oldest + 1 != count:
        raise StoreCorrupt(f"{path}: holds {count} events between sequence {oldest} and {newest}", SALVAGE)
    if oldest != kept.trimmed_seq + 1 or newest < kept.trimmed_seq:
        wrong = f"begins at sequence {oldest} and ends at {newest}, and was trimmed through {kept.trimmed_seq}"
        raise StoreCorrupt(f"{path}: {wrong}", SALVAGE)
    head = Head(booth_id, meta["epoch"])
    if count:
        head = _head_at(database, path, head, newest)
        _check_unacknowledged(database, path)
    return head


def _check_unacknowledged(database: apsw.Connection, path: Path) -> None:
    """What the port does not have is here alone: every byte of it is looked at."""
    rows: Iterator[tuple[Any, ...]] = database.execute(
        "SELECT seq, sha256, envelope FROM event WHERE seq > coalesce((SELECT max(acked_through) FROM cursor), 0)"
    )
    for seq, sha256, envelope in rows:
        if envelope_sha256(envelope) != sha256:
            raise StoreCorrupt(f"{path}: the event at sequence {seq} is not what was written", SALVAGE)


def _head_at(database: apsw.Connection, path: Path, begin: Head, seq: int) -> Head:
    rows: list[tuple[Any, ...]] = database.execute(
        "SELECT sha256, envelope FROM event WHERE seq >= ? ORDER BY seq DESC LIMIT 2", (seq - 1,)
    ).fetchall()
    sha256, envelope = rows[0]
    previous = rows[1][0] if len(rows) > 1 else None
    if envelope_sha256(envelope) != sha256:
        raise StoreCorrupt(f"{path}: the last event, sequence {seq}, is not what was written", SALVAGE)
    event = event_of(path, seq, envelope)
    if (event.booth_id, event.epoch, event.seq) != (begin.booth_id, begin.epoch, seq) or (
        previous is not None and event.previous_sha256 != previous
    ):
        raise StoreCorrupt(f"{path}: the last event, sequence {seq}, does not follow the one before it", SALVAGE)
    return Head(begin.booth_id, begin.epoch, seq, sha256)


def event_of(path: Path, seq: int, envelope: bytes) -> Event:
    """The event in an envelope of this ledger, not verified. Raises StoreCorrupt."""
    try:
        return Event.FromString(read_envelope(envelope)[0])
    except (Refused, DecodeError) as error:
        raise StoreCorrupt(f"{path}: the event at sequence {seq} cannot be read: {error}", SALVAGE) from None


def value_of(database: apsw.Connection, query: str) -> Any:
    """The one value that `query` gives."""
    return database.execute(query).fetchall()[0][0]
