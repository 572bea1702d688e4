"""Walks everything in a data folder as a stranger would: nothing is believed but the registered certificates."""

from dataclasses import asdict, dataclass, field
from typing import Any

import apsw

from edge_agent.domain.errors import IdentityInvalid, StoreCorrupt
from edge_agent.domain.retention import EvidenceRules
from edge_agent.wire.chain import Head
from edge_agent.wire.envelope import envelope_sha256
from edge_agent.wire.gaps import leaves
from edge_agent.wire.quarantine import Linked
from edge_agent.wire.refused import Refused
from edge_agent.wire.tree import Node, Tree
from edge_agent.wire.v1alpha1.event_pb2 import Event
from edge_agent.wire.verify import Verified
from edge_agent.wire.witness_policy import NO_POLICY, Policy
from port_gateway.audit_tokens import Fault, Place, check_time_tokens, stamped_places
from port_gateway.audit_witnesses import Seen, check_cosignatures, cosigned_places
from port_gateway.chains import Chains, device_keys
from port_gateway.config import Settings
from port_gateway.evidence import EvidenceFiles, check_file
from port_gateway.lane_quarters import believed, kept_row, lane_number, row_of
from port_gateway.retention_index import deleted, deleted_event, stays_at_booth, was_deleted
from port_gateway.sealed_roots import sealed_roots
from port_gateway.store import offline
from port_gateway.trust import read_trust


@dataclass(slots=True)
class Counts:
    """What was found whole. `evidence_missing` should be here and has not arrived; `evidence_at_booth` is not asked
    for without a finding; `evidence_deleted` and `events_deleted` went by retention (the places and digests of these
    events are in their chains). None of them is a fault.
    """

    events: int = 0
    events_deleted: int = 0
    booths: int = 0
    chains: int = 0
    sessions: int = 0
    evidence_whole: int = 0
    evidence_missing: int = 0
    evidence_at_booth: int = 0
    evidence_deleted: int = 0
    alarms: int = 0
    quarantined: int = 0
    time_tokens: int = 0
    cosignatures: int = 0
    witnessed: list[Seen] = field(default_factory=list)

    def as_dict(self) -> dict[str, Any]:
        return asdict(self)


def audit(settings: Settings, policy: Policy = NO_POLICY) -> tuple[Counts, list[str]]:
    """Verify every envelope, chain and piece of evidence; the counts, and the recorded alarms in words.

    With a `policy` every chain must have a receipt that its quorum cosigned.

    Raises Fault at the first fault, StoreFailed when there is no inbox. May run beside a serving gateway.
    """
    try:
        with offline(settings.database) as db:
            return _audit(db, EvidenceFiles(settings.evidence), settings.retention.days.rules(), policy)
    except StoreCorrupt as error:
        raise Fault("STORE_CORRUPT", "the database", error.wrong) from None


def _audit(db: apsw.Connection, files: EvidenceFiles, rules: EvidenceRules, policy: Policy) -> tuple[Counts, list[str]]:
    counts = Counts()
    # All events first: their faults have a place and a code; what remains is SQLite's own check.
    chains = _chains(db)
    unread: dict[object, object] = dict(db.execute("SELECT cursor, released_cursor FROM quarantine"))
    trees: dict[tuple[str, bytes], Tree] = {}
    sealed = {(booth_id, epoch): (size, root) for booth_id, epoch, size, root in sealed_roots(db)}
    stamped, roots = stamped_places(db) | cosigned_places(db), dict[Place, bytes]()
    referenced: dict[bytes, str] = {}
    rows = db.execute("SELECT cursor, booth_id, epoch, seq, sha256, envelope FROM event ORDER BY cursor")
    for cursor, booth_id, epoch, seq, sha256, envelope in rows:
        where = f"cursor {cursor} ({booth_id}, sequence {seq})"
        if not isinstance(envelope, bytes):
            raise Fault("STORE_CORRUPT", where, "there is no envelope")
        gone = deleted_event(db, int(str(cursor))) is not None
        if gone:
            head = _pass_deleted(
                chains, where, Head(str(booth_id), _bytes(epoch), int(str(seq)), _bytes(sha256)), envelope
            )
        else:
            verified = _verify(chains, where, str(booth_id), envelope, int(str(cursor)), unread.get(cursor, -1))
            head = verified.chain.head
            if (head.epoch, head.seq, envelope_sha256(verified.envelope)) != (epoch, seq, sha256):
                raise Fault("STORE_CORRUPT", where, "epoch, sequence or digest beside the envelope is not its own")
        place = (str(booth_id), head.epoch)
        tree = trees.get(place, Tree())
        trees[place], tiles = tree.extended(leaves(tree.size, [(head.seq, head.sha256)]))
        if sealed.get(place, (0, b""))[0] == head.seq and sealed.pop(place)[1] != trees[place].root():
            raise Fault("STORE_CORRUPT", where, "the chain's root is not what it was when events were deleted")
        if (*place, head.seq) in stamped:
            roots[*place, head.seq] = trees[place].root()
        for tile in tiles:
            _check_tile(db, place, tile, where)
        if gone:
            counts.events_deleted += 1
            continue
        counts.events += 1
        if isinstance(verified, Linked):
            counts.quarantined += 1
            continue
        counts.sessions += verified.event.WhichOneof("body") == "session_opened"
        _check_statistics(db, str(booth_id), verified.event, int(str(cursor)), where)
        referenced.update((ref.sha256, where) for ref in verified.event.evidence)
    _check_chains(db, chains)
    _check_pages(db)
    counts.time_tokens = check_time_tokens(db, roots)
    counts.cosignatures, counts.witnessed = check_cosignatures(db, roots, policy)
    counts.chains = len(chains.standing)
    counts.booths = len({booth_id for booth_id, _ in chains.standing})
    for sha256, where in referenced.items():
        if deleted(db, sha256) is not None:
            counts.evidence_deleted += 1
        elif not files.complete(sha256):
            if was_deleted(db, sha256):
                counts.evidence_deleted += 1
            elif stays_at_booth(db, sha256, rules):
                counts.evidence_at_booth += 1
            else:
                counts.evidence_missing += 1
        elif not check_file(files.path(sha256), sha256):
            raise Fault("EVIDENCE_CORRUPT", where, f"the file {sha256.hex()} holds other bytes")
        else:
            counts.evidence_whole += 1
    alarms = [
        f"{booth_id}, sequence {seq}: {code}: {detail}"
        for booth_id, seq, code, detail in db.execute("SELECT booth_id, seq, code, detail FROM alarm ORDER BY id")
    ]
    counts.alarms = len(alarms)
    return counts, alarms


