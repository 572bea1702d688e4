"""`port-gateway about PLATE`: what is held on one plate, for a person who asks."""

import argparse
import contextlib
from pathlib import Path

from edge_agent.domain.counted import counted
from edge_agent.domain.identifiers import normalise_plate
from edge_agent.pack.about import as_json, wanted
from edge_agent.pack.about_page import in_text, purpose, write_about
from port_gateway.about import about_plate
from port_gateway.config import read_config
from port_gateway.retention_command.cli import add_by, now_us
from port_gateway.retention_records import log_action
from port_gateway.store import Store
from port_gateway.trust_command.cli import OK, add_config, show


def add_about(parser: argparse.ArgumentParser) -> None:
    """Adds what it is asked with."""
    add_config(parser)
    parser.add_argument("plate", metavar="PLATE", help="as on the vehicle; blanks and hyphens do not count")
    parser.add_argument("--reason", required=True, help="why, for the log that stays: the request's number, no plate")
    parser.add_argument("--fold", action="store_true", help="take O and 0, and I and 1, for the same")
    parser.add_argument("--export", type=Path, metavar="DIR", help="write what can be handed out to a new folder")
    add_by(parser)
    parser.add_argument("--json", action="store_true", help="print a JSON object")
    parser.set_defaults(run=_about)


def _about(options: argparse.Namespace) -> int:
    settings = read_config(options.config)
    reason = purpose(options.reason, wanted(options.plate), normalise_plate)
    found = about_plate(settings, options.plate, options.fold)
    detail = f"{reason}: {counted(len(found.events), 'event')} of {', '.join(found.inspections) or 'no inspection'}"
    with contextlib.closing(Store(settings.database)) as store:  # before anything is shown
        store.submit(lambda db: log_action(db, options.by, "about", detail, now_us())).result()
    if options.export is not None:
        write_about(found, options.export, "the port")
    show(as_json(found, handed_out=False), options.json, in_text(found))
    return OK
