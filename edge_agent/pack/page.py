"""README.html of an evidence pack: what was seen, when and by whom, and what verification proves, for a lawyer.

The prose is in page.html. The page needs nothing beside the files of the pack, and runs no script.
"""

from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from html import escape
from importlib.resources import files
from string import Template

from cryptography import x509

from edge_agent.domain.counted import counted
from edge_agent.pack.collect import RECEIPT, Contents, Piece, Proved, Witnessed
from edge_agent.pack.words import (
    accuracy_in_words,
    body_in_words,
    clock_in_words,
    kind_in_words,
    record_in_words,
    utc_in_words,
)
from edge_agent.wire.identity import certificate_key, identity_of, key_id
from edge_agent.wire.refused import RefusalCode
from edge_agent.wire.v1alpha1 import event_pb2 as wire

# The last moment that a date can show.
EPOCH, LAST_S = datetime(1970, 1, 1, tzinfo=UTC), 253_402_300_799
_PICTURES = ("image/jpeg", "image/png")


@dataclass(frozen=True, slots=True)
class Exporter:
    """Who puts the pack together and signs its manifest: the booth with its device key, or the port's gateway."""

    certificate: x509.Certificate
    sign: Callable[[bytes], bytes]
    version: str
    at: datetime


@dataclass(frozen=True, slots=True)
class Facts:
    """What is in the folder: files of evidence by digest, what is absent and why, certificates by file name."""

    evidence: Mapping[bytes, str]
    absent: Sequence[tuple[Piece, str]]
    certificates: Mapping[str, x509.Certificate]
    exporter: Exporter
    script_sha256: str


def page(contents: Contents, facts: Facts) -> bytes:
    """The whole page, UTF-8. Texts of devices are escaped."""
    inspection = _inspection(contents)
    record = "" if inspection is None else f"<h2>What was seen</h2>\n{_table(record_in_words(inspection))}"
    return (
        Template((files("edge_agent.pack") / "page.html").read_text())
        .substitute(
            title=escape(f"Inspection {contents.inspection_id}" if contents.inspection_id else "A single event"),
            epoch=contents.epoch.hex(),
            summary=escape(_summary(contents, inspection)),
            record=record,
            events=_events(contents.events),
            pieces=_pieces(contents.pieces, facts),
            version=escape(facts.exporter.version),
            script=facts.script_sha256,
            proves=_items(_proves(contents)),
            bound="" if contents.receipt else " No receipt of the port in this pack bounds the time.",
            unknown=_items(_unknown(facts)),
            revoked=_revoked(contents),
            warning=_warning(contents),
            exporter=escape(str(identity_of(facts.exporter.certificate))),
            at=f"{facts.exporter.at:%Y-%m-%d %H:%M:%S} UTC",
            keys=_keys(facts.certificates.values(), contents.keys),
        )
        .encode()
    )


def _summary(contents: Contents, inspection: wire.Inspection | None) -> str:
    if inspection is None:
        return f"What the inspection booth {contents.booth_id} recorded at one moment, and the proof of it."
    plate = (
        f"licence plate {inspection.plate.text}" if inspection.HasField("plate") else "no licence plate that was read"
    )
    return (
        f"A vehicle with {plate} passed lane {inspection.lane_id} of the inspection booth {contents.booth_id} from "
        f"{utc_in_words(inspection.opened)} to {utc_in_words(inspection.closed)} by the booth's clock."
    )


def _proves(contents: Contents) -> list[str]:
    said = []
    if contents.checkpoint is not None:
        said.append(
            f"These events are at their places in the booth's chain of {counted(contents.checkpoint.size, 'event')}. "
            "The booth signed the fingerprint of that whole chain (its Merkle root): an event that was added, moved or "
            "exchanged later would have changed it."
        )
    if contents.receipt is not None and contents.receipt.held is not None:
        unproved = [str(p.event.seq) for p in contents.events if RECEIPT not in p.proofs]
        but = f" (event {', '.join(unproved)} excepted)" if unproved else ""
        said.append(
            f"The port's gateway signed that it held the chain of {counted(contents.receipt.size, 'event')} at "
            f"{contents.receipt.held:%Y-%m-%d %H:%M:%S} UTC by the port's own clock: these events{but} "
            "existed by then, whatever the booth's clock says."
        )
    if contents.lost:
        said.append(
            f"{contents.lost} of the events of that chain were lost with a damaged ledger of the booth's, as its next "
            "ledger says. Nothing is known of them: the fingerprint has zeros in their places. The events shown here "
            "are not among them."
        )
    if contents.stamp is not None:
        stated = contents.stamp.token.accuracy_us
        accuracy = "whose accuracy it does not state" if stated is None else f"{accuracy_in_words(stated)} as it states"
        said.append(
            "A time-stamp authority, which belongs neither to the booth nor to the port, signed that it saw that "
            f"statement of the gateway's at {contents.stamp.at:%Y-%m-%d %H:%M:%S} UTC by its own clock, {accuracy}: "
            "the same events existed by then, even if booth and port had agreed on a wrong time. It does not say how "
            "long before. It signed under the root certificate "
            f"<code>{escape(contents.stamp.token.root_name)}</code> with the SHA-256 "
            f"<code>{contents.stamp.token.root_sha256}</code>: compare that with what the authority states."
        )
    if contents.witnessed is not None:
        said.append(_witnessed(contents.witnessed))
    return said


