"""Writes an evidence pack: its files, the manifest with every file's digest, and the signature over the manifest."""

import hashlib
import shutil
import tarfile
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import asdict, dataclass
from importlib.resources import files
from pathlib import Path
from typing import Any

from cryptography import x509
from cryptography.hazmat.primitives import serialization

from edge_agent.domain.counted import counted
from edge_agent.domain.errors import Permanent, StoreFailed
from edge_agent.pack.collect import Contents, Piece
from edge_agent.pack.page import Exporter, Facts, page
from edge_agent.wire.identity import certificate_key, identity_of, key_id
from edge_agent.wire.time_token import authority_pem

MAGIC = "edge-agent evidence pack 1"
_CHUNK = 256 * 1024
_ENDINGS = {
    "image/jpeg": ".jpg",
    "image/png": ".png",
    "image/tiff": ".tif",
    "text/csv": ".csv",
    "application/x-ndjson": ".ndjson",
    "application/xml": ".xml",
    "application/dicom": ".dcm",
}


@dataclass(frozen=True, slots=True)
class Written:
    """What was written."""

    path: Path
    files: int
    size: int
    absent: int
    script_sha256: str

    def as_dict(self) -> dict[str, Any]:
        """For programs."""
        return {**asdict(self), "path": str(self.path)}

    def as_text(self) -> str:
        """For people: what was written, and how it is verified."""
        absent = f", {counted(self.absent, 'piece of evidence')} absent (see ABSENT)" if self.absent else ""
        return (
            f"{self.path}: {counted(self.files, 'file')}, {self.size:,} bytes{absent}\n"
            f"verify with   sh {self.path if self.path.suffix != '.tar' else self.path.stem}/VERIFY.sh\n"
            f"whose SHA-256 is {self.script_sha256} in every pack of this version"
        )


def verify_script() -> bytes:
    """VERIFY.sh: the same bytes in every pack of one version."""
    return (files("edge_agent.pack") / "VERIFY.sh").read_bytes()


def write_pack(contents: Contents, exporter: Exporter, out: Path) -> Written:
    """Write the pack as the folder `out`, or as one file if it ends with `.tar`; whole or not at all.

    Raises Permanent when `out` exists, StoreFailed when it cannot be written.
    """
    if out.exists():
        raise Permanent(f"{out} exists already", "give another name: a pack is never added to")
    partial = out.with_name(f".{out.name}.unfinished")
    with _disk(out):
        shutil.rmtree(partial, ignore_errors=True)
        partial.mkdir(parents=True, mode=0o755)
        try:
            written = _write(contents, exporter, partial, out)
            if out.suffix == ".tar":
                _archive(partial, out)
            else:
                partial.rename(out)
        finally:
            shutil.rmtree(partial, ignore_errors=True)
    return written


def _write(contents: Contents, exporter: Exporter, folder: Path, out: Path) -> Written:
    evidence: dict[bytes, str] = {}
    absent: list[tuple[Piece, str]] = []
    digests: dict[str, str] = {}

    def add(name: str, data: bytes) -> None:
        (folder / name).parent.mkdir(exist_ok=True)
        (folder / name).write_bytes(data)
        digests[name] = hashlib.sha256(data).hexdigest()

    for piece in contents.pieces:
        name = f"evidence/{piece.ref.sha256.hex()}{_ENDINGS.get(piece.ref.media_type, '')}"
        why = piece.place if isinstance(piece.place, str) else _copy(piece.place, folder / name, piece.ref.sha256)
        if why:
            absent.append((piece, why))
        else:
            evidence[piece.ref.sha256] = name
            digests[name] = piece.ref.sha256.hex()
    if absent:
        add("ABSENT", "".join(f"{piece.ref.sha256.hex()} {' '.join(why.split())}\n" for piece, why in absent).encode())
    for proved in contents.events:
        add(f"events/{proved.event.seq:010d}.envelope", proved.envelope)
        for ending, proof in proved.proofs.items():
            add(f"events/{proved.event.seq:010d}.{ending}", proof)
    if contents.stamp is not None:
        add("time/receipt", contents.stamp.note)
        add("time/receipt.tsr", contents.stamp.token.response)
        add("time/authority.pem", authority_pem(contents.stamp.token))
    if contents.witnessed is not None:
        by = [cosignature.witness for cosignature in contents.witnessed.cosignatures]
        add("WITNESSES", contents.witnessed.policy.text(also=by).encode())
    certificates = {_name(certificate): certificate for certificate in (*contents.certificates, exporter.certificate)}
    for name, certificate in certificates.items():
        add(name, certificate.public_bytes(serialization.Encoding.PEM))
    keys = [f"at {exporter.at:%Y-%m-%dT%H:%M:%SZ}", *(f"{keyid} {state}" for keyid, state in contents.keys.items())]
    add("KEYS", "".join(f"{line}\n" for line in keys).encode())
    script = verify_script()
    add("VERIFY.sh", script)
    script_sha256 = digests["VERIFY.sh"]
    add("README.html", page(contents, Facts(evidence, absent, certificates, exporter, script_sha256)))

    lines = [MAGIC, f"booth {contents.booth_id}", f"epoch {contents.epoch.hex()}"]
    lines += [f"signed by {_name(exporter.certificate)}"]
    lines += [f"{digests[name]}  {name}" for name in sorted(digests)]
    manifest = "".join(f"{line}\n" for line in lines).encode()
    (folder / "MANIFEST").write_bytes(manifest)
    (folder / "MANIFEST.sig").write_bytes(exporter.sign(manifest))
    size = sum(path.stat().st_size for path in folder.rglob("*") if path.is_file())
    return Written(out, len(digests) + 2, size, len(absent), script_sha256)


def _copy(source: Path, target: Path, sha256: bytes) -> str:
    """Copy a piece of evidence; why it could not be, '' when it was."""
    digest = hashlib.sha256()
    target.parent.mkdir(exist_ok=True)
    try:
        with source.open("rb") as file, target.open("xb") as copy:
            while chunk := file.read(_CHUNK):
                digest.update(chunk)
                copy.write(chunk)
    except FileNotFoundError:
        return "the file was not there"
    if digest.digest() == sha256:
        return ""
    target.unlink()
    return "the file no longer held the bytes that the event binds"


def _name(certificate: x509.Certificate) -> str:
    identity, key = identity_of(certificate), key_id(certificate_key(certificate))
    return f"certificates/{identity.role}-{identity.name}-{key[:16]}.pem"


def _archive(folder: Path, out: Path) -> None:
    """The same files always make the same archive, in a folder of the archive's name."""
    unfinished = folder / "pack.tar"
    with tarfile.open(unfinished, mode="w", format=tarfile.USTAR_FORMAT) as archive:
        for path in sorted(folder.rglob("*")):
            if path.is_file() and path != unfinished:
                entry = tarfile.TarInfo(f"{out.stem}/{path.relative_to(folder).as_posix()}")
                entry.size, entry.mode = path.stat().st_size, 0o644
                with path.open("rb") as file:
                    archive.addfile(entry, file)
    unfinished.rename(out)


@contextmanager
def _disk(out: Path) -> Iterator[None]:
    try:
        yield
    except OSError as error:
        raise StoreFailed(f"{out}: cannot be written: {error.strerror}", "choose another place for the pack") from None
