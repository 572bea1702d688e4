"""Cosignatures as `port-gateway verify`, evidence packs and their script see them."""

import base64
import shutil
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

import apsw
import pytest
from cryptography.hazmat.primitives.asymmetric import ed25519

from edge_agent.domain.clock import SystemClock
from edge_agent.wire.checkpoint import Checkpoint, origin_of, sign_checkpoint, split_note
from edge_agent.wire.cosignature import cosign
from port_gateway.cli import main
from port_gateway.witnessed import WitnessedReceipt, all_witnessed, keep_cosignature
from tests.integration.port_gateway.witnesses import Witness, WitnessDesk, gateway_key, statements, witness
from tests.unit.pack.port_of_entry import by, sign_again, verify


# --- verify ---------------------------------------------------------------------------------------------------------
def test_verify_looks_at_every_cosignature(desk: WitnessDesk, one: Witness, capsys: pytest.CaptureFixture[str]) -> None:
    desk.turn(desk.witnesses(desk.policy(one.line("a"))))
    desk.receive(2)
    command = ["verify", str(desk.config())]
    trusted = ["--witnesses", given(desk, one, quorum="quorum w0\n")]
    assert main([*command, *trusted]) == 0
    said = capsys.readouterr().out
    assert "1 cosignature of witnesses" in said
    assert "witnessed by 1 of 1 through event 4 of 6" in said
    assert main([*command, "--witnesses", given(desk, gone_witness(one), quorum="quorum w0\n")]) == 1
    assert "NOT_WITNESSED: spiffe://uslrd/booth/lane-1" in capsys.readouterr().err
    for spoil, wrong in (
        (_RENAMED.replace("w2", "w1 "), "a line that is no signature"),
        (_RENAMED, "is not by the witness beside it"),
        ("UPDATE witnessed SET size = 5", "of another place"),
        ("UPDATE witnessed SET size = 7", "the chain has no such event"),
        ("UPDATE witnessed SET certificate = x'00'", "the certificate beside a cosigned receipt"),
    ):
        statements(
            desk, "CREATE TABLE was AS SELECT * FROM cosignature", "CREATE TABLE were AS SELECT * FROM witnessed"
        )
        statements(desk, spoil)
        assert main(command) == 1
        err = capsys.readouterr().err
        assert "COSIGNATURE_INVALID" in err, spoil
        assert wrong in err, err
        statements(desk, "DELETE FROM cosignature", "INSERT INTO cosignature SELECT * FROM was", "DROP TABLE was")
        statements(desk, "DELETE FROM witnessed", "INSERT INTO witnessed SELECT * FROM were", "DROP TABLE were")
    assert main(command) == 0


def test_a_cosigned_receipt_over_another_chain(desk: WitnessDesk, capsys: pytest.CaptureFixture[str]) -> None:
    gateway, key = desk.port.gateway, ed25519.Ed25519PrivateKey.generate()
    chain = desk.ledger.booth_id, desk.ledger.epoch
    forged = Checkpoint(origin_of(*chain), 4, bytes(32), SystemClock().now().utc)
    note = sign_checkpoint(forged, gateway.identity, gateway.key.public_key(), by(gateway.key))
    receipt = WitnessedReceipt(chain, 4, note, gateway.certificate_der, ())
    cosignature = cosign(split_note(note)[0], "w", key, 7)
    desk.store.submit(lambda db: keep_cosignature(db, receipt, cosignature, 7)).result()
    assert main(["verify", str(desk.port.write_config())]) == 1
    assert "it is over another chain than the one that is held" in capsys.readouterr().err


def test_every_receipt_is_read_once(desk: WitnessDesk) -> None:
    row = (desk.ledger.booth_id, desk.ledger.epoch)
    many = [(*row, size, b"note", b"certificate") for size in range(1, 51)]
    desk.store.submit(lambda db: db.executemany("INSERT INTO witnessed VALUES (?,?,?,?,?)", many)).result()
    rows = []

    def count(_: apsw.Cursor, row: "apsw.SQLiteValues") -> "apsw.SQLiteValues":
        rows.append(row)
        return row

    with desk.store.reading() as db:
        db.row_trace = count
        assert [receipt.size for receipt in all_witnessed(db)] == list(range(1, 51))
        db.row_trace = None
    assert len(rows) == 50


_RENAMED = "UPDATE cosignature SET line = CAST(replace(CAST(line AS TEXT), 'w1', 'w2') AS BLOB)"


