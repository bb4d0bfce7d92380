"""Stage `scan`: candidate windows on the global grid, and what share of each is nodata, cloud, shadow, water, land.

Reads the mask assets only; for radar, which has none, the first band tells where there is data. Every window that
touches a scene becomes a candidate, also an empty one, so that the ledger can account for all of them. A scene is read
once, whichever runs ask for it: `tasks.core.results`.
"""

import logging
import shutil
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import pyarrow as pa
import pystac

from tasks.core import paths, tables
from tasks.core.errors import SceneError
from tasks.core.fan_out import fan_out
from tasks.core.log import progress
from tasks.core.section import load
from tasks.core.stage import Summary, address, main, read_json
from tasks.earth import offset
from tasks.earth.areas import Areas, load_areas
from tasks.earth.asset_versions import read_versions
from tasks.earth.catalog import Catalog, open_catalog
from tasks.earth.grid import GridParams
from tasks.earth.items import read_collections, read_items
from tasks.earth.parts import of_part
from tasks.earth.scan_jobs import VERDICT, WINDOWS, ScanWork
from tasks.earth.scene import RADIOMETRY, scene_names
from tasks.earth.scene_jobs import CatalogAddress
from tasks.earth.scene_windows import SCHEMA, ScanParams
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
    scratch: Path,
) -> tuple[pa.Table, list[dict[str, str]], list[dict[str, Any]]]:
    """Candidates of all scenes, ordered by chip id, the scenes that could not be read, and what
    was decided of the numbers of the others; `scratch` is a folder for results of this run alone.
    """
    found: list[pa.Table] = []
    quarantine, decided = [], []
    work = ScanWork(sensor.name, CatalogAddress.of(catalog), grid, params)
    jobs = (
        work.job(item, name, collections, areas, catalog)
        for item, name in zip(progress(items, f"scanning {sensor.name}"), scene_names(items), strict=True)
    )
    results = fan_out(work, jobs, scratch)
    for item, (_, result) in zip(items, results, strict=True):
        if isinstance(result, SceneError):
            logger.warning("quarantined: %s", result)
            quarantine.append(tables.quarantine_row(sensor.name, item.id, result))
            continue
        found.append(tables.read(result / WINDOWS))
        verdict = read_json(result / VERDICT)
        if verdict:
            text = verdict.pop("text")
            if verdict["agrees"] != "yes":
                logger.warning("scene %s: %s: %s", item.id, text, verdict["claims"])
            decided.append(verdict)
    return pa.concat_tables([SCHEMA.empty_table(), *found]).sort_by("chip_id"), quarantine, decided


def run(sensor: str, part: str) -> Summary:
    """Scan the scenes of one sensor that belong to one part."""
    params, grid = load(ScanParams, "scan"), load(GridParams, "grid")
    items = of_part(read_items(paths.scenes(sensor) / "items.parquet"), part, grid.parts)
    collections = read_collections(paths.scenes(sensor))
    areas = load_areas()
    scratch = paths.work(address("scan", sensor, part))
    with open_catalog() as catalog:
        catalog.frozen = read_versions(paths.scenes(sensor))
        found = scan(items, collections, areas, SENSORS[sensor], catalog, grid, params, scratch)
    candidates, quarantine, decided = found
    folder = paths.scan(sensor, part)
    tables.write_rows(quarantine, tables.QUARANTINE, folder / "quarantine.parquet")
    tables.write_rows(decided, RADIOMETRY, folder / "radiometry.parquet")
    tables.write(candidates, folder / "windows.parquet")
    shutil.rmtree(scratch, ignore_errors=True)
    if not items:
        logger.info("no scene of %s lies in part %s: its tables are empty", sensor, part)
    return {
        "scenes": len(items),
        "quarantined": len(quarantine),
        "candidates": candidates.num_rows,
        "offset": offset.summary([(row["state"], row["decided_by"], row["agrees"] == "yes") for row in decided]),
    }


if __name__ == "__main__":
    main("scan", run)
