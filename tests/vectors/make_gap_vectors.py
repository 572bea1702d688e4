"""Writes gaps.json: what was salvaged of a damaged ledger, over the gaps that a later ledger of the booth names.

    python -m tests.vectors.make_gap_vectors           write the file
    python -m tests.vectors.make_gap_vectors --check   compare it with what would be written

Deterministic, as make_vectors.py.
"""

import itertools
import json
import sys
from collections.abc import Iterable, Iterator
from pathlib import Path
from typing import Any

from edge_agent.wire.envelope import PAYLOAD_TYPE, envelope_sha256, read_envelope
from edge_agent.wire.gaps import MAX_GAP, MAX_GAPS, MAX_GAPS_OF_BOOTH, MAX_MISSING_OF_BOOTH, leaves
from edge_agent.wire.tree import Tree
from edge_agent.wire.v1alpha1 import event_pb2 as wire
from tests.vectors.make_vectors import (
    BOOTH,
    DEVICE_KEY,
    EPOCH,
    GENESIS,
    NEXT_SESSION_KEY,
    SESSION_KEY,
    STRANGER_KEY,
    PrivateKey,
    arrived,
    bytes_of,
    certificate,
    sealed,
    session_opened,
)

FILE = Path(__file__).with_name("gaps.json")
NEW, NEWER, OTHER = (bytes(range(n, n + 16)) for n in (16, 32, 48))
Gap = tuple[int, int]
Case = tuple[str, str | None, list[bytes]]
_LOST = b"an envelope that is lost"
# Elsewhere: a hundred million sequences behind what the cases are about.
_FAR = 100_000_000


def opening(epoch: bytes, seq: int = 1, previous: bytes = GENESIS, **said: Any) -> bytes:
    """A SessionOpened by the device key; `replaces`, `missing` and `earlier` as it says of ledgers before it."""
    opened = session_opened(seq, previous, SESSION_KEY if epoch == EPOCH else NEXT_SESSION_KEY, epoch)
    if said:
        replaces = opened.session_opened.replaces
        replaces.epoch = said.get("replaces", EPOCH)
        replaces.earlier.extend(said.get("earlier", ()))
        gaps: Iterable[Gap] = said.get("missing", ())
        replaces.missing.extend(wire.MissingEvents(first_seq=first, last_seq=last) for first, last in gaps)
    return sealed(bytes_of(opened), DEVICE_KEY)


def behind(seq: int, before: bytes = _LOST, key: PrivateKey = SESSION_KEY) -> bytes:
    """An event of the damaged ledger at `seq`; `before` is the envelope that it follows."""
    return sealed(bytes_of(arrived(seq, envelope_sha256(before))), key)


OLD = opening(EPOCH)
SECOND = behind(2, OLD)
FIFTH = behind(5)
SIXTH = behind(6, FIFTH)
TAIL = [OLD, SECOND, FIFTH]


def after(*gaps: Gap, epoch: bytes = NEW, **said: Any) -> bytes:
    return opening(epoch, missing=gaps, replaces=said.pop("replaces", EPOCH), **said)


def passed() -> Iterator[Case]:
    yield "events 3 and 4 are lost", None, [after((3, 4)), *TAIL, SIXTH]
    yield "two gaps, one behind the other", None, [after((3, 4), (6, 8)), *TAIL, behind(9)]
    yield "two gaps that meet, named in another order", None, [after((4, 4), (3, 3)), *TAIL]
    yield "named twice", None, [after((3, 4), (2, 4)), *TAIL]
    yield "named by two later ledgers, a part each", None, [after((3, 3)), after((4, 4), epoch=NEWER), *TAIL]
    yield "the gap begins before what is missing here", None, [after((2, 4)), *TAIL]
    yield "named when the old ledger is known already", None, [OLD, SECOND, after((3, 4)), FIFTH]
    yield "the beginning of the old ledger is lost, but not its session", None, [after((2, 4)), OLD, FIFTH]
    wide = MAX_GAP + 2
    yield "65,536 sequences", None, [after((2, wide - 1)), OLD, behind(wide)]
    yield "the thousandth gap", None, [after(*_far(MAX_GAPS - 1), (3, 4)), *TAIL]
    most = MAX_MISSING_OF_BOOTH - 2
    yield "the last of 4,194,304 sequences", None, [after(*_wide(most), (3, 4)), *TAIL]
    none = (4, 3), (0, 2**64 - 1), (_FAR, _FAR + MAX_GAP)
    yield "gaps that end before they begin, or are too wide, take nobody's place", None, [
        after(*none * 300, (3, 4)), *TAIL
    ]  # fmt: skip


