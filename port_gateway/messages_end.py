"""The end of messages that wait for a booth: one that never comes back must not keep what was read of a vehicle.

    posted ─► dated by a believed clock ─► after 90 days taken out, with an alarm that says so

Events of its inspection do not go while a message waits. An officer's decision stays in the list, as not chained.
"""

import contextlib

import apsw
from google.protobuf.message import DecodeError

from edge_agent.domain.clock import Clock
from edge_agent.wire.v1alpha1.watch_pb2 import WatchResponse
from port_gateway.alarms import note_alarm
from port_gateway.moments import DAY_US
from port_gateway.store import Store

# As long as a booth may be cut off.
MESSAGE_DAYS = 90
# One step's messages: acknowledgements wait for a step.
STEP = 64
_WHAT = {"findings": "what was found of", "decision": "an officer's decision over"}


class EndOfMessages:
    """Over an open store. Blocks: use it from a thread, and only while the clock is believed."""

    def __init__(self, store: Store, clock: Clock) -> None:
        self._store, self._clock = store, clock

    def run(self) -> int:
        """Date what came, then take out what has waited too long; how many."""
        if not self._any():
            return 0
        self._store.submit(self._date).result()
        count = 0
        while went := self._store.submit(self._step).result():
            count += went
        return count

    def undate(self) -> None:
        """The clock was set: what waits counts from when a clock is believed again."""
        self._store.submit(lambda db: _looked(db, 0)).result()

    def _any(self) -> bool:
        with self._store.reading() as db:
            return db.execute("SELECT 1 FROM booth_message LIMIT 1").get is not None

    def _date(self, db: apsw.Connection) -> None:
        """Who posted them asked a clock that may have been wrong."""
        newest = db.execute("SELECT max(number) FROM booth_message").get
        looked = db.execute("SELECT value FROM meta WHERE key = 'messages_looked'").get
        db.execute(
            "UPDATE booth_message SET posted_utc_us = ? WHERE number > ?",
            (self._now_us(), looked if isinstance(looked, int) else 0),
        )
        if isinstance(newest, int):
            _looked(db, newest)

    def _step(self, db: apsw.Connection) -> int:
        now = self._now_us()
        rows = db.execute(
            "SELECT number, booth_id, message FROM booth_message WHERE posted_utc_us <= ? ORDER BY number LIMIT ?",
            (now - MESSAGE_DAYS * DAY_US, STEP),
        ).fetchall()
        for number, booth_id, message in rows:
            detail = f"{_said(message)} waited for this booth for {MESSAGE_DAYS} days, and was taken out"
            note_alarm(db, (str(booth_id), b"", int(str(number))), "MESSAGE_NOT_TAKEN", detail, b"", now)
            db.execute("DELETE FROM booth_message WHERE number = ?", (number,))
        return len(rows)

    def _now_us(self) -> int:
        return round(self._clock.now().utc.timestamp() * 1e6)


def _looked(db: apsw.Connection, number: int) -> None:
    db.execute("INSERT OR REPLACE INTO meta VALUES ('messages_looked', ?)", (number,))


def _said(message: object) -> str:
    """In words, without what was read of the vehicle."""
    said = WatchResponse()
    with contextlib.suppress(DecodeError):
        said = WatchResponse.FromString(message if isinstance(message, bytes) else b"")
    kind = said.WhichOneof("message")
    inspection = said.decision.inspection_id if kind == "decision" else said.findings.inspection_id
    return f"{_WHAT.get(kind or '', 'a message on')} inspection {inspection[:64]!r}"
