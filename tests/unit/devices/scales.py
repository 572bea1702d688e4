"""Frames of scales, built from their manuals, for tests."""


def toledo(
    weight: int | str = 12340,
    tare: int | str = 0,
    *,
    places: int = 0,
    increment: int = 1,
    net: bool = False,
    negative: bool = False,
    out_of_range: bool = False,
    motion: bool = False,
    kg: bool = True,
    not_zeroed: bool = False,
    unit: int = 0,
    expanded: bool = False,
    checksum: bool = True,
    short: bool = False,
) -> bytes:
    """A frame of Toledo continuous output (WILDCAT Technical Manual, tables 6-8 to 6-11)."""
    status_a = (2 + places) | {1: 1, 2: 2, 5: 3}[increment] << 3 | 0x20
    status_b = net | negative << 1 | out_of_range << 2 | motion << 3 | kg << 4 | 0x20 | not_zeroed << 6
    status_c = unit | expanded << 4 | 0x20
    fields = f"{weight:>6}" + ("" if short else f"{tare:>6}")
    frame = bytes([2, status_a, status_b, status_c]) + fields.encode() + b"\r"
    return frame + bytes([-sum(frame) & 0x7F]) if checksum else frame


def iq355(weight: str = "  12340", unit: str = "K", mode: str = "G", status: str = " ", polarity: str = " ") -> bytes:
    return f"\x02{polarity}{weight}{unit}{mode}{status}\r\n".encode()


def nci(weight: str | None = "012340kg", status: str = "00") -> bytes:
    """An answer to W, or to S."""
    return (f"\n{weight}\r" if weight is not None else "").encode() + f"\n{status}\r\x03".encode()
