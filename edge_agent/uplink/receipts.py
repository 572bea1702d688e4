"""What the port signs for with an acknowledgement, against this ledger's own tree. No input or output."""

from cryptography import x509

from edge_agent.domain.counted import counted
from edge_agent.domain.errors import PortRefused, ProofInvalid
from edge_agent.uplink.window import ChainForked
from edge_agent.wire.checkpoint import Checkpoint, open_checkpoint
from edge_agent.wire.identity import certificate_key, identity_of
from edge_agent.wire.tree import Tree


def check_receipt(receipt: bytes, tree: Tree, origin: str, gateway: x509.Certificate) -> None:
    """Returns if the gateway signed for exactly this tree. `origin` names the chain.

    Raises ChainForked (it holds another chain, or signs for another), PortRefused (it did not sign).
    """
    held = check_signature(receipt, tree.size, origin, gateway)
    if held.root != tree.root():
        raise ChainForked(
            f"FORK: the port signed for {counted(held.size, 'event')} with the root {held.root.hex()}, "
            f"this ledger's first {tree.size} have {tree.root().hex()}",
            _KEEP,
        )


def check_signature(receipt: bytes, size: int, origin: str, gateway: x509.Certificate) -> Checkpoint:
    """Returns what the gateway signed, if that is of this chain and its first `size` events; the root is not compared.

    Raises ChainForked, PortRefused.
    """
    try:
        held = open_checkpoint(receipt, str(identity_of(gateway)), certificate_key(gateway))
    except ProofInvalid as error:
        raise PortRefused(f"the port's receipt does not verify: {error.wrong}", _ASK) from None
    if held.origin != origin or held.held is None:
        raise ChainForked(f"the port's receipt is for {held.origin[:200]!r}, this is {origin}", _KEEP)
    if held.size != size:
        raise ChainForked(f"FORK: the port signed for {counted(held.size, 'event')}, and acknowledged {size}", _KEEP)
    return held


_ASK = "ask the port's operator whether its gateway has a new certificate"
_KEEP = "two ledgers wrote under this booth's name, or one was altered: keep both, and call the port"
