"""Stage `chips`: the chips of one part of the grid, all bands of the selected windows.

A scene is read once, whichever runs ask for it (`tasks.core.results`), by as many workers as there are
(`tasks.core.fan_out`); shards are put together from what they left. A scene that cannot be read costs its own windows
only, and is tried again by the next run.
"""

import logging
import os
import shutil
from collections.abc import Iterator
from typing import Any

import pyarrow as pa
from pydantic import Field

from tasks.core import paths, tables
from tasks.core.errors import EmptyStageError, SceneError
from tasks.core.fan_out import fan_out
from tasks.core.log import progress
from tasks.core.section import Section, load
from tasks.core.stage import Summary, address, main
from tasks.earth.asset_versions import read_versions
from tasks.earth.catalog import open_catalog
from tasks.earth.chip_jobs import ChipWork, chips_in, lost_in
from tasks.earth.chip_shards import plan_shards, write_shard
from tasks.earth.grid import GridParams
from tasks.earth.items import read_collections, read_items
from tasks.earth.parts import of_part
from tasks.earth.scene_jobs import CatalogAddress

logger = logging.getLogger(__name__)


class ChipsParams(Section):
    """How chips are stored, and how much may be lost before the stage gives up."""

    shard_size: int = Field(
        ge=1,
        le=16384,
        description="chips a shard, on average; a shard holds whole scenes, but for scenes that are larger. Of a large "
        "dataset 1,000 and more, so that a million chips are a thousand objects",
    )
    max_quarantined: float = Field(
        ge=0, le=1, description="share of the selected windows that may be quarantined before the stage fails"
    )


def run(sensor: str, part: str) -> Summary:
    """Make the chips of one sensor and part."""
    params, grid = load(ChipsParams, "chips"), load(GridParams, "grid")
    items_file = paths.scenes(sensor) / "items.parquet"
    items = {(str(item.collection_id), item.id): item for item in of_part(read_items(items_file), part, grid.parts)}
    selected = tables.read_frame(paths.selected(sensor)).partition_by("collection", "item_id", as_dict=True)
    windows = {(str(collection), str(item)): some for (collection, item), some in selected.items()}
    windows = {key: windows[key] for key in sorted(windows) if key in items}
    collections = read_collections(paths.scenes(sensor))
    plan = plan_shards({key: some.height for key, some in windows.items()}, params.shard_size)
    scratch = paths.work(address("chips", sensor, part))
    shutil.rmtree(scratch, ignore_errors=True)
    made = scratch / "shards"
    made.mkdir(parents=True)
    lost: list[dict[str, Any]] = []
    files = chips = 0
    with open_catalog() as catalog:
        catalog.frozen = read_versions(paths.scenes(sensor))
        work = ChipWork(sensor, CatalogAddress.of(catalog), grid)
        order = [key for shard in plan for key in shard.scenes]
        jobs = (
            work.job(items[key], windows[key], collections, catalog)
            for key in progress(order, f"chips of {sensor} {part}")
        )
        results = fan_out(work, jobs, scratch / "results")

        def batches(count: int) -> Iterator[pa.RecordBatch]:
            for _ in range(count):
                job, result = next(results)
                item_id, height = job.argument[0].item_id, job.argument[1].height
                if isinstance(result, SceneError):
                    detail = f"{height} windows: {result}"
                    row = tables.quarantine_row(sensor, item_id, result)
                    lost.append({**row, "detail": detail, "windows": height})
                else:
                    lost.extend(lost_in(result, sensor, item_id))
                    yield from chips_in(result)

        for shard in plan:
            new_files, new_chips = write_shard(shard, batches(len(shard.scenes)), made, params.shard_size)
            files, chips = files + new_files, chips + new_chips
    folder = paths.chips(sensor, part)
    shutil.rmtree(folder, ignore_errors=True)
    folder.parent.mkdir(parents=True, exist_ok=True)
    os.rename(made, folder)
    for row in lost:
        logger.warning("quarantined: %s", row["detail"])
    tables.write_rows(
        [{k: v for k, v in row.items() if k != "windows"} for row in lost],
        tables.QUARANTINE,
        folder / "quarantine.parquet",
    )
    asked, quarantined = sum(some.height for some in windows.values()), sum(row["windows"] for row in lost)
    if asked and quarantined > params.max_quarantined * asked:
        raise EmptyStageError(
            f"{quarantined} of {asked} windows of {sensor} could not be read, more than "
            f"chips.max_quarantined allows. First reason: {lost[0]['detail']}. All: {folder / 'quarantine.parquet'}"
        )
    shutil.rmtree(scratch)
    if not asked:
        logger.info("no window of %s in part %s was selected: it has no chips", sensor, part)
    return {"selected": asked, "chips": chips, "quarantined": quarantined, "shards": files}


if __name__ == "__main__":
    main("chips", run)
