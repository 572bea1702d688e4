"""The `identity` section of a booth's settings, and what can be wrong with keys and certificates."""

from collections.abc import Iterator
from pathlib import Path

from pydantic import BaseModel, ConfigDict, Field

from edge_agent.domain.errors import EdgeAgentError
from edge_agent.ledger.pkcs11_key import TokenUnavailable
from edge_agent.ledger.signer import open_signer
from edge_agent.settings_file import Mistake
from edge_agent.wire.identity import Role, certificate_key, identity_of, key_id, load_certificate


class IdentitySettings(BaseModel):
    """Who this booth is: the device key (a path, `file:…` or `pkcs11:…`), and its certificate.

    `session_h`: a session is followed by another when it is so many hours old.
    """

    model_config = ConfigDict(extra="forbid", frozen=True)

    key: str
    certificate: Path
    # The port keeps every opening for ever: none more often than once an hour. Beyond a week none is short-lived.
    session_h: float = Field(default=24.0, ge=1, le=168)


_ASK = "ask the port's operator for its gateway's certificate"


def key_id_of(certificate: Path) -> str:
    """The key id of a certificate file. Raises IdentityInvalid."""
    return key_id(certificate_key(load_certificate(certificate)))


def identity_mistakes(identity: dict[str, object], folder: Path, files: bool) -> Iterator[Mistake]:
    """What is wrong with the booth's own key and certificate. Without `files` a token may come later."""
    key, certificate = identity.get("key"), identity.get("certificate")
    pair = own = None
    if isinstance(certificate, str):
        try:
            booth = load_certificate(folder / certificate)
            name, pair = identity_of(booth), key_id_of(folder / certificate)
            if name.role is not Role.BOOTH:
                wrong = f"{name} is no booth"
                yield Mistake(("identity", "certificate"), wrong, "make one with `edge-agent keys init`")
        except EdgeAgentError as error:
            yield Mistake(("identity", "certificate"), error.wrong, error.remedy)
    if isinstance(key, str):
        try:
            own = open_signer(key, folder, pair).key_id
        except TokenUnavailable as error:
            if files:
                yield Mistake(("identity", "key"), error.wrong, error.remedy)
        except EdgeAgentError as error:
            yield Mistake(("identity", "key"), error.wrong, error.remedy)
    if pair and own and pair != own:
        wrong = "the key and the certificate do not belong together"
        yield Mistake(("identity", "key"), wrong, "give both files of one `keys init`")


def gateway_mistakes(uplink: dict[str, object], folder: Path) -> Iterator[Mistake]:
    """What is wrong with the gateway's certificate."""
    certificate = uplink.get("gateway_certificate")
    if not isinstance(certificate, str):
        return
    try:
        gateway = identity_of(load_certificate(folder / certificate))
    except EdgeAgentError as error:
        yield Mistake(("uplink", "gateway_certificate"), error.wrong, f"check the path, or {_ASK}")
        return
    if gateway.role is not Role.GATEWAY:
        yield Mistake(("uplink", "gateway_certificate"), f"{gateway} is no gateway", _ASK)
