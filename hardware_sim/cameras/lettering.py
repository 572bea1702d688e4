"""Lettering, drawn with the scalable font inside Pillow: no font file is needed."""

from functools import cache

from PIL import Image, ImageDraw, ImageFont

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


def fitted(text: str, height: int, width: float, stroke: float, squeeze: float, gap: float) -> Image.Image:
    """`lettering`, condensed further if it would be wider than `width`."""
    mask = lettering(text, height, stroke, squeeze, gap)
    if mask.width <= width:
        return mask
    return mask.resize((max(1, round(width)), mask.height), Image.Resampling.LANCZOS)
