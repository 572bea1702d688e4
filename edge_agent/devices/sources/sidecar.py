"""What a scanner's software writes beside a scan: a small JSON or XML file with its numbers."""

import json
from collections.abc import Iterable
from typing import Any
from xml.etree import ElementTree

from pydantic import BaseModel, ConfigDict, Field

from edge_agent.devices.sources.scan_file import Extension, Stated

# It goes into the reading's raw bytes, so that it is kept where its file is deleted.
SIDECAR_MAX_BYTES = 64 * 1024


class SidecarSettings(BaseModel):
    """Where the numbers stand: names joined by dots, `vehicle.plate`; in XML below the root, an attribute as `@name`.

    A number among the names picks from a JSON list. Namespaces of XML are left out.
    """

    model_config = ConfigDict(extra="forbid", frozen=True)

    suffixes: tuple[Extension, ...] = Field(default=(".json", ".xml"), min_length=1)
    scan: str = "scan_id"
    vehicle: str = "vehicle_number"
    taken: str = "taken"


def read_sidecar(data: bytes, settings: SidecarSettings) -> Stated:
    """What it states. Raises ValueError, in words, when it is neither JSON nor XML."""
    paths = (settings.scan, settings.vehicle, settings.taken)
    try:
        if data.lstrip(b"\xef\xbb\xbf \t\r\n").startswith((b"{", b"[")):
            found = [_in_json(json.loads(data), path.split(".")) for path in paths]
        else:
            parser = ElementTree.XMLParser(target=_NoDoctype())  # noqa: S314 - without a document type: no entities
            parser.feed(data)
            root = parser.close()
            found = [_in_xml(root, path.split(".")) for path in paths]
    except ElementTree.ParseError as error:
        raise ValueError(f"it is no XML: {error}") from None
    except RecursionError:
        raise ValueError("it is nested too deep") from None
    return Stated(*found)


class _NoDoctype(ElementTree.TreeBuilder):
    """Entities are declared in a document type, and may expand without bound."""

    def doctype(self, name: str, pubid: str | None, system: str | None) -> None:
        """Called by the parser at <!DOCTYPE."""
        raise ValueError("it has a document type, which is not read")


def _in_json(value: Any, path: Iterable[str]) -> str:
    for name in path:
        if isinstance(value, dict):
            value = value.get(name)
        elif isinstance(value, list) and name.isdecimal() and int(name) < len(value):
            value = value[int(name)]
        else:
            return ""
    return str(value) if isinstance(value, str | int | float) and not isinstance(value, bool) else ""


def _in_xml(element: ElementTree.Element, path: Iterable[str]) -> str:
    at: ElementTree.Element | None = element
    for name in path:
        if at is None:
            return ""
        if name.startswith("@"):
            return next((value for key, value in at.attrib.items() if _local(key) == name[1:]), "")
        at = next((child for child in at if _local(child.tag) == name), None)
    return (at.text or "") if at is not None else ""


def _local(name: str) -> str:
    return name.rpartition("}")[2]
