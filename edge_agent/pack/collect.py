"""What belongs into an evidence pack: events, who vouches for their keys, proofs, certificates and evidence.

    inspection ─► its events ─► the sessions that signed them ─► device certificates
                      │                                          checkpoint of the booth ─┐
                      └─► evidence, whole or said to be absent   receipt of the port ─────┤
                                                                 receipt with cosignatures ┴─► inclusion proofs

Everything is verified on the way: what would not verify is never written.
"""

import re
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from pathlib import Path
from typing import Protocol

from cryptography import x509

from edge_agent.domain.errors import EdgeAgentError, IdentityInvalid, Permanent, ProofFault, ProofInvalid
from edge_agent.wire.chain import Head
from edge_agent.wire.checkpoint import (
    Checkpoint,
    open_checkpoint,
    origin_of,
    read_checkpoint,
    split_note,
    write_proof,
)
from edge_agent.wire.cosignature import Cosignature, VerifierKey, cosignatures
from edge_agent.wire.envelope import envelope_sha256, read_envelope
from edge_agent.wire.identity import PublicKey, certificate_key, identity_of, key_id, load_public_key
from edge_agent.wire.refused import RefusalCode, Refused
from edge_agent.wire.time_token import TimeToken
from edge_agent.wire.tree import Nodes, inclusion_proof, verify_inclusion
from edge_agent.wire.v1alpha1.event_pb2 import Event, EvidenceRef
from edge_agent.wire.verify import Chain, KeyEnd, Session, counts_still, verify_event
from edge_agent.wire.witness_policy import Policy

_UUID = re.compile(r"[0-9a-f]{8}(-[0-9a-f]{4}){3}-[0-9a-f]{12}")
_GIVE = "give the UUID by which its events name it, or --seq for a single event"
_MIXED_UP = "the store was mixed up: keep it"
CHECKPOINT, RECEIPT, WITNESSED = "tlog-proof", "port.tlog-proof", "witnessed.tlog-proof"


class NotFound(Permanent):
    """There is nothing of that name to be exported."""


@dataclass(frozen=True, slots=True)
class KnownEnds:
    """Device keys that count no more in this chain, by key id. `complete`: any other is known to be in force."""

    ends: Mapping[str, KeyEnd]
    complete: bool

    def state(self, keyid: str) -> str:
        """As in the pack's file KEYS."""
        end = self.ends.get(keyid)
        if end is not None:
            return f"{end.code.name} {end.through_seq}"
        return "in-force" if self.complete else "not-known"


@dataclass(frozen=True, slots=True)
class Cosigned:
    """A receipt with cosignatures by `witnesses` at its end, its gateway's certificate (DER), and the port's policy."""

    note: bytes
    certificate: bytes
    witnesses: tuple[VerifierKey, ...]
    policy: Policy


class Source(Nodes, Protocol):
    """One chain, as a ledger or an inbox keeps it."""

    @property
    def booth_id(self) -> str: ...

    @property
    def epoch(self) -> bytes: ...

    def find(self, needle: bytes) -> Sequence[int]:
        """The sequences of all events whose envelopes hold these bytes."""
        ...

    def envelope(self, seq: int) -> bytes | None:
        """The envelope at `seq`, None if it is not held."""
        ...

    def session(self, seq: int) -> bytes | None:
        """The envelope of the SessionOpened in force at `seq`: that event itself, or the last before it."""
        ...

    def checkpoint(self, seq: int) -> bytes | None:
        """A checkpoint by the booth of `seq` events or more, as few more as there is."""
        ...

    def receipt(self, seq: int) -> tuple[bytes, bytes] | None:
        """A receipt by the port for `seq` events or more, as few more as there is, and its gateway's certificate."""
        ...

    def witnessed(self, seq: int) -> Cosigned | None:
        """A receipt for `seq` events or more that witnesses cosigned."""
        ...

    def time_token(self) -> TimeToken | None:
        """The time token on the receipt that was given last, if it has one."""
        ...

    def key_ends(self) -> KnownEnds:
        """What is known of the end of the booth's device keys."""
        ...

    def lost(self, size: int) -> int:
        """How many of the chain's first `size` events were lost with a damaged ledger."""
        ...

    def evidence(self, sha256: bytes) -> Path | str:
        """The file with these bytes, or why there is none."""
        ...


@dataclass(frozen=True, slots=True)
class Proved:
    """An event of the pack. `proofs` by the ending of their file's name; a session that was trimmed has none."""

    event: Event
    envelope: bytes
    proofs: dict[str, bytes]


@dataclass(frozen=True, slots=True)
class Piece:
    """A piece of evidence that events of the pack bind. `place`: its file, or why it is absent."""

    ref: EvidenceRef
    events: tuple[int, ...]
    place: Path | str


@dataclass(frozen=True, slots=True)
class Stamp:
    """An authority beside booth and port saw the receipt `note` at this time (UTC)."""

    at: datetime
    note: bytes
    token: TimeToken


