"""What the Aspect portal's registers mean, and what follows from one poll after another. No input, no output, no clock.

Holding registers 100 to 120; of a value in two registers the low word comes first:

    +0,1   time                          +10      neutron status
    +2     inputs: bits 0-3 occupancy    +11,12   neutron count
           6, 7 direction, 8 power fail  +13,14   neutron background, float
           9 low battery, 10 open        +15,16   neutron variance, float
           11 error                      +17      object counter
    +3     gamma status: 1, 2 alarm,     +18      object mark
           0x10 low, 0x20 high,          +19      object speed
           0x80 ready                    +20      outputs
    +4,5   gamma count
    +6,7   gamma background, float
    +8,9   gamma variance, float
"""

import math
import struct
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from typing import Literal

from pydantic import BaseModel, ConfigDict, Field

from edge_agent.devices.held_faults import HeldFaults
from edge_agent.domain.observation import (
    Body,
    Channel,
    DeviceFault,
    Direction,
    FaultKind,
    Presence,
    RadiationAlarm,
    RadiationKind,
    RadiationOccupancy,
    RadiationSample,
)

FIRST_REGISTER = 100
REGISTERS = 21
# How long the lane must have been empty and the object counter still before the two are compared: a portal may count a
# vehicle before its occupancy shows, or some time after it has left.
SETTLED_S = 2.0

_DIRECTIONS = {6: 1 << 6, 7: 1 << 7}
_POWER, _BATTERY, _OPEN, _ERROR = 1 << 8, 1 << 9, 1 << 10, 1 << 11
_ALARM, _LOW, _HIGH, _READY = 0x03, 0x10, 0x20, 0x80
# More counts a second than this are no portal's, and their thousandths would not fit where they go.
_BACKGROUND_LIMIT = 4_000_000


class NotAPortalError(ValueError):
    """Registers that no portal sends; its message says why."""


class RegisterSettings(BaseModel):
    """How the registers are read. What is known from descriptions only can be set."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    occupancy_inputs: int = Field(
        default=0b1111, ge=1, le=15, description="which of inputs 0-3 say that a vehicle is in"
    )
    forward_input: Literal[6, 7] = Field(default=6, description="the input that is set when a vehicle drives forward")
    count_interval_s: float = Field(default=1.0, gt=0, le=60, description="seconds over which the portal counts")
    kmh_per_unit: float = Field(default=1.0, gt=0, le=100, description="what one unit of the speed register is")
    ready_bit: bool = Field(default=True, description="a channel without its ready bit is not measuring")
    background_every_s: float = Field(
        default=5.0, ge=0, le=600, description="how often an empty lane's counts are told"
    )
    fault_hold_s: float = Field(
        default=30.0, ge=0, le=3600, description="seconds for which a fault must be over before its end is told"
    )
    n_sigma: float = Field(default=5.0, gt=0, description="threshold of the cross-check")
    spread: Literal["variance", "poisson"] = Field(
        default="variance", description="cross-check against the root of the portal's variance, or of its background"
    )


@dataclass(frozen=True, slots=True)
class ChannelState:
    """One kind of radiation: `count` and `background` over the portal's interval."""

    status: int
    count: int
    background: float
    variance: float


@dataclass(frozen=True, slots=True)
class State:
    """The registers of one poll."""

    time: int
    inputs: int
    gamma: ChannelState
    neutron: ChannelState
    counter: int
    mark: int
    speed: int
    outputs: int


def decode(registers: Sequence[int]) -> State:
    """The registers from FIRST_REGISTER on. Raises NotAPortalError."""
    if len(registers) != REGISTERS:
        raise NotAPortalError(f"{len(registers)} registers where there are {REGISTERS}")
    if not all(0 <= register <= 0xFFFF for register in registers):
        raise NotAPortalError("a register of more than 16 bits")
    return State(
        time=_u32(registers, 0),
        inputs=registers[2],
        gamma=_channel("gamma", registers[3:10]),
        neutron=_channel("neutron", registers[10:17]),
        counter=registers[17],
        mark=registers[18],
        speed=registers[19],
        outputs=registers[20],
    )


def block(registers: Sequence[int]) -> bytes:
    """The registers as they were on the line: 16 bits each, high byte first."""
    return struct.pack(f">{len(registers)}H", *registers)


