"""`edge-agent console`: the words that people type, and what they read."""

import argparse
import asyncio
import getpass
import json
import logging
import os
import signal
import sys
from pathlib import Path

from edge_agent.domain.errors import EdgeAgentError
from edge_agent.subcommand import subcommand


def add_commands(console: argparse.ArgumentParser) -> None:
    """Adds `serve` and `set-password`."""
    commands = console.add_subparsers(required=True, metavar="COMMAND")
    serve = subcommand(commands, "serve", _serve, "serve the booth's page beside the agent, until it is stopped")
    serve.add_argument("config", type=Path, metavar="CONFIG", help="the booth's settings file (YAML)")
    serve.add_argument("--json", action="store_true", help="print one JSON object when it is served")
    summary = "set the password of the booth's page: asks for it twice; who is logged in has to log in again"
    password = subcommand(commands, "set-password", _set_password, summary)
    password.add_argument("config", type=Path, metavar="CONFIG", help="the booth's settings file (YAML)")
    password.add_argument("--stdin", action="store_true", help="read it from standard input, one line, for installers")


def _serve(options: argparse.Namespace) -> int:
    from edge_agent.config_console import read_console
    from edge_agent.console_command.serve import serve

    setup = read_console(options.config)
    logging.basicConfig(level=logging.INFO, format="%(asctime)s %(levelname)-7s %(message)s", stream=sys.stderr)
    os.nice(10)  # whatever browsers ask for, devices and cameras come first

    def say(url: str) -> None:
        print(json.dumps({"url": url}) if options.json else f"the booth's page is at {url}", flush=True)

    async def until_stopped() -> None:
        stop, loop = asyncio.Event(), asyncio.get_running_loop()
        for number in (signal.SIGTERM, signal.SIGINT):
            loop.add_signal_handler(number, stop.set)
        await serve(setup, stop, say)

    asyncio.run(until_stopped())
    return 0


def _set_password(options: argparse.Namespace) -> int:
    from edge_agent.config_console import read_console
    from edge_agent.console.passwords import Hashed

    setup = read_console(options.config, files=False)
    if setup.settings.password_file is None:
        raise EdgeAgentError(
            f"{options.config}: console.password_file is not set",
            "name the file there: the page asks for a password then",
        )
    path = setup.folder / setup.settings.password_file
    Hashed.of(_asked(options.stdin)).write(path)
    print(f"{path}: written, mode 0600")
    return 0


def _asked(from_stdin: bool) -> str:
    if from_stdin:
        return sys.stdin.readline().rstrip("\r\n")
    first = getpass.getpass("the page's password: ")
    if getpass.getpass("once more: ") != first:
        raise EdgeAgentError("the two are not the same", "type it again")
    return first
