"""A truck as a transmission scanner sees it: bright where air is, dark where mass is in the beam.

A map of areal density (grams per square centimetre) is built from what a truck is made of, seen from the side; the
cargo is scaled so that all of it weighs what the truck weighs. The beam of a 6 MeV accelerator is weakened
exponentially by it, and counted: photons are few behind a dense load, detectors differ a little, and so do the pulses.
"""

from random import Random

import numpy as np
from numpy.typing import NDArray
from PIL import Image, ImageDraw

from hardware_sim.world.outline import CONTAINER_HEIGHT_M, FLOOR_M, WHEEL_M, axles_of
from hardware_sim.world.truck import CargoKind, Container, Truck

Density = NDArray[np.float64]
Picture = NDArray[np.uint16]

MM_PER_PX = 10
HEIGHT_M = 4.5
_MARGIN_M = 0.6  # road before and behind the truck
# Square centimetres per gram: steel at the mean energy of a 6 MeV spectrum, as it hardens on its way.
_MU, _HARDENS = 0.036, 0.0012
_PHOTONS = 6000.0  # that reach a pixel through air
_AIR = 60_000  # its value there, of 65,535
_LINES_PER_MODULE = 64
_USUAL_G_CM2 = 105.0  # a container full of usual goods, in the beam
_KG_PER_G_CM2 = (MM_PER_PX / 10) ** 2 / 1000


class _Map:
    """The density map under construction; metres behind the truck's front, and above the road."""

    def __init__(self, truck: Truck) -> None:
        self.width = round((truck.length_m + 2 * _MARGIN_M) * 1000 / MM_PER_PX)
        self.height = round(HEIGHT_M * 1000 / MM_PER_PX)
        self.density: Density = np.zeros((self.height, self.width))

    def x(self, metres: float) -> int:
        return round((metres + _MARGIN_M) * 1000 / MM_PER_PX)

    def y(self, metres: float) -> int:
        return self.height - round(metres * 1000 / MM_PER_PX)

    def box(self, begin: float, low: float, end: float, high: float, density: float) -> None:
        """A block, as thick in the beam everywhere."""
        self.density[max(0, self.y(high)) : max(0, self.y(low)), max(0, self.x(begin)) : self.x(end)] += density

    def shape(self, corners: list[tuple[float, float]], density: float) -> None:
        """A polygon of points behind the front and above the road."""
        points = [(self.x(x), self.y(y)) for x, y in corners]
        left, top = min(x for x, _ in points), max(0, min(y for _, y in points))
        image = Image.new("L", (max(x for x, _ in points) - left + 1, max(y for _, y in points) - top + 1), 0)
        ImageDraw.Draw(image).polygon([(x - left, y - top) for x, y in points], fill=1)
        part = self.density[top : top + image.height, left : left + image.width]
        part += np.asarray(image)[: part.shape[0], : part.shape[1]] * density

    def tube(self, x: float, y: float, radius: float, density: float, inside: float = 0.0) -> None:
        """A cylinder across the truck: `inside` is the share of its radius that is empty."""
        top, left = max(0, self.y(y + radius) - 1), max(0, self.x(x - radius) - 1)
        part = self.density[top : self.y(y - radius) + 1, left : self.x(x + radius) + 1]
        rows, columns = np.ogrid[: part.shape[0], : part.shape[1]]
        apart = np.hypot(columns + left - self.x(x), rows + top - self.y(y)) * MM_PER_PX / 1000
        part += ((apart <= radius) & (apart >= radius * inside)) * density

    def drum(self, x: float, low: float, radius: float, high: float, density: float) -> None:
        """A standing cylinder: thickest in its middle."""
        begin, end = self.x(x - radius), self.x(x + radius)
        across = (np.arange(begin, end) + 0.5 - (begin + end) / 2) / max(1.0, (end - begin) / 2)
        self.density[self.y(high) : self.y(low), begin:end] += density * np.sqrt(np.clip(1 - across**2, 0, 1))


