"""The cosignatures of the inbox as `port-gateway verify` sees them: each over a receipt of the chain as it stands."""

from collections.abc import Mapping
from dataclasses import dataclass

import apsw

from edge_agent.domain.counted import counted
from edge_agent.domain.errors import IdentityInvalid, ProofInvalid
from edge_agent.wire.witness_policy import Policy
from port_gateway.audit_tokens import Fault, Place
from port_gateway.witnessed import Chain, all_witnessed, check_witnessed


@dataclass(slots=True)
class Seen:
    """A chain of `held` events; `through` of them under a receipt that the quorum cosigned, `by` so many of it."""

    booth_id: str
    epoch: str
    held: int
    through: int = 0
    by: int = 0


def cosigned_places(db: apsw.Connection) -> set[Place]:
    """Where a cosigned receipt ends: booth, epoch and size."""
    rows = db.execute("SELECT booth_id, epoch, size FROM witnessed")
    return {(str(booth_id), bytes(epoch), int(size)) for booth_id, epoch, size in rows}


def check_cosignatures(db: apsw.Connection, roots: Mapping[Place, bytes], policy: Policy) -> tuple[int, list[Seen]]:
    """How many there are, and with a `policy` how far its quorum saw each chain.

    `roots`: of the chains' trees there, from events that were verified. Raises Fault.
    """
    count = 0
    chains: dict[Chain, Seen] = {}
    if policy.witnesses:
        for booth_id, epoch, held in db.execute("SELECT booth_id, epoch, seq FROM chain ORDER BY booth_id, epoch"):
            place = str(booth_id), epoch if isinstance(epoch, bytes) else b""
            chains[place] = Seen(place[0], place[1].hex(), int(str(held)))
    for receipt in all_witnessed(db):
        where = f"the cosigned receipt of {receipt.chain[0]} over {counted(receipt.size, 'event')}"
        if (*receipt.chain, receipt.size) not in roots:
            raise Fault("COSIGNATURE_INVALID", where, "the chain has no such event")
        try:
            found = check_witnessed(receipt, roots[*receipt.chain, receipt.size])
        except (ProofInvalid, IdentityInvalid) as error:
            raise Fault("COSIGNATURE_INVALID", where, error.wrong) from None
        count += len(found)
        by = [each.witness for each in found]
        if receipt.chain in chains and policy.satisfied(by):
            seen = chains[receipt.chain]
            seen.through, seen.by = receipt.size, sum(key in by for key in policy.keys())  # noqa: SIM118
    for seen in chains.values():
        if not seen.through:
            raise Fault("NOT_WITNESSED", f"{seen.booth_id} epoch {seen.epoch}", "no receipt of it has the quorum")
    return count, list(chains.values())
