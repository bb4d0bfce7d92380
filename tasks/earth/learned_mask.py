"""Cloud in Level-1C of Sentinel-2, which carries no mask: by s2cloudless, as Sentinel Hub and Earth Engine compute it.

The model knows top-of-atmosphere reflectance alone. It tells cloud, and neither shadow, snow nor water.
"""

from collections.abc import Mapping, Sequence
from functools import cache
from typing import Any

import numpy as np
from numpy.typing import NDArray

from tasks.earth.assets import Asset
from tasks.earth.chip_pixels import read_planes
from tasks.earth.raster import TargetGrid
from tasks.earth.scene_reader import OpenScene
from tasks.earth.sensors import Sensor

ASKED = ("coastal", "blue", "red", "rededge1", "nir", "nir08", "nir09", "cirrus", "swir16", "swir22")
"""Common names of the bands that the model takes, in its order."""
THRESHOLD, AVERAGED, DILATED = 0.4, 160.0, 100.0
"""Probability from which a pixel is cloud, and metres over which it is averaged and grown: the model's own advice for
pixels of 10 to 160 m."""


def serves(present: Sequence[str], sensor: Sensor) -> bool:
    """Whether a scene with these bands is one the model knows: the cirrus band is in Level-1C alone."""
    common = {sensor.band(name).common_name for name in present}
    return set(ASKED) <= common


def bands_of(assets: Mapping[str, Asset], sensor: Sensor) -> dict[str, Asset]:
    """Those assets that the model takes, in its order."""
    names = {sensor.band(name).common_name: name for name in assets}
    return {names[common]: assets[names[common]] for common in ASKED}


def margin(gsd: float) -> int:
    """Pixels around an image that decide on those at its edge."""
    return max(1, round(AVERAGED / gsd)) + max(1, round(DILATED / gsd))


def planes(
    opened: OpenScene, target: TargetGrid, sensor: Sensor
) -> tuple[dict[str, NDArray[np.bool_]], NDArray[np.bool_]]:
    """The plane `cloud`, and which pixels hold data in every band.

    Args:
        opened: the assets of `bands_of`.
        target: the pixels wanted.
        sensor: they are of.

    Raises:
        SceneError: a band cannot be read.
    """
    stack = np.stack(list(read_planes(opened, list(opened.assets), target, sensor).values()), axis=-1)
    valid = np.isfinite(stack).all(axis=-1)
    detector = _detector(max(1, round(AVERAGED / target.gsd)), max(1, round(DILATED / target.gsd)))
    cloud = detector.get_cloud_masks(np.nan_to_num(stack)[None])[0].astype(bool)
    return {"cloud": cloud & valid}, np.asarray(valid)


@cache
def _detector(averaged: int, dilated: int) -> Any:
    from s2cloudless.cloud_detector import (
        S2PixelCloudDetector,
    )  # here, for it brings a second of other packages with it

    return S2PixelCloudDetector(THRESHOLD, average_over=averaged, dilation_size=dilated, all_bands=False)
