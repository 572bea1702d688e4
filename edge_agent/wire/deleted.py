"""Events whose bytes a port deleted under retention: their place and digest stay, and the chain goes on over them.

    11  12 (deleted: sha256)  13 (deleted: sha256)  14: previous_sha256 = digest of 13

The link of the first event after them shows the last digest to be right; all of them are leaves of the tree whose root
booth, port and witnesses signed. docs/wire.md, "Deleted events".

Pure, as verify.py.
"""

from dataclasses import replace

from edge_agent.wire.gaps import may_pass_over
from edge_agent.wire.refused import RefusalCode, Refused
from edge_agent.wire.verify import Chain

SHA256_BYTES = 32


def pass_deleted(chain: Chain, seq: int, sha256: bytes) -> Chain:
    """The chain behind a deleted event at `seq` with this digest. Raises Refused."""
    head = chain.head
    if len(sha256) != SHA256_BYTES:
        raise Refused(RefusalCode.PROTOCOL, f"deleted, with a digest of {len(sha256)} bytes", seq)
    if chain.session is None:
        raise Refused(RefusalCode.PROTOCOL, "deleted, and no session was opened before: that event never goes", seq)
    if seq <= head.seq:
        raise Refused(RefusalCode.REPLAYED, f"deleted, and the chain stands at {head.seq} already", seq)
    if seq > head.seq + 1 and not may_pass_over(chain.missing, head.seq + 1, seq - 1):
        raise Refused(RefusalCode.GAP, f"deleted, and the chain stands at {head.seq}", seq)
    return replace(chain, head=head.at(seq, sha256))
