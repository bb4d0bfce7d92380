"""Stage `scan`: candidate windows on the global grid, and what share of each is nodata, cloud, shadow, water, land.

Reads the mask assets only; for radar, which has none, the first band tells where there is data. Every window that
touches a scene becomes a candidate, also an empty one, so that the ledger can account for all of them.
"""

import logging
from collections.abc import Mapping, Sequence
from typing import Any

import pyarrow as pa
import pystac

from tasks.core import paths, tables
from tasks.core.errors import EmptyStageError, SceneError
from tasks.core.log import progress
from tasks.core.section import load
from tasks.core.stage import Summary, main
from tasks.earth import offset
from tasks.earth.areas import Areas, load_areas
from tasks.earth.asset_versions import read_versions
from tasks.earth.catalog import Catalog, open_catalog
from tasks.earth.grid import GridParams
from tasks.earth.items import read_collections, read_items
from tasks.earth.parts import of_part
from tasks.earth.scene import RADIOMETRY, open_scene, scene_names
from tasks.earth.scene_windows import SCHEMA, ScanParams, scan_scene
from tasks.earth.sensors import SENSORS, Sensor

logger = logging.getLogger(__name__)


def scan(
    items: Sequence[pystac.Item],
    collections: Mapping[str, Any],
    areas: Areas,
    sensor: Sensor,
    catalog: Catalog,
    grid: GridParams,
    params: ScanParams,
) -> tuple[pa.Table, list[dict[str, str]], list[dict[str, Any]]]:
    """Candidates of all scenes, ordered by chip id, the scenes that could not be read, and what
    was decided of the numbers of the others.
    """
    found: list[pa.Table] = []
    quarantine, decided = [], []
    names = scene_names(items)
    for item, name in zip(progress(items, f"scanning {sensor.name}"), names, strict=True):
        try:
            collection = catalog.described(collections, item.collection_id)
            scene = open_scene(item, name, sensor, catalog, grid.max_gsd_ratio, collection)
            found.append(scan_scene(scene, areas, grid, params))
        except SceneError as error:
            logger.warning("quarantined: %s", error)
            quarantine.append(tables.quarantine_row(sensor.name, item.id, error))
            continue
        if scene.verdict:
            if not scene.verdict.agrees:
                logger.warning("scene %s: %s: %s", item.id, scene.verdict.text, scene.verdict.claims)
            decided.append(scene.radiometry_row)
    return pa.concat_tables([SCHEMA.empty_table(), *found]).sort_by("chip_id"), quarantine, decided


def run(sensor: str, part: str) -> Summary:
    """Scan the scenes of one sensor that belong to one part."""
    params, grid = load(ScanParams, "scan"), load(GridParams, "grid")
    items = of_part(read_items(paths.scenes(sensor) / "items.parquet"), part, grid.parts)
    collections = read_collections(paths.scenes(sensor))
    areas = load_areas()
    with open_catalog() as catalog:
        catalog.frozen = read_versions(paths.scenes(sensor))
        found = scan(items, collections, areas, SENSORS[sensor], catalog, grid, params)
    candidates, quarantine, decided = found
    folder = paths.scan(sensor, part)
    tables.write_rows(quarantine, tables.QUARANTINE, folder / "quarantine.parquet")
    tables.write_rows(decided, RADIOMETRY, folder / "radiometry.parquet")
    if items and len(quarantine) == len(items):
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
