"""Why something signed is refused: one named code, the same in Python, on the wire and in documents."""

from enum import Enum

from edge_agent.domain.errors import Permanent
from edge_agent.wire.v1alpha1 import services_pb2


class RefusalCode(Enum):
    """The codes of the protobuf enum RefusalCode, by their short names. docs/wire.md gives each its check."""

    OVERSIZED = services_pb2.REFUSAL_CODE_OVERSIZED
    MALFORMED_ENVELOPE = services_pb2.REFUSAL_CODE_MALFORMED_ENVELOPE
    WRONG_PAYLOAD_TYPE = services_pb2.REFUSAL_CODE_WRONG_PAYLOAD_TYPE
    UNKNOWN_KEY = services_pb2.REFUSAL_CODE_UNKNOWN_KEY
    BAD_SIGNATURE = services_pb2.REFUSAL_CODE_BAD_SIGNATURE
    MALFORMED_EVENT = services_pb2.REFUSAL_CODE_MALFORMED_EVENT
    WRONG_BOOTH = services_pb2.REFUSAL_CODE_WRONG_BOOTH
    WRONG_EPOCH = services_pb2.REFUSAL_CODE_WRONG_EPOCH
    GAP = services_pb2.REFUSAL_CODE_GAP
    REPLAYED = services_pb2.REFUSAL_CODE_REPLAYED
    FORK = services_pb2.REFUSAL_CODE_FORK
    BROKEN_CHAIN = services_pb2.REFUSAL_CODE_BROKEN_CHAIN
    WRONG_SIGNER = services_pb2.REFUSAL_CODE_WRONG_SIGNER
    NOT_TRUSTED = services_pb2.REFUSAL_CODE_NOT_TRUSTED
    PROTOCOL = services_pb2.REFUSAL_CODE_PROTOCOL
    KEY_REVOKED = services_pb2.REFUSAL_CODE_KEY_REVOKED
    KEY_RETIRED = services_pb2.REFUSAL_CODE_KEY_RETIRED
    NOT_POSSESSED = services_pb2.REFUSAL_CODE_NOT_POSSESSED
    NOT_REPLACED = services_pb2.REFUSAL_CODE_NOT_REPLACED
    TOO_MANY_EPOCHS = services_pb2.REFUSAL_CODE_TOO_MANY_EPOCHS
    WRONG_CURSOR = services_pb2.REFUSAL_CODE_WRONG_CURSOR


class Refused(Permanent):
    """An envelope, an event or a stream does not verify; `code` names the check that failed."""

    def __init__(self, code: RefusalCode, detail: str, seq: int = 0) -> None:
        where = f" at sequence {seq}" if seq else ""
        super().__init__(f"{code.name}{where}: {detail}")
        self.code = code
        self.detail = detail
        self.seq = seq
