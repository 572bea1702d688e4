"""The `console` section of a booth's settings: where its page is served, and to whom. Without it there is no page."""

import ipaddress
import re
import zoneinfo
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Annotated, Literal

from pydantic import AfterValidator, BaseModel, ConfigDict, Field

from edge_agent.console.feed import MAX_PATH_BYTES, SOCKET
from edge_agent.console.passwords import Hashed, PasswordInvalid
from edge_agent.settings_file import Mistake, read_settings

_LISTEN = re.compile(r"(\[[0-9A-Fa-f:.]+\]|[0-9.]+):([0-9]{1,5})")
_NAME = re.compile(r"[a-z0-9]([a-z0-9.-]{0,250}[a-z0-9])?")


def _listen(text: str) -> str:
    match = _LISTEN.fullmatch(text)
    try:
        if match is None or int(match[2]) > 65_535:
            raise ValueError
        ipaddress.ip_address(match[1].strip("[]"))
    except ValueError:
        raise ValueError("must be ADDRESS:PORT with an IP address of this computer, as 127.0.0.1:8780") from None
    return text


def _name(text: str) -> str:
    if not _NAME.fullmatch(text.lower()):
        raise ValueError("must be a host name, without scheme and port")
    return text.lower()


def _zone(text: str) -> str:
    try:
        zoneinfo.ZoneInfo(text)
    except (zoneinfo.ZoneInfoNotFoundError, ValueError, OSError):
        raise ValueError("must be a time zone of this computer, as America/Chicago") from None
    return text


class ConsoleSettings(BaseModel):
    """The booth's page. By default on this computer alone, without a password."""

    model_config = ConfigDict(extra="forbid", frozen=True, allow_inf_nan=False)

    listen: Annotated[str, AfterValidator(_listen)] = "127.0.0.1:8780"
    # Host names that browsers call it by, beside the address.
    names: list[Annotated[str, AfterValidator(_name)]] = Field(default=[], max_length=16)
    # Made by `edge-agent console set-password`.
    password_file: Path | None = None
    # TLS: this computer's own certificate with its chain, and its key (PEM).
    certificate: Path | None = None
    key: Path | None = None
    # Authorities (PEM) whose certificates a browser must show.
    clients: Path | None = None
    # How long a log-in lasts: a shift.
    session_hours: float = Field(default=12.0, gt=0, le=168)
    # Of the times of day on the page.
    time_zone: Annotated[str, AfterValidator(_zone)] = "UTC"
    # Where the browser asks for neither.
    language: Literal["en", "es"] = "en"

    @property
    def address(self) -> tuple[str, int]:
        """Address and port."""
        host, _, port = self.listen.rpartition(":")
        return host.strip("[]"), int(port)

    @property
    def is_loopback(self) -> bool:
        return ipaddress.ip_address(self.address[0]).is_loopback

    @property
    def is_wildcard(self) -> bool:
        return ipaddress.ip_address(self.address[0]).is_unspecified


@dataclass(frozen=True, slots=True)
class ConsoleSetup:
    """What the page's own process needs. It opens no key of the booth's."""

    settings: ConsoleSettings
    folder: Path
    ledger: Path


class _Ledger(BaseModel):
    directory: Path


class _File(BaseModel):
    """The part of the settings file that concerns the page; `edge-agent check` looks at all of it."""

    ledger: _Ledger
    console: ConsoleSettings | None = None


def read_console(path: Path, *, files: bool = True) -> ConsoleSetup:
    """The page's part of a booth's settings; without `files`, those that it names need not be there.

    Raises SettingsInvalid.
    """
    folder = path.resolve().parent

    def further(values: object) -> Iterator[Mistake]:
        section = values.get("console") if isinstance(values, dict) else None
        if section is None:
            wrong = "this booth has no page: the section is not there"
            yield Mistake(("console",), wrong, "add `console: {}` for one on this computer alone (docs/console.md)")
        elif isinstance(section, dict):
            yield from console_mistakes(values, folder, files)

    checked = read_settings(path, _File, further, "docs/console.md")
    assert checked.console is not None  # noqa: S101 - said above
    return ConsoleSetup(checked.console, folder, folder / checked.ledger.directory)


def console_mistakes(values: object, folder: Path, files: bool) -> Iterator[Mistake]:
    """What is wrong with the section as a whole; with `files`, with the files that it names too."""
    whole = values if isinstance(values, dict) else {}
    section = whole.get("console")
    if not isinstance(section, dict):
        return
    try:
        settings = ConsoleSettings.model_validate(section)
    except ValueError:
        return  # said of each setting
    yield from _open_doors(settings)
    if (settings.certificate is None) != (settings.key is None):
        yield Mistake(("console",), "certificate and key go together", "give both, or none")
    if settings.clients is not None and settings.certificate is None:
        wrong = "browsers can show a certificate over TLS only"
        yield Mistake(("console", "clients"), wrong, "give certificate and key of this computer, too")
    ledger = whole.get("ledger")
    directory = ledger.get("directory") if isinstance(ledger, dict) else None
    if isinstance(directory, str) and len(bytes(folder / directory / SOCKET)) > MAX_PATH_BYTES:
        wrong = f"the path of its socket, {folder / directory / SOCKET}, is longer than {MAX_PATH_BYTES} bytes"
        yield Mistake(("console",), wrong, "put the ledger into a folder with a shorter path")
    if files:
        yield from _files(settings, folder)


def _open_doors(settings: ConsoleSettings) -> Iterator[Mistake]:
    place = ("console", "listen")
    if settings.is_loopback:
        return
    if settings.certificate is None:
        wrong = f"{settings.listen} can be reached from other computers, and there is no TLS"
        yield Mistake(place, wrong, "give `certificate` and `key`, or listen on 127.0.0.1")
    if settings.password_file is None and settings.clients is None:
        wrong = f"{settings.listen} can be reached from other computers, and anybody may look"
        yield Mistake(place, wrong, "give `password_file` or `clients`, or listen on 127.0.0.1")
    if settings.is_wildcard and not settings.names:
        wrong = f"{settings.listen} is no address that a browser calls"
        yield Mistake(place, wrong, "say by which names or addresses it is called: names")


def _files(settings: ConsoleSettings, folder: Path) -> Iterator[Mistake]:
    for name in ("certificate", "key", "clients"):
        path: Path | None = getattr(settings, name)
        if path is not None and not (folder / path).is_file():
            yield Mistake(("console", name), f"{folder / path} is not there", "correct the path, or make the file")
    if settings.password_file is not None:
        try:
            Hashed.read(folder / settings.password_file)
        except PasswordInvalid as error:
            yield Mistake(("console", "password_file"), error.wrong, error.remedy)
