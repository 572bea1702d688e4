"""What figures a device can state. One outside is its driver's fault, and fails that device where it arises: the wire
has no place for it, and what is signed could not be read by everybody.
"""

import math

# Panels of a portal, and more; a hundred times what is known.
MOST = 256


def whole(of: object, *names: str, bits: int = 32) -> None:
    """Raises ValueError if one of these attributes, or one of the figures in it, is no whole number of `bits` bits.

    None is no figure.
    """
    for name in names:
        value = getattr(of, name)
        figures = value if isinstance(value, tuple) else () if value is None else (value,)
        if len(figures) > MOST:
            raise ValueError(f"{_called(of, name)} of {len(figures)} figures: at most {MOST}")
        for figure in figures:
            if not isinstance(figure, int):
                raise ValueError(f"{_called(of, name)} of {figure!r}: no whole number")
            if not 0 <= figure < 1 << bits:
                raise ValueError(f"{_called(of, name)} of {figure}: not within 0 to {(1 << bits) - 1}")


def finite(of: object, *names: str) -> None:
    """Raises ValueError if one of these attributes is infinite or not a number. None is no figure."""
    for name in names:
        value = getattr(of, name)
        if value is not None and not math.isfinite(value):
            raise ValueError(f"{_called(of, name)} of {value}: no finite number")


def _called(of: object, name: str) -> str:
    return f"{type(of).__name__} with {name.replace('_', ' ')}"
