"""Pixels of the windows of one block: every band read once onto the grid, calibrated, checked, cut."""

import numpy as np
import pystac
from numpy.typing import NDArray
from rasterio.transform import Affine

from tasks.core.errors import SceneError
from tasks.earth import geotiff
from tasks.earth.blocks import Block
from tasks.earth.catalog import Catalog
from tasks.earth.radiometry import RadiometryError, check_plausible
from tasks.earth.raster import Asset, calibrate, find_asset, open_asset, read_onto
from tasks.earth.sensors import Sensor

Pixels = NDArray[np.float32]


def assets_of(item: pystac.Item, sensor: Sensor) -> dict[str, Asset]:
    """The assets of a scene by band name, in the sensor's order.

    Raises:
        SceneError: a required band is missing.
    """
    found = found_assets(item, sensor)
    for band in sensor.bands:
        if band.required and band.name not in found:
            raise SceneError(
                "missing-asset",
                f"scene {item.id} has no band {band.name}: none of {', '.join(band.aliases)} is among its assets",
            )
    return found


def found_assets(item: pystac.Item, sensor: Sensor) -> dict[str, Asset]:
    """The assets of those bands that a scene has, by band name, in the sensor's order."""
    found = {band.name: find_asset(item, band.aliases) for band in sensor.bands}
    return {name: asset for name, asset in found.items() if asset is not None}


def read_block(assets: dict[str, Asset], block: Block, sensor: Sensor, catalog: Catalog) -> Pixels:
    """Calibrated pixels of the block's windows, [windows, bands, side, side], NaN where there is no data.

    Raises:
        SceneError: an asset cannot be read, or its numbers cannot be what the item says they are.
    """
    target = block.target(sensor.gsd)
    planes = []
    for name, asset in assets.items():
        with open_asset(asset, catalog) as dataset:
            values, valid = read_onto(dataset, target, asset.nodata)
        plane = calibrate(values, valid, asset, sensor.unit)
        try:
            check_plausible(plane, asset.stored, sensor.unit, f"scene {asset.item_id}, band {name}")
        except RadiometryError as error:
            raise SceneError("radiometry", str(error)) from error
        planes.append(plane)
    return np.ascontiguousarray(block.cut(np.stack(planes)))


def to_geotiff(pixels: Pixels, bands: list[str], epsg: int, left: float, top: float, gsd: float) -> bytes:
    """One chip [bands, height, width] as the bytes of a GeoTIFF; the same pixels give the same bytes."""
    return geotiff.encode(pixels, bands, Affine(gsd, 0, left, 0, -gsd, top), f"EPSG:{epsg}")
