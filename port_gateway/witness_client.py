"""Asks one witness to cosign one receipt: C2SP tlog-witness, `add-checkpoint`, over HTTP."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from enum import StrEnum

from edge_agent.domain.counted import counted
from edge_agent.domain.errors import EdgeAgentError, PortUnreachable, ProofInvalid
from edge_agent.wire.add_checkpoint import Submission
from edge_agent.wire.checkpoint import Checkpoint, split_note
from edge_agent.wire.cosignature import Cosignature, cosignatures
from edge_agent.wire.witness_policy import Witness
from port_gateway.http_post import Answer, post

# Signature lines of a witness with keys of several kinds; a post-quantum one has 3,300 characters.
MAX_ANSWER_BYTES = 16 * 1024
# The end of the year 9999, in seconds since 1970.
LAST_S = 253_402_300_799
_SIZE_KIND = "text/x.tlog.size"


class WitnessFault(StrEnum):
    """Why there is no cosignature; docs/operate.md says what to do. FORK and AHEAD are alarms."""

    UNREACHABLE = "WITNESS_UNREACHABLE"
    UNKNOWN_LOG = "WITNESS_UNKNOWN_LOG"
    LOG_KEY_REFUSED = "WITNESS_LOG_KEY_REFUSED"
    REFUSED = "WITNESS_REFUSED"
    BUSY = "WITNESS_BUSY"
    NO_COSIGNATURE = "WITNESS_NO_COSIGNATURE"
    BAD_COSIGNATURE = "WITNESS_BAD_COSIGNATURE"
    FORK = "WITNESS_FORK"
    AHEAD = "WITNESS_AHEAD"


class NotCosigned(EdgeAgentError):
    """`size`: the events of the checkpoint that the witness holds, where it is about those."""

    def __init__(self, fault: WitnessFault, detail: str, size: int = 0) -> None:
        super().__init__(f"{fault}: {detail}")
        self.fault, self.detail, self.size = fault, detail, size


Prove = Callable[[int, int], Sequence[bytes]]
"""The consistency proof from an older size of the chain to a newer."""


@dataclass(frozen=True, slots=True)
class WitnessClient:
    """`timeout_s` bounds each exchange; there are at most two a receipt."""

    witness: Witness
    timeout_s: float

    def cosigned(self, note: bytes, receipt: Checkpoint, last: int, prove: Prove) -> Cosignature:
        """The witness's cosignature over `receipt`, verified. `last`: the size that it cosigned last, as known here.

        Raises NotCosigned.
        """
        answer = self._ask(note, receipt, last, prove)
        if answer.status == 409 and (size := _size(answer)) is not None and last != size <= receipt.size:
            last = size
            answer = self._ask(note, receipt, last, prove)
        return self._taken(answer, note, receipt, last)

    def _ask(self, note: bytes, receipt: Checkpoint, old: int, prove: Prove) -> Answer:
        proof = tuple(prove(old, receipt.size)) if 0 < old < receipt.size else ()
        url = self.witness.url.rstrip("/") + "/add-checkpoint"
        body = Submission(old, proof, note).encode()
        try:
            headers = {"Content-Type": "text/plain; charset=utf-8"}
            return post(url, body, headers, self.timeout_s, MAX_ANSWER_BYTES, f"the witness at {url}")
        except PortUnreachable as error:
            raise NotCosigned(WitnessFault.UNREACHABLE, error.wrong) from None

    def _taken(self, answer: Answer, note: bytes, receipt: Checkpoint, last: int) -> Cosignature:
        name = self.witness.key.name
        if answer.status == 200:
            return self._cosignature(answer, note)
        if answer.status == 404:
            raise NotCosigned(WitnessFault.UNKNOWN_LOG, f"{name} does not know the log {receipt.origin}")
        if answer.status == 403:
            raise NotCosigned(
                WitnessFault.LOG_KEY_REFUSED, f"{name} does not take this gateway's key for {receipt.origin}"
            )
        if answer.status == 422:
            its = counted(last, "event")
            said = f"{name} cosigned another chain: no proof leads from its {its} to the {receipt.size} here"
            raise NotCosigned(WitnessFault.FORK, said, last)
        if answer.status == 409:
            self._conflict(_size(answer), receipt, last)
        fault = WitnessFault.UNREACHABLE if answer.status >= 500 or answer.status == 429 else WitnessFault.REFUSED
        raise NotCosigned(fault, f"{name} answers with HTTP status {answer.status}")

    def _conflict(self, size: int | None, receipt: Checkpoint, last: int) -> None:
        name = self.witness.key.name
        if size is None:
            raise NotCosigned(WitnessFault.REFUSED, f"{name} answers with HTTP status 409, and no size")
        if size > receipt.size:
            said = f"{name} cosigned {counted(size, 'event')} of {receipt.origin}, and here are only {receipt.size}"
            raise NotCosigned(WitnessFault.AHEAD, said, size)
        if size == last == receipt.size:
            said = f"{name} cosigned another chain: another root of the same {counted(size, 'event')}"
            raise NotCosigned(WitnessFault.FORK, said, size)
        raise NotCosigned(WitnessFault.BUSY, f"{name} names {counted(size, 'event')} now, and named {last}")

    def _cosignature(self, answer: Answer, note: bytes) -> Cosignature:
        name = self.witness.key.name
        try:
            found = cosignatures(split_note(note)[0], answer.body, [self.witness.key])
        except ProofInvalid as error:
            raise NotCosigned(WitnessFault.BAD_COSIGNATURE, f"{name}: {error.wrong}") from None
        if not found:
            raise NotCosigned(
                WitnessFault.NO_COSIGNATURE, f"{name} answers without a signature by the key in the policy"
            )
        if found[0].at_s > LAST_S:  # no pack with it would verify (VERIFY.sh)
            raise NotCosigned(WitnessFault.BAD_COSIGNATURE, f"{name} states a time after the year 9999")
        return found[0]


def _size(answer: Answer) -> int | None:
    text = answer.body.removesuffix(b"\n")
    whole = answer.kind == _SIZE_KIND and text.isdigit() and len(text) < 20
    return int(text) if whole else None
