"""What a chip's pixels say by themselves: spectral indices, backscatter, surface temperature. Evidence for answers.

A quantity that the sensor's bands, or the chip, cannot give is absent.
"""

from collections.abc import Callable, Mapping

import numpy as np
from numpy.typing import NDArray

from tasks.earth.sensors import Sensor
from tasks.earth.spectral_rules import normalised_difference

Plane = NDArray[np.float32]
Statistics = dict[str, dict[str, float]]
"""Quantity -> mean, low (10th percentile), high (90th) and, where a threshold says what it means, share."""

INDICES: dict[str, tuple[str, str, Callable[[Plane], NDArray[np.bool_]]]] = {
    # Tucker 1979, with a threshold over which sparse plants do not count; McFeeters 1996; Key and Benson 2006, where
    # burnt ground has a strong short-wave infrared and hardly any near infrared.
    "ndvi": ("nir", "red", lambda index: index > 0.4),
    "ndwi": ("green", "nir", lambda index: index > 0.0),
    "nbr": ("nir", "swir22", lambda index: index < -0.1),
}
"""Normalised difference -> its two bands by common name, and the pixels whose share is counted."""
LEAST = 0.5
"""Share of pixels that must be valid, or the quantity is absent."""


def needed(sensor: Sensor) -> set[str]:
    """Bands whose pixels `measure` looks at: others need not be decoded."""
    measured = {band.name for band in sensor.bands if sensor.unit_of(band.name) in ("dB", "kelvin")}
    if sensor.unit == "reflectance":
        measured |= {sensor.nearest(band) or "" for first, second, _ in INDICES.values() for band in (first, second)}
    return measured


def measure(planes: Mapping[str, Plane], sensor: Sensor) -> Statistics:
    """Statistics of one chip.

    Args:
        planes: its bands by name, calibrated, NaN where there is no data, all of one shape.
        sensor: that took it.
    """
    out: Statistics = {}
    if sensor.unit == "reflectance":
        for name, (first, second, counted) in INDICES.items():
            bands = [planes.get(sensor.nearest(band) or "") for band in (first, second)]
            if bands[0] is not None and bands[1] is not None:
                _add(out, name, normalised_difference(bands[0], bands[1]), counted)
    for band in sensor.bands:
        plane = planes.get(band.name)
        if plane is None:
            continue
        unit = sensor.unit_of(band.name)
        if unit == "dB":
            _add(out, band.common_name, plane)
        elif unit == "kelvin":
            _add(out, "temperature", plane)
    return out


def _add(out: Statistics, name: str, plane: Plane, counted: Callable[[Plane], NDArray[np.bool_]] | None = None) -> None:
    valid = plane[np.isfinite(plane)].astype(np.float64)
    if name in out or valid.size < LEAST * plane.size:
        return
    low, high = np.percentile(valid, [10, 90])
    found = {"mean": float(valid.mean()), "low": float(low), "high": float(high)}
    if counted is not None:
        found["share"] = float(counted(valid.astype(np.float32)).mean())
    out[name] = {key: round(value, 4) for key, value in found.items()}