def _witnessed(witnessed: Witnessed) -> str:
    by = [cosignature.witness for cosignature in witnessed.cosignatures]
    named = [witness for witness in witnessed.policy.witnesses.values() if witness.key in by]
    enough = "enough" if witnessed.policy.satisfied(by) else "NOT enough"
    who = "; ".join(f"<code>{escape(str(one.witness))}</code> on {_second(one.at_s)}" for one in witnessed.cosignatures)
    return (
        f"{len(named)} of the {counted(len(witnessed.policy.witnesses), 'witness', 'witnesses')} of the port's "
        f"({enough} for its quorum) signed, beside the port, its statement over "
        f"{counted(witnessed.receipt.size, 'event')}: they saw this chain only grow, "
        "and signed no other version of it. Whoever trusts them need not trust that booth and port tell everybody the "
        "same. They saw fingerprints, no contents. By their own clocks, with their verifier keys: "
        f"{who}. Compare these keys with those that the witnesses state."
    )


def _second(at_s: int) -> str:
    return f"{EPOCH + timedelta(seconds=min(at_s, LAST_S)):%Y-%m-%d at %H:%M:%S} UTC"


def _warning(contents: Contents) -> str:
    """Of a revoked key, before anything else is read."""
    ended = [(keyid, state.split()) for keyid, state in contents.keys.items()]
    return "\n".join(
        f'<p class="note"><b>A key that signed here was revoked later.</b> The port counts what the key '
        f"<code>{keyid[:16]}…</code> signed through event {state[1]} of this ledger, and nothing after it. All "
        "events shown here are at or before that place. The port's operator knows why it was revoked.</p>"
        for keyid, state in ended
        if state[0] == RefusalCode.KEY_REVOKED.name
    )


def _revoked(contents: Contents) -> str:
    if "not-known" in contents.keys.values():
        return (
            "That a key had not been revoked when it signed: the booth, which put this pack together, cannot know. "
            "The port keeps the list of revoked keys: ask it for its own pack of this inspection."
        )
    return (
        "That no key will be revoked after this pack was put together. What the port had revoked until then is stated "
        "in the file KEYS and under Keys below; it rests on the word of the port's gateway."
    )


def _unknown(facts: Facts) -> list[str]:
    if not facts.absent:
        return []
    return [f"Anything about the evidence that is absent ({len(facts.absent)}), but its digest and size."]


def _events(events: Sequence[Proved]) -> str:
    return _rows(
        ("No.", "Time by the booth's clock", "What the booth recorded"),
        ((str(proved.event.seq), _at(proved.event.at), escape(body_in_words(proved.event))) for proved in events),
    )


def _at(at: wire.Instant) -> str:
    return f'{utc_in_words(at)}<br><span class="small">{escape(clock_in_words(at))}</span>'


def _pieces(pieces: Sequence[Piece], facts: Facts) -> str:
    why = {piece.ref.sha256: reason for piece, reason in facts.absent}
    shown = []
    for piece in pieces:
        ref, name = piece.ref, facts.evidence.get(piece.ref.sha256)
        kind = escape(kind_in_words(ref.kind))
        by = ", ".join(map(str, piece.events))
        what = f"{kind} ({escape(ref.media_type)}, {ref.size:,} bytes)"
        words = f"{what}, bound by event {by}; SHA-256 <code>{ref.sha256.hex()}</code>"
        if name is None:
            shown.append(f"<p><b>Absent:</b> {words}. Why: {escape(why[ref.sha256])}.</p>")
        elif ref.media_type in _PICTURES:
            picture = f'<a href="{name}"><img src="{name}" alt="{kind}"></a>'
            shown.append(f"<figure>{picture}<figcaption>{words}</figcaption></figure>")
        else:
            shown.append(f'<p>{words} (<a href="{name}">open</a>)</p>')
    return "\n".join(shown) or "<p>These events bind no evidence.</p>"


_STATES = {
    "in-force": "in force when this pack was put together",
    "not-known": "whether it was revoked is not known to the booth: ask the port",
    RefusalCode.KEY_REVOKED.name: "REVOKED: counts through event",
    RefusalCode.KEY_RETIRED.name: "handed over to the booth's next key by event",
}


def _state(state: str) -> str:
    words, *through = state.split()
    return " ".join([_STATES.get(words, ""), *through])


def _keys(certificates: Iterable[x509.Certificate], states: Mapping[str, str]) -> str:
    return _rows(
        ("Whose", "Key id (SHA-256 of the public key)", "Validity of the certificate", "The key's state"),
        (
            (
                f"<code>{escape(str(identity_of(certificate)))}</code>",
                f"<code>{key_id(certificate_key(certificate))}</code>",
                f"{certificate.not_valid_before_utc:%Y-%m-%d} to {certificate.not_valid_after_utc:%Y-%m-%d}",
                _state(states.get(key_id(certificate_key(certificate)), "-")),
            )
            for certificate in certificates
        ),
    )


def _inspection(contents: Contents) -> wire.Inspection | None:
    for proved in contents.events:
        closed = proved.event.inspection_closed.inspection
        if proved.event.WhichOneof("body") == "inspection_closed" and contents.inspection_id in ("", closed.id):
            return closed
    return None


def _table(rows: Iterable[tuple[str, str]]) -> str:
    body = "\n".join(f"<tr><th>{escape(name)}</th><td>{escape(value)}</td></tr>" for name, value in rows)
    return f"<table>\n{body}\n</table>"


def _rows(head: Sequence[str], rows: Iterable[Sequence[str]]) -> str:
    """Cells are HTML."""
    body = "\n".join("<tr>" + "".join(f"<td>{cell}</td>" for cell in row) + "</tr>" for row in rows)
    return f"<table>\n<tr>{''.join(f'<th>{cell}</th>' for cell in head)}</tr>\n{body}\n</table>"


def _items(texts: Iterable[str]) -> str:
    return "\n".join(f"<li>{text}</li>" for text in texts)
