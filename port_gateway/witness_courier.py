"""Takes receipts to one witness, on a thread of its own, and keeps what comes back or stands between."""

import logging
import threading
from collections.abc import Callable, Sequence
from dataclasses import dataclass

import apsw

from edge_agent.domain.clock import Clock
from edge_agent.domain.errors import EdgeAgentError, Fatal
from edge_agent.wire.checkpoint import read_checkpoint
from edge_agent.wire.tree import consistency_proof
from edge_agent.wire.witness_policy import Witness
from port_gateway.alarms import note_alarm
from port_gateway.store import Store
from port_gateway.trees import ProvingNodes
from port_gateway.witness_client import NotCosigned, WitnessClient, WitnessFault
from port_gateway.witnessed import Chain, WitnessedReceipt, keep_cosignature

log = logging.getLogger(__name__)

# After failures a witness is asked less and less often, at the least once in so many intervals.
LONGEST = 8
_ALARMS = (WitnessFault.FORK, WitnessFault.AHEAD)
WHOLE: Chain = ("", b"")


@dataclass(frozen=True, slots=True)
class Round:
    """What all couriers share. `current`: the newest receipt of each chain."""

    store: Store
    clock: Clock
    current: Callable[[], Sequence[WitnessedReceipt]]
    stopped: threading.Event
    every_s: float
    timeout_s: float


class Courier:
    """`ring` it when there may be something to take."""

    def __init__(self, on: Round, witness: Witness) -> None:
        self._on, self._witness = on, witness
        self._client = WitnessClient(witness, on.timeout_s)
        self._rung = threading.Event()
        self._last: dict[Chain, int] = {}
        self._faults: dict[Chain, str] = {}
        self._failures = 0
        self._read = False

    def ring(self) -> None:
        self._rung.set()

    def run(self) -> None:
        while not self._on.stopped.is_set():
            self._rung.wait()
            self._rung.clear()
            self._on.stopped.wait(self.turn())

    def turn(self) -> float:
        """Take what is new; how many seconds to leave the witness alone after that."""
        try:
            return self._turn()
        except EdgeAgentError as error:  # the store's: a fatal one ends the gateway
            if not self._on.stopped.is_set():
                log.warning("witness %s: %s", self._witness.key.name, error)
            if isinstance(error, Fatal):
                self._on.stopped.set()
        return 0.0

    def _turn(self) -> float:
        self._read_kept()
        try:
            for receipt in self._on.current():
                if self._on.stopped.is_set():
                    return 0.0
                if self._last.get(receipt.chain, 0) != receipt.size or receipt.chain in self._faults:
                    self._take(receipt)
        except NotCosigned as error:  # of the witness as a whole: the other chains would fare no better
            self._failures += 1
            self._fault(WHOLE, error)
            return self._on.every_s * (min(1 << self._failures, LONGEST) - 1)
        self._failures = 0
        self._fault(WHOLE, None)
        return 0.0

    def _take(self, receipt: WitnessedReceipt) -> None:
        """Raises NotCosigned where the witness is at fault for every chain."""

        def prove(older: int, newer: int) -> Sequence[bytes]:
            with self._on.store.reading() as db:
                return consistency_proof(ProvingNodes(db, *receipt.chain, newer), older, newer)

        try:
            checkpoint, last = read_checkpoint(receipt.note), self._last.get(receipt.chain, 0)
            cosignature = self._client.cosigned(receipt.note, checkpoint, last, prove)
        except NotCosigned as error:
            if error.fault is WitnessFault.UNREACHABLE:
                raise
            self._fault(receipt.chain, error)
            return
        if self._on.stopped.is_set():
            return
        now = self._now_us()
        self._on.store.submit(lambda db: keep_cosignature(db, receipt, cosignature, now)).result()
        self._last[receipt.chain] = receipt.size
        self._fault(receipt.chain, None)
        log.info("%s cosigned %s through %d", self._witness.key.name, receipt.chain[0], receipt.size)

    def _read_kept(self) -> None:
        """What this witness cosigned last, and what stood between before a restart."""
        if self._read:
            return
        witness = (str(self._witness.key),)
        with self._on.store.reading() as db:
            for booth_id, epoch, size in db.execute(
                "SELECT booth_id, epoch, max(size) FROM cosignature WHERE witness = ? GROUP BY booth_id, epoch", witness
            ):
                self._last[_chain(booth_id, epoch)] = int(str(size))
            for booth_id, epoch, code, detail in db.execute(
                "SELECT booth_id, epoch, code, detail FROM witness_fault WHERE witness = ?", witness
            ):
                self._faults[_chain(booth_id, epoch)] = f"{code}: {detail}"
        self._read = True

    def _fault(self, chain: Chain, error: NotCosigned | None) -> None:
        """Told and kept when it begins, when it becomes another, and when it is over."""
        said = None if error is None else f"{error.fault}: {error.detail[:500]}"
        if self._faults.get(chain) == said or self._on.stopped.is_set():
            return
        what = f"witness {self._witness.key.name}" + (f", {chain[0]}" if chain[0] else "")
        if error is None:
            log.warning("%s: cosigns again", what)
        else:
            log.log(logging.ERROR if error.fault in _ALARMS else logging.WARNING, "%s: %s", what, error.wrong)
        now = self._now_us()
        self._on.store.submit(lambda db: self._keep_fault(db, chain, error, now)).result()
        if said is None:
            del self._faults[chain]
        else:
            self._faults[chain] = said

    def _keep_fault(self, db: apsw.Connection, chain: Chain, error: NotCosigned | None, now: int) -> None:
        row = (str(self._witness.key), *chain)
        db.execute("DELETE FROM witness_fault WHERE witness = ? AND booth_id = ? AND epoch = ?", row)
        if error is None:
            return
        detail = error.detail[:500]
        db.execute("INSERT INTO witness_fault VALUES (?,?,?,?,?,?)", (*row, error.fault.value, detail, now))
        if error.fault in _ALARMS:
            note_alarm(db, (*chain, error.size), error.fault.value, detail, b"", now)

    def _now_us(self) -> int:
        return round(self._on.clock.now().utc.timestamp() * 1e6)


def _chain(booth_id: object, epoch: object) -> Chain:
    return str(booth_id), epoch if isinstance(epoch, bytes) else b""
