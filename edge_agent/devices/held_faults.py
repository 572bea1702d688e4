"""Faults that a device reports, so that one which comes and goes is one fault and not an endless row of events."""

import math

from edge_agent.domain.observation import DeviceFault, FaultKind


class HeldFaults:
    """Tells a fault at once, and its end only when it has been over for `hold_s` seconds. It asks no clock."""

    def __init__(self, hold_s: float) -> None:
        self._hold_s = hold_s
        self._on: dict[FaultKind, float | None] = {}  # None: on; else since when it is over, not told yet
        self._known: set[FaultKind] = set()

    def on(self, fault: FaultKind, detail: str = "") -> list[DeviceFault]:
        """The device says that it has this fault."""
        is_news = fault not in self._on
        self._on[fault] = None
        self._known.add(fault)
        return [DeviceFault(fault, True, detail)] if is_news else []

    def off(self, fault: FaultKind, at: float, *, say_first: bool = False) -> list[DeviceFault]:
        """The device says at `at` seconds that it has it not; NaN: there is no clock, and nothing is held.

        `say_first`: it is news too if nothing was known of the fault.
        """
        is_first = fault not in self._known
        self._known.add(fault)
        if fault not in self._on:
            return [DeviceFault(fault, False)] if is_first and say_first else []
        if self._on[fault] is None:
            self._on[fault] = at
        return self._tell([fault]) if math.isnan(at) else self.due(at)

    def due(self, at: float) -> list[DeviceFault]:
        """The ends that are to be told at `at` seconds; at infinity all, as nothing more will come."""
        return self._tell(
            [fault for fault, since in self._on.items() if since is not None and at >= since + self._hold_s]
        )

    def _tell(self, over: list[FaultKind]) -> list[DeviceFault]:
        for fault in over:
            del self._on[fault]
        return [DeviceFault(fault, False) for fault in over]

    def next_due(self) -> float | None:
        """When `due` has something to tell; None if nothing is held."""
        return min((since + self._hold_s for since in self._on.values() if since is not None), default=None)
