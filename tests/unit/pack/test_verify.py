"""VERIFY.sh as a stranger runs it: openssl, POSIX utilities, no environment; and packs that somebody changed."""

import shutil
import subprocess
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from edge_agent.domain import event as domain
from edge_agent.pack.collect import KnownEnds, collect_event
from edge_agent.pack.write import write_pack
from edge_agent.wire.envelope import read_envelope, write_envelope
from edge_agent.wire.identity import key_id
from edge_agent.wire.refused import RefusalCode, Refused
from edge_agent.wire.verify import KeyEnd
from tests.unit.pack.port_of_entry import BOOTH, FRAME, GATEWAY, HELD, INSPECTION, Chain, Place, certificate_for, verify
from tests.unit.port_gateway.signing import Ledger, Party, device_event, sign

BUSYBOX = shutil.which("busybox")


class Small(Place):
    """A chain of nine events, and a pack of one of them, so that a whole verification takes a moment."""

    def __post_init__(self) -> None:
        self.booth = Party(self.folder / "booth", BOOTH)
        self.gateway = Party(self.folder / "gateway", GATEWAY, ("localhost",))
        self.of(Ledger(BOOTH, self.booth.key))

    def of(self, ledger: Ledger) -> None:
        ledger.grow(1)
        ledger.add(device_event(), evidence=(FRAME.ref,))
        ledger.grow(6)
        self.ledger = ledger
        self.chain = Chain(ledger, self.folder / "kept", self.gateway, checkpoint_size=9, receipt_size=7)

    def pack(self, name: str = "pack", event: int = 3, exporter: Party | None = None) -> Path:
        out = self.folder / name
        write_pack(collect_event(self.chain, event, [self.booth.certificate]), self.exporter(exporter), out)
        return out


@pytest.fixture(scope="module")
def written(tmp_path_factory: pytest.TempPathFactory) -> tuple[Small, Path]:
    place = Small(tmp_path_factory.mktemp("small"))
    return place, place.pack()


@pytest.fixture
def place(written: tuple[Small, Path]) -> Small:
    return written[0]


@pytest.fixture(scope="module")
def without_receipt(tmp_path_factory: pytest.TempPathFactory) -> tuple[Small, Path]:
    """Half of the proofs, for what is looked at behind them."""
    place = Small(tmp_path_factory.mktemp("lean"))
    place.chain.receipt_size = 0
    return place, place.pack()


@pytest.fixture
def lean(without_receipt: tuple[Small, Path], tmp_path: Path) -> tuple[Small, Path]:
    """A copy to be changed."""
    return without_receipt[0], Path(shutil.copytree(without_receipt[1], tmp_path / "lean"))


@pytest.fixture
def pack(written: tuple[Small, Path], tmp_path: Path) -> Path:
    """A copy to be changed."""
    return Path(shutil.copytree(written[1], tmp_path / "pack"))


def files(pack: Path) -> list[str]:
    return sorted(path.relative_to(pack).as_posix() for path in pack.rglob("*") if path.is_file())


def flip(path: Path, place: int, bit: int = 0) -> None:
    data = bytearray(path.read_bytes())
    data[place] ^= 1 << bit
    path.write_bytes(data)


def refused(pack: Path, *options: str, script: Path | None = None) -> str:
    """The sentence with which it ends."""
    status, said = verify(pack, *options, script=script)
    last = said.splitlines()[-1]
    assert (status, last[:8]) == (1, "FAILED: "), said
    assert "VERIFIED" not in said
    return last.removeprefix("FAILED: ")


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
    assert (status, "VERIFIED: 1 events" in said, "2 proofs" in said) == (0, True, True), said


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


# --- with a manifest that was signed anew: what does not rest on the manifest ----------------------------------------
ENVELOPE, PROOF, RECEIPT = (f"events/0000000003.{end}" for end in ("envelope", "tlog-proof", "port.tlog-proof"))


def changed(place: Small, pack: Path, name: str, where: int, bit: int = 0) -> str:
    data = (pack / name).read_bytes()
    flip(pack / name, where, bit)
    place.sign_again(pack)
    said = refused(pack)
    (pack / name).write_bytes(data)
    return said


def test_a_changed_envelope(place: Small, pack: Path) -> None:
    size = (pack / ENVELOPE).stat().st_size
    for where in (130, size - 80):
        assert changed(place, pack, ENVELOPE, where).startswith(f"{ENVELOPE}: ")
    session = "events/0000000001.envelope"
    assert "its signature is not one by the key of certificates/booth-lane-1" in changed(place, pack, session, 150)


