"""How the witnesses of a gateway stand, from its inbox: the gateway may run meanwhile."""

from collections.abc import Sequence
from dataclasses import asdict, dataclass
from typing import Any

import apsw

from edge_agent.wire.cosignature import VerifierKey
from edge_agent.wire.witness_policy import Policy, Witness
from port_gateway.witnessed import Chain, receipts_from


@dataclass(frozen=True, slots=True)
class WitnessStanding:
    """`last_utc_us`: when its last cosignature was kept, by the gateway's clock; 0: none yet."""

    name: str
    key: str
    url: str
    last_utc_us: int
    faults: Sequence[str]


@dataclass(frozen=True, slots=True)
class ChainStanding:
    """`through`: the events under the newest receipt that the quorum cosigned; `cosigned`: by how many the newest."""

    booth_id: str
    epoch: str
    held: int
    through: int
    cosigned: int


@dataclass(frozen=True, slots=True)
class Standing:
    """All of it."""

    witnesses: Sequence[WitnessStanding]
    chains: Sequence[ChainStanding]

    @property
    def well(self) -> bool:
        """Nothing stands between."""
        return not any(one.faults for one in self.witnesses)

    def as_dict(self) -> dict[str, Any]:
        return asdict(self)


def standing(db: apsw.Connection, policy: Policy) -> Standing:
    """Reads it."""
    rows = db.execute("SELECT booth_id, epoch, seq FROM chain ORDER BY booth_id, epoch").fetchall()
    chains = [_chain(db, policy, (str(booth_id), bytes(epoch)), int(seq)) for booth_id, epoch, seq in rows]  # type: ignore[arg-type]
    return Standing([_witness(db, witness) for witness in policy.witnesses.values()], chains)


def _witness(db: apsw.Connection, witness: Witness) -> WitnessStanding:
    key = str(witness.key)
    last = db.execute("SELECT max(kept_utc_us) FROM cosignature WHERE witness = ?", (key,)).get
    rows = db.execute("SELECT booth_id, code, detail FROM witness_fault WHERE witness = ? ORDER BY booth_id", (key,))
    faults = [f"{code}: {detail}" for _, code, detail in rows]
    return WitnessStanding(witness.key.name, key, witness.url, last if isinstance(last, int) else 0, faults)


def _chain(db: apsw.Connection, policy: Policy, chain: Chain, held: int) -> ChainStanding:
    through, newest = 0, None
    wanted = set(policy.keys())
    for receipt in receipts_from(db, chain, 0, newest_first=True):
        by = [key for text, _ in receipt.kept if (key := VerifierKey.parse(text)) in wanted]
        newest = len(by) if newest is None else newest
        if policy.satisfied(by):
            through = receipt.size
            break
    return ChainStanding(chain[0], chain[1].hex(), held, through, newest or 0)
