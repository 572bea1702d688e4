"""Where a booth's chain stands, and what the next link must be."""

from dataclasses import dataclass

GENESIS_SHA256 = bytes(32)
EPOCH_BYTES = 16


@dataclass(frozen=True, slots=True)
class Head:
    """The end of one epoch's chain. At seq 0 nothing was written, and `sha256` is 32 zero bytes."""

    booth_id: str
    epoch: bytes
    seq: int = 0
    sha256: bytes = GENESIS_SHA256

    def after(self, envelope_sha256: bytes) -> "Head":
        """The head once the next event's envelope, with this digest, stands at the end."""
        return self.at(self.seq + 1, envelope_sha256)

    def at(self, seq: int, envelope_sha256: bytes) -> "Head":
        """The head of this chain at `seq`."""
        return Head(self.booth_id, self.epoch, seq, envelope_sha256)
