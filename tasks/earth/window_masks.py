"""What a scene's mask says of pixels: its own, one made of its colours, or one that a model makes of its bands."""

from functools import partial

import numpy as np
from numpy.typing import NDArray

from tasks.earth import learned_mask, luminance, masks
from tasks.earth.luminance import LuminanceParams
from tasks.earth.raster import TargetGrid
from tasks.earth.scene import Scene
from tasks.earth.scene_reader import OpenBand

Planes = tuple[dict[str, NDArray[np.bool_]], NDArray[np.bool_]]
"""What a mask says, by name, and which pixels hold data."""


def planes(opened: OpenBand, target: TargetGrid, scene: Scene, params: LuminanceParams) -> Planes:
    """What the mask says of the pixels of `target`, [height, width], and which of them hold data.

    Args:
        opened: `scene.shown`, opened.
        target: the pixels wanted.
        scene: they are of.
        params: of a mask that is made of colours.

    Raises:
        SceneError: the mask, or a band that it is made of, cannot be read.
        UnreachableError: a server does not give it just now.
    """
    sensor = scene.sensor
    if scene.mask is not None and sensor.mask is not None:
        codes, valid = opened.read_codes(target, partial(masks.bands_of, sensor.mask))
        found, has_data = masks.planes(codes, sensor.mask)
        return found, valid & has_data
    if sensor.mask == "luminance":
        return _by_luminance(scene, target, params)
    if scene.learned:
        return learned_mask.planes(scene.assets, target, sensor, scene.reader)
    return {}, opened.read(target, codes=False).valid


def _by_luminance(scene: Scene, target: TargetGrid, params: LuminanceParams) -> Planes:
    """Cloud of an image without a mask, by its own red, green and blue."""
    shown = {name: scene.assets[name] for name in scene.sensor.rgb or ()}
    numbers = {name: found for name, _, found in scene.reader.bands(shown, target)}
    red, green, blue = (one.values for one in numbers.values())
    found, has_data = luminance.planes(red, green, blue, target.gsd, params)
    return found, has_data & np.logical_and.reduce([one.valid for one in numbers.values()])
