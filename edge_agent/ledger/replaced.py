"""What a ledger that was begun in place of a damaged one notes of it, until its first event has said so."""

import json

import apsw

from edge_agent.domain.event import Replaced


def as_json(replaced: Replaced) -> bytes:
    """For the row `replaces` of `meta`."""
    values = [replaced.epoch.hex(), replaced.last_seq, replaced.last_sha256.hex(), replaced.found, replaced.missing]
    return json.dumps([*values, [epoch.hex() for epoch in replaced.earlier]]).encode()


def replaced_of(database: apsw.Connection) -> Replaced | None:
    """What this ledger was begun in place of."""
    value = database.execute("SELECT value FROM meta WHERE key = 'replaces'").get
    if not isinstance(value, bytes):
        return None
    epoch, last_seq, last_sha256, found, missing, *earlier = json.loads(value)
    gaps = tuple((first, last) for first, last in missing)
    before = tuple(bytes.fromhex(one) for epochs in earlier for one in epochs)
    return Replaced(bytes.fromhex(epoch), last_seq, bytes.fromhex(last_sha256), found, gaps, before)
