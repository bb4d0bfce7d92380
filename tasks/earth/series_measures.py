"""What two images of one window are compared by: means over the cells of a coarse grid, in the units of the sensor.

Backscatter of each polarisation (dB), the vegetation index (Tucker 1979), and the share of each class of
`tasks.earth.spectral_rules`, which reads every image by the same rules. A cell averages hundreds of pixels, so that
speckle and a pixel's shift between two dates weigh little.
"""

from collections.abc import Mapping

import numpy as np
from numpy.typing import NDArray

from tasks.earth.chip_measures import INDICES
from tasks.earth.sensors import Sensor
from tasks.earth.spectral_rules import BANDS, bands_of, classify, normalised_difference

SIDE = 9
"""Cells along a side of the grid: three for each third of the window."""
LEAST = 0.5
"""Share of a cell's pixels that must be valid, or the cell has no value."""
DECIMALS = 3
INDEX = "ndvi"
Plane = NDArray[np.float32]
Cells = tuple[float | None, ...]
"""SIDE * SIDE values, row by row from the north-west; None where too few pixels are valid."""


def measure(planes: Mapping[str, Plane], sensor: Sensor) -> dict[str, Cells]:
    """Quantity -> its mean in each cell.

    Args:
        planes: bands of a chip by name, calibrated, NaN where there is no data, all of one shape, SIDE pixels or more.
        sensor: that took it.

    Returns:
        Backscatter by the common name of its band in dB; `ndvi`; and for each class of land cover its share.
    """
    found: dict[str, Plane] = {}
    for band in sensor.bands:
        if band.name in planes and sensor.unit_of(band.name) == "dB":
            found[band.common_name] = planes[band.name]
    if sensor.unit == "reflectance":
        first, second = (planes.get(sensor.nearest(name) or "") for name in INDICES[INDEX][:2])
        if first is not None and second is not None:
            found[INDEX] = normalised_difference(first, second)
    named = bands_of(sensor) or {}
    if named and all(band in planes for band in named.values()):
        shown = {name: planes[named[name]] for name in BANDS}
        valid = np.isfinite(np.stack(list(shown.values()))).all(0)
        found |= {name: np.where(valid, plane, np.nan).astype(np.float32) for name, plane in classify(shown).items()}
    return {name: _cells(plane) for name, plane in found.items()}


def _cells(plane: Plane) -> Cells:
    rows, columns = (np.linspace(0, side, SIDE + 1).round().astype(int)[:-1] for side in plane.shape)
    valid = np.isfinite(plane)
    sums, counts, sizes = (
        np.add.reduceat(np.add.reduceat(values.astype(np.float64), rows, 0), columns, 1)
        for values in (np.where(valid, plane, 0), valid, np.ones_like(plane))
    )
    means = np.round(sums / np.maximum(counts, 1), DECIMALS) + 0.0  # no negative zero
    return tuple(
        float(mean) if there else None
        for mean, there in zip(means.ravel(), (counts >= LEAST * sizes).ravel(), strict=True)
    )
