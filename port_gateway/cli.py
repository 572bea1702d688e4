"""The commands of the port's side."""

import argparse
import asyncio
import json
import logging
import os
import re
import signal
import sys
from importlib.metadata import version
from pathlib import Path
from typing import Any

from edge_agent.domain.clock import SystemClock
from edge_agent.domain.counted import counted
from edge_agent.domain.errors import EdgeAgentError, PortUnreachable
from edge_agent.wire.witness_policy import NO_POLICY
from port_gateway.audit import audit
from port_gateway.audit_tokens import Fault
from port_gateway.config import host_and_port, read_config
from port_gateway.config_witnesses import load_policy
from port_gateway.evidence import SHA256_HEX
from port_gateway.expect_command.cli import add_expect
from port_gateway.findings_command.cli import add_decide, add_decisions, add_watchlist
from port_gateway.quarantine_command.cli import add_quarantine
from port_gateway.retention_command.about import add_about
from port_gateway.retention_command.cli import add_retention
from port_gateway.stats_command.cli import add_stats
from port_gateway.trust_command.cli import add_authority, add_config, add_enroll, add_keys, add_trust, count, show
from port_gateway.witness_command.cli import add_witness, add_witnesses

OK, FAILED, MISUSED = 0, 1, 2


def main(argv: list[str] | None = None) -> int:
    """Run one command. 0: done; 1: something did not verify or is missing; 2: it could not be done."""
    options = _parser().parse_args(argv)
    try:
        return int(options.run(options))
    except Fault as fault:
        return _say_fault(fault, bool(getattr(options, "json", False)))
    except EdgeAgentError as error:
        print(f"port-gateway: {error}", file=sys.stderr)
        return MISUSED
    except UnicodeEncodeError:  # bytes of the command line that are no text
        print("port-gateway: an argument is not UTF-8: write it in the terminal's own encoding", file=sys.stderr)
        return MISUSED
    except BrokenPipeError:  # `port-gateway tail | head`
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        return OK
    except KeyboardInterrupt:
        return 130


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(
        prog="port-gateway",
        description="The port's side: receives what inspection booths stream, verifies and keeps it, and serves it to "
        "back-offices. docs/wire.md describes the protocol.",
    )
    commands = parser.add_subparsers(required=True, metavar="COMMAND")
    add_keys(commands.add_parser("keys", help="make and show keys and certificates"))
    add_trust(commands.add_parser("trust", help="register booths and back-offices by their certificates"))

    add_authority(commands.add_parser("ca", help="a small certificate authority for booths, where the site has none"))
    add_enroll(commands.add_parser("enroll", help="let a booth get its first certificate"))

    serve = commands.add_parser(
        "serve",
        help="run the gateway",
        description="Run the gateway until SIGTERM or SIGINT; then booths and readers are told, what is on its way is "
        "acknowledged, and it ends with status 0. With `admin` in the settings a supervisor asks its health there "
        "(grpc.health.v1.Health, or `port-gateway health`): SERVING from the ready line on, NOT_SERVING while it "
        "drains, when its store failed or has no room.",
    )
    add_config(serve)
    serve.add_argument("--json", action="store_true", help="print the ready line as a JSON object")
    serve.add_argument("--verbose", action="store_true", help="log every stream, not refusals and faults alone")
    serve.set_defaults(run=_serve)

    healthy = commands.add_parser(
        "health",
        help="ask a running gateway whether it is serving",
        description="Ask the admin port of the gateway with these settings. Status 0: SERVING; 1: not, or not there.",
    )
    add_config(healthy)
    healthy.add_argument("--json", action="store_true", help="print a JSON object")
    healthy.set_defaults(run=_health)

    tail = commands.add_parser(
        "tail",
        help="show verified events as a back-office receives them",
        description="Connect as a back-office and show every event whose signature and chain verify. Ends with status "
        "1 and a named code at the first that does not.",
    )
    _connection(tail)
    tail.add_argument(
        "--from",
        dest="after",
        type=_place,
        default=(None, b""),
        metavar="CURSOR[:PLACE]",
        help="begin after this cursor (0: at the beginning); with the place that `--json` showed with it, only if the "
        "port was not set back to a backup since",
    )
    tail.add_argument("--name", default="", help="keep the cursor at the port under this name, and go on from there")
    tail.add_argument("--limit", type=count, metavar="N", help="end after N events")
    tail.add_argument("--follow", action="store_true", help="wait for new events, and connect again when cut off")
    tail.add_argument(
        "--wait",
        type=_seconds,
        default=3.0,
        metavar="S",
        help="without --follow: end when nothing came for S seconds (3)",
    )
    tail.add_argument("--json", action="store_true", help="print one JSON object an event")
    tail.set_defaults(run=lambda options: asyncio.run(_tail(options)))

    fetch = commands.add_parser("fetch", help="copy evidence from the port, verified by its digest")
    fetch.add_argument("sha256", nargs="+", metavar="SHA256", help="digest of the evidence, 64 hex digits")
    _connection(fetch)
    fetch.add_argument("--out", type=Path, default=Path("evidence"), metavar="DIR", help="folder to write (evidence)")
    fetch.add_argument("--json", action="store_true", help="print one JSON object a piece")
    fetch.set_defaults(run=lambda options: asyncio.run(_fetch(options)))

    add_quarantine(
        commands.add_parser("quarantine", help="events that are kept in their chain and that this version cannot read")
    )

    add_expect(commands.add_parser("expect", help="expected crossings: what booths compare their vehicles with"))
    add_watchlist(commands.add_parser("watchlist", help="what the port watches for; no booth ever sees this list"))
    add_decide(
        commands.add_parser(
            "decide",
            help="an officer's decision over an inspection; works at once on a running gateway",
            description="Keep an officer's decision and let the booth chain it. A booth that is offline gets it when "
            "it is back. The last one holds. `decisions` shows whether the booth's chain holds it.",
        )
    )
    add_decisions(commands.add_parser("decisions", help="what was decided, and whether the booths' chains hold it"))

    add_retention(commands.add_parser("retention", help="how long evidence is kept, and what must stay"))

    add_about(commands.add_parser("about", help="what is held on one plate; who asks is logged, without the plate"))

    add_stats(
        commands.add_parser(
            "stats",
            help="what lanes did, by hour and day: vehicles, times, completeness, devices",
            description="Tables and plots of what lanes did, from the booths' own signed counts. Works on a data "
            "folder; the gateway may run meanwhile. docs/statistics.md explains every column.",
        )
    )

    add_witnesses(
        commands.add_parser(
            "witnesses",
            help="who cosigns this gateway's receipts, and what stands between",
            description="How far each witness has cosigned, and what is wrong. Status 1 if something is. Works on a "
            "data folder; the gateway may run meanwhile.",
        )
    )
    add_witness(
        commands.add_parser(
            "witness",
            help="run a witness: it cosigns ports' receipts as long as no chain is taken back or told in two ways",
            description="A witness (C2SP tlog-witness) for a second authority. It needs no gateway on its machine.",
        )
    )

    verify = commands.add_parser(
        "verify",
        help="verify everything in the gateway's data folder",
        description="Verify every stored envelope, every chain and every piece of evidence, offline. Ends with status "
        "1 and a named reason at the first fault.",
    )
    add_config(verify)
    verify.add_argument(
        "--witnesses", type=Path, metavar="POLICY", help="every chain must have a receipt that this quorum cosigned"
    )
    verify.add_argument("--json", action="store_true", help="print the result as a JSON object")
    verify.set_defaults(run=_verify)

    export = commands.add_parser(
        "export",
        help="write one inspection as an evidence pack that anyone can verify",
        description="Write one inspection, or a single event, as a folder that anyone can verify with openssl and "
        "POSIX utilities: events with their signatures, proofs that they are in the booth's chain, evidence, and a "
        "page to read. Signed with the gateway's key. The gateway may run meanwhile.",
    )
    add_config(export)
    export.add_argument(
        "inspection", nargs="?", metavar="INSPECTION_ID", help="the inspection's UUID, as events name it"
    )
    export.add_argument("--booth", metavar="BOOTH", help="with --seq: the booth, e.g. spiffe://uslrd/booth/lane-1")
    export.add_argument("--seq", type=count, metavar="N", help="a single event of the booth's newest epoch")
    export.add_argument("out", type=Path, metavar="OUT", help="folder to write, or a file that ends with .tar")
    export.add_argument("--json", action="store_true", help="print what was written as a JSON object")
    export.set_defaults(run=_export)
    return parser


