"""Pixels of the windows of one block: every band read once onto the grid, calibrated, checked, cut."""

from collections.abc import Iterator, Mapping

import numpy as np
from numpy.typing import NDArray
from rasterio.transform import Affine

from tasks.core.errors import SceneError
from tasks.earth import geotiff
from tasks.earth.assets import Asset
from tasks.earth.blocks import Block
from tasks.earth.radiometry import RadiometryError, check_plausible
from tasks.earth.raster import TargetGrid, calibrate
from tasks.earth.scene_reader import SceneReader
from tasks.earth.sensors import Sensor

Pixels = NDArray[np.float32]


def read_block(assets: Mapping[str, Asset], block: Block, sensor: Sensor, reader: SceneReader) -> Pixels:
    """Calibrated pixels of the block's windows, [windows, bands, side, side], NaN where there is no data.

    Raises:
        SceneError: an asset cannot be read, or its numbers cannot be what the item says they are.
    """
    target = block.target(sensor.gsd)
    # Filled band by band: of some 200 bands there is no room for two of everything.
    stack = np.empty((len(assets), target.height, target.width), np.float32)
    for index, (_, plane) in enumerate(calibrated(assets, target, sensor, reader)):
        stack[index] = plane
    return np.ascontiguousarray(block.cut(stack))


def read_planes(
    assets: Mapping[str, Asset], target: TargetGrid, sensor: Sensor, reader: SceneReader
) -> dict[str, NDArray[np.float32]]:
    """Calibrated pixels of bands on one grid, [height, width] each, NaN where there is no data.

    Raises:
        SceneError: an asset cannot be read, or its numbers cannot be what the item says they are.
    """
    return dict(calibrated(assets, target, sensor, reader))


def calibrated(
    assets: Mapping[str, Asset], target: TargetGrid, sensor: Sensor, reader: SceneReader
) -> Iterator[tuple[str, NDArray[np.float32]]]:
    """The same, one band after the other."""
    for name, asset, numbers in reader.bands(assets, target):
        unit = sensor.unit_of(name)
        plane = calibrate(numbers.values, numbers.valid, asset, unit, numbers.dtype, numbers.power)
        try:
            check_plausible(plane, asset.stored, unit, f"scene {asset.item_id}, band {name}")
        except RadiometryError as error:
            raise SceneError("radiometry", str(error)) from error
        yield name, plane


def to_geotiff(pixels: Pixels, bands: list[str], epsg: int, left: float, top: float, gsd: float) -> bytes:
    """One chip [bands, height, width] as the bytes of a GeoTIFF; the same pixels give the same bytes."""
    return geotiff.encode(pixels, bands, Affine(gsd, 0, left, 0, -gsd, top), f"EPSG:{epsg}")
