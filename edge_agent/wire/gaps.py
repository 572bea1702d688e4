"""What a damaged ledger lost, as the ledger in its place says: these sequences alone may a chain pass over.

    epoch A   1 2 3 · · 6 7        epoch B   1: SessionOpened.replaces = A, missing 4 to 5

Pure: no input or output.
"""

from collections.abc import Iterable, Iterator

from edge_agent.wire.chain import EPOCH_BYTES
from edge_agent.wire.v1alpha1.event_pb2 import Event

Gaps = tuple[tuple[int, int], ...]
"""The first and the last sequence of each, both missing."""

# Wider ones stay a person's: a port fills a gap with leaves of its tree.
MAX_GAP = 65_536
# The leaf of a missing event: no envelope has this digest.
MISSING_SHA256 = bytes(32)
_MAX_GAPS = 100
_MAX_EARLIER = 16


def declared(event: Event) -> dict[bytes, Gaps]:
    """Of which epochs a verified event says that its ledger replaces them, and what each has lost, if it says that.

    Empty for any but the first event of an epoch. What an event says of its own epoch does not count.
    """
    if event.seq != 1 or event.WhichOneof("body") != "session_opened":
        return {}
    replaces = event.session_opened.replaces
    gaps = tuple((gap.first_seq, gap.last_seq) for gap in replaces.missing[:_MAX_GAPS])
    said: dict[bytes, Gaps] = dict.fromkeys(replaces.earlier[:_MAX_EARLIER], ())
    said[replaces.epoch] = gaps
    return {epoch: gaps for epoch, gaps in said.items() if len(epoch) == EPOCH_BYTES and epoch != event.epoch}


def may_pass_over(gaps: Gaps, first: int, last: int) -> bool:
    """Whether every sequence from `first` to `last` is said to be missing, and they are not too many."""
    if last - first >= MAX_GAP:
        return False
    for begin, end in sorted(gaps):
        if begin <= first <= end:
            first = end + 1
    return first > last


def leaves(after: int, digests: Iterable[tuple[int, bytes]]) -> Iterator[bytes]:
    """The leaves behind sequence `after`, of events by sequence and digest; MISSING_SHA256 for those between."""
    for seq, sha256 in digests:
        for _ in range(after + 1, seq):
            yield MISSING_SHA256
        yield sha256
        after = seq
