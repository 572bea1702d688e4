"""A portal's registers, one poll after another; no socket and no clock."""

import struct
from dataclasses import replace
from typing import Any

from edge_agent.devices.sources.aspect_portal import ChannelState, Portal, RegisterSettings, State
from edge_agent.domain.observation import (
    Body,
    Channel,
    DeviceFault,
    FaultKind,
    RadiationAlarm,
    RadiationKind,
    RadiationOccupancy,
    RadiationSample,
)

GAMMA, NEUTRON = RadiationKind.GAMMA, RadiationKind.NEUTRON
READY = 0x80
QUIET = State(
    time=1000,
    inputs=0,
    gamma=ChannelState(READY, 400, 400.0, 400.0),
    neutron=ChannelState(READY, 2, 2.5, 2.5),
    counter=7,
    mark=0,
    speed=0,
    outputs=0,
)


def registers(state: State) -> list[int]:
    """As the table of the portal's registers has them; written a second time, with struct."""

    def channel(of: ChannelState) -> bytes:
        return struct.pack(">H", of.status) + b"".join(
            swapped(struct.pack(kind, value))
            for kind, value in ((">I", of.count), (">f", of.background), (">f", of.variance))
        )

    def swapped(four: bytes) -> bytes:
        return four[2:] + four[:2]

    data = (
        swapped(struct.pack(">I", state.time))
        + struct.pack(">H", state.inputs)
        + channel(state.gamma)
        + channel(state.neutron)
        + struct.pack(">4H", state.counter, state.mark, state.speed, state.outputs)
    )
    return list(struct.unpack(">21H", data))


class Polls:
    """A portal polled every 0.2 s; its time register runs on with each new measurement."""

    def __init__(self, **settings: Any) -> None:
        self.portal = Portal(RegisterSettings(**settings))
        self.now = 100.0
        self.state = QUIET

    def shows(self, gamma: int | None = None, *, after: float = 0.2, **changes: Any) -> list[Body]:
        """What follows when the portal shows these changes to what it showed before."""
        self.now += after
        self.state = replace(self.state, **{"time": self.state.time + 1, **changes})
        if gamma is not None:
            self.state = replace(self.state, gamma=replace(self.state.gamma, count=gamma))
        return self.portal.polled(self.state, self.now)

    def passes(self, *gamma: int, **changes: Any) -> RadiationOccupancy:
        """A vehicle, with these counts; returns its record."""
        for count in gamma:
            self.shows(count, inputs=1)
        (record,) = [
            body
            for body in self.shows(**{"inputs": 0, "counter": self.state.counter + 1, **changes})
            if isinstance(body, RadiationOccupancy)
        ]
        return record


def sample(gamma: int, neutron: int = 2, where: Channel = Channel.OCCUPIED) -> list[Body]:
    return [RadiationSample(GAMMA, where, (gamma,), 1.0), RadiationSample(NEUTRON, where, (neutron,), 1.0)]


def faults(bodies: list[Body]) -> list[tuple[FaultKind, bool]]:
    return [(body.fault, body.active) for body in bodies if isinstance(body, DeviceFault)]


def alarms(bodies: list[Body]) -> list[RadiationAlarm]:
    return [body for body in bodies if isinstance(body, RadiationAlarm)]
