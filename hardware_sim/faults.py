"""What goes wrong, when: faults of a scenario or by command, on the world's clock.

    scenario's `faults:` ──► Faults ──► active(target) ◄── links, cameras, devices, the port's proxy ask
    control API, tests   ──►    └────► on_change ──► faults.jsonl, and whoever must act at once

A fault is planned, begins, and ends: by itself after `for_s`, by command, or with the run. The same seed makes the
same bytes wrong.
"""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from math import inf
from random import Random
from typing import Annotated, Any, Literal, Protocol, get_args

from pydantic import BaseModel, ConfigDict, Field, TypeAdapter, model_validator

from hardware_sim.misfit import misfit
from hardware_sim.settings import Name, OneOrTwo

# The target that stands for the connection to the port gateway (scenario: `port:`).
PORT = "port"
# A run of days with a fault every few seconds; beyond this somebody's loop has run away.
MAX_FAULTS = 10_000

Share = Annotated[float, Field(gt=0, le=1)]
_Span = Annotated[float, Field(ge=0, le=604_800)]


class _Fault(BaseModel):
    """What holds for every fault: its target, when it begins (`at`, or `truck` and `when`), how long it lasts.

    `at`: seconds after traffic begins. `truck`: the number of a truck; `when`: the moment of its passage; `after_s`:
    so much later. `for_s`: how long it lasts; without it until the run or a command ends it. By command `at`, `truck`
    and `after_s` are left out: it begins at once.
    """

    model_config = ConfigDict(extra="forbid", frozen=True)

    target: Name
    at: _Span | None = None
    truck: Annotated[int, Field(ge=1)] | None = None
    when: Literal["arrives", "enters", "clears"] = "enters"
    after_s: _Span = 0.0
    for_s: _Span | None = None

    @model_validator(mode="after")
    def _one_moment(self) -> "_Fault":
        if self.at is not None and self.truck is not None:
            raise ValueError("a fault begins `at` seconds after traffic begins, or with a `truck`: say one of them")
        if self.truck is None and "when" in self.model_fields_set:
            raise ValueError("`when` is a moment of a truck: say which `truck`")
        return self

    def parameters(self) -> dict[str, Any]:
        """What this kind has beside what every fault has."""
        return {n: v for n, v in self.model_dump(mode="json").items() if n not in _COMMON}


_COMMON = {*_Fault.model_fields, "kind"}


class Drop(_Fault):
    """Messages are lost: `share` of them."""

    kind: Literal["drop"]
    share: Share = 0.3


class Delay(_Fault):
    """Every byte comes later by a time within `delay_s` (a number or a range); order is kept."""

    kind: Literal["delay"]
    delay_s: Annotated[tuple[_Span, _Span], OneOrTwo()] = (1.0, 1.0)

    @model_validator(mode="after")
    def _ordered(self) -> "Delay":
        if self.delay_s[0] > self.delay_s[1]:
            raise ValueError("delay_s: the first number is the smaller one")
        return self


class Garble(_Fault):
    """`share` of the bytes have some of their bits turned over, as by noise on the line."""

    kind: Literal["garble"]
    share: Share = 0.02


class Split(_Fault):
    """Messages come in pieces of `size` bytes, `gap_s` apart."""

    kind: Literal["split"]
    size: Annotated[int, Field(ge=1, le=4096)] = 3
    gap_s: Annotated[float, Field(ge=0.001, le=60)] = 0.03


class Merge(_Fault):
    """Bytes are held back and come all at once every `every_s`, as through a device server that gathers them."""

    kind: Literal["merge"]
    every_s: Annotated[float, Field(ge=0.01, le=600)] = 2.0


class WrongChecksum(_Fault):
    """`share` of the messages have a wrong check value: one bit of it is turned over, everything else is right."""

    kind: Literal["wrong_checksum"]
    share: Share = 1.0


class Silence(_Fault):
    """The device says nothing; its link stays up."""

    kind: Literal["silence"]


class HangUp(_Fault):
    """The link breaks and cannot be opened, until it comes back under the same name."""

    kind: Literal["hang_up"]
    for_s: _Span | None = 0.0


class RePlug(_Fault):
    """Pulled out and plugged in again: as `hang_up`, and a terminal's link then leads to another terminal."""

    kind: Literal["re_plug"]
    for_s: _Span | None = 1.0


