"""Files of entries that people or programs bring: CSV and JSON, each entry with the line on which it begins.

What is wrong is said by line and column, never by what stands there: a list may be one that nobody else is to read, and
messages go to logs.
"""

import csv
import io
import json
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

from edge_agent.domain.counted import counted
from edge_agent.domain.errors import Permanent

FORMATS = ("csv", "json")
NOT_READABLE = "NOT_READABLE"
MAX_FILE_BYTES = 32 * 1024 * 1024

Entry = tuple[int, dict[str, object]]


@dataclass(frozen=True, slots=True)
class Shape:
    """What a file is of: the names that a CSV header may have and must have, and how much is taken."""

    names: Sequence[str]
    needed: Sequence[str]
    max_entries: int
    max_cell: int
    example: str


class FileRefused(Permanent):
    """A file that cannot be read as one of entries."""

    def __init__(self, path: Path, line: int, wrong: str, remedy: str) -> None:
        place = f"{path}:{line}" if line else str(path)
        super().__init__(f"{place}: {NOT_READABLE}: {wrong}", remedy)


def entries(path: Path, form: str, shape: Shape) -> list[Entry]:
    """The file's entries by their lines. `form` is csv, json, or '' to tell by the name. Raises FileRefused.

    The names in a JSON object are whatever stands there: who takes the entry looks at them.
    """
    form = form or path.suffix.lower().lstrip(".")
    if form not in FORMATS:
        raise FileRefused(path, 0, "its name ends in neither .csv nor .json", "say which it is: --format csv")
    text = _text(path)
    found = []
    for entry in _csv(path, text, shape) if form == "csv" else _json(path, text, shape):
        found.append(entry)
        if len(found) > shape.max_entries:
            raise FileRefused(path, entry[0], f"more than {shape.max_entries} entries", "cut it into several")
    if not found:
        raise FileRefused(path, 0, "there is no entry in it", "nothing was changed")
    return found


def _text(path: Path) -> str:
    try:
        with path.open("rb") as file:
            data = file.read(MAX_FILE_BYTES + 1)
    except OSError as error:
        raise FileRefused(path, 0, f"{error.strerror}", "give a file that this user may read") from None
    if len(data) > MAX_FILE_BYTES:
        raise FileRefused(path, 0, f"more than {MAX_FILE_BYTES} bytes", "cut it into several")
    try:
        return data.decode("utf-8-sig")
    except UnicodeDecodeError as error:
        line = data.count(b"\n", 0, error.start) + 1
        raise FileRefused(path, line, "this is no UTF-8", "save it as UTF-8") from None


def _csv(path: Path, text: str, shape: Shape) -> Iterator[Entry]:
    """A header with the fields' names, then a line an entry; `,` or `;` between cells."""
    first = text.split("\n", 1)[0]
    delimiter = ";" if ";" in first and "," not in first else ","
    csv.field_size_limit(shape.max_cell)
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
                names = _header(path, begins, [cell.lower() for cell in cells], shape)
            elif len(cells) != len(names):
                wrong = f"{counted(len(cells), 'cell')}, the header has {len(names)}"
                raise FileRefused(path, begins, wrong, "quote a cell that holds the delimiter")
            else:
                yield begins, {name: cell for name, cell in zip(names, cells, strict=True) if cell}
    except csv.Error as error:
        raise FileRefused(path, line, f"no CSV: {error}", "see RFC 4180; a quote opens and closes a cell") from None


def _header(path: Path, line: int, names: list[str], shape: Shape) -> list[str]:
    unknown = [str(column) for column, name in enumerate(names, 1) if name not in shape.names]
    lacking = [name for name in shape.needed if name not in names]
    wrong = [f"no name is known of column {', '.join(unknown[:20])}"] if unknown else []
    wrong += [f"there is no column {', '.join(lacking)}"] if lacking else []
    if not unknown and len(set(names)) < len(names):
        wrong.append("a column stands there twice")
    if wrong:
        others = ", ".join(name for name in shape.names if name not in shape.needed)
        remedy = f"{', '.join(shape.needed)} and, each at most once, of {others}"
        raise FileRefused(path, line, f"the header: {'; '.join(wrong)}", remedy)
    return names


def _json(path: Path, text: str, shape: Shape) -> Iterator[Entry]:
    """An array of objects."""
    decoder = json.JSONDecoder(object_pairs_hook=_once, parse_constant=_no_number)
    position, line, counted = _blank(text, 0), 1, 0
    if text[position : position + 1] != "[":
        raise FileRefused(path, _line(text, position), "no JSON array", f"write [{shape.example}]")
    position = _blank(text, position + 1)
    try:
        while text[position : position + 1] != "]":
            line, counted = line + text.count("\n", counted, position), position
            begins = line
            value, position = decoder.raw_decode(text, position)
            if not isinstance(value, dict):
                raise FileRefused(path, begins, "this is no object", f"an object for each entry: {shape.example}")
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
