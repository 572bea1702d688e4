"""Every chain of a stream of envelopes, verified as a back-office does it: from the registered certificates alone."""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field, replace

from cryptography import x509
from google.protobuf.message import DecodeError

from edge_agent.domain.errors import IdentityInvalid
from edge_agent.wire.chain import EPOCH_BYTES, Head
from edge_agent.wire.deleted import pass_deleted
from edge_agent.wire.envelope import MAX_ENVELOPE_BYTES, envelope_sha256, read_envelope
from edge_agent.wire.gaps import Lost
from edge_agent.wire.identity import CERTIFICATE_FAULTS, PublicKey, certificate_key, identity_of, key_id
from edge_agent.wire.quarantine import MAX_QUARANTINED_BYTES, Linked, verify_link
from edge_agent.wire.refused import RefusalCode, Refused
from edge_agent.wire.v1alpha1.event_pb2 import EventLink
from edge_agent.wire.v1alpha1.services_pb2 import KeyEnd as KeyEndMessage
from edge_agent.wire.verify import Chain, KeyEnd, Verified, verify_next


def device_keys(booth_id: str, certificates: Iterable[bytes]) -> dict[str, PublicKey]:
    """The device keys in a booth's certificates (DER), by key id. Raises Refused(NOT_TRUSTED)."""
    keys = {}
    for der in certificates:
        try:
            certificate = x509.load_der_x509_certificate(der)
            if str(identity_of(certificate)) != booth_id:
                raise IdentityInvalid("it names another identity")
            key = certificate_key(certificate)
        except (*CERTIFICATE_FAULTS, IdentityInvalid) as error:
            raise Refused(RefusalCode.NOT_TRUSTED, f"a certificate listed for {booth_id}: {error}") from None
        keys[key_id(key)] = key
    return keys


@dataclass(frozen=True, slots=True)
class Ended:
    """A device key that counts no more: the last sequence for which it does by epoch, and 0 in any other."""

    code: RefusalCode
    through: Mapping[bytes, int]

    def within(self, epoch: bytes) -> KeyEnd:
        return KeyEnd(self.through.get(epoch, 0), self.code)


def ends_within(ended: Mapping[str, Ended], epoch: bytes) -> dict[str, KeyEnd]:
    """The ends of a booth's device keys in one epoch, by key id."""
    return {key_id: end.within(epoch) for key_id, end in ended.items()}


def ended_keys(listed: Iterable[KeyEndMessage]) -> dict[str, Ended]:
    """What ListBooths says of a booth's ended keys. Raises Refused(PROTOCOL)."""
    found = {}
    for key in listed:
        if key.code not in _ENDS:
            raise Refused(RefusalCode.PROTOCOL, f"a key's end has the code {key.code}")
        found[key.key_id] = Ended(_ENDS[key.code], {end.epoch: end.through_seq for end in key.epochs})
    return found


_ENDS = {code.value: code for code in (RefusalCode.KEY_REVOKED, RefusalCode.KEY_RETIRED)}


@dataclass(slots=True)
class Chains:
    """Where the chain of every booth and epoch stands; by booth, its device keys and those of them that ended."""

    keys: Mapping[str, Mapping[str, PublicKey]]
    ended: Mapping[str, Mapping[str, Ended]] = field(default_factory=dict)
    standing: dict[tuple[str, bytes], Chain] = field(default_factory=dict)
    # In quarantine, by booth and digest: the cursor at which it was passed over, and the chain before it.
    unread: dict[tuple[str, bytes], tuple[int, Chain]] = field(default_factory=dict)
    # By booth: what later ledgers of it said that earlier ones lost.
    lost: dict[str, Lost] = field(default_factory=dict)

    def verify(self, booth_id: str, envelope: bytes) -> Verified:
        """Verify `envelope` as the next of its chain. Raises Refused."""
        verified = verify_next(self._chain(booth_id, envelope), envelope)
        self.standing[booth_id, verified.chain.head.epoch] = verified.chain
        for epoch, gaps in self.lost.setdefault(booth_id, Lost()).add(verified.event).items():
            if (booth_id, epoch) in self.standing:
                self.standing[booth_id, epoch] = replace(self.standing[booth_id, epoch], missing=gaps)
        return verified

    def pass_over(self, booth_id: str, envelope: bytes, cursor: int) -> Linked:
        """Verify the signature and the link of an event in quarantine; the chain goes on over it. Raises Refused."""
        chain = self._chain(booth_id, envelope, MAX_QUARANTINED_BYTES)
        linked = verify_link(chain, envelope)
        self.unread[booth_id, linked.sha256] = (cursor, chain)
        self.standing[booth_id, chain.head.epoch] = linked.chain
        return linked

    def pass_deleted(self, place: Head) -> Head:
        """Go on over the event at `place`, which the port deleted under retention. Raises Refused."""
        chain = pass_deleted(self._of(place.booth_id, place.epoch), place.seq, place.sha256)
        self.standing[place.booth_id, place.epoch] = chain
        return chain.head

    def let_out(self, booth_id: str, envelope: bytes, released_from: int) -> Verified:
        """Verify an event that was passed over at the cursor `released_from`, in its place; once. Raises Refused."""
        name = (booth_id, envelope_sha256(envelope))
        cursor, chain = self.unread.get(name, (0, None))
        if chain is None or cursor != released_from:
            raise Refused(RefusalCode.PROTOCOL, f"let out of quarantine, and it is not there at cursor {released_from}")
        verified = verify_next(chain, envelope)
        del self.unread[name]
        return verified

    def _chain(self, booth_id: str, envelope: bytes, limit: int = MAX_ENVELOPE_BYTES) -> Chain:
        if booth_id not in self.keys:
            raise Refused(RefusalCode.NOT_TRUSTED, f"{booth_id} is no registered booth")
        return self._of(booth_id, _claimed_epoch(envelope, limit))

    def _of(self, booth_id: str, epoch: bytes) -> Chain:
        if booth_id not in self.keys:
            raise Refused(RefusalCode.NOT_TRUSTED, f"{booth_id} is no registered booth")
        if len(epoch) != EPOCH_BYTES:
            raise Refused(RefusalCode.WRONG_EPOCH, f"an epoch has {EPOCH_BYTES} bytes, not {len(epoch)}")
        ends = ends_within(self.ended.get(booth_id, {}), epoch)
        lost = self.lost.get(booth_id, Lost())
        return self.standing.get((booth_id, epoch)) or Chain(
            Head(booth_id, epoch), self.keys[booth_id], None, ends, lost.by_epoch.get(epoch, ())
        )

    def learn(self, keys: Mapping[str, Mapping[str, PublicKey]], ended: Mapping[str, Mapping[str, Ended]]) -> None:
        """What the port lists now; chains that stand already go on with it, and with what they learnt themselves."""
        self.keys, self.ended = keys, ended
        for (booth_id, epoch), chain in self.standing.items():
            ends = dict(chain.ends)
            for key, end in ends_within(ended.get(booth_id, {}), epoch).items():
                if key not in ends or end.through_seq < ends[key].through_seq:
                    ends[key] = end
            known = {**chain.device_keys, **keys.get(booth_id, {})}
            self.standing[booth_id, epoch] = replace(chain, device_keys=known, ends=ends)


def _claimed_epoch(envelope: bytes, limit: int) -> bytes:
    """Which chain the envelope says it belongs to. Only chooses the chain against which all of it is verified."""
    payload, _ = read_envelope(envelope, limit)
    try:
        return EventLink.FromString(payload).epoch
    except DecodeError:
        raise Refused(RefusalCode.MALFORMED_EVENT, "the payload is no event") from None