def areal_density(truck: Truck) -> Density:
    """Grams per square centimetre in the beam for each pixel; its sum is the truck's gross weight."""
    drawing = _Map(truck)
    random = Random(f"scan/{truck.container_code}/{truck.gross_kg}")
    _tractor(drawing, truck, random)
    for container, behind in truck.placed:
        _container(drawing, container, behind)
    empty_kg = float(drawing.density.sum()) * _KG_PER_G_CM2
    load = _Map(truck)
    left_kg = max(0.0, truck.gross_kg - empty_kg)
    # Heavy loads are stacked high: no goods are denser than they can be.
    room_kg = truck.container_m * 230 * _USUAL_G_CM2 / 10
    for container, behind in truck.placed:
        _cargo(load, container, behind, random, min(1.0, left_kg / room_kg))
    load_kg = float(load.density.sum()) * _KG_PER_G_CM2
    if load_kg > 0:
        drawing.density += load.density * (left_kg / load_kg)
    if truck.cargo.kind is CargoKind.SOURCE and truck.cargo.shielding > 0:
        # What holds radiation back is lead: a small, dark block in the middle of the load.
        middle = truck.container_from_m + truck.container_m / 2
        side = 0.09 + 0.12 * truck.cargo.shielding
        drawing.box(
            middle - side, FLOOR_M + 0.55, middle + side, FLOOR_M + 0.55 + 2 * side, 340 * truck.cargo.shielding
        )
    return drawing.density


