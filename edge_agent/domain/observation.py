"""What one device said at one instant.

A driver or a camera yields a `Reading`; the line adds an id, the lane and the device, and it is an `Observation`.
`Body` is a closed union: `match` with `assert_never` finds every place when a kind is added.
"""

from dataclasses import dataclass, field
from enum import StrEnum

from edge_agent.domain.clock import Instant
from edge_agent.domain.evidence import Evidence


class RadiationKind(StrEnum):
    """What a portal counts."""

    GAMMA = "gamma"
    NEUTRON = "neutron"


class Channel(StrEnum):
    """What a radiation sample counts."""

    BACKGROUND = "background"  # lane empty, counts per second
    OCCUPIED = "occupied"  # a vehicle in the portal, counts per sample interval


class DeviceState(StrEnum):
    """Of the connection to a device, and of the driver behind it."""

    ONLINE = "online"  # it speaks
    WAITING = "waiting"  # connected, has not spoken yet or has fallen silent
    OFFLINE = "offline"  # no connection; being tried again
    FAILED = "failed"  # its driver raised; not tried again until restart


@dataclass(frozen=True, slots=True)
class CharacterRead:
    """One character as read: confidence in 0..1, and what else it might be, best first."""

    character: str
    confidence: float
    alternatives: tuple[tuple[str, float], ...] = ()


@dataclass(frozen=True, slots=True)
class Box:
    """Pixels of the frame, origin top left."""

    x: int
    y: int
    w: int
    h: int


@dataclass(frozen=True, slots=True)
class PlateRead:
    """A licence plate in one frame: `text` normalised (A-Z, 0-9), nothing corrected; `as_read` with its separators.

    `confidence` is of the characters; `likeness` (0..1) says how much the thing that carries them looks like a plate.
    """

    text: str
    confidence: float
    characters: tuple[CharacterRead, ...]
    box: Box
    as_read: str = ""
    likeness: float = 1.0


@dataclass(frozen=True, slots=True)
class ContainerCodeRead:
    """An ISO 6346 code in one frame, as read. `code` may lack its check digit (ten characters) or fail it."""

    code: str
    confidence: float
    characters: tuple[CharacterRead, ...]
    box: Box
    check_digit_ok: bool
    size_type: str = ""


@dataclass(frozen=True, slots=True)
class SealRead:
    """A seal's number from its barcode label; `symbology` by AIM identifier, '' if the scanner sends none."""

    number: str
    symbology: str = ""


@dataclass(frozen=True, slots=True)
class RadiationSample:
    """One line of counts, one number a detector panel, over `interval_s` seconds.

    `in_alarm` is the device's own word for this line.
    """

    kind: RadiationKind
    channel: Channel
    counts: tuple[int, ...]
    interval_s: float
    in_alarm: bool = False


@dataclass(frozen=True, slots=True)
class RadiationAlarm:
    """The portal's alarm, once for each kind and occupancy, at its first alarming line."""

    kind: RadiationKind
    counts: tuple[int, ...]


@dataclass(frozen=True, slots=True)
class RadiationOccupancy:
    """A vehicle has left the portal: the device's verdict, and ours beside it.

    `number` is the portal's own, 0 when its end was not seen, only that the lane was empty again. `duration_s` counts
    from its first sample, None when its beginning was not seen.
    `cross_check_sigma` is the largest (FG - BG) / sqrt(BG) of the occupancy, None without enough samples or
    background; `cross_check_alarm` compares it with the portal's own N sigma.
    """

    number: int
    duration_s: float | None
    gamma_alarm: bool
    neutron_alarm: bool
    cross_check_sigma: float | None
    cross_check_alarm: bool | None
    gamma_background: tuple[int, ...] | None
    neutron_background_milli: int
    gamma_samples: int
    speed_kmh: float | None = None

    @property
    def disagreement(self) -> bool:
        """The device and our cross-check differ on gamma."""
        return self.cross_check_alarm is not None and self.cross_check_alarm != self.gamma_alarm


class FaultKind(StrEnum):
    """What a device says is wrong with itself."""

    GAMMA_HIGH_BACKGROUND = "gamma_high_background"
    GAMMA_LOW_BACKGROUND = "gamma_low_background"
    NEUTRON_HIGH_BACKGROUND = "neutron_high_background"
    TAMPER = "tamper"


@dataclass(frozen=True, slots=True)
class DeviceFault:
    """A fault that the device reports of itself, or its end."""

    fault: FaultKind
    active: bool
    detail: str = ""


@dataclass(frozen=True, slots=True)
class Presence:
    """Something stands in a sensor's field, or no longer does."""

    occupied: bool


@dataclass(frozen=True, slots=True)
class DeviceStatus:
    """The state of the connection changed; `detail` says why in words."""

    state: DeviceState
    detail: str = ""


@dataclass(frozen=True, slots=True)
class Opaque:
    """A well-formed message that this driver keeps without interpreting it."""

    tag: str
    fields: tuple[str, ...]


@dataclass(frozen=True, slots=True)
class Malformed:
    """Bytes that are no message of this device, kept, with what is wrong with them."""

    why: str


Body = (
    PlateRead
    | ContainerCodeRead
    | SealRead
    | RadiationSample
    | RadiationAlarm
    | RadiationOccupancy
    | Presence
    | DeviceFault
    | DeviceStatus
    | Opaque
    | Malformed
)


@dataclass(frozen=True, slots=True)
class Reading:
    """A driver's output. `at` is in seconds on the clock that the driver is given, which may lie before now.

    `raw` holds the device's bytes; over one connection the raws of all readings, joined, are the input.
    `device_time` is the device's own stamp, if it sends one: kept, never trusted for order.
    """

    body: Body
    at: float
    raw: bytes = b""
    evidence: tuple[Evidence, ...] = ()
    device_time: str = ""


@dataclass(frozen=True, slots=True)
class Observation:
    """A reading with its place: which device of which lane, and when."""

    id: str
    device_id: str
    lane_id: str
    at: Instant
    body: Body
    raw: bytes = b""
    evidence: tuple[Evidence, ...] = field(default=())
    device_time: str = ""
