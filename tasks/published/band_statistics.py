"""Mean and deviation of every band of the imported chips, merged from chunks in their order."""

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np

from tasks.earth.sensors import Sensor
from tasks.published.images import Pixels, Planes
from tasks.vlm.bands import with_ratio

BandStatistics = dict[str, list[float]]
"""Of each band: count, mean, sum of squared distances from the mean."""


def add_image(statistics: BandStatistics, planes: Planes, sensor: Sensor) -> None:
    """Take in one image; a radar's ratio is a band of its own, since it is shown to the model as one."""
    if planes.pixels.dtype == np.uint8:
        for name, plane in zip(planes.bands, planes.pixels, strict=True):
            merge(statistics, {name: _of_bytes(plane)})
        return
    pixels = planes.pixels
    shown = with_ratio(sensor, pixels, planes.bands)
    names = [*planes.bands, sensor.ratio_of(planes.bands) or ""][: len(shown)]
    for name, plane in zip(names, shown, strict=True):
        values = plane[np.isfinite(plane)].astype(np.float64)
        if values.size:
            mean = float(values.mean())
            merge(statistics, {name: [values.size, mean, float(((values - mean) ** 2).sum())]})


def _of_bytes(plane: Pixels) -> list[float]:
    """BandStatistics of 8-bit values from their counts: 256 terms, whatever the size."""
    counts, levels = np.bincount(plane.ravel(), minlength=256), np.arange(256)
    mean = float(counts @ levels / plane.size)
    return [plane.size, mean, float(counts @ (levels - mean) ** 2)]


def merge(statistics: BandStatistics, other: Mapping[str, Sequence[float]]) -> None:
    """Put the statistics of other pixels into `statistics`, by Chan's formula."""
    for name, (count, mean, squares) in other.items():
        own_count, own_mean, own_squares = statistics.get(name, [0, 0.0, 0.0])
        total, step = own_count + count, mean - own_mean
        squares += own_squares + step**2 * own_count * count / total
        statistics[name] = [total, own_mean + step * count / total, squares]


def described(statistics: BandStatistics, sensor: Sensor) -> dict[str, Any]:
    """What stage `stats` says of a sensor, as far as a checkpoint's normalisation needs it; bands in its order."""
    measured = [name for name in sensor.plane_names if name in statistics]
    return {
        "sensor": sensor.name,
        "bands": [
            {"name": name, "mean": mean, "std": float(np.sqrt(squares / count)), "count": int(count)}
            for name, (count, mean, squares) in ((name, statistics[name]) for name in measured)
        ],
    }
