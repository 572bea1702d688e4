"""The settings of a witness, and its key.

name: witness.example/w1              # stands in every cosignature; never changes
key: witness.key                      # both made by `port-gateway witness init`
state: witness.sqlite
listen: 127.0.0.1:7447
tls: {certificate: w.crt, key: w.tls.key}      # needed unless it listens on loopback
logs:                                 # whose checkpoints it cosigns: `port-gateway witnesses CONFIG --log-key`
  - spiffe://uslrd/gateway/main+0a1b2c3d+Ajk…
"""

import os
import ssl
from pathlib import Path
from typing import Annotated

from cryptography.hazmat.primitives import serialization
from cryptography.hazmat.primitives.asymmetric import ed25519
from pydantic import BaseModel, ConfigDict, Field, field_validator, model_validator

from edge_agent.domain.errors import IdentityInvalid
from edge_agent.settings_file import read_settings
from edge_agent.wire.cosignature import COSIGNATURE, VerifierKey, check_name
from port_gateway.config_witnesses import is_loopback

_MAX_KEY_BYTES = 4096


class Tls(BaseModel):
    """The server's certificate chain and its key, both PEM."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    certificate: Path
    key: Path


class WitnessSettings(BaseModel):
    """A whole settings file."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    name: str
    key: Path
    state: Path
    listen: Annotated[str, Field(pattern=r"^(\[[0-9A-Fa-f:.]+\]|[A-Za-z0-9.-]+):[0-9]{1,5}$")]
    tls: Tls | None = None
    logs: Annotated[list[str], Field(min_length=1, max_length=1000)]

    @field_validator("name")
    @classmethod
    def _name(cls, value: str) -> str:
        try:
            check_name(value)
        except IdentityInvalid as error:
            raise ValueError(error.wrong) from None
        return value

    @field_validator("logs")
    @classmethod
    def _logs(cls, value: list[str]) -> list[str]:
        try:
            kinds = {VerifierKey.parse(text).kind for text in value}
        except IdentityInvalid as error:
            raise ValueError(error.wrong) from None
        if COSIGNATURE in kinds:
            raise ValueError("the key of a witness (type 0x04) is no log's")
        return value

    @model_validator(mode="after")
    def _protected(self) -> "WitnessSettings":
        if int(self.listen.rpartition(":")[2]) > 65_535:
            raise ValueError("listen: a port is at most 65535")
        if self.tls is None and not is_loopback(self.address[0]):
            raise ValueError("listen: without `tls` a witness listens on loopback alone")
        return self

    @property
    def address(self) -> tuple[str, int]:
        host, _, port = self.listen.rpartition(":")
        return host.strip("[]"), int(port)

    @property
    def known(self) -> list[VerifierKey]:
        return [VerifierKey.parse(text) for text in self.logs]

    def context(self) -> ssl.SSLContext | None:
        """Raises IdentityInvalid."""
        if self.tls is None:
            return None
        context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
        try:
            context.load_cert_chain(self.tls.certificate, self.tls.key)
        except (OSError, ssl.SSLError) as error:
            raise IdentityInvalid(f"{self.tls.certificate}: cannot be used: {error}", "check `tls`") from None
        return context


def read_witness(path: Path) -> WitnessSettings:
    """The settings of a file, with its paths resolved. Raises SettingsInvalid."""
    settings, folder = read_settings(path, WitnessSettings), path.resolve().parent
    placed: dict[str, object] = {"key": folder / settings.key, "state": folder / settings.state}
    if settings.tls is not None:
        placed["tls"] = Tls(certificate=folder / settings.tls.certificate, key=folder / settings.tls.key)
    return settings.model_copy(update=placed)


def make_key(path: Path) -> ed25519.Ed25519PrivateKey:
    """A new key in a file of mode 0600, durable on return. Raises IdentityInvalid, also when it is there already."""
    key = ed25519.Ed25519PrivateKey.generate()
    pem = key.private_bytes(serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8, serialization.NoEncryption())
    try:
        descriptor = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600)
        with os.fdopen(descriptor, "wb") as file:
            file.write(pem)
            file.flush()
            os.fsync(file.fileno())
    except OSError as error:
        raise IdentityInvalid(f"{path}: cannot be written: {error.strerror}", "choose another folder") from None
    return key


def load_key(path: Path) -> ed25519.Ed25519PrivateKey:
    """Raises IdentityInvalid, also when others may read it."""
    try:
        with path.open("rb") as file:
            mode, pem = os.fstat(file.fileno()).st_mode, file.read(_MAX_KEY_BYTES)
    except OSError as error:
        raise IdentityInvalid(f"{path}: cannot be read: {error.strerror}", "run `port-gateway witness init`") from None
    if mode & 0o077:
        raise IdentityInvalid(f"{path}: others may read this key (mode {mode & 0o777:04o})", f"chmod 600 {path}")
    try:
        key = serialization.load_pem_private_key(pem, password=None)
    except (ValueError, TypeError):
        key = None
    if not isinstance(key, ed25519.Ed25519PrivateKey):
        raise IdentityInvalid(f"{path}: no Ed25519 key in PEM form", "give the one of `port-gateway witness init`")
    return key