@dataclass(frozen=True, slots=True)
class Witnessed:
    """Who cosigned which receipt. `policy`: the port's, which is also that of the pack."""

    receipt: Checkpoint
    cosignatures: tuple[Cosignature, ...]
    policy: Policy


@dataclass(frozen=True, slots=True)
class Contents:
    """A pack before it is written. `inspection_id` is '' when it is a single event's."""

    booth_id: str
    epoch: bytes
    inspection_id: str
    events: tuple[Proved, ...]
    pieces: tuple[Piece, ...]
    certificates: tuple[x509.Certificate, ...]
    checkpoint: Checkpoint | None
    receipt: Checkpoint | None
    keys: Mapping[str, str]  # the state of each device key by key id, see KnownEnds.state
    stamp: Stamp | None = None
    witnessed: Witnessed | None = None
    lost: int = 0  # of the events that the receipt covers


def collect_inspection(source: Source, inspection_id: str, certificates: Sequence[x509.Certificate]) -> Contents:
    """Everything about one inspection.

    `certificates`: all that the booth ever had; those needed are taken. Raises NotFound, Refused, ProofInvalid,
    IdentityInvalid, TimeTokenInvalid.
    """
    if not _UUID.fullmatch(inspection_id):
        raise NotFound(f"{inspection_id[:100]!r} is no inspection's id", _GIVE)
    seqs = set(source.find(inspection_id.encode()))
    closed = [event for event in (_read(source, seq) for seq in seqs) if _closes(event, inspection_id)]
    if not closed:
        raise NotFound(f"no inspection {inspection_id} was closed in this chain", _GIVE)
    # A scan that came before its vehicle names no inspection: the record names the scan's files.
    for scan in closed[0].inspection_closed.inspection.scans:
        for file in scan.files:
            if len(file.sha256) == 32:  # nothing else is verified of it, and no bytes are found everywhere
                seqs.update(source.find(file.sha256))
    seqs.update(_deletions(source, [_read(source, seq) for seq in seqs]))
    return _Collector(source, certificates).collect(sorted(seqs), inspection_id)


def collect_event(source: Source, seq: int, certificates: Sequence[x509.Certificate]) -> Contents:
    """A single event; see `collect_inspection`."""
    if source.envelope(seq) is None:
        raise NotFound(f"no event with sequence {seq} is held", "give a sequence that is still kept here")
    return _Collector(source, certificates).collect([seq], "")


def _read(source: Source, seq: int) -> Event:
    return Event.FromString(read_envelope(source.envelope(seq) or b"")[0])


def _deletions(source: Source, events: Sequence[Event]) -> Iterator[int]:
    """Where the chain itself says that evidence of these events was deleted."""
    for sha256 in {ref.sha256 for event in events for ref in event.evidence}:
        if isinstance(source.evidence(sha256), str):
            yield from (seq for seq in source.find(sha256) if sha256 in _read(source, seq).evidence_deleted.sha256)


def _closes(event: Event, inspection_id: str) -> bool:
    return event.WhichOneof("body") == "inspection_closed" and event.inspection_closed.inspection.id == inspection_id


def _witnessed(cosigned: Cosigned, receipt: Checkpoint | None) -> Witnessed:
    """Raises ProofInvalid unless every cosignature verifies."""
    text, lines = split_note(cosigned.note)
    end = cosigned.note[len(text) + 1 :]
    found = cosignatures(text, end, cosigned.witnesses)
    if receipt is None or receipt.held is None or not found or len(found) != len(lines) - 1:
        raise ProofInvalid(
            ProofFault.NOTE_NOT_SIGNED, "a cosigned receipt, and not by the witnesses beside it", _MIXED_UP
        )
    return Witnessed(receipt, tuple(found), cosigned.policy)


def _keyid(envelope: bytes) -> str:
    return read_envelope(envelope)[1].keyid


