"""What a person must look into, of any booth: rows that `port-gateway verify` shows."""

import apsw

from edge_agent.wire.quarantine import MAX_QUARANTINED_BYTES

# A booth that is refused over and over must not fill the disk, and not with one code keep another out.
MAX_ALARMS_A_CODE = 100


def note_alarm(
    db: apsw.Connection, place: tuple[str, bytes, int], code: str, detail: str, envelope: bytes, now_us: int
) -> None:
    """At `place` (booth, epoch, sequence). The same one is noted once. In a transaction."""
    booth_id, epoch, seq = place
    count = db.execute("SELECT count(*) FROM alarm WHERE booth_id = ? AND code = ?", (booth_id, code)).get
    if isinstance(count, int) and count < MAX_ALARMS_A_CODE:
        kept = envelope if len(envelope) <= MAX_QUARANTINED_BYTES else b""
        db.execute(
            "INSERT OR IGNORE INTO alarm (booth_id, epoch, seq, code, detail, envelope, received_utc_us)"
            " VALUES (?,?,?,?,?,?,?)",
            (booth_id, epoch, min(seq, 2**63 - 1), code, detail[:500], kept, now_us),
        )
