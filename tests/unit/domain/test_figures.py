"""A driver that states what no device can is failed by it, in words; such a figure never reaches the wire."""

from dataclasses import replace
from typing import Any

import pytest

from edge_agent.domain.observation import (
    Channel,
    Nuclide,
    RadiationAlarm,
    RadiationKind,
    RadiationOccupancy,
    RadiationSample,
    ScanImage,
    SpectroscopicMeasurement,
    TagRead,
    Weight,
)

GAMMA = RadiationKind.GAMMA
OCCUPANCY = RadiationOccupancy(1, 4.0, False, False, 1.5, False, (379, 371), 1500, 20, 7.5, 0.1)
SPECTRUM = SpectroscopicMeasurement("RS-350", 4.0, 4.1, 12_000, 3, False, False, (Nuclide("Cs-137", 0.9),), 7.0)
WEIGHT = Weight(18_240.0, True, "18240", "kg", True, 0.0)
TAG = TagRead("E280", antenna=1, rssi_dbm=-51.5)
SCAN = ScanImage("1", "png", width=640, height=480)
NAN, INF = float("nan"), float("inf")


@pytest.mark.parametrize(
    ("sound", "field", "value", "said"),
    [
        (OCCUPANCY, "gamma_background", (2**32,), "gamma background of 4294967296: not within 0 to 4294967295"),
        (OCCUPANCY, "gamma_background", (379, -1), "gamma background of -1: "),
        (OCCUPANCY, "gamma_background", (1.5,), "gamma background of 1.5: no whole number"),
        (OCCUPANCY, "gamma_background", (1,) * 257, "gamma background of 257 figures: at most 256"),
        (OCCUPANCY, "neutron_background_milli", 2**32, "neutron background milli of 4294967296"),
        (OCCUPANCY, "gamma_samples", -1, "gamma samples of -1"),
        (OCCUPANCY, "number", 2**40, "number of 1099511627776"),
        (OCCUPANCY, "duration_s", NAN, "duration s of nan: no finite number"),
        (OCCUPANCY, "cross_check_sigma", INF, "cross check sigma of inf"),
        (OCCUPANCY, "speed_kmh", -INF, "speed kmh of -inf"),
        (OCCUPANCY, "suppression", NAN, "suppression of nan"),
        (RadiationAlarm(GAMMA, (1,)), "counts", (2**32,), "counts of 4294967296"),
        (RadiationSample(GAMMA, Channel.BACKGROUND, (1,), 1.0), "counts", (-1,), "counts of -1"),
        (RadiationSample(GAMMA, Channel.BACKGROUND, (1,), 1.0), "interval_s", INF, "interval s of inf"),
        (SPECTRUM, "gamma_counts", 2**64, "gamma counts of 18446744073709551616"),
        (SPECTRUM, "neutron_counts", -1, "neutron counts of -1"),
        (SPECTRUM, "live_s", NAN, "live s of nan"),
        (SPECTRUM, "real_s", NAN, "real s of nan"),
        (SPECTRUM, "speed_kmh", NAN, "speed kmh of nan"),
        (Nuclide("Cs-137"), "confidence", INF, "confidence of inf"),
        (WEIGHT, "kg", NAN, "kg of nan"),
        (WEIGHT, "tare_kg", INF, "tare kg of inf"),
        (TAG, "antenna", -1, "antenna of -1"),
        (TAG, "rssi_dbm", NAN, "rssi dbm of nan"),
        (SCAN, "width", 2**32, "width of 4294967296"),
        (SCAN, "height", -1, "height of -1"),
    ],
)
def test_what_no_device_can_state_is_refused(sound: Any, field: str, value: object, said: str) -> None:
    assert replace(sound) == sound
    with pytest.raises(ValueError, match=f"^{type(sound).__name__} with {said}"):
        replace(sound, **{field: value})


def test_what_fits_is_taken() -> None:
    assert replace(OCCUPANCY, gamma_background=None, duration_s=None, number=2**32 - 1).number == 2**32 - 1
    assert replace(SPECTRUM, gamma_counts=2**64 - 1, neutron_counts=None).gamma_counts == 2**64 - 1
    assert replace(OCCUPANCY, gamma_background=(0,) * 256).gamma_background is not None
