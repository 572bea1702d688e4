"""`edge-agent keys init`, `csr` and `show`, judged by openssl where it can judge."""

import json
import subprocess
from pathlib import Path

import pytest
from cryptography import x509

from edge_agent.cli import main
from edge_agent.ledger.signer import open_signer
from edge_agent.wire.identity import certificate_key, identity_of, key_id, load_certificate
from tests.hardware_token import HardwareToken, needs_softhsm

BOOTH = "spiffe://uslrd/booth/lane-1"


def openssl(*arguments: str, given: str = "") -> str:
    done = subprocess.run(["openssl", *arguments], input=given, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    return done.stdout + done.stderr


def test_an_encrypted_key_opens_with_what_init_printed(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    secret = tmp_path / "passphrase"
    secret.write_text("open sesame\n")
    secret.chmod(0o600)
    folder = tmp_path / "keys"
    assert main(["keys", "init", BOOTH, "--out", str(folder), "--passphrase-file", str(secret)]) == 0
    said = capsys.readouterr().out
    uri = said.split()[1]
    assert "open sesame" not in said
    assert b"ENCRYPTED" in (folder / "booth.key").read_bytes()
    assert (folder / "booth.key").stat().st_mode & 0o777 == 0o600
    openssl("ec", "-in", str(folder / "booth.key"), "-passin", f"file:{secret}", "-noout", "-check")
    assert open_signer(uri).key_id == key_id(certificate_key(load_certificate(folder / "booth.crt")))


def test_a_request_names_the_booth_and_is_signed_by_its_key(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["keys", "init", BOOTH, "--out", str(tmp_path)]) == 0
    capsys.readouterr()
    assert main(["keys", "csr", BOOTH, "--signer", str(tmp_path / "booth.key")]) == 0
    said = capsys.readouterr().out
    assert "verify OK" in openssl("req", "-verify", "-noout", given=said)
    assert f"URI:{BOOTH}" in openssl("req", "-noout", "-text", given=said)
    request = x509.load_pem_x509_csr(said.encode())
    assert request.public_key() == load_certificate(tmp_path / "booth.crt").public_key()


@needs_softhsm
def test_a_key_in_a_token_gets_a_certificate_and_a_request(
    tmp_path: Path, token: HardwareToken, capsys: pytest.CaptureFixture[str]
) -> None:
    for folder, said in (("one", "(made; it stays in the token)"), ("two", "(was there already; it stays")):
        assert main(["keys", "init", BOOTH, "--out", str(tmp_path / folder), "--signer", token.uri()]) == 0
        printed = capsys.readouterr().out
        assert said in printed
        assert not list((tmp_path / folder).glob("*.key"))
    certificate = load_certificate(tmp_path / "two" / "booth.crt")
    assert str(identity_of(certificate)) == BOOTH
    assert key_id(certificate_key(certificate)) == open_signer(token.uri()).key_id
    openssl("verify", "-CAfile", str(tmp_path / "two/booth.crt"), str(tmp_path / "two/booth.crt"))
    assert main(["keys", "csr", BOOTH, "--signer", token.uri()]) == 0
    assert "verify OK" in openssl("req", "-verify", "-noout", given=capsys.readouterr().out)
    assert main(["keys", "init", BOOTH, "--out", str(tmp_path / "two"), "--signer", token.uri()]) == 2


@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        (("init", "spiffe://uslrd/gateway/main"), "names a gateway"),
        (("csr", "spiffe://uslrd/back-office/customs"), "names a back-office"),
        (("init", BOOTH, "--signer", "file:booth.key"), "--signer takes the pkcs11: URI"),
        (("csr", BOOTH, "--signer", "absent.key"), "absent.key: cannot be read"),
        (("init", BOOTH, "--passphrase-file", "absent"), "absent: the passphrase cannot be read"),
    ],
)
def test_mistakes_are_named(
    tmp_path: Path, arguments: tuple[str, ...], said: str, capsys: pytest.CaptureFixture[str]
) -> None:
    out = ("--out", str(tmp_path)) if arguments[0] == "init" else ()
    assert main(["keys", *arguments, *out]) == 2
    assert said in capsys.readouterr().err
    assert not list(tmp_path.iterdir())


def test_show_says_it_as_json_too(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["keys", "init", BOOTH, "--out", str(tmp_path)]) == 0
    capsys.readouterr()
    assert main(["keys", "show", str(tmp_path / "booth.crt"), "--json"]) == 0
    assert json.loads(capsys.readouterr().out)["identity"] == BOOTH
