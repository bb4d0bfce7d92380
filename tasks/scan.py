"""Stage `scan`: candidate windows on the global grid, and what share of each is nodata, cloud, shadow, water, land.

Reads the mask assets only; for radar, which has none, the first band tells where there is data. Every window that
touches a scene becomes a candidate, also an empty one, so that the ledger can account for all of them.
"""

import logging
from collections.abc import Mapping, Sequence
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
from tasks.earth import masks, offset, window_masks
from tasks.earth.areas import Areas, load_areas
from tasks.earth.asset_versions import read_versions
from tasks.earth.blocks import Block, blocks
from tasks.earth.catalog import Catalog, open_catalog
from tasks.earth.grid import GridParams, part_of, to_lonlat, window_grid
from tasks.earth.items import read_collections, read_items
from tasks.earth.land_mask import is_land
from tasks.earth.luminance import LuminanceParams
from tasks.earth.scene import RADIOMETRY, Scene, open_scene, scene_names
from tasks.earth.sensors import SENSORS, Sensor

logger = logging.getLogger(__name__)
SCHEMA = pa.schema(
    [
        ("chip_id", pa.string()),
        ("window_id", pa.string()),
        ("item_id", pa.string()),
        ("collection", pa.string()),
        ("acquisition", pa.string()),
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
        ("radiometry", pa.string()),  # what was decided of the offset in the scene's numbers, and by what
        ("offset", pa.float64()),  # to be added after the scale; null where the declared one holds
    ]
)
"""One row for each window and scene. Fractions are of the window's valid pixels; null where they cannot be measured."""


class ScanParams(Section):
    """`scan:` in params.yaml."""

    land_mask_samples: int = Field(ge=1, le=64, description="the land mask is asked at n x n points of a window")
    luminance: LuminanceParams = Field(
        default_factory=lambda: LuminanceParams.model_validate({}), description="cloud in images without a mask"
    )


def scan_scene(scene: Scene, areas: Areas, grid: GridParams, part: int, params: ScanParams) -> list[pa.RecordBatch]:
    """Candidate windows of one scene that belong to `part`: in every zone that it touches those that touch an area.

    Raises:
        SceneError: the mask (for radar, the first band) is missing or cannot be read, or no window is both in the scene
            and in an area.
    """
    sensor, batches, touched = scene.sensor, [], 0
    with scene.reader.open(scene.shown) as opened:
        for epsg in opened.place.zones:
            windows = window_grid(epsg, grid.cell, sensor.window_cells)
            columns, rows = windows.cells_in(opened.place.bounds_in(epsg))
            mine = windows.in_own_zone(columns, rows)
            mine[mine] = areas.touch(epsg, windows.boxes(columns[mine], rows[mine]))
            touched += int(mine.sum())
            mine &= part_of(columns, rows, epsg, sensor.window_cells, len(grid.parts)) == part
            for block in blocks(windows, columns[mine], rows[mine], sensor.window_cells, sensor.gsd, sensor.band_count):
                # A mask of 20 m says no more at 10 m.
                planes = window_masks.planes(opened, block.target(2 * sensor.gsd), scene, params.luminance)
                measured = fractions(block, *planes)
                batches.append(_rows(scene, block, measured | {"land": land_fraction(block, params.land_mask_samples)}))
    if not touched:
        raise SceneError("no-window", f"scene {scene.item.id} has no window that touches an area of params.yaml")
    return batches


def fractions(
    block: Block, found: dict[str, NDArray[np.bool_]], valid: NDArray[np.bool_]
) -> dict[str, NDArray[np.float64]]:
    """Fraction of each plane in each window of the block, NaN where nothing was measured."""
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


