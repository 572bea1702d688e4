"""Files of watch-list entries, CSV and JSON: each entry with the line or place on which it stands. Messages name lines
and fields, never what stands in them: they may go to a log."""

import csv
import io
import json
from collections.abc import Iterator
from datetime import datetime
from pathlib import Path

from edge_agent.domain.errors import Permanent
from edge_agent.domain.finding import Recommendation, Severity
from port_gateway.watch_list import Entry, new_id

MAX_FILE_BYTES = 32 * 1024 * 1024
MAX_ENTRIES = 100_000
FIELDS = ("id", "kind", "text", "tell", "severity", "recommends", "until")
NEEDED = ("kind", "text", "tell")
_MAX_CELL = 1024


class FileRefused(Permanent):
    """A file that cannot be read as a watch list."""


def entries(path: Path) -> list[tuple[str, Entry]]:
    """The file's entries with their places. Raises FileRefused at the first that is none."""
    try:
        with path.open("rb") as file:
            data = file.read(MAX_FILE_BYTES + 1)
    except OSError as error:
        raise FileRefused(f"{path}: {error.strerror}", "give a file that this user may read") from None
    if len(data) > MAX_FILE_BYTES:
        raise FileRefused(f"{path}: more than {MAX_FILE_BYTES} bytes", "cut it into several")
    readers = {".csv": _csv, ".json": _json}
    if path.suffix.lower() not in readers:
        raise FileRefused(f"{path}: neither .csv nor .json", "name it for what it is")
    try:
        text = data.decode("utf-8-sig")
    except UnicodeDecodeError:
        raise FileRefused(f"{path}: this is no UTF-8", "save it as UTF-8") from None
    found: list[tuple[str, Entry]] = []
    for where, values in readers[path.suffix.lower()](path, text):
        found.append((where, entry_of(where, values)))
        if len(found) > MAX_ENTRIES:
            raise FileRefused(f"{path}: more than {MAX_ENTRIES} entries", "cut it into several")
    if not found:
        raise FileRefused(f"{path}: there is no entry in it", "nothing was changed")
    return found


def _csv(path: Path, text: str) -> Iterator[tuple[str, dict[str, object]]]:
    csv.field_size_limit(_MAX_CELL)
    reader = csv.reader(io.StringIO(text, newline=""), strict=True)
    names: list[str] | None = None
    try:
        for row in reader:
            where, cells = f"{path}:{reader.line_num}", [cell.strip() for cell in row]
            if not any(cells):
                continue
            if names is None:
                names = [cell.lower() for cell in cells]
            elif len(cells) != len(names):
                raise FileRefused(
                    f"{where}: {len(cells)} cells, the header has {len(names)}", "quote cells with commas"
                )
            else:
                yield where, {name: cell for name, cell in zip(names, cells, strict=True) if cell}
    except csv.Error as error:
        raise FileRefused(f"{path}:{reader.line_num}: no CSV: {error}", "see RFC 4180") from None


def _json(path: Path, text: str) -> Iterator[tuple[str, dict[str, object]]]:
    try:
        values = json.loads(text)
    except (ValueError, RecursionError):
        raise FileRefused(f"{path}: this is no JSON", "an array of objects") from None
    if not isinstance(values, list):
        raise FileRefused(f"{path}: no array", "an array of objects, one an entry")
    for number, one in enumerate(values, 1):
        if not isinstance(one, dict):
            raise FileRefused(f"{path}: entry {number} is no object", "an array of objects, one an entry")
        yield f"{path}: entry {number}", one


def entry_of(where: str, values: dict[str, object]) -> Entry:
    """One entry from its fields. Raises FileRefused."""
    unknown = [name for name in values if name not in FIELDS]
    if unknown:
        raise FileRefused(f"{where}: {len(unknown)} fields that there are not", f"there are: {', '.join(FIELDS)}")
    texts = {name: value for name, value in values.items() if isinstance(value, str)}
    lacking = [name for name in NEEDED if not texts.get(name)]
    if lacking or len(texts) != len(values):
        what = f"without {', '.join(lacking)}" if lacking else "a field that is no text"
        raise FileRefused(f"{where}: {what}", "every entry says kind, text and tell, each a text")
    try:
        severity = Severity(texts.get("severity", Severity.ALARM))
        recommends = Recommendation(texts.get("recommends", Recommendation.HOLD))
        until = _until(texts.get("until", ""))
    except ValueError:
        known = f"severity: {', '.join(Severity)}; recommends: {', '.join(Recommendation)}"
        raise FileRefused(
            f"{where}: severity, recommends or until", f"{known}; until: 2026-12-31T00:00+00:00, with its offset"
        ) from None
    id = texts.get("id") or new_id()
    return Entry(id, texts["kind"], texts["text"], texts["tell"], severity, recommends, until)


def _until(text: str) -> int | None:
    if not text:
        return None
    at = datetime.fromisoformat(text)
    if at.tzinfo is None:
        raise ValueError(text)
    return round(at.timestamp() * 1e6)