@pytest.mark.parametrize(
    "where",
    [
        {PROOF: [2, 11], RECEIPT: [11]},
        pytest.param({PROOF: [1, 7, 8, 9], RECEIPT: [1, 2, 7, 8, 9, 10]}, marks=pytest.mark.proof),
    ],
    ids=["hash and signatures", "every other line"],
)
def test_a_changed_proof(place: Small, pack: Path, where: dict[str, list[int]]) -> None:
    """In each kind of line: the index, a hash, the origin, the size, the root, the time, the signature."""
    for name, lines in where.items():
        text = (pack / name).read_bytes()
        starts = [0, *(at + 1 for at, byte in enumerate(text[:-1]) if byte == 10)]
        assert len(starts) == 12
        for line in lines:
            end = (*starts, len(text))[line + 1]
            at = end - 2 if line in (1, 8) else end - 4
            assert changed(place, pack, name, at).startswith(f"{name}: "), line


def test_changed_evidence_and_what_is_said_of_it(lean: tuple[Small, Path]) -> None:
    place, pack = lean
    [name] = [name for name in files(pack) if name.startswith("evidence/")]
    assert changed(place, pack, name, 9) == f"{name}: its bytes are not those that its name states"
    (pack / name).unlink()
    place.sign_again(pack)
    assert "neither in the pack nor said to be absent" in refused(pack)
    (pack / "ABSENT").write_text(f"{FRAME.sha256.hex()} lost\n{bytes(32).hex()} lost\n")
    place.sign_again(pack)
    assert refused(pack) == f"ABSENT: no event in the pack binds {bytes(32).hex()}"


def test_what_a_stranger_wrote_commands_no_terminal(place: Small, pack: Path) -> None:
    proof = (pack / RECEIPT).read_bytes()
    (pack / RECEIPT).write_bytes(proof.replace(b"/gateway/main ", b"/gateway/\x1b[31m\xe9 "))
    place.sign_again(pack)
    said = refused(pack)
    assert "spiffe://uslrd/gateway/?[31m?" in said
    assert said.isprintable()


# --- keys that ended --------------------------------------------------------------------------------------------------


def _ended(place: Small, code: RefusalCode, through: int, complete: bool = True) -> None:
    place.chain.ends = KnownEnds({key_id(place.booth.key.public_key()): KeyEnd(through, code)}, complete)


@pytest.mark.parametrize(
    ("code", "said"),
    [
        (
            RefusalCode.KEY_REVOKED,
            "WAS REVOKED later; what it signed counts through event 5, and nothing above is beyond",
        ),
        (
            RefusalCode.KEY_RETIRED,
            "was handed over to the next key by event 5 (spiffe://uslrd/gateway/main, 2026-11-22",
        ),
    ],
)
def test_a_key_that_ended_later(tmp_path: Path, code: RefusalCode, said: str) -> None:
    place = Small(tmp_path)
    place.chain.checkpoint_size = 0
    _ended(place, code, 5)
    pack = place.pack(exporter=place.gateway)
    status, out = verify(pack)
    assert (status, said in out) == (0, True), out
    page = (pack / "README.html").read_text()
    assert ("A key that signed here was revoked later." in page) is (code is RefusalCode.KEY_REVOKED)


def test_what_a_key_signed_beyond_its_end_does_not_count(place: Small, pack: Path, tmp_path: Path) -> None:
    key = key_id(place.booth.key.public_key())
    assert (pack / "KEYS").read_text() == f"at {HELD:%Y-%m-%dT%H:%M:%SZ}\n{key} not-known\n"
    for line, said in (
        (f"{key} KEY_REVOKED 2", f"{ENVELOPE}: does not count: the device key {key} behind it ended: KEY_REVOKED"),
        (f"{key} KEY_REVOKED 0", f"events/0000000001.envelope: does not count: the device key {key} behind it"),
        (f"{'0' * 64} in-force", f"KEYS: does not name the key {key}, which signed"),
        (f"{key} fine", "KEYS: a line that does not state what is known of a key"),
        (f"{key} in-force 3", "KEYS: a line that does not state what is known of a key"),
    ):
        (pack / "KEYS").write_text(f"at 2026-11-22T09:00:00Z\n{line}\n")
        place.sign_again(pack)
        assert refused(pack).startswith(said)
    other = Small(tmp_path / "other")
    _ended(other, RefusalCode.KEY_REVOKED, 2)
    with pytest.raises(Refused, match="KEY_REVOKED"):
        other.pack()


