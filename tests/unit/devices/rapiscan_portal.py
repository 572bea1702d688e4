"""A portal's dialogue, stepped. Captures are written from the protocol's description, not recorded."""

from edge_agent.devices.drivers.rapiscan_vm250 import RapiscanVm250, Settings
from edge_agent.domain.observation import (
    Body,
    Channel,
    FaultKind,
    RadiationKind,
    RadiationOccupancy,
    RadiationSample,
    Reading,
)

GAMMA, NEUTRON = RadiationKind.GAMMA, RadiationKind.NEUTRON
HIGH, LOW = FaultKind.GAMMA_HIGH_BACKGROUND, FaultKind.GAMMA_LOW_BACKGROUND
BACKGROUND = "GB,000400,000400,000400,000400"


def lines(*records: str) -> bytes:
    return b"".join(record.encode() + b"\r\n" for record in records)


class Portal:
    """A dialogue, with the time stepped by the test."""

    def __init__(self, settings: Settings | None = None) -> None:
        self.dialogue = RapiscanVm250(settings or Settings())
        self.now = 100.0
        self.dialogue.opened(self.now)

    def says(self, *records: str, after: float = 0.0) -> list[Reading]:
        self.now += after
        return list(self.dialogue.received(lines(*records), self.now))

    def bodies(self, *records: str, after: float = 0.0) -> list[Body]:
        return [reading.body for reading in self.says(*records, after=after)]


def empty_portal(settings: Settings | None = None, *records: str) -> Portal:
    portal = Portal(settings)
    portal.says(*records, BACKGROUND)
    return portal


def occupancy(readings: list[Body]) -> RadiationOccupancy:
    (found,) = [body for body in readings if isinstance(body, RadiationOccupancy)]
    return found


def gamma(*counts: int, channel: Channel = Channel.OCCUPIED, in_alarm: bool = False) -> RadiationSample:
    return RadiationSample(GAMMA, channel, counts, 0.2 if channel is Channel.OCCUPIED else 1.0, in_alarm)
