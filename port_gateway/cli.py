"""The commands of the port's side."""

import argparse
import asyncio
import contextlib
import json
import logging
import os
import signal
import sys
from datetime import timedelta
from importlib.metadata import version
from pathlib import Path
from typing import Any

from cryptography import x509

from edge_agent.domain.clock import SystemClock
from edge_agent.domain.errors import EdgeAgentError, IdentityInvalid
from edge_agent.wire.chain import EPOCH_BYTES
from edge_agent.wire.identity import (
    Role,
    SpiffeId,
    certificate_key,
    create_identity,
    identity_of,
    key_id,
    load_certificate,
)
from port_gateway.audit import Fault, audit
from port_gateway.config import read_config
from port_gateway.evidence import SHA256_HEX
from port_gateway.store import Store
from port_gateway.trust import TrustStore

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
    _keys(commands.add_parser("keys", help="make and show keys and certificates"))
    _trust(commands.add_parser("trust", help="register booths and back-offices by their certificates"))

    serve = commands.add_parser("serve", help="run the gateway", description="Run the gateway until SIGTERM or SIGINT.")
    _config(serve)
    serve.add_argument("--json", action="store_true", help="print the ready line as a JSON object")
    serve.add_argument("--verbose", action="store_true", help="log every stream, not refusals and faults alone")
    serve.set_defaults(run=_serve)

    tail = commands.add_parser(
        "tail",
        help="show verified events as a back-office receives them",
        description="Connect as a back-office and show every event whose signature and chain verify. Ends with status "
        "1 and a named code at the first that does not.",
    )
    _connection(tail)
    tail.add_argument(
        "--from", dest="after", type=_count, metavar="CURSOR", help="begin after this cursor (0: at the beginning)"
    )
    tail.add_argument("--name", default="", help="keep the cursor at the port under this name, and go on from there")
    tail.add_argument("--limit", type=_count, metavar="N", help="end after N events")
    tail.add_argument("--follow", action="store_true", help="wait for new events, and connect again when cut off")
    tail.add_argument(
        "--wait", type=float, default=3.0, metavar="S", help="without --follow: end when nothing came for S seconds (3)"
    )
    tail.add_argument("--json", action="store_true", help="print one JSON object an event")
    tail.set_defaults(run=lambda options: asyncio.run(_tail(options)))

    fetch = commands.add_parser("fetch", help="copy evidence from the port, verified by its digest")
    fetch.add_argument("sha256", nargs="+", metavar="SHA256", help="digest of the evidence, 64 hex digits")
    _connection(fetch)
    fetch.add_argument("--out", type=Path, default=Path("evidence"), metavar="DIR", help="folder to write (evidence)")
    fetch.add_argument("--json", action="store_true", help="print one JSON object a piece")
    fetch.set_defaults(run=lambda options: asyncio.run(_fetch(options)))

    verify = commands.add_parser(
        "verify",
        help="verify everything in the gateway's data folder",
        description="Verify every stored envelope, every chain and every piece of evidence, offline. Ends with status "
        "1 and a named reason at the first fault.",
    )
    _config(verify)
    verify.add_argument("--json", action="store_true", help="print the result as a JSON object")
    verify.set_defaults(run=_verify)

    export = commands.add_parser(
        "export",
        help="write one inspection as an evidence pack that anyone can verify",
        description="Write one inspection, or a single event, as a folder that anyone can verify with openssl and "
        "POSIX utilities: events with their signatures, proofs that they are in the booth's chain, evidence, and a "
        "page to read. Signed with the gateway's key. The gateway may run meanwhile.",
    )
    _config(export)
    export.add_argument(
        "inspection", nargs="?", metavar="INSPECTION_ID", help="the inspection's UUID, as events name it"
    )
    export.add_argument("--booth", metavar="BOOTH", help="with --seq: the booth, e.g. spiffe://uslrd/booth/lane-1")
    export.add_argument("--seq", type=_count, metavar="N", help="a single event of the booth's newest epoch")
    export.add_argument("out", type=Path, metavar="OUT", help="folder to write, or a file that ends with .tar")
    export.add_argument("--json", action="store_true", help="print what was written as a JSON object")
    export.set_defaults(run=_export)
    return parser


