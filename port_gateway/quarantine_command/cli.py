"""`port-gateway quarantine list|show|release`: events whose content this gateway could not read."""

import argparse
import contextlib
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

from google.protobuf.message import DecodeError
from google.protobuf.unknown_fields import UnknownFieldSet

from edge_agent.domain.clock import SystemClock
from edge_agent.domain.errors import EdgeAgentError
from edge_agent.wire.envelope import read_envelope
from edge_agent.wire.quarantine import MAX_QUARANTINED_BYTES
from edge_agent.wire.v1alpha1.event_pb2 import Event, EventLink
from port_gateway.config import read_config
from port_gateway.quarantine import Kept, read_kept, read_kept_envelope, read_quarantine, release
from port_gateway.store import Store, offline
from port_gateway.trust_command.cli import OK, add_config, count, show

NOT_READ = 1
_EPOCH = datetime(1970, 1, 1, tzinfo=UTC)


def add_quarantine(parser: argparse.ArgumentParser) -> None:
    """Adds `list`, `show` and `release`."""
    commands = parser.add_subparsers(required=True, metavar="COMMAND")
    every = commands.add_parser("list", help="what is in quarantine")
    add_config(every)
    every.add_argument("--all", action="store_true", help="also what was let out")
    every.add_argument("--json", action="store_true", help="print one JSON object an event")
    every.set_defaults(run=_list)
    one = commands.add_parser("show", help="one of them: why it is there, and what can be told of it")
    add_config(one)
    one.add_argument("cursor", type=count, metavar="CURSOR", help="as `list` names it")
    one.add_argument("--out", type=Path, metavar="FILE", help="write the envelope, byte for byte, to a new file")
    one.add_argument("--json", action="store_true", help="print a JSON object")
    one.set_defaults(run=_show)
    out = commands.add_parser(
        "release",
        help="let out what this version can read; works at once on a running gateway",
        description="After an upgrade: let out the events that this version of the gateway can read. Readers get them "
        "at new cursors, within 10 s on a running gateway. Ends with status 1 when some stay.",
    )
    add_config(out)
    out.add_argument("cursors", type=count, nargs="*", metavar="CURSOR", help="as `list` names them (default: all)")
    out.add_argument("--json", action="store_true", help="print one JSON object an event")
    out.set_defaults(run=_release)


def _list(options: argparse.Namespace) -> int:
    with offline(read_config(options.config).database) as db:
        nothing = True
        for one in read_quarantine(db, options.all):
            show(_facts(one), options.json, _line(one))
            nothing = False
    if nothing and not options.json:
        show({}, False, "nothing is in quarantine")
    return OK


def _show(options: argparse.Namespace) -> int:
    with offline(read_config(options.config).database) as db:
        kept, envelope = read_kept(db, options.cursor), read_kept_envelope(db, options.cursor)
    facts = {**_facts(kept), **_content(envelope)}
    if options.out is not None:
        try:
            with options.out.open("xb") as file:
                file.write(envelope)
        except OSError as error:
            raise EdgeAgentError(f"{options.out}: {error.strerror}", "choose another --out") from None
        facts["written_to"] = str(options.out)
    show(facts, options.json, "\n".join(f"{name:<16} {value}" for name, value in facts.items()))
    return OK


def _release(options: argparse.Namespace) -> int:
    clock = SystemClock()
    now_us = round(clock.now().utc.timestamp() * 1e6)
    with contextlib.closing(Store(read_config(options.config).database)) as store:
        stay = []
        for outcome in release(store, options.cursors, now_us):
            released = outcome.released_cursor
            said = f"let out at cursor {released}" if released is not None else f"STAYS: {outcome.why}"
            facts = {**_facts(outcome.kept), "released_cursor": released, "why": outcome.why}
            show(facts, options.json, f"{_place(outcome.kept)}  {said}")
            stay.append(released is None)
    if not stay and not options.json:
        show({}, False, "nothing is in quarantine")
    return NOT_READ if any(stay) else OK


def _facts(kept: Kept) -> dict[str, Any]:
    return {
        "cursor": kept.cursor,
        "booth_id": kept.booth_id,
        "epoch": kept.epoch.hex(),
        "seq": kept.seq,
        "code": kept.code,
        "detail": kept.detail,
        "sha256": kept.sha256.hex(),
        "bytes": kept.size,
        "received": (_EPOCH + timedelta(microseconds=kept.received_utc_us)).isoformat(),
        "released_cursor": kept.released_cursor,
    }


def _place(kept: Kept) -> str:
    return f"{kept.cursor:>8}  {kept.booth_id.rpartition('/')[2]} #{kept.seq}"


def _line(kept: Kept) -> str:
    out = "" if kept.released_cursor is None else f"  (let out at cursor {kept.released_cursor})"
    return f"{_place(kept)}  {kept.code}: {kept.detail}{out}"


def _content(envelope: bytes) -> dict[str, Any]:
    """What this version can tell: the fields of the event that it does not know, by number."""
    payload, _ = read_envelope(envelope, MAX_QUARANTINED_BYTES)
    fields = UnknownFieldSet(EventLink.FromString(payload))
    known = {field.number for field in Event.DESCRIPTOR.fields}
    others = sorted({fields[n].field_number for n in range(len(fields))} - known)
    try:
        event = Event.FromString(payload)
    except DecodeError:
        return {"payload_bytes": len(payload), "unknown_fields": others, "readable": False}
    return {"payload_bytes": len(payload), "unknown_fields": others, "readable": True, "id": event.id}
