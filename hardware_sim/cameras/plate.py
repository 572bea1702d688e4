"""Plates as they look: size, colours and furniture of each issuer, lettered with the one typeface there is.

Sizes: United States and Canada 12 by 6 inches (SAE J686), Mexico 300 by 150 mm (NOM-001-SCT-2-2016), European Union
520 by 110 mm with its blue band (Council Regulation (EC) 2411/98), Mercosul 400 by 130 mm (CONTRAN 969/2022).
"""

from dataclasses import replace
from math import cos, pi, sin

from PIL import Image, ImageChops, ImageDraw, ImageFilter

from hardware_sim.cameras.lettering import fitted
from hardware_sim.world.plates import REGIONS, Colour, Plate, Region

AMERICAN_M, MEXICAN_M, EUROPEAN_M, BRAZILIAN_M = (0.305, 0.152), (0.300, 0.150), (0.520, 0.110), (0.400, 0.130)
# Drawn this much larger than needed and brought down.
_OVER = 3
_FEET = {  # what stands below the number
    "US-TX": "APPORTIONED", "US-IL": "APPORTIONED", "US-NY": "APPORTIONED", "US-CA-IRP": "APPORTIONED",
    "US-AZ": "GRAND CANYON STATE", "US-NM": "LAND OF ENCHANTMENT", "US-FL": "SUNSHINE STATE", "US-GA": "PEACH STATE",
    "US-ME": "VACATIONLAND", "US-MN": "10,000 LAKES", "US-MO": "SHOW-ME STATE", "US-NJ": "GARDEN STATE",
    "US-TN": "VOLUNTEER STATE", "US-UT": "LIFE ELEVATED", "US-WA": "EVERGREEN STATE", "US-MI": "PURE MICHIGAN",
    "US-AR": "NATURAL STATE", "US-NC": "FIRST IN FLIGHT", "US-VT": "GREEN MOUNTAIN STATE", "US-WI": "DAIRYLAND",
    "CA-ON": "YOURS TO DISCOVER", "CA-QC": "JE ME SOUVIENS", "CA-BC": "BEAUTIFUL", "CA-AB": "WILD ROSE COUNTRY",
    "CA-MB": "FRIENDLY", "CA-NS": "OCEAN PLAYGROUND", "CA-SK": "LAND OF LIVING SKIES",
}  # fmt: skip
_GROUNDS: dict[str, Colour] = {"EU-NL": (240, 188, 24)}
_INKS: dict[str, Colour] = {"EU-BE": (150, 22, 34), "EU-AT": (18, 18, 20)}
_EU_BLUE: Colour = (12, 52, 150)
_EU_GOLD: Colour = (250, 206, 0)
_BOTH_BANDS = ("EU-FR", "EU-IT", "EU-PT")
_IR_INK: Colour = (2, 2, 2)
_FLAG_GREEN, _FLAG_RED = (0, 104, 71), (200, 16, 46)
# Brazil before Mercosul: grey, three letters, a hyphen, four digits.
_BR_GREY: Colour = (158, 161, 164)


def plate_size(plate: Plate) -> tuple[float, float]:
    """Width and height in metres."""
    if plate.region.startswith("EU-"):
        return EUROPEAN_M
    if plate.region.startswith("MX-"):
        return MEXICAN_M
    return BRAZILIAN_M if plate.region == "BR" else AMERICAN_M


def draw_plate(plate: Plate, px_per_m: float, *, infrared: bool) -> Image.Image:
    """The plate as RGB; under infrared light its ground shines back and its colours are gone."""
    region = REGIONS[plate.region]
    if infrared:  # retroreflective sheeting of every colour shines, and numbers are printed to stay dark
        region = replace(region, ground=(240, 240, 238), ink=_IR_INK)
    wide, high = plate_size(plate)
    width, height = round(wide * px_per_m * _OVER), round(high * px_per_m * _OVER)
    if plate.region.startswith("EU-"):
        image = _european(plate, region, width, height)
    elif plate.region == "BR":
        image = _brazilian(plate, region, width, height)
    else:
        image = _american(plate, region, width, height)
    size = (round(wide * px_per_m), round(high * px_per_m))
    image = image.resize(size, Image.Resampling.LANCZOS).filter(ImageFilter.GaussianBlur(0.5))
    return _in_infrared(image) if infrared else image


