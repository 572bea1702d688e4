"""How much something that the finder took for a plate is one, what text is its own, and how prominent it is."""

import math

import cv2

from edge_agent.domain.observation import Box
from edge_agent.vision.ctc import LineRead
from edge_agent.vision.plate_outliner import common_area
from edge_agent.vision.text_finder import TextRegion

# Below it nothing is reported. Of 120 US crops set into dashcam photos 113 are read right as the best plate with it; 2
# of those photos show something above that is no known plate. Of 678 reports on 534 dashcam photos one is no plate
# (ADR 0047), but what is hardly legible is reported, too: its confidence says so.
LIKENESS_MIN = 0.5
# A text of letters alone, beside a likelier plate that has a digit, is more often a vehicle's make or a sticker than a
# plate that somebody chose. Of 174 chosen ones in photos, read right, 165 have more; it is asked beside a plate only.
LETTERS_BESIDE_A_PLATE_MIN = 0.6
LENGTH_MIN, LENGTH_MAX = 3, 9
# A line of text is left alone as the text of a plate that was read surely: so much of it stands there, it is so high by
# the plate, and so wide by its own height. Codes on a plate's frame or on a sticker are up to 0.43 as high (ADR 0051).
ON_PLATE, PLATE_TEXT_HEIGHT, PLATE_TEXT_ASPECT = 0.8, 0.5, 2.0
PROMINENT_HEIGHT = 0.5  # exponent of a plate's height by the picture's: twice as high counts 1.4 times
OFF_CENTRE = 0.3  # what a plate at the picture's left or right edge loses against one in the middle


def likeness(region: TextRegion, line: LineRead, share: float) -> float:
    """0..1, from the region's score, the reader's confidence and how common the text's series is (0..1)."""
    if not LENGTH_MIN <= len(line.characters) <= LENGTH_MAX:
        return 0.0
    mean = math.exp(sum(math.log(max(c.confidence, 1e-3)) for c in line.characters) / len(line.characters))
    listed = min(1.0, max(0.5, 1 + 0.1 * math.log(max(share, 1e-6) / 1e-2)))
    return round(region.score * mean * listed, 4)


def is_lettering(text: str, likeness: float, likeliest_with_digit: float) -> bool:
    """Whether what was read is a vehicle's lettering.

    `likeliest_with_digit` is the likeness of the likeliest plate in the same picture whose text has a digit, 0 without
    one.
    """
    apart = not any(c.isdigit() for c in text) and likeness < likeliest_with_digit
    return apart and likeness < LETTERS_BESIDE_A_PLATE_MIN


def is_text_of(line: TextRegion, plate: TextRegion) -> bool:
    """Whether a line of text is the plate's own, rather than something small on or over it."""
    if line.height < PLATE_TEXT_HEIGHT * plate.height or line.width < PLATE_TEXT_ASPECT * line.height:
        return False
    return common_area(line.quad, plate.quad) >= ON_PLATE * cv2.contourArea(line.quad)


def prominence(box: Box, height: int, width: int) -> float:
    """How far a plate stands out in a picture of that size: large before small, middle before edge."""
    aside = abs((box.x + box.w / 2) / width - 0.5) * 2
    return float((box.h / height) ** PROMINENT_HEIGHT * (1 - OFF_CENTRE * aside))
