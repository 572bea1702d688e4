"""What a DICOM or DICOS file says of itself, and where its pixels lie; nothing is decompressed or decoded here.

pydicom walks the elements; its own values are not asked for, since it warns, converts and defers on the way.
"""

import io
import struct
from collections.abc import Iterable
from dataclasses import dataclass
from typing import Any

from edge_agent.devices.sources.scan_file import FileSettings, Stated

# Elements before the pixels have some 10 kB; large values are passed over and do not count.
HEADER_MAX = 2 * 1024 * 1024
VALUE_MAX = 64 * 1024

# PS3.6 annex A.
_IMPLICIT = "1.2.840.10008.1.2"
_NATIVE = {
    _IMPLICIT: "<",
    "1.2.840.10008.1.2.1": "<",
    "1.2.840.10008.1.2.2": ">",
}
# Baseline, extended and lossless, of which OpenCV decodes those of 8 bits; JPEG 2000; run lengths.
_CODINGS = {f"1.2.840.10008.1.2.4.{kind}": "jpeg" for kind in (50, 51, 57, 70)} | {
    "1.2.840.10008.1.2.4.90": "jpeg2000",
    "1.2.840.10008.1.2.4.91": "jpeg2000",
    "1.2.840.10008.1.2.5": "rle",
}
DEFLATED = "1.2.840.10008.1.2.1.99"
_DICOS_CLASSES = "1.2.840.10008.5.1.4.1.1.501."  # NEMA IIC 1's SOP classes
_DICOS_VERSION = 0x4010103A
_SYNTAX, _FRAMES = 0x00020010, 0x00280008
_FIRST_PIXEL_TAG, _PIXEL_DATA = 0x7FE00001, 0x7FE00010
_TAKEN = ((0x0008002A,), (0x00080022, 0x00080032), (0x00080023, 0x00080033))


@dataclass(frozen=True, slots=True)
class Pixels:
    """One frame's place in the file. `coding` is raw, rle, jpeg or jpeg2000; `at` and `end` bound its bytes.

    `samples` a pixel (1 or 3), `bits` allocated for each (8, 16 or 32), `stored` of them used; `order` is struct's.
    """

    width: int
    height: int
    samples: int
    bits: int
    stored: int
    signed: bool
    inverted: bool  # MONOCHROME1: the smallest value is white
    planar: bool
    order: str
    coding: str
    at: int
    end: int


@dataclass(frozen=True, slots=True)
class DicomFile:
    """`note` says what could not be read; `pixels` is None where no frame can be shown, for the reason in `note`."""

    dicos: bool
    stated: Stated
    width: int = 0
    height: int = 0
    pixels: Pixels | None = None
    note: str = ""


class _HeaderTooLargeError(ValueError):
    pass


class _Bounded(io.BytesIO):
    """Gives out HEADER_MAX bytes: a file of nothing but tiny elements would fill the memory."""

    left = HEADER_MAX

    def read(self, size: int | None = -1, /) -> bytes:
        data = super().read(size)
        self.left -= len(data)
        if self.left < 0:
            raise _HeaderTooLargeError(f"more than {HEADER_MAX >> 20} MiB before the pixels")
        return data


class _Elements:
    """The top-level elements before the pixels: the raw bytes of each, by its tag. Raises ValueError and pydicom's."""

    def __init__(self, data: bytes) -> None:
        from pydicom.filereader import read_dataset

        self.pixels_tag, self.pixels_at, self.pixels_vr = 0, 0, ""
        fp = _Bounded(data)
        fp.seek(132)
        meta = _raws(read_dataset(fp, False, True, stop_when=lambda tag, vr, length: tag >> 16 != 2))
        self.syntax = meta.get(_SYNTAX, (None, b""))[1].decode("latin-1").strip("\0 ")
        if not self.syntax:
            raise ValueError("it states no transfer syntax")
        if self.syntax == DEFLATED:  # it would be inflated in one piece, however large
            raise ValueError("its data set is deflated, which is not opened")
        self._order = _NATIVE.get(self.syntax, "<")

        def at_pixels(tag: int, vr: str | None, length: int) -> bool:
            if not _FIRST_PIXEL_TAG <= tag < 0xFFFE0000:
                return False
            self.pixels_tag, self.pixels_at, self.pixels_vr = int(tag), fp.tell(), vr or ""
            return True

        found = read_dataset(
            fp, self.syntax == _IMPLICIT, self._order == "<", stop_when=at_pixels, defer_size=VALUE_MAX
        )
        self._raws = _raws(found)
        codecs: Any = found.original_character_set
        self._codec = str(codecs if isinstance(codecs, str) else [*codecs, "latin-1"][0])

    def text(self, tag: int) -> str:
        """The first value. PS3.5 6.2: padded with a blank or NUL, several values apart by a backslash."""
        data = self._raws.get(tag, (None, b""))[1].split(b"\\")[0]
        try:
            return data.decode(self._codec).strip("\0 ")
        except (UnicodeDecodeError, LookupError):
            return data.decode("latin-1").strip("\0 ")

    def number(self, tag: int, otherwise: int) -> int:
        """A US."""
        data = self._raws.get(tag, (None, b""))[1]
        return int(struct.unpack(self._order + "H", data)[0]) if len(data) == 2 else otherwise

    def frames(self) -> int:
        """Number of Frames is an IS; a DICOS toolkit writes it as US."""
        if self._raws.get(_FRAMES, (None, b""))[0] == "US":
            return self.number(_FRAMES, 1)
        text = self.text(_FRAMES)
        return int(text) if text.isdecimal() and len(text) < 10 else 1


