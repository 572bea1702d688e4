"""The rear of a truck, drawn once a truck: the last container's doors with code and seal, the chassis' end."""

from dataclasses import dataclass
from random import Random

from PIL import Image, ImageDraw

from hardware_sim.cameras.face import Face, Place
from hardware_sim.cameras.front import shade, weathered
from hardware_sim.cameras.lettering import fitted, lettering
from hardware_sim.cameras.plate import draw_plate, plate_size
from hardware_sim.cameras.side import ink_on
from hardware_sim.cameras.weather import wet
from hardware_sim.world.outline import CONTAINER_HEIGHT_M, FLOOR_M
from hardware_sim.world.plates import Colour
from hardware_sim.world.truck import Container, Seal, Truck

WIDTH_M = 2.44
TAIL_TOP_M = FLOOR_M
LAMP_M = 0.88  # rear lamps above the road
PLATE_HEIGHT_M = 0.70  # middle of the plate above the road
PX_PER_M = 400
# ISO 6346, 5.1: letters of the code are at least 100 mm high.
_LETTER_M = 0.11
# Where the seal hangs, from the doors' upper left corner and above the container's floor.
SEAL_RIGHT_M, SEAL_UP_M = 1.52, 1.12
_STEEL: Colour = (148, 150, 152)


@dataclass(frozen=True, slots=True)
class Rear:
    """The doors, and the chassis' end from the road up to TAIL_TOP_M; both WIDTH_M wide."""

    doors: Face
    tail: Face


def doors_top_m(truck: Truck) -> float:
    """Above the road."""
    return FLOOR_M + CONTAINER_HEIGHT_M[truck.containers[-1].size_type]


def draw_rear(truck: Truck) -> Rear:
    """As the rear camera sees it: by day, or under its infrared lamp by night."""
    return Rear(_doors(truck, truck.containers[-1]), _tail(truck))


