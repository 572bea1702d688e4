"""Which device key a ledger was handed over to: noted with the event that says so, since events are trimmed one day."""

from collections.abc import Iterable
from pathlib import Path

import apsw
from cryptography import x509

from edge_agent.domain.event import KeyRotated
from edge_agent.ledger.faults import sqlite_faults
from edge_agent.ledger.identity import HandedOver, Held
from edge_agent.wire.envelope import read_envelope
from edge_agent.wire.identity import certificate_key, key_id
from edge_agent.wire.rotation import possession_message
from edge_agent.wire.v1alpha1.event_pb2 import Event

_KEY, _RETIRED = "device_key", "retired_keys"
BUSY_MS = 5_000


def note_handover(database: apsw.Connection, envelope: bytes) -> None:
    """In the transaction that adds the KeyRotated in `envelope`, made here and now."""
    opening = database.execute("SELECT envelope FROM event WHERE kind = 'session_opened' ORDER BY seq DESC LIMIT 1").get
    assert isinstance(opening, bytes)  # noqa: S101 - a chain begins with one
    before = noted_handover(database) or HandedOver("", frozenset())
    _note(database, envelope, before.retired | {read_envelope(opening)[1].keyid})


def note_handovers(database: apsw.Connection, envelopes: Iterable[bytes], noted: HandedOver | None) -> None:
    """Those of a chain whose verified events are taken over into another ledger, in their order, and what it noted."""
    signs, retired = "", frozenset[str]()
    for envelope in envelopes:
        payload, signature = read_envelope(envelope)
        kind = Event.FromString(payload).WhichOneof("body")
        if kind == "session_opened":
            signs = signature.keyid
        elif kind == "key_rotated":
            retired |= {signs}
            _note(database, envelope, retired)
    if noted is not None:
        said = noted_handover(database) or noted
        _keep(database, said.key if noted.key in said.retired else noted.key, said.retired | noted.retired)


def handed_over(database_file: Path) -> HandedOver | None:
    """Whose this ledger is now; None while it was never handed over, or is not there."""
    if not database_file.exists() or database_file.stat().st_size == 0:
        return None
    with sqlite_faults(database_file):
        database = apsw.Connection(str(database_file), flags=apsw.SQLITE_OPEN_READONLY)
        try:
            database.set_busy_timeout(BUSY_MS)
            if not database.execute("SELECT count(*) FROM sqlite_schema WHERE name = 'meta'").get:
                return None
            return noted_handover(database)
        finally:
            database.close()


def noted_handover(database: apsw.Connection) -> HandedOver | None:
    """As `handed_over`, of a database that is open."""
    values = dict(database.execute("SELECT key, value FROM meta WHERE key IN (?, ?)", (_KEY, _RETIRED)))
    key, retired = values.get(_KEY), values.get(_RETIRED, b"")
    if not isinstance(key, bytes) or not isinstance(retired, bytes):
        return None
    return HandedOver(key.decode(), frozenset(retired.decode().split()))


def _note(database: apsw.Connection, envelope: bytes, retired: frozenset[str]) -> None:
    rotated = Event.FromString(read_envelope(envelope)[0]).key_rotated
    _keep(database, key_id(certificate_key(x509.load_der_x509_certificate(rotated.certificate))), retired)


def _keep(database: apsw.Connection, key: str, retired: frozenset[str]) -> None:
    noted = ((_KEY, key), (_RETIRED, " ".join(sorted(retired))))
    for name, value in noted:
        database.execute("INSERT OR REPLACE INTO meta (key, value) VALUES (?, ?)", (name, value.encode()))


def handover(booth_id: str, epoch: bytes, old_key_id: str, new: Held) -> KeyRotated:
    """The event that hands a ledger over from the key `old_key_id` to `new`, with the new key's own signature."""
    der = new.der
    return KeyRotated(der, new.key.sign(possession_message(booth_id, epoch, old_key_id, der)))
