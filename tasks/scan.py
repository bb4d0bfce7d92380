"""Stage `scan`: candidate windows on the global grid, and what share of each is nodata, cloud, shadow, water, land.

Reads the mask assets only; for radar, which has none, the first band tells where there is data. Every window that
touches a scene becomes a candidate, also an empty one, so that the ledger can account for all of them.
"""

import logging
from collections.abc import Sequence
from typing import Any

import numpy as np
import pyarrow as pa
import pystac
from numpy.typing import NDArray
from pydantic import Field

from tasks.core import paths, tables
from tasks.core.errors import EmptyStageError, SceneError
from tasks.core.log import progress
from tasks.core.section import Section, load
from tasks.core.stage import Summary, main
from tasks.earth import masks
from tasks.earth.blocks import Block, blocks
from tasks.earth.catalog import Catalog, open_catalog
from tasks.earth.grid import GridParams, WindowGrid, part_of, to_lonlat
from tasks.earth.items import read_items
from tasks.earth.land_mask import is_land
from tasks.earth.raster import Asset, find_asset, open_asset, read_onto, scene_bounds, scene_epsg
from tasks.earth.sensors import SENSORS, Sensor

logger = logging.getLogger(__name__)
SCHEMA = pa.schema(
    [
        ("chip_id", pa.string()),
        ("window_id", pa.string()),
        ("item_id", pa.string()),
        ("collection", pa.string()),
        ("sensor", pa.string()),
        ("datetime", pa.timestamp("us", tz="UTC")),
        ("epsg", pa.int32()),
        ("column", pa.int64()),
        ("row", pa.int64()),
        ("left", pa.float64()),
        ("bottom", pa.float64()),
        ("right", pa.float64()),
        ("top", pa.float64()),
        ("nodata_fraction", pa.float64()),
        *[(f"{name}_fraction", pa.float64()) for name in masks.PLANES],
        ("land_fraction", pa.float64()),
        ("mask_provenance", pa.string()),
    ]
)
"""One row for each window and scene. Fractions are of the window's valid pixels; null where they cannot be measured."""


class ScanParams(Section):
    """`scan:` in params.yaml."""

    land_mask_samples: int = Field(ge=1, le=64, description="the land mask is asked at n x n points of a window")


def scan_scene(
    item: pystac.Item, sensor: Sensor, catalog: Catalog, grid: GridParams, part: int, samples: int
) -> list[pa.RecordBatch]:
    """Candidate windows of one scene that belong to `part`.

    Raises:
        SceneError: the mask (for radar, the first band) is missing or cannot be read.
    """
    asset, provenance = _mask_asset(item, sensor)
    with open_asset(asset, catalog) as dataset:
        epsg = scene_epsg(dataset)
        windows = WindowGrid(epsg, grid.cell * sensor.window_cells)
        columns, rows = windows.cells_in(scene_bounds(dataset, epsg))
        mine = part_of(columns, rows, epsg, sensor.window_cells, len(grid.parts)) == part
        mine &= windows.in_own_zone(columns, rows)
        batches = []
        for block in blocks(windows, columns[mine], rows[mine], sensor.window_cells):
            values, valid = read_onto(dataset, block.target(2 * sensor.gsd), asset.nodata)
            measured = fractions(block, values, valid, sensor) | {"land": land_fraction(block, samples)}
            batches.append(_rows(item, sensor, block, measured, provenance))
    return batches


def _mask_asset(item: pystac.Item, sensor: Sensor) -> tuple[Asset, str]:
    aliases = sensor.mask_aliases or sensor.bands[0].aliases
    asset = find_asset(item, aliases)
    if asset is None:
        what = "quality mask" if sensor.mask else f"band {sensor.bands[0].name}"
        raise SceneError(
            "missing-asset", f"scene {item.id} has no {what}: none of {', '.join(aliases)} is among its assets"
        )
    derived = "derived" in (item.assets[asset.key].roles or [])
    return asset, f"{sensor.mask or 'nodata'}{' (derived)' if derived else ''}"


