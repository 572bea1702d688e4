"""Where device keys end: by log index, never by claimed time. What was accepted before stands.

A key ends in every epoch at once: in the epochs that the port holds at the sequence given, in any other at 0.
"""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass

import apsw
from cryptography import x509

from edge_agent.domain.errors import Permanent
from edge_agent.wire.chain import Head
from edge_agent.wire.identity import SpiffeId, certificate_key, key_id
from edge_agent.wire.refused import RefusalCode, Refused
from edge_agent.wire.verify import Verified
from port_gateway.chains import Ended
from port_gateway.quarantine import Quarantined
from port_gateway.salvaged import replaced_epochs


@dataclass(frozen=True, slots=True)
class Revoked:
    """What a revocation did: the key counts through these sequences, by epoch, and `certificates` open nothing more.

    `in_force` are the ids of the identity's other keys, whose certificates still open connections.
    """

    key_id: str
    through: Mapping[bytes, int]
    certificates: int
    in_force: frozenset[str]


def read_ended(db: apsw.Connection, booth_id: str | None = None) -> dict[str, dict[str, Ended]]:
    """The ended keys by booth and key id, of one booth or of all, in the transaction of `db`."""
    where, values = ("", ()) if booth_id is None else (" WHERE booth_id = ?", (booth_id,))
    found: dict[str, dict[str, Ended]] = {}
    through: dict[tuple[str, str], dict[bytes, int]] = {}
    for booth, key, code in db.execute(f"SELECT booth_id, key_id, code FROM ended_key{where}", values):  # noqa: S608
        if code not in RefusalCode.__members__:
            raise apsw.CorruptError("the end of a key has no code")
        epochs = through.setdefault((str(booth), str(key)), {})
        found.setdefault(str(booth), {})[str(key)] = Ended(RefusalCode[str(code)], epochs)
    rows = db.execute(f"SELECT booth_id, key_id, epoch, through_seq FROM ended_key_epoch{where}", values)  # noqa: S608
    for booth, key, epoch, seq in rows:
        if not isinstance(epoch, bytes) or not isinstance(seq, int) or (str(booth), str(key)) not in through:
            raise apsw.CorruptError("the end of a key is not there")
        through[str(booth), str(key)][epoch] = seq
    return found


def end_key(
    db: apsw.Connection, booth_id: str, key_id: str, code: RefusalCode, through: Mapping[bytes, int], at_utc_us: int
) -> None:
    """End a key at these sequences; where it ended earlier already, that stands. Raises nothing of its own."""
    before = read_ended(db, booth_id).get(booth_id, {}).get(key_id)
    if before is None or before.code is RefusalCode.KEY_RETIRED:  # a revocation is the stronger word
        db.execute("INSERT OR REPLACE INTO ended_key VALUES (?,?,?,?)", (booth_id, key_id, code.name, at_utc_us))
    for epoch, seq in through.items():
        lowest = seq if before is None else min(seq, before.through.get(epoch, 0))
        db.execute("INSERT OR REPLACE INTO ended_key_epoch VALUES (?,?,?,?)", (booth_id, key_id, epoch, lowest))


def chain_heads(db: apsw.Connection, booth_id: str) -> dict[bytes, int]:
    """The last sequence held of every epoch of a booth, the one that grew last at the end; damaged ones come first."""
    rows = db.execute(
        "SELECT c.epoch, c.seq FROM chain c JOIN event e USING (booth_id, epoch, seq) WHERE c.booth_id = ?"
        " ORDER BY e.cursor",
        (booth_id,),
    )
    heads = {epoch: seq for epoch, seq in rows if isinstance(epoch, bytes) and isinstance(seq, int)}
    replaced = replaced_epochs(db, booth_id)
    return dict(sorted(heads.items(), key=lambda head: head[0] not in replaced))


def wanted_ends(
    heads: Mapping[bytes, int], identity: SpiffeId, after_seq: int | None, epoch: bytes | None
) -> dict[bytes, int]:
    """Through which sequence a key shall count: `after_seq` of `epoch` (else of the last one), and else the heads.

    Raises Permanent: what was accepted stands, so no index lies before the head.
    """
    through = dict(heads)
    if after_seq is None:
        return through
    if not heads and epoch is None:
        raise Permanent(f"the port holds no event of {identity}", "revoke with --now, or name --epoch")
    place = epoch if epoch is not None else list(heads)[-1]
    if after_seq < heads.get(place, 0):
        raise Permanent(
            f"events through {heads[place]} of epoch {place.hex()} are accepted already, and stand",
            f"revoke with --now, and have a person look at {after_seq + 1} to {heads[place]}",
        )
    through[place] = after_seq
    return through


def follow_rotation(db: apsw.Connection, before: Head, rotated: Verified, at_utc_us: int) -> None:
    """What a KeyRotated changes: the old key ends with it, and the new certificate is registered beside the old one.

    The old certificate goes on opening connections until the new one has opened its first. Raises
    Refused: NOT_TRUSTED when TLS could take the new certificate for another's, or with the code of the new key's end.
    """
    session = rotated.chain.session
    old = session.device_key_id if session is not None else ""
    der = rotated.event.key_rotated.certificate
    certificate = x509.load_der_x509_certificate(der)
    end = read_ended(db, before.booth_id).get(before.booth_id, {}).get(key_id(certificate_key(certificate)))
    if end is not None:
        raise Refused(end.code, "a booth does not hand over to a key that ended", rotated.event.seq)
    through = {**chain_heads(db, before.booth_id), before.epoch: rotated.event.seq}
    end_key(db, before.booth_id, old, RefusalCode.KEY_RETIRED, through, at_utc_us)
    # Whoever holds the old key can do this: a person must know of it.
    db.execute(
        "INSERT OR IGNORE INTO alarm (booth_id, epoch, seq, code, detail, envelope, received_utc_us)"
        " VALUES (?,?,?,'KEY_ROTATED',?,?,?)",
        (
            *(before.booth_id, before.epoch, rotated.event.seq),
            *(f"the key {old} handed over to a new one: ask the booth's operator", rotated.envelope, at_utc_us),
        ),
    )
    if db.execute("SELECT count(*) FROM trust WHERE certificate = ?", (der,)).get:
        return
    for (other,) in db.execute(
        "SELECT certificate FROM trust WHERE replaced_utc_us IS NULL AND identity <> ?", (before.booth_id,)
    ):
        if isinstance(other, bytes) and x509.load_der_x509_certificate(other).subject == certificate.subject:
            detail = "the new certificate has the subject of another party's"
            raise Refused(RefusalCode.NOT_TRUSTED, detail, rotated.event.seq)
    role = SpiffeId.parse(before.booth_id).role
    db.execute(
        "INSERT INTO trust (identity, role, certificate, added_utc_us) VALUES (?,?,?,?)",
        (before.booth_id, str(role), der, at_utc_us),
    )
    db.execute("UPDATE meta SET value = value + 1 WHERE key = 'trust_version'")


def refuse_beyond(ended: Mapping[str, Ended], epoch: bytes, verified: Iterable[Verified | Quarantined]) -> None:
    """Raises Refused for an event of a key that ended since it was verified."""
    for one in verified:
        session = one.chain.session
        end = ended.get(session.device_key_id) if session is not None else None
        if end is not None and one.seq > end.through.get(epoch, 0):
            detail = f"the device key ended at sequence {end.through.get(epoch, 0)}"
            raise Refused(end.code, detail, one.seq)
