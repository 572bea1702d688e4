"""What one device said at one instant.

A driver or a camera yields a `Reading`; the line adds an id, the lane and the device, and it is an `Observation`.
`Body` is a closed union: `match` with `assert_never` finds every place when a kind is added. Figures that no device can
state raise ValueError (domain/figures.py).
"""

from dataclasses import dataclass, field
from enum import StrEnum

from edge_agent.domain.clock import Instant
from edge_agent.domain.evidence import Evidence
from edge_agent.domain.figures import finite, whole


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
    """A licence plate in one frame: `text` normalised (A-Z, 0-9); `as_read` as the reader said it, with separators.

    Nothing is corrected in `text`, but O and 0, I and 1, which plates draw alike, may be told apart by the place in
    the plate's series. `suggested` is the text that the series of the region would make of all characters, B for 8 and
    the like too; '' where that is `text`.
    `confidence` (0..1) is that of the whole text; `likeness` (0..1) says how much what carries it looks like a plate.
    `looks`: how many looks at this vehicle read this text since the camera last said so; this is the best of them.
    """

    text: str
    confidence: float
    characters: tuple[CharacterRead, ...]
    box: Box
    as_read: str = ""
    likeness: float = 1.0
    suggested: str = ""
    looks: int = 1


@dataclass(frozen=True, slots=True)
class ContainerCodeRead:
    """An ISO 6346 code in one frame, as read. `code` may lack its check digit (ten characters) or fail it.

    `confidence` and `looks` as of a PlateRead.
    """

    code: str
    confidence: float
    characters: tuple[CharacterRead, ...]
    box: Box
    check_digit_ok: bool
    size_type: str = ""
    looks: int = 1


@dataclass(frozen=True, slots=True)
class SealRead:
    """A seal's number from its barcode label; `symbology` by AIM identifier, '' if the scanner sends none."""

    number: str
    symbology: str = ""


class SealCondition(StrEnum):
    """What a seal's own electronics say of it."""

    PRESENT = "present"  # it answers and reports itself closed
    BROKEN = "broken"  # it reports that it was opened or cut
    OTHER_NUMBER = "other_number"  # it does not carry the number that it should


@dataclass(frozen=True, slots=True)
class SealState:
    """A seal's condition by its tag or reader, told when it is first seen, when it changes, and while it stays."""

    number: str
    condition: SealCondition
    detail: str = ""


@dataclass(frozen=True, slots=True)
class TagRead:
    """A UHF tag that answered (EPC Gen2 / ISO 18000-63). `epc`, `tid` and `memory` are upper-case hex.

    `text` is the EPC as text where all of it is printable ASCII, else ''. `rssi_dbm` is None where the reader gives
    no figure in dBm.
    """

    epc: str
    text: str = ""
    antenna: int | None = None
    rssi_dbm: float | None = None
    tid: str = ""
    memory: str = ""

    def __post_init__(self) -> None:
        whole(self, "antenna")
        finite(self, "rssi_dbm")


@dataclass(frozen=True, slots=True)
class Weight:
    """A scale's indication. `kg` is the value in kilograms; `shown` and `unit` are the scale's own.

    `settled`: the scale reported no motion, in range, for as many frames as its settings ask: only then it counts.
    `gross` is None where the scale does not say.
    """

    kg: float
    settled: bool
    shown: str
    unit: str
    gross: bool | None = None
    tare_kg: float | None = None

    def __post_init__(self) -> None:
        finite(self, "kg", "tare_kg")


@dataclass(frozen=True, slots=True)
class Nuclide:
    """An identified radionuclide. `confidence` as the instrument gives it, in 0..1; None if it gives none."""

    name: str
    confidence: float | None = None
    category: str = ""

    def __post_init__(self) -> None:
        finite(self, "confidence")


@dataclass(frozen=True, slots=True)
class SpectroscopicMeasurement:
    """One occupancy by a spectroscopic portal (ANSI N42.42); its N42 document is the reading's evidence.

    Counts are over `live_s`. `gamma_alarm` and `neutron_alarm` are the instrument's verdict; None if it states none.
    """

    instrument: str
    live_s: float
    real_s: float
    gamma_counts: int | None
    neutron_counts: int | None
    gamma_alarm: bool | None
    neutron_alarm: bool | None
    nuclides: tuple[Nuclide, ...] = ()
    speed_kmh: float | None = None

    def __post_init__(self) -> None:
        whole(self, "gamma_counts", "neutron_counts", bits=64)
        finite(self, "live_s", "real_s", "speed_kmh")


