"""What the uplink reports between two commits of the ledger."""

from dataclasses import dataclass, field

from edge_agent.ledger.store import BlobState
from edge_agent.ledger.trees import Receipt


@dataclass(slots=True)
class Marks:
    """What the uplink reported since the last commit; later reports replace earlier ones."""

    acked_through: int | None = None
    blobs: dict[bytes, BlobState] = field(default_factory=dict)
    offer_again: bool = False
    receipt: Receipt | None = None

    def under(self, newer: "Marks") -> "Marks":
        through = newer.acked_through if newer.acked_through is not None else self.acked_through
        blobs = newer.blobs if newer.offer_again else self.blobs | newer.blobs
        return Marks(through, blobs, self.offer_again or newer.offer_again, newer.receipt or self.receipt)
