"""What a damaged ledger lost, as the ledger in its place says: these sequences alone may a chain pass over.

    epoch A   1 2 3 · · 6 7        epoch B   1: SessionOpened.replaces = A, missing 4 to 5

Pure: no input or output.
"""

from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass, field

from edge_agent.wire.chain import EPOCH_BYTES
from edge_agent.wire.v1alpha1.event_pb2 import Event

Gaps = tuple[tuple[int, int], ...]
"""The first and the last sequence of each, both missing."""

# Wider ones stay a person's: a port fills a gap with leaves of its tree.
MAX_GAP = 65_536
# The leaf of a missing event: no envelope has this digest.
MISSING_SHA256 = bytes(32)
# What one event may name: a ledger that was damaged in more places than this has not lost pieces, but most of itself.
MAX_GAPS = 1_000
# What all events of a booth may name together: whoever has its key costs a port and a reader some seconds, once.
MAX_GAPS_OF_BOOTH = 4_000
MAX_MISSING_OF_BOOTH = 64 * MAX_GAP
_MAX_EARLIER = 16


def declared(event: Event) -> dict[bytes, Gaps]:
    """Of which epochs a verified event says that its ledger replaces them, and what each has lost, if it says that.

    Empty for any but the first event of an epoch. What an event says of its own epoch does not count.
    """
    if event.seq != 1 or event.WhichOneof("body") != "session_opened":
        return {}
    replaces = event.session_opened.replaces
    gaps = tuple((gap.first_seq, gap.last_seq) for gap in replaces.missing[:MAX_GAPS])
    said: dict[bytes, Gaps] = dict.fromkeys(replaces.earlier[:_MAX_EARLIER], ())
    said[replaces.epoch] = gaps
    return {epoch: gaps for epoch, gaps in said.items() if len(epoch) == EPOCH_BYTES and epoch != event.epoch}


@dataclass(slots=True)
class Lost:
    """What the events of one booth say of its epochs, in the order in which they come; what is too much does not count.

    `by_epoch` has every epoch that another one replaces, also those that lost nothing.
    """

    by_epoch: dict[bytes, Gaps] = field(default_factory=dict)
    _gaps: int = 0
    _sequences: int = 0

    def add(self, event: Event) -> Mapping[bytes, Gaps]:
        """Take what a verified event says into account: the epochs that it names, each with all of its gaps."""
        named = declared(event)
        for epoch, gaps in named.items():
            self.by_epoch[epoch] = (*self.by_epoch.get(epoch, ()), *(gap for gap in gaps if self._counts(*gap)))
        return {epoch: self.by_epoch[epoch] for epoch in named}

    def _counts(self, first: int, last: int) -> bool:
        width = last - first + 1
        if not 0 < width <= MAX_GAP or self._gaps == MAX_GAPS_OF_BOOTH:
            return False
        if self._sequences + width > MAX_MISSING_OF_BOOTH:
            return False
        self._gaps, self._sequences = self._gaps + 1, self._sequences + width
        return True


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
