"""Shards of chips: planned in block order, read scene by scene, each written whole or not at all."""

import json
import logging
import shutil
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

import polars as pl
import pystac

from tasks.core import tables
from tasks.core.log import progress
from tasks.core.stage import write_json
from tasks.earth import chip_schema as chip_table
from tasks.earth.assets import Asset, resolve
from tasks.earth.blocks import Block, blocks_of
from tasks.earth.catalog import Catalog
from tasks.earth.scene_chips import Lost, scene_chips
from tasks.earth.sensors import Sensor

logger = logging.getLogger(__name__)
Rows = list[dict[str, Any]]
ItemKey = tuple[str, str]
"""Collection and id of an item: ids are unique within their collection only."""


class ShardWriter:
    """Reads the windows of shards and makes their rows."""

    def __init__(
        self,
        sensor: Sensor,
        catalog: Catalog,
        items: Mapping[ItemKey, pystac.Item],
        collections: Mapping[str, Any],
        cell: int,
        max_gsd_ratio: float,
    ) -> None:
        self.sensor = sensor
        self.catalog = catalog
        self.items = items
        self.collections = collections
        self.cell = cell
        self.max_gsd_ratio = max_gsd_ratio

    def shard(self, plan: Sequence[tuple[Block, pl.DataFrame]]) -> tuple[Rows, Rows]:
        """Chips of the blocks of one shard, and quarantine rows for the windows that could not be read."""
        rows: Rows = []
        quarantine: Rows = []
        for _, windows in plan:
            item = self.items[_key(windows)]
            collection = self.catalog.described(self.collections, item.collection_id)
            found = scene_chips(item, windows, self.sensor, self.catalog, self.cell, collection, self.max_gsd_ratio)
            for some in found:
                if isinstance(some, Lost):
                    logger.warning("quarantined %d windows: %s", some.windows.height, some.error)
                    quarantine.append(_quarantined(self.sensor.name, item.id, some))
                else:
                    rows += some.to_pylist()
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


def _quarantined(sensor: str, item_id: str, lost: Lost) -> dict[str, Any]:
    """A row of the quarantine, with the number of windows that it stands for."""
    windows = lost.windows
    return {
        **tables.quarantine_row(sensor, item_id, lost.error),
        "detail": f"{windows.height} windows, the first {windows['chip_id'][0]}: {lost.error}",
        "windows": windows.height,
    }


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
