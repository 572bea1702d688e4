"""The right-hand side of a truck, drawn once a truck: tractor, chassis, corrugated container with its code."""

from dataclasses import dataclass
from random import Random

from PIL import Image, ImageChops, ImageDraw, ImageFilter

from hardware_sim.cameras.front import shade
from hardware_sim.cameras.lettering import lettering
from hardware_sim.cameras.weather import wet
from hardware_sim.world.outline import CONTAINER_HEIGHT_M, FLOOR_M, axles_of
from hardware_sim.world.plates import Colour
from hardware_sim.world.truck import Container, Truck

PX_PER_M = 170
HEIGHT_M = 4.3
_CORRUGATION_M = 0.28
_LETTER_M = 0.19


@dataclass(frozen=True, slots=True)
class Side:
    """`image` RGB with `mask` L, as long as the truck, its front at the right edge, its lower edge on the road."""

    image: Image.Image
    mask: Image.Image


def draw_side(truck: Truck) -> Side:
    """The truck as the container camera sees it; driving to the right."""
    px = PX_PER_M
    width, height = round(truck.length_m * px), round(HEIGHT_M * px)
    image, mask = Image.new("RGB", (width, height)), Image.new("L", (width, height), 0)
    draw, draw_mask = ImageDraw.Draw(image), ImageDraw.Draw(mask)

    def box(back: float, low: float, front: float, high: float) -> tuple[int, int, int, int]:
        """Metres behind the truck's front and above the road, to pixels."""
        return (
            round(width - back * px),
            round(height - high * px),
            round(width - front * px),
            round(height - low * px),
        )

    def solid(place: tuple[int, int, int, int], colour: tuple[int, int, int], radius: int = 0) -> None:
        draw.rounded_rectangle(place, radius, fill=colour)
        draw_mask.rounded_rectangle(place, radius, fill=255)

    paint = truck.paint
    end = truck.container_from_m + truck.container_m
    # Chassis and wheels.
    solid(box(truck.length_m - 0.1, 0.85, 0.9, 1.15), (44, 45, 48))
    for axle in axles_of(truck):
        cx, cy = width - axle * px, height - 0.5 * px
        for radius, colour in ((0.5, (20, 20, 21)), (0.3, (122, 124, 128)), (0.12, (60, 61, 64))):
            r = radius * px
            draw.ellipse((cx - r, cy - r, cx + r, cy + r), fill=colour)
            draw_mask.ellipse((cx - r, cy - r, cx + r, cy + r), fill=255)
    # Cab: bonnet, door, window, sleeper.
    solid(box(1.5, 0.75, 0.0, 1.95), shade(paint, 0.95), 20)
    solid(box(4.0, 0.75, 1.4, 3.3), paint, 24)
    draw.polygon(
        [box(2.5, 0, 1.55, 2.1)[i] for i in (0, 1, 2, 1)] + [box(2.5, 0, 1.8, 2.95)[i] for i in (2, 1, 0, 1)],
        fill=(52, 64, 76),
    )
    draw.rectangle(box(2.62, 0.8, 2.60, 3.2), fill=shade(paint, 0.55))
    draw.rectangle(box(1.5, 0.8, 1.48, 2.1), fill=shade(paint, 0.55))
    # Fuel tank and exhaust.
    solid(box(3.0, 0.45, 1.7, 0.95), (168, 170, 173), 24)
    solid(box(4.15, 1.0, 4.03, 3.7), (150, 152, 156), 8)

    for container, behind in truck.placed:
        wall = _container_wall(container)
        high = FLOOR_M + CONTAINER_HEIGHT_M[container.size_type]
        place = box(behind + container.length_m, FLOOR_M, behind, high)
        image.paste(wall, place[:2])
        draw_mask.rectangle((place[0], place[1], place[0] + wall.width - 1, place[1] + wall.height - 1), fill=255)
    for behind in (2.2, end - 4.0, end - 2.6):  # side markers
        draw.rectangle(box(behind + 0.07, 0.98, behind, 1.03), fill=(236, 150, 30))
    solid(box(end - 0.05, 0.15, end - 0.45, 0.62), (32, 32, 33))  # mud flap
    if truck.container_m > 10:  # landing legs
        solid(box(6.9, 0.3, 6.75, 0.9), (74, 75, 78))
        solid(box(7.0, 0.26, 6.65, 0.32), (74, 75, 78))
    draw.rectangle(box(2.0, 1.72, 1.82, 1.76), fill=(30, 31, 33))  # the door's handle
    solid(box(1.46, 2.2, 1.36, 2.75), (28, 29, 31), 6)  # mirror
    return Side(wet(image) if truck.rain else image, mask)


