"""What a port may issue to a booth that asks it to renew."""

from datetime import timedelta
from pathlib import Path

import pytest
from cryptography.hazmat.primitives import serialization

from edge_agent.domain.errors import IdentityInvalid
from edge_agent.ledger.identity import BoothIdentity
from edge_agent.wire.identity import SpiffeId, create_identity, load_private_key, self_signed
from tests.unit.port_gateway.signing import NOW

LANE = SpiffeId.parse("spiffe://uslrd/booth/lane-1")
P256 = bytes.fromhex("06082a8648ce3d030107")


@pytest.mark.parametrize("case", ["good", "nothing", "a curve of nobody's", "no version"])
def test_a_certificate_that_cannot_be_read_is_refused_in_words(tmp_path: Path, case: str) -> None:
    key_path, certificate = create_identity(tmp_path, "booth", LANE, NOW)
    identity = BoothIdentity("booth.key", Path("booth.crt"), tmp_path)
    later = self_signed(load_private_key(key_path), LANE, NOW + timedelta(days=1))
    good = later.public_bytes(serialization.Encoding.DER)
    issued = {
        "good": good,
        "nothing": b"",
        "a curve of nobody's": good.replace(P256, P256[:-1] + b"\x7f"),
        "no version": good.replace(bytes.fromhex("a003020102"), bytes.fromhex("a003020107")),
    }[case]
    following = certificate.with_name("booth.crt.next")
    if case == "good":
        identity.accept(issued)
        assert following.exists()
        return
    with pytest.raises(IdentityInvalid, match="what is no certificate"):
        identity.accept(issued)
    assert not following.exists()
