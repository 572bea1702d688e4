"""`port-gateway witness`: a witness of our own. `port-gateway witnesses`: those that a gateway asks."""

import argparse
import logging
import signal
import threading
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from edge_agent.domain.clock import SystemClock
from edge_agent.domain.counted import counted
from edge_agent.domain.errors import PortUnreachable
from edge_agent.wire.cosignature import log_key, witness_key
from edge_agent.wire.identity import certificate_key, identity_of, load_certificate
from port_gateway.config import read_config
from port_gateway.config_witnesses import asked
from port_gateway.store import offline
from port_gateway.trust_command.cli import OK, add_config, show
from port_gateway.witness_command.asked import Standing, standing
from port_gateway.witness_command.journal import Journal, make_journal
from port_gateway.witness_command.server import Cosigner, WitnessServer
from port_gateway.witness_command.settings import load_key, make_key, read_witness

FAILED = 1


# --- those that a gateway asks ------------------------------------------------------------------------------------
def add_witnesses(parser: argparse.ArgumentParser) -> None:
    """Adds the options."""
    add_config(parser)
    what = parser.add_mutually_exclusive_group()
    what.add_argument(
        "--log-key", action="store_true", help="print the verifier key of this gateway's receipts, for a witness"
    )
    what.add_argument("--policy", action="store_true", help="print witnesses and quorum as a C2SP tlog-policy")
    parser.add_argument("--json", action="store_true", help="print a JSON object")
    parser.set_defaults(run=_witnesses)


def _witnesses(options: argparse.Namespace) -> int:
    settings = read_config(options.config)
    if options.log_key:
        certificate = load_certificate(settings.identity.certificate)
        key = str(log_key(str(identity_of(certificate)), certificate_key(certificate)))
        show({"log_key": key}, options.json, key)
        return OK
    if settings.witnesses is None:
        show({"witnesses": []}, options.json, f"{options.config} names no witnesses: receipts are not cosigned")
        return OK
    policy = asked(settings.witnesses.policy)
    if options.policy:
        show({"policy": policy.text()}, options.json, policy.text().rstrip("\n"))
        return OK
    with offline(settings.database) as db:
        found = standing(db, policy)
    show(found.as_dict(), options.json, _as_text(found))
    return OK if found.well else FAILED


def _as_text(found: Standing) -> str:
    lines = []
    for one in found.witnesses:
        last = (
            f"cosigned last at {_moment(one.last_utc_us // 1_000_000)}"
            if one.last_utc_us
            else "has cosigned nothing yet"
        )
        lines.append(f"{one.name}  {one.url}  {last}")
        lines += [f"    {fault}" for fault in one.faults]
    for chain in found.chains:
        lines.append(
            f"{chain.booth_id} epoch {chain.epoch}: {counted(chain.held, 'event')}, {chain.through} of them witnessed "
            f"by the quorum; the newest receipt by {chain.cosigned} of {len(found.witnesses)}"
        )
    return "\n".join(lines)


def _moment(utc_s: int) -> str:
    return f"{datetime.fromtimestamp(utc_s, UTC):%Y-%m-%dT%H:%M:%SZ}"


# --- a witness ----------------------------------------------------------------------------------------------------
def add_witness(parser: argparse.ArgumentParser) -> None:
    """Adds the subcommands."""
    commands = parser.add_subparsers(required=True, metavar="COMMAND")
    for name, run, what in (
        ("init", _init, "make its key and its empty state, once"),
        ("serve", _serve, "cosign what logs submit, until SIGTERM or SIGINT"),
        ("show", _show, "what it cosigned last of each log, and what it refused"),
    ):
        command = commands.add_parser(name, help=what, description=f"A witness: {what}.")
        command.add_argument("settings", type=Path, metavar="SETTINGS", help="the witness's settings file (YAML)")
        command.add_argument("--json", action="store_true", help="print a JSON object")
        command.set_defaults(run=run)


def _init(options: argparse.Namespace) -> int:
    settings = read_witness(options.settings)
    key = witness_key(settings.name, make_key(settings.key).public_key())  # first: an old key gets no empty state
    make_journal(settings.state)
    show({"witness": str(key)}, options.json, f"{key}\n  give this verifier key to the ports, and to whoever verifies")
    return OK


def _serve(options: argparse.Namespace) -> int:
    logging.basicConfig(level=logging.INFO, format="%(asctime)s %(levelname)s %(message)s")
    settings = read_witness(options.settings)
    journal = Journal(settings.state)
    try:
        cosigner = Cosigner(settings.name, load_key(settings.key), settings.known, journal, SystemClock())
        try:
            server = WitnessServer(settings.address, cosigner, settings.context())
        except OSError as error:
            raise PortUnreachable(
                f"cannot listen on {settings.listen}: {error.strerror}", "is another program using it?"
            ) from None
        for number in (signal.SIGTERM, signal.SIGINT):
            signal.signal(number, lambda *_: threading.Thread(target=server.shutdown, daemon=True).start())
        address = f"{settings.listen.rpartition(':')[0]}:{server.server_address[1]}"
        facts = {"ready": True, "address": address, "witness": str(cosigner.vkey)}
        show(facts, options.json, f"witness: ready on {address} as {cosigner.vkey}")
        server.serve_forever(poll_interval=0.1)
        server.server_close()
        if server.failure is not None:
            raise server.failure
    finally:
        journal.close()
    return OK


def _show(options: argparse.Namespace) -> int:
    settings = read_witness(options.settings)
    journal = Journal(settings.state)
    try:
        logs, refusals = journal.logs(), journal.refusals()
    finally:
        journal.close()
    facts: dict[str, Any] = {
        "witness": str(witness_key(settings.name, load_key(settings.key).public_key())),
        "logs": [
            {"origin": log.origin, "size": log.size, "root": log.root.hex(), "cosigned": _moment(log.cosigned_utc_s)}
            for log in logs
        ],
        "refusals": [
            {
                "origin": r.origin,
                "seen_size": r.seen_size,
                "status": r.status,
                "why": r.why,
                "at": _moment(r.at_utc_s),
                "notes": [r.seen_note.decode(errors="replace"), r.note.decode(errors="replace")],
            }
            for r in refusals
        ],
    }
    lines = [facts["witness"]]
    lines += [f"{log.origin}: {counted(log.size, 'event')}, cosigned at {_moment(log.cosigned_utc_s)}" for log in logs]
    lines += [
        f"REFUSED at {_moment(r.at_utc_s)}: {r.origin} after {counted(r.seen_size, 'event')}: {r.why}" for r in refusals
    ]
    show(facts, options.json, "\n".join(lines))
    return FAILED if refusals else OK
