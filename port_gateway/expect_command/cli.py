"""`port-gateway expect add|import|list|remove|booths|changes`: what the port says will arrive."""

import argparse
import contextlib
import getpass
import os
from collections.abc import Iterator, Sequence
from concurrent.futures import Future
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any, TypeVar

from google.protobuf.json_format import MessageToDict

from edge_agent.domain.clock import SystemClock
from edge_agent.domain.counted import counted
from edge_agent.domain.errors import Permanent
from edge_agent.domain.expected import ExpectationFault, ExpectationMistake, ExpectedCrossing, Loading
from edge_agent.domain.identifiers import normalise_plate
from edge_agent.wire.codec_expected import crossing_message
from edge_agent.wire.identity import Role, identity_of, load_certificate
from port_gateway.config import Settings, read_config
from port_gateway.entry_files import FORMATS, entries
from port_gateway.expect_command.given import SHAPE, Terms, crossing_of
from port_gateway.expected import (
    Changed,
    Expectations,
    ExpectationsRefused,
    Given,
    read_changes,
    read_expected,
    read_kept,
)
from port_gateway.store import Store, offline
from port_gateway.trust import read_trust
from port_gateway.trust_command.cli import OK, add_config, show

T = TypeVar("T")
# Of a file's mistakes; the first ones show what is wrong with it.
MAX_SHOWN = 50
COMMIT_S = 60.0
_EPOCH = datetime(1970, 1, 1, tzinfo=UTC)
_FIELDS = {
    "booth": ("booths", "a booth where it may come, by name or identity (repeat it; none: every booth of the port)"),
    "lane": ("lanes", "a lane where it may come (repeat it; none: every lane)"),
    "plate": ("plates", "AB1234, or AB1234:tractor, AB1234:trailer (repeat it)"),
    "container": ("container_codes", "a container code, ISO 6346 (repeat it)"),
    "seal": ("seals", "a seal's number (repeat it)"),
    "programme": ("programmes", "a trusted-trader programme: FAST, C-TPAT, OEA or PIP (repeat it)"),
}


def add_expect(parser: argparse.ArgumentParser) -> None:
    """Adds the commands. All that change the list work at once on a running gateway."""
    commands = parser.add_subparsers(required=True, metavar="COMMAND")
    add = commands.add_parser(
        "add",
        help="expect one vehicle; works at once on a running gateway",
        description="Expect one vehicle. One with the same id takes the place of the one before.",
    )
    add_config(add)
    add.add_argument("id", metavar="ID", help="your own reference of this crossing")
    for name, (_, text) in _FIELDS.items():
        add.add_argument(f"--{name}", action="append", default=[], metavar=name.upper(), help=text)
    add.add_argument("--scac", metavar="CODE", help="the carrier's Standard Carrier Alpha Code")
    add.add_argument("--weight-kg", metavar="KG", help="declared gross weight of the whole vehicle")
    add.add_argument("--loading", choices=tuple(map(str, Loading)), help="as declared")
    add.add_argument("--from", dest="begins", metavar="TIME", help="it arrives not before, e.g. 2026-11-22T08:00-06:00")
    add.add_argument("--until", dest="ends", metavar="TIME", help="and not after")
    add.add_argument("--note", help="for the officer, one line")
    add.add_argument("--json", action="store_true", help="print a JSON object")
    add.set_defaults(run=_add)

    given = commands.add_parser(
        "import",
        help="expect all that a CSV or JSON file names, or nothing of it",
        description="Expect all that a file names: either every entry is taken, or none, and every mistake is named "
        "with its line. CSV: a header with the fields' names, `|` between several values in one cell. JSON: an array "
        "of objects with the same names. docs/operate.md has the fields.",
    )
    add_config(given)
    given.add_argument("file", type=Path, metavar="FILE", help="UTF-8, at most 20,000 entries")
    given.add_argument("--format", choices=FORMATS, default="", help="by default the file's name says it")
    given.add_argument("--json", action="store_true", help="print a JSON object")
    given.set_defaults(run=_import)

    every = commands.add_parser("list", help="what is expected")
    add_config(every)
    every.add_argument("--plate", default="", help="only what names this plate")
    every.add_argument("--json", action="store_true", help="print one JSON object a vehicle")
    every.set_defaults(run=_list)

    out = commands.add_parser("remove", help="expect these no longer; all of them or none")
    add_config(out)
    out.add_argument("ids", nargs="+", metavar="ID", help="as `list` names them")
    out.add_argument("--json", action="store_true", help="print a JSON object")
    out.set_defaults(run=_remove)

    booths = commands.add_parser("booths", help="which state of the list each booth holds")
    add_config(booths)
    booths.add_argument("--json", action="store_true", help="print one JSON object a booth")
    booths.set_defaults(run=_booths)

    changes = commands.add_parser("changes", help="who changed the list by command, newest first")
    add_config(changes)
    changes.add_argument("--json", action="store_true", help="print one JSON object a change")
    changes.set_defaults(run=_changes)


