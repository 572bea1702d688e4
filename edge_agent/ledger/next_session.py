"""The session that follows an old one while the agent runs: its key made, its opening signed beside the writer.

    the session is old ─► a key, its opening behind the head ─► the device key signs, in a thread ─► first of the next
            ▲                                                     │ failed        │ other events        commit
            └───────────────────── a pause ───────────────────────┴───────────────┘ came first

The opening names its place in the chain, and that is signed: it counts as the very next event alone. A hardware key
takes up to a second, so the writer waits for it at two of the attempts only, and not for long (HOLDS_S). Until an
opening is durable the old session signs. Ages and pauses are on the monotonic clock.
"""

import logging
import threading
from collections.abc import Callable
from dataclasses import dataclass, field

from edge_agent.domain.clock import Clock
from edge_agent.domain.errors import EdgeAgentError, Recoverable
from edge_agent.domain.event import DeviceChanged, Draft, SessionOpened
from edge_agent.domain.observation import DeviceState, DeviceStatus
from edge_agent.ledger.housekeeping import Record
from edge_agent.ledger.seal import Sealed, seal
from edge_agent.ledger.signer import DeviceKey, SessionSigner
from edge_agent.wire.chain import Head
from edge_agent.wire.verify import Chain, verify_next

# The device key's name in a DeviceChanged, of no lane.
DEVICE_KEY = "device-key"
# How long the writer waits for the signature, by how many attempts lost their place to other events before. A key in a
# file signs within the first; a hardware key in some moment without an event; the last is for one that never comes.
HOLDS_S = (0.05, *[0.0] * 8, 2.0)
# The pause after an attempt that lost its place doubles from here: a burst of events passes.
LOST_S, LOST_MAX_S = 1.0, 60.0
# And after one that failed. No other booth asks this key: there is no herd to be spread by chance.
FAILED_S, FAILED_MAX_S = 30.0, 1_800.0
# A signature that has not come by then may never come.
PATIENCE_S = 30.0
MAX_DETAIL = 200

log = logging.getLogger(__name__)


@dataclass(frozen=True, slots=True)
class Opening:
    """The event that opens a session, signed for its place, and the key that it names."""

    session: SessionSigner
    sealed: Sealed


@dataclass(slots=True)
class _Attempt:
    """`sealed` or `failure` is set before `done` is."""

    head: Head
    began: float
    session: SessionSigner = field(default_factory=SessionSigner)
    done: threading.Event = field(default_factory=threading.Event)
    sealed: Sealed | None = None
    failure: Exception | None = None


class NextSession:
    """Used from the recorder's thread. `age_s` None: a session lasts as long as the agent runs.

    `wake` is called from another thread when an opening is signed, or will not be.
    """

    def __init__(
        self, device: DeviceKey, clock: Clock, age_s: float | None, agent_version: str, wake: Callable[[], None]
    ) -> None:
        self._device, self._clock, self._age_s = device, clock, age_s
        self._agent_version, self._wake = agent_version, wake
        self._opened = self._again = clock.monotonic()
        self._attempt: _Attempt | None = None
        self._lost = self._failed = 0
        self._state = self._recorded = DeviceStatus(DeviceState.ONLINE)

    def opened(self) -> None:
        """A session is open durably. Its age counts from when its key was made."""
        if self._attempt is not None:
            log.info("a new session is open: the one before was %.1f h old", self._age_h())
            self._opened = self._again = self._attempt.began
        self._attempt = None
        self._lost = self._failed = 0
        if self._state.state is not DeviceState.ONLINE:
            self._state = DeviceStatus(DeviceState.ONLINE)
            log.warning("the device key answers again: a new session is open")

    def look(self, head: Head) -> None:
        """Begin an attempt behind `head` if the session is old; when the device key does not answer, notice that."""
        now = self._clock.monotonic()
        if self._attempt is not None:
            if now - self._attempt.began >= PATIENCE_S and not self._attempt.done.is_set():
                self._fault(DeviceState.WAITING, f"has not signed within {PATIENCE_S:g} s")
        elif self._age_s is not None and now - self._opened >= self._age_s and now >= self._again:
            attempt = self._attempt = _Attempt(head, now)
            threading.Thread(target=self._sign, args=(attempt,), name="device key", daemon=True).start()
            attempt.done.wait(HOLDS_S[self._lost])

    def opening(self, head: Head) -> Opening | None:
        """What is to come first behind `head`; None if nothing is signed for that place.

        Raises what is neither Recoverable nor Permanent: a fault of the program's own.
        """
        attempt = self._attempt
        if attempt is None or not attempt.done.is_set():
            return None
        if attempt.sealed is not None and attempt.head == head:
            return Opening(attempt.session, attempt.sealed)
        self._attempt = None
        if attempt.sealed is not None:
            self._lose_place()
        elif isinstance(attempt.failure, EdgeAgentError):
            state = DeviceState.OFFLINE if isinstance(attempt.failure, Recoverable) else DeviceState.FAILED
            self._fault(state, attempt.failure.wrong)
            self._pause_failed()
        elif attempt.failure is not None:
            raise attempt.failure
        return None

    def report(self, record: Record) -> None:
        """Have the device key's state recorded when it has changed. Raises StoreFull: then the next call does it."""
        if self._state != self._recorded:
            said = self._state
            record(DeviceChanged(DEVICE_KEY, "", said), {})
            self._recorded = said

    @property
    def recorded(self) -> DeviceStatus:
        """The device key's state as the chain has it. From any thread."""
        return self._recorded

    def _sign(self, attempt: _Attempt) -> None:
        """In a thread of its own. What would not verify at the port is no opening."""
        try:
            body = SessionOpened(attempt.session.public_key, self._agent_version, while_running=True)
            sealed = seal(Draft(body, self._clock.now()), attempt.head, self._device)
            verify_next(Chain(attempt.head, {self._device.key_id: self._device.public_key}), sealed.envelope)
            attempt.sealed = sealed
        except Exception as failure:  # noqa: BLE001 - nothing is swallowed: `opening` tells of it, or raises it
            attempt.failure = failure
        finally:
            attempt.done.set()
            self._wake()

    def _lose_place(self) -> None:
        self._lost += 1
        self._again = self._clock.monotonic() + min(LOST_MAX_S, LOST_S * 2 ** (self._lost - 1))
        if self._lost == len(HOLDS_S):
            self._fault(DeviceState.WAITING, f"signs in more than {HOLDS_S[-1]:g} s, and events come all the time")
            self._pause_failed()

    def _pause_failed(self) -> None:
        self._lost = 0
        self._again = self._clock.monotonic() + min(FAILED_MAX_S, FAILED_S * 2 ** min(self._failed, 32))
        self._failed += 1

    def _fault(self, state: DeviceState, detail: str) -> None:
        """Said once, and again when it is another."""
        if self._state.state is not state:
            self._state = DeviceStatus(state, detail[:MAX_DETAIL])
            said = "the device key opens no new session: %s. Events are signed by the old one, %.1f h old; tried again"
            log.error(said, detail, self._age_h())

    def _age_h(self) -> float:
        return (self._clock.monotonic() - self._opened) / 3600