def refused() -> Iterator[Case]:
    yield "nothing is named", "GAP", [after(), *TAIL]
    yield "not named yet", "GAP", TAIL
    yield "only a part is named", "GAP", [after((3, 3)), *TAIL]
    yield "named for another epoch", "GAP", [after((3, 4), replaces=OTHER), *TAIL]
    yield "named as earlier, without gaps", "GAP", [after((3, 4), replaces=OTHER, earlier=[EPOCH]), *TAIL]
    own = opening(EPOCH, missing=((3, 4),))
    yield "named by the old ledger itself", "GAP", [own, behind(2, own), FIFTH]
    new = opening(NEW)
    yield "named by the second event of the new ledger", "GAP", [new, _second(new), *TAIL]
    wide = MAX_GAP + 3
    yield "65,537 sequences", "GAP", [after((2, wide - 1)), OLD, behind(wide)]
    halves = (2, 40_000), (40_001, wide - 1)
    yield "65,537 sequences in two gaps", "GAP", [after(*halves), OLD, behind(wide)]
    yield "the thousand and first gap", "GAP", [after(*_far(MAX_GAPS), (3, 4)), *TAIL]
    ledgers = [
        after(*_far(MAX_GAPS, n * MAX_GAPS), epoch=bytes([n]) * 16)
        for n in range(100, 100 + MAX_GAPS_OF_BOOTH // MAX_GAPS)
    ]
    yield "4,000 gaps were named before", "GAP", [*ledgers, after((3, 4)), *TAIL]
    yield "4,194,304 sequences were named before, of another epoch", "GAP", [
        after(*_wide(MAX_MISSING_OF_BOOTH), replaces=OTHER), after((3, 4), epoch=NEWER), *TAIL
    ]  # fmt: skip
    yield "behind the gap, signed by another session", "UNKNOWN_KEY", [
        after((3, 4)), OLD, SECOND, behind(5, key=NEXT_SESSION_KEY)
    ]  # fmt: skip
    yield "behind the gap, by a stranger", "UNKNOWN_KEY", [after((3, 4)), OLD, SECOND, behind(5, key=STRANGER_KEY)]
    yield "behind the event behind the gap, of another chain", "BROKEN_CHAIN", [after((3, 4)), *TAIL, behind(6)]
    yield "within what is named, another event follows", "BROKEN_CHAIN", [after((2, 4)), OLD, behind(2)]
    yield "found after all, when the chain has gone on", "REPLAYED", [after((3, 4)), *TAIL, behind(4)]
    yield "the session that signed is lost with the beginning", "UNKNOWN_KEY", [after((1, 4)), FIFTH]


def _far(count: int, begin: int = 0) -> list[Gap]:
    """So many gaps of one sequence elsewhere."""
    return [(_FAR + 2 * n, _FAR + 2 * n) for n in range(begin, begin + count)]


def _wide(sequences: int) -> list[Gap]:
    """As few gaps as hold so many sequences elsewhere."""
    edges = [*range(0, sequences, MAX_GAP), sequences]
    return [(_FAR + first, _FAR + end - 1) for first, end in itertools.pairwise(edges)]


def _second(first: bytes) -> bytes:
    return opening(NEW, 2, envelope_sha256(first), missing=((3, 4),))


def _described(name: str, code: str | None, envelopes: list[bytes]) -> dict[str, Any]:
    case = {
        "name": name,
        "envelopes": [envelope.hex() for envelope in envelopes],
        "accepted": len(envelopes) - (code is not None),
        "code": code,
    }
    if code is None:
        events = [(wire.Event.FromString(read_envelope(one)[0]), envelope_sha256(one)) for one in envelopes]
        held = [(event.seq, sha256) for event, sha256 in events if event.epoch == EPOCH]
        tree, _ = Tree().extended(leaves(0, held))
        case |= {"size": tree.size, "root": tree.root().hex()}
    return case


def text() -> str:
    document = {
        "about": "Chains over gaps: each envelope in the chain of the epoch that it names. See README.md.",
        "payload_type": PAYLOAD_TYPE,
        "booth_id": BOOTH,
        "epoch": EPOCH.hex(),
        "certificate": certificate().hex(),
        "cases": [_described(*case) for case in (*passed(), *refused())],
    }
    return json.dumps(document, indent=1) + "\n"


if __name__ == "__main__":
    if sys.argv[1:] == ["--check"]:
        sys.exit(0 if FILE.read_text() == text() else "gaps.json is not what this script writes")
    FILE.write_text(text())
