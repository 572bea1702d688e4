"""The one writer of the ledger: drafts from the loop go to a thread that seals, stores and only then answers.

      record() ─┐                    ┌ evidence files ┐
      record() ─┼─► queue ─► drain ─►│ seal, in order ├─► one transaction ─► head moves ─► every caller answered
      acked()  ─┘  (bounded)         └────────────────┘    (fsync)

A disk without room: nothing is accepted, the drafts wait, `on_room(False, …)` is called at once, and it goes on by
itself. Any other fault of the disk is fatal: every waiter gets it, and nothing is accepted afterwards.
"""

import asyncio
import queue
import threading
from collections.abc import AsyncIterator, Callable, Mapping, Set
from contextlib import asynccontextmanager, suppress
from functools import partial
from pathlib import Path
from typing import Never

from edge_agent.domain.clock import Clock
from edge_agent.domain.errors import StoreFailed, StoreFull
from edge_agent.domain.event import Draft, EventBody, KeyRotated, Replaced, SessionOpened
from edge_agent.domain.observation import DeviceStatus
from edge_agent.ledger.batch import Answer, Recorded, Waiting, seal_all
from edge_agent.ledger.drain import drained
from edge_agent.ledger.event_store import EventStore
from edge_agent.ledger.evidence_files import EvidenceFiles
from edge_agent.ledger.faults import MAKE_ROOM
from edge_agent.ledger.housekeeping import LOOK_S, Housekeeper, Keeping, Record
from edge_agent.ledger.marks import Marks
from edge_agent.ledger.next_session import NextSession, Opening
from edge_agent.ledger.outbox import LedgerOutbox
from edge_agent.ledger.seal import Sealed
from edge_agent.ledger.signer import DeviceKey, SessionSigner
from edge_agent.ledger.store import EVIDENCE, BlobState, Store, Unfinished
from edge_agent.ledger.trees import Receipt
from edge_agent.wire.chain import Head
from edge_agent.wire.identity import PublicKey

# Measured: beyond this a larger transaction gains little, and callers wait longer for their answer.
MAX_BATCH = 256
# Drafts carry their evidence in memory (some hundred kB each): this many may wait, then callers block.
MAX_WAITING = 256
FULL_RETRY_S = 1.0

OnRoom = Callable[[bool, str], None]


