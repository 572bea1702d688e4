"""Where along a lane its devices stand, as its settings say it."""

from collections.abc import Iterator
from typing import Annotated, Any, Literal

from pydantic import BaseModel, Field

from edge_agent.inspection.whereabouts import End, Place
from edge_agent.settings_file import Mistake
from edge_agent.settings_file import Place as Setting

Metres = Annotated[float, Field(ge=-500, le=500)]


class PlaceSettings(BaseModel):
    """Of a device or camera: metres along the lane from any one point of it, the way it is driven."""

    # Where it stands; of a camera, where on the road it looks.
    position_m: Metres | None = None
    # How far it reaches from there, both ways.
    reach_m: float = Field(default=1.0, gt=0, le=100)
    # How long it stays occupied after its vehicle has left it: a portal's hold-in, as it is set up at the portal.
    holds_s: float = Field(default=0.0, ge=0, le=60)
    # Which part of a vehicle it looks at: it makes a plate the tractor's or the trailer's. Left out: the front for a
    # camera whose role is plate and that has a position, else any.
    sees: Literal["front", "rear", "any"] | None = None


def place_of(settings: PlaceSettings, role: str = "") -> Place | None:
    """The place; None if the settings do not state it."""
    if settings.position_m is None:
        return None
    return Place(settings.position_m, settings.reach_m, end_of(settings, role), settings.holds_s)


def end_of(settings: PlaceSettings, role: str = "") -> End:
    """Which end of a vehicle it looks at. Without a position a camera of plates may look at either."""
    if settings.sees:
        return End(settings.sees)
    return End.FRONT if role == "plate" and settings.position_m is not None else End.ANY


def place_mistakes(items: list[tuple[Setting, dict[str, Any]]]) -> Iterator[Mistake]:
    """Of a lane whose devices and cameras are `items`: all of them have a position, or none."""
    if any(item.get("position_m") is not None for _, item in items):
        for at, item in items:
            if item.get("position_m") is None:
                wrong = "others of this lane have a position, and this one has none"
                yield Mistake(at, wrong, "say where it stands: position_m, metres along the lane; or take all out")
