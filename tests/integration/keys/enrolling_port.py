"""A port whose gateway issues certificates to booths, and what a booth asks of it."""

import subprocess
from dataclasses import replace
from datetime import datetime, timedelta
from pathlib import Path

from cryptography import x509
from cryptography.hazmat.primitives import serialization
from cryptography.hazmat.primitives.asymmetric import ec

from edge_agent.domain.clock import Clock, Instant, SystemClock
from edge_agent.wire.enrollment import Token
from edge_agent.wire.identity import SpiffeId, load_certificate, signing_request
from port_gateway.authority import create_authority
from port_gateway.config import Enroll, Settings
from port_gateway.enrollment import new_token
from tests.integration.keys.booth_at_port import BOOTH
from tests.integration.port_gateway.conftest import Port

LANE = SpiffeId.parse(BOOTH)


def present() -> datetime:
    """Asked at each use: a module is loaded minutes before its tests run."""
    return SystemClock().now().utc


class EnrollingPort(Port):
    """A port whose gateway has an authority of its own."""

    def settings(self) -> Settings:
        if not (self.folder / "ca" / "ca.key").exists():
            create_authority(self.folder / "ca", "uslrd", present() - timedelta(days=100), timedelta(days=3650))
        pair = {"key": self.folder / "ca" / "ca.key", "certificate": self.folder / "ca" / "ca.crt"}
        enroll = Enroll(listen="127.0.0.1:0", days=90, **pair)
        return super().settings().model_copy(update={"enroll": enroll})

    def write_config(self, listen: str = "127.0.0.1:0", limits: str = "{}") -> Path:
        path = super().write_config(listen, limits)
        enroll = "enroll: {listen: '127.0.0.1:0', key: ca/ca.key, certificate: ca/ca.crt}\n"
        path.write_text(path.read_text() + enroll)
        return path

    def token(self, booth: SpiffeId = LANE, valid: timedelta = timedelta(hours=1), clock: Clock | None = None) -> Token:
        settings, store = self.settings(), self.store()
        assert settings.enroll is not None
        authority = load_certificate(settings.enroll.certificate)
        try:
            return new_token(store, clock or SystemClock(), booth, valid, self.gateway.certificate, authority)
        finally:
            store.close()


def request(identity: SpiffeId = LANE, key: ec.EllipticCurvePrivateKey | None = None) -> bytes:
    pem = signing_request(key or ec.generate_private_key(ec.SECP256R1()), identity)
    return x509.load_pem_x509_csr(pem).public_bytes(serialization.Encoding.DER)


def enrolling(port: Port) -> str:
    assert port.running is not None
    return port.running.enroll_address


def openssl_verifies(authority: Path, certificate: Path) -> bool:
    command = ["openssl", "verify", "-CAfile", str(authority), str(certificate)]
    return subprocess.run(command, capture_output=True, check=False).returncode == 0


class Hours:
    """The real clock, so many hours off."""

    def __init__(self, hours: float) -> None:
        self._real, self._off = SystemClock(), timedelta(hours=hours)

    def now(self) -> Instant:
        real = self._real.now()
        return replace(real, utc=real.utc + self._off)

    def monotonic(self) -> float:
        return self._real.monotonic()
