"""VERIFY.sh as a stranger runs it: openssl, POSIX utilities, no environment; and packs that somebody changed."""

import shutil
import subprocess
from collections.abc import Iterator
from pathlib import Path

import pytest

from edge_agent.wire.identity import key_id
from tests.unit.pack.port_of_entry import BOOTH, GATEWAY, HELD, INSPECTION, Chain, Place, verify
from tests.unit.pack.small import ENVELOPE, PROOF, RECEIPT, Small, changed, files, flip, refused
from tests.unit.port_gateway.signing import Ledger

BUSYBOX = shutil.which("busybox")


def test_an_inspection_in_the_middle_of_a_chain(tmp_path: Path) -> None:
    place = Place(tmp_path)
    written = place.write(tmp_path / "pack")
    status, said = verify(tmp_path / "pack")
    assert status == 0, said
    assert "VERIFIED: 6 events by spiffe://uslrd/booth/lane-1, 12 proofs, 3 pieces of evidence, 1 absent" in said
    assert f"in the chain of 350 events that {GATEWAY} held at {HELD:%Y-%m-%dT%H:%M:%SZ}" in said
    assert "in the chain of 354 events that the booth signed" in said
    for fact in (
        "plate       ABC120",
        "container   CSQU3054383",
        "seal        ML-1234567",
        INSPECTION,
        "disk was nearly",
    ):
        assert fact in said
    assert "2026-03-01 12:00:00 UTC (clock synchronised)  inspection closed" in said
    assert written.files == len(files(tmp_path / "pack")) == 29
    assert written.size < 70_000


@pytest.mark.parametrize(
    "shell",
    [
        pytest.param(["dash"], marks=pytest.mark.proof),
        pytest.param(["bash", "--posix"], marks=pytest.mark.proof),
    ],
    ids=["dash", "bash"],
)
def test_in_other_shells(pack: Path, shell: list[str]) -> None:
    if shutil.which(shell[0]) is None:
        pytest.skip(f"no {shell[0]} here")
    status, said = verify(pack, sh=shell)
    assert (status, "VERIFIED: 2 events" in said) == (0, True), said
    flip(pack / "README.html", 99)
    assert verify(pack, sh=shell)[0] == 1


@pytest.mark.skipif(not BUSYBOX, reason="no busybox here")
def test_with_nothing_but_busybox_and_openssl(pack: Path, tmp_path: Path) -> None:
    assert BUSYBOX is not None
    tools = tmp_path / "bin"
    tools.mkdir()
    subprocess.run([BUSYBOX, "--install", "-s", str(tools)], check=True)
    (tools / "openssl").symlink_to(shutil.which("openssl") or "")
    status, said = verify(pack, sh=[str(tools / "sh")], path=str(tools))
    assert (status, "VERIFIED: 2 events" in said) == (0, True), said


@pytest.mark.parametrize(
    "awk",
    ["original-awk", pytest.param("gawk", marks=pytest.mark.proof), pytest.param("mawk", marks=pytest.mark.proof)],
)
def test_with_other_awks(pack: Path, tmp_path: Path, awk: str) -> None:
    """macOS has the original one."""
    found = shutil.which(awk)
    if found is None:
        pytest.skip(f"no {awk} here")
    (tmp_path / "bin").mkdir()
    (tmp_path / "bin" / "awk").symlink_to(found)
    status, said = verify(pack, path=f"{tmp_path / 'bin'}:/usr/bin:/bin")
    assert (status, "VERIFIED: 2 events" in said) == (0, True), said


def test_only_keys_that_are_trusted(place: Small, pack: Path) -> None:
    booth, gateway = (key_id(party.key.public_key()) for party in (place.booth, place.gateway))
    status, said = verify(pack, "-k", booth, "-k", gateway)
    assert (status, "Signed by the keys that were given" in said) == (0, True), said
    assert (
        refused(pack, "-k", gateway)
        == f"the manifest is signed by the key {booth}, which is none of those given with -k"
    )
    assert "port.tlog-proof is signed by the key" in refused(pack, "-k", booth)
    assert verify(pack, "-k", "abc")[0] == 2


