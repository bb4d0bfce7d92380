"""Stage `chips`: the chips of one part of the grid, all bands of the selected windows.

Shards are planned before a pixel is read, made one after the other in block order, and each is whole or absent. A run
that was killed keeps the shards whose code, parameters, inputs and assets are still the same, and tries again what it
failed at. A scene that cannot be read costs its own windows only.
"""

import shutil

import polars as pl
from pydantic import Field

from tasks.core import paths, tables
from tasks.core.errors import EmptyStageError
from tasks.core.section import Section, load
from tasks.core.stage import Summary, address, fresh_work, main
from tasks.earth.asset_versions import read_versions
from tasks.earth.catalog import open_catalog
from tasks.earth.chip_shards import ShardWriter, plan_shards, publish, write_shards
from tasks.earth.grid import GridParams
from tasks.earth.items import read_collections, read_items
from tasks.earth.parts import of_part
from tasks.earth.sensors import SENSORS


class ChipsParams(Section):
    """How chips are stored, and how much may be lost before the stage gives up."""

    shard_size: int = Field(
        ge=1, le=4096, description="chips a shard, about: blocks that are read together stay together"
    )
    max_quarantined: float = Field(
        ge=0, le=1, description="share of the selected windows that may be quarantined before the stage fails"
    )


def run(sensor: str, part: str) -> Summary:
    """Make the chips of one sensor and part."""
    params, grid = load(ChipsParams, "chips"), load(GridParams, "grid")
    description = SENSORS[sensor]
    items_file = paths.scenes(sensor) / "items.parquet"
    items = {(str(item.collection_id), item.id): item for item in of_part(read_items(items_file), part, grid.parts)}
    keys = pl.DataFrame(list(items), schema={"collection": pl.String, "item_id": pl.String}, orient="row")
    windows = tables.read_frame(paths.selected(sensor)).join(keys, on=["collection", "item_id"], how="semi")
    collections = read_collections(paths.scenes(sensor))
    plan = plan_shards(windows, description, grid.cell, params.shard_size)
    inputs = (paths.selected(sensor), items_file, params.model_dump(), grid.model_dump())
    work = fresh_work(address("chips", sensor, part), "tasks.chips", *inputs)
    with open_catalog() as catalog:
        catalog.frozen = read_versions(paths.scenes(sensor))
        writer = ShardWriter(description, catalog, items, collections, grid.cell, grid.max_gsd_ratio)
        lost = [row for rows in write_shards(plan, writer, work, f"chips of {sensor} {part}") for row in rows]
    folder = paths.chips(sensor, part)
    publish(work, folder)
    tables.write_rows(
        [{k: v for k, v in row.items() if k != "windows"} for row in lost],
        tables.QUARANTINE,
        folder / "quarantine.parquet",
    )
    quarantined = sum(row["windows"] for row in lost)
    if windows.height and quarantined > params.max_quarantined * windows.height:
        raise EmptyStageError(
            f"{quarantined} of {windows.height} windows of {sensor} could not be read, more than "
            f"chips.max_quarantined allows. First reason: {lost[0]['detail']}. All: {folder / 'quarantine.parquet'}"
        )
    shutil.rmtree(work)
    return {
        "selected": windows.height,
        "chips": windows.height - quarantined,
        "quarantined": quarantined,
        "shards": len(plan),
    }


if __name__ == "__main__":
    main("chips", run)
