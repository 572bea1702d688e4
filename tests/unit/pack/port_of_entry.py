"""A booth's chain in memory with one inspection in its middle, what ledger and port keep of it, and forgers' hands."""

import hashlib
import subprocess
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from datetime import UTC, datetime
from pathlib import Path

from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.x509.oid import NameOID

from edge_agent.domain import event as domain
from edge_agent.domain.evidence import Evidence, EvidenceKind
from edge_agent.domain.inspection import Complete, Inspection, ScanJoin, ScanSeen, SealSeen, Voted, VotedCode
from edge_agent.domain.joining import Belonging, Carrier, KnownBy
from edge_agent.domain.observation import CharacterRead, RadiationKind
from edge_agent.pack.collect import Cosigned, KnownEnds, collect_inspection
from edge_agent.pack.page import Exporter
from edge_agent.pack.write import Written, write_pack
from edge_agent.wire.checkpoint import Checkpoint, origin_of, sign_checkpoint
from edge_agent.wire.envelope import envelope_sha256, read_envelope
from edge_agent.wire.time_token import TimeToken
from edge_agent.wire.tree import TILE_LEVELS, Tree, leaf_sha256
from edge_agent.wire.v1alpha1.event_pb2 import Event
from tests.unit.inspection.script import instant, occupancy, scan
from tests.unit.port_gateway.signing import Ledger, Party

INSPECTION = "3f8a5d2e-0c41-4a6e-9d57-1b2c3d4e5f60"
BOOTH, GATEWAY = "spiffe://uslrd/booth/lane-1", "spiffe://uslrd/gateway/main"
HELD = datetime(2026, 11, 22, 9, 0, 0, tzinfo=UTC)
FRAME = Evidence(EvidenceKind.FRAME, "image/jpeg", b"\xff\xd8\xff\xe0" + bytes(range(200)))
CROP = Evidence(EvidenceKind.PLATE_CROP, "image/jpeg", b"\xff\xd8\xff\xe0 crop")
RAW = Evidence(EvidenceKind.RAW_CAPTURE, "application/x-ndjson", b'{"id": "1"}\n')
SCAN = Evidence(EvidenceKind.SCAN, "application/dicom", b"DICM" + bytes(500))


@dataclass
class Chain:
    """`Source` of edge_agent/pack/collect.py over a ledger in memory."""

    ledger: Ledger
    folder: Path
    gateway: Party
    evidence_kept: tuple[Evidence, ...] = (FRAME, CROP, SCAN)
    checkpoint_size: int = 0
    receipt_size: int = 0
    cosigned: Cosigned | None = None
    ends: KnownEnds = field(default_factory=lambda: KnownEnds({}, complete=False))
    levels: dict[int, list[bytes]] = field(default_factory=dict)

    def __post_init__(self) -> None:
        self.booth_id, self.epoch = self.ledger.booth_id, self.ledger.epoch
        leaves = [envelope_sha256(envelope) for envelope in self.ledger.envelopes]
        tiles = Tree().extended(leaves)[1]
        self.levels = {0: [leaf_sha256(leaf) for leaf in leaves]}
        self.levels |= {level: [t.sha256 for t in tiles if t.level == level] for level in TILE_LEVELS}
        self.folder.mkdir(exist_ok=True)
        for evidence in self.evidence_kept:
            (self.folder / evidence.sha256.hex()).write_bytes(evidence.data)

    def nodes(self, level: int, first: int, count: int) -> Sequence[bytes]:
        return self.levels[level][first : first + count]

    def find(self, needle: bytes) -> Sequence[int]:
        return [seq for seq, envelope in enumerate(self.ledger.envelopes, 1) if needle in envelope]

    def envelope(self, seq: int) -> bytes | None:
        return self.ledger.envelopes[seq - 1] if seq <= len(self.ledger.envelopes) else None

    def session(self, seq: int) -> bytes | None:
        for envelope in reversed(self.ledger.envelopes[:seq]):
            if Event.FromString(read_envelope(envelope)[0]).WhichOneof("body") == "session_opened":
                return envelope
        return None

    def root(self, size: int) -> bytes:
        return Tree().extended(envelope_sha256(envelope) for envelope in self.ledger.envelopes[:size])[0].root()

    def checkpoint(self, seq: int) -> bytes | None:
        if self.checkpoint_size < seq:
            return None
        origin, key = origin_of(self.booth_id, self.epoch), self.ledger.session_key
        checkpoint = Checkpoint(origin, self.checkpoint_size, self.root(self.checkpoint_size))
        return sign_checkpoint(checkpoint, origin, key.public_key(), key.sign)

    def receipt(self, seq: int) -> tuple[bytes, bytes] | None:
        if self.receipt_size < seq:
            return None
        held = Checkpoint(origin_of(self.booth_id, self.epoch), self.receipt_size, self.root(self.receipt_size), HELD)
        note = sign_checkpoint(held, self.gateway.identity, self.gateway.key.public_key(), by(self.gateway.key))
        return note, self.gateway.certificate.public_bytes(serialization.Encoding.DER)

    def witnessed(self, seq: int) -> Cosigned | None:
        return self.cosigned

    def lost(self, size: int) -> int:
        return 0

    def time_token(self) -> TimeToken | None:
        return None

    def key_ends(self) -> KnownEnds:
        return self.ends

    def evidence(self, sha256: bytes) -> Path | str:
        path = self.folder / sha256.hex()
        return path if path.exists() else "shed: the disk was nearly full"


