"""A request for a certificate, from anybody who can reach the port."""

import random

import pytest
from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec

from edge_agent.wire.enrollment import EnrollmentFault, NotEnrolled, read_request, requested
from edge_agent.wire.identity import SpiffeId, signing_request

LANE = SpiffeId.parse("spiffe://uslrd/booth/lane-1")
EC_KEY = bytes.fromhex("06072a8648ce3d0201")


@pytest.fixture(scope="module")
def der() -> bytes:
    pem = signing_request(ec.derive_private_key(0x1234567890ABCDEF, ec.SECP256R1()), LANE)
    return x509.load_pem_x509_csr(pem).public_bytes(serialization.Encoding.DER)


def test_a_key_of_an_unknown_kind_is_refused(der: bytes) -> None:
    with pytest.raises(NotEnrolled) as caught:
        read_request(der.replace(EC_KEY, EC_KEY[:-1] + b"\x7f"))
    assert caught.value.fault is EnrollmentFault.REQUEST_INVALID


def test_any_changed_byte_is_refused_in_words(der: bytes) -> None:
    """A sample of all changes of one byte; every place of the request has one or two."""
    draw = random.Random(5)
    for at in range(len(der)):
        for value in draw.sample([value for value in range(256) if value != der[at]], 2):
            with pytest.raises(NotEnrolled):
                requested(der[:at] + bytes([value]) + der[at + 1 :], LANE)


def test_a_strangers_name_stays_on_one_line() -> None:
    names = x509.SubjectAlternativeName(
        [x509.UniformResourceIdentifier("spiffe://x/booth/a\nERROR all is lost\x1b[2J")]
    )
    builder = x509.CertificateSigningRequestBuilder().subject_name(x509.Name([])).add_extension(names, critical=False)
    request = builder.sign(ec.generate_private_key(ec.SECP256R1()), hashes.SHA256())
    with pytest.raises(NotEnrolled, match="all is lost") as caught:
        requested(request.public_bytes(serialization.Encoding.DER), LANE)
    assert caught.value.wrong.isprintable()
