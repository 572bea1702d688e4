"""Runs what ends things beside the gateway, on a thread of its own that no stop waits for longer than a step.

evidence ─► events ─► messages for booths ─► old receipts ─► the database's log emptied
"""

import logging
import threading

from edge_agent.domain.clock import Clock
from edge_agent.domain.counted import counted
from edge_agent.domain.errors import EdgeAgentError, Fatal
from port_gateway.clock_doubt import ClockDoubt, believe
from port_gateway.messages_end import EndOfMessages
from port_gateway.receipts_end import EndOfReceipts
from port_gateway.retention import Retention
from port_gateway.retention_events import EventRetention
from port_gateway.store import Store

log = logging.getLogger(__name__)


class RetentionWorker:
    """Deletes what is over every `every_s` seconds while it runs: evidence, then events."""

    def __init__(
        self, retention: Retention, events: EventRetention, store: Store, clock: Clock, every_s: float
    ) -> None:
        self._retention, self._events, self._store, self._clock = retention, events, store, clock
        self._every_s, self._told = every_s, ""
        self._undated = False
        self._doubt = ClockDoubt(store, clock)
        self._messages, self._receipts = EndOfMessages(store, clock), EndOfReceipts(store, clock)
        self._stopped = threading.Event()
        self._thread = threading.Thread(target=self._run, name="retention", daemon=True)

    def start(self) -> None:
        self._thread.start()

    def stop(self) -> None:
        """At once; a step that is under way is finished, or found again at the next start."""
        self._stopped.set()

    def turn(self) -> int:
        """Delete all that is over, unless the clock is in doubt; how many pieces of evidence and events went."""
        count, events = 0, 0
        try:
            with self._store.reading() as db:
                doubt = self._doubt.reason(db)
            self._retention.settle()  # needs no clock
            if self._doubt.jumped and not self._undated:  # nobody knows which of the two times was right
                self._retention.undate(self._doubt.began_us)
                self._events.undate(self._doubt.began_us)
                self._messages.undate()
                self._undated = True
            if doubt:
                self._say(f"nothing is deleted: {doubt}")
                return 0
            now_us = round(self._clock.now().utc.timestamp() * 1e6)
            self._store.submit(lambda db: believe(db, now_us)).result()
            for step in self._retention.run():
                count += step
                if self._stopped.is_set():
                    break
            for step in () if self._stopped.is_set() else self._events.run():
                events += step
                if self._stopped.is_set():
                    break
            self._end_the_rest()
        except EdgeAgentError as error:
            if isinstance(error, Fatal):
                self.stop()
            self._say(f"what is over could not be deleted: {error.wrong}")
            return count + events
        self._told = ""
        if count or events:
            pieces = counted(count, "piece of evidence")
            log.info("deleted, for their time is over: %s and %s", pieces, counted(events, "event"))
        return count + events

    def _end_the_rest(self) -> None:
        if self._stopped.is_set():
            return
        if messages := self._messages.run():
            log.warning(
                "taken out, for no booth took it: %s; MESSAGE_NOT_TAKEN in `verify`", counted(messages, "message")
            )
        receipts = 0
        for step in self._receipts.run():
            receipts += step
            if self._stopped.is_set():
                break
        if receipts:
            old = counted(receipts, "old receipt")
            log.info("%s taken out: later ones have the word of all who gave theirs", old)
        self._store.empty_log()

    def _run(self) -> None:
        while not self._stopped.wait(self._every_s):
            self.turn()

    def _say(self, words: str) -> None:
        """Once for each state that lasts."""
        if words != self._told:
            log.warning("%s", words)
            self._told = words
