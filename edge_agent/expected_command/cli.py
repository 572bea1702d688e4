"""`edge-agent expected status`: which list of expectations this booth holds, and how old it is."""

import argparse
import json
from pathlib import Path


def add_commands(parser: argparse.ArgumentParser) -> None:
    """Adds `status`."""
    commands = parser.add_subparsers(required=True, metavar="COMMAND")
    summary = "how many crossings are expected here, and how old the list is; beside the agent"
    status = commands.add_parser("status", help=summary, description=summary)
    status.add_argument("config", type=Path, metavar="CONFIG", help="the booth's settings file (YAML)")
    status.add_argument("--json", action="store_true", help="print one JSON object")
    status.set_defaults(command=_status)


def _status(options: argparse.Namespace) -> int:
    from edge_agent.config import read_config
    from edge_agent.domain.clock import SystemClock
    from edge_agent.expecting import expectations_status

    status = expectations_status(read_config(options.config, files=False).ledger, SystemClock())
    if options.json:
        print(json.dumps(status))
    elif not status["held"]:
        print("the port has told this booth of nothing that it expects")
    else:
        age = f"the port said {status['age_s']} s ago that this is the newest"
        print(f"{status['expected']} expected, revision {status['revision']} of the port's list; {age}")
    return 0
