"""Files of expectations, CSV and JSON: each entry with the line on which it begins."""

import csv
import io
import json
from collections.abc import Iterator
from pathlib import Path

from edge_agent.domain.errors import Permanent
from edge_agent.domain.expected import ExpectationFault
from port_gateway.expect_command.given import FIELDS

# 20,000 entries take some 6 MB; an import is one transaction, and a running gateway waits for it.
MAX_FILE_BYTES = 32 * 1024 * 1024
MAX_ENTRIES = 20_000
FORMATS = ("csv", "json")
_MAX_CELL = 16_384

Entry = tuple[int, dict[str, object]]


class FileRefused(Permanent):
    """A file that cannot be read as one of expectations."""

    def __init__(self, path: Path, line: int, wrong: str, remedy: str) -> None:
        place = f"{path}:{line}" if line else str(path)
        super().__init__(f"{place}: {ExpectationFault.NOT_READABLE}: {wrong}", remedy)


def entries(path: Path, form: str) -> list[Entry]:
    """The file's entries by their lines. `form` is csv, json, or '' to tell by the name. Raises FileRefused."""
    form = form or path.suffix.lower().lstrip(".")
    if form not in FORMATS:
        raise FileRefused(path, 0, f"{path.suffix or 'no suffix'} is neither .csv nor .json", "say which: --format")
    try:
        with path.open("rb") as file:
            data = file.read(MAX_FILE_BYTES + 1)
    except OSError as error:
        raise FileRefused(path, 0, f"{error.strerror}", "give a file that this user may read") from None
    if len(data) > MAX_FILE_BYTES:
        raise FileRefused(path, 0, f"more than {MAX_FILE_BYTES} bytes", "cut it into several")
    try:
        text = data.decode("utf-8-sig")
    except UnicodeDecodeError as error:
        line = data.count(b"\n", 0, error.start) + 1
        raise FileRefused(path, line, "this is no UTF-8", "save it as UTF-8") from None
    found = []
    for entry in _csv(path, text) if form == "csv" else _json(path, text):
        found.append(entry)
        if len(found) > MAX_ENTRIES:
            raise FileRefused(path, entry[0], f"more than {MAX_ENTRIES} entries", "cut it into several")
    if not found:
        raise FileRefused(path, 0, "there is no entry in it", "nothing was changed")
    return found


def _csv(path: Path, text: str) -> Iterator[Entry]:
    """A header with the fields' names, then a line an expectation; `,` or `;` between them, `|` within one."""
    first = text.split("\n", 1)[0]
    delimiter = ";" if ";" in first and "," not in first else ","
    csv.field_size_limit(_MAX_CELL)
    reader = csv.reader(io.StringIO(text, newline=""), delimiter=delimiter, strict=True)
    names: list[str] | None = None
    line = 1
    try:
        for row in reader:
            begins, line = line, reader.line_num + 1
            cells = [cell.strip() for cell in row]
            if not any(cells):
                continue
            if names is None:
                names = _header(path, begins, [cell.lower() for cell in cells])
            elif len(cells) != len(names):
                wrong = f"{len(cells)} cells, the header has {len(names)}"
                raise FileRefused(path, begins, wrong, "quote a cell that holds the delimiter")
            else:
                yield begins, {name: cell for name, cell in zip(names, cells, strict=True) if cell}
    except csv.Error as error:
        raise FileRefused(path, line, f"no CSV: {error}", "see RFC 4180; a quote opens and closes a cell") from None


def _header(path: Path, line: int, names: list[str]) -> list[str]:
    unknown = sorted(set(names) - set(FIELDS))
    if unknown or "id" not in names or len(set(names)) < len(names):
        wrong = f"the header {','.join(names)[:200]!r}"
        raise FileRefused(path, line, wrong, f"id and, each at most once, of {', '.join(FIELDS[1:])}")
    return names


def _json(path: Path, text: str) -> Iterator[Entry]:
    """An array of objects."""
    decoder = json.JSONDecoder(object_pairs_hook=_once, parse_constant=_no_number)
    position, line, counted = _blank(text, 0), 1, 0
    if text[position : position + 1] != "[":
        raise FileRefused(path, _line(text, position), "no JSON array", 'write [{"id": "…", "plates": ["…"]}]')
    position = _blank(text, position + 1)
    try:
        while text[position : position + 1] != "]":
            line, counted = line + text.count("\n", counted, position), position
            begins = line
            value, position = decoder.raw_decode(text, position)
            if not isinstance(value, dict):
                raise FileRefused(path, begins, f"{str(value)[:80]!r} is no object", "an object for each expectation")
            yield begins, value
            position = _blank(text, position)
            if text[position : position + 1] == ",":
                position = _blank(text, position + 1)
            elif text[position : position + 1] != "]":
                raise FileRefused(path, _line(text, position), "neither , nor ]", "one object after the other")
    except json.JSONDecodeError as error:
        raise FileRefused(path, error.lineno, f"no JSON: {error.msg}", "correct it there") from None
    except (ValueError, RecursionError) as error:
        wrong = str(error)[:200] if isinstance(error, ValueError) else "nested too deep"
        raise FileRefused(path, _line(text, position), f"no JSON: {wrong}", "correct this entry") from None
    if text[_blank(text, position + 1) :]:
        raise FileRefused(path, _line(text, position + 1), "something stands behind the array", "take it out")


def _once(pairs: list[tuple[str, object]]) -> dict[str, object]:
    values = dict(pairs)
    if len(values) < len(pairs):
        raise ValueError("a name stands twice in one object")
    return values


def _no_number(text: str) -> object:
    raise ValueError(f"{text} is no number of JSON")


def _blank(text: str, position: int) -> int:
    while text[position : position + 1] in (" ", "\t", "\r", "\n") and position < len(text):
        position += 1
    return position


def _line(text: str, position: int) -> int:
    return text.count("\n", 0, position) + 1