# --- changes ----------------------------------------------------------------------------------------------------------
def _add(options: argparse.Namespace) -> int:
    settings = read_config(options.config)
    values: dict[str, object] = {name: getattr(options, option) for option, (name, _) in _FIELDS.items()}
    values |= {"id": options.id, "scac": options.scac, "gross_weight_kg": options.weight_kg, "note": options.note}
    values |= {"loading": options.loading, "arrives_from": options.begins, "arrives_until": options.ends}
    return _put(options, settings, [("", values)], f"add {options.id}")


def _import(options: argparse.Namespace) -> int:
    settings = read_config(options.config)
    found = entries(options.file, options.format, SHAPE)
    named = [(f"{options.file}:{line}", values) for line, values in found]
    return _put(options, settings, named, f"import {options.file.name}, {counted(len(named), 'entry', 'entries')}")


def _put(
    options: argparse.Namespace, settings: Settings, named: Sequence[tuple[str, dict[str, object]]], what: str
) -> int:
    terms = _terms(settings)
    wrong: list[tuple[str, ExpectationMistake]] = []
    crossings: dict[str, ExpectedCrossing] = {}
    for where, values in named:
        crossing, mistakes = crossing_of(values, terms)
        wrong += [(where, mistake) for mistake in mistakes]
        if crossing is None:
            continue
        if crossing.id in crossings:
            say = "give each vehicle an id of its own"
            wrong.append((where, ExpectationMistake(ExpectationFault.TWICE, "id", f"{crossing.id!r} came before", say)))
        crossings[crossing.id] = crossing
    if wrong:
        raise _refusal(wrong)
    with _store(settings) as store:
        with store.reading() as db:
            booths = {str(one.identity) for one in read_trust(db).registered if one.identity.role is Role.BOOTH}
        given = Given(tuple(crossings.values()), _who(), what, booths)
        try:
            changed = _done(Expectations(store, SystemClock()).put(given))
        except ExpectationsRefused as refused:
            raise _refusal([(named[index][0], mistake) for index, mistake in refused.found]) from None
    return _say(options, changed)


def _refusal(wrong: Sequence[tuple[str, ExpectationMistake]]) -> Permanent:
    lines = [f"{where}: {mistake}" if where else str(mistake) for where, mistake in wrong[:MAX_SHOWN]]
    more = f"\nand {len(wrong) - MAX_SHOWN} more" if len(wrong) > MAX_SHOWN else ""
    return Permanent(f"nothing was changed, {counted(len(wrong), 'mistake')}:\n" + "\n".join(lines) + more)


def _remove(options: argparse.Namespace) -> int:
    with _store(read_config(options.config)) as store:
        what = f"remove {' '.join(options.ids)}"
        return _say(options, _done(Expectations(store, SystemClock()).remove(options.ids, _who(), what)))


