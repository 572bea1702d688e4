"""Whether this machine's clock may be believed when it says that a time is over.

A clock that is set wrong would take away what is not over: it is believed as far as it runs like the machine's own.
"""

import apsw

from edge_agent.domain.clock import Clock
from port_gateway.retention import DAY_US, moment
from port_gateway.store import Store

MAX_JUMP_S = 3_600.0
# An inbox without events for so long may be a port that was closed, or a clock from next year: a person decides.
MAX_SILENCE_US = 30 * DAY_US


class ClockDoubt:
    """From its making on. `by_hand`: what a person does who knows that the clock is right."""

    def __init__(self, store: Store, clock: Clock, by_hand: str) -> None:
        self._clock, self._by_hand = clock, by_hand
        self._began = self._now()
        with store.reading() as db:
            # Of another run's clock: no event of this one makes a wrong clock right.
            self._newest_us = _last_event_us(db)

    def reason(self, db: apsw.Connection) -> str:
        """Why the clock cannot be believed, and what to do; '' if it can."""
        utc, monotonic = self._now()
        drift = (utc - self._began[0]) - (monotonic - self._began[1])
        if abs(drift) > MAX_JUMP_S:
            return f"this machine's clock was set by {drift:.0f} s; restart the gateway when it is right"
        for last, now in ((self._newest_us, self._began[0]), (_last_event_us(db), utc)):
            if last is not None and now * 1e6 - last > MAX_SILENCE_US:
                before = "" if now == utc else " before this start"
                return (
                    f"the last event{before} came at {moment(last)}, by this machine's clock long ago; if the clock is "
                    f"right, {self._by_hand}"
                )
        return ""

    def _now(self) -> tuple[float, float]:
        return self._clock.now().utc.timestamp(), self._clock.monotonic()


def _last_event_us(db: apsw.Connection) -> int | None:
    """When the last event came, by the clock of then."""
    last = db.execute("SELECT received_utc_us FROM event ORDER BY cursor DESC LIMIT 1").get
    return last if isinstance(last, int) else None
