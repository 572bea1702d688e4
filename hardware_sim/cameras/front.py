"""The front of a truck, drawn once a truck: grille, headlights, bumper, plate."""

from dataclasses import dataclass
from math import radians
from random import Random

from PIL import Image, ImageDraw

from hardware_sim.cameras.face import Face, Place
from hardware_sim.cameras.plate import draw_plate, plate_size
from hardware_sim.cameras.weather import wet
from hardware_sim.world.plates import Colour
from hardware_sim.world.truck import Truck

WIDTH_M, HEIGHT_M = 2.5, 2.0
LAMPS_M = (0.92, 1.0)  # headlights: from the middle, above the road
PX_PER_M = 640
PLATE_HEIGHT_M = 0.56  # middle of the plate above the road


@dataclass(frozen=True, slots=True)
class Front:
    """WIDTH_M by HEIGHT_M, its lower edge on the road; `turned` is by how much it hangs aslant, in radians."""

    face: Face
    turned: float


def shade(colour: Colour, factor: float) -> Colour:
    """`colour` made darker or lighter."""
    r, g, b = (max(0, min(255, round(c * factor))) for c in colour)
    return (r, g, b)


def draw_front(truck: Truck) -> Front:
    """The front as the plate camera sees it, by day or under its infrared lamp by night."""
    px = PX_PER_M
    width, height = round(WIDTH_M * px), round(HEIGHT_M * px)
    random = Random(f"front/{truck.container_code}")
    image = Image.new("RGB", (width, height), shade(truck.paint, 0.96))
    draw = ImageDraw.Draw(image)

    def box(x0: float, y0: float, x1: float, y1: float) -> tuple[int, int, int, int]:
        """Metres from the middle and above the road, to pixels."""
        return (
            round(width / 2 + x0 * px),
            round(height - y1 * px),
            round(width / 2 + x1 * px),
            round(height - y0 * px),
        )

    # Bonnet: lighter to the top, an edge where it meets the wings.
    for step in range(20):
        y = 1.2 + step * 0.04
        draw.rectangle(box(-0.86, y, 0.86, y + 0.04), fill=shade(truck.paint, 1.0 + step * 0.012))
    draw.rectangle(box(-0.87, 0.78, -0.85, 2.0), fill=shade(truck.paint, 0.5))
    draw.rectangle(box(0.85, 0.78, 0.87, 2.0), fill=shade(truck.paint, 0.5))
    # Grille: chrome surround, dark bars.
    draw.rounded_rectangle(box(-0.58, 0.86, 0.58, 1.78), 30, fill=(186, 188, 190))
    draw.rounded_rectangle(box(-0.53, 0.91, 0.53, 1.73), 22, fill=(30, 31, 33))
    bars = random.choice((7, 9, 11))
    for bar in range(bars):
        y = 0.94 + bar * 0.78 / bars
        draw.rectangle(box(-0.52, y, 0.52, y + 0.3 / bars), fill=(112, 114, 117))
    # Headlights.
    for side in (-1, 1):
        x0, x1 = sorted((side * 0.70, side * 1.14))
        draw.rounded_rectangle(box(x0, 0.86, x1, 1.14), 24, fill=(70, 72, 75))
        draw.rounded_rectangle(box(x0 + 0.03, 0.89, x1 - 0.03, 1.11), 20, fill=(206, 212, 216))
        draw.ellipse(box(side * 0.92 - 0.09, 0.91, side * 0.92 + 0.09, 1.09), fill=(240, 244, 246))
        x0, x1 = sorted((side * 1.16, side * 1.22))
        draw.rectangle(box(x0, 0.9, x1, 1.08), fill=(216, 130, 30))
    # Bumper, with the place for the plate; below it, the shadow under the truck.
    draw.rectangle(box(-1.25, 0.0, 1.25, 0.34), fill=(26, 26, 27))
    bumper = (176, 178, 181) if random.random() < 0.6 else shade(truck.paint, 0.75)
    draw.rounded_rectangle(box(-1.24, 0.32, 1.24, 0.80), 26, fill=bumper)
    draw.rectangle(box(-1.22, 0.70, 1.22, 0.73), fill=shade(bumper, 1.18))
    draw.rectangle(box(-1.22, 0.34, 1.22, 0.40), fill=shade(bumper, 0.7))
    for x in (-0.8, 0.8):
        draw.ellipse(box(x - 0.07, 0.47, x + 0.07, 0.61), fill=(40, 41, 44))
    for side in (-1, 1):
        x0, x1 = sorted((side * 0.78, side * 1.16))
        draw.rectangle(box(x0, 0.0, x1, 0.30), fill=(14, 14, 15))
    details: list[Place] = []
    if truck.plate is not None:
        wide, high = plate_size(truck.plate)
        middle, down = WIDTH_M / 2, HEIGHT_M - PLATE_HEIGHT_M
        holder = (middle - wide / 2 - 0.02, down - high / 2 - 0.02, middle + wide / 2 + 0.02, down + high / 2 + 0.02)
        draw.rectangle([round(m * px) for m in holder], fill=(34, 34, 36))
    image = weathered(image, truck)
    if truck.plate is not None:
        plate = draw_plate(truck.plate, px, infrared=truck.night)
        image.paste(
            wet(plate) if truck.rain else plate, (round((middle - wide / 2) * px), round((down - high / 2) * px))
        )
        details.append((holder[0] - 0.06, holder[1] - 0.06, holder[2] + 0.06, holder[3] + 0.06))
    # The plate is never mounted quite level.
    return Front(Face.of(image, px, details), radians(random.uniform(-1.2, 1.2)))


def weathered(image: Image.Image, truck: Truck) -> Image.Image:
    """As an infrared camera sees it by night, and dull in the rain."""
    if truck.night:
        dark = image.convert("L").point([round(v * 0.30) for v in range(256)])
        image = Image.merge("RGB", (dark, dark, dark))
    return wet(image) if truck.rain else image