def _doors(truck: Truck, container: Container) -> Face:
    px, high_m = PX_PER_M, CONTAINER_HEIGHT_M[container.size_type]
    random = Random(f"rear/{container.code}")
    paint = container.paint
    image = Image.new("RGB", (round(WIDTH_M * px), round(high_m * px)), shade(paint, 0.8))
    draw = ImageDraw.Draw(image)

    def box(x0: float, y0: float, x1: float, y1: float) -> tuple[int, int, int, int]:
        return round(x0 * px), round(y0 * px), round(x1 * px), round(y1 * px)

    frame, half = 0.09, WIDTH_M / 2
    for begin, end in ((frame, half - 0.01), (half + 0.01, WIDTH_M - frame)):
        draw.rectangle(box(begin, frame, end, high_m - frame), fill=shade(paint, 0.97))
        for n in range(4):  # the pressed panels of a door leaf
            y = frame + 0.08 + n * (high_m - 2 * frame) / 4
            below = y + (high_m - 2 * frame) / 4 - 0.14
            draw.rectangle(box(begin + 0.06, y, end - 0.06, below), fill=paint)
            draw.line(box(begin + 0.06, below, end - 0.06, below), fill=shade(paint, 0.8), width=3)
            draw.line(box(begin + 0.06, y, end - 0.06, y), fill=shade(paint, 1.12), width=3)
    draw.rectangle(box(half - 0.012, frame, half + 0.012, high_m - frame), fill=(24, 24, 25))  # rubber
    letters = round(_LETTER_M * px)
    ink, right = ink_on(paint), WIDTH_M - frame - 0.10
    code = container.code
    parts = [lettering(t, letters, 0.03, 0.86, 0.06) for t in (code[:4], code[4:10], code[10])]
    space = round(letters * 0.5)
    total = sum(p.width for p in parts) + 2 * space
    x = left = round(right * px) - total
    y = round(0.30 * px)
    for part in parts:
        image.paste(ink, (x, y), part)
        x += part.width + space
    edge = letters // 5
    draw.rectangle(
        (x - space - parts[2].width - edge, y - edge // 2, x - space + edge, y + parts[2].height), outline=ink, width=3
    )
    size = lettering(container.size_type, letters, 0.03, 0.86, 0.06)
    image.paste(ink, (left, y + round(letters * 1.6)), size)
    _weights(image, random, round((half + 0.35) * px), y + round(letters * 3.6), ink)
    bars = (0.36, 0.86, half + 0.30, half + 0.86)
    for bar in bars:  # locking bars with their cams and brackets; the code stands between and beside them
        lower = high_m - 0.07
        top = 0.07 if bar < half else 0.62
        draw.rectangle(box(bar - 0.016, top, bar + 0.016, lower), fill=_STEEL)
        draw.rectangle(box(bar - 0.016, top, bar - 0.006, lower), fill=(196, 198, 200))
        for at in (0.12, 0.5, 0.88):
            y_m = max(top + 0.05, high_m * at)
            draw.rectangle(box(bar - 0.05, y_m - 0.04, bar + 0.05, y_m + 0.04), fill=shade(paint, 0.66))
    up = high_m - SEAL_UP_M
    for bar in bars:  # handles, folded towards the middle
        toward = 0.34 if bar < half else -0.26
        x0, x1 = sorted((bar, bar + toward))
        draw.rounded_rectangle(box(x0, up - 0.02, x1, up + 0.02), 6, fill=(118, 120, 122))
    for _ in range(16):
        rx, ry = random.uniform(0.1, 2.3), random.uniform(high_m * 0.4, high_m - 0.3)
        draw.line(box(rx, ry, rx + random.uniform(-0.01, 0.01), ry + random.uniform(0.05, 0.3)),
                  fill=shade(paint, 0.72), width=random.randint(1, 3))  # fmt: skip
    if container.seal is not None:
        _seal(image, container.seal, SEAL_RIGHT_M * px, up * px)
    codes: Place = (left / px - 0.12, 0.2, WIDTH_M - 0.02, 0.72)
    seal: Place = (SEAL_RIGHT_M - 0.12, up - 0.10, SEAL_RIGHT_M + 0.12, up + 0.24)
    return Face.of(_for(truck, image), px, [codes, seal])


def _weights(image: Image.Image, random: Random, x: int, y: int, ink: Colour) -> None:
    """The masses that every container has on its door, in print too small to be read from here."""
    tare = random.randrange(2200, 4900, 10)
    for line in ("MAX GROSS  30480 KG", f"TARE  {tare} KG", f"PAYLOAD  {30480 - tare} KG", "CUBE  33.2 CU M"):
        mask = fitted(line, round(0.045 * PX_PER_M), 0.46 * PX_PER_M, 0.02, 0.9, 0.04)
        image.paste(ink, (x, y), mask)
        y += round(0.085 * PX_PER_M)


def _seal(image: Image.Image, seal: Seal, x: float, y: float) -> None:
    """A bolt seal through the hasp: head, pin, and the barrel with its number; a cut one has lost the barrel."""
    px, draw = PX_PER_M, ImageDraw.Draw(image)
    draw.rectangle((x - 0.035 * px, y - 0.05 * px, x + 0.035 * px, y + 0.05 * px), fill=(104, 106, 108))
    draw.rectangle((x - 0.008 * px, y - 0.07 * px, x + 0.008 * px, y + 0.09 * px), fill=(206, 208, 210))
    draw.ellipse((x - 0.02 * px, y - 0.085 * px, x + 0.02 * px, y - 0.045 * px), fill=(226, 228, 230))
    if seal.opened:
        draw.line((x, y + 0.09 * px, x + 0.02 * px, y + 0.11 * px), fill=(236, 238, 240), width=3)
        return
    draw.rounded_rectangle((x - 0.026 * px, y + 0.06 * px, x + 0.026 * px, y + 0.19 * px), 6, fill=(246, 208, 28))
    number = fitted(seal.number, max(4, round(0.020 * px)), 0.11 * px, 0.03, 0.9, 0.04).rotate(90, expand=True)
    image.paste((20, 20, 22), (round(x - number.width / 2), round(y + 0.07 * px)), number)


def _tail(truck: Truck) -> Face:
    """Bumper bar with tape, lamps and the trailer's plate; mud flaps and wheels in the dark below."""
    px = PX_PER_M
    width, height = round(WIDTH_M * px), round(TAIL_TOP_M * px)
    image = Image.new("RGB", (width, height), (22, 22, 23))
    draw = ImageDraw.Draw(image)

    def box(x0: float, low: float, x1: float, high: float) -> tuple[int, int, int, int]:
        return round(x0 * px), round(height - high * px), round(x1 * px), round(height - low * px)

    for x in (0.08, WIDTH_M - 0.66):
        draw.rectangle(box(x, 0.0, x + 0.58, 0.62), fill=(15, 15, 16))  # double tyres
        draw.rectangle(box(x, 0.14, x + 0.58, 0.66), fill=(34, 34, 36))  # mud flaps
    draw.rectangle(box(0, 0.98, WIDTH_M, TAIL_TOP_M), fill=(70, 71, 74))  # the bolster under the container
    draw.rectangle(box(0.0, 0.78, WIDTH_M, 0.98), fill=(52, 53, 56))
    for x in (0.08, WIDTH_M - 0.36):
        draw.rounded_rectangle(box(x, LAMP_M - 0.07, x + 0.28, LAMP_M + 0.07), 8, fill=(150, 20, 24))
        draw.ellipse(box(x + 0.02, LAMP_M - 0.05, x + 0.12, LAMP_M + 0.05), fill=(212, 44, 44))
    draw.rectangle(box(0.25, 0.44, WIDTH_M - 0.25, 0.54), fill=(120, 122, 124))  # the underride guard
    for n in range(9):  # reflecting tape
        x = 0.27 + n * 0.211
        draw.rectangle(box(x, 0.455, x + 0.2, 0.525), fill=(186, 30, 36) if n % 2 else (232, 232, 230))
    for x in (0.7, WIDTH_M - 0.76):
        draw.rectangle(box(x, 0.5, x + 0.06, 0.8), fill=(80, 81, 84))
    details: list[Place] = []
    plate = truck.trailer_plate
    if plate is not None:
        wide, high = plate_size(plate)
        middle, down = 0.92, TAIL_TOP_M - PLATE_HEIGHT_M
        holder = (
            middle - wide / 2 - 0.015,
            down - high / 2 - 0.015,
            middle + wide / 2 + 0.015,
            down + high / 2 + 0.015,
        )
        draw.rectangle([round(m * px) for m in holder], fill=(30, 30, 32))
    image = weathered(image, truck)
    if plate is not None:
        drawn = draw_plate(plate, px, infrared=truck.night)
        image.paste(
            wet(drawn) if truck.rain else drawn, (round((middle - wide / 2) * px), round((down - high / 2) * px))
        )
        details.append((holder[0] - 0.06, holder[1] - 0.06, holder[2] + 0.06, holder[3] + 0.06))
    return Face.of(image, px, details)


def _for(truck: Truck, image: Image.Image) -> Image.Image:
    """The doors by night stand nearer to the lamp's axis than the front does, and are lighter."""
    if truck.night:
        lit = image.convert("L").point([round(v * 0.8) for v in range(256)])
        image = Image.merge("RGB", (lit, lit, lit))
    return wet(image) if truck.rain else image
