"""Land cover read from a scene's own bands by documented rules. Derived, never ground truth: rows say so.

Indices on reflectance (top of atmosphere or surface; the thresholds are wide enough for both):
NDVI = (nir - red) / (nir + red) (Rouse 1974), NDWI = (green - nir) / (green + nir) (McFeeters 1996),
MNDWI = (green - swir16) / (green + swir16) (Xu 2006), NDBI = (swir16 - nir) / (swir16 + nir) (Zha 2003).
The rules are tried in order; a pixel takes the first that holds.
"""

from collections.abc import Mapping

import numpy as np
from numpy.typing import NDArray

from tasks.earth.sensors import Sensor

Plane = NDArray[np.float32]
BANDS = ("green", "red", "nir", "swir16")
"""Common names of the bands that the rules need."""
CLASSES = ("water", "dense vegetation", "sparse vegetation", "wet ground", "bare or built-up ground")
SOURCE = "spectral-rules"


def bands_of(sensor: Sensor) -> dict[str, str] | None:
    """The sensor's band for each of `BANDS`; None where the rules cannot be applied to it."""
    found = {name: sensor.nearest(name) for name in BANDS}
    complete = {name: band for name, band in found.items() if band is not None}
    return complete if sensor.unit == "reflectance" and len(complete) == len(BANDS) else None


def classify(bands: Mapping[str, Plane]) -> dict[str, NDArray[np.bool_]]:
    """Boolean plane of each class; a pixel that is NaN in any band belongs to none.

    Args:
        bands: green, red, nir, swir16 as reflectance, all of one shape.
    """
    green, red, nir, swir = (bands[name] for name in BANDS)
    pairs = ((nir, red), (green, nir), (green, swir))
    ndvi, ndwi, mndwi = (normalised_difference(*pair) for pair in pairs)
    rules = (
        # Two indices, and dark in the short-wave infrared: one index alone also holds over many shadows and roofs.
        (mndwi > 0.10) & (ndwi > -0.05) & (swir < 0.12),
        ndvi > 0.55,
        ndvi > 0.30,
        # Water absorbs at 1.6 micrometres, also where it stands between plants.
        (swir < 0.13) & (ndvi > 0.0),
        np.isfinite(ndvi),
    )
    valid = np.isfinite(green) & np.isfinite(red) & np.isfinite(nir) & np.isfinite(swir)
    # Each pixel goes to the first rule that holds, so that the classes are disjoint and shares add up to one.
    out, free = {}, valid
    for name, rule in zip(CLASSES, rules, strict=True):
        out[name] = free & rule
        free = free & ~rule
    return out


def normalised_difference(a: Plane, b: Plane) -> Plane:
    """(a - b) / (a + b), NaN where both are dark."""
    with np.errstate(invalid="ignore", divide="ignore"):
        # Both bands dark: the ratio of two noises is no index.
        return np.where(np.abs(a + b) > 1e-6, (a - b) / (a + b), np.nan).astype(np.float32)
