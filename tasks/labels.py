"""Stage `labels`: labels of every candidate window of one sensor.

Label sources are collections of the catalog and files of one's own. Where they cover a scene, they are measured in its
windows: polygons by exact area, lines by length, points by number, rasters by share of pixels, tags as they stand.
Where none does, land cover is read from the scene's own bands by documented rules (tasks/earth/spectral_rules.py), and
each such row is marked as derived.
"""

import logging
from collections.abc import Sequence
from contextlib import closing

import polars as pl
import pystac

from tasks.core import paths, tables
from tasks.core.errors import EmptyStageError, SceneError
from tasks.core.log import progress
from tasks.core.section import load
from tasks.core.stage import Summary, main
from tasks.earth import label_licences
from tasks.earth.asset_versions import read_versions
from tasks.earth.catalog import open_catalog
from tasks.earth.grid import GridParams
from tasks.earth.items import read_collections, read_items
from tasks.earth.label_files import Downloads
from tasks.earth.label_ledger import Ledger
from tasks.earth.label_params import LabelsParams, require_label_source
from tasks.earth.label_sources import LabelSource, Library, open_libraries, windows_of
from tasks.earth.scene_labels import label_scene
from tasks.earth.sensors import SENSORS

logger = logging.getLogger(__name__)


def run(sensor: str) -> Summary:
    """Label the candidate windows of one sensor."""
    params, grid = load(LabelsParams, "labels"), load(GridParams, "grid")
    items = {(item.collection_id, item.id): item for item in read_items(paths.scenes(sensor) / "items.parquet")}
    label_items = read_items(paths.scenes(sensor) / "labels.parquet")
    collections = read_collections(paths.scenes(sensor))
    windows = pl.concat(
        [tables.read_frame(paths.scan(sensor, part) / "windows.parquet") for part in grid.parts]
    ).filter(pl.col("nodata_fraction") < 1)
    folder = paths.labels(sensor)
    ledger = Ledger(sensor, folder)
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
        for (collection, item_id), group in progress(
            windows.group_by("collection", "item_id", maintain_order=True), f"labelling {sensor}"
        ):
            item, described = items[(collection, item_id)], catalog.described(collections, str(collection))
            sources = _for_scene(item, group, libraries)
            try:
                ledger.add(label_scene(item, group, sources, SENSORS[sensor], catalog, params, grid, described))
            except SceneError as error:
                ledger.lose(item.id, error)
            for source in sources:
                for name, lost in source.failed.items():
                    ledger.lose(name, lost)
        for name in sorted(set(offered) - set(params.sources)):
            detail = f"the catalog gives labels of '{name}', but labels.sources does not say how to read them"
            ledger.lose("", SceneError("unknown-source", detail), name)
        imagery = label_licences.imagery(list(items.values()), collections, SENSORS[sensor].credit)
        counts = ledger.write(libraries, refused, imagery)
    if not counts["labels"]:
        raise EmptyStageError(
            f"none of the {windows.height} windows of {sensor} got a label. Label collections of the catalog: "
            f"{sorted({i.collection_id or '' for i in label_items})}; known sources: {sorted(params.sources)}; "
            f"labels.spectral is '{params.spectral}'. {counts['quarantined']} items could not be used, see "
            f"{folder / 'quarantine.parquet'}"
        )
    return {"windows": windows.height, **counts}


def _for_scene(item: pystac.Item, windows: pl.DataFrame, libraries: Sequence[Library]) -> list[LabelSource]:
    places = windows_of(windows)
    when = item.datetime or item.common_metadata.start_datetime
    found = (library.for_scene(places, when) for library in libraries)
    return [source for source in found if source is not None]


if __name__ == "__main__":
    main("labels", run)
