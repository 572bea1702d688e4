"""Plates, container codes and other lettering, drawn with the scalable font inside Pillow: no font file is needed."""

from functools import cache

from PIL import Image, ImageChops, ImageDraw, ImageFilter, ImageFont

from hardware_sim.world.plates import REGIONS, Plate

# North American plates: 12 by 6 inches, near enough to the Mexican 300 by 150 mm.
PLATE_M = (0.305, 0.152)
# Drawn this much larger than needed and brought down, so that edges are as soft as a lens makes them.
_OVER = 4


@cache
def _font(size: int) -> ImageFont.FreeTypeFont:
    font = ImageFont.load_default(size)
    if not isinstance(font, ImageFont.FreeTypeFont):
        raise RuntimeError("this Pillow was built without FreeType: install a wheel of Pillow from the package index")
    return font


def lettering(text: str, height: int, stroke: float = 0.0, squeeze: float = 1.0, gap: float = 0.0) -> Image.Image:
    """`text` as a mask (L), its capitals `height` pixels tall; `stroke` thickens and `gap` parts the letters, both as
    shares of the height; `squeeze` < 1 condenses."""
    big = height * _OVER
    font = _font(round(big / 0.70))  # the font's capitals are 0.70 of its size
    thick = round(stroke * big)
    advance = [font.getlength(c) + gap * big + thick for c in text]
    mask = Image.new("L", (round(sum(advance)) + 4 * thick + 8, round(big * 1.06) + 2 * thick), 0)
    draw, x = ImageDraw.Draw(mask), 4.0 + thick
    for character, width in zip(text, advance, strict=True):
        draw.text((x, big * 1.03 + thick), character, font=font, fill=255, anchor="ls", stroke_width=thick)
        x += width
    box = mask.getbbox() or (0, 0, 1, 1)
    mask = mask.crop((box[0], 0, box[2], mask.height))
    size = (max(1, round(mask.width * squeeze / _OVER)), max(1, round(mask.height / _OVER)))
    return mask.resize(size, Image.Resampling.LANCZOS)


def draw_plate(plate: Plate, px_per_m: float, *, infrared: bool) -> Image.Image:
    """The plate as RGB; under infrared light its ground shines back and its colours are gone."""
    region = REGIONS[plate.region]
    scale = px_per_m * 3
    width, height = round(PLATE_M[0] * scale), round(PLATE_M[1] * scale)
    ground = (226, 226, 226) if infrared else region.ground
    ink = (36, 36, 36) if infrared else region.ink
    minor = (70, 70, 70) if infrared else region.heading_ink
    image = Image.new("RGB", (width, height), ground)
    draw = ImageDraw.Draw(image)
    if region.band is not None:
        band = (150, 150, 150) if infrared else region.band
        draw.rectangle((0, round(height * 0.9), width, height), fill=band)
    frame = max(2, height // 40)
    draw.rounded_rectangle(
        (frame, frame, width - frame - 1, height - frame - 1), height // 12, outline=minor, width=frame
    )
    heading = lettering(region.heading, round(height * 0.10), stroke=0.02, gap=0.06)
    if heading.width > width * 0.7:
        heading = heading.resize((round(width * 0.7), heading.height))
    image.paste(minor, ((width - heading.width) // 2, round(height * 0.075)), heading)
    for x in (0.14, 0.86):
        cx, cy, r = width * x, height * 0.11, height * 0.028
        draw.ellipse((cx - r, cy - r, cx + r, cy + r), fill=(120, 120, 120))
    text = lettering(plate.painted, round(height * 0.52), stroke=0.035, squeeze=0.86, gap=0.07)
    if text.width > width * 0.9:
        text = text.resize((round(width * 0.9), text.height), Image.Resampling.LANCZOS)
    at = ((width - text.width) // 2, round(height * 0.27))
    shade = max(1, height // 90)
    raised = ImageChops.offset(text, -shade, -shade)  # embossed: lit from above left, shaded below right
    image.paste((255, 255, 255), at, raised)
    image.paste(tuple(max(0, c - 60) for c in ground), (at[0] + 2 * shade, at[1] + 2 * shade), text)
    image.paste(ink, at, text)
    size = (round(PLATE_M[0] * px_per_m), round(PLATE_M[1] * px_per_m))
    return image.resize(size, Image.Resampling.LANCZOS).filter(ImageFilter.GaussianBlur(0.5))
