"""Shards of chips: planned in block order, read scene by scene, each written whole or not at all."""

import json
import logging
import shutil
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import polars as pl
import pystac

from tasks.core import tables
from tasks.core.errors import SceneError
from tasks.core.log import progress
from tasks.core.stage import write_json
from tasks.earth import chip_schema as chip_table
from tasks.earth.acquisitions import baseline_of
from tasks.earth.assets import Asset, resolve
from tasks.earth.blocks import Block, blocks_of
from tasks.earth.catalog import Catalog
from tasks.earth.chip_pixels import Pixels, read_block, to_geotiff
from tasks.earth.grid import polygons_wkb
from tasks.earth.scene import assets_of
from tasks.earth.scene_reader import SceneReader
from tasks.earth.sensors import Sensor

logger = logging.getLogger(__name__)
Rows = list[dict[str, Any]]
ItemKey = tuple[str, str]
"""Collection and id of an item: ids are unique within their collection only."""
COPIED = [f.name for f in chip_table.SCHEMA if f.name.endswith("_fraction")]


class ShardWriter:
    """Reads the windows of shards and makes their rows."""

    def __init__(
        self,
        sensor: Sensor,
        catalog: Catalog,
        items: Mapping[ItemKey, pystac.Item],
        collections: Mapping[str, Any],
        max_gsd_ratio: float,
    ) -> None:
        self.sensor = sensor
        self.catalog = catalog
        self.items = items
        self.collections = collections
        self.max_gsd_ratio = max_gsd_ratio

    def shard(self, plan: Sequence[tuple[Block, pl.DataFrame]]) -> tuple[Rows, Rows]:
        """Chips of the blocks of one shard, and quarantine rows for the windows that could not be read."""
        rows: Rows = []
        quarantine: Rows = []
        for block, windows in plan:
            item = self.items[_key(windows)]
            collection = self.catalog.described(self.collections, item.collection_id)
            try:
                assets = assets_of(
                    item, self.sensor, self.catalog, windows["offset"][0], collection, self.max_gsd_ratio
                )
                pixels = read_block(assets, block, self.sensor, SceneReader(item, self.catalog))
            except SceneError as error:
                logger.warning("quarantined %d windows: %s", windows.height, error)
                quarantine.append(
                    {
                        **tables.quarantine_row(self.sensor.name, item.id, error),
                        "detail": f"{windows.height} windows, the first {windows['chip_id'][0]}: {error}",
                        "windows": windows.height,
                    }
                )
                continue
            rows += self._rows(item, windows, pixels, assets)
        return rows, quarantine

    def versions(self, plan: Sequence[tuple[Block, pl.DataFrame]]) -> list[str | None]:
        """What the servers say of the version of each asset that a shard is read from, in the order of their hrefs."""
        found: dict[str, Asset] = {}
        for key in sorted({_key(windows) for _, windows in plan}):
            # The collection's document may be all that says which band an asset is: without it some would be missed.
            collection = self.catalog.described(self.collections, key[0])
            found |= {
                asset.href: asset
                for asset in resolve(self.items[key], self.sensor, collection, self.max_gsd_ratio).values()
            }
        return [self.catalog.version(href, self.catalog.store(found[href])) for href in sorted(found)]

    def _rows(self, item: pystac.Item, windows: pl.DataFrame, pixels: Pixels, assets: Mapping[str, Asset]) -> Rows:
        boxes = windows.select("left", "bottom", "right", "top").to_numpy()
        epsg, gsd = int(windows["epsg"][0]), float(boxes[0, 2] - boxes[0, 0]) / pixels.shape[-1]
        properties, bands = item.properties, list(assets)
        wavelengths = [asset.wavelength for asset in assets.values()] if self.sensor.cube else None
        common = {
            "item_id": item.id,
            "collection": item.collection_id,
            "sensor": self.sensor.name,
            "platform": properties.get("platform", ""),
            "processing_baseline": baseline_of(item) or str(properties.get("processing:version") or ""),
            "crs": f"EPSG:{epsg}",
            "height": pixels.shape[-2],
            "width": pixels.shape[-1],
            "bands": bands,
            "wavelengths": wavelengths,
            "unit": self.sensor.unit,
        }
        rows = []
        for index, (row, geometry) in enumerate(
            zip(windows.iter_rows(named=True), polygons_wkb(epsg, boxes), strict=True)
        ):
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
            held = chip[np.isfinite(chip).any(axis=(1, 2))] if self.sensor.cube else chip
            own["nodata_fraction"] = round(float(np.isnan(held).any(axis=0).mean()), 6) if len(held) else 1.0
            own["transform"] = [gsd, 0.0, row["left"], 0.0, -gsd, row["top"]]
            tiff = to_geotiff(chip, bands, epsg, row["left"], row["top"], gsd)
            rows.append({**common, **own, "geometry": geometry, "pixels": tiff})
        return rows


def _key(windows: pl.DataFrame) -> ItemKey:
    return str(windows["collection"][0]), str(windows["item_id"][0])


def plan_shards(windows: pl.DataFrame, sensor: Sensor, cell: int, size: int) -> list[list[tuple[Block, pl.DataFrame]]]:
    """Blocks of windows grouped into shards of about `size` chips, scene by scene in block order."""
    shards: list[list[tuple[Block, pl.DataFrame]]] = [[]]
    filled = 0
    ordered = windows.sort(
        "item_id", "collection", "epsg", "row", "column", descending=[False, False, False, True, False]
    )
    for _, scene in ordered.group_by("item_id", "collection", maintain_order=True):
        for block, members in blocks_of(scene, sensor.window_cells, cell, sensor.gsd, sensor.band_count):
            if filled >= size:
                shards.append([])
                filled = 0
            shards[-1].append((block, members))
            filled += members.height
    return [shard for shard in shards if shard]


def write_shards(
    plan: Sequence[Sequence[tuple[Block, pl.DataFrame]]], writer: ShardWriter, work: Path, title: str
) -> Iterator[Rows]:
    """Write the shards that `work` does not hold yet; yields the quarantine rows of each.

    A shard is taken from an earlier run if it is whole, nothing of it was quarantined (a scene may have been repaired
    since) and every asset it was read from is still what it was.
    """
    for number, shard in enumerate(progress(plan, title)):
        path, record = work / f"shard-{number:05d}.parquet", work / f"shard-{number:05d}.json"
        versions = writer.versions(shard)
        finished = json.loads(record.read_text()) if record.is_file() and tables.is_whole(path) else None
        if finished is not None and not finished["quarantine"] and finished["assets"] == versions and all(versions):
            yield []
            continue
        rows, quarantine = writer.shard(shard)
        tables.write_rows(rows, chip_table.SCHEMA, path, geometry="geometry", group=chip_table.GROUP)
        write_json(record, {"quarantine": quarantine, "assets": versions})
        yield quarantine


def publish(work: Path, folder: Path) -> None:
    """Move finished shards to where DVC expects them."""
    folder.mkdir(parents=True, exist_ok=True)
    for shard in sorted(work.glob("shard-*.parquet")):
        shutil.copyfile(shard, folder / shard.name)
