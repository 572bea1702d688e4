"""Trucks that drive through a lane in a row, and what its devices say of them: a world for tests, drawn from a seed."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from random import Random

from edge_agent.domain.observation import Body
from edge_agent.inspection.whereabouts import End, Place
from tests.unit.inspection.script import ARRIVES, DEPARTS, code, plate, seal

STEP_S = 0.1
LOOK_EVERY = 5  # steps
BEGINS_M, ENDS_M = -60.0, 45.0
CODES = ("CSQU3054383", "MSKU0383250", "TCNU7200794", "MSCU6639870", "HLXU2008419", "TGHU7599330")


@dataclass
class Truck:
    """What is true of it, and where its front is now."""

    plate: str
    code: str
    seal: str
    length_m: float
    gap_m: float
    speeds: list[tuple[float, float]]  # for so many seconds, so fast
    front_m: float = BEGINS_M
    said: set[str] = field(default_factory=set)

    @property
    def rear_m(self) -> float:
        return self.front_m - self.length_m


@dataclass(frozen=True)
class Said:
    """What a device said of a truck, by its number."""

    at: float
    device: str
    body: Body
    truck: int


def convoy(random: Random, trucks: int, slowest_mps: float = 1.2, fastest_mps: float = 7.5) -> list[Truck]:
    """Trucks bumper to bumper or with some room between them; each may stop a few times."""
    out = []
    for n in range(trucks):
        speeds = []
        for _ in range(40):
            stands = random.random() < 0.15
            speeds.append((random.uniform(1, 6), 0.0 if stands else random.uniform(slowest_mps, fastest_mps)))
        letters = "".join(random.choice("ABCDEFGHJKLMNPRSTUVWXYZ") for _ in range(3))
        length_m, gap_m = random.uniform(6, 20), random.uniform(1.5, 12)
        out.append(Truck(f"{letters}{100 + n}{n}", CODES[n % len(CODES)], f"ML-100{n}", length_m, gap_m, speeds))
    return out


def drive(trucks: list[Truck], places: Mapping[str, Place], random: Random) -> list[Said]:
    """All that the devices of `places` say: presence sensors by default, `plates*`, `codes*` and `seals*` read."""
    said: list[Said] = []
    occupied: dict[str, int] = {}
    step = 0
    phase = {device: random.randrange(LOOK_EVERY) for device in places}
    while any(truck.rear_m < ENDS_M for truck in trucks):
        at = 10 + step * STEP_S
        before = float("inf")
        for truck in trucks:
            speed = _speed(truck, step * STEP_S)
            truck.front_m = max(truck.front_m, min(truck.front_m + speed * STEP_S, before - truck.gap_m))
            before = truck.rear_m
        for device, place in places.items():
            for n, truck in enumerate(trucks):
                _device(said, occupied, device, place, n, truck, at, step % LOOK_EVERY == phase[device])
        step += 1
    return said


def _speed(truck: Truck, at: float) -> float:
    for lasts, speed in truck.speeds:
        if at < lasts:
            return speed
        at -= lasts
    return 5.0


def _device(
    said: list[Said], occupied: dict[str, int], device: str, place: Place, n: int, truck: Truck, at: float, looks: bool
) -> None:
    if device.startswith(("plates", "codes", "seals")):
        where = truck.rear_m if place.end is End.REAR else truck.front_m
        seen = place.begin <= where <= place.until or (
            place.end is End.ANY and truck.rear_m <= place.until and truck.front_m >= place.begin
        )
        if not seen or not looks:
            return
        if device.startswith("seals"):
            if device not in truck.said:
                truck.said.add(device)
                said.append(Said(at, device, seal(truck.seal), n))
            return
        said.append(Said(at, device, plate(truck.plate) if device.startswith("plates") else code(truck.code), n))
        return
    over = truck.rear_m <= place.at_m <= truck.front_m
    if over and occupied.get(device) != n:
        occupied[device] = n
        said.append(Said(at, device, ARRIVES, n))
    elif not over and occupied.get(device) == n:
        del occupied[device]
        said.append(Said(at, device, DEPARTS, n))