def _raws(found: Any) -> dict[int, tuple[str | None, bytes]]:
    return {
        int(element.tag): (element.VR, element.value)
        for element in found.elements()
        if isinstance(element.value, bytes)  # neither a sequence nor passed over
    }


def read_dicom(data: bytes, settings: FileSettings) -> DicomFile:
    """Reads a file in DICOM's file format (PS3.10). Never raises: what cannot be read stands in `note`."""
    try:
        elements = _Elements(data)
    except Exception as error:  # noqa: BLE001 - pydicom raises many kinds on bytes that are no DICOM
        return DicomFile(False, Stated(), note=f"its header cannot be read: {in_words(error)}")
    stated = Stated(
        _first(elements, settings.scan_tags),
        _first(elements, settings.vehicle_tags),
        next((text for tags in _TAKEN if (text := "".join(elements.text(tag) for tag in tags))), ""),
    )
    dicos = elements.text(0x00080016).startswith(_DICOS_CLASSES) or bool(elements.text(_DICOS_VERSION))
    height, width = elements.number(0x00280010, 0), elements.number(0x00280011, 0)
    try:
        pixels = _pixels(elements, data, width, height)
    except (ValueError, struct.error) as error:
        return DicomFile(dicos, stated, width, height, note=f"no quick look: {in_words(error)}")
    return DicomFile(dicos, stated, width, height, pixels)


def in_words(error: Exception) -> str:
    """Some libraries' errors say nothing but their name."""
    return str(error) or type(error).__name__


def _first(elements: _Elements, tags: Iterable[str]) -> str:
    return next((text for tag in tags if (text := elements.text(int(tag.replace(",", ""), 16)))), "")


def _pixels(elements: _Elements, data: bytes, width: int, height: int) -> Pixels:
    """The middle frame. PS3.3 C.7.6.3.1, PS3.5 8 and A.4. Raises ValueError."""
    if not elements.pixels_tag:
        raise ValueError("it has no pixels")
    if elements.pixels_tag != _PIXEL_DATA:
        raise ValueError("its pixels are floating-point numbers or kept elsewhere")
    samples, bits = elements.number(0x00280002, 1), elements.number(0x00280100, 16)
    frames = elements.frames()
    meaning = elements.text(0x00280004)
    if samples not in (1, 3) or bits not in (8, 16, 32) or meaning.startswith(("PALETTE", "YBR_PARTIAL")):
        raise ValueError(f"{samples} samples of {bits} bits ({meaning}) are not drawn")
    if not width or not height or not frames:
        raise ValueError("it has no rows, columns or frames")
    at, end, coding, order = elements.pixels_at, 0, "raw", _NATIVE.get(elements.syntax, "<")
    if elements.syntax in _NATIVE:
        if meaning.startswith("YBR"):
            raise ValueError(f"{meaning} is not drawn")
        if order == ">" and bits == 8 and elements.pixels_vr == "OW":  # two pixels a word, in their wrong order
            raise ValueError("bytes in big-endian words are not drawn")
        frame = width * height * samples * (bits // 8)
        at += (frames // 2) * frame
        end = at + frame
        if end > len(data):
            raise ValueError(f"{frames} frames of {width} × {height} pixels are more than it holds")
    else:
        coding = _CODINGS.get(elements.syntax, "")
        if not coding:
            raise ValueError(f"the transfer syntax {elements.syntax or 'not stated'} is not decoded")
        at, end = _frame(data, at, frames)
    return Pixels(
        width=width,
        height=height,
        samples=samples,
        bits=bits,
        stored=min(max(1, elements.number(0x00280101, bits)), bits),
        signed=elements.number(0x00280103, 0) == 1,
        inverted=meaning == "MONOCHROME1",
        planar=elements.number(0x00280006, 0) == 1,
        order=order,
        coding=coding,
        at=at,
        end=end,
    )


def _frame(data: bytes, at: int, frames: int) -> tuple[int, int]:
    """The middle frame of encapsulated pixels, one fragment a frame (PS3.5 A.4): items, the first an offset table."""
    places: list[tuple[int, int]] = []
    while at + 8 <= len(data) and len(places) <= frames:
        group, element, length = struct.unpack_from("<HHL", data, at)
        if (group, element) != (0xFFFE, 0xE000) or at + 8 + length > len(data):
            break
        places.append((at + 8, at + 8 + length))
        at += 8 + length
    if len(places) != frames + 1 or data[at : at + 4] == b"\xfe\xff\x00\xe0":
        raise ValueError("its frames are not one fragment each")
    return places[1 + frames // 2]
