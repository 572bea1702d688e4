"""What the port expects, put together: the copy that is held, the vehicles that are compared with it, and its age.

Watch (uplink) ─► copy of the list (expectations) ─► match (inspection) ─► the record
             └─► decisions and findings ─────────────────────────────────► recorder (ledger), once each

Nothing here waits for a network: a vehicle is compared with what is held, and its record says how old that is.
"""

import asyncio
import logging
import threading
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any, Protocol

from edge_agent.domain.clock import Clock, ClockState
from edge_agent.domain.errors import EdgeAgentError, StoreCorrupt
from edge_agent.domain.event import Draft
from edge_agent.domain.expected import ExpectationList, ExpectationMatch, IdentifierKind, MatchOutcome
from edge_agent.domain.inspection import Inspection
from edge_agent.expectations.store import FOLDER, ExpectationStore, read_status, set_aside
from edge_agent.inspection.expected import match, texts_read
from edge_agent.wire.codec_findings import decision_of, findings_added_of
from edge_agent.wire.v1alpha1.watch_pb2 import ExpectationsPage, WatchResponse

log = logging.getLogger(__name__)

# How often the age is written down, and what has run out is dropped: an age needs no better than this after a restart.
TEND_S = 60.0


class Expecting:
    """The list as this booth holds it, in a folder beside the ledger. May be used from any thread."""

    def __init__(self, ledger: Path, clock: Clock) -> None:
        self._folder, self._clock = ledger / FOLDER, clock
        self._renewing = threading.Lock()
        self._store = ExpectationStore.opened(self._folder)
        self._confirmed: float | None = None  # on the monotonic clock, in this run
        self._list: ExpectationList | None = None
        self._lost = ""  # why there is no list, although there was one
        self._tended = 0.0
        self._listeners: list[Callable[[], None]] = []

    def notify(self, listener: Callable[[], None]) -> None:
        """Call `listener`, in whatever thread, when new expectations have come."""
        self._listeners.append(listener)

    def close(self) -> None:
        self._store.close()

    # --- vehicles ---------------------------------------------------------------------------------------------
    def match(self, inspection: Inspection) -> ExpectationMatch | None:
        """How the record compares; None where the port has never told of an expectation. Raises nothing."""
        store = self._store
        try:
            held, confirmed_us = store.held()
            if held is None:
                return ExpectationMatch(MatchOutcome.COULD_NOT_LOOK, detail=self._lost) if self._lost else None
            if held.revision == 0:
                return None
            texts = [(one.kind, one.text) for one in texts_read(inspection) if one.kind is not IdentifierKind.SEAL]
            candidates = store.candidates(texts, self._sure_now())
            return match(inspection, candidates, held, self._age_s(confirmed_us))
        except EdgeAgentError as error:
            self._renew_if_corrupt(store, error)
            log.error("a vehicle could not be compared with what the port expects: %s", error)
            return ExpectationMatch(MatchOutcome.COULD_NOT_LOOK, detail=error.wrong)

    def _age_s(self, confirmed_us: int | None) -> int | None:
        """By the monotonic clock in this run; by the wall clock from the one before, which may have been wrong."""
        if self._confirmed is not None:
            return max(0, round(self._clock.monotonic() - self._confirmed))
        if confirmed_us is None:
            return None
        confirmed = datetime(1970, 1, 1, tzinfo=UTC) + timedelta(microseconds=confirmed_us)
        return max(0, round((self._clock.now().utc - confirmed).total_seconds()))

    def _sure_now(self) -> datetime | None:
        """None while the clock runs free: what is expected is not dropped because a battery was empty."""
        now = self._clock.now()
        return now.utc if now.clock_state is ClockState.SYNCHRONISED else None

    # --- the port ---------------------------------------------------------------------------------------------
    def begin(self) -> ExpectationList | None:
        """As Watch asks when a connection begins."""
        store = self._store
        try:
            self._tend(store)
            store.begin()
            return store.held()[0]
        except StoreCorrupt as error:
            self._renew_if_corrupt(store, error)
            return None

    def keep(self, page: ExpectationsPage) -> None:
        """Take up a page of the list. Raises PortRefused, StoreFull, StoreFailed, StoreCorrupt."""
        store = self._store
        try:
            came = store.keep(page, self._clock.now().utc)
        except StoreCorrupt as error:
            self._renew_if_corrupt(store, error)
            raise
        if page.newest:
            self._lost, self._confirmed = "", self._clock.monotonic()
        if came:
            for listener in self._listeners:
                listener()

    def confirmed(self, held: ExpectationList) -> bool:
        """The port says that this is its newest list; False if it is not here any more."""
        store = self._store
        try:
            mine, _ = store.held()
            if mine is None or mine.list_id != held.list_id:
                return False
            self._confirmed = self._clock.monotonic()
            if mine.revision != held.revision or self._due():
                store.confirm(held, self._clock.now().utc)
                self._tend(store)
        except StoreCorrupt as error:
            self._renew_if_corrupt(store, error)
            return False
        return True

    def _due(self) -> bool:
        return self._clock.monotonic() - self._tended >= TEND_S

    def _tend(self, store: ExpectationStore) -> None:
        self._tended = self._clock.monotonic()
        if (now := self._sure_now()) is not None:
            store.drop_expired(now)

    def _renew_if_corrupt(self, broken: ExpectationStore, error: EdgeAgentError) -> None:
        if not isinstance(error, StoreCorrupt):
            return
        with self._renewing:
            if self._store is not broken:  # another thread met it first
                return
            broken.close()
            if broken.path is not None:
                set_aside(broken.path)
            log.error("%s; it is set aside, and the port sends the list again", error.wrong)
            self._store, self._confirmed = ExpectationStore.opened(self._folder), None
            self._lost = "the booth's copy of the list was damaged, and has not come again yet"


@asynccontextmanager
async def expecting(ledger: Path, clock: Clock) -> AsyncIterator[Expecting]:
    """The list while the block runs."""
    known = await asyncio.to_thread(Expecting, ledger, clock)
    try:
        yield known
    finally:
        known.close()


class Told(Protocol):
    """What the ledger knows of an inspection's later events."""

    def told_of(self, inspection_id: str) -> tuple[str, frozenset[bytes]]:
        """The lane, '' if the inspection is not held, and the ids of the port's messages that are recorded of it."""
        ...


def once(
    told: Told, record: Callable[[Draft], Awaitable[Any]], clock: Clock
) -> Callable[[WatchResponse], Awaitable[None]]:
    """Records what the port says of a vehicle, each message once however often it comes."""

    async def take(message: WatchResponse) -> None:
        said = message.decision if message.WhichOneof("message") == "decision" else message.findings
        lane_id, recorded = await asyncio.to_thread(told.told_of, said.inspection_id)
        if said.message_id in recorded:
            return
        if message.WhichOneof("message") == "decision":
            await record(Draft(decision_of(message.decision, lane_id), clock.now()))
        else:
            await record(Draft(findings_added_of(message.findings, lane_id), clock.now()))

    return take


def expectations_status(ledger: Path, clock: Clock) -> dict[str, Any]:
    """As `edge-agent expected status --json` prints it; beside the agent. Raises StoreCorrupt, StoreFailed."""
    held, expected, confirmed_us = read_status(ledger / FOLDER)
    age_s = None if confirmed_us is None else max(0, round(clock.now().utc.timestamp() - confirmed_us / 1e6))
    revision = None if held is None else held.revision
    return {"held": held is not None, "expected": expected, "revision": revision, "age_s": age_s}
