"""Whether this machine's clock may be believed when it says that a time is over, or when something came.

A clock that is set wrong would take away what is not over: it is believed as far as it runs like the machine's own, and
begins where it was believed last. That time is kept, so that a second start with a wrong clock believes it no more than
the first.
"""

from datetime import UTC, datetime

import apsw

from edge_agent.domain.clock import Clock
from port_gateway.moments import DAY_US, UNDATED_US, moment
from port_gateway.store import Store

MAX_JUMP_S = 3_600.0
# A port that was off for so long may be a port that was closed, or a clock from next year: a person decides.
MAX_SILENCE_US = 30 * DAY_US
# No clock that shows less is right: it is older than the program.
_PROGRAM_US = round(datetime(2026, 1, 1, tzinfo=UTC).timestamp() * 1e6)


class ClockDoubt:
    """From its making on."""

    def __init__(self, store: Store, clock: Clock) -> None:
        self._clock = clock
        self._began = self._now()
        with store.reading() as db:
            self._believed_us = _believed_us(db) or _last_event_us(db)
        self.jumped = False
        """Whether the clock was ever set since then."""

    @property
    def began_us(self) -> int:
        """By the clock as it was."""
        return round(self._began[0] * 1e6)

    def reason(self, db: apsw.Connection) -> str:
        """Why the clock cannot be believed, and what to do; '' if it can."""
        utc, monotonic = self._now()
        drift = (utc - self._began[0]) - (monotonic - self._began[1])
        if abs(drift) > MAX_JUMP_S:
            self.jumped = True
            return f"this machine's clock was set by {drift:.0f} s; restart the gateway when it is right"
        if self.began_us < _PROGRAM_US:
            return f"this machine's clock shows {moment(self.began_us)}; set it, and restart the gateway"
        if not self._near(self._believed_us) and not self._near(_believed_us(db)):  # by hand, meanwhile
            last = moment(self._believed_us or 0)
            return (
                f"this machine's clock showed {moment(self.began_us)} at the start, and was last believed at {last}; "
                "if it is right, say so with `port-gateway retention run`"
            )
        return ""

    def arrival_us(self, db: apsw.Connection) -> int:
        """When something comes now: from here its days count."""
        return UNDATED_US if self.reason(db) else round(self._now()[0] * 1e6)

    def _near(self, believed_us: int | None) -> bool:
        """Whether this run began soon behind a time that was believed, or during it."""
        if believed_us is None:
            return self._believed_us is None
        now = round(self._now()[0] * 1e6)
        return believed_us - MAX_JUMP_S * 1e6 <= now and self.began_us <= believed_us + MAX_SILENCE_US

    def _now(self) -> tuple[float, float]:
        return self._clock.now().utc.timestamp(), self._clock.monotonic()


def believe(db: apsw.Connection, now_us: int) -> None:
    """The clock shows `now_us`, and is right. In a transaction."""
    db.execute("INSERT OR REPLACE INTO meta VALUES ('clock_believed_us', ?)", (now_us,))


def _believed_us(db: apsw.Connection) -> int | None:
    value = db.execute("SELECT value FROM meta WHERE key = 'clock_believed_us'").get
    return value if isinstance(value, int) else None


def _last_event_us(db: apsw.Connection) -> int | None:
    """When the last event came, by the clock of then: what an inbox of before knows."""
    last = db.execute("SELECT received_utc_us FROM event ORDER BY cursor DESC LIMIT 1").get
    return last if isinstance(last, int) else None
