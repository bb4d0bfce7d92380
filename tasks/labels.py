"""Stage `labels`: labels of every candidate window of one sensor.

Where label items of the catalog cover a scene, they are measured in its windows: polygons by exact area, rasters by
share of pixels, tags as they stand. Where none does, land cover is read from the scene's own bands by documented
rules (tasks/earth/spectral_rules.py), and each such row is marked as derived.
"""

import logging
from collections.abc import Mapping, Sequence
from typing import Any, Literal

import numpy as np
import polars as pl
import pystac
import shapely
from pydantic import Field

from tasks.core import paths, tables
from tasks.core.errors import EmptyStageError, SceneError
from tasks.core.log import progress
from tasks.core.section import Section, load
from tasks.core.stage import Summary, main, write_json
from tasks.earth import label_fractions, spectral_rules
from tasks.earth.blocks import Block, blocks_of
from tasks.earth.catalog import Catalog, open_catalog
from tasks.earth.chip_pixels import read_planes
from tasks.earth.grid import GridParams
from tasks.earth.items import read_collections, read_items
from tasks.earth.label_sources import GSD_FACTOR, LabelSource, SourceParams, vocabulary
from tasks.earth.scene import assets_of
from tasks.earth.sensors import SENSORS, Sensor

logger = logging.getLogger(__name__)


class LabelsParams(Section):
    """`labels:` in params.yaml."""

    min_fraction: float = Field(gt=0, le=1, description="a label covering less of a window is not there")
    spectral: Literal["auto", "always", "never"] = Field(
        description="read land cover from the bands; auto: only where no label source covers the scene"
    )
    sources: dict[str, SourceParams] = Field(description="by collection")


def label_scene(
    item: pystac.Item,
    windows: pl.DataFrame,
    sources: Sequence[LabelSource],
    sensor: Sensor,
    catalog: Catalog,
    params: LabelsParams,
    grid: GridParams,
    collection: Mapping[str, Any] | None,
) -> list[dict[str, Any]]:
    """Label rows of one scene's windows.

    Raises:
        SceneError: a label item, or for spectral rules a band, cannot be read.
    """
    rows: list[dict[str, Any]] = []
    wanted = params.spectral == "always" or (params.spectral == "auto" and not sources)
    by_rules = spectral_rules.bands_of(sensor) if wanted else None
    for block, members in blocks_of(windows, sensor.window_cells, grid.cell, sensor.gsd):
        chip_ids = members["chip_id"].to_list()
        gsd = GSD_FACTOR * sensor.gsd
        for source in sources:
            rows += source.measure(block, chip_ids, gsd, params.min_fraction)
        if by_rules:
            rows += _spectral_rows(
                item, block, chip_ids, sensor, by_rules, catalog, params.min_fraction,
                offset_added=members["offset"][0], collection=collection, max_gsd_ratio=grid.max_gsd_ratio,
            )  # fmt: skip
    return rows


def _spectral_rows(
    item: pystac.Item,
    block: Block,
    chip_ids: list[str],
    sensor: Sensor,
    by_rules: Mapping[str, str],
    catalog: Catalog,
    min_fraction: float,
    *,
    offset_added: float | None,
    collection: Mapping[str, Any] | None,
    max_gsd_ratio: float,
) -> list[dict[str, Any]]:
    assets = assets_of(item, sensor, offset_added, collection, max_gsd_ratio)
    wanted = {band: assets[band] for band in by_rules.values() if band in assets}
    if len(wanted) < len(by_rules):
        lacking = ", ".join(band for band in by_rules.values() if band not in wanted)
        raise SceneError("missing-asset", f"scene {item.id} has no band {lacking}, needed to read land cover")
    planes = read_planes(wanted, block.target(GSD_FACTOR * sensor.gsd), sensor, catalog)
    bands = {name: planes[band] for name, band in by_rules.items()}
    found = spectral_rules.classify(bands)
    valid = np.logical_or.reduce(list(found.values()))
    return label_fractions.planes(
        block, chip_ids, found, valid, min_fraction, source=spectral_rules.SOURCE, kind="area", derived=True
    )


def sources_of(
    item: pystac.Item, label_items: Sequence[pystac.Item], params: LabelsParams, catalog: Catalog
) -> list[LabelSource]:
    """The label items that touch a scene's footprint, of the sources that params.yaml knows how to read."""
    if item.geometry is None:
        return []
    footprint = shapely.geometry.shape(item.geometry)
    return [
        LabelSource(label, label.collection_id, params.sources[label.collection_id], catalog)
        for label in label_items
        if label.collection_id in params.sources
        and label.geometry is not None
        and shapely.geometry.shape(label.geometry).intersects(footprint)
    ]


def run(sensor: str) -> Summary:
    """Label the candidate windows of one sensor."""
    params, grid = load(LabelsParams, "labels"), load(GridParams, "grid")
    items = {(item.collection_id, item.id): item for item in read_items(paths.scenes(sensor) / "items.parquet")}
    collections = read_collections(paths.scenes(sensor))
    label_items = read_items(paths.scenes(sensor) / "labels.parquet")
    windows = pl.concat(
        [tables.read_frame(paths.scan(sensor, part) / "windows.parquet") for part in grid.parts]
    ).filter(pl.col("nodata_fraction") < 1)
    rows: list[dict[str, Any]] = []
    quarantine: list[dict[str, str]] = []
    with open_catalog() as catalog:
        scenes = windows.group_by("collection", "item_id", maintain_order=True)
        for (collection, item_id), group in progress(scenes, f"labelling {sensor}"):
            item = items[str(collection), str(item_id)]
            try:
                sources = sources_of(item, label_items, params, catalog)
                described = collections.get(str(collection))
                rows += label_scene(item, group, sources, SENSORS[sensor], catalog, params, grid, described)
            except SceneError as error:
                logger.warning("quarantined: %s", error)
                quarantine.append(tables.quarantine_row(sensor, item.id, error))
    folder = paths.labels(sensor)
    tables.write_rows(quarantine, tables.QUARANTINE, folder / "quarantine.parquet")
    if not rows:
        raise EmptyStageError(
            f"none of the {windows.height} windows of {sensor} got a label. Label collections of the catalog: "
            f"{sorted({i.collection_id or '' for i in label_items})}; known sources: {sorted(params.sources)}; "
            f"labels.spectral is '{params.spectral}'"
        )
    rows.sort(key=lambda row: (row["chip_id"], row["label"], row["source"]))
    tables.write_rows(rows, label_fractions.SCHEMA, folder / "labels.parquet")
    write_json(folder / "sources.json", _sources(rows, params))
    used = sorted({row["source"] for row in rows})
    return {
        "windows": windows.height,
        "labelled": len({row["chip_id"] for row in rows}),
        "quarantined": len(quarantine),
        "labels": len(rows),
        "by_source": {source: sum(row["source"] == source for row in rows) for source in used},
    }


def _sources(rows: Sequence[dict[str, Any]], params: LabelsParams) -> dict[str, Any]:
    """What each source used can say: its vocabulary, and whether a label it does not give is absent."""
    out: dict[str, Any] = {}
    for name in sorted({row["source"] for row in rows}):
        seen = [row["label"] for row in rows if row["source"] == name]
        if name == spectral_rules.SOURCE:
            out[name] = {
                "kind": "spectral",
                "complete": True,
                "labels": sorted(spectral_rules.CLASSES),
                "derived": True,
            }
        else:
            source = params.sources[name]
            labels = vocabulary(source, seen)
            out[name] = {"kind": source.kind, "complete": source.complete, "labels": labels, "derived": False}
    return out


if __name__ == "__main__":
    main("labels", run)
