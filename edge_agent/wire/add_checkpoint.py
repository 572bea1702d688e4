"""What a log asks of a witness, and what the witness makes of it. No input or output, no clock.

    old 20852014                                    the size that the witness cosigned last, as far as the log knows
    PlRNCrwHpqhGrupue0L7gxbjbMiKA9temvuZZDDpkaw=    consistency proof (RFC 6962 §2.1.2) from there, 0 to 63 lines
    <blank line>
    <the checkpoint, as signed>

Source: C2SP tlog-witness, `add-checkpoint`.
"""

import base64
import binascii
from collections.abc import Sequence
from dataclasses import dataclass

from edge_agent.domain.counted import counted
from edge_agent.domain.errors import IdentityInvalid, Permanent, ProofInvalid
from edge_agent.wire.checkpoint import MAX_NOTE_BYTES, check_signature, checkpoint_lines, split_note
from edge_agent.wire.cosignature import VerifierKey
from edge_agent.wire.identity import Role, SpiffeId
from edge_agent.wire.tree import EMPTY_ROOT, verify_consistency

MAX_PROOF_LINES = 63
MAX_REQUEST_BYTES = len("old ") + 20 + MAX_PROOF_LINES * 45 + 1 + MAX_NOTE_BYTES
# More than a journal can state, and than there ever are.
LAST_SIZE = 2**63 - 1
_ASK = "ask the log's operator and the witness's which of them holds another chain"


@dataclass(frozen=True, slots=True)
class Submission:
    """A request's body."""

    old: int
    proof: tuple[bytes, ...]
    note: bytes

    def encode(self) -> bytes:
        lines = [f"old {self.old}", *(base64.b64encode(node).decode() for node in self.proof), "", ""]
        return "\n".join(lines).encode() + self.note


@dataclass(frozen=True, slots=True)
class Seen:
    """The latest checkpoint of a log that a witness cosigned."""

    size: int = 0
    root: bytes = EMPTY_ROOT


@dataclass(frozen=True, slots=True)
class Head:
    """A checkpoint that a log signed: `by` is which of its keys, `text` what it signed."""

    origin: str
    size: int
    root: bytes
    text: bytes
    by: VerifierKey


class Declined(Permanent):
    """A witness's no: the HTTP status that C2SP tlog-witness gives it. `size`: what it says of its own, with 409."""

    def __init__(self, status: int, why: str, size: int | None = None) -> None:
        super().__init__(why, _ASK)
        self.status, self.size = status, size


def read_submission(body: bytes) -> Submission:
    """Raises Declined (400)."""
    head, blank, note = body.partition(b"\n\n")
    first, *hashes = head.split(b"\n")
    word, _, size = first.partition(b" ")
    if not blank or word != b"old" or not size.isdigit() or len(size) > 19 or (size[:1] == b"0" and size != b"0"):
        raise Declined(400, "the body does not begin with an old size and a proof")
    if len(hashes) > MAX_PROOF_LINES:
        raise Declined(400, f"a proof of {counted(len(hashes), 'line')}, at most {MAX_PROOF_LINES}")
    return Submission(int(size), tuple(_hash(line) for line in hashes), note)


def _hash(line: bytes) -> bytes:
    try:
        digest = base64.b64decode(line, validate=True)
    except (ValueError, binascii.Error):
        digest = b""
    if len(digest) != 32 or base64.b64encode(digest) != line:
        raise Declined(400, "a line of the proof is no hash in base64")
    return digest


def opened(note: bytes, logs: Sequence[VerifierKey]) -> Head:
    """The checkpoint in a submission, if one of the known logs signed it. Raises Declined (400, 403, 404)."""
    try:
        text, signatures = split_note(note)
        origin, size, root, _ = checkpoint_lines(text)
    except ProofInvalid as error:
        raise Declined(400, error.wrong) from None
    if size > LAST_SIZE:
        raise Declined(400, f"a checkpoint of {counted(size, 'event')}")
    keys = [log for log in logs if may_sign(log, origin)]
    if not keys:
        raise Declined(404, f"no log {origin[:200]!r} is known here")
    for log in keys:
        for name, blob in signatures:
            if name == log.name and blob[:4] == log.id:
                try:
                    check_signature(log.key, text, blob[4:])
                except ProofInvalid:
                    continue
                return Head(origin, size, root, text, log)
    raise Declined(403, f"no key known here of the log {origin[:200]!r} has signed this")


def may_sign(log: VerifierKey, origin: str) -> bool:
    """Whether a key speaks for a log: of its own name; a gateway's for every chain of a booth of its port."""
    if log.name == origin:
        return True
    booth_id, _, epoch = origin.rpartition("/")
    try:
        gateway, booth = SpiffeId.parse(log.name), SpiffeId.parse(booth_id)
    except IdentityInvalid:
        return False
    in_hex = len(epoch) == 32 and not set(epoch) - set("0123456789abcdef")
    return in_hex and (gateway.role, booth.role, booth.port) == (Role.GATEWAY, Role.BOOTH, gateway.port)


def judge(submission: Submission, head: Head, seen: Seen) -> None:
    """Returns if the witness may cosign `head` after `seen`. Raises Declined (400, 409, 422)."""
    old = submission.old
    if old > head.size:
        raise Declined(400, f"from {counted(old, 'event')} on to a checkpoint of {head.size}")
    if old != seen.size:
        raise Declined(
            409, f"the latest checkpoint cosigned here has {counted(seen.size, 'event')}, not {old}", seen.size
        )
    if old == head.size:
        if submission.proof:
            raise Declined(422, "a proof between equal sizes")
        if head.root != seen.root:
            raise Declined(409, f"another root was cosigned here for {counted(old, 'event')}", seen.size)
    elif old == 0:
        if submission.proof:
            raise Declined(422, "a proof from no events")
    else:
        try:
            verify_consistency(old, head.size, seen.root, head.root, submission.proof)
        except ProofInvalid as error:
            raise Declined(422, error.wrong) from None