def _seconds(text: str) -> float:
    try:
        value = float(text)
    except ValueError:
        value = 0.0
    if not 0 < value <= 86_400:  # false of nan, too
        raise argparse.ArgumentTypeError(f"{text}: give seconds, more than 0 and at most a day")
    return value


def _place(text: str) -> tuple[int, bytes]:
    cursor, colon, place = text.partition(":")
    if colon and not re.fullmatch("[0-9a-fA-F]{32}", place):
        raise argparse.ArgumentTypeError(f"{text!r}: a place has 32 hex digits, like `tail --json` shows it")
    return count(cursor), bytes.fromhex(place)


def _address(text: str) -> str:
    try:
        return host_and_port(text)
    except ValueError:
        raise argparse.ArgumentTypeError(f"{text!r} is no host:port, like gateway.example:7443") from None


def _connection(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("--gateway", required=True, type=_address, metavar="HOST:PORT", help="address of the gateway")
    parser.add_argument(
        "--gateway-certificate", type=Path, required=True, metavar="FILE", help="the gateway's certificate (trusted)"
    )
    parser.add_argument("--key", type=Path, required=True, metavar="FILE", help="the back-office's key")
    parser.add_argument("--certificate", type=Path, required=True, metavar="FILE", help="the back-office's certificate")


# --- serve, verify ------------------------------------------------------------------------------------------------
def _serve(options: argparse.Namespace) -> int:
    from port_gateway import serve  # gRPC starts threads when it is imported

    logging.basicConfig(
        level=logging.INFO if options.verbose else logging.WARNING, format="%(asctime)s %(levelname)s %(message)s"
    )

    def ready(gateway: serve.Gateway) -> None:
        facts = {
            "ready": True,
            "address": gateway.address,
            "enroll": gateway.enroll_address,
            "admin": gateway.admin_address,
            "identity": str(gateway.identity),
            "pid": os.getpid(),
        }
        show(facts, options.json, f"port-gateway: ready on {gateway.address} as {gateway.identity}")

    asyncio.run(serve.serve(read_config(options.config), ready))
    return OK


def _health(options: argparse.Namespace) -> int:
    _quiet_grpc()
    from port_gateway.admin import ask

    admin = read_config(options.config).admin
    if admin is None:
        raise EdgeAgentError(f"{options.config} has no `admin`", "add `admin: {}` for 127.0.0.1:7445, and restart")
    try:
        state = ask(admin.listen)
    except PortUnreachable as error:
        print(f"port-gateway: {error}", file=sys.stderr)
        state = "UNREACHABLE"
    show({"state": state}, options.json, state)
    return OK if state == "SERVING" else FAILED


def _verify(options: argparse.Namespace) -> int:
    policy = NO_POLICY if options.witnesses is None else load_policy(options.witnesses)
    counts, alarms = audit(read_config(options.config), policy)
    lines = [
        f"{counted(counts.events, 'event')} in {counted(counts.chains, 'chain')} of {counted(counts.booths, 'booth')}, "
        f"{counted(counts.sessions, 'session')}: every signature and every link verified",
        f"{counted(counts.evidence_whole, 'piece of evidence')} here and whole; "
        f"not arrived, and should be here: {counts.evidence_missing}",
        f"{counts.evidence_at_booth} kept at the booth, by configuration (of vehicles without a finding); "
        f"{counts.evidence_deleted} deleted by retention",
        f"{counted(counts.events_deleted, 'event')} deleted by retention: place and digest of each are in the chains",
        f"{counted(counts.time_tokens, 'time token')}, over receipts of these chains",
        f"{counted(counts.cosignatures, 'cosignature of witnesses')}, likewise"
        + "".join(
            f"\n  {seen.booth_id} epoch {seen.epoch}: witnessed by {seen.by} of {len(policy.witnesses)} "
            f"through event {seen.through} of {seen.held}"
            for seen in counts.witnessed
        ),
        f"{counted(counts.quarantined, 'event')} in quarantine (`port-gateway quarantine list`)",
        f"{counted(counts.alarms, 'alarm')} of the port's own, over what booths sent"
        + "".join(f"\n  {alarm}" for alarm in alarms),
    ]
    show({"ok": True, **counts.as_dict(), "alarm_texts": alarms}, options.json, "\n".join(lines))
    return OK


def _export(options: argparse.Namespace) -> int:
    from port_gateway.export import export_event, export_inspection

    settings, out, clock, program = read_config(options.config), options.out, SystemClock(), version("edge-agent")
    if options.inspection is not None and options.seq is None and options.booth is None:
        written = export_inspection(settings, options.inspection, out, clock, program)
    elif options.inspection is None and options.seq is not None and options.booth is not None:
        written = export_event(settings, options.booth, options.seq, out, clock, program)
    else:
        raise EdgeAgentError("what is to be exported?", "give INSPECTION_ID, or --booth BOOTH --seq N")
    show(written.as_dict(), options.json, written.as_text())
    return OK


def _say_fault(fault: Fault, as_json: bool) -> int:
    if as_json:
        print(json.dumps({"ok": False, "fault": fault.name, "where": fault.where, "detail": fault.detail}))
    print(f"port-gateway: {fault}", file=sys.stderr)
    return FAILED


# --- tail, fetch --------------------------------------------------------------------------------------------------
async def _tail(options: argparse.Namespace) -> int:
    _quiet_grpc()
    from port_gateway.tail import Printer, Tail, tail

    task = asyncio.current_task()
    if task is not None:
        asyncio.get_running_loop().add_signal_handler(signal.SIGTERM, task.cancel)
    wanted = Tail(
        options.gateway,
        options.gateway_certificate,
        options.key,
        options.certificate,
        name=options.name,
        after=options.after[0],
        after_place=options.after[1],
        limit=options.limit,
        follow=options.follow,
        wait_s=options.wait,
    )
    try:
        return await tail(wanted, Printer(options.json))
    except asyncio.CancelledError:  # SIGTERM
        return OK


async def _fetch(options: argparse.Namespace) -> int:
    _quiet_grpc()
    from port_gateway import client

    for text in options.sha256:
        if not SHA256_HEX.fullmatch(text):
            raise EdgeAgentError(f"{text!r} is no SHA-256", "give 64 hex digits in lower case, as `tail` shows them")
    async with client.connected(options.gateway, options.gateway_certificate, options.key, options.certificate) as stub:
        missing = 0
        for text in options.sha256:
            got = await client.fetch(stub, bytes.fromhex(text), options.out)
            missing += isinstance(got, str)
            facts: dict[str, Any] = {"sha256": text, "path": None if isinstance(got, str) else str(got)}
            if isinstance(got, str):
                facts["why"] = got
            show(facts, options.json, f"{text}  {got}")
    return FAILED if missing else OK


def _quiet_grpc() -> None:
    """Every failure is told in our words; gRPC's own log would stand between the events."""
    os.environ.setdefault("GRPC_VERBOSITY", "NONE")