def test_one_changed_byte_in_any_file(pack: Path) -> None:
    """One file of each kind here; every file and more places among the proofs."""
    names = files(pack)
    assert len(names) == 14
    for kind in ("KEYS", "MANIFEST", "README.html", "certificates/gateway", "events/0000000003.port", "evidence/"):
        name = next(name for name in names if name.startswith(kind))
        data = (pack / name).read_bytes()
        flip(pack / name, len(data) // 2)
        said = refused(pack)
        assert name in said or name == "MANIFEST", said
        (pack / name).write_bytes(data)


def test_a_changed_script_is_seen_by_another_copy(written: tuple[Small, Path], pack: Path) -> None:
    flip(pack / "VERIFY.sh", 500)
    assert refused(pack, script=written[1] / "VERIFY.sh") == "VERIFY.sh: its bytes are not those of the manifest"


def test_missing_and_additional_files(pack: Path) -> None:
    for name in ("MANIFEST", "MANIFEST.sig", "README.html", "events/0000000003.envelope"):
        data = (pack / name).read_bytes()
        (pack / name).unlink()
        assert refused(pack).startswith(f"{name}"), name
        (pack / name).write_bytes(data)
    (pack / "evidence" / "more.jpg").write_bytes(b"x")
    assert refused(pack) == "evidence/more.jpg: does not belong to the pack; the manifest does not name it"
    (pack / "evidence" / "more.jpg").unlink()
    (pack / "link").symlink_to("MANIFEST")
    assert refused(pack) == "./link: neither a file nor a folder"


def test_a_name_with_a_newline_hides_no_file(pack: Path) -> None:
    for name in ("MANIFEST\nMANIFEST.sig", "\nMANIFEST", "README.html "):
        (pack / name).write_bytes(b"x")
        assert "does not belong to the pack" in refused(pack)
        (pack / name).unlink()


def test_the_folder_is_the_one_that_was_named(written: tuple[Small, Path], pack: Path, tmp_path: Path) -> None:
    other = Path(shutil.copytree(pack, tmp_path / "elsewhere" / "pack"))
    flip(pack / "README.html", 99)
    command = ["sh", str(written[1] / "VERIFY.sh"), "pack"]
    found = {"PATH": "/usr/bin:/bin", "CDPATH": str(other.parent)}
    assert subprocess.run(command, cwd=tmp_path, env=found, capture_output=True, check=False).returncode == 1


def test_the_only_event_of_a_chain(tmp_path: Path) -> None:
    """Its proof has no hash: the event is the root."""
    place = Small(tmp_path)
    ledger = Ledger(BOOTH, place.booth.key)
    place.chain = Chain(ledger, tmp_path / "kept", place.gateway, checkpoint_size=1, receipt_size=1)
    status, said = verify(place.pack(event=1))
    assert (status, "VERIFIED: 1 event by" in said, "2 proofs" in said) == (0, True, True), said


@pytest.mark.proof
def test_every_file_missing_and_of_another_pack(pack: Path, tmp_path: Path) -> None:
    theirs = Small(tmp_path / "other").pack()
    for name in files(pack):
        if name == "VERIFY.sh":
            continue
        data = (pack / name).read_bytes()
        (pack / name).unlink()
        assert refused(pack).startswith(f"{name}"), name
        (pack / name).write_bytes(data)
        if name in files(theirs) and (theirs / name).read_bytes() != data:
            shutil.copy(theirs / name, pack / name)
            assert refused(pack)
            (pack / name).write_bytes(data)


def test_files_of_another_pack(pack: Path, tmp_path: Path) -> None:
    theirs = Small(tmp_path / "other").pack()
    for name in ("MANIFEST", ENVELOPE):
        data = (pack / name).read_bytes()
        shutil.copy(theirs / name, pack / name)
        assert refused(pack)
        (pack / name).write_bytes(data)


@pytest.mark.proof
@pytest.mark.timeout(900)
def test_bytes_of_every_file(written: tuple[Small, Path], pack: Path) -> None:
    for name in files(pack):
        if name == "VERIFY.sh":
            continue
        data = (pack / name).read_bytes()
        for where in _places(len(data)):
            flip(pack / name, where, where % 8)
            assert refused(pack)
            (pack / name).write_bytes(data)


@pytest.mark.proof
@pytest.mark.timeout(900)
def test_bytes_of_proofs_and_envelopes_behind_a_new_manifest(place: Small, pack: Path) -> None:
    for name in (ENVELOPE, PROOF, RECEIPT):
        for where in range(3, (pack / name).stat().st_size, 37):
            assert changed(place, pack, name, where, where % 8)


def _places(size: int) -> Iterator[int]:
    """All of a small file, and eight of a larger one."""
    yield from range(0, size, 1 if size < 100 else size // 8)
