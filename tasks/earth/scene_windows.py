"""Candidate windows of one scene: where they lie on the global grid, and what share of each the mask says is what.

Reads the mask asset only; for radar, which has none, the first band tells where there is data.
"""

from collections.abc import Sequence
from typing import Any

import numpy as np
import pyarrow as pa
from numpy.typing import NDArray
from pydantic import Field

from tasks.core.errors import SceneError
from tasks.core.section import Section
from tasks.earth import masks, window_masks
from tasks.earth.areas import Areas
from tasks.earth.blocks import Block, blocks
from tasks.earth.grid import POLAR, GridParams, to_lonlat, window_grid
from tasks.earth.land_mask import is_land
from tasks.earth.luminance import LuminanceParams
from tasks.earth.scene import Scene

LATTICE = 1300
"""Metres between places whose degrees are computed: what lies between them is 0.1 m off at most."""
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


def scan_scene(scene: Scene, areas: Areas, grid: GridParams, params: ScanParams) -> pa.Table:
    """Candidate windows of one scene, rows of `SCHEMA`: in every zone that it touches those that touch an area.

    Raises:
        SceneError: the mask (for radar, the first band) is missing or cannot be read, or no window is both in the scene
            and in an area.
    """
    sensor, batches = scene.sensor, []
    planes = window_masks.planes_of(scene)
    with window_masks.open_mask(scene) as opened:
        for epsg in opened.place.zones:
            windows = window_grid(epsg, grid.cell, sensor.window_cells)
            columns, rows = windows.cells_in(opened.place.bounds_in(epsg))
            mine = windows.in_own_zone(columns, rows)
            mine[mine] = areas.touch(epsg, windows.boxes(columns[mine], rows[mine]))
            size = sensor.window_cells, sensor.gsd, sensor.band_count
            for block in blocks(windows, columns[mine], rows[mine], *size, opened.lie(epsg)):
                # A mask of 20 m says no more at 10 m.
                flags = window_masks.flags(opened, block.target(2 * sensor.gsd), scene, params.luminance)
                measured = fractions(block, flags, planes) | {"land": land_fraction(block, params.land_mask_samples)}
                batches.append(_rows(scene, block, measured))
    if not batches:
        raise SceneError("no-window", f"scene {scene.item.id} has no window that touches an area of params.yaml")
    return pa.Table.from_batches(batches, SCHEMA)


def fractions(block: Block, flags: NDArray[np.uint8], planes: Sequence[str]) -> dict[str, NDArray[np.float64]]:
    """Fraction of each plane in each window of the block, NaN where nothing was measured.

    Args:
        block: the windows.
        flags: of the pixels of its target, as of `masks.flags`.
        planes: those of `masks.PLANES` that the mask holds.
    """
    valid = block.sums(flags & masks.DATA > 0)
    measured = np.where(valid > 0, valid, np.nan)
    side = flags.shape[1] // block.across
    out = {"nodata": 1 - valid / side**2}
    for name in masks.PLANES:
        known = name in planes
        out[name] = (block.sums(flags & masks.FLAGS[name] > 0) if known else np.nan) / measured
    return out


def land_fraction(block: Block, samples: int) -> NDArray[np.float64]:
    """Share of land among samples x samples points of each window, from the GLOBE land mask (30 arc seconds)."""
    size = block.grid.size
    steps = (np.arange(samples) + 0.5) / samples
    # Between places at most LATTICE metres apart degrees are as good as linear; near a pole they are not.
    polar = block.grid.epsg % 100 == POLAR
    count = -(-size // LATTICE) + 1
    nodes = steps if polar or count >= samples else np.linspace(0, 1, count)
    x = (block.columns[:, None, None] + nodes[None, None, :]) * size
    y = (block.rows[:, None, None] + nodes[None, :, None]) * size
    x, y = np.broadcast_arrays(x, y)
    longitude, latitude = (
        np.asarray(one).reshape(x.shape) for one in to_lonlat(block.grid.epsg).transform(x.ravel(), y.ravel())
    )
    if nodes is not steps:
        first = longitude[:, :1, :1]
        longitude = first + (longitude - first + 180) % 360 - 180  # a window may lie on both sides of 180 degrees
        between = np.maximum(1 - np.abs(steps[:, None] * (count - 1) - np.arange(count)), 0)
        longitude, latitude = (between @ one @ between.T for one in (longitude, latitude))
    land = is_land(longitude.ravel(), latitude.ravel()).reshape(len(block.columns), -1)
    return np.asarray(land.mean(axis=1))


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
