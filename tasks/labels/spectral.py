"""Land cover read from a scene's own bands by documented rules. Derived, never ground truth: rows say so.

Indices on reflectance (top of atmosphere or surface; the thresholds are wide enough for both):
NDVI = (nir - red) / (nir + red) (Rouse 1974), NDWI = (green - nir) / (green + nir) (McFeeters 1996),
MNDWI = (green - swir16) / (green + swir16) (Xu 2006), NDBI = (swir16 - nir) / (swir16 + nir) (Zha 2003).
The rules are tried in order; a pixel takes the first that holds.
"""

from collections.abc import Mapping

import numpy as np
from numpy.typing import NDArray

Plane = NDArray[np.float32]
BANDS = {
    "sentinel-2": {"green": "B03", "red": "B04", "nir": "B08", "swir16": "B11"},
    "landsat": {"green": "B3", "red": "B4", "nir": "B5", "swir16": "B6"},
}
"""Band of each sensor by the name used in the rules; radar has none."""
CLASSES = ("water", "dense vegetation", "sparse vegetation", "wet ground", "bare or built-up ground")
SOURCE = "spectral-rules"


def classify(bands: Mapping[str, Plane]) -> dict[str, NDArray[np.bool_]]:
    """Boolean plane of each class; a pixel that is NaN in any band belongs to none.

    Args:
        bands: green, red, nir, swir16 as reflectance, all of one shape.
    """
    green, red, nir, swir = (bands[name] for name in ("green", "red", "nir", "swir16"))
    ndvi, ndwi, mndwi = _ratio(nir, red), _ratio(green, nir), _ratio(green, swir)
    rules = (
        (mndwi > 0.10) & (ndwi > -0.05) & (swir < 0.12),
        ndvi > 0.55,
        ndvi > 0.30,
        (swir < 0.13) & (ndvi > 0.0),
        np.isfinite(ndvi),
    )
    valid = np.isfinite(green) & np.isfinite(red) & np.isfinite(nir) & np.isfinite(swir)
    out, free = {}, valid
    for name, rule in zip(CLASSES, rules, strict=True):
        out[name] = free & rule
        free = free & ~rule
    return out


def _ratio(a: Plane, b: Plane) -> Plane:
    with np.errstate(invalid="ignore", divide="ignore"):
        return np.where(np.abs(a + b) > 1e-6, (a - b) / (a + b), np.nan).astype(np.float32)
