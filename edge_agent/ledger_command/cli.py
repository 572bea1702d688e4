"""`edge-agent ledger status` and `salvage`: the words that people type, and what they read."""

import argparse
import json
from dataclasses import asdict
from pathlib import Path
from typing import Any

from edge_agent.domain.counted import counted
from edge_agent.domain.errors import StoreFailed
from edge_agent.domain.event import StorageState
from edge_agent.ledger_command.about import add_about


def add_commands(commands: "argparse._SubParsersAction[argparse.ArgumentParser]") -> None:
    """Adds `status` and `salvage`."""
    for name, function, summary in (
        ("status", _status, "how far the chain goes, what the port has, and how full the disk is; beside the agent"),
        ("salvage", _salvage, "take over every whole event of a damaged ledger, and begin a new one in its place"),
    ):
        parser = commands.add_parser(name, help=summary, description=summary)
        parser.add_argument("config", type=Path, metavar="CONFIG", help="the booth's settings file (YAML)")
        parser.add_argument("--json", action="store_true", help="print one JSON object")
        parser.set_defaults(command=function)
    add_about(commands)


def _status(options: argparse.Namespace) -> int:
    from edge_agent.config import read_config

    setup = read_config(options.config, files=False)
    settings = setup.config.ledger
    status = ledger_status(setup.ledger, settings.budget_bytes, settings.ballast_bytes)
    status["retention_days"] = settings.retention_days
    print(json.dumps(status) if options.json else "\n".join(f"{name:<20} {_text(v)}" for name, v in status.items()))
    return 0


def ledger_status(directory: Path, budget_bytes: int | None, ballast_bytes: int) -> dict[str, Any]:
    """As `status --json` prints it. Raises StoreFailed if there is no ledger, StoreCorrupt."""
    from edge_agent.ledger.disk import measure
    from edge_agent.ledger.housekeeping import BALLAST
    from edge_agent.ledger.outbox import LedgerReader
    from edge_agent.ledger.quarantined import read_quarantined
    from edge_agent.ledger.salvaged import salvaged_status
    from edge_agent.ledger.store import DATABASE

    if not (directory / DATABASE).exists():
        raise StoreFailed(
            f"{directory}: there is no ledger", "check `ledger` in the settings; `edge-agent run` makes it"
        )
    reader = LedgerReader(directory)
    try:
        extent, kept, acknowledged = reader.extent(), reader.kept(), reader.acked_through()
        database = sum(file.stat().st_size for file in directory.glob(f"{DATABASE}*"))
        evidence = reader.evidence_bytes()
        level = measure(directory, database + evidence + ballast_bytes, budget_bytes, StorageState.NORMAL)
        return {
            "epoch": reader.epoch_held().hex(),
            "sequence": extent.newest,
            "oldest": extent.oldest,
            "trimmed_through": kept.trimmed_seq,
            "acknowledged_through": acknowledged,
            "waiting": extent.newest - acknowledged,
            "quarantined_at_port": [asdict(one) for one in read_quarantined(directory, reader.epoch_held())],
            "database_bytes": database,
            "evidence_bytes": evidence,
            "evidence": reader.blob_states(),
            "disk": level.state.value,
            "disk_used_bytes": level.used_bytes,
            "disk_capacity_bytes": level.capacity_bytes,
            "ballast": (directory / BALLAST).exists(),
            "agents_ran_s": kept.run_s,
            "salvaged": sorted(folder.name for folder in (directory / "salvaged").glob("*")),
            "salvaged_at_port": salvaged_status(directory),
            "damaged": sorted(str(folder) for folder in (directory / "damaged").glob("*")),
            "set_aside_bytes": _bytes_below(directory / "salvaged") + _bytes_below(directory / "damaged"),
        }
    finally:
        reader.close()


def _bytes_below(folder: Path) -> int:
    return sum(path.stat().st_size for path in folder.rglob("*") if path.is_file())


def _text(value: object) -> str:
    if isinstance(value, dict):
        return ", ".join(f"{count} {name}" for name, count in value.items()) or "none"
    if isinstance(value, list) and value and isinstance(value[0], dict):
        return ", ".join(f"event {one['seq']} ({one['code']})" for one in value)
    if isinstance(value, list):
        return ", ".join(map(str, value)) or "none"
    return {True: "yes", False: "no"}.get(value, str(value)) if isinstance(value, bool) else str(value)


def _salvage(options: argparse.Namespace) -> int:
    from edge_agent.config import read_config
    from edge_agent.ledger.salvage import is_whole, salvage

    setup = read_config(options.config, files=False)
    booth_id = str(setup.booth)
    device_keys = setup.identity().device_keys()
    if is_whole(setup.ledger, booth_id, device_keys):
        print(
            json.dumps({"whole": True}) if options.json else "nothing to salvage: the agent takes this ledger as it is"
        )
        return 0
    done = salvage(setup.ledger, booth_id, device_keys)
    old = done.replaced
    if options.json:
        values = asdict(old) | {"epoch": old.epoch.hex(), "last_sha256": old.last_sha256.hex()}
        place = {"kept_in": str(done.kept_in), "damaged_in": str(done.damaged_in), "evidence": done.evidence}
        print(json.dumps({"whole": False} | values | place))
        return 0
    print(f"{counted(old.found, 'whole event')} of epoch {old.epoch.hex()}, the last is sequence {old.last_seq}")
    for first, last in old.missing:
        print(f"  missing: {first} to {last}")
    print(f"they lie in {done.kept_in}\nthe damaged files lie in {done.damaged_in}")
    print(f"  {_bytes_below(done.damaged_in):,} bytes: look at them, keep a copy elsewhere, then they may be removed")
    evidence = counted(done.evidence, "piece of evidence")
    print(f"a new ledger is begun, which says so to the port and offers it {evidence}")
    print("the agent sends to the port what it does not hold of these events, over the gaps (`ledger status` tells)")
    return 0