class Recorder:
    """Made by `open_ledger`. Everything here is called from the event loop."""

    def __init__(
        self,
        open_store: Callable[[], EventStore],
        evidence: EvidenceFiles,
        device: DeviceKey,
        on_room: OnRoom,
        clock: Clock,
        keeping: Keeping | None = None,
        max_waiting: int = MAX_WAITING,
        full_retry_s: float = FULL_RETRY_S,
        session_s: float | None = None,
    ) -> None:
        self._open_store = open_store
        self._clock = clock
        self._housekeeper = (
            Housekeeper(keeping, evidence.directory.parent, evidence, clock.monotonic) if keeping is not None else None
        )
        self._evidence = evidence
        self._device = device
        self._session, self._session_s = SessionSigner(), session_s
        self._on_room = on_room
        self._full_retry_s = full_retry_s
        self._loop = asyncio.get_running_loop()
        self._queue: queue.SimpleQueue[Waiting | None] = queue.SimpleQueue()
        self._places = asyncio.Semaphore(max_waiting)
        self._answers: set[asyncio.Future[Recorded]] = set()
        self._listeners: list[Callable[[], None]] = []
        self._opened: asyncio.Future[tuple[Head, tuple[Unfinished, ...]]] = self._loop.create_future()
        self._closed = False
        self._failure: BaseException | None = None
        self._failed = asyncio.Event()
        # Shared with the thread.
        self._closing = threading.Event()
        self._marks = Marks()
        self._marks_lock = threading.Lock()
        self._has_room = True
        self._in_session = False  # the chain takes this session's events
        self._replaces: Replaced | None = None
        self._thread = threading.Thread(target=self._run, name="recorder", daemon=True)

    async def start(self, agent_version: str) -> None:
        """Open the store and make this session's first event durable. Raises what `Store.open` raises."""
        wake = partial(self._queue.put, None)
        self._next = NextSession(self._device, self._clock, self._session_s, agent_version, wake)
        self._thread.start()
        self._head, self._unfinished = await asyncio.shield(self._opened)
        opening = SessionOpened(self._session.public_key, agent_version, self._replaces)
        await self._record(Draft(opening, self._clock.now()))

    @property
    def head(self) -> Head:
        """The end of the durable chain."""
        return self._head

    @property
    def device_key(self) -> DeviceStatus:
        """Whether the device key signs what it is asked to, as the chain has it."""
        return self._next.recorded

    def unfinished(self) -> tuple[Unfinished, ...]:
        """Inspections that a former run opened and never closed, oldest first: close them as Abandoned."""
        return self._unfinished

    async def record(self, draft: Draft) -> Recorded:
        """Returns when the event and its evidence are durable; waits while the disk has no room.

        Events stand in the chain in the order of the calls. Raises StoreFailed or StoreCorrupt (fatal, the same for
        all that wait), StoreFull (closed while waiting for room), Refused, ValueError or TypeError (this draft
        cannot be an event: the chain is untouched). A call that is cancelled may or may not be recorded.
        """
        if isinstance(draft.body, SessionOpened):
            raise ValueError("a session is opened by the recorder alone")
        return await self._record(draft)

    async def _record(self, draft: Draft) -> Recorded:
        await self._places.acquire()
        if self._failure is not None or self._closed:
            self._places.release()
            raise self._failure or StoreFailed("the ledger is closed", "record events before closing it")
        answer: asyncio.Future[Recorded] = self._loop.create_future()
        self._answers.add(answer)
        self._queue.put(Waiting(draft, answer))
        if isinstance(draft.body, KeyRotated):  # this session is over: the next start opens one by the new key
            self._closed = True
        return await answer

    def notify(self, listener: Callable[[], None]) -> None:
        """Call `listener` in the event loop whenever new events are durable, or old evidence is to be sent again."""
        self._listeners.append(listener)

    async def watch(self) -> Never:
        """Raises when the ledger has failed, also while nobody records. Run it beside the agent's tasks."""
        await self._failed.wait()
        raise self._failure or AssertionError("failed without a failure")

    def acked(self, through: int) -> None:
        """The port holds everything up to `through`. Written with the next commit; the port itself knows best."""
        self._mark(Marks(acked_through=through))

    def mark_blob(self, sha256: bytes, state: BlobState) -> None:
        """Evidence was sent, or found lost. Written with the next commit."""
        self._mark(Marks(blobs={sha256: state}))

    def offer_again(self) -> None:
        """The port went back: all evidence that was sent is offered once more, and it says what it holds."""
        self._mark(Marks(offer_again=True))

    def received(self, receipt: Receipt) -> None:
        """The port signed for what it holds. Written with the next commit."""
        self._mark(Marks(receipt=receipt))

    def _mark(self, marks: Marks) -> None:
        with self._marks_lock:
            self._marks = self._marks.under(marks)
        self._queue.put(None)

    async def close(self) -> None:
        """Commits what was handed over before, unless there is no room for it, and ends the thread."""
        self._closed = True
        self._closing.set()
        self._queue.put(None)
        if self._thread.is_alive():
            await asyncio.to_thread(self._thread.join)
        await asyncio.sleep(0)  # the thread's last answers lie in the loop's queue

    # --- in the loop, called by the thread ---------------------------------------------------------------------

    def _answered(self, answers: list[Answer], head: Head) -> None:
        grown = head.seq > self._head.seq
        self._head = head
        for future, result in answers:
            if future is None:
                continue
            self._answers.discard(future)
            self._places.release()
            if future.cancelled():
                continue
            if isinstance(result, Recorded):
                future.set_result(result)
            else:
                future.set_exception(result)
        if grown:
            self._wake()

    def _wake(self) -> None:
        for listener in self._listeners:
            listener()

    def _fail(self, failure: BaseException) -> None:
        self._failure = failure
        self._failed.set()
        if not self._opened.done():
            self._opened.set_exception(failure)
            self._opened.exception()  # when a start was given up, nobody asks for it
        for future in self._answers:
            self._places.release()
            if not future.done():
                future.set_exception(failure)
        self._answers.clear()

    # --- in the thread -----------------------------------------------------------------------------------------

    def _run(self) -> None:
        try:
            store = self._open_with_room()
            try:
                store.sign_with(self._session)
                self._replaces = store.replaces() if store.head().seq == 0 else None
                self._call(self._opened.set_result, (store.head(), store.unfinished()))
                look_s = LOOK_S if self._housekeeper is not None or self._session_s is not None else None
                while True:
                    ending = self._closing.is_set()
                    self._commit(store, drained(self._queue, MAX_BATCH, not ending, look_s))
                    if ending and self._queue.empty():
                        break
                    store.checkpoint()
                    self._look_at_session(store)
                    self._keep_house(store)
            finally:
                store.close()
        except BaseException as failure:  # noqa: BLE001 - nothing is swallowed: every waiter and watch() get it
            self._call(self._fail, failure)

    def _open_with_room(self) -> EventStore:
        while True:
            try:
                store = self._open_store()
                try:
                    self._evidence.prepare()  # behind the store's lock: these may be another agent's files
                except BaseException:
                    store.close()
                    raise
            except StoreFull as full:
                self._say_room(False, full.wrong)
                if self._housekeeper is not None and self._housekeeper.lend():
                    continue
                if self._closing.wait(self._full_retry_s):
                    raise
            else:
                return store

    def _look_at_session(self, store: EventStore) -> None:
        if self._in_session and not self._closing.is_set():
            with suppress(StoreFull):  # who records an event says so
                self._next.report(self._own(store))
            self._next.look(store.head())

    def _keep_house(self, store: EventStore) -> None:
        """As many small steps as there is time for: none while somebody waits, but for one from time to time."""
        house = self._housekeeper
        with suppress(StoreFull):  # who records an event says so
            while house is not None and house.due(self._queue.empty()):
                if not house.step(store, self._own(store)) or self._closing.is_set():
                    return

    def _own(self, store: EventStore) -> Record:
        def record(body: EventBody, blobs: Mapping[bytes, BlobState]) -> None:
            if not self._in_session:
                raise StoreFull("no session is open yet", MAKE_ROOM)
            sealed, _ = self._sealed(store, [Waiting(Draft(body, self._clock.now()), None)])
            store.append(sealed, blobs=blobs)
            self._call(self._answered, [], store.head())

        return record

    def _commit(self, store: EventStore, waiting: list[Waiting]) -> None:
        house = self._housekeeper
        while True:
            with self._marks_lock:
                marks, self._marks = self._marks, Marks()
            opening = self._next.opening(store.head())
            if not waiting and marks == Marks() and opening is None:
                return
            try:
                if house is not None and self._in_session and not house.ready():
                    raise StoreFull("the space kept back for making room is in use", MAKE_ROOM)
                if opening is not None:
                    store.sign_with(opening.session)
                sealed, answers = self._sealed(store, waiting, opening)
                store.append(sealed, marks.acked_through, marks.blobs, marks.offer_again, marks.receipt)
                self._appended({event.kind for event in sealed}, opening)
            except StoreFull as full:
                with self._marks_lock:
                    self._marks = marks.under(self._marks)
                self._say_room(False, full.wrong)
                if house is not None and not self._in_session and house.lend():
                    continue
                if house is not None and house.make_room(store, self._own(store)):
                    continue
                if self._closing.wait(self._full_retry_s):
                    with self._marks_lock:
                        self._marks = Marks()  # the port will say it again
                    self._call(self._answered, [(w.answer, full) for w in waiting], store.head())
                    return
                continue
            self._say_room(True, "")
            self._call(self._answered, answers, store.head())
            if marks.offer_again:
                self._call(self._wake)
            return

    def _sealed(
        self, store: EventStore, waiting: list[Waiting], opening: Opening | None = None
    ) -> tuple[list[Sealed], list[Answer]]:
        return seal_all(store.head(), waiting, self._evidence, self._device, self._session, opening)

    def _appended(self, kinds: Set[str], opening: Opening | None) -> None:
        self._in_session = (self._in_session or "session_opened" in kinds) and "key_rotated" not in kinds
        if opening is not None:
            self._session = opening.session
        if "session_opened" in kinds:
            self._next.opened()

    def _say_room(self, has_room: bool, detail: str) -> None:
        if has_room != self._has_room:
            self._has_room = has_room
            self._call(self._on_room, has_room, detail)

    def _call(self, function: Callable[..., None], *arguments: object) -> None:
        try:
            self._loop.call_soon_threadsafe(function, *arguments)
        except RuntimeError:  # the loop is gone, and with it everyone who could be told
            self._closing.set()


