"""What is wrong with a camera: asked for every frame."""

from dataclasses import dataclass

from PIL import Image, ImageChops, ImageOps

# Where the lamp stands in the picture, and how far its glow reaches, in shares of the picture's width and height.
_LAMP = (0.68, 0.22)
_REACH = 0.52


@dataclass(slots=True)
class CameraTrouble:
    """Frozen: the same picture, byte for byte. Black: nothing to see. `flare`: how strong the glow of a lamp or a low
    sun in the lens is, 0 for none; 1 hides about a quarter of the picture."""

    frozen: bool = False
    black: bool = False
    flare: float = 0.0


def flared(image: Image.Image, strength: float) -> Image.Image:
    """The picture with a glow around a lamp: light adds up, and whatever is behind it is white."""
    width, height = image.size
    reach = round(width * _REACH * strength**0.5)
    glow = (
        ImageOps.invert(Image.radial_gradient("L"))
        .point(lambda v: int(255 * min(1.0, max(0, v - 75) / 140) ** 2))
        .resize((2 * reach, 2 * reach))
    )
    light = Image.new("L", image.size, 0)
    light.paste(glow, (round(width * _LAMP[0]) - reach, round(height * _LAMP[1]) - reach))
    return ImageChops.screen(image, Image.merge(image.mode, [light] * len(image.getbands())))
