"""Time tokens on receipts, in the background: nothing waits for them, and no event is refused for want of one.

every chain that has grown ─► a receipt, signed ─► the authority ─► verified offline ─► kept in the inbox
"""

import logging
import threading
from dataclasses import dataclass
from typing import NamedTuple, cast

import apsw

from edge_agent.domain.clock import Clock
from edge_agent.domain.errors import EdgeAgentError, Fatal, Permanent
from edge_agent.wire.chain import Head
from edge_agent.wire.time_token import TimeQuery, TimeToken
from port_gateway.store import Store
from port_gateway.time_authority import TimeAuthority
from port_gateway.trees import ChainNodes, Receipts

log = logging.getLogger(__name__)

# After failures an authority is asked less and less often, at the least once in so many intervals.
_LONGEST = 8


# A token says by when events existed: an authority that may be wrong by more than this says too little.
MAX_ACCURACY_S = 60


class TimeTokenInaccurate(Permanent):
    """An authority's token verifies, and its time may be wrong by more than MAX_ACCURACY_S."""


class Stamped(NamedTuple):
    """A receipt with its token, and the certificate (DER) of the gateway that signed it."""

    note: bytes
    certificate: bytes
    token: TimeToken


def first_stamped(db: apsw.Connection, booth_id: str, epoch: bytes, seq: int) -> Stamped | None:
    """The first receipt with a token that covers event `seq`."""
    row = db.execute(
        "SELECT note, certificate, response, authority FROM time_token"
        " WHERE booth_id = ? AND epoch = ? AND size >= ? ORDER BY size LIMIT 1",
        (booth_id, epoch, seq),
    ).fetchone()
    if row is None:
        return None
    note, certificate, response, authority = (bytes(value) for value in row)
    return Stamped(note, certificate, TimeToken(response, authority))


@dataclass(frozen=True, slots=True)
class Stamping:
    """`certificate`: that of the receipts' key; `root`: the authority's root; both DER. A chain is asked about at most
    once in `every_s`.
    """

    receipts: Receipts
    certificate: bytes
    authority: TimeAuthority
    root: bytes
    every_s: float


class TimeTokens:
    """Asks for tokens while it runs, on a thread of its own that no stop waits for."""

    def __init__(self, store: Store, stamping: Stamping, clock: Clock) -> None:
        self._store, self._with, self._clock = store, stamping, clock
        self._failures, self._told = 0, ""
        self._stopped = threading.Event()
        self._thread = threading.Thread(target=self._run, name="time-tokens", daemon=True)

    def start(self) -> None:
        self._thread.start()

    def stop(self) -> None:
        """At once; an answer that is still to come is not kept."""
        self._stopped.set()

    def turn(self) -> float:
        """Ask about every chain that has grown; how many seconds to wait for the next turn."""
        try:
            for head in self._due():
                if self._stopped.is_set():
                    break
                self._stamp(head)
        except EdgeAgentError as error:
            if not self._stopped.is_set():
                self._failed(error)
            return self._with.every_s * min(1 << max(self._failures - 1, 0), _LONGEST)
        if self._told:
            log.warning("the time-stamp authority %s answers again", self._with.authority.url)
        self._failures, self._told = 0, ""
        return self._with.every_s

    def first_wait_s(self) -> float:
        """What is left of the interval since the last token: a restart asks no sooner."""
        with self._store.reading() as db:
            kept = db.execute("SELECT max(kept_utc_us) FROM time_token").get
        if not isinstance(kept, int):
            return 0.0
        since = self._clock.now().utc.timestamp() - kept / 1e6
        return self._with.every_s - min(max(since, 0.0), self._with.every_s)

    def _run(self) -> None:
        try:
            wait = self.first_wait_s()
        except EdgeAgentError as error:
            self._failed(error)
            wait = self._with.every_s
        while not self._stopped.wait(wait):
            wait = self.turn()

    def _due(self) -> list[Head]:
        """Chains with events that no token covers: the one that has waited longest for a token comes first."""
        with self._store.reading() as db:
            rows = db.execute(
                "SELECT c.booth_id, c.epoch, c.seq, c.sha256 FROM chain c LEFT JOIN time_token t ON"
                " t.booth_id = c.booth_id AND t.epoch = c.epoch AND t.size = (SELECT max(size) FROM time_token"
                " WHERE booth_id = c.booth_id AND epoch = c.epoch)"
                " WHERE c.seq > coalesce(t.size, 0) ORDER BY t.kept_utc_us, c.booth_id, c.epoch"
            ).fetchall()
        return [Head(*row) for row in cast("list[tuple[str, bytes, int, bytes]]", rows)]

    def _stamp(self, head: Head) -> None:
        with self._store.reading() as db:
            tree, _ = ChainNodes(db, head.booth_id, head.epoch).tree(head.seq)
        note = self._with.receipts.sign(head, tree)
        query = TimeQuery(note)
        token = TimeToken(self._with.authority.ask(query.data), self._with.root)
        at = query.taken(token)
        self._accurate(token)
        if self._stopped.is_set():
            return
        row = (head.booth_id, head.epoch, head.seq, note, self._with.certificate, token.response, token.authority)
        kept = round(self._clock.now().utc.timestamp() * 1e6)

        def keep(db: apsw.Connection) -> None:
            db.execute("INSERT OR IGNORE INTO time_token VALUES (?,?,?,?,?,?,?,?)", (*row, kept))

        self._store.submit(keep).result()
        log.info(
            "events of %s through %d existed at %s, says %s", head.booth_id, head.seq, at, self._with.authority.url
        )

    def _accurate(self, token: TimeToken) -> None:
        """Raises TimeTokenInaccurate. A token need not state its accuracy (RFC 3161, 2.4.2): such a one counts."""
        if (stated := token.accuracy_us) is not None and stated > MAX_ACCURACY_S * 1_000_000:
            raise TimeTokenInaccurate(
                f"the time-stamp authority {self._with.authority.url} states that its time may be wrong by "
                f"{stated / 1e6:.6g} s: a token counts up to {MAX_ACCURACY_S} s",
                "ask its operator about its clock, or give another authority in `time.url` and `time.authority`",
            )

    def _failed(self, error: EdgeAgentError) -> None:
        """Once in words for each way in which it fails."""
        self._failures += 1
        if isinstance(error, Fatal):
            self.stop()
        if error.wrong != self._told:
            log.warning("no time token: %s", error)
            self._told = error.wrong