class Ledger:
    """An open ledger: the recorder, and the view of it that the uplink takes."""

    def __init__(self, recorder: Recorder, outbox: LedgerOutbox) -> None:
        self.recorder = recorder
        self.outbox = outbox


@asynccontextmanager
async def open_ledger(
    directory: Path,
    booth_id: str,
    device: DeviceKey,
    clock: Clock,
    agent_version: str,
    on_room: OnRoom,
    *,
    device_keys: Mapping[str, PublicKey] | None = None,
    keeping: Keeping | None = None,
    max_waiting: int = MAX_WAITING,
    full_retry_s: float = FULL_RETRY_S,
    vfs: str | None = None,
    session_s: float | None = None,
) -> AsyncIterator[Ledger]:
    """Open the ledger in `directory`, or begin one, with a new session as its next event; closes it at the end.

    `booth_id` is the SPIFFE id. `on_room(False, detail)` is called in the event loop as soon as the disk has no
    room, `on_room(True, '')` when it goes on. Without `keeping` nothing is ever dropped.
    A session that is older than `session_s` is followed by another (next_session.py); None: none is while it is open.
    `device_keys`: those of this booth besides `device`, by key id. Raises what `Store.open` raises.
    """
    keys = {device.key_id: device.public_key, **(device_keys or {})}
    recorder = Recorder(
        lambda: Store.open(
            directory, booth_id, vfs, clock.monotonic, keys, device.key_id, keeping.waiting if keeping else ()
        ),
        EvidenceFiles(directory / EVIDENCE),
        device,
        on_room,
        clock,
        keeping,
        max_waiting,
        full_retry_s,
        session_s,
    )
    try:
        await recorder.start(agent_version)
        head = recorder.head
        outbox = LedgerOutbox(
            directory,
            head.booth_id,
            head.epoch,
            recorder.acked,
            recorder.mark_blob,
            recorder.offer_again,
            recorder.received,
        )
        try:
            yield Ledger(recorder, outbox)
        finally:
            outbox.close()
    finally:
        await recorder.close()
