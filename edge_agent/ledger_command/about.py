"""`edge-agent ledger about PLATE`: what this booth holds on one plate, for a person who asks."""

import argparse
import getpass
import json
import sys
from pathlib import Path


def add_about(commands: "argparse._SubParsersAction[argparse.ArgumentParser]") -> None:
    """Adds `about`."""
    summary = "what this booth holds on one plate; who asks is logged, without the plate"
    parser = commands.add_parser("about", help=summary, description=summary)
    parser.add_argument("config", type=Path, metavar="CONFIG", help="the booth's settings file (YAML)")
    parser.add_argument("plate", metavar="PLATE", help="as on the vehicle; blanks and hyphens do not count")
    parser.add_argument("--reason", required=True, help="why, for the log that stays: the request's number, no plate")
    parser.add_argument("--fold", action="store_true", help="take O and 0, and I and 1, for the same")
    parser.add_argument("--export", type=Path, metavar="DIR", help="write what can be handed out to a new folder")
    parser.add_argument("--by", default=getpass.getuser(), help="who asks, for the log (default: %(default)s)")
    parser.add_argument("--json", action="store_true", help="print one JSON object")
    parser.set_defaults(command=_about)


def _about(options: argparse.Namespace) -> int:
    from edge_agent.config import read_config
    from edge_agent.domain.clock import SystemClock
    from edge_agent.domain.errors import EdgeAgentError
    from edge_agent.domain.identifiers import normalise_plate
    from edge_agent.expectations.store import DAMAGED, FOLDER, read_crossings
    from edge_agent.ledger.about import about_plate, log_request
    from edge_agent.pack.about import as_json, expected_in_words, wanted
    from edge_agent.pack.about_page import in_text, purpose, write_about

    setup = read_config(options.config, files=False)
    reason = purpose(options.reason, wanted(options.plate), normalise_plate)
    found = about_plate(setup.ledger, options.plate, options.fold)
    expected = setup.ledger / FOLDER
    try:
        words = (expected_in_words(one, found.plate, options.fold) for one in read_crossings(expected))
        found.expected = list(dict.fromkeys(filter(None, words)))
    except EdgeAgentError as error:
        found.unsearched.append(error.wrong)
    if (expected / DAMAGED).exists():
        found.unsearched.append(f"{expected / DAMAGED}: a copy of what the port expected that was set aside")
    log_request(setup.ledger, SystemClock(), options.by, reason, found.inspections)
    if options.export is not None:
        write_about(found, options.export, str(setup.booth))
    sys.stdout.write((json.dumps(as_json(found, handed_out=False)) if options.json else in_text(found)) + "\n")
    return 0