def fractions(
    block: Block, values: NDArray[Any], valid: NDArray[np.bool_], sensor: Sensor
) -> dict[str, NDArray[np.float64]]:
    """Fraction of each plane in each window of the block, NaN where nothing was measured."""
    found: dict[str, NDArray[np.bool_]] = {}
    if sensor.mask:
        found, has_data = masks.planes(values, sensor.mask)
        valid = valid & has_data
    shares = block.cut(valid).mean(axis=(1, 2))
    out = {"nodata": 1 - shares}
    for name in masks.PLANES:
        if name not in found:
            out[name] = np.full(len(shares), np.nan)
            continue
        with np.errstate(invalid="ignore", divide="ignore"):
            out[name] = block.cut(found[name] & valid).mean(axis=(1, 2)) / shares
    return out


def land_fraction(block: Block, samples: int) -> NDArray[np.float64]:
    """Share of land among samples x samples points of each window, from the GLOBE land mask (30 arc seconds)."""
    steps = (np.arange(samples) + 0.5) / samples * block.grid.size
    x = block.columns[:, None, None] * block.grid.size + steps[None, None, :]
    y = block.rows[:, None, None] * block.grid.size + steps[None, :, None]
    x, y = np.broadcast_arrays(x, y)
    longitude, latitude = to_lonlat(block.grid.epsg).transform(x.ravel(), y.ravel())
    land = is_land(longitude, latitude).reshape(x.shape)
    return np.asarray(land.mean(axis=(1, 2)))


def _rows(
    item: pystac.Item, sensor: Sensor, block: Block, measured: dict[str, NDArray[np.float64]], provenance: str
) -> pa.RecordBatch:
    size, count = block.grid.size, len(block.columns)
    ids = [block.grid.window_id(c, r) for c, r in zip(block.columns.tolist(), block.rows.tolist(), strict=True)]
    left, bottom = block.columns * float(size), block.rows * float(size)
    columns: dict[str, Any] = {
        "chip_id": [f"{window}_{item.id}" for window in ids],
        "window_id": ids,
        "item_id": [item.id] * count,
        "collection": [item.collection_id] * count,
        "sensor": [sensor.name] * count,
        "datetime": [item.datetime or item.common_metadata.start_datetime] * count,
        "epsg": [block.grid.epsg] * count,
        "column": block.columns,
        "row": block.rows,
        "left": left,
        "bottom": bottom,
        "right": left + size,
        "top": bottom + size,
        "mask_provenance": [provenance] * count,
    }
    for name, values in measured.items():
        columns[f"{name}_fraction"] = pa.array(np.round(values, 6), from_pandas=True)
    return pa.RecordBatch.from_arrays([pa.array(columns[f.name], f.type) for f in SCHEMA], schema=SCHEMA)


def scan(
    items: Sequence[pystac.Item], sensor: Sensor, catalog: Catalog, grid: GridParams, part: str, params: ScanParams
) -> tuple[pa.Table, list[dict[str, str]]]:
    """Candidates of all scenes that belong to a part, ordered by chip id, and the scenes that could not be read."""
    batches: list[pa.RecordBatch] = []
    quarantine = []
    for item in progress(items, f"scanning {sensor.name} {part}"):
        try:
            batches += scan_scene(item, sensor, catalog, grid, grid.parts.index(part), params.land_mask_samples)
        except SceneError as error:
            logger.warning("quarantined: %s", error)
            quarantine.append(tables.quarantine_row(sensor.name, item.id, error))
    return pa.Table.from_batches(batches, SCHEMA).sort_by("chip_id"), quarantine


def run(sensor: str, part: str) -> Summary:
    """Scan the windows of one sensor that belong to one part of the grid."""
    params, grid = load(ScanParams, "scan"), load(GridParams, "grid")
    items = read_items(paths.scenes(sensor) / "items.parquet")
    with open_catalog() as catalog:
        candidates, quarantine = scan(items, SENSORS[sensor], catalog, grid, part, params)
    folder = paths.scan(sensor, part)
    tables.write_rows(quarantine, tables.QUARANTINE, folder / "quarantine.parquet")
    if len(quarantine) == len(items):
        reasons = "; ".join(row["detail"] for row in quarantine[:3])
        raise EmptyStageError(f"none of the {len(items)} scenes of {sensor} can be used: {reasons}")
    tables.write(candidates, folder / "windows.parquet")
    return {"scenes": len(items), "quarantined": len(quarantine), "candidates": candidates.num_rows}


if __name__ == "__main__":
    main("scan", run)