def _channel(name: str, words: Sequence[int]) -> ChannelState:
    state = ChannelState(words[0], _u32(words, 1), _float(words, 3), _float(words, 5))
    if not 0 <= state.background <= _BACKGROUND_LIMIT:  # also NaN
        raise NotAPortalError(f"a {name} background of {state.background:g}")
    if not 0 <= state.variance <= _BACKGROUND_LIMIT**2:
        raise NotAPortalError(f"a {name} variance of {state.variance:g}")
    return state


def _u32(words: Sequence[int], at: int) -> int:
    return words[at] | words[at + 1] << 16


def _float(words: Sequence[int], at: int) -> float:
    (value,) = struct.unpack(">f", struct.pack(">HH", words[at + 1], words[at]))
    return float(value)


# --- from one poll to the next ----------------------------------------------------------------------------------------


@dataclass
class _Occupancy:
    beginning_seen: bool
    began: float
    direction: Direction | None
    gamma_background: float | None
    neutron_background: float
    samples: int = 0
    alarms: set[RadiationKind] = field(default_factory=set)
    sigma: float | None = None
    lowest: float | None = None
    speed: int = 0


class Portal:
    """One connection's polls: `polled` says what is new. At its first poll nobody knows what was before."""

    def __init__(self, settings: RegisterSettings) -> None:
        self._settings = settings
        self._last: State | None = None
        self._occupancy: _Occupancy | None = None
        self._faults = HeldFaults(settings.fault_hold_s)
        self._missing = False  # vehicles were reported as missed, and none was seen since
        self._background_told = -math.inf
        self._counted: int | None = None  # the object counter when it was last compared
        self._counter_since = math.inf
        self._seen = 0  # vehicles seen since
        self._empty_since = math.inf

    def polled(self, state: State, at: float) -> list[Body]:
        """What follows from this poll, made at `at` seconds. Times must not run back."""
        bodies: list[Body] = [*self._fault_changes(state, at)]
        is_first, is_new = self._last is None, self._last is None or _measured(state) != _measured(self._last)
        rose = [
            kind for kind in RadiationKind if _alarms(state, kind) and not (self._last and _alarms(self._last, kind))
        ]
        occupied = bool(state.inputs & self._settings.occupancy_inputs)
        if occupied:
            self._empty_since = math.inf
            bodies += self._occupied(state, at, is_first, is_new)
        else:
            if self._occupancy is not None:
                bodies += self._left(self._occupancy, state, at)
            elif is_first:
                bodies.append(Presence(False))
            self._empty_since = min(self._empty_since, at)
            # Nothing stands in the portal, and it alarms: a source that is carried by, or one beside the lane.
            bodies += [RadiationAlarm(kind, (_channel_of(state, kind).count,)) for kind in rose]
            if is_new and at >= self._background_told + self._settings.background_every_s:
                self._background_told = at
                bodies += self._samples(state, Channel.BACKGROUND)
            bodies += self._missed(state, at)
        self._last = state
        return bodies

    def _occupied(self, state: State, at: float, is_first: bool, is_new: bool) -> Iterator[Body]:
        occupancy = self._occupancy
        direction = self._direction(state)
        if occupancy is None:
            ready = self._ready(state.gamma)
            occupancy = self._occupancy = _Occupancy(
                beginning_seen=not is_first,
                began=at,
                direction=direction,
                gamma_background=state.gamma.background if ready and state.gamma.background > 0 else None,
                neutron_background=state.neutron.background,
            )
            is_new = True
            yield Presence(True, direction)
        elif direction is not None and occupancy.direction is None:  # known only once the second input was reached
            occupancy.direction = direction
            yield Presence(True, direction)
        occupancy.speed = state.speed or occupancy.speed
        for kind in RadiationKind:
            if _alarms(state, kind) and kind not in occupancy.alarms:
                occupancy.alarms.add(kind)
                yield RadiationAlarm(kind, (_channel_of(state, kind).count,))
        if is_new:
            occupancy.samples += 1
            self._cross_check(occupancy, state.gamma)
            yield from self._samples(state, Channel.OCCUPIED)

    def _cross_check(self, occupancy: _Occupancy, gamma: ChannelState) -> None:
        background = occupancy.gamma_background
        if background is None:
            return
        occupancy.lowest = gamma.count if occupancy.lowest is None else min(occupancy.lowest, gamma.count)
        spread = gamma.variance if self._settings.spread == "variance" else background
        if spread > 0:
            sigma = (gamma.count - background) / math.sqrt(spread)
            occupancy.sigma = sigma if occupancy.sigma is None else max(sigma, occupancy.sigma)

    def _left(self, occupancy: _Occupancy, state: State, at: float) -> list[Body]:
        self._occupancy = None
        self._seen += 1
        background, lowest, sigma = occupancy.gamma_background, occupancy.lowest, occupancy.sigma
        speed = (state.speed or occupancy.speed) * self._settings.kmh_per_unit
        record = RadiationOccupancy(
            number=state.counter,
            duration_s=round(at - occupancy.began, 3) if occupancy.beginning_seen else None,
            gamma_alarm=RadiationKind.GAMMA in occupancy.alarms,
            neutron_alarm=RadiationKind.NEUTRON in occupancy.alarms,
            cross_check_sigma=sigma,
            cross_check_alarm=None if sigma is None else sigma > self._settings.n_sigma,
            gamma_background=None if background is None else (round(background),),
            neutron_background_milli=round(occupancy.neutron_background * 1000),
            gamma_samples=occupancy.samples,
            speed_kmh=round(speed, 2) or None,
            suppression=None if background is None or lowest is None else max(0.0, 1 - lowest / background),
            direction=occupancy.direction,
        )
        news = [DeviceFault(FaultKind.MISSED, False)] if self._missing else []
        self._missing = False
        return [record, Presence(False), *news]

    def _missed(self, state: State, at: float) -> Iterator[Body]:
        """The portal counts vehicles. One that no poll saw was faster than the polls, or came with the link."""
        if self._last is None or state.counter != self._last.counter:
            self._counter_since = at
        if at < max(self._empty_since, self._counter_since) + SETTLED_S:
            return
        missed = 0 if self._counted is None else (state.counter - self._counted) % 0x10000 - self._seen
        self._counted, self._seen = state.counter, 0
        if 0 < missed < 0x8000:  # the upper half: it ran back, or was set to zero
            self._missing = True
            yield DeviceFault(FaultKind.MISSED, True, f"{missed} counted by the portal and seen by no poll")

    def _samples(self, state: State, where: Channel) -> Iterator[Body]:
        for kind in RadiationKind:
            counts = (_channel_of(state, kind).count,)
            yield RadiationSample(kind, where, counts, self._settings.count_interval_s, _alarms(state, kind))

    def _direction(self, state: State) -> Direction | None:
        forward = bool(state.inputs & _DIRECTIONS[self._settings.forward_input])
        backward = bool(state.inputs & _DIRECTIONS[13 - self._settings.forward_input])
        if forward == backward:
            return None
        return Direction.FORWARD if forward else Direction.BACKWARD

    def _ready(self, channel: ChannelState) -> bool:
        return not self._settings.ready_bit or bool(channel.status & _READY)

    def _fault_changes(self, state: State, at: float) -> Iterator[DeviceFault]:
        wrong = {
            FaultKind.POWER: (bool(state.inputs & _POWER), "power fail"),
            FaultKind.BATTERY: (bool(state.inputs & _BATTERY), "battery low"),
            FaultKind.TAMPER: (bool(state.inputs & _OPEN), "open"),
            FaultKind.GAMMA_LOW_BACKGROUND: (bool(state.gamma.status & _LOW), f"background {state.gamma.background:g}"),
            FaultKind.GAMMA_HIGH_BACKGROUND: (
                bool(state.gamma.status & _HIGH),
                f"background {state.gamma.background:g}",
            ),
            FaultKind.NEUTRON_LOW_BACKGROUND: (
                bool(state.neutron.status & _LOW),
                f"background {state.neutron.background:g}",
            ),
            FaultKind.NEUTRON_HIGH_BACKGROUND: (
                bool(state.neutron.status & _HIGH),
                f"background {state.neutron.background:g}",
            ),
            FaultKind.INTERNAL: self._internal(state),
        }
        for fault, (on, detail) in wrong.items():
            yield from self._faults.on(fault, detail) if on else self._faults.off(fault, at)

    def _internal(self, state: State) -> tuple[bool, str]:
        wrong = ["error input"] if state.inputs & _ERROR else []
        wrong += [
            f"{name} not ready (status {channel.status:#x})"
            for name, channel in (("gamma", state.gamma), ("neutron", state.neutron))
            if not self._ready(channel)
        ]
        return bool(wrong), ", ".join(wrong)


def _channel_of(state: State, kind: RadiationKind) -> ChannelState:
    return state.gamma if kind is RadiationKind.GAMMA else state.neutron


def _alarms(state: State, kind: RadiationKind) -> bool:
    return bool(_channel_of(state, kind).status & _ALARM)


def _measured(state: State) -> tuple[object, ...]:
    """What changes from one measurement of the portal to the next; the same again is the same measurement."""
    return state.time, state.gamma, state.neutron
