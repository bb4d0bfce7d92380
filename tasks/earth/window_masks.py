"""What a scene's mask says of pixels: its own, one made of its colours, or one that a model makes of its bands."""

from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from functools import partial

import numpy as np
from numpy.typing import NDArray

from tasks.earth import learned_mask, luminance, masks
from tasks.earth.assets import Asset
from tasks.earth.luminance import LuminanceParams
from tasks.earth.raster import TargetGrid
from tasks.earth.scene import Scene
from tasks.earth.scene_reader import OpenScene

SHOWN = "shown"
"""The mask among the assets that are opened, or the band that shows where a scene without one has data."""


@contextmanager
def open_mask(scene: Scene) -> Iterator[OpenScene]:
    """What a scene's mask is, or is made of, opened; errors as of `SceneReader.open`."""
    with scene.reader.open(_asked(scene)) as opened:
        yield opened


def _asked(scene: Scene) -> Mapping[str, Asset]:
    if scene.mask is None and scene.sensor.mask == "luminance":
        return {name: scene.assets[name] for name in scene.sensor.rgb or ()}
    if scene.learned:
        return learned_mask.bands_of(scene.assets, scene.sensor)
    return {SHOWN: scene.shown}


def planes_of(scene: Scene) -> tuple[str, ...]:
    """Those of `masks.PLANES` that a scene's mask holds."""
    if scene.mask is not None and scene.sensor.mask is not None:
        return masks.planes_of(scene.sensor.mask)
    return ("cloud",) if scene.learned or scene.sensor.mask == "luminance" else ()


def flags(opened: OpenScene, target: TargetGrid, scene: Scene, params: LuminanceParams) -> NDArray[np.uint8]:
    """What the mask says of the pixels of `target`, [height, width]: bits of `masks.FLAGS`, and `masks.DATA`.

    Args:
        opened: by `open_mask`.
        target: the pixels wanted.
        scene: they are of.
        params: of a mask that is made of colours.

    Raises:
        SceneError: the mask, or a band that it is made of, cannot be read.
        UnreachableError: a server does not give it just now.
    """
    sensor = scene.sensor
    if scene.mask is not None and sensor.mask is not None:
        codes, valid = opened.read_codes(SHOWN, target, partial(masks.bands_of, sensor.mask))
        found = masks.flags(codes, sensor.mask)
        return found if valid.all() else found * valid
    if scene.learned or sensor.mask == "luminance":
        margin = learned_mask.margin(target.gsd) if scene.learned else luminance.margin(target.gsd, params)
        # With the ground around, so that a window is judged alike whatever is read beside it.
        wider = target.grown(margin)
        made = learned_mask.planes(opened, wider, sensor) if scene.learned else _by_luminance(opened, wider, params)
        inner = np.s_[margin : margin + target.height, margin : margin + target.width]
        return masks.flags_of(*made)[inner]
    return masks.flags_of({}, opened.read({SHOWN: target})[SHOWN].valid)


def _by_luminance(opened: OpenScene, target: TargetGrid, params: LuminanceParams) -> luminance.Planes:
    """Cloud of an image without a mask, by its own red, green and blue."""
    numbers = opened.read(dict.fromkeys(opened.assets, target)).values()
    red, green, blue = (one.values for one in numbers)
    found, has_data = luminance.planes(red, green, blue, target.gsd, params)
    return found, has_data & np.logical_and.reduce([one.valid for one in numbers])
