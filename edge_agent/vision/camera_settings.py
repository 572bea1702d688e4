"""What a settings file says of a camera."""

import re
from typing import Annotated, Literal
from urllib.parse import urlsplit

from pydantic import BaseModel, ConfigDict, Field, field_validator

Share = Annotated[float, Field(ge=0, le=1)]
# An address with a slash too few would count as a path, and its password would be shown.
_NEARLY_AN_ADDRESS = re.compile(r"(rtsps?|https?):(?!//)", re.IGNORECASE)
_VIDEO_DEVICE = re.compile(r"\d{1,2}|/dev/video\d+")


class Region(BaseModel):
    """The part of the picture to look at, as shares of its width and height."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    x: Share = 0.0
    y: Share = 0.0
    w: Share = 1.0
    h: Share = 1.0


class CameraSettings(BaseModel):
    """One camera. `source` is an RTSP or HTTP address, a USB device (0, /dev/video0) or the path of a video file."""

    # An address may hold a password: no error and no log shows what was given (`shown` is for people).
    model_config = ConfigDict(extra="forbid", frozen=True, hide_input_in_errors=True)

    source: str = Field(min_length=1, max_length=2048, repr=False)
    role: Literal["plate", "container", "both"] = "both"
    fps_max: float | None = Field(default=None, gt=0, le=240)
    playback_fps: float | None = Field(default=None, gt=0, le=1000)  # of a file; its own rate if absent
    hardware_decode: bool = True  # where FFmpeg and the machine offer it; in software otherwise
    loop: bool = False  # a file begins again at its end
    region: Region = Region()
    blur_faces: bool = True  # in every picture that is kept or sent
    looks_per_s: float = Field(default=4.0, gt=0, le=60)
    open_timeout_s: float = Field(default=10.0, gt=0, le=120)
    silent_after_s: float = Field(default=5.0, gt=0, le=600)  # a live stream without a frame for so long has stopped
    frozen_after_s: float | None = Field(default=30.0, gt=0)  # no camera's noise repeats to the last bit
    dark_after_s: float = Field(default=10.0, gt=0)  # black or covered for so long
    retry_max_s: float = Field(default=30.0, gt=0, le=600)  # longest pause between two tries to connect

    @field_validator("source")
    @classmethod
    def _whole_address(cls, source: str) -> str:
        if _NEARLY_AN_ADDRESS.match(source):
            raise ValueError("an address begins with rtsp:// or http://")
        try:
            _ = urlsplit(source).port if "://" in source else None
        except ValueError:
            raise ValueError("no address with a port; in a password / is written %2F, @ %40, [ %5B") from None
        return source

    @property
    def is_device(self) -> bool:
        return _VIDEO_DEVICE.fullmatch(self.source) is not None

    @property
    def is_file(self) -> bool:
        return not self.is_device and "://" not in self.source

    @property
    def shown(self) -> str:
        """The source without user, password and query: for logs, errors and the record."""
        if "://" not in self.source:
            return self.source
        scheme, _, rest = self.source.partition("://")
        try:
            parts = urlsplit(self.source)
            host, port = parts.hostname or "", parts.port
        except ValueError:
            return f"{scheme}://…"
        # A password with an unescaped '/' or '@' would end up in the path: then the path is not shown either.
        path = "/…" if "@" in parts.path + parts.query + parts.fragment or "@" in rest.partition("/")[2] else parts.path
        return f"{scheme}://{host}{f':{port}' if port else ''}{path}"
