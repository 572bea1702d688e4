"""The time tokens of the inbox as `port-gateway verify` sees them: each over a receipt of the chain as it stands."""

from collections.abc import Mapping

import apsw
from cryptography import x509

from edge_agent.domain.counted import counted
from edge_agent.domain.errors import EdgeAgentError, IdentityInvalid, ProofInvalid
from edge_agent.wire.checkpoint import open_checkpoint, origin_of
from edge_agent.wire.identity import CERTIFICATE_FAULTS, Role, certificate_key, identity_of
from edge_agent.wire.time_token import TimeToken, TimeTokenInvalid

Place = tuple[str, bytes, int]


class Fault(EdgeAgentError):
    """The first thing found wrong: `name` is a refusal code or STORE_CORRUPT, EVIDENCE_CORRUPT, TIME_TOKEN_INVALID."""

    def __init__(self, name: str, where: str, detail: str) -> None:
        super().__init__(f"{name}: {where}: {detail}", "keep a copy of the data folder, and restore it from a backup")
        self.name = name
        self.where = where
        self.detail = detail


def stamped_places(db: apsw.Connection) -> set[Place]:
    """Where a token's receipt ends: booth, epoch and size."""
    rows = db.execute("SELECT booth_id, epoch, size FROM time_token")
    return {(str(booth_id), _bytes(epoch), int(str(size))) for booth_id, epoch, size in rows}


def check_time_tokens(db: apsw.Connection, roots: Mapping[Place, bytes]) -> int:
    """How many there are. `roots`: of the chains' trees there, from events that were verified. Raises Fault."""
    count = 0
    rows = db.execute(
        "SELECT booth_id, epoch, size, note, certificate, response, authority FROM time_token"
        " ORDER BY booth_id, epoch, size"
    )
    for booth_id, epoch, size, note, certificate, response, authority in rows:
        where = f"the time token of {booth_id} over {counted(size, 'event')}"
        place = str(booth_id), _bytes(epoch), int(str(size))
        if place not in roots:
            raise Fault("TIME_TOKEN_INVALID", where, "the chain has no such event")
        try:
            gateway = x509.load_der_x509_certificate(_bytes(certificate))
            if identity_of(gateway).role is not Role.GATEWAY:
                raise IdentityInvalid("signed by what is no gateway")
            receipt = open_checkpoint(_bytes(note), str(identity_of(gateway)), certificate_key(gateway))
            TimeToken(_bytes(response), _bytes(authority)).verified(_bytes(note))
        except (*CERTIFICATE_FAULTS, IdentityInvalid, ProofInvalid, TimeTokenInvalid) as error:
            wrong = error.wrong if isinstance(error, EdgeAgentError) else str(error)
            raise Fault("TIME_TOKEN_INVALID", where, wrong) from None
        here = origin_of(*place[:2]), size, roots[place]
        if (receipt.origin, receipt.size, receipt.root) != here or receipt.held is None:
            raise Fault("TIME_TOKEN_INVALID", where, "its receipt is over another chain than the one that is held")
        count += 1
    return count


def _bytes(value: object) -> bytes:
    return value if isinstance(value, bytes) else b""
