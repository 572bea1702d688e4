"""Lines of text at stated places, without a model."""

import numpy as np

from edge_agent.domain.observation import CharacterRead
from edge_agent.vision.ctc import LineRead
from edge_agent.vision.lines import TextLine
from edge_agent.vision.text_finder import Quad


def quad(x: float, y: float, w: float, h: float) -> Quad:
    return np.array([[x, y], [x + w, y], [x + w, y + h], [x, y + h]], dtype=np.float32)


def line(text: str, x: float, y: float, h: float = 30.0, w: float | None = None, confidence: float = 0.99) -> TextLine:
    """A line of `text` with its top left corner at (x, y); characters are 0.6 of the height apart."""
    width = w if w is not None else 0.6 * h * len(text)
    characters = tuple(CharacterRead(c, confidence) for c in text)
    places = tuple((i + 0.5) / len(text) for i in range(len(text)))
    return TextLine(quad(x, y, width, h), LineRead(characters, places))
