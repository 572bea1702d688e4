"""What the recorder needs of the store."""

from collections.abc import Mapping, Sequence
from typing import Protocol

from edge_agent.domain.event import Replaced
from edge_agent.ledger.seal import Sealed
from edge_agent.ledger.store import BlobState, Unfinished
from edge_agent.ledger.trees import CheckpointSigner, Receipt
from edge_agent.ledger.trimming import Retention
from edge_agent.wire.chain import Head


class EventStore(Protocol):
    """Where sealed events go; `store.Store` is one. Used from the writer's thread alone."""

    def head(self) -> Head: ...

    def append(
        self,
        sealed: Sequence[Sealed],
        acked_through: int | None = None,
        blobs: Mapping[bytes, BlobState] | None = None,
        offer_again: bool = False,
        receipt: Receipt | None = None,
    ) -> None: ...

    def sign_with(self, session: CheckpointSigner) -> None: ...

    def checkpoint(self, least_pages: int | None = None) -> None: ...

    @property
    def retention(self) -> Retention: ...

    def replaces(self) -> Replaced | None: ...

    def unfinished(self) -> tuple[Unfinished, ...]: ...

    def close(self) -> None: ...
