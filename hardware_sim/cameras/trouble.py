"""What is wrong with a camera: asked for every frame."""

from dataclasses import dataclass


@dataclass(slots=True)
class CameraTrouble:
    """Frozen: the same picture, byte for byte. Black: nothing to see. `flare`: how strong the glow of a lamp or a low
    sun in the lens is (`light.py` draws it), 0 for none; 1 hides about a third of the picture."""

    frozen: bool = False
    black: bool = False
    flare: float = 0.0