def test_a_booth_cannot_know_and_the_port_does(lean: tuple[Small, Path], tmp_path: Path) -> None:
    place, by_booth = lean
    status, said = verify(by_booth)
    assert (status, "may have been revoked: the booth cannot know, ask the port" in said) == (0, True)
    assert "The port keeps the list of revoked keys: ask it" in (by_booth / "README.html").read_text()
    (by_booth / "KEYS").write_text(f"at 2026-11-22T09:00:00Z\n{key_id(place.booth.key.public_key())} in-force\n")
    place.sign_again(by_booth)
    assert "had not been revoked (spiffe://uslrd/booth/lane-1, 2026-11-22T09:00:00Z)" in verify(by_booth)[1]


def test_a_proof_of_another_event(place: Small, pack: Path) -> None:
    shutil.copy(pack / "events/0000000001.tlog-proof", pack / PROOF)
    place.sign_again(pack)
    assert refused(pack) == f"{PROOF}: is the proof of another event than 3"
    (pack / PROOF).unlink()
    (pack / RECEIPT).unlink()
    place.sign_again(pack)
    assert refused(pack) == f"{ENVELOPE}: there is no proof that it is in the chain"


def test_a_manifest_of_another_signer(place: Small, pack: Path, tmp_path: Path) -> None:
    stranger = Party(tmp_path / "x", BOOTH)
    place.sign_again(pack, stranger)
    assert refused(pack).startswith(
        "MANIFEST.sig: not a signature over MANIFEST by the key of certificates/booth-lane-1"
    )


Forge = Callable[[Small, Party], None]


def _signed_by_another_key(place: Small, stranger: Party) -> None:
    payload, _ = read_envelope(place.ledger.envelopes[2])
    place.ledger.envelopes[2] = sign(payload, stranger.key)


def _keyid_of_the_session(place: Small, stranger: Party) -> None:
    payload, signature = read_envelope(place.ledger.envelopes[2])
    forged, _ = read_envelope(sign(payload, stranger.key))
    place.ledger.envelopes[2] = write_envelope(forged, b"\x01" * 64, signature.keyid)


@pytest.mark.parametrize(
    ("forge", "said"),
    [
        (_signed_by_another_key, "for which the session event before it does not vouch"),
        (_keyid_of_the_session, "its signature is not one by the session key that event 1 names"),
    ],
)
def test_a_forged_event(tmp_path: Path, forge: Forge, said: str) -> None:
    """A forger rewrites the chain after the event, with proofs that fit it."""
    place = Small(tmp_path)
    good = place.pack("good")
    forge(place, Party(tmp_path / "x", "spiffe://uslrd/booth/lane-9"))
    (good / ENVELOPE).write_bytes(place.ledger.envelopes[2])
    place.sign_again(good)
    assert said in refused(good)


def test_another_booth_s_certificate(tmp_path: Path) -> None:
    """The same key under another name: the events say whose they are."""
    place = Small(tmp_path)
    pack = place.pack(exporter=place.gateway)
    [name] = [name for name in files(pack) if name.startswith("certificates/booth")]
    (pack / name).write_bytes(certificate_for(place.booth.key, "spiffe://uslrd/booth/lane-2"))
    place.sign_again(pack, place.gateway)
    assert refused(pack) == f"{name}: is the certificate of spiffe://uslrd/booth/lane-2, and the events are of {BOOTH}"


def test_a_booth_that_is_wholly_made_up_needs_a_trusted_key_to_be_seen(place: Small, lean: tuple[Small, Path]) -> None:
    """Everything is consistent, and by strangers: that is what -k and the key ids at the end are for."""
    _, forged = lean
    status, said = verify(forged)
    assert (status, "Compare each with the key id" in said) == (0, True)
    assert "none of those given with -k" in refused(forged, "-k", key_id(place.booth.key.public_key()))


@pytest.mark.parametrize("body", [domain.InspectionOpened(INSPECTION, "1", "presence")], ids=["inspection opened"])
def test_consecutive_events_must_be_linked(tmp_path: Path, body: domain.EventBody) -> None:
    place = Small(tmp_path)
    pack = place.pack(event=2)
    other = Ledger(BOOTH, place.booth.key)
    other.session_key = place.ledger.session_key
    forged = other.add(body)  # follows another first event
    (pack / "events/0000000002.envelope").write_bytes(forged)
    place.sign_again(pack)
    assert refused(pack) == "events/0000000002.envelope: does not follow event 1 in the chain"


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
