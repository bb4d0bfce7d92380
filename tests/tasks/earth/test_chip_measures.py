"""Statistics of a chip's pixels."""

import numpy as np
import pytest

from tasks.earth.chip_measures import measure
from tasks.earth.sensors import SENSORS


def full(value: float, side: int = 8) -> np.ndarray:
    return np.full((side, side), value, np.float32)


def test_indices_of_an_optical_chip_are_those_of_its_bands() -> None:
    sensor = SENSORS["sentinel-2"]
    nir, red, green = full(0.4), full(0.1), full(0.08)
    nir[:2], red[:2], green[:2] = 0.02, 0.03, 0.06  # a quarter is water
    found = measure({"B08": nir, "B04": red, "B03": green, "B12": full(0.2)}, sensor)
    assert found["ndvi"]["share"] == 0.75 and found["ndwi"]["share"] == 0.25
    assert found["ndvi"]["mean"] == pytest.approx(0.75 * 0.6 + 0.25 * -0.2, abs=1e-4)
    assert found["nbr"]["share"] == 0.25 and "temperature" not in found


def test_radar_has_its_backscatter_and_landsat_its_temperature() -> None:
    assert measure({"VV": full(-8.0), "VH": full(-15.0)}, SENSORS["sentinel-1"]) == {
        "vv": {"mean": -8.0, "low": -8.0, "high": -8.0},
        "vh": {"mean": -15.0, "low": -15.0, "high": -15.0},
    }
    assert measure({"ST": full(301.25)}, SENSORS["landsat"])["temperature"]["mean"] == 301.25


def test_what_the_bands_or_the_valid_pixels_cannot_give_is_absent_and_never_zero() -> None:
    mostly_missing = full(0.4)
    mostly_missing[1:] = np.nan
    assert measure({"B08": mostly_missing, "B04": full(0.1)}, SENSORS["sentinel-2"]) == {}
    assert measure({"B04": full(0.1)}, SENSORS["sentinel-2"]) == {}
