"""Which device key a ledger was handed over to: noted with the event that says so, since events are trimmed one day."""

from pathlib import Path

import apsw
from cryptography import x509

from edge_agent.domain.event import KeyRotated
from edge_agent.ledger.faults import sqlite_faults
from edge_agent.ledger.identity import Held
from edge_agent.wire.envelope import read_envelope
from edge_agent.wire.identity import certificate_key, key_id
from edge_agent.wire.rotation import possession_message
from edge_agent.wire.v1alpha1.event_pb2 import Event

_KEY = "device_key"
BUSY_MS = 5_000


def note_handover(database: apsw.Connection, envelope: bytes) -> None:
    """In the transaction that adds the KeyRotated in `envelope`, made here and now."""
    rotated = Event.FromString(read_envelope(envelope)[0]).key_rotated
    key = key_id(certificate_key(x509.load_der_x509_certificate(rotated.certificate)))
    database.execute("INSERT OR REPLACE INTO meta (key, value) VALUES (?, ?)", (_KEY, key.encode()))


def handed_to(database_file: Path) -> str | None:
    """The id of the key that signs this ledger's sessions; None while it was never handed over, or is not there."""
    if not database_file.exists() or database_file.stat().st_size == 0:
        return None
    with sqlite_faults(database_file):
        database = apsw.Connection(str(database_file), flags=apsw.SQLITE_OPEN_READONLY)
        try:
            database.set_busy_timeout(BUSY_MS)
            if not database.execute("SELECT count(*) FROM sqlite_schema WHERE name = 'meta'").get:
                return None
            value = database.execute("SELECT value FROM meta WHERE key = ?", (_KEY,)).get
        finally:
            database.close()
    return value.decode() if isinstance(value, bytes) else None


def handover(booth_id: str, epoch: bytes, old_key_id: str, new: Held) -> KeyRotated:
    """The event that hands a ledger over from the key `old_key_id` to `new`, with the new key's own signature."""
    der = new.der
    return KeyRotated(der, new.key.sign(possession_message(booth_id, epoch, old_key_id, der)))
