"""`port-gateway retention status|run|hold|release`: how long evidence is kept, and what must stay."""

import argparse
import contextlib
import getpass
from dataclasses import asdict
from typing import Any

from edge_agent.domain.clock import SystemClock
from edge_agent.domain.counted import counted
from edge_agent.domain.evidence import EvidenceKind
from port_gateway.clock_doubt import believe
from port_gateway.config import Settings, read_config
from port_gateway.evidence import EvidenceFiles
from port_gateway.retention import Retention
from port_gateway.retention_events import EventRetention
from port_gateway.retention_records import Status, hold, log_action, read_status, release
from port_gateway.store import Store, offline
from port_gateway.trust_command.cli import OK, add_config, show


def add_retention(parser: argparse.ArgumentParser) -> None:
    """Adds `status`, `run`, `hold` and `release`."""
    commands = parser.add_subparsers(required=True, metavar="COMMAND")
    status = commands.add_parser("status", help="what is kept, what was deleted, and what is held")
    add_config(status)
    status.add_argument("--json", action="store_true", help="print a JSON object")
    status.set_defaults(run=_status)
    run = commands.add_parser(
        "run",
        help="delete what is over now; the gateway may run meanwhile",
        description="Delete what is over by this machine's clock: whoever runs this says that the clock is right.",
    )
    add_config(run)
    run.add_argument("--dry-run", action="store_true", help="name what would be deleted, and delete nothing")
    run.add_argument("--json", action="store_true", help="print one JSON object a piece, or one with the count")
    run.set_defaults(run=_run)
    for name, function, summary in (
        ("hold", hold, "let nothing of an inspection be deleted (a legal hold)"),
        ("release", release, "end a legal hold: the inspection's evidence goes as the settings say"),
    ):
        one = commands.add_parser(name, help=summary)
        add_config(one)
        one.add_argument("inspection", metavar="INSPECTION_ID", help="the inspection's UUID")
        one.add_argument("--reason", required=True, help="why, for the log that stays; name no plate")
        add_by(one)
        one.add_argument("--json", action="store_true", help="print a JSON object")
        one.set_defaults(run=_change, change=function, what=name)


def add_by(parser: argparse.ArgumentParser) -> None:
    """Who asks, for the log."""
    parser.add_argument("--by", default=getpass.getuser(), help="who asks, for the log (default: %(default)s)")


def now_us() -> int:
    """By this machine's clock."""
    return round(SystemClock().now().utc.timestamp() * 1e6)


def _status(options: argparse.Namespace) -> int:
    settings = read_config(options.config)
    with offline(settings.database) as db:
        status = read_status(db)
    rules = {kind.value: asdict(days) for kind, days in settings.retention.days.rules().items()}
    events = asdict(settings.retention.events.rule())
    facts: dict[str, Any] = {"days": rules, "event_days": events, **asdict(status)}
    show(facts, options.json, _lines(settings, status))
    return OK


def _lines(settings: Settings, status: Status) -> str:
    rules = settings.retention.days.rules()
    lines = [f"{'kept for days':<22} {'clear':>8} {'finding':>8} {'referred':>8}"]
    for kind in EvidenceKind:
        days = asdict(rules[kind]).values()
        lines.append(f"{kind.value:<22} " + " ".join(f"{'ever' if d is None else f'{d:g}':>8}" for d in days))
    days = asdict(settings.retention.events.rule()).values()
    lines.append(f"{'events':<22} " + " ".join(f"{'ever' if d is None else f'{d:g}':>8}" for d in days))
    lines.append(f"events about vehicles: {status.events_kept} here, {status.events_deleted} deleted")
    if status.events_deleted:
        lines[-1] += f" ({status.events_deleted_bytes:,} bytes), the last on {status.events_deleted_last}"
    lines.append("named by events, and not deleted:" if status.kept else "named by events, and not deleted: nothing")
    lines += [f"  {kind:<20} {standing:<9} {n:>8} pieces {size:>14,} bytes" for kind, standing, n, size in status.kept]
    lines.append("deleted:" if status.deleted else "deleted: nothing")
    lines += [f"  at the {place:<13} {n:>18} pieces {size:>14,} bytes" for place, n, size in status.deleted]
    lines += [f"held since {at} by {by}: {inspection}: {reason}" for inspection, reason, by, at in status.holds]
    if status.doomed:
        lines.append(f"{counted(status.doomed, 'deleted file')} still to be removed")
    return "\n".join(lines)


def _run(options: argparse.Namespace) -> int:
    settings = read_config(options.config)
    with contextlib.closing(Store(settings.database)) as store:
        files, clock = EvidenceFiles(settings.evidence), SystemClock()
        retention = Retention(store, files, settings.retention.days.rules(), clock)
        of_events = EventRetention(store, files, settings.retention.events.rule(), clock)
        if options.dry_run:
            count = 0
            for piece in retention.over():
                count += 1
                facts = {
                    "sha256": piece.sha256.hex(),
                    "kind": piece.kind,
                    "standing": piece.standing.name.lower(),
                    "size": piece.size,
                    "inspections": piece.inspections,
                }
                of = ", ".join(piece.inspections) or "no inspection"
                show(facts, options.json, f"{piece.sha256.hex()}  {piece.kind} of {of} ({piece.standing.name.lower()})")
            events = 0
            for over in of_events.over():
                events += len(over.cursors)
                standing = over.standing.name.lower()
                of = over.inspection_id or "no inspection"
                shown = {"inspection": over.inspection_id, "booth_id": over.booth_id, "events": len(over.cursors)}
                line = f"{counted(len(over.cursors), 'event')} of {of} at {over.booth_id} ({standing})"
                show({**shown, "standing": standing}, options.json, line)
            if not options.json:
                show({}, False, f"{counted(count, 'piece')} and {counted(events, 'event')} would be deleted")
            return OK
        store.submit(lambda db: believe(db, now_us())).result()
        count, events = sum(retention.run()), sum(of_events.run())
        what = f"{counted(count, 'piece')} and {counted(events, 'event')} deleted"
        store.submit(lambda db: log_action(db, getpass.getuser(), "run", what, now_us())).result()
        store.empty_log()
    show({"deleted": count, "events_deleted": events}, options.json, what)
    return OK


def _change(options: argparse.Namespace) -> int:
    with contextlib.closing(Store(read_config(options.config).database)) as store:
        store.submit(lambda db: options.change(db, options.inspection, options.reason, options.by, now_us())).result()
    words = "is held" if options.what == "hold" else "is held no longer"
    show({"inspection": options.inspection, "what": options.what}, options.json, f"{options.inspection} {words}")
    return OK
