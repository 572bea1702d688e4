"""What waits in a queue, taken in one go."""

import queue
from contextlib import suppress
from typing import TypeVar

_T = TypeVar("_T")


def drained(source: "queue.SimpleQueue[_T | None]", most: int, wait: bool, timeout_s: float | None) -> list[_T]:
    """Up to `most` items. With `wait`, the first may take up to `timeout_s` seconds; a None only wakes."""
    items: list[_T | None] = []
    with suppress(queue.Empty):
        if wait:
            items.append(source.get(timeout=timeout_s))
        while len(items) < most:
            items.append(source.get_nowait())
    return [item for item in items if item is not None]
