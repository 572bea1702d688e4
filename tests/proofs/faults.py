"""Protections taken away, one at a time: a proof that passes without them proves nothing."""

import time
from collections.abc import Sequence
from concurrent.futures import Future
from typing import Any


def _ledger_answers_before_it_commits() -> None:
    """Callers are answered at once; each commit is made when the next one comes, or some seconds later."""
    from edge_agent.ledger.store import Store

    commit, look = Store.append, Store.checkpoint
    waiting: list[tuple[float, tuple[Any, ...], dict[str, Any]]] = []

    def append(store: Store, sealed: Sequence[Any], *more: Any, **named: Any) -> None:
        late(store, 0.0)
        waiting.append((time.monotonic(), (sealed, *more), named))
        if sealed:
            store._head = sealed[-1].head_after

    def checkpoint(store: Store, *arguments: Any) -> None:
        late(store, 1.0)
        look(store, *arguments)

    def late(store: Store, by_s: float) -> None:
        while waiting and time.monotonic() >= waiting[0][0] + by_s:
            _, arguments, named = waiting.pop(0)
            commit(store, *arguments, **named)

    Store.append, Store.checkpoint = append, checkpoint  # type: ignore[assignment, method-assign]


def _port_acknowledges_before_it_commits() -> None:
    """Each batch is committed when the next one comes; the booth is told at once that it is durable."""
    from port_gateway.inbox import Inbox

    commit, waiting = Inbox.append, list[tuple[Any, ...]]()

    def append(inbox: Inbox, *arguments: Any) -> "Future[None]":
        while waiting:
            commit(inbox, *waiting.pop())
        waiting.append(arguments)
        done: Future[None] = Future()
        done.set_result(None)
        return done

    Inbox.append = append  # type: ignore[assignment, method-assign]


def _port_sends_again_what_was_taken() -> None:
    """A subscription begins three events before the cursor that it was asked for."""
    from port_gateway.inbox import Inbox

    page, begun = Inbox.page, set[int]()

    def overlapping(inbox: Inbox, after: int, *arguments: Any) -> Any:
        if not begun:
            begun.add(after)
            after = max(0, after - 3)
        return page(inbox, after, *arguments)

    Inbox.page = overlapping  # type: ignore[assignment, method-assign]


def _signatures_count_without_being_looked_at() -> None:
    from edge_agent.wire import verify

    verify.check_signature = lambda *_: None  # type: ignore[attr-defined]


def _booth_leaves_events_out() -> None:
    """Of what the port has not, the uplink is given all but the first event."""
    from edge_agent.ledger.outbox import LedgerReader

    after = LedgerReader.after

    def later(reader: LedgerReader, seq: int, limit: int, max_bytes: int) -> Sequence[bytes]:
        return after(reader, seq, limit, max_bytes)[1:]

    LedgerReader.after = later  # type: ignore[assignment, method-assign]


FAULTS = {
    "booth's order": _booth_leaves_events_out,
    "signatures": _signatures_count_without_being_looked_at,
    "booth's commit": _ledger_answers_before_it_commits,
    "port's commit": _port_acknowledges_before_it_commits,
    "port's cursor": _port_sends_again_what_was_taken,
}


def plant(name: str) -> None:
    """Take the protection `name` away in this process; '' leaves all."""
    if name:
        FAULTS[name]()
