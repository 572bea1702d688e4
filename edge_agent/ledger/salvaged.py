"""What was salvaged of damaged ledgers, for the uplink: read, and what the port said of it noted beside.

salvaged/<epoch>/ledger.sqlite3   never written to again
salvaged/<epoch>/port.json        as far as the port holds it, and its receipt
"""

import json
import logging
from collections.abc import Sequence
from pathlib import Path

from edge_agent.domain.errors import EdgeAgentError
from edge_agent.ledger.outbox import LedgerReader
from edge_agent.ledger.salvage import SALVAGED
from edge_agent.ledger.store import DATABASE
from edge_agent.wire.chain import EPOCH_BYTES

NOTE = "port.json"

log = logging.getLogger(__name__)


class SalvagedLedger(LedgerReader):
    """One epoch: events that are whole, with gaps."""

    def __init__(self, folder: Path) -> None:
        """Raises StoreFailed, StoreCorrupt."""
        super().__init__(folder)
        self._folder = folder
        self.epoch = self.epoch_held()

    def next_after(self, seq: int) -> int | None:
        """The lowest sequence held above `seq`."""
        rows = self._rows("SELECT min(seq) FROM event WHERE seq > ?", seq)
        return None if rows[0][0] is None else int(rows[0][0])

    def digests(self, through: int) -> Sequence[tuple[int, bytes]]:
        """Sequences through `through` with the SHA-256 of their envelopes, in order."""
        return self._rows("SELECT seq, sha256 FROM event WHERE seq <= ? ORDER BY seq", through)

    def note(self, through: int, receipt: bytes, refused: str) -> None:
        """The port holds the events through `through`, and signed for it; or refused, in its words. What it has said
        before is not noted anew: from the file's time counts how long this is kept.
        """
        path = self._folder / NOTE
        if said_by_port(self._folder) == (through, refused):
            return
        said = {"through": through, "receipt": receipt.decode(errors="replace"), "refused": refused}
        unfinished = path.with_suffix(".unfinished")
        try:
            unfinished.write_text(json.dumps(said))
            unfinished.replace(path)
        except OSError as error:
            log.warning("%s: what the port holds of it cannot be noted: %s", path, error.strerror)


def open_salvaged(directory: Path) -> list[SalvagedLedger]:
    """Those beside the ledger in `directory`, the newest first. One that cannot be read is left out, and told."""
    found = []
    for folder in _folders(directory):
        try:
            found.append(SalvagedLedger(folder))
        except EdgeAgentError as error:
            log.error("%s: cannot be offered to the port: %s", folder, error.wrong)
    return found


def salvaged_status(directory: Path) -> list[str]:
    """Of each, how much of it the port is known to hold, in words."""
    lines = []
    for ledger in reversed(open_salvaged(directory)):
        newest = ledger.extent().newest
        ledger.close()
        through, refused = said_by_port(directory / SALVAGED / ledger.epoch.hex()) or (0, "")
        how = "the port holds all of it" if through >= newest else f"the port holds it through {through} of {newest}"
        lines.append(f"{ledger.epoch.hex()}: {refused or how}")
    return lines


def said_by_port(folder: Path) -> tuple[int, str] | None:
    """Through which event the port holds what was salvaged in `folder`, and in what words it refused more."""
    try:
        said = json.loads((folder / NOTE).read_text())
        return int(said["through"]), str(said["refused"])
    except (OSError, ValueError, KeyError, TypeError):
        return None


def _folders(directory: Path) -> list[Path]:
    folders = [
        folder
        for folder in (directory / SALVAGED).glob("*")
        if len(folder.name) == 2 * EPOCH_BYTES and (folder / DATABASE).exists()
    ]
    return sorted(folders, key=lambda folder: (folder / DATABASE).stat().st_mtime_ns, reverse=True)