def _say(options: argparse.Namespace, changed: Changed) -> int:
    facts = {"put": changed.put, "same": changed.same, "removed": changed.removed, "revision": changed.revision}
    same = f", {changed.same} were expected already" if changed.same else ""
    text = f"removed {changed.removed}" if changed.removed else f"expected {changed.put}{same}"
    show(facts, options.json, f"{text}; the list is at revision {changed.revision}")
    return OK


# --- looks ------------------------------------------------------------------------------------------------------------
def _list(options: argparse.Namespace) -> int:
    nothing = True
    with offline(read_config(options.config).database) as db:
        for crossing in read_expected(db, normalise_plate(options.plate)):
            facts = MessageToDict(crossing_message(crossing), preserving_proto_field_name=True)
            show(_readable(facts), options.json, _line(crossing))
            nothing = False
    if nothing and not options.json:
        show({}, False, "nothing is expected")
    return OK


def _readable(facts: dict[str, Any]) -> dict[str, Any]:
    """Times as people and programs read them, in place of microseconds."""
    for name in ("arrives_from", "arrives_until", "expires"):
        if (at := facts.pop(f"{name}_utc_us", None)) is not None:
            facts[name] = _at(int(at)).isoformat()
    if loading := facts.get("loading"):
        facts["loading"] = str(loading).removeprefix("LOADING_").lower()
    return facts


def _line(crossing: ExpectedCrossing) -> str:
    weight = crossing.gross_weight_kg
    begins, ends = crossing.arrives_from, crossing.arrives_until
    window = f"{begins:%Y-%m-%d %H:%M}" if begins else ""
    window += f" to {ends:%Y-%m-%d %H:%M} UTC" if ends else " on, UTC" if begins else ""
    parts = [
        " ".join(plate.text for plate in crossing.plates),
        " ".join(crossing.container_codes),
        f"seals {' '.join(crossing.seals)}" if crossing.seals else "",
        crossing.scac,
        "" if weight is None else f"{weight:.0f} kg",
        crossing.loading or "",
        " ".join(crossing.programmes),
        window.strip(),
        f"at {' '.join((*crossing.booth_ids, *crossing.lane_ids))}" if crossing.booth_ids or crossing.lane_ids else "",
        crossing.note,
    ]
    return f"{crossing.id}  " + " | ".join(part for part in parts if part)


def _booths(options: argparse.Namespace) -> int:
    with offline(read_config(options.config).database) as db:
        revision, kept = read_kept(db)
    for booth, holds, at in kept:
        facts = {"booth_id": booth, "revision": holds, "kept": _at(at).isoformat(), "list_revision": revision}
        show(facts, options.json, f"{booth}  holds revision {holds} since {_at(at):%Y-%m-%d %H:%M:%S} UTC")
    if not options.json:
        show({}, False, f"the list is at revision {revision}; a booth takes a page where a change is for it")
    return OK


def _changes(options: argparse.Namespace) -> int:
    with offline(read_config(options.config).database) as db:
        for at, who, what in read_changes(db):
            facts = {"at": _at(at).isoformat(), "who": who, "what": what}
            show(facts, options.json, f"{_at(at):%Y-%m-%d %H:%M:%S} UTC  {who}  {what}")
    return OK


def _at(utc_us: int) -> datetime:
    return _EPOCH + timedelta(microseconds=utc_us)


def _terms(settings: Settings) -> Terms:
    limits = settings.limits
    return Terms(
        port=identity_of(load_certificate(settings.identity.certificate)).port,
        now=SystemClock().now().utc,
        keep_after=timedelta(hours=limits.expected_after_h),
        keep_open=timedelta(days=limits.expected_open_days),
    )


@contextlib.contextmanager
def _store(settings: Settings) -> Iterator[Store]:
    """The inbox, whether or not a gateway runs."""
    with contextlib.closing(Store(settings.database)) as store:
        yield store


def _done(future: "Future[T]") -> T:
    return future.result(COMMIT_S)


def _who() -> str:
    try:
        return getpass.getuser()
    except OSError:  # an account without a name
        return str(os.getuid())