class WrongBaud(_Fault):
    """The two ends differ in their rate: 8N1 characters sent at `sent_bd` are sampled at `heard_bd`."""

    kind: Literal["wrong_baud"]
    sent_bd: Annotated[int, Field(ge=50, le=4_000_000)] = 9600
    heard_bd: Annotated[int, Field(ge=50, le=4_000_000)] = 4800

    @model_validator(mode="after")
    def _differ(self) -> "WrongBaud":
        if self.sent_bd == self.heard_bd:
            raise ValueError("sent_bd and heard_bd are equal: nothing would be wrong")
        return self


class StuckMotion(_Fault):
    """A scale never settles: every indication says motion."""

    kind: Literal["stuck_motion"]


class Tamper(_Fault):
    """Somebody opens the device's housing."""

    kind: Literal["tamper"]


class Background(_Fault):
    """A portal counts `gamma` and `neutron` times as much background as it should: a failing detector, or a source
    that was put beside the lane."""

    kind: Literal["background"]
    gamma: Annotated[float, Field(ge=0, le=1000)] = 6.0
    neutron: Annotated[float, Field(ge=0, le=1000)] = 1.0


class Misjudge(_Fault):
    """A portal alarms above `n_sigma`, not above the N sigma that it states: set up otherwise, or broken. With a very
    large one it never alarms, with a very low one always."""

    kind: Literal["misjudge"]
    n_sigma: Annotated[float, Field(ge=-1e6, le=1e6)] = 1e6


class ClockSkew(_Fault):
    """The device's own clock is wrong by `by_s`: what it stamps by itself says so."""

    kind: Literal["clock_skew"]
    by_s: Annotated[float, Field(ge=-3.2e9, le=3.2e9)] = 3600.0


class Frozen(_Fault):
    """The camera sends the same picture, byte for byte."""

    kind: Literal["frozen"]


class Black(_Fault):
    """The camera sends black pictures."""

    kind: Literal["black"]


class LensFlare(_Fault):
    """A low sun or a lamp shines into the lens; `strength` 1 hides about a third of the picture."""

    kind: Literal["lens_flare"]
    strength: Annotated[float, Field(gt=0, le=3)] = 1.0


class Refuse(_Fault):
    """The port's address answers, and refuses every connection; those that stand are broken."""

    kind: Literal["refuse"]


class Slow(_Fault):
    """The way to the port carries `bytes_per_s` in each direction and adds `latency_s`."""

    kind: Literal["slow"]
    bytes_per_s: Annotated[int, Field(ge=16, le=10**9)] = 4000
    latency_s: Annotated[float, Field(ge=0, le=60)] = 0.2


class HalfOpen(_Fault):
    """Connections to the port stand and carry nothing: neither end is told."""

    kind: Literal["half_open"]


class Forget(_Fault):
    """The port comes back with nothing of what it had acknowledged (scenario: `port: {forgets_to: …}`)."""

    kind: Literal["forget"]


class Down(_Fault):
    """Nobody answers under the port's address."""

    kind: Literal["down"]


FaultSettings = Annotated[
    Drop | Delay | Garble | Split | Merge | WrongChecksum | Silence | HangUp | RePlug | WrongBaud
    | StuckMotion | Tamper | Background | Misjudge | ClockSkew | Frozen | Black | LensFlare
    | Refuse | Slow | HalfOpen | Forget | Down,
    Field(discriminator="kind"),
]  # fmt: skip
AnyFault: TypeAdapter[FaultSettings] = TypeAdapter(FaultSettings)

# What can happen to what. A device may have fewer: see `kinds_of` where the scenario is built.
BYTE_KINDS = frozenset({"drop", "delay", "garble", "split", "merge", "silence", "hang_up", "re_plug", "wrong_baud"})
CAMERA_KINDS = frozenset({"frozen", "black", "lens_flare"})
PORT_KINDS = frozenset({"refuse", "slow", "half_open", "forget", "down"})
ALL_KINDS = frozenset(get_args(m.model_fields["kind"].annotation)[0] for m in get_args(get_args(FaultSettings)[0]))
# Of devices behind a server of their own, whose messages pass a relay; a TCP connection has no rate.
SERVED_KINDS = BYTE_KINDS - {"wrong_baud"}
# The link is gone while one of these lasts.
UNPLUGGED = frozenset({"hang_up", "re_plug"})


@dataclass(slots=True, eq=False)
class Fault:
    """One fault of this run. Times are the world's; `ends` is when it ends by itself, inf if it does not."""

    id: int
    settings: FaultSettings
    random: Random
    planned: bool
    began: float | None = None
    ends: float = inf
    ended: float | None = None

    @property
    def state(self) -> Literal["planned", "active", "over"]:
        if self.ended is not None:
            return "over"
        return "planned" if self.began is None else "active"