def _rows(scene: Scene, block: Block, measured: dict[str, NDArray[np.float64]]) -> pa.RecordBatch:
    item = scene.item
    size, count = block.grid.size, len(block.columns)
    ids = [block.grid.window_id(c, r) for c, r in zip(block.columns.tolist(), block.rows.tolist(), strict=True)]
    left, bottom = block.columns * float(size), block.rows * float(size)
    columns: dict[str, Any] = {
        "chip_id": [f"{window}_{scene.name}" for window in ids],
        "window_id": ids,
        "item_id": [item.id] * count,
        "collection": [item.collection_id] * count,
        "acquisition": [scene.acquisition] * count,
        "sensor": [scene.sensor.name] * count,
        "datetime": [item.datetime or item.common_metadata.start_datetime] * count,
        "epsg": [block.grid.epsg] * count,
        "column": block.columns,
        "row": block.rows,
        "left": left,
        "bottom": bottom,
        "right": left + size,
        "top": bottom + size,
        "mask_provenance": [scene.mask_provenance] * count,
        "radiometry": [scene.radiometry] * count,
        "offset": [next(iter(scene.assets.values())).offset if scene.verdict else None] * count,
    }
    for name, values in measured.items():
        columns[f"{name}_fraction"] = pa.array(np.round(values, 6), from_pandas=True)
    return pa.RecordBatch.from_arrays([pa.array(columns[f.name], f.type) for f in SCHEMA], schema=SCHEMA)


def scan(
    items: Sequence[pystac.Item],
    collections: Mapping[str, Any],
    areas: Areas,
    sensor: Sensor,
    catalog: Catalog,
    grid: GridParams,
    part: str,
    params: ScanParams,
) -> tuple[pa.Table, list[dict[str, str]], list[dict[str, Any]]]:
    """Candidates of all scenes that belong to a part, ordered by chip id, the scenes that could not be read, and what
    was decided of the numbers of the others.
    """
    batches: list[pa.RecordBatch] = []
    quarantine, decided = [], []
    names = scene_names(items)
    for item, name in zip(progress(items, f"scanning {sensor.name} {part}"), names, strict=True):
        try:
            collection = catalog.described(collections, item.collection_id)
            scene = open_scene(item, name, sensor, catalog, grid.max_gsd_ratio, collection)
            batches += scan_scene(scene, areas, grid, grid.parts.index(part), params)
        except SceneError as error:
            logger.warning("quarantined: %s", error)
            quarantine.append(tables.quarantine_row(sensor.name, item.id, error))
            continue
        if scene.verdict:
            if not scene.verdict.agrees:
                logger.warning("scene %s: %s: %s", item.id, scene.verdict.text, scene.verdict.claims)
            decided.append(scene.radiometry_row)
    return pa.Table.from_batches(batches, SCHEMA).sort_by("chip_id"), quarantine, decided


def run(sensor: str, part: str) -> Summary:
    """Scan the windows of one sensor that belong to one part of the grid."""
    params, grid = load(ScanParams, "scan"), load(GridParams, "grid")
    items = read_items(paths.scenes(sensor) / "items.parquet")
    collections = read_collections(paths.scenes(sensor))
    areas = load_areas()
    with open_catalog() as catalog:
        catalog.frozen = read_versions(paths.scenes(sensor))
        found = scan(items, collections, areas, SENSORS[sensor], catalog, grid, part, params)
    candidates, quarantine, decided = found
    folder = paths.scan(sensor, part)
    tables.write_rows(quarantine, tables.QUARANTINE, folder / "quarantine.parquet")
    tables.write_rows(decided, RADIOMETRY, folder / "radiometry.parquet")
    if len(quarantine) == len(items):
        reasons = "; ".join(row["detail"] for row in quarantine[:3])
        raise EmptyStageError(f"none of the {len(items)} scenes of {sensor} can be used: {reasons}")
    tables.write(candidates, folder / "windows.parquet")
    return {
        "scenes": len(items),
        "quarantined": len(quarantine),
        "candidates": candidates.num_rows,
        "offset": offset.summary([(row["state"], row["decided_by"], row["agrees"] == "yes") for row in decided]),
    }


if __name__ == "__main__":
    main("scan", run)
