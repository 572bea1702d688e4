"""Time tokens over a digest that was not asked for, or by a poor clock, and packs without the token that was."""

import hashlib
import subprocess
from datetime import timedelta
from pathlib import Path

import pytest
from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization

from edge_agent.wire.time_token import TimeQuery, TimeToken, TimeTokenInvalid
from tests.integration.port_gateway.desk import EVERY_S, Desk
from tests.time_authority import Tsa
from tests.unit.pack.port_of_entry import sign_again, verify

SHA256, SHA512 = (bytes.fromhex(f"06096086480165030402{n}") for n in ("01", "03"))


def sequence(content: bytes) -> bytes:
    assert len(content) < 128
    return bytes([0x30, len(content)]) + content


def over_sha256(query: TimeQuery, note: bytes) -> bytes:
    """The same question, with its nonce, over the note's SHA-256."""
    digest = hashlib.sha512(note).digest()
    oid, nonce = query.data.index(SHA512), query.data.index(digest) + len(digest)
    parameters = query.data[oid + len(SHA512) : nonce - len(digest) - 2]
    imprint = sequence(sequence(SHA256 + parameters) + b"\x04\x20" + hashlib.sha256(note).digest())
    return sequence(b"\x02\x01\x01" + imprint + query.data[nonce:])


def test_an_answer_over_another_digest_than_was_asked_for(tmp_path: Path) -> None:
    tsa, note = Tsa(tmp_path / "tsa"), b"a note\n"
    query = TimeQuery(note)
    weaker = TimeToken(tsa.granted(over_sha256(query, note)), tsa.root)
    said = r"over 2\.16\.840\.1\.101\.3\.4\.2\.1 instead of SHA-512"
    with pytest.raises(TimeTokenInvalid, match=said):
        query.taken(weaker)
    with pytest.raises(TimeTokenInvalid, match=said):
        weaker.verified(note)


@pytest.mark.parametrize(
    ("digest", "good"),
    [("md5", False), ("sha1", False), ("sha224", False), ("sha256", True), ("sha384", True)],
)
def test_the_digest_under_a_token_in_a_pack(desk: Desk, digest: str, good: bool) -> None:
    desk.tokens().turn()
    pack = desk.export()
    query = desk.port.folder / "query"
    command: list[str | Path] = ["openssl", "ts", "-query", "-data", pack / "time" / "receipt", f"-{digest}"]
    subprocess.run([*command, "-cert", "-out", query], check=True, capture_output=True, timeout=30)
    (pack / "time" / "receipt.tsr").write_bytes(desk.tsa.granted(query.read_bytes()))
    sign_again(pack, desk.port.gateway)
    status, said = verify(pack, "-t", str(desk.tsa.root_path))
    if good:
        assert (status, "which a time-stamp authority saw at" in said) == (0, True), said
    else:
        weak = f"FAILED: time/receipt.tsr: its token is over {digest}: only SHA-256, SHA-384 and SHA-512 count\n"
        assert (status, said.endswith(weak)) == (1, True), said


@pytest.mark.parametrize(
    ("stated", "script", "page"),
    [
        ("secs:1", "± 1 s", "± 1 s as it states"),
        ("secs:59, millisecs:500, microsecs:100", "± 59.5001 s", "± 59.5001 s as it states"),
        ("millisecs:20", "± 0.02 s", "± 0.02 s as it states"),
        ("secs:60", "± 60 s", "± 60 s as it states"),
        ("", "not stated", "whose accuracy it does not state"),
    ],
)
def test_the_accuracy_of_a_token_in_a_pack(desk: Desk, stated: str, script: str, page: str) -> None:
    desk.tsa.state_accuracy(stated)
    desk.tokens().turn()
    pack = desk.export()
    status, said = verify(pack)
    assert (status, f"accuracy of that time, as the authority states it: {script}\n" in said) == (0, True), said
    assert f"UTC by its own clock, {page}: the same events" in (pack / "README.html").read_text()


@pytest.mark.parametrize("stated", ["secs:60, microsecs:1", "secs:3600"])
def test_a_token_of_a_poor_clock_is_not_kept(desk: Desk, stated: str, caplog: pytest.LogCaptureFixture) -> None:
    desk.tsa.state_accuracy(stated)
    tokens = desk.tokens()
    assert [tokens.turn(), tokens.turn()] == [EVERY_S, 2 * EVERY_S]
    assert desk.stamped(1) is None
    assert len(caplog.records) == 1
    assert f"the time-stamp authority {desk.tsa.address} states that its time may be wrong by" in caplog.text
    assert "a token counts up to 60 s" in caplog.text
    assert "ask its operator about its clock" in caplog.text
    desk.tsa.state_accuracy("secs:60")
    tokens.turn()
    assert desk.stamped(1) is not None


@pytest.mark.parametrize("stated", ["secs:-5", "millisecs:5000"])
def test_an_accuracy_that_is_none(desk: Desk, stated: str, caplog: pytest.LogCaptureFixture) -> None:
    desk.tokens().turn()
    pack = desk.export()
    desk.tsa.state_accuracy(stated)
    (pack / "time" / "receipt.tsr").write_bytes(
        desk.tsa.granted(TimeQuery((pack / "time" / "receipt").read_bytes()).data)
    )
    sign_again(pack, desk.port.gateway)
    status, said = verify(pack)
    assert (status, said) == (1, "FAILED: time/receipt.tsr: its token states an accuracy that is none\n")
    desk.receive()
    desk.tokens().turn()
    assert "no time token: " in caplog.text
    assert desk.stamped(5) is None


def test_a_root_for_a_pack_without_a_token(desk: Desk) -> None:
    pack = desk.export()
    status, said = verify(pack, "-t", str(desk.tsa.root_path))
    missing = (
        "FAILED: time: there is no time token in the pack, and -t asks for one; without -t the rest can be verified\n"
    )
    assert (status, said) == (1, missing)
    assert verify(pack)[0] == 0


def exchanged(tsa: Tsa, answer: bytes) -> bytes:
    """The same answer with another certificate of the same issuer, serial and key, as long as the signer's own."""
    folder = tsa.folder
    signer = x509.load_pem_x509_certificate((folder / "signer.pem").read_bytes())
    root = x509.load_der_x509_certificate(tsa.root)
    own = signer.public_bytes(serialization.Encoding.DER)
    other = own
    while len(other) != len(own) or other == own:  # an ECDSA signature has 70 to 72 bytes
        builder = x509.CertificateBuilder().subject_name(signer.subject).issuer_name(root.subject)
        builder = builder.public_key(signer.public_key()).serial_number(signer.serial_number)
        builder = builder.not_valid_before(signer.not_valid_before_utc)
        builder = builder.not_valid_after(signer.not_valid_after_utc + timedelta(days=1))
        for extension in signer.extensions:
            builder = builder.add_extension(extension.value, extension.critical)
        other = builder.sign(tsa.root_key, hashes.SHA256()).public_bytes(serialization.Encoding.DER)
    assert answer.count(own) == 1
    return answer.replace(own, other)


def test_another_certificate_for_the_same_key(tmp_path: Path) -> None:
    tsa, note = Tsa(tmp_path / "tsa"), b"a note\n"
    query = TimeQuery(note)
    answer = tsa.granted(query.data)
    query.taken(TimeToken(answer, tsa.root))
    with pytest.raises(TimeTokenInvalid, match="names another certificate of its signer"):
        query.taken(TimeToken(exchanged(tsa, answer), tsa.root))
