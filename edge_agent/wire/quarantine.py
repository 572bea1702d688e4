"""Events whose content cannot be read here, and whose place in the chain is certain all the same.

A booth of a newer version may say what an older port does not understand. Such an event is signed and linked like any
other: the chain goes on over it, and its content waits for somebody who can read it. docs/wire.md, "Quarantine".

Pure, as verify.py.
"""

from dataclasses import dataclass

from google.protobuf.message import DecodeError
from google.protobuf.unknown_fields import UnknownFieldSet

from edge_agent.wire.chain import GENESIS_SHA256, Head
from edge_agent.wire.envelope import check_signature, envelope_sha256, read_envelope
from edge_agent.wire.identity import PublicKey
from edge_agent.wire.refused import RefusalCode, Refused
from edge_agent.wire.v1alpha1.envelope_pb2 import Signature
from edge_agent.wire.v1alpha1.event_pb2 import Event, EventLink
from edge_agent.wire.verify import Chain, counts_still, follows, of_chain, signer

# A batch carries no more.
MAX_QUARANTINED_BYTES = 256 * 1024
# Of content alone. Everything else says that the event is not this booth's, or not at its place.
OF_CONTENT = frozenset({RefusalCode.OVERSIZED, RefusalCode.MALFORMED_EVENT})
# They decide whose signatures count from there on: a chain cannot go on over one that is not understood.
_DECIDE = frozenset(Event.DESCRIPTOR.fields_by_name[name].number for name in ("session_opened", "key_rotated"))


@dataclass(frozen=True, slots=True)
class Linked:
    """An event whose signature and link verified and whose content did not, and the chain after it."""

    seq: int
    envelope: bytes
    sha256: bytes
    chain: Chain


def verify_link(chain: Chain, envelope: bytes) -> Linked:
    """Verify that `envelope` is the next link of `chain`, whatever it says: signed by the session key, and in place.

    All of docs/wire.md's steps but the size in step 1, and in step 4 what is not the link. Raises Refused.
    """
    payload, signature = read_envelope(envelope, MAX_QUARANTINED_BYTES)
    session = chain.session
    if session is None or signature.keyid != session.key_id:
        raise Refused(RefusalCode.WRONG_SIGNER, "only what the session key signed may go into quarantine")
    link = _link(chain.head, session.key, payload, signature)
    follows(chain, link)
    others = UnknownFieldSet(link)
    if any(others[n].field_number in _DECIDE for n in range(len(others))):
        raise Refused(RefusalCode.MALFORMED_EVENT, "an event that decides whose signatures count", link.seq)
    counts_still(chain, session, link.seq)
    sha256 = envelope_sha256(envelope)
    head = chain.head.at(link.seq, sha256)
    return Linked(link.seq, envelope, sha256, Chain(head, chain.device_keys, session, chain.ends, chain.missing))


def signed_link(chain: Chain, envelope: bytes) -> EventLink:
    """The place in `chain` for which its session key or a device key signed `envelope`, whatever else it says.

    Not that it follows anything: two of them for one place prove a fork. Raises Refused.
    """
    payload, signature = read_envelope(envelope, MAX_QUARANTINED_BYTES)
    key, _ = signer(chain, signature.keyid)
    link = _link(chain.head, key, payload, signature)
    if link.seq == 0:
        raise Refused(RefusalCode.MALFORMED_EVENT, "signed, and names no place in a chain")
    return link


def _link(head: Head, key: PublicKey, payload: bytes, signature: Signature) -> EventLink:
    check_signature(key, payload, signature.sig)
    try:
        link = EventLink.FromString(payload)
    except DecodeError:
        raise Refused(RefusalCode.MALFORMED_EVENT, "signed, and names no place in a chain") from None
    if len(link.previous_sha256) != len(GENESIS_SHA256):
        raise Refused(RefusalCode.MALFORMED_EVENT, "signed, and names no place in a chain", link.seq)
    of_chain(head, link)
    return link
