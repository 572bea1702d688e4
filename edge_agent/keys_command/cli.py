"""`edge-agent keys`: the words that people type, and what they read."""

import argparse
import asyncio
import json
from dataclasses import asdict
from importlib.metadata import version
from pathlib import Path

from edge_agent.domain.clock import SystemClock
from edge_agent.keys_command.make import init_booth, request, show
from edge_agent.subcommand import subcommand

_SIGNER = "pkcs11:token=…;object=…?module-path=…&pin-source=file:… (docs/operate.md)"


def add_commands(keys: argparse.ArgumentParser) -> None:
    """Adds `init`, `csr`, `rotate` and `show`."""
    commands = keys.add_subparsers(required=True, metavar="COMMAND")
    init = subcommand(commands, "init", _init, "make a key and a certificate; never overwrites")
    _booth(init)
    init.add_argument("--out", type=Path, default=Path("keys"), metavar="DIR", help="folder (default: %(default)s)")
    init.add_argument("--signer", metavar="URI", help=f"a key in a hardware token, made there if need be: {_SIGNER}")
    init.add_argument(
        "--passphrase-file", type=Path, metavar="FILE", help="encrypt the key's file with this passphrase"
    )
    csr = subcommand(
        commands, "csr", _csr, "print a certificate signing request, for a site with an authority of its own"
    )
    _booth(csr)
    csr.add_argument(
        "--signer",
        metavar="URI",
        default="keys/booth.key",
        help="the device key, as in the settings (default: %(default)s)",
    )
    summary = "hand the ledger over to a new key; stop the agent before, and start it after"
    rotated = subcommand(commands, "rotate", _rotate, summary)
    rotated.add_argument("config", type=Path, metavar="CONFIG", help="the booth's settings file (YAML)")
    rotated.add_argument("--json", action="store_true", help="print one JSON object")
    shown = subcommand(commands, "show", _show, "show whom a certificate names, its key id and its dates")
    shown.add_argument("certificate", type=Path, metavar="CERTIFICATE", help="a .crt file")
    shown.add_argument("--json", action="store_true", help="print one JSON object")


def add_enroll_command(enroll: argparse.ArgumentParser) -> None:
    """`edge-agent enroll`."""
    enroll.set_defaults(command=_enroll)
    enroll.add_argument("gateway", metavar="HOST:PORT", help="where the gateway enrols booths (its `enroll.listen`)")
    token = enroll.add_mutually_exclusive_group(required=True)
    token.add_argument("--token-file", type=Path, metavar="FILE", help="holds the token, mode 0400 or 0600")
    token.add_argument("--token", metavar="TOKEN", help="the token itself: other users of this machine may see it")
    enroll.add_argument("--out", type=Path, default=Path("keys"), metavar="DIR", help="folder (default: %(default)s)")
    enroll.add_argument("--signer", metavar="URI", help=f"another key than DIR/booth.key, e.g. in a token: {_SIGNER}")


def _booth(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("booth", metavar="BOOTH", help="the booth's identity, e.g. spiffe://uslrd/booth/lane-1")


def _init(options: argparse.Namespace) -> int:
    now = SystemClock().now().utc
    print(init_booth(options.booth, options.out, now, options.signer, options.passphrase_file))
    return 0


def _csr(options: argparse.Namespace) -> int:
    print(request(options.booth, options.signer), end="")
    return 0


def _enroll(options: argparse.Namespace) -> int:
    from edge_agent.keys_command.enroll import enroll_booth, read_token

    token = read_token(options.token, options.token_file)
    now = SystemClock().now().utc
    print(asyncio.run(enroll_booth(options.gateway, token, options.out, options.signer, now)))
    return 0


def _rotate(options: argparse.Namespace) -> int:
    from edge_agent.config import read_config
    from edge_agent.keys_command.rotate import rotate

    done = asyncio.run(rotate(read_config(options.config, files=False), SystemClock(), version("edge-agent")))
    if options.json:
        print(json.dumps(asdict(done)))
        return 0
    said = f"the ledger says so at sequence {done.seq}" if done.seq else "the ledger said so before"
    print(
        f"old key  {done.old}\nnew key  {done.new}   ({said})\n"
        "start the agent: it signs with the new key from now on, and the port takes it over by itself"
    )
    return 0


def _show(options: argparse.Namespace) -> int:
    about = show(options.certificate)
    print(json.dumps(about) if options.json else "\n".join(f"{k:<12} {v}" for k, v in about.items()))
    return 0
