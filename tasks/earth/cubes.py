"""The bands of a hyperspectral scene, as many as its file has, as assets like those of any other scene."""

from collections.abc import Mapping
from dataclasses import replace
from typing import Any

import pystac

from tasks.core.errors import SceneError
from tasks.earth.assets import Asset, bands_of_cube
from tasks.earth.catalog import Catalog
from tasks.earth.hyperspectral import spectral_bands
from tasks.earth.raster import open_asset
from tasks.earth.sensors import CUBE_BANDS, Sensor

CENTRES = ("center_wavelength", "eo:center_wavelength", "bad", "enmap:bad")
"""What an item says of a band's light; a list of scales alone says nothing of it."""


def assets(
    item: pystac.Item, sensor: Sensor, catalog: Catalog, collection: Mapping[str, Any] | None, max_gsd_ratio: float
) -> dict[str, Asset]:
    """The assets of a cube's bands that hold something, by name, in ascending order of wavelength.

    Args:
        item: the scene, whose file is there.
        sensor: an entry with `cube`.
        catalog: the file is read from, for its count of bands and what it says of them.
        collection: STAC document of the item's collection.
        max_gsd_ratio: how much coarser than the sensor's GSD the file may be.

    Raises:
        SceneError: its bands or their wavelengths are not known, or are more than memory is planned for.
        UnreachableError: a server does not answer just now.
    """
    described = bands_of_cube(item, sensor, collection, max_gsd_ratio)
    first = described[0][0]
    fields = [said for _, said in described]
    declared = fields if any(name in said for said in fields for name in CENTRES) else []
    with open_asset(first, catalog) as opened:
        count = opened.dataset.count
        if count > CUBE_BANDS:
            raise SceneError(
                "bands", f"{opened.where} has {count} bands, more than the {CUBE_BANDS} that fit in memory"
            )
        if len(described) not in (1, count):
            raise SceneError("bands", f"{opened.where} has {count} bands, and its item describes {len(described)}")
        bands = spectral_bands(opened.dataset, declared, opened.where)
    of_file = [asset for asset, _ in described] if len(described) == count else [first] * count
    return {band.name: replace(of_file[band.index - 1], band=band.index, wavelength=band.wavelength) for band in bands}
