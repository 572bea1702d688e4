"""Writes what is held on one plate: a page for the person who asked, the same for programs, and the evidence."""

import hashlib
import json
from collections.abc import Callable
from html import escape
from pathlib import Path

from edge_agent.domain.counted import counted
from edge_agent.domain.errors import Permanent, StoreFailed
from edge_agent.pack.about import HANDED_OUT, WITHHELD, About, as_json, shown
from edge_agent.pack.words import kind_in_words, utc_in_words

_ENDINGS = {"image/jpeg": ".jpg", "image/png": ".png", "text/csv": ".csv", "application/xml": ".xml"}
_STYLE = (
    "body{font:16px/1.5 sans-serif;max-width:60em;margin:2em auto;padding:0 1em}"
    "td,th{text-align:left;padding:.2em .6em}"
)
_HEAD = """<!DOCTYPE html>
<html lang="en"><head><meta charset="utf-8"><title>What is held on one plate</title><style>{style}</style></head><body>
<h1>What is held on the plate {plate}</h1>
<p>{count} of {inspections} passages. It was looked up at {place}. How long each kind is kept, and why, is said in the
privacy page of the port (docs/privacy.md of edge-agent).</p>
"""


def write_about(found: About, out: Path, place: str) -> Path:
    """The folder `out`: README.html, about.json, evidence; and near.json, which is not for handing out.

    Raises Permanent when it exists, StoreFailed when it cannot be written.
    """
    if out.exists():
        raise Permanent(f"{out} exists already", "give another name")
    try:
        (out / "evidence").mkdir(parents=True, mode=0o700)
        copied = {}
        for piece in found.pieces.values():
            if isinstance(piece.place, Path) and piece.kind in HANDED_OUT:
                data = piece.place.read_bytes()
                if hashlib.sha256(data).digest() == piece.sha256:
                    name = f"evidence/{piece.sha256.hex()}{_ENDINGS.get(piece.media_type, '')}"
                    _write(out / name, data)
                    copied[piece.sha256] = name
        _write(out / "about.json", json.dumps(as_json(found, handed_out=True), indent=1).encode())
        if found.near:
            near = {"note": "may be of other vehicles: not for handing out", "near": found.near}
            _write(out / "near.json", json.dumps(near, indent=1).encode())
        _write(out / "README.html", _page(found, copied, place).encode())
    except OSError as error:
        raise StoreFailed(f"{out}: cannot be written: {error.strerror}", "choose another place") from None
    return out


def _write(path: Path, data: bytes) -> None:
    path.touch(mode=0o600)
    path.write_bytes(data)


def _page(found: About, copied: dict[bytes, str], place: str) -> str:
    count = counted(len(found.events), "event")
    parts = [
        _HEAD.format(
            style=_STYLE,
            plate=escape(found.plate),
            count=count,
            inspections=len(found.inspections),
            place=escape(place),
        )
    ]
    parts += [f"<p>Announced to the port: {escape(words)}</p>" for words in found.expected]
    parts += [f"<p>Not looked through: {escape(words)}</p>" for words in found.unsearched]
    for held in found.events:
        rows = "".join(f"<tr><th>{escape(a)}</th><td>{escape(b)}</td></tr>" for a, b in shown(held))
        head = f"{utc_in_words(held.event.at)}, event {held.seq} of {held.booth_id}"
        parts.append(f"<h2>{escape(head)}</h2><table>{rows}</table>")
    parts.append("<h2>Pictures and measurements</h2>")
    for piece in found.pieces.values():
        name, words = copied.get(piece.sha256), escape(f"{kind_in_words(piece.kind)}, {piece.size:,} bytes")
        if name is None:
            why = piece.place if isinstance(piece.place, str) else WITHHELD
            parts.append(f"<p>{words}: {escape(why)}. Fingerprint <code>{piece.sha256.hex()}</code></p>")
        elif piece.media_type.startswith("image/"):
            parts.append(f'<p><img src="{name}" alt="{words}"><br>{words}</p>')
        else:
            parts.append(f'<p><a href="{name}">{words}</a></p>')
    return "\n".join([*parts, "</body></html>\n"])


def in_text(found: About) -> str:
    """For a terminal: of the person who answers, with what may be of other vehicles."""
    lines = [
        f"{counted(len(found.inspections), 'inspection')}, {counted(len(found.events), 'event')}, "
        f"{counted(len(found.pieces), 'piece of evidence')}"
    ]
    for held in found.events:
        says = shown(held)
        first = says[0][1] if len(says) == 1 else "the vehicle's record:"
        lines.append(f"{utc_in_words(held.event.at)}  {held.booth_id} event {held.seq}: {first}")
        lines += [f"    {name:<22} {value}" for name, value in says if len(says) > 1]
    for piece in found.pieces.values():
        state = "held" if isinstance(piece.place, Path) else piece.place
        lines.append(f"  {piece.sha256.hex()}  {piece.kind}: {state}")
    lines += [f"expected: {words}" for words in found.expected]
    lines += [f"not looked through: {words}" for words in found.unsearched]
    lines += ["reads that resemble it, and may be of other vehicles:"] * bool(found.near)
    return _printable("\n".join(lines + [f"  {words}" for words in found.near]))


def _printable(text: str) -> str:
    return "".join(c if c.isprintable() or c == "\n" else "·" for c in text)


def purpose(reason: str, plate: str, normalised: Callable[[str], str]) -> str:
    """Why somebody asks, for the log, which never holds a plate. Raises Permanent."""
    words = " ".join(reason.split())
    if not words or len(words) > 300 or not words.isprintable():
        raise Permanent("--reason says nothing", "say why, in at most 300 characters: the number of the request")
    if plate in normalised(words):
        raise Permanent("--reason names the plate", "name the request: what is logged stays, and holds no plate")
    return words
