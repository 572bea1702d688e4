"""Runs retention beside the gateway, on a thread of its own that no stop waits for longer than a step."""

import logging
import threading

from edge_agent.domain.clock import Clock
from edge_agent.domain.errors import EdgeAgentError, Fatal
from port_gateway.clock_doubt import ClockDoubt
from port_gateway.retention import Retention
from port_gateway.store import Store

log = logging.getLogger(__name__)


class RetentionWorker:
    """Deletes what is over every `every_s` seconds while it runs."""

    def __init__(self, retention: Retention, store: Store, clock: Clock, every_s: float) -> None:
        self._retention, self._store, self._every_s = retention, store, every_s
        self._told = ""
        self._doubt = ClockDoubt(store, clock, "`port-gateway retention run` deletes")
        self._stopped = threading.Event()
        self._thread = threading.Thread(target=self._run, name="retention", daemon=True)

    def start(self) -> None:
        self._thread.start()

    def stop(self) -> None:
        """At once; a step that is under way is finished, or found again at the next start."""
        self._stopped.set()

    def turn(self) -> int:
        """Delete all that is over, unless the clock is in doubt; how many pieces went."""
        count = 0
        try:
            with self._store.reading() as db:
                doubt = self._doubt.reason(db)
            self._retention.settle()  # needs no clock
            if doubt:
                self._say(f"no evidence is deleted: {doubt}")
                return 0
            for step in self._retention.run():
                count += step
                if self._stopped.is_set():
                    break
        except EdgeAgentError as error:
            if isinstance(error, Fatal):
                self.stop()
            self._say(f"evidence whose time is over could not be deleted: {error.wrong}")
            return count
        self._told = ""
        if count:
            log.info("%d pieces of evidence were deleted: their time is over", count)
        return count

    def _run(self) -> None:
        while not self._stopped.wait(self._every_s):
            self.turn()

    def _say(self, words: str) -> None:
        """Once for each state that lasts."""
        if words != self._told:
            log.warning("%s", words)
            self._told = words
