"""The device key in a hardware token, for which SoftHSM2 stands: a real PKCS#11 library and real signatures."""

import subprocess
from pathlib import Path

import pytest
from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.asymmetric import ec

from edge_agent.domain.errors import IdentityInvalid
from edge_agent.ledger.pkcs11_key import PinRefused, TokenUnavailable, make_token_key, open_token_key
from edge_agent.ledger.pkcs11_uri import parse_key_uri
from edge_agent.ledger.signer import open_signer
from tests.hardware_token import MODULE, PIN, HardwareToken, needs_softhsm

pytestmark = needs_softhsm


def generate(token: HardwareToken, name: str = "device", another: bool = False) -> str:
    return make_token_key(parse_key_uri(token.uri(name).removeprefix("pkcs11:"), Path()), another)[0].key_id


def test_it_signs_and_never_gives_the_key_away(token: HardwareToken) -> None:
    made = generate(token)
    key = open_signer(token.uri())
    assert key.key_id == made
    assert key.pem() is None
    for message in (b"", b"message", bytes(100_000)):
        key.public_key.verify(key.sign(message), message, ec.ECDSA(hashes.SHA256()))


def test_a_second_key_of_one_name_is_chosen_by_its_certificate(token: HardwareToken) -> None:
    first = generate(token)
    assert generate(token) == first
    second = generate(token, another=True)
    assert {open_signer(token.uri(), wanted=one).key_id for one in (first, second)} == {first, second}
    with pytest.raises(IdentityInvalid, match="2 keys in token 'booth' are named 'device'"):
        open_signer(token.uri())
    with pytest.raises(IdentityInvalid, match="belongs to the certificate"):
        open_signer(token.uri(), wanted="0" * 64)


def test_two_keys_share_the_one_login(token: HardwareToken) -> None:
    generate(token), generate(token, "other")
    one, two = open_signer(token.uri()), open_signer(token.uri("other"))
    for key in (one, two, one):
        key.public_key.verify(key.sign(b"m"), b"m", ec.ECDSA(hashes.SHA256()))


def test_a_wrong_pin_is_tried_once_and_never_said(token: HardwareToken) -> None:
    generate(token)
    wrong = token.folder / "wrong"
    wrong.write_text("9876543\n")
    wrong.chmod(0o600)
    uri = token.uri().replace(str(token.pin_file), str(wrong))
    token.look_again()
    for attempt in range(2):
        with pytest.raises(PinRefused, match=r"refused the PIN in .*wrong") as error:
            open_signer(uri)
        assert "9876543" not in str(error.value)
        if attempt == 0:  # were it tried again, it would be right now
            wrong.write_text(PIN)


def test_a_token_that_was_pulled_out_is_named_and_works_again_when_it_is_back(token: HardwareToken) -> None:
    generate(token)
    key = open_signer(token.uri())
    key.sign(b"m")
    token.pull_out()
    with pytest.raises(TokenUnavailable, match=r"token 'booth'.*\n.*put it back"):
        key.sign(b"m")
    with pytest.raises(TokenUnavailable, match="token 'booth' is not there"):
        open_token_key(parse_key_uri(token.uri().removeprefix("pkcs11:"), Path()))
    token.put_back()
    key.public_key.verify(key.sign(b"m"), b"m", ec.ECDSA(hashes.SHA256()))


def test_what_is_not_there_is_named(token: HardwareToken) -> None:
    generate(token)
    with pytest.raises(IdentityInvalid, match="holds no private key 'absent'"):
        open_signer(token.uri("absent"))
    with pytest.raises(TokenUnavailable, match="token 'lost' is not there"):
        open_signer(token.uri(of="lost"))
    with pytest.raises(IdentityInvalid, match="no PKCS#11 library"):
        open_signer(token.uri().replace(str(MODULE), "/etc/hostname"))
    token.make("booth")
    token.look_again()
    with pytest.raises(IdentityInvalid, match="2 tokens answer"):
        open_signer(token.uri().replace("device", "device2").replace("pin-source=file:", "pin-source="))


@pytest.mark.parametrize("kind", ["RSA:2048", "EC:secp384r1"])
def test_only_p256_keys_are_taken(token: HardwareToken, kind: str) -> None:
    pytest.importorskip("pkcs11")
    import pkcs11
    from pkcs11 import Attribute, KeyType
    from pkcs11.util.ec import encode_named_curve_parameters

    library = pkcs11.lib(str(MODULE))
    library.reinitialize()
    with library.get_token(token_label="booth").open(rw=True, user_pin=PIN) as session:
        if kind == "RSA:2048":
            session.generate_keypair(KeyType.RSA, 2048, store=True, label="device", id=b"1")
        else:
            curve = {Attribute.EC_PARAMS: encode_named_curve_parameters("secp384r1")}
            parameters = session.create_domain_parameters(KeyType.EC, curve, local=True)
            parameters.generate_keypair(store=True, label="device", id=b"1")
    with pytest.raises(IdentityInvalid, match=r"no P-256 key|another curve than P-256"):
        open_signer(token.uri())


def test_without_the_extra_it_says_which_one(token: HardwareToken) -> None:
    code = (
        "import sys; sys.modules['pkcs11'] = None\n"
        "from edge_agent.ledger.signer import open_signer\n"
        f"open_signer({token.uri()!r})"
    )
    said = subprocess.run(["python", "-c", code], capture_output=True, text=True, check=False).stderr
    assert "pip install 'edge-agent[hsm]'" in said