# --- packs ----------------------------------------------------------------------------------------------------------
@pytest.fixture
def cosigned(desk: WitnessDesk, one: Witness, tmp_path: Path) -> Iterator[tuple[WitnessDesk, Witness, Witness]]:
    """A chain of seven events whose first four two of three witnesses cosigned; the quorum is two."""
    with (
        witness(tmp_path / "w2", desk.port.gateway, "witness.example/w2") as two,
        witness(tmp_path / "w3", desk.port.gateway, "witness.example/w3") as gone,
    ):
        pass
    with witness(tmp_path / "w2", desk.port.gateway, "witness.example/w2") as two:
        desk.turn(desk.witnesses(desk.policy(one.line("a"), two.line("b"), gone.line("c"), quorum="2")))
        desk.receive(3)
        desk.config()
        yield desk, one, two


def given(desk: WitnessDesk, *keys: Witness, quorum: str) -> str:
    path = desk.port.folder / "given.policy"
    lines = [f"witness w{n} {each.key}\n" for n, each in enumerate(keys)]
    path.write_text("# mine\n\n" + "".join(lines) + quorum)
    return str(path)


def exported(desk: WitnessDesk, seq: int = 2) -> Path:
    out = desk.port.folder / f"pack-{seq}"
    config = str(desk.port.folder / "gateway.yaml")
    assert main(["export", config, "--booth", desk.ledger.booth_id, "--seq", str(seq), str(out)]) == 0
    return out


def test_a_pack_says_who_witnessed(cosigned: tuple[WitnessDesk, Witness, Witness]) -> None:
    desk, one, two = cosigned
    pack = exported(desk)
    status, said = verify(pack)
    assert status == 0, said
    assert "witnessed by 2 of the 3 that the port names in WITNESSES, which is enough for it:\n" in said
    assert "    witness.example/w1 at 20" in said
    assert (pack / "WITNESSES").read_text().endswith("group enough 2 a b c\nquorum enough\n")
    page = (pack / "README.html").read_text()
    assert "2 of the 3 witnesses of the port's (enough for its quorum)" in page
    assert str(two.key) in page.replace("&#x2F;", "/")
    both = "group g all w0 w1\nquorum g\n"
    status, said = verify(pack, "-w", given(desk, one, two, quorum=both))
    assert (status, "witnessed by 2 of 2 of those that were given with -w, which is enough:" in said) == (0, True), said


def gone_witness(like: Witness) -> Witness:
    """Of the same name, with another key."""
    raw = ed25519.Ed25519PrivateKey.generate().public_key().public_bytes_raw()
    return replace(like, key=replace(like.key, raw=raw))


@pytest.mark.proof
def test_the_witnesses_that_the_verifier_trusts(cosigned: tuple[WitnessDesk, Witness, Witness]) -> None:
    desk, one, two = cosigned
    pack = exported(desk)
    imitator = gone_witness(one)
    stranger = replace(imitator, key=replace(imitator.key, name="witness.example/w4"))
    for keys, quorum, count in (
        ((one, stranger), "group g all w0 w1\nquorum g\n", "1 of 2"),
        ((stranger,), "quorum w0\n", "0 of 1"),
        ((imitator,), "quorum w0\n", "0 of 1"),  # of the same name
        ((one, two, stranger), "group g all w0 w1\ngroup h 2 g w2\nquorum h\n", "2 of 3"),
    ):
        status, said = verify(pack, "-w", given(desk, *keys, quorum=quorum))
        assert (status, f"FAILED: witnessed by {count} of those in" in said) == (1, True), said
    for quorum, wrong in (
        ("", "line 3: no quorum"),
        ("quorum w1\n", "line 4: no line of a policy"),
        ("group g 2 w0\nquorum g\n", "line 4: how many?"),
        ("group g all w0 w0\nquorum g\n", "line 4: w0 is not known before it, or a member twice"),
        ("log x\nquorum w0\n", "line 4: no line of a policy"),
        ("quorum none\nquorum none\n", "line 5: no line of a policy"),
    ):
        status, said = verify(pack, "-w", given(desk, one, quorum=quorum))
        assert (status, wrong in said) == (2, True), said
    for key, wrong in (
        (str(one.key).replace("w1", "w2"), "name, hash and key do not belong together"),
        (str(gateway_key(desk.port.gateway)), "not an Ed25519 key of type 4"),
        ("x", "not an Ed25519 key of type 4"),
    ):
        path = desk.port.folder / "wrong.policy"
        path.write_text(f"witness a {key}\nquorum a\n")
        status, said = verify(pack, "-w", str(path))
        assert (status, wrong in said) == (2, True), said
    status, said = verify(exported(desk, 6))  # no cosigned receipt covers it
    assert (status, "witness" in said) == (0, False), said
    status, said = verify(desk.port.folder / "pack-6", "-w", given(desk, one, quorum="quorum w0\n"))
    assert (status, "is under no receipt that witnesses cosigned, and -w asks for one" in said) == (1, True), said
    assert verify(pack, "-w", "nowhere")[0] == 2