@dataclass(frozen=True, slots=True)
class ScanImage:
    """A scan of a vehicle by a non-intrusive scanner; the file, and a quick look where it can be drawn, are evidence.

    `scan_id` is the scanner's own id of this scan, `vehicle_number` the number that it states for the vehicle or
    its cargo, '' if none. `format` is uff, dicos, dicom, tiff, png, jpeg or other. `width` and `height` are pixels, 0
    if the file is opaque. Reading.device_time is when the scanner says it was taken.
    """

    scan_id: str
    format: str
    vehicle_number: str = ""
    width: int = 0
    height: int = 0
    note: str = ""

    def __post_init__(self) -> None:
        whole(self, "width", "height")


@dataclass(frozen=True, slots=True)
class DeviceSetup:
    """How a device says it is set up, as names and values; `changed` lists names that differ from the last time."""

    values: tuple[tuple[str, str], ...]
    changed: tuple[str, ...] = ()


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

    def __post_init__(self) -> None:
        whole(self, "counts")
        finite(self, "interval_s")


@dataclass(frozen=True, slots=True)
class RadiationAlarm:
    """The portal's alarm, once for each kind and occupancy, at its first alarming line."""

    kind: RadiationKind
    counts: tuple[int, ...]

    def __post_init__(self) -> None:
        whole(self, "counts")


@dataclass(frozen=True, slots=True)
class RadiationOccupancy:
    """A vehicle has left the portal: the device's verdict, and ours beside it.

    `number` is the portal's own, 0 when its end was not seen, only that the lane was empty again. `duration_s` counts
    from its first sample, None when its beginning was not seen.
    `cross_check_sigma` is the largest (FG - BG) / sqrt(BG) of the occupancy, or that over the root of the variance that
    the portal itself states; None without enough samples or background. `cross_check_alarm` compares it with the
    portal's own N sigma. `suppression` is the share (0..1) by which the vehicle's mass depressed the gamma background
    at its deepest, chance included; None without background.
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
    suppression: float | None = None
    direction: "Direction | None" = None

    def __post_init__(self) -> None:
        whole(self, "number", "gamma_background", "neutron_background_milli", "gamma_samples")
        finite(self, "duration_s", "cross_check_sigma", "speed_kmh", "suppression")

    @property
    def disagreement(self) -> bool:
        """The device and our cross-check differ on gamma."""
        return self.cross_check_alarm is not None and self.cross_check_alarm != self.gamma_alarm


class FaultKind(StrEnum):
    """What a device says is wrong with itself."""

    GAMMA_HIGH_BACKGROUND = "gamma_high_background"
    GAMMA_LOW_BACKGROUND = "gamma_low_background"
    NEUTRON_HIGH_BACKGROUND = "neutron_high_background"
    NEUTRON_LOW_BACKGROUND = "neutron_low_background"
    TAMPER = "tamper"
    POWER = "power"  # no mains
    BATTERY = "battery"  # low
    OUT_OF_RANGE = "out_of_range"  # what is measured lies outside what the device can measure
    STUCK = "stuck"  # says the same for longer than can be
    INTERNAL = "internal"  # the device's own error; `detail` has its code
    MISSED = "missed"  # it counted vehicles that the booth did not see


@dataclass(frozen=True, slots=True)
class DeviceFault:
    """A fault that the device reports of itself, or its end."""

    fault: FaultKind
    active: bool
    detail: str = ""


class Direction(StrEnum):
    """Which way a vehicle drives through a lane."""

    FORWARD = "forward"
    BACKWARD = "backward"


@dataclass(frozen=True, slots=True)
class Presence:
    """Something stands in a sensor's field, or no longer does; `direction` where the device knows it."""

    occupied: bool
    direction: Direction | None = None


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
    | SealState
    | TagRead
    | Weight
    | RadiationSample
    | RadiationAlarm
    | RadiationOccupancy
    | SpectroscopicMeasurement
    | ScanImage
    | Presence
    | DeviceFault
    | DeviceStatus
    | DeviceSetup
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
