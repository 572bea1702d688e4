"""Which key of which hardware token: PKCS#11 URIs (RFC 7512), as far as a device key needs them. No input or output."""

from dataclasses import dataclass
from pathlib import Path
from urllib.parse import unquote, unquote_to_bytes

from edge_agent.domain.errors import IdentityInvalid

EXAMPLE = "pkcs11:token=booth;object=device?module-path=/usr/lib/softhsm/libsofthsm2.so&pin-source=file:/etc/booth/pin"
_PATH = {"token", "serial", "object", "id", "type"}
_QUERY = {"module-path", "pin-source"}


@dataclass(frozen=True, slots=True)
class KeyUri:
    """A private key in a token. `id` is CKA_ID, `object` CKA_LABEL; at least one of them is given."""

    module: Path
    pin_file: Path
    token: str | None
    serial: str | None
    object: str | None
    id: bytes | None

    @property
    def where(self) -> str:
        """The token, for people."""
        return f"token {self.token!r}" if self.token is not None else f"token with serial {self.serial!r}"

    @property
    def which(self) -> str:
        """The key within the token, for people."""
        label = [] if self.object is None else [repr(self.object)]
        return " ".join([*label, *([] if self.id is None else [f"id {self.id.hex()}"])])


def parse_key_uri(rest: str, folder: Path) -> KeyUri:
    """What stands behind `pkcs11:`; relative paths are taken from `folder`. Raises IdentityInvalid.

    No message repeats a value: somebody may have written a PIN where it does not belong.
    """
    path, _, query = rest.partition("?")
    given = _attributes(path, ";", _PATH) | _attributes(query, "&", _QUERY)
    for needed, why in (("module-path", "the token's PKCS#11 library"), ("pin-source", "the file with its PIN")):
        if needed not in given:
            raise _wrong(f"names no {needed}, {why}")
    if "token" not in given and "serial" not in given:
        raise _wrong("names neither token nor serial")
    if "object" not in given and "id" not in given:
        raise _wrong("names neither object nor id of the key")
    if given.get("type", "private") != "private":
        raise _wrong("names an object that is no private key")
    pin = unquote(given["pin-source"])
    if pin.startswith("|"):
        raise _wrong("has a program as pin-source, and only files are read")
    return KeyUri(
        module=folder / unquote(given["module-path"]),
        pin_file=folder / pin.removeprefix("file:").removeprefix("//"),
        token=unquote(given["token"]) if "token" in given else None,
        serial=unquote(given["serial"]) if "serial" in given else None,
        object=unquote(given["object"]) if "object" in given else None,
        id=unquote_to_bytes(given["id"]) if "id" in given else None,
    )


def _attributes(text: str, separator: str, known: set[str]) -> dict[str, str]:
    found: dict[str, str] = {}
    for part in filter(None, text.split(separator)):
        name, equals, value = part.partition("=")
        if name == "pin-value":
            raise _wrong("carries the PIN itself", "put the PIN into a file of mode 0400: pin-source=file:…")
        if not equals or name not in known:
            raise _wrong(f"has an attribute that is not known here; known are {', '.join(sorted(_PATH | _QUERY))}")
        if name in found:
            raise _wrong(f"names {name} twice")
        found[name] = value
    return found


def _wrong(what: str, remedy: str = f"write it as in RFC 7512, e.g. {EXAMPLE}") -> IdentityInvalid:
    return IdentityInvalid(f"the key's pkcs11: URI {what}", remedy)