def by(key: ec.EllipticCurvePrivateKey) -> Callable[[bytes], bytes]:
    return lambda message: key.sign(message, ec.ECDSA(hashes.SHA256()))


def certificate_for(key: ec.EllipticCurvePrivateKey, identity: str) -> bytes:
    """A certificate of another identity for a key, in PEM form."""
    name = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, "forged")])
    builder = x509.CertificateBuilder().subject_name(name).issuer_name(name).public_key(key.public_key())
    builder = builder.serial_number(1).not_valid_before(HELD).not_valid_after(HELD.replace(year=2027))
    san = x509.SubjectAlternativeName([x509.UniformResourceIdentifier(identity)])
    certificate = builder.add_extension(san, critical=False).sign(key, hashes.SHA256())
    return certificate.public_bytes(serialization.Encoding.PEM)


def inspected(ledger: Ledger) -> None:
    """One vehicle: a scan that came before it, its record, and a seal that came too late; between other events."""
    ledger.grow(300)
    at = instant(3)
    seen = ScanSeen(scan("s1", "ABC120"), "x-ray", at, ScanJoin.TIME, (SCAN.ref,), "")
    ledger.add(domain.ScanReceived("", "1", seen), evidence=(SCAN.ref,))
    ledger.grow(3)
    ledger.add(domain.InspectionOpened(INSPECTION, "1", "presence"))
    ledger.add(domain.AlarmRaised(INSPECTION, "1", "portal", RadiationKind.GAMMA, (120, 130), b"GA000120"))
    vote = Voted("ABC120", 0.8, (CharacterRead("0", 0.6, (("O", 0.39),)),), 3, 1, ("ABC12O",), "front")
    record = Inspection(
        INSPECTION,
        "1",
        instant(1),
        instant(9),
        Complete(),
        plate=vote,
        container_codes=(VotedCode(Voted("CSQU3054383", 0.9, (), 4, 0, (), "side"), True, "22G1"),),
        seals=(SealSeen("ML-1234567", "Code 128", "scanner", at, ON),),
        radiation=(occupancy(7, gamma_alarm=True),),
        scans=(seen,),
        observations=12,
    )
    ledger.add(domain.InspectionClosed(record), evidence=(FRAME.ref, CROP.ref, RAW.ref))
    ledger.grow(5)
    ledger.open_session()
    ledger.grow(40)


ON = Belonging(Carrier.CONTAINER, "CSQU3054383", KnownBy.ONLY)


@dataclass
class Place:
    """A folder with the parties of a pack."""

    folder: Path

    def __post_init__(self) -> None:
        self.booth = Party(self.folder / "booth", BOOTH)
        self.gateway = Party(self.folder / "gateway", GATEWAY, ("localhost",))
        self.ledger = Ledger(BOOTH, self.booth.key)
        inspected(self.ledger)
        size = len(self.ledger.envelopes)
        self.chain = Chain(self.ledger, self.folder / "kept", self.gateway)
        self.chain.checkpoint_size, self.chain.receipt_size = size, size - 4

    def exporter(self, party: Party | None = None) -> Exporter:
        party = party or self.booth
        return Exporter(party.certificate, by(party.key), "0.1-test", HELD)

    def pack(self, name: str = "pack") -> Path:
        out = self.folder / name
        self.write(out)
        return out

    def write(self, out: Path, exporter: Party | None = None) -> Written:
        contents = collect_inspection(self.chain, INSPECTION, [self.booth.certificate])
        return write_pack(contents, self.exporter(exporter), out)

    def sign_again(self, pack: Path, exporter: Party | None = None) -> None:
        """With the booth's key, or another exporter's."""
        sign_again(pack, exporter or self.booth)


def sign_again(pack: Path, party: Party) -> None:
    """What a forger with the exporter's key could do: a manifest of the files as they are now, signed."""
    head = (pack / "MANIFEST").read_text().splitlines()[:4]
    names = sorted(p.relative_to(pack).as_posix() for p in pack.rglob("*") if p.is_file())
    files = [name for name in names if name not in ("MANIFEST", "MANIFEST.sig")]
    lines = head + [f"{hashlib.sha256((pack / name).read_bytes()).hexdigest()}  {name}" for name in files]
    manifest = "".join(f"{line}\n" for line in lines).encode()
    (pack / "MANIFEST").write_bytes(manifest)
    (pack / "MANIFEST.sig").write_bytes(party.key.sign(manifest, ec.ECDSA(hashes.SHA256())))


def verify(
    pack: Path,
    *options: str,
    sh: Sequence[str] = ("sh",),
    script: Path | None = None,
    path: str = "/usr/bin:/bin",
) -> tuple[int, str]:
    """Run the pack's script as a stranger would: no environment but a path. The status and what it said."""
    command = [*sh, str(script or pack / "VERIFY.sh"), *options, *([str(pack)] if script else [])]
    done = subprocess.run(command, capture_output=True, env={"PATH": path}, cwd="/", timeout=100, check=False)
    return done.returncode, done.stdout.decode() + done.stderr.decode()