def _chains(db: apsw.Connection) -> Chains:
    try:
        trust = read_trust(db)
        keys = {booth: device_keys(booth, ders) for booth, ders in trust.certificates().items()}
        return Chains(keys, trust.ended)
    except (IdentityInvalid, Refused) as error:
        raise Fault("NOT_TRUSTED", "the registered certificates", error.wrong) from None


def _verify(
    chains: Chains, where: str, booth_id: str, envelope: bytes, cursor: int, released: object
) -> Verified | Linked:
    """`released`: the cursor at which an event left quarantine; None while it is there, -1 if it never was."""
    try:
        if released == -1:
            return chains.verify(booth_id, envelope)
        linked = chains.pass_over(booth_id, envelope, cursor)
        return linked if released is None else chains.let_out(booth_id, envelope, cursor)
    except Refused as refused:
        raise Fault(refused.code.name, where, refused.detail) from None


def _pass_deleted(chains: Chains, where: str, place: Head, envelope: bytes) -> Head:
    if envelope:
        raise Fault("STORE_CORRUPT", where, "it was deleted under retention, and is there")
    try:
        return chains.pass_deleted(place)
    except Refused as refused:
        raise Fault(refused.code.name, where, refused.detail) from None


def _bytes(value: object) -> bytes:
    return value if isinstance(value, bytes) else b""


def _check_tile(db: apsw.Connection, place: tuple[str, bytes], tile: Node, where: str) -> None:
    """A chain that an older gateway left has none yet."""
    kept = db.execute(
        "SELECT sha256 FROM tile WHERE booth_id = ? AND epoch = ? AND level = ? AND position = ?",
        (*place, tile.level, tile.position),
    ).get
    if kept not in (None, tile.sha256):
        raise Fault("STORE_CORRUPT", where, "the hash of the chain's tree that ends here is not its own")


def _check_statistics(db: apsw.Connection, booth_id: str, event: Event, cursor: int, where: str) -> None:
    said = believed(booth_id, event)
    if said is None:
        return
    lane = lane_number(db, booth_id, said.lane_id)
    if kept_row(db, cursor, lane, said.quarter_utc_us // 1_000_000) != row_of(said, lane, cursor):
        raise Fault("STORE_CORRUPT", where, "the row of the lane's statistics is not what the event says")


def _check_chains(db: apsw.Connection, chains: Chains) -> None:
    """The last event of every chain is there, and no event stands outside of one."""
    walked = {place: (chain.head.seq, chain.head.sha256) for place, chain in chains.standing.items()}
    for booth_id, epoch, seq, sha256 in db.execute("SELECT booth_id, epoch, seq, sha256 FROM chain"):
        ends = walked.pop((str(booth_id), epoch if isinstance(epoch, bytes) else b""), (0, b""))
        if ends != (seq, sha256):
            raise Fault(
                "STORE_CORRUPT", f"the chain of {booth_id}", f"ends at {ends[0]}, and was accepted through {seq}"
            )
    for booth_id, _ in walked:
        raise Fault("STORE_CORRUPT", f"the chain of {booth_id}", "its events are there, and its head is not")


def _check_pages(db: apsw.Connection) -> None:
    found = db.execute("PRAGMA integrity_check(1)").get
    if found != "ok":
        raise Fault("STORE_CORRUPT", "the database", str(found))
