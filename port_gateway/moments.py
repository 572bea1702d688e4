"""Times as the inbox keeps them: microseconds since 1970."""

from datetime import UTC, datetime, timedelta

DAY_US = 86_400_000_000
# Stands for "came while no clock was believed": later than any time, until one is believed.
UNDATED_US = 2**62
_EPOCH = datetime(1970, 1, 1, tzinfo=UTC)
_LAST_US = round((datetime(9999, 12, 31, tzinfo=UTC) - _EPOCH).total_seconds()) * 1_000_000


def moment(utc_us: int) -> str:
    """A time for people, as in `2026-11-22T09:00:00Z`."""
    return f"{_EPOCH + timedelta(microseconds=max(0, min(utc_us, _LAST_US))):%Y-%m-%dT%H:%M:%SZ}"
