"""The commands that say who may speak to the gateway: keys, trust, the authority and its tokens."""

import argparse
import contextlib
import json
from collections.abc import Iterator, Sequence
from datetime import timedelta
from pathlib import Path
from typing import Any

from cryptography import x509

from edge_agent.domain.clock import SystemClock
from edge_agent.domain.errors import IdentityInvalid
from edge_agent.wire.chain import EPOCH_BYTES
from edge_agent.wire.identity import (
    Role,
    SpiffeId,
    certificate_key,
    create_identity,
    identity_of,
    key_id,
    load_certificate,
    load_certificates,
)
from port_gateway.authority import create_authority
from port_gateway.config import Settings, read_config
from port_gateway.store import Store
from port_gateway.trust import TrustStore

OK = 0


def add_config(parser: argparse.ArgumentParser) -> None:
    """The settings file, which most commands want."""
    parser.add_argument("config", type=Path, metavar="CONFIG", help="the gateway's settings file (YAML)")


def count(text: str) -> int:
    """A number of SQLite's, from 0 on."""
    value = int(text) if text.isdecimal() else -1
    if not 0 <= value < 2**63:
        raise argparse.ArgumentTypeError("a number from 0 on")
    return value


def _epoch(text: str) -> bytes:
    if len(text) != 2 * EPOCH_BYTES or not all(c in "0123456789abcdef" for c in text):
        raise argparse.ArgumentTypeError(f"{2 * EPOCH_BYTES} hex digits in lower case")
    return bytes.fromhex(text)


def show(facts: dict[str, Any], as_json: bool, text: str) -> None:
    """What a command found, for a program or for a person: at a terminal, to which no booth's words are commands."""
    shown = "".join(c if c.isprintable() or c == "\n" else "·" for c in text)
    print(json.dumps(facts) if as_json else shown, flush=True)


# --- keys ---------------------------------------------------------------------------------------------------------
def add_keys(parser: argparse.ArgumentParser) -> None:
    """Adds `init` and `show`."""
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
    valid = _validity(options.days, 36_500)
    made = create_identity(options.out, identity.name, identity, SystemClock().now().utc, tuple(options.host), valid)
    return _say_made(*made)


def _validity(days: int, most: int) -> timedelta:
    if not 1 <= days <= most:
        raise IdentityInvalid(f"{days} days of validity", f"give --days from 1 to {most}")
    return timedelta(days=days)


def _say_made(key: Path, certificate: Path) -> int:
    print(f"key          {key}  (keep it secret)\ncertificate  {certificate}")
    return OK


def _keys_show(options: argparse.Namespace) -> int:
    facts = _facts(load_certificate(options.certificate))
    show(facts, options.json, "\n".join(f"{name:<12} {value}" for name, value in facts.items()))
    return OK


def _facts(certificate: x509.Certificate) -> dict[str, str]:
    return {
        "identity": str(identity_of(certificate)),
        "key_id": key_id(certificate_key(certificate)),
        "valid_from": certificate.not_valid_before_utc.isoformat(),
        "valid_to": certificate.not_valid_after_utc.isoformat(),
    }


# --- ca, enroll -----------------------------------------------------------------------------------------------------
def add_authority(parser: argparse.ArgumentParser) -> None:
    """Adds `init`."""
    commands = parser.add_subparsers(required=True, metavar="COMMAND")
    init = commands.add_parser(
        "init",
        help="make the authority's key and certificate",
        description="Make ca.key and ca.crt, an authority for the booths of one port and for nothing else. Name both "
        "under `enroll` in the settings, and keep a copy of the key in a safe. Needs no network.",
    )
    init.add_argument("port", metavar="PORT", help="the port that booths' identities begin with, e.g. uslrd")
    init.add_argument("--out", type=Path, default=Path("keys"), metavar="DIR", help="folder (default: %(default)s)")
    init.add_argument("--days", type=int, default=3650, help="validity (3650)")
    init.set_defaults(run=_authority_init)


def _authority_init(options: argparse.Namespace) -> int:
    valid = _validity(options.days, 7300)
    return _say_made(*create_authority(options.out, options.port, SystemClock().now().utc, valid))


def add_enroll(parser: argparse.ArgumentParser) -> None:
    """Adds `token`."""
    commands = parser.add_subparsers(required=True, metavar="COMMAND")
    token = commands.add_parser(
        "token",
        help="print a one-time token for one booth",
        description="Print a one-time token for `edge-agent enroll`. It carries the digest of the gateway's certificate"
        ", so that the booth's first contact cannot be fooled; the gateway keeps a digest of it only.",
    )
    add_config(token)
    token.add_argument("booth", metavar="BOOTH", help="e.g. spiffe://uslrd/booth/lane-1")
    token.add_argument(
        "--valid", type=_duration, default=timedelta(hours=1), metavar="TIME", help="e.g. 30m, 1h, 2d (1h)"
    )
    token.set_defaults(run=_enroll_token)


def _duration(text: str) -> timedelta:
    units = {"m": "minutes", "h": "hours", "d": "days"}
    if not text[:-1].isdecimal() or text[-1:] not in units or len(text) > 6:
        raise argparse.ArgumentTypeError("a number and m, h or d, e.g. 30m")
    return timedelta(**{units[text[-1]]: int(text[:-1])})


