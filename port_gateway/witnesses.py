"""Cosignatures on receipts, in the background: nothing waits for a witness, and no event is refused for want of one.

every chain that has grown ─► a receipt, signed ─┬─► a thread a witness ─► verified ─► kept in the inbox
                                                 └─► …

All witnesses get the same receipt, so that a quorum is over one text. A witness that was away gets the newest alone.
"""

import logging
import threading
from dataclasses import dataclass
from typing import cast

from edge_agent.domain.clock import Clock
from edge_agent.domain.errors import EdgeAgentError, Fatal
from edge_agent.wire.chain import Head
from edge_agent.wire.witness_policy import Policy
from port_gateway.store import Store
from port_gateway.trees import ChainNodes, Receipts
from port_gateway.witness_courier import Courier, Round
from port_gateway.witnessed import Chain, WitnessedReceipt, receipts_from

log = logging.getLogger(__name__)


@dataclass(frozen=True, slots=True)
class Witnessing:
    """`certificate`: that of the receipts' key (DER). A chain's receipt is new at most once in `every_s`."""

    receipts: Receipts
    certificate: bytes
    policy: Policy
    every_s: float
    timeout_s: float


class Witnesses:
    """Signs receipts and has them cosigned while it runs, on threads of its own that no stop waits for."""

    def __init__(self, store: Store, witnessing: Witnessing, clock: Clock) -> None:
        self._store, self._with = store, witnessing
        self._current: dict[Chain, WitnessedReceipt] = {}
        self._stopped = threading.Event()
        on = Round(store, clock, self._receipts, self._stopped, witnessing.every_s, witnessing.timeout_s)
        self.couriers = [Courier(on, witness) for witness in witnessing.policy.witnesses.values()]
        self._threads = [threading.Thread(target=self._run, name="witnessed-receipts", daemon=True)]
        self._threads += [
            threading.Thread(target=courier.run, name=f"witness-{number}", daemon=True)
            for number, courier in enumerate(self.couriers, 1)
        ]

    def start(self) -> None:
        for thread in self._threads:
            thread.start()

    def stop(self) -> None:
        """At once; an answer that is still to come is not kept."""
        self._stopped.set()
        for courier in self.couriers:
            courier.ring()

    def turn(self) -> None:
        """A new receipt of every chain that has grown since its last one, for every witness."""
        with self._store.reading() as db:
            rows = db.execute("SELECT booth_id, epoch, seq, sha256 FROM chain ORDER BY booth_id, epoch").fetchall()
        heads = [Head(*row) for row in cast("list[tuple[str, bytes, int, bytes]]", rows)]
        self._current = {(head.booth_id, head.epoch): self._receipt(head) for head in heads}
        for courier in self.couriers:
            courier.ring()

    def _receipts(self) -> list[WitnessedReceipt]:
        return list(self._current.values())

    def _receipt(self, head: Head) -> WitnessedReceipt:
        chain = head.booth_id, head.epoch
        known = self._current.get(chain)
        if known is not None and known.size == head.seq:
            return known
        with self._store.reading() as db:
            kept = next(receipts_from(db, chain, head.seq), None)
            if kept is not None and (kept.size, kept.certificate) == (head.seq, self._with.certificate):
                return kept  # of before a restart: others may still cosign it
            tree, _ = ChainNodes(db, *chain).tree(head.seq)
        return WitnessedReceipt(chain, head.seq, self._with.receipts.sign(head, tree), self._with.certificate, ())

    def _run(self) -> None:
        told, wait = "", 0.0
        while not self._stopped.wait(wait):
            wait = self._with.every_s
            try:
                self.turn()
                told = ""
            except EdgeAgentError as error:
                if error.wrong != told and not self._stopped.is_set():
                    log.warning("no receipts for witnesses: %s", error)
                told = error.wrong
                if isinstance(error, Fatal):
                    self.stop()
