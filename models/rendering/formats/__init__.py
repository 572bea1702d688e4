"""Every series that is drawn, by region; the serials are random in the series' form."""

from models.rendering.formats.america import CANADA, MEXICO
from models.rendering.formats.brazil import BRAZIL
from models.rendering.formats.europe import EUROPE
from models.rendering.formats.us import UNITED_STATES
from models.rendering.series import Series

GROUPS: dict[str, tuple[float, tuple[Series, ...]]] = {
    "us": (0.5, UNITED_STATES),
    "ca": (0.06, CANADA),
    "mx": (0.08, MEXICO),
    "eu": (0.2, EUROPE),
    "br": (0.16, BRAZIL),
}
"""The share of each part of the world in a training set, and its series."""
ALL: tuple[Series, ...] = tuple(series for _, group in GROUPS.values() for series in group)
REGIONS: tuple[str, ...] = tuple(sorted({series.region for series in ALL}))