class _Collector:
    def __init__(self, source: Source, certificates: Sequence[x509.Certificate]) -> None:
        self._source = source
        self._known = {
            key_id(certificate_key(certificate)): certificate
            for certificate in certificates
            if str(identity_of(certificate)) == source.booth_id
        }
        self._device_keys = {keyid: certificate_key(certificate) for keyid, certificate in self._known.items()}
        self._sessions: dict[int, tuple[bytes, Session]] = {}
        self._ends = source.key_ends()

    def collect(self, seqs: Sequence[int], inspection_id: str) -> Contents:
        source = self._source
        envelopes: dict[int, bytes] = {}
        for seq in seqs:
            opened = self._session(seq)
            envelopes[opened] = self._sessions[opened][0]
            envelopes[seq] = source.envelope(seq) or b""
        last = max(envelopes)
        checkpoint, received, cosigned = source.checkpoint(last), source.receipt(last), source.witnessed(last)
        if checkpoint is not None:
            opened = self._session(read_checkpoint(checkpoint).size)
            envelopes[opened] = self._sessions[opened][0]
        said = {
            CHECKPOINT: (checkpoint, self._opened(checkpoint)),
            RECEIPT: (None, None) if received is None else self._received(*received),
            WITNESSED: (None, None) if cosigned is None else self._received(cosigned.note, cosigned.certificate),
        }
        receipt = said[RECEIPT][1]
        gateways = [each.certificate for each in (cosigned,) if each] + [each[1] for each in (received,) if each]
        events = tuple(self._proved(seq, envelopes[seq], said) for seq in sorted(envelopes))
        keyids = {_keyid(envelope) for envelope, _ in self._sessions.values()}
        certificates = [self._known[keyid] for keyid in sorted(keyids)]
        return Contents(
            source.booth_id,
            source.epoch,
            inspection_id,
            events,
            tuple(self._pieces(events)),
            (*certificates, *(x509.load_der_x509_certificate(der) for der in gateways)),
            said[CHECKPOINT][1],
            receipt,
            {keyid: self._ends.state(keyid) for keyid in sorted(keyids)},
            None if received is None else self._stamped(received[0]),
            None if cosigned is None else _witnessed(cosigned, said[WITNESSED][1]),
            0 if receipt is None else source.lost(receipt.size),
        )

    def _stamped(self, note: bytes) -> Stamp | None:
        token = self._source.time_token()
        return None if token is None else Stamp(token.verified(note), note, token)

    def _session(self, seq: int) -> int:
        """The sequence of the session in force at `seq`, verified by the device key that opened it."""
        envelope = self._source.session(seq)
        if envelope is None:
            raise NotFound(f"the session that signed event {seq} is not held", "export at the port, which keeps it")
        keyid = _keyid(envelope)
        if keyid not in self._known:
            raise IdentityInvalid(
                f"event {seq} rests on the device key {keyid}, of which no certificate is here",
                "give that certificate (of a former key, it is still registered at the port), or export at the port",
            )
        event, _ = verify_event(self._chain(None), envelope)
        session = Session.of(load_public_key(event.session_opened.public_key), keyid)
        self._sessions[event.seq] = (envelope, session)
        return event.seq

    def _chain(self, session: Session | None) -> Chain:
        return Chain(Head(self._source.booth_id, self._source.epoch), self._device_keys, session, self._ends.ends)

    def _opened(self, note: bytes | None) -> Checkpoint | None:
        if note is None:
            return None
        session = self._sessions[self._session(read_checkpoint(note).size)][1]
        checkpoint = self._of_this_chain(note, origin_of(self._source.booth_id, self._source.epoch), session.key)
        if checkpoint.held is not None:
            raise ProofInvalid(ProofFault.WRONG_KIND, "a booth's checkpoint says since when a port holds it", _MIXED_UP)
        return checkpoint

    def _received(self, note: bytes, certificate: bytes) -> tuple[bytes, Checkpoint]:
        gateway = x509.load_der_x509_certificate(certificate)
        return note, self._of_this_chain(note, str(identity_of(gateway)), certificate_key(gateway))

    def _of_this_chain(self, note: bytes, name: str, key: PublicKey) -> Checkpoint:
        checkpoint = open_checkpoint(note, name, key)
        if checkpoint.origin != origin_of(self._source.booth_id, self._source.epoch):
            raise ProofInvalid(ProofFault.WRONG_ORIGIN, f"a checkpoint of {checkpoint.origin}", _MIXED_UP)
        return checkpoint

    def _proved(self, seq: int, envelope: bytes, said: dict[str, tuple[bytes | None, Checkpoint | None]]) -> Proved:
        session = self._sessions[self._session(seq)][1]
        event, _ = verify_event(self._chain(None if seq in self._sessions else session), envelope)
        counts_still(self._chain(session), session, seq)
        opens, by_device = event.WhichOneof("body") == "session_opened", _keyid(envelope) in self._known
        if event.seq != seq or opens is not by_device:
            raise Refused(RefusalCode.WRONG_SIGNER, f"held at sequence {seq} is event {event.seq}", seq)
        if self._source.envelope(seq) is None:  # of a session that was trimmed, only the envelope was kept
            return Proved(event, envelope, {})
        proofs = {}
        for ending, (note, checkpoint) in said.items():
            if note is not None and checkpoint is not None and checkpoint.size >= seq:
                proof = inclusion_proof(self._source, seq - 1, checkpoint.size)
                verify_inclusion(envelope_sha256(envelope), seq - 1, checkpoint.size, proof, checkpoint.root)
                proofs[ending] = write_proof(seq - 1, proof, note)
        if not proofs:
            raise NotFound(
                f"no checkpoint and no receipt covers event {seq} yet",
                "start the agent of this version once: it signs a checkpoint with every event",
            )
        return Proved(event, envelope, proofs)

    def _pieces(self, events: Sequence[Proved]) -> list[Piece]:
        bound: dict[bytes, list[tuple[int, EvidenceRef]]] = {}
        for proved in events:
            for ref in proved.event.evidence:
                bound.setdefault(ref.sha256, []).append((proved.event.seq, ref))
        pieces = []
        for sha256, by in bound.items():
            try:
                place = self._source.evidence(sha256)
            except EdgeAgentError as error:
                place = error.wrong
            pieces.append(Piece(by[0][1], tuple(seq for seq, _ in by), place))
        return pieces
