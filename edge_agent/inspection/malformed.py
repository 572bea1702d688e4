"""Malformed messages with no vehicle in the lane: a device that sends nothing else must not fill the ledger."""

from dataclasses import dataclass, replace

from edge_agent.domain.observation import Malformed, Observation

EVERY_S = 60.0


@dataclass(slots=True)
class _Garbage:
    reported_at: float
    unreported: int = 0


class MalformedNow:
    """Of each device one a minute is reported, with how many came since the one before."""

    def __init__(self) -> None:
        self._of: dict[str, _Garbage] = {}

    def report(self, observation: Observation) -> Observation | None:
        """What is recorded of it; None: it is counted alone."""
        now = observation.at.monotonic
        garbage = self._of.get(observation.device_id)
        if garbage is not None and now - garbage.reported_at < EVERY_S:
            garbage.unreported += 1
            return None
        body = observation.body
        if garbage is not None and garbage.unreported and isinstance(body, Malformed):
            body = Malformed(f"{body.why} (and {garbage.unreported} more since the last report)")
        self._of[observation.device_id] = _Garbage(now)
        return replace(observation, body=body)
