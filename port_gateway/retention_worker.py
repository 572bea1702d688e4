"""Runs retention beside the gateway, on a thread of its own that no stop waits for longer than a step."""

import logging
import threading

from edge_agent.domain.clock import Clock
from edge_agent.domain.errors import EdgeAgentError, Fatal
from port_gateway.retention import DAY_US, Retention, moment
from port_gateway.store import Store

log = logging.getLogger(__name__)

# A clock that is set wrong would delete what is not over: it is believed as far as it runs like the machine's own.
MAX_JUMP_S = 3_600.0
# An inbox without events for so long may be a port that was closed, or a clock from next year: a person decides.
MAX_SILENCE_US = 30 * DAY_US


class RetentionWorker:
    """Deletes what is over every `every_s` seconds while it runs."""

    def __init__(self, retention: Retention, store: Store, clock: Clock, every_s: float) -> None:
        self._retention, self._store, self._clock, self._every_s = retention, store, clock, every_s
        self._told = ""
        self._began = self._now()
        self._newest_us = (
            self._last_event_us()
        )  # of another run's clock: no event of this one makes a wrong clock right
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
            if doubt := self._doubt():
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

    def _doubt(self) -> str:
        """Why the clock cannot be believed, '' if it can."""
        utc, monotonic = self._now()
        drift = (utc - self._began[0]) - (monotonic - self._began[1])
        if abs(drift) > MAX_JUMP_S:
            return f"this machine's clock was set by {drift:.0f} s; restart the gateway when it is right"
        for last, now in ((self._newest_us, self._began[0]), (self._last_event_us(), utc)):
            if last is not None and now * 1e6 - last > MAX_SILENCE_US:
                before = "" if now == utc else " before this start"
                return (
                    f"the last event{before} came at {moment(last)}, by this machine's clock long ago; if the clock is "
                    "right, `port-gateway retention run` deletes"
                )
        return ""

    def _last_event_us(self) -> int | None:
        """When the last event came, by the clock of then."""
        with self._store.reading() as db:
            last = db.execute("SELECT received_utc_us FROM event ORDER BY cursor DESC LIMIT 1").get
        return last if isinstance(last, int) else None

    def _now(self) -> tuple[float, float]:
        return self._clock.now().utc.timestamp(), self._clock.monotonic()

    def _say(self, words: str) -> None:
        """Once for each state that lasts."""
        if words != self._told:
            log.warning("%s", words)
            self._told = words
