"""Stage `labels`: labels of every candidate window of one part of a sensor.

Label sources are collections of the catalog and files of one's own. Where they cover a scene, they are measured in its
windows: polygons by exact area, lines by length, points by number, rasters by share of pixels, tags as they stand.
Where none does, land cover is read from the scene's own bands by documented rules (tasks/earth/spectral_rules.py), and
each such row is marked as derived. A scene is labelled once, whichever runs ask for it: `tasks.core.results`.
"""

import logging
import shutil
from contextlib import closing

import polars as pl

from tasks.core import paths, tables
from tasks.core.errors import SceneError
from tasks.core.fan_out import fan_out
from tasks.core.log import progress
from tasks.core.section import load
from tasks.core.stage import Summary, address, main
from tasks.earth import label_licences
from tasks.earth.asset_versions import read_versions
from tasks.earth.catalog import open_catalog
from tasks.earth.grid import GridParams
from tasks.earth.items import read_collections, read_items
from tasks.earth.label_files import Downloads
from tasks.earth.label_jobs import LabelWork
from tasks.earth.label_ledger import Ledger
from tasks.earth.label_params import LabelsParams, require_label_source
from tasks.earth.label_sources import open_libraries
from tasks.earth.parts import of_part
from tasks.earth.scene_jobs import CatalogAddress
from tasks.earth.sensors import SENSORS

logger = logging.getLogger(__name__)


def run(sensor: str, part: str) -> Summary:
    """Label the candidate windows of one sensor and part."""
    params, grid = load(LabelsParams, "labels"), load(GridParams, "grid")
    scenes = of_part(read_items(paths.scenes(sensor) / "items.parquet"), part, grid.parts)
    items = {(str(item.collection_id), item.id): item for item in scenes}
    label_items = read_items(paths.scenes(sensor) / "labels.parquet")
    collections = read_collections(paths.scenes(sensor))
    windows = tables.read_frame(paths.scan(sensor, part) / "windows.parquet").filter(pl.col("nodata_fraction") < 1)
    groups = windows.partition_by("collection", "item_id", as_dict=True, maintain_order=True)
    folder, scratch = paths.labels(sensor, part), paths.work(address("labels", sensor, part))
    shutil.rmtree(scratch, ignore_errors=True)
    ledger = Ledger(sensor, folder, scratch)
    with open_catalog() as catalog, closing(Downloads(catalog)) as downloads:
        catalog.frozen = read_versions(paths.scenes(sensor))
        offered = sorted({item.collection_id or "" for item in label_items})
        require_label_source(SENSORS[sensor], catalog.name, offered, params)
        origins = {
            name: label_licences.origin(name, source, [i for i in label_items if i.collection_id == name], collections)
            for name, source in {**params.of_files(), **params.of_catalog(offered)}.items()
        }
        good, refused = label_licences.allowed(origins, params)
        libraries, nowhere = open_libraries(params, label_items, catalog, downloads, good)
        for lost in nowhere:
            ledger.lose("", lost)
        work = LabelWork(sensor, CatalogAddress.of(catalog), grid, params, good)
        labels_by_id = {(str(item.collection_id), item.id): item for item in label_items}
        jobs = (
            work.job(items[(str(key[0]), str(key[1]))], group, libraries, labels_by_id, collections, catalog)
            for key, group in progress(groups.items(), f"labelling {sensor} {part}", len(groups))
        )
        known = {library.name: library for library in libraries}
        for job, result in fan_out(work, jobs, scratch / "results"):
            if isinstance(result, SceneError):
                ledger.lose(job.argument.scene.item_id, result)
            else:
                ledger.add(result, known)
        for name in sorted(set(offered) - set(params.sources)):
            detail = f"the catalog gives labels of '{name}', but labels.sources does not say how to read them"
            ledger.lose("", SceneError("unknown-source", detail), name)
        imagery = label_licences.imagery(list(items.values()), collections, SENSORS[sensor].credit)
        counts = ledger.write(libraries, refused, imagery)
    shutil.rmtree(scratch, ignore_errors=True)
    if windows.is_empty():
        logger.info("no window of %s lies in part %s: its tables are empty", sensor, part)
    elif not counts["labels"]:
        logger.warning(
            "none of the %d windows of %s in part %s got a label. Label collections of the catalog: %s; known sources: "
            "%s; labels.spectral is '%s'. %d items could not be used, see %s",
            windows.height, sensor, part, sorted({i.collection_id or "" for i in label_items}), sorted(params.sources),
            params.spectral, counts["quarantined"], folder / "quarantine.parquet",
        )  # fmt: skip
    return {"windows": windows.height, **counts}


if __name__ == "__main__":
    main("labels", run)