def ink_on(paint: Colour) -> Colour:
    """Light lettering on dark paint and dark on light, as owners do."""
    return (238, 238, 232) if sum(paint) < 480 else (20, 22, 26)


def _container_wall(container: Container) -> Image.Image:
    px = PX_PER_M
    random = Random(f"side/{container.code}")
    colour = container.paint
    width, height = round(container.length_m * px), round(CONTAINER_HEIGHT_M[container.size_type] * px)
    wall = Image.new("RGB", (width, height), colour)
    code = container.code
    ink = ink_on(colour)
    letters = round(_LETTER_M * px)
    parts = [lettering(t, letters, stroke=0.03, squeeze=0.92, gap=0.10) for t in (code[:4], code[4:10], code[10])]
    space = round(letters * 0.65)
    total = sum(p.width for p in parts) + 2 * space + letters // 2
    x, y = width - total - round(0.28 * px), round(0.34 * px)
    left = x
    for part in parts[:2]:
        wall.paste(ink, (x, y), part)
        x += part.width + space
    wall.paste(ink, (x, y), parts[2])
    margin, line = letters // 4, max(2, letters // 12)
    ImageDraw.Draw(wall).rectangle(
        (x - margin, y - margin // 2, x + parts[2].width + margin, y + parts[2].height + margin // 2),
        outline=ink,
        width=line,
    )
    size = lettering(container.size_type, letters, stroke=0.03, squeeze=0.92, gap=0.10)
    wall.paste(ink, (left + total - size.width - letters // 4, y + round(letters * 1.7)), size)
    # Rust and dirt, then the light on the corrugation over everything, lettering too.
    draw = ImageDraw.Draw(wall)
    for _ in range(14):
        rx, ry = random.randrange(width), random.randrange(height // 2, height)
        draw.line(
            (rx, ry, rx + random.randint(-2, 2), ry + random.randint(10, 60)),
            fill=shade(colour, 0.7),
            width=random.randint(1, 3),
        )
    wall = ImageChops.multiply(wall, _corrugation(width, height)).filter(ImageFilter.GaussianBlur(0.6))
    draw = ImageDraw.Draw(wall)
    rail = round(0.11 * px)
    for y0 in (0, height - rail):
        draw.rectangle((0, y0, width, y0 + rail), fill=shade(colour, 0.82))
    for x0 in (0, width - rail):
        draw.rectangle((x0, 0, x0 + rail, height), fill=shade(colour, 0.88))
    casting_w, casting_h = round(0.178 * px), round(0.118 * px)  # corner castings (ISO 1161)
    for x0 in (0, width - casting_w):
        for y0 in (0, height - casting_h):
            draw.rectangle((x0, y0, x0 + casting_w - 1, y0 + casting_h - 1), fill=shade(colour, 0.7))
            mx, my = x0 + casting_w // 2, y0 + casting_h // 2
            draw.ellipse((mx - 6, my - 4, mx + 6, my + 4), fill=(24, 24, 25))
    return wall


def _corrugation(width: int, height: int) -> Image.Image:
    """Light on the folds: bright flanks, darker grooves."""
    period = _CORRUGATION_M * PX_PER_M
    row = bytearray()
    for x in range(width):
        phase = (x % period) / period
        row.append(255 if phase < 0.36 else 224 if phase < 0.5 else 206 if phase < 0.86 else 238)
    line = Image.frombytes("L", (width, 1), bytes(row)).resize((width, height))
    return Image.merge("RGB", (line, line, line))
