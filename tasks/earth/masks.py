"""Quality masks: what each pixel of Sentinel-2's SCL and Landsat's QA_PIXEL says, as named boolean planes."""

from collections.abc import Mapping

import numpy as np
from numpy.typing import NDArray

from tasks.earth.sensors import Mask

PLANES = ("cloud", "shadow", "cirrus", "snow", "water")
"""What is measured of every window; a mask that cannot tell one of them leaves it unmeasured."""

SCL: Mapping[str, tuple[int, ...]] = {
    "cloud": (8, 9, 10),
    "shadow": (3,),
    "cirrus": (10,),
    "snow": (11,),
    "water": (6,),
}
"""Classes of Sen2Cor's scene classification; thin cirrus counts as cloud as well."""
SCL_NODATA = (0, 1)
"""No data, and saturated or defective."""

QA_PIXEL: Mapping[str, int] = {"cloud": 3, "shadow": 4, "cirrus": 2, "snow": 5, "water": 7}
"""Bits of Collection 2's QA_PIXEL (bit 1, dilated cloud, counts as cloud too)."""
QA_FILL = 0
QA_DILATED = 1


def planes(values: NDArray[np.integer], layout: Mask) -> tuple[dict[str, NDArray[np.bool_]], NDArray[np.bool_]]:
    """Boolean planes by name, and which pixels hold data at all."""
    if layout == "scl":
        # Saturated pixels (class 1) are no measurement, though there are numbers.
        return {name: np.isin(values, classes) for name, classes in SCL.items()}, ~np.isin(values, SCL_NODATA)
    found = {name: _bit(values, bit) for name, bit in QA_PIXEL.items()}
    # Cirrus dims the visible bands and dilation catches the edges: both are as bad in a caption as cloud.
    found["cloud"] |= _bit(values, QA_DILATED) | found["cirrus"]
    return found, ~_bit(values, QA_FILL)


def _bit(values: NDArray[np.integer], bit: int) -> NDArray[np.bool_]:
    return (values.astype(np.int64) >> bit & 1).astype(bool)
