"""Files that a source's settings name, and who may reach it."""

import ipaddress
import ssl
from pathlib import Path
from typing import Annotated, Self

from pydantic import AfterValidator, BaseModel, ConfigDict, ValidationInfo, model_validator

from edge_agent.domain.errors import LinkDown


def _beside_the_settings(path: Path, info: ValidationInfo) -> Path:
    folder = (info.context or {}).get("folder")
    return folder / path if isinstance(folder, Path) else path


def checks_files(info: ValidationInfo) -> bool:
    """Whether what the settings name must be there: when a booth's file is judged; not of a capture's."""
    return bool((info.context or {}).get("files"))


# Relative to the folder of the booth's settings file.
Place = Annotated[Path, AfterValidator(_beside_the_settings)]


class TlsSettings(BaseModel):
    """The agent's certificate; with `client_ca` only clients with a certificate by one of these authorities connect."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    certificate: Place
    key: Place
    client_ca: Place | None = None

    @model_validator(mode="after")
    def _can_be_used(self, info: ValidationInfo) -> Self:
        if checks_files(info):
            try:
                tls_context(self)
            except LinkDown as error:
                raise ValueError(f"{error.wrong}: {error.remedy}") from None
        return self


def tls_context(settings: TlsSettings) -> ssl.SSLContext:
    """For a server. Raises LinkDown, naming the file that cannot be used."""
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.minimum_version = ssl.TLSVersion.TLSv1_2
    try:
        context.load_cert_chain(settings.certificate, settings.key)
    except (OSError, ssl.SSLError) as error:
        raise LinkDown(
            f"the certificate {settings.certificate} with the key {settings.key} cannot be used: {_why_not(error)}",
            "give both as PEM files that belong together and that the agent's user can read",
        ) from None
    if settings.client_ca is not None:
        try:
            context.load_verify_locations(settings.client_ca)
        except (OSError, ssl.SSLError) as error:
            raise LinkDown(
                f"the clients' authorities {settings.client_ca} cannot be used: {_why_not(error)}",
                "give a PEM file that the agent's user can read",
            ) from None
        context.verify_mode = ssl.CERT_REQUIRED
    return context


def _why_not(error: OSError) -> str:
    """OpenSSL gives its reason as a constant's name, and the system the number with its words."""
    if isinstance(error, ssl.SSLError):
        return (error.reason or "no PEM").replace("_", " ").lower()
    return error.strerror or str(error)


def is_loopback(host: str) -> bool:
    """Whether only this computer reaches a server that listens on `host`."""
    if host == "localhost":
        return True
    try:
        return ipaddress.ip_address(host).is_loopback
    except ValueError:
        return False