class Traffic(Protocol):
    """What faults ask of the world: when traffic began, and when a truck is somewhere; None: not known yet."""

    def began(self) -> float | None: ...
    def moment(self, target: str, truck: int, when: Literal["arrives", "enters", "clears"]) -> float | None: ...


OnChange = Callable[[Fault, float], None]


@dataclass(slots=True)
class Faults:
    """Every fault of a run. Whoever plays the world calls `step` at `next_due`."""

    seed: int
    traffic: Traffic
    kinds: Mapping[str, frozenset[str]]
    on_change: list[OnChange] = field(default_factory=list)
    all: list[Fault] = field(default_factory=list)

    def plan(self, settings: Sequence[FaultSettings]) -> None:
        """Take over the scenario's faults. One without a moment begins with traffic. Raises ValueError as `begin`."""
        for fault in settings:
            self._fits(fault)
            self._new(fault, planned=True)

    def next_due(self) -> float | None:
        """When the next fault that is known of begins or ends."""
        return min((at for f in self.all if (at := self._due(f)) is not None), default=None)

    def step(self, now: float) -> None:
        """Begin and end what is due, in order of time."""
        while (due := self.next_due()) is not None and due <= now:
            for fault in self.all:
                if self._due(fault) == due:
                    self._begin(fault, due) if fault.began is None else self._end(fault, due)

    def begin(self, settings: FaultSettings, now: float) -> Fault:
        """Begin a fault by command. Raises ValueError in words if it cannot happen to its target."""
        self._fits(settings)
        if settings.at is not None or settings.truck is not None or settings.after_s:
            raise ValueError("a fault by command begins at once: leave out at, truck, when and after_s")
        fault = self._new(settings, planned=False)
        self._begin(fault, now)
        return fault

    def end(self, number: int, now: float) -> Fault:
        """End the fault with this id; one that is planned never begins. Raises KeyError if there is none."""
        fault = next((f for f in self.all if f.id == number), None)
        if fault is None:
            raise KeyError(number)
        if fault.began is None:
            fault.ended = now
        elif fault.ended is None:
            self._end(fault, now)
        return fault

    def close(self, now: float) -> None:
        """The run is over: what is active ends."""
        for fault in [f for f in self.all if f.state == "active"]:
            self._end(fault, now)

    def active(self, target: str) -> list[Fault]:
        """What is wrong with `target` now, in the order in which it began."""
        return [f for f in self.all if f.state == "active" and f.settings.target == target]

    def on(self, target: str, kind: str) -> Fault | None:
        """The fault of this kind that `target` has now."""
        return next((f for f in self.active(target) if f.settings.kind == kind), None)

    def unplugged(self, target: str) -> bool:
        """Whether the target's link is gone now."""
        return any(f.settings.kind in UNPLUGGED for f in self.active(target))

    def _fits(self, settings: FaultSettings) -> None:
        if wrong := misfit(settings.target, settings.kind, self.kinds):
            raise ValueError(f"{wrong.wrong}; {wrong.remedy}")

    def _new(self, settings: FaultSettings, *, planned: bool) -> Fault:
        if len(self.all) >= MAX_FAULTS:
            raise ValueError(f"this run had {MAX_FAULTS} faults already: start another")
        number = len(self.all) + 1
        fault = Fault(number, settings, Random(f"fault/{self.seed}/{number}"), planned)
        self.all.append(fault)
        return fault

    def _due(self, fault: Fault) -> float | None:
        if fault.ended is not None:
            return None
        if fault.began is not None:
            return fault.ends if fault.ends < inf else None
        settings = fault.settings
        start = self.traffic.began()
        if settings.truck is not None:
            start = self.traffic.moment(settings.target, settings.truck, settings.when)
        return None if start is None else start + (settings.at or 0.0) + settings.after_s

    def _begin(self, fault: Fault, at: float) -> None:
        fault.began = at
        fault.ends = inf if fault.settings.for_s is None else at + fault.settings.for_s
        for tell in self.on_change:
            tell(fault, at)

    def _end(self, fault: Fault, at: float) -> None:
        fault.ended = at
        for tell in self.on_change:
            tell(fault, at)


def describe(fault: Fault) -> dict[str, Any]:
    """A fault without its times, as the control API and faults.jsonl give it."""
    s = fault.settings
    return {
        "id": fault.id,
        "target": s.target,
        "kind": s.kind,
        "parameters": s.parameters(),
        "for_s": s.for_s,
        "by": "scenario" if fault.planned else "command",
        "state": fault.state,
    }