def radiograph(truck: Truck, key: list[int]) -> Picture:
    """The picture, front to the left, rows from above: 16 bits, bright is air. `key` seeds its noise."""
    noise = np.random.default_rng(key)
    density = areal_density(truck)
    through = np.exp(-_MU * density / (1 + _HARDENS * density))
    rows, columns = through.shape
    gains = np.repeat(noise.normal(1.0, 0.006, size=(rows // _LINES_PER_MODULE + 1,)), _LINES_PER_MODULE)[:rows]
    pulses = noise.normal(1.0, 0.008, size=(columns,))
    scattered = 4e-4  # what reaches a detector around the load
    photons = _PHOTONS * (through + scattered) * pulses[None, :]
    # So many photons that their numbers spread like a bell.
    photons += np.sqrt(photons) * noise.standard_normal(photons.shape, dtype=np.float32)
    values = photons / _PHOTONS * gains[:, None] * _AIR + 6 * noise.standard_normal(photons.shape, dtype=np.float32)
    return np.asarray(np.clip(np.rint(values), 0, 65_535), dtype=np.uint16)


def _tractor(drawing: _Map, truck: Truck, random: Random) -> None:
    end = truck.length_m
    for axle in axles_of(truck):
        drawing.tube(axle, WHEEL_M, WHEEL_M, 22, inside=0.58)  # tyres, left and right
        drawing.tube(axle, WHEEL_M, WHEEL_M * 0.58, 14, inside=0.45)
        drawing.tube(axle, WHEEL_M, 0.14, 95)
        drawing.box(axle - 0.45, 0.72, axle + 0.45, 0.79, 38)  # springs
    # Frame: two rails seen as one, with holes; cross members.
    drawing.box(0.3, 0.86, 4.6, 1.02, 16)
    drawing.box(4.2, 0.88, end - 0.1, FLOOR_M - 0.03, 17)
    for member in np.arange(4.8, end - 0.4, 0.9):
        drawing.box(member, 0.9, member + 0.06, FLOOR_M - 0.04, 70)
    # Engine, radiator, gearbox, shaft.
    drawing.box(0.22, 0.7, 0.30, 1.75, 26)
    drawing.box(0.55, 0.72, 1.55, 1.35, 105)
    for cylinder in range(6):
        x = 0.62 + cylinder * 0.155
        drawing.box(x, 1.0, x + 0.09, 1.5, 55)
        drawing.box(x + 0.02, 1.05, x + 0.07, 1.4, -30)
    drawing.shape([(1.55, 0.72), (2.35, 0.8), (2.35, 1.05), (1.55, 1.25)], 88)
    drawing.box(2.35, 0.87, 3.1, 0.95, 45)
    # Tanks, filled to some height; batteries.
    level = 0.5 + 0.4 * random.random()
    drawing.box(1.75, 0.46, 2.95, 0.94, 3)
    drawing.box(1.78, 0.48, 2.92, 0.48 + 0.44 * level, 46)
    drawing.box(3.2, 1.02, 3.6, 1.2, 60)
    drawing.box(3.15, FLOOR_M - 0.05, 3.95, FLOOR_M + 0.03, 60)  # fifth wheel
    # Cab: bonnet, shell, pillars, glass, seats, bunk, steering wheel.
    drawing.shape([(0.02, 0.75), (0.02, 1.7), (0.5, 1.95), (1.5, 2.05), (1.5, 0.75)], 2.2)
    drawing.shape([(1.4, 0.75), (1.4, 2.1), (1.75, 3.2), (2.1, 3.32), (4.0, 3.32), (4.0, 0.75)], 3.2)
    for begin, low, finish, high, density in (
        (1.40, 0.8, 1.46, 2.1, 9), (2.60, 0.8, 2.68, 3.28, 9), (3.95, 0.8, 4.0, 3.3, 12), (1.8, 3.26, 4.0, 3.32, 26),
        (1.45, 1.12, 3.98, 1.18, 30), (3.05, 1.55, 3.95, 1.68, 5), (3.05, 2.6, 3.95, 2.68, 4),
        (2.35, 1.35, 2.8, 1.47, 7), (2.72, 1.4, 2.84, 2.15, 6), (2.36, 1.18, 2.5, 1.36, 5),
    ):  # fmt: skip
        drawing.box(begin, low, finish, high, density)
    drawing.shape([(1.72, 1.72), (1.76, 1.70), (1.98, 2.10), (1.94, 2.12)], 9)
    # The driver.
    drawing.tube(2.42, 2.38, 0.11, 17)
    drawing.shape([(2.33, 2.25), (2.55, 2.25), (2.68, 1.5), (2.35, 1.48)], 24)
    drawing.shape([(2.5, 1.62), (2.5, 1.46), (1.95, 1.5), (1.98, 1.64)], 17)
    drawing.shape([(1.95, 1.62), (2.08, 1.6), (1.9, 1.16), (1.78, 1.18)], 13)
    drawing.shape([(2.4, 2.15), (2.46, 2.08), (2.0, 1.85), (1.96, 1.92)], 8)
    drawing.tube(4.09, 2.6, 0.07, 7, inside=0.7)
    drawing.box(4.03, 1.0, 4.15, 3.7, 5)  # exhaust
    # Landing legs, bumper, lamps.
    drawing.box(5.3, 0.25, 5.42, FLOOR_M, 34)
    drawing.box(5.22, 0.22, 5.5, 0.27, 40)
    drawing.box(end - 0.15, 0.5, end - 0.05, FLOOR_M, 24)
    drawing.box(0.0, 0.4, 0.1, 0.8, 12)


def _container(drawing: _Map, container: Container, behind: float) -> None:
    high, end = FLOOR_M + CONTAINER_HEIGHT_M[container.size_type], behind + container.length_m
    drawing.box(behind, FLOOR_M, end, high, 2.4)  # two side walls
    # Corrugation: the flanks stand steeper in the beam.
    period = max(4, round(0.28 * 1000 / MM_PER_PX))
    for column in range(drawing.x(behind), drawing.x(end), period):
        drawing.density[drawing.y(high - 0.1) : drawing.y(FLOOR_M + 0.15), column : column + 2] += 0.8
        half = column + period // 2
        drawing.density[drawing.y(high - 0.1) : drawing.y(FLOOR_M + 0.15), half : half + 2] += 0.8
    # Floor of planks on cross members, roof, rails, corner posts and castings, the door's bars.
    drawing.box(behind, FLOOR_M + 0.13, end, FLOOR_M + 0.16, 85)
    for member in np.arange(behind + 0.15, end - 0.1, 0.3):
        drawing.box(member, FLOOR_M, member + 0.045, FLOOR_M + 0.13, 75)
    drawing.box(behind, FLOOR_M, end, FLOOR_M + 0.16, 6)
    drawing.box(behind, high - 0.03, end, high, 42)
    drawing.box(behind, high - 0.1, end, high, 6)
    for begin in (behind, end - 0.11):
        drawing.box(begin, FLOOR_M, begin + 0.11, high, 14)
        for low in (FLOOR_M, high - 0.12):
            drawing.box(begin - 0.02, low, begin + 0.14, low + 0.12, 75)
    drawing.box(behind + 0.02, FLOOR_M + 0.1, behind + 0.06, high - 0.1, 34)
    drawing.box(end - 0.06, FLOOR_M + 0.1, end - 0.02, high - 0.1, 40)


def _cargo(load: _Map, container: Container, behind: float, random: Random, fill: float) -> None:
    """What is in it, `fill` (0..1) of its height, in its own proportions: the caller settles what all of it weighs."""
    floor, top = FLOOR_M + 0.16, FLOOR_M + CONTAINER_HEIGHT_M[container.size_type] - 0.12
    begin, end = behind + 0.14, behind + container.length_m - 0.15
    kind = random.choice(("pallets", "pallets", "drums", "bulk", "rolls", "machines" if fill < 0.6 else "pallets"))
    if kind == "pallets":
        x = begin
        while x + 1.0 < end:
            high = floor + (top - floor) * min(0.97, max(0.35, fill * random.uniform(0.8, 1.05)))
            load.box(x, floor, x + 1.12, floor + 0.14, 9)
            weight = random.uniform(22, 42)
            layer = random.choice((0.22, 0.3, 0.42))
            y = floor + 0.14
            while y + layer <= high:
                for box in range(3):
                    left = x + box * 0.37
                    load.box(left, y, left + 0.36, y + layer - 0.015, weight * random.uniform(0.9, 1.1))
                y += layer
            x += 1.2
    elif kind == "drums":
        for tier in range(2 if fill > 0.35 else 1):
            low = floor + tier * 0.95
            x = begin + 0.3
            while x + 0.3 < end and low + 0.88 < top:
                load.drum(x, low, 0.29, low + 0.88 * random.uniform(0.86, 1.0), 60)
                load.box(x - 0.29, low + 0.28, x + 0.29, low + 0.31, 6)
                load.box(x - 0.29, low + 0.58, x + 0.29, low + 0.61, 6)
                x += 0.6
    elif kind == "bulk":
        points, x, high = [(begin, floor)], begin, (top - floor - 0.3) * max(0.25, fill)
        while x < end:
            points.append((x, floor + high + 0.18 * np.sin(1.3 * x) + 0.08 * random.random()))
            x += 0.25
        load.shape([*points, (end, floor + high), (end, floor)], 60)
    elif kind == "rolls":
        x = begin + 0.62
        while x + 0.6 < end:
            load.tube(x, floor + 0.6, 0.6, 62, inside=0.12)
            if random.random() < 0.3 + 0.7 * fill and x + 1.22 < end:
                load.tube(x + 0.61, floor + 1.65, 0.48, 58, inside=0.14)
            x += 1.24
    else:
        x = begin + 0.3
        while x + 1.6 < end:
            wide, high = random.uniform(1.0, 1.6), random.uniform(0.9, 1.7)
            load.box(x, floor, x + wide, floor + 0.1, 40)
            load.box(x + 0.1, floor + 0.1, x + wide - 0.1, floor + 0.1 + high * 0.45, 85)
            load.tube(x + wide / 2, floor + 0.1 + high * 0.6, high * 0.22, 70, inside=0.3)
            load.box(x + 0.05, floor, x + 0.11, floor + high, 22)
            load.box(x + wide - 0.11, floor, x + wide - 0.05, floor + high, 22)
            load.box(x, floor + high, x + wide, floor + high + 0.06, 22)
            x += wide + random.uniform(0.2, 0.6)