def _in_infrared(image: Image.Image) -> Image.Image:
    """Grey; most pigments are paler under a lamp of 850 nm than by day, so that bands and headings are grey too."""
    red, green, blue = image.split()
    weakest = ImageChops.darker(ImageChops.darker(red, green), blue)
    strongest = ImageChops.lighter(ImageChops.lighter(red, green), blue)
    seen = Image.blend(weakest, strongest, 0.45).point([round(min(228, 34 + v * 0.9)) for v in range(256)])
    return Image.merge("RGB", (seen, seen, seen))


def _blank(width: int, height: int, ground: Colour, rim: Colour) -> tuple[Image.Image, ImageDraw.ImageDraw]:
    image = Image.new("RGB", (width, height), ground)
    draw = ImageDraw.Draw(image)
    line = max(2, height // 40)
    draw.rounded_rectangle((line, line, width - line - 1, height - line - 1), height // 12, outline=rim, width=line)
    return image, draw


def _words(
    image: Image.Image, text: str, middle: tuple[float, float], height: float, width: float, ink: Colour
) -> None:
    """Small print around a middle."""
    mask = fitted(text, max(4, round(height)), width, 0.02, 1.0, 0.06)
    image.paste(ink, (round(middle[0] - mask.width / 2), round(middle[1] - mask.height / 2)), mask)


def _number(image: Image.Image, text: Image.Image, at: tuple[int, int], ground: Colour, ink: Colour) -> None:
    """Embossed: lit from above left, shaded below right."""
    shade = max(1, image.height // 90)
    image.paste((255, 255, 255), at, ImageChops.offset(text, -shade, -shade))
    r, g, b = (max(0, c - 60) for c in ground)
    image.paste((r, g, b), (at[0] + 2 * shade, at[1] + 2 * shade), text)
    image.paste(ink, at, text)


def _american(plate: Plate, region: Region, width: int, height: int) -> Image.Image:
    image, draw = _blank(width, height, region.ground, region.heading_ink)
    mexican = region.code.startswith("MX-")
    if region.code == "US-AZ" and region.ink != _IR_INK:  # a sky behind the number
        _fade(image, (200, 214, 226), region.ground)
    elif region.code in ("US-CO", "US-UT", "US-MT"):  # mountains at the foot
        hills = [(0, height)]
        hills += [(round(width * x), round(height * y)) for x, y in ((0.2, 0.84), (0.4, 0.93), (0.65, 0.83), (1, 0.95))]
        draw.polygon([*hills, (width, height)], fill=(150, 178, 160))
    if region.band is not None:
        draw.rectangle((0, round(height * 0.9), width, height), fill=region.band)
    if mexican:
        for n, stripe in enumerate((_FLAG_GREEN, (250, 250, 250), _FLAG_RED)):
            x = width * (0.045 + 0.028 * n)
            draw.rectangle((x, height * 0.06, x + width * 0.028, height * 0.17), fill=stripe)
        _words(image, "MEXICO", (width * 0.5, height * 0.945), height * 0.07, width * 0.3, (250, 250, 250))
    _words(image, region.heading.removesuffix(" APPORTIONED"), (width / 2, height * 0.13), height * 0.1, width * 0.56,
           region.heading_ink)  # fmt: skip
    foot = _FEET.get(region.code)
    if foot:
        _words(image, foot, (width / 2, height * 0.905), height * 0.065, width * 0.5, region.heading_ink)
    for x in (0.18, 0.82):  # bolts
        cx, cy, r = width * x, height * 0.11, height * 0.028
        draw.ellipse((cx - r, cy - r, cx + r, cy + r), fill=(120, 120, 120))
    if region.code.startswith("US-"):  # the stickers of month and year
        for x, colour in ((0.05, (200, 60, 50)), (0.87, (60, 110, 190))):
            draw.rectangle((width * x, height * 0.04, width * (x + 0.08), height * 0.15), fill=colour)
    text = fitted(plate.painted, round(height * 0.52), width * 0.9, 0.035, 0.86, 0.07)
    _number(image, text, ((width - text.width) // 2, round(height * 0.265)), region.ground, region.ink)
    return image


def _fade(image: Image.Image, top: Colour, bottom: Colour) -> None:
    """The upper half from one colour to the other."""
    half = image.height // 2
    ramp = Image.linear_gradient("L").resize((image.width, half))
    sky = Image.composite(Image.new("RGB", ramp.size, bottom), Image.new("RGB", ramp.size, top), ramp)
    line = max(2, image.height // 40) * 2
    image.paste(sky.crop((line, line, image.width - line, half)), (line, line))


def _european(plate: Plate, region: Region, width: int, height: int) -> Image.Image:
    infrared = region.ink == _IR_INK
    ground = region.ground if infrared else _GROUNDS.get(region.code, (240, 240, 238))
    ink = region.ink if infrared else _INKS.get(region.code, region.ink)
    image, draw = _blank(width, height, ground, ink if region.code == "EU-BE" else (30, 30, 32))
    band = round(width * 0.088)
    edge = max(2, height // 40)
    draw.rectangle((edge, edge, band, height - edge - 1), fill=_EU_BLUE)
    cx, cy, ring, star = band * 0.54, height * 0.32, height * 0.17, height * 0.035
    for n in range(12):
        x, y = cx + ring * sin(n * pi / 6), cy - ring * cos(n * pi / 6)
        draw.regular_polygon((x, y, star), 3, fill=_EU_GOLD)
    _words(image, region.heading, (cx, height * 0.76), height * 0.22, band * 0.8, (250, 250, 250))
    right = width - edge
    if region.code in _BOTH_BANDS:
        draw.rectangle((width - band, edge, right, height - edge - 1), fill=_EU_BLUE)
        right = width - band
    text = fitted(plate.painted, round(height * 0.66), (right - band) * 0.92, 0.035, 0.86, 0.09)
    _number(image, text, (band + (right - band - text.width) // 2, round(height * 0.165)), ground, ink)
    return image


def _brazilian(plate: Plate, region: Region, width: int, height: int) -> Image.Image:
    old = "-" in plate.painted
    ground = _BR_GREY if old and region.ink != _IR_INK else region.ground
    image, draw = _blank(width, height, ground, region.ink)
    if old:
        _words(image, "BR - SAO PAULO", (width / 2, height * 0.14), height * 0.1, width * 0.6, region.ink)
        text = fitted(plate.painted, round(height * 0.56), width * 0.92, 0.04, 0.9, 0.08)
        _number(image, text, ((width - text.width) // 2, round(height * 0.29)), ground, region.ink)
        return image
    edge = max(2, height // 40)
    draw.rectangle((edge, edge, width - edge - 1, round(height * 0.23)), fill=(0, 48, 150))
    _words(image, region.heading, (width / 2, height * 0.12), height * 0.13, width * 0.4, (250, 250, 250))
    draw.rectangle((width * 0.88, height * 0.06, width * 0.96, height * 0.19), fill=(0, 150, 60))
    draw.regular_polygon((width * 0.92, height * 0.125, height * 0.055), 4, fill=(250, 220, 0))
    draw.ellipse((width * 0.06, height * 0.06, width * 0.11, height * 0.19), outline=(250, 250, 250), width=edge)
    text = fitted(plate.painted, round(height * 0.54), width * 0.9, 0.035, 0.9, 0.08)
    _number(image, text, ((width - text.width) // 2, round(height * 0.34)), ground, region.ink)
    return image