@pytest.mark.proof
def test_what_a_forger_with_the_ports_key_cannot_do(cosigned: tuple[WitnessDesk, Witness, Witness]) -> None:
    desk, _, _ = cosigned
    pack = exported(desk)
    name = pack / "events" / "0000000001.witnessed.tlog-proof"
    whole, policy = name.read_bytes(), (pack / "WITNESSES").read_bytes()
    *head, first, second = whole.decode().splitlines(keepends=True)
    moved = bytearray(base64.b64decode(first.split(" ")[2]))
    moved[11] ^= 1  # the time

    def says(proof: bytes = whole, named: bytes | None = policy) -> str:
        name.write_bytes(proof)
        (pack / "WITNESSES").unlink(missing_ok=True)
        if named is not None:
            (pack / "WITNESSES").write_bytes(named)
        sign_again(pack, desk.port.gateway)
        status, said = verify(pack)
        assert (status, "VERIFIED" in said) == (1, False), said
        return said.splitlines()[-1]

    changed = f"{first.rpartition(' ')[0]} {base64.b64encode(moved).decode()}\n"
    assert "the cosignature of witness.example/w1 is not one by its key" in says(
        "".join([*head, changed, second]).encode()
    )
    assert "is cosigned by witness.example/w1 twice" in says("".join([*head, first, first]).encode())
    assert "its receipt is cosigned by nobody" in says("".join(head).encode())
    short = f"{first.rpartition(' ')[0]} {base64.b64encode(moved[:-1]).decode()}\n"
    assert "a line of its receipt that is no cosignature" in says("".join([*head, first, short]).encode())
    assert "WITNESSES: is missing" in says(named=None)
    assert "whose key WITNESSES does not name" in says(named=b"quorum none\n")
    assert "WITNESSES: line 1: no quorum" in says(named=policy.splitlines(keepends=True)[0])
    other = pack / "events" / "0000000002.witnessed.tlog-proof"
    there = other.read_bytes()
    other.write_bytes(there[: -len(second.encode())])
    assert "its receipt is another one than in the pack's other proofs" in says()
    other.write_bytes(there)
    for each in (name, other):
        each.unlink()
    sign_again(pack, desk.port.gateway)
    assert "WITNESSES: no event in the pack has a proof under a cosigned receipt" in verify(pack)[1]


@pytest.mark.proof
def test_a_changed_byte_anywhere(cosigned: tuple[WitnessDesk, Witness, Witness]) -> None:
    pack = exported(cosigned[0])
    for path in (pack / "WITNESSES", pack / "events" / "0000000002.witnessed.tlog-proof"):
        data = path.read_bytes()
        for where in (0, len(data) // 2, len(data) - 1):
            path.write_bytes(data[:where] + bytes([data[where] ^ 1]) + data[where + 1 :])
            status, said = verify(pack)
            assert (status, "its bytes are not those of the manifest" in said) == (1, True), said
            path.write_bytes(data)


@pytest.mark.proof
@pytest.mark.parametrize("awk", ["busybox", "original-awk", "gawk", "mawk"])
def test_with_other_tools(cosigned: tuple[WitnessDesk, Witness, Witness], tmp_path: Path, awk: str) -> None:
    found = shutil.which(awk)
    if found is None:
        pytest.skip(f"no {awk} here")
    desk, one, two = cosigned
    (tmp_path / "bin").mkdir()
    (tmp_path / "bin" / "awk").symlink_to(found)
    policy = given(desk, one, two, quorum="group g any w0 w1\nquorum g\n")
    status, said = verify(exported(desk), "-w", policy, path=f"{tmp_path}/bin:/usr/bin:/bin")
    assert (status, "witnessed by 2 of 2 of those that were given" in said) == (0, True), said