def _enroll_token(options: argparse.Namespace) -> int:
    settings = read_config(options.config)
    if settings.enroll is None:
        raise IdentityInvalid(
            f"{options.config} has no `enroll`", "make an authority with `port-gateway ca init`, and name it there"
        )
    from port_gateway.enrollment import new_token  # gRPC starts threads when it is imported

    with contextlib.closing(Store(settings.database)) as store:
        gateway = load_certificate(settings.identity.certificate)
        authority = load_certificate(settings.enroll.certificate)
        print(new_token(store, SystemClock(), SpiffeId.parse(options.booth), options.valid, gateway, authority))
    return OK


# --- trust --------------------------------------------------------------------------------------------------------
def add_trust(parser: argparse.ArgumentParser) -> None:
    """Adds `add`, `revoke` and `list`."""
    commands = parser.add_subparsers(required=True, metavar="COMMAND")
    add = commands.add_parser(
        "add",
        help="register certificates; works at once on a running gateway",
        description="Register certificates of booths and back-offices. Before, compare the key id with the one that "
        "`keys show` prints on the other machine.",
    )
    add_config(add)
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
    add_config(revoke)
    revoke.add_argument("identity", metavar="IDENTITY", help="e.g. spiffe://uslrd/booth/lane-1")
    revoke.add_argument("--key", required=True, metavar="ID", help="the key's id, or its first digits (`trust list`)")
    where = revoke.add_mutually_exclusive_group(required=True)
    where.add_argument("--now", action="store_true", help="at what the port holds now")
    where.add_argument(
        "--after-seq",
        type=count,
        metavar="N",
        help="after sequence N, which the booth's ledger has reached and the port may not",
    )
    revoke.add_argument("--epoch", type=_epoch, metavar="HEX", help="the epoch of N (default: the one that grew last)")
    revoke.add_argument(
        "--unseen",
        action="store_true",
        help="a key that the gateway has no certificate of, which an authority may have issued one for; in full",
    )
    revoke.add_argument("--json", action="store_true", help="print a JSON object")
    revoke.set_defaults(run=_trust_revoke)
    show = commands.add_parser("list", help="show the registered certificates")
    add_config(show)
    show.add_argument("--json", action="store_true", help="print one JSON object a certificate")
    show.set_defaults(run=_trust_list)


@contextlib.contextmanager
def _trusting(settings: Settings, authorities: Sequence[x509.Certificate] = ()) -> Iterator[TrustStore]:
    """The registered certificates of a gateway, running or not. Who revokes needs no authority's file."""
    with contextlib.closing(Store(settings.database)) as store:
        yield TrustStore(store, SystemClock(), authorities)


def _trust_add(options: argparse.Namespace) -> int:
    certificates = [load_certificate(path) for path in options.certificates]
    settings = read_config(options.config)
    authorities = [certificate for path in settings.authorities for certificate in load_certificates(path)]
    if settings.enroll is not None:
        authorities.append(load_certificate(settings.enroll.certificate))
    with _trusting(settings, authorities) as trust:
        added = trust.add(certificates, options.replace)
        for certificate in certificates if options.reads else ():
            trust.let_read(identity_of(certificate), options.reads)
    for (identity, new), certificate in zip(added, certificates, strict=True):
        state = "registered" if new else "was registered already"
        print(f"{identity}  key {key_id(certificate_key(certificate))}  {state}")
    return OK


def _trust_revoke(options: argparse.Namespace) -> int:
    identity = SpiffeId.parse(options.identity)
    with _trusting(read_config(options.config)) as trust:
        done = trust.revoke(identity, options.key, options.after_seq, options.epoch, options.unseen)
    through = {epoch.hex(): seq for epoch, seq in done.through.items()}
    in_force = sorted(done.in_force)
    facts = {"identity": str(identity), "key_id": done.key_id, "counts_through": through, "still_in_force": in_force}
    lines = [f"{identity}  key {done.key_id}  revoked"]
    lines += [f"  epoch {epoch}: counts through sequence {seq}, and no further" for epoch, seq in through.items()]
    lines += [f"STILL IN FORCE: key {key}: revoke it, too, unless you know it" for key in in_force]
    lines.append("give the booth a new key (`edge-agent keys init`), and register it with `trust add --replace`")
    show(facts, options.json, "\n".join(lines))
    return OK


def _trust_list(options: argparse.Namespace) -> int:
    with _trusting(read_config(options.config)) as store:
        trust = store.current()
    registered = trust.registered
    for entry in registered:
        state = "active" if entry.active else "replaced"
        state = "revoked" if trust.revoked(entry) else "handed over" if trust.handed_over(entry) else state
        facts = {**_facts(entry.certificate), "active": entry.active, "state": state}
        if entry.identity.role is Role.BACK_OFFICE:
            reads = sorted(trust.ports.get(str(entry.identity), frozenset()) | {entry.identity.port})
            facts, state = {**facts, "reads": reads}, f"{state}, reads {' '.join(reads)}"
        show(facts, options.json, f"{entry.identity}  key {facts['key_id']}  until {facts['valid_to']}  {state}")
    if not registered and not options.json:
        print("nobody is registered yet: port-gateway trust add CONFIG CERT")
    return OK
