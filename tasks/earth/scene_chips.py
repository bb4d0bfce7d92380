"""Chips of one scene: the pixels of its selected windows, calibrated and checked, as rows of `chip_schema.SCHEMA`."""

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np
import polars as pl
import pyarrow as pa
import pystac
from rasterio.transform import Affine

from tasks.core.errors import SceneError
from tasks.earth import chip_schema, geotiff
from tasks.earth.acquisitions import baseline_of
from tasks.earth.assets import Asset
from tasks.earth.blocks import Block, blocks_of
from tasks.earth.catalog import Catalog
from tasks.earth.chip_pixels import BlockPixels, read_block
from tasks.earth.grid import polygons_wkb
from tasks.earth.scene import assets_of
from tasks.earth.scene_reader import OpenScene, SceneReader
from tasks.earth.sensors import Sensor

COPIED = [
    "chip_id",
    "window_id",
    "datetime",
    "acquisition",
    "mask_provenance",
    "radiometry",
    *(field.name for field in chip_schema.SCHEMA if field.name.endswith("_fraction")),
]
"""Columns of the table of windows that chips have too."""


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
        with SceneReader(item, catalog).open(assets) as opened:
            lost: dict[str, list[Lost]] = {}
            for block, members in blocks_of(
                windows, sensor.window_cells, cell, sensor.gsd, sensor.band_count, opened.lie
            ):
                for some, found in _readable(opened, block, members, sensor):
                    if isinstance(found, SceneError):
                        lost.setdefault(str(found), []).append(Lost(some, found))
                    else:
                        yield from _rows(item, some, found, assets, sensor)
                        del found  # before the next are read
    except SceneError as error:
        yield Lost(windows, error)
        return
    for same in lost.values():
        yield Lost(pl.concat([one.windows for one in same]), same[0].error)


def _readable(
    opened: OpenScene, block: Block, members: pl.DataFrame, sensor: Sensor
) -> Iterator[tuple[pl.DataFrame, BlockPixels | SceneError]]:
    """The pixels of a block; where a part of a file is damaged, of those of its windows that need other parts."""
    try:
        yield members, read_block(opened, block, sensor)
    except SceneError as error:
        if error.reason != "unreadable" or members.height == 1:
            yield members, error
            return
        middle = members.height // 2
        for first, last in ((0, middle), (middle, members.height)):
            yield from _readable(opened, block.part(first, last), members[first:last], sensor)


def _rows(
    item: pystac.Item, windows: pl.DataFrame, pixels: BlockPixels, assets: Mapping[str, Asset], sensor: Sensor
) -> Iterator[pa.RecordBatch]:
    """Chips of the windows of a block, a few at a time."""
    boxes = windows.select("left", "bottom", "right", "top").to_numpy()
    epsg, gsd = int(windows["epsg"][0]), float(boxes[0, 2] - boxes[0, 0]) / pixels.side
    properties, bands, count = item.properties, list(assets), windows.height
    places = [Affine(gsd, 0, left, 0, -gsd, top) for left, top in boxes[:, [0, 3]].tolist()]
    common = {
        "item_id": item.id,
        "collection": item.collection_id,
        "sensor": sensor.name,
        "platform": properties.get("platform", ""),
        "processing_baseline": baseline_of(item) or str(properties.get("processing:version") or ""),
        "crs": f"EPSG:{epsg}",
        "height": pixels.side,
        "width": pixels.side,
        "bands": bands,
        "wavelengths": [asset.wavelength for asset in assets.values()] if sensor.cube else None,
        "unit": sensor.unit,
    }
    given: dict[str, Any] = {name: windows[name].to_arrow() for name in COPIED}
    given |= {name: [value] * count for name, value in common.items()}
    # Measured on the pixels themselves: the mask may lie on another grid.
    given["nodata_fraction"] = np.round(pixels.nodata_fraction, 6)
    given["transform"] = [list(place)[:6] for place in places]
    given["geometry"] = polygons_wkb(epsg, boxes)
    columns = {
        field.name: value.cast(field.type) if isinstance(value, pa.Array) else pa.array(value, field.type)
        for field in chip_schema.SCHEMA
        if (value := given.get(field.name)) is not None
    }
    for first, last in pixels.parts():
        encoded = [
            geotiff.encode_layers(layers, bands, place, f"EPSG:{epsg}")
            for layers, place in zip(pixels.layers(first, last), places[first:last], strict=True)
        ]
        some = {name: column.slice(first, last - first) for name, column in columns.items()}
        some["pixels"] = pa.array(encoded, chip_schema.SCHEMA.field("pixels").type)
        yield pa.RecordBatch.from_arrays([some[name] for name in chip_schema.SCHEMA.names], schema=chip_schema.SCHEMA)
