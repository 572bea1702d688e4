"""The vectors of certificates: a reader's check of those listed, and the port's of those shown, at any time."""

import contextlib
import json
from collections.abc import Iterator
from datetime import datetime
from pathlib import Path
from typing import Any

import pytest
from cryptography import x509
from cryptography.hazmat.primitives import serialization

from edge_agent.domain.clock import ClockState, Instant, SystemClock
from edge_agent.wire.identity import Role, certificate_key, key_id
from edge_agent.wire.refused import RefusalCode, Refused
from edge_agent.wire.v1alpha1 import services_pb2 as wire
from port_gateway.chains import device_keys
from port_gateway.ingest import _hello
from port_gateway.revocation import end_key
from port_gateway.store import Store
from port_gateway.trust import TrustStore
from tests.vectors.make_certificate_vectors import FILE, text

VECTORS = json.loads(FILE.read_text())


class At(SystemClock):
    """A clock that stands."""

    def __init__(self, utc: datetime) -> None:
        self._utc = utc

    def now(self) -> Instant:
        return Instant(self._utc, 0, ClockState.SYNCHRONISED)


def named(cases: list[dict[str, Any]]) -> pytest.MarkDecorator:
    return pytest.mark.parametrize("case", cases, ids=[case["name"] for case in cases])


def test_the_file_is_what_the_script_writes() -> None:
    assert FILE.read_text() == text()


@named(VECTORS["listed"])
def test_a_certificate_that_is_listed(case: dict[str, Any]) -> None:
    if case["code"] is None:
        assert len(device_keys(VECTORS["booth_id"], [bytes.fromhex(case["certificate"])])) == 1
        return
    with pytest.raises(Refused) as caught:
        device_keys(VECTORS["booth_id"], [bytes.fromhex(case["certificate"])])
    assert caught.value.code.name == case["code"]


@pytest.fixture(scope="module")
def store(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Store]:
    """Of a port that knows what the vectors say."""
    with contextlib.closing(Store(Path(tmp_path_factory.mktemp("trust")) / "inbox.sqlite")) as opened:
        for one in VECTORS["registered"]:
            der, identity = bytes.fromhex(one["certificate"]), one["identity"]
            row = identity, identity.split("/")[-2], der, None if one["state"] == "in force" else 1
            opened.submit(_add(row)).result()
            if one["state"] == "revoked":
                key = key_id(certificate_key(x509.load_der_x509_certificate(der)))
                opened.submit(_end(identity, key)).result()
        yield opened


def _add(row: tuple[Any, ...]) -> Any:
    return lambda db: db.execute("INSERT INTO trust VALUES (NULL, ?, ?, ?, 0, ?)", row).fetchall()


def _end(identity: str, key: str) -> Any:
    return lambda db: end_key(db, identity, key, RefusalCode.KEY_REVOKED, {}, 0)


@named(VECTORS["shown"])
def test_a_certificate_that_is_shown(case: dict[str, Any], store: Store) -> None:
    certificate = x509.load_der_x509_certificate(bytes.fromhex(case["certificate"]))
    trust = TrustStore(store, At(datetime.fromisoformat(case["at"])))
    code = None
    try:
        peer = trust.peer(certificate.public_bytes(serialization.Encoding.PEM), Role.BOOTH)
        hello = wire.Hello(booth_id=case["hello"], epoch=bytes(16))
        _hello(wire.StreamEventsRequest(hello=hello), str(peer.identity))
    except Refused as refused:
        code = refused.code.name
    assert code == case["code"]
