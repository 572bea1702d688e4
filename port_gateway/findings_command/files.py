"""Files of watch-list entries. Messages name lines and fields, never what stands in them: they may go to a log."""

from datetime import datetime
from pathlib import Path

from edge_agent.domain.counted import counted
from edge_agent.domain.finding import Recommendation, Severity
from port_gateway import entry_files
from port_gateway.watch_list import Entry, EntryRefused, checked, new_id

NEEDED = ("kind", "text", "tell")
FIELDS = ("id", *NEEDED, "severity", "recommends", "until")
SHAPE = entry_files.Shape(FIELDS, NEEDED, 100_000, 1024, '{"kind": "plate", "text": "…", "tell": "…"}')


def entries(path: Path, form: str, now_us: int) -> list[Entry]:
    """The file's entries, each of which may be watched for now. Raises FileRefused, EntryRefused at the first that
    may not.
    """
    found = []
    for line, values in entry_files.entries(path, form, SHAPE):
        try:
            found.append(checked(entry_of(values), now_us))
        except EntryRefused as refused:
            raise EntryRefused(f"{path}:{line}: {refused.wrong}", refused.remedy) from None
    return found


def entry_of(values: dict[str, object]) -> Entry:
    """One entry from its fields. Raises EntryRefused."""
    unknown = [name for name in values if name not in FIELDS]
    if unknown:
        raise EntryRefused(f"{counted(len(unknown), 'unknown field')}", f"there are: {', '.join(FIELDS)}")
    texts = {name: value for name, value in values.items() if isinstance(value, str)}
    lacking = [name for name in NEEDED if not texts.get(name)]
    if lacking or len(texts) != len(values):
        what = f"without {', '.join(lacking)}" if lacking else "a field that is no text"
        raise EntryRefused(what, "every entry says kind, text and tell, each a text")
    try:
        severity = Severity(texts.get("severity", Severity.ALARM))
        recommends = Recommendation(texts.get("recommends", Recommendation.HOLD))
        until = _until(texts.get("until", ""))
    except (ValueError, OverflowError):
        known = f"severity: {', '.join(Severity)}; recommends: {', '.join(Recommendation)}"
        say = f"{known}; until: 2026-12-31T00:00+00:00, with its offset"
        raise EntryRefused("severity, recommends or until", say) from None
    return Entry(texts.get("id") or new_id(), texts["kind"], texts["text"], texts["tell"], severity, recommends, until)


def _until(text: str) -> int | None:
    if not text:
        return None
    at = datetime.fromisoformat(text)
    if at.tzinfo is None:
        raise ValueError(text)
    return round(at.timestamp() * 1e6)
