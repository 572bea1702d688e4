"""Settings of a gateway whose receipts witnesses cosign.

witnesses:
  policy: keys/witnesses.policy     # C2SP tlog-policy, each witness with its URL (wire/witness_policy.py)
  every_min: 10
"""

from ipaddress import ip_address
from pathlib import Path
from typing import Annotated
from urllib.parse import urlsplit

from pydantic import BaseModel, ConfigDict, Field

from edge_agent.domain.errors import SettingsInvalid, StoreFailed
from edge_agent.wire.witness_policy import MAX_POLICY_BYTES, Policy, PolicyInvalid, Witness, read_policy


class Witnesses(BaseModel):
    """Whom the gateway asks to cosign its receipts. Of each chain that has grown, once in `every_min`."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    policy: Path
    every_min: Annotated[float, Field(gt=0, le=10_080)] = 10.0
    timeout_s: Annotated[float, Field(gt=0, le=60)] = 10.0


def load_policy(path: Path) -> Policy:
    """A policy file. Raises SettingsInvalid, StoreFailed."""
    try:
        with path.open("rb") as file:
            return read_policy(file.read(MAX_POLICY_BYTES + 1))
    except OSError as error:
        raise StoreFailed(f"{path}: cannot be read: {error.strerror}", "check the path of the policy") from None
    except PolicyInvalid as error:
        raise SettingsInvalid(f"{path}: {error.wrong}", error.remedy) from None


def asked(path: Path) -> Policy:
    """The policy of a gateway: every witness can be asked. Raises SettingsInvalid, StoreFailed."""
    policy = load_policy(path)
    if not policy.witnesses:
        raise SettingsInvalid(f"{path}: names no witness", "name one, or leave `witnesses` out of the settings")
    for witness in policy.witnesses.values():
        wrong = _wrong_address(witness)
        if wrong:
            raise SettingsInvalid(f"{path}: witness {witness.name}: {wrong}", "give its https:// address")
    return policy


def _wrong_address(witness: Witness) -> str:
    try:
        parts = urlsplit(witness.url)
        host, port = parts.hostname or "", parts.port
    except ValueError:
        return "no address"
    if parts.scheme not in ("http", "https") or not host or port == 0 or "@" in parts.netloc or parts.query:
        return "no address that can be asked" if witness.url else "no address"
    if not witness.url.isascii() or not witness.url.isprintable() or parts.fragment:
        return "no address that can be asked"
    return "" if parts.scheme == "https" or is_loopback(host) else "http:// is for a witness on this machine alone"


def is_loopback(host: str) -> bool:
    """Whether nobody else hears what is said to this host."""
    try:
        return host == "localhost" or ip_address(host).is_loopback
    except ValueError:
        return False
