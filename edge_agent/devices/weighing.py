"""What all scales have in common: units, when an indication counts, and what is told of it."""

from collections import deque
from collections.abc import Mapping
from dataclasses import dataclass, field
from decimal import Decimal

from edge_agent.domain.observation import DeviceFault, FaultKind, Opaque, Reading, Weight

# Exact by definition: the international avoirdupois pound is 0.45359237 kg (NIST Handbook 44, appendix C); a short ton
# is 2,000 of them, an ounce a sixteenth.
KG_PER: Mapping[str, Decimal] = {
    "kg": Decimal(1),
    "g": Decimal("0.001"),
    "t": Decimal(1000),
    "lb": Decimal("0.45359237"),
    "oz": Decimal("0.028349523125"),
    "ton": Decimal("907.18474"),
}
STABLE_FRAMES = 3


@dataclass(frozen=True, slots=True)
class Indication:
    """One frame of a scale, decoded. `value`, `tare` and `increment` are in `unit`, a key of KG_PER; '' if not said.

    `value` None: the scale shows no weight, only `shown`. `steady`: nothing speaks against counting this frame.
    `faults` are those that are on with this frame, each with its detail.
    """

    shown: str
    unit: str
    value: Decimal | None
    increment: Decimal = Decimal(1)
    steady: bool = True
    gross: bool | None = None
    tare: Decimal | None = None
    faults: Mapping[FaultKind, str] = field(default_factory=dict)


# The deck swings below zero for a moment when a truck leaves it.
OUT_OF_RANGE_S = 3.0


class Weigher:
    """Turns a connection's indications into readings.

    A weight is settled when `frames` consecutive ones were steady, of the same unit and mode, and agree within one
    increment. A fault is told when it begins (out of range: once it has lasted `OUT_OF_RANGE_S`), when its detail
    changes, and when it ends.
    """

    def __init__(self, frames: int) -> None:
        self._frames = frames
        self._alike: deque[Decimal] = deque(maxlen=frames)
        self._mode: tuple[str, bool | None] | None = None
        self._faults: dict[FaultKind, str] = {}
        self._since: dict[FaultKind, float] = {}

    def told(self, indication: Indication, at: float, raw: bytes) -> list[Reading]:
        """The reading that carries `raw` (a Weight, or an Opaque where no weight is shown), and changes of faults."""
        settled = self._settled(indication)
        if indication.value is None:
            body: Weight | Opaque = Opaque("no_weight", (indication.shown.strip(), indication.unit))
        else:
            factor = KG_PER[indication.unit]
            body = Weight(
                kg=float(indication.value * factor),
                settled=settled,
                shown=indication.shown,
                unit=indication.unit,
                gross=indication.gross,
                tare_kg=None if indication.tare is None else float(indication.tare * factor),
            )
        return [Reading(body, at, raw), *self.faults(indication.faults, at)]

    def faults(self, now_on: Mapping[FaultKind, str], at: float) -> list[Reading]:
        """What changed of the faults."""
        self._since = {kind: self._since.get(kind, at) for kind in now_on}
        lasting = {kind: why for kind, why in now_on.items() if kind in self._faults or self._lasts(kind, at)}
        was_on, self._faults, now_on = self._faults, lasting, lasting
        return [
            Reading(DeviceFault(kind, kind in now_on, now_on.get(kind, was_on.get(kind, ""))), at)
            for kind in sorted({*was_on, *now_on})
            if was_on.get(kind) != now_on.get(kind)
        ]

    def _lasts(self, kind: FaultKind, at: float) -> bool:
        """Without a clock (NaN) nothing shows how long it has lasted: it is told."""
        return kind is not FaultKind.OUT_OF_RANGE or not at - self._since[kind] < OUT_OF_RANGE_S

    def missed(self) -> None:
        """A frame was damaged, or did not come: what follows is not consecutive to what was before."""
        self._alike.clear()

    def _settled(self, indication: Indication) -> bool:
        mode = (indication.unit, indication.gross)
        if not indication.steady or indication.value is None or indication.faults or mode != self._mode:
            self._alike.clear()
        self._mode = mode
        if not indication.steady or indication.value is None or indication.faults:
            return False
        self._alike.append(indication.value)
        while max(self._alike) - min(self._alike) > indication.increment:
            self._alike.popleft()
        return len(self._alike) == self._frames


def last_place(shown: str) -> Decimal:
    """One of the last place of a number as it is shown."""
    return Decimal(1).scaleb(-len(shown.partition(".")[2]))
