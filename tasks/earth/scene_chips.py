"""Chips of one scene: the pixels of its selected windows, calibrated and checked, as rows of `chip_schema.SCHEMA`."""

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np
import polars as pl
import pyarrow as pa
import pystac

from tasks.core.errors import SceneError
from tasks.earth import chip_schema
from tasks.earth.acquisitions import baseline_of
from tasks.earth.assets import Asset
from tasks.earth.blocks import blocks_of
from tasks.earth.catalog import Catalog
from tasks.earth.chip_pixels import Pixels, read_block, to_geotiff
from tasks.earth.grid import polygons_wkb
from tasks.earth.scene import assets_of
from tasks.earth.scene_reader import SceneReader
from tasks.earth.sensors import Sensor

COPIED = [f.name for f in chip_schema.SCHEMA if f.name.endswith("_fraction")]


@dataclass(frozen=True)
class Lost:
    """Windows that could not be read."""

    windows: pl.DataFrame
    error: SceneError


def scene_chips(
    item: pystac.Item,
    windows: pl.DataFrame,
    sensor: Sensor,
    catalog: Catalog,
    cell: int,
    collection: Mapping[str, Any] | None,
    max_gsd_ratio: float,
) -> Iterator[pa.RecordBatch | Lost]:
    """Chips of windows of one scene, some at a time, and those windows that could not be read.

    Args:
        item: the scene.
        windows: of it, rows as stage `select` leaves them.
        sensor: it is of.
        catalog: it is of.
        cell: side of a cell of the global grid, metres.
        collection: STAC document of its collection.
        max_gsd_ratio: how much coarser than its band's GSD a file may be.

    Raises:
        UnreachableError: a server does not answer just now.
    """
    try:
        assets = assets_of(item, sensor, catalog, windows["offset"][0], collection, max_gsd_ratio)
    except SceneError as error:
        yield Lost(windows, error)
        return
    for block, members in blocks_of(windows, sensor.window_cells, cell, sensor.gsd, sensor.band_count):
        try:
            pixels = read_block(assets, block, sensor, SceneReader(item, catalog))
        except SceneError as error:
            yield Lost(members, error)
            continue
        rows = _rows(item, members, pixels, assets, sensor)
        yield pa.RecordBatch.from_pylist(rows, schema=chip_schema.SCHEMA)


def _rows(
    item: pystac.Item, windows: pl.DataFrame, pixels: Pixels, assets: Mapping[str, Asset], sensor: Sensor
) -> list[dict[str, Any]]:
    boxes = windows.select("left", "bottom", "right", "top").to_numpy()
    epsg, gsd = int(windows["epsg"][0]), float(boxes[0, 2] - boxes[0, 0]) / pixels.shape[-1]
    properties, bands = item.properties, list(assets)
    wavelengths = [asset.wavelength for asset in assets.values()] if sensor.cube else None
    common = {
        "item_id": item.id,
        "collection": item.collection_id,
        "sensor": sensor.name,
        "platform": properties.get("platform", ""),
        "processing_baseline": baseline_of(item) or str(properties.get("processing:version") or ""),
        "crs": f"EPSG:{epsg}",
        "height": pixels.shape[-2],
        "width": pixels.shape[-1],
        "bands": bands,
        "wavelengths": wavelengths,
        "unit": sensor.unit,
    }
    rows = []
    for index, (row, geometry) in enumerate(zip(windows.iter_rows(named=True), polygons_wkb(epsg, boxes), strict=True)):
        own = {
            name: row[name]
            for name in [
                "chip_id",
                "window_id",
                "datetime",
                "acquisition",
                "mask_provenance",
                "radiometry",
                *COPIED,
            ]
        }
        chip = pixels[index]
        # Measured on the pixels themselves: the mask may lie on another grid.
        # In cubes a band of absorbed light holds nothing anywhere; that is no hole in the others.
        held = chip[np.isfinite(chip).any(axis=(1, 2))] if sensor.cube else chip
        own["nodata_fraction"] = round(float(np.isnan(held).any(axis=0).mean()), 6) if len(held) else 1.0
        own["transform"] = [gsd, 0.0, row["left"], 0.0, -gsd, row["top"]]
        tiff = to_geotiff(chip, bands, epsg, row["left"], row["top"], gsd)
        rows.append({**common, **own, "geometry": geometry, "pixels": tiff})
    return rows