def _config(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("config", type=Path, metavar="CONFIG", help="the gateway's settings file (YAML)")


def _connection(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("--gateway", required=True, metavar="HOST:PORT", help="address of the gateway")
    parser.add_argument(
        "--gateway-certificate", type=Path, required=True, metavar="FILE", help="the gateway's certificate (trusted)"
    )
    parser.add_argument("--key", type=Path, required=True, metavar="FILE", help="the back-office's key")
    parser.add_argument("--certificate", type=Path, required=True, metavar="FILE", help="the back-office's certificate")


def _count(text: str) -> int:
    value = int(text) if text.isdecimal() else -1
    if not 0 <= value < 2**63:
        raise argparse.ArgumentTypeError("a number from 0 on")
    return value


def _epoch(text: str) -> bytes:
    if len(text) != 2 * EPOCH_BYTES or not all(c in "0123456789abcdef" for c in text):
        raise argparse.ArgumentTypeError(f"{2 * EPOCH_BYTES} hex digits in lower case")
    return bytes.fromhex(text)


# --- keys ---------------------------------------------------------------------------------------------------------
def _keys(parser: argparse.ArgumentParser) -> None:
    commands = parser.add_subparsers(required=True, metavar="COMMAND")
    init = commands.add_parser("init", help="make a P-256 key and its self-signed certificate")
    init.add_argument(
        "--identity", required=True, help="spiffe://<port>/gateway/<name> or spiffe://<port>/back-office/<name>"
    )
    init.add_argument(
        "--host", action="append", default=[], help="name or address under which a gateway is reached (repeat it)"
    )
    init.add_argument("--out", type=Path, required=True, metavar="DIR", help="folder for <name>.key and <name>.crt")
    init.add_argument("--days", type=int, default=825, help="validity (825)")
    init.set_defaults(run=_keys_init)
    show = commands.add_parser("show", help="show who a certificate stands for")
    show.add_argument("certificate", type=Path, metavar="CERT")
    show.add_argument("--json", action="store_true", help="print a JSON object")
    show.set_defaults(run=_keys_show)


def _keys_init(options: argparse.Namespace) -> int:
    identity = SpiffeId.parse(options.identity)
    if identity.role == "gateway" and not options.host:
        raise IdentityInvalid("a gateway needs the names under which it is reached", "add --host, e.g. --host 10.0.0.5")
    if not 1 <= options.days <= 36_500:
        raise IdentityInvalid(f"{options.days} days of validity", "give --days from 1 to 36500")
    key, certificate = create_identity(
        options.out,
        identity.name,
        identity,
        SystemClock().now().utc,
        tuple(options.host),
        timedelta(days=options.days),
    )
    print(f"key          {key}  (keep it secret)\ncertificate  {certificate}")
    return OK


def _keys_show(options: argparse.Namespace) -> int:
    facts = _facts(load_certificate(options.certificate))
    _print(facts, options.json, "\n".join(f"{name:<12} {value}" for name, value in facts.items()))
    return OK


def _facts(certificate: x509.Certificate) -> dict[str, str]:
    return {
        "identity": str(identity_of(certificate)),
        "key_id": key_id(certificate_key(certificate)),
        "valid_from": certificate.not_valid_before_utc.isoformat(),
        "valid_to": certificate.not_valid_after_utc.isoformat(),
    }


# --- trust --------------------------------------------------------------------------------------------------------
def _trust(parser: argparse.ArgumentParser) -> None:
    commands = parser.add_subparsers(required=True, metavar="COMMAND")
    add = commands.add_parser(
        "add",
        help="register certificates; works at once on a running gateway",
        description="Register certificates of booths and back-offices. Before, compare the key id with the one that "
        "`keys show` prints on the other machine.",
    )
    _config(add)
    add.add_argument("certificates", type=Path, nargs="+", metavar="CERT", help="certificate in PEM form")
    add.add_argument(
        "--replace", action="store_true", help="the identity has a new key: the old one opens nothing more"
    )
    add.add_argument(
        "--reads",
        action="append",
        metavar="PORT",
        help="a port that this back-office reads beside its own (repeat it); in place of those given before",
    )
    add.set_defaults(run=_trust_add)
    revoke = commands.add_parser(
        "revoke",
        help="end a key: what it signs beyond an index is refused; works at once on a running gateway",
        description="End a device key, by log index: what the port accepted stands, and what that key, or a session "
        "that it vouched for, signed beyond the index is refused (KEY_REVOKED). Its certificates open nothing more.",
    )
    _config(revoke)
    revoke.add_argument("identity", metavar="IDENTITY", help="e.g. spiffe://uslrd/booth/lane-1")
    revoke.add_argument("--key", required=True, metavar="ID", help="the key's id, or its first digits (`trust list`)")
    where = revoke.add_mutually_exclusive_group(required=True)
    where.add_argument("--now", action="store_true", help="at what the port holds now")
    where.add_argument(
        "--after-seq",
        type=_count,
        metavar="N",
        help="after sequence N, which the booth's ledger has reached and the port may not",
    )
    revoke.add_argument("--epoch", type=_epoch, metavar="HEX", help="the epoch of N (default: the one that grew last)")
    revoke.add_argument("--json", action="store_true", help="print a JSON object")
    revoke.set_defaults(run=_trust_revoke)
    show = commands.add_parser("list", help="show the registered certificates")
    _config(show)
    show.add_argument("--json", action="store_true", help="print one JSON object a certificate")
    show.set_defaults(run=_trust_list)


def _trust_add(options: argparse.Namespace) -> int:
    certificates = [load_certificate(path) for path in options.certificates]
    with contextlib.closing(Store(read_config(options.config).database)) as store:
        trust = TrustStore(store, SystemClock())
        added = trust.add(certificates, options.replace)
        for certificate in certificates if options.reads else ():
            trust.let_read(identity_of(certificate), options.reads)
    for (identity, new), certificate in zip(added, certificates, strict=True):
        state = "registered" if new else "was registered already"
        print(f"{identity}  key {key_id(certificate_key(certificate))}  {state}")
    return OK


def _trust_revoke(options: argparse.Namespace) -> int:
    identity = SpiffeId.parse(options.identity)
    with contextlib.closing(Store(read_config(options.config).database)) as store:
        done = TrustStore(store, SystemClock()).revoke(identity, options.key, options.after_seq, options.epoch)
    through = {epoch.hex(): seq for epoch, seq in done.through.items()}
    facts = {"identity": str(identity), "key_id": done.key_id, "counts_through": through}
    lines = [f"{identity}  key {done.key_id}  revoked"]
    lines += [f"  epoch {epoch}: counts through sequence {seq}, and no further" for epoch, seq in through.items()]
    lines.append("give the booth a new key (`edge-agent keys init`), and register it with `trust add --replace`")
    _print(facts, options.json, "\n".join(lines))
    return OK


def _trust_list(options: argparse.Namespace) -> int:
    with contextlib.closing(Store(read_config(options.config).database)) as store:
        trust = TrustStore(store, SystemClock()).current()
    registered = trust.registered
    for entry in registered:
        state = "active" if entry.active else "replaced"
        state = "revoked" if trust.revoked(entry) else "handed over" if trust.handed_over(entry) else state
        facts = {**_facts(entry.certificate), "active": entry.active, "state": state}
        if entry.identity.role is Role.BACK_OFFICE:
            reads = sorted(trust.ports.get(str(entry.identity), frozenset()) | {entry.identity.port})
            facts, state = {**facts, "reads": reads}, f"{state}, reads {' '.join(reads)}"
        _print(facts, options.json, f"{entry.identity}  key {facts['key_id']}  until {facts['valid_to']}  {state}")
    if not registered and not options.json:
        print("nobody is registered yet: port-gateway trust add CONFIG CERT")
    return OK


# --- serve, verify ------------------------------------------------------------------------------------------------
def _serve(options: argparse.Namespace) -> int:
    from port_gateway import serve  # gRPC starts threads when it is imported

    logging.basicConfig(
        level=logging.INFO if options.verbose else logging.WARNING, format="%(asctime)s %(levelname)s %(message)s"
    )

    def ready(gateway: serve.Gateway) -> None:
        facts = {"ready": True, "address": gateway.address, "identity": str(gateway.identity), "pid": os.getpid()}
        _print(facts, options.json, f"port-gateway: ready on {gateway.address} as {gateway.identity}")

    asyncio.run(serve.serve(read_config(options.config), ready))
    return OK


def _verify(options: argparse.Namespace) -> int:
    counts, alarms = audit(read_config(options.config))
    lines = [
        f"{counts.events} events in {counts.chains} chains of {counts.booths} booths, {counts.sessions} sessions: "
        "every signature and every link verified",
        f"{counts.evidence_whole} pieces of evidence whole, {counts.evidence_missing} referenced and not arrived",
        f"{counts.alarms} alarms recorded" + "".join(f"\n  {alarm}" for alarm in alarms),
    ]
    _print({"ok": True, **counts.as_dict(), "alarm_texts": alarms}, options.json, "\n".join(lines))
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
    _print(written.as_dict(), options.json, written.as_text())
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
        after=options.after,
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
            path = await client.fetch(stub, bytes.fromhex(text), options.out)
            missing += path is None
            facts: dict[str, Any] = {"sha256": text, "path": None if path is None else str(path)}
            _print(facts, options.json, f"{text}  {path or 'has not arrived at the port'}")
    return FAILED if missing else OK


def _quiet_grpc() -> None:
    """Every failure is told in our words; gRPC's own log would stand between the events."""
    os.environ.setdefault("GRPC_VERBOSITY", "NONE")


def _print(facts: dict[str, Any], as_json: bool, text: str) -> None:
    print(json.dumps(facts) if as_json else text, flush=True)
