"""`chips` of one scene as a job: what it depends on, and the files that it leaves."""

from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import polars as pl
import pyarrow as pa
import pystac

from tasks.core import tables
from tasks.core.fan_out import Job, Make, code_of
from tasks.core.stage import fingerprint
from tasks.earth import chip_schema
from tasks.earth.catalog import Catalog
from tasks.earth.grid import GridParams
from tasks.earth.scene_chips import Lost, scene_chips
from tasks.earth.scene_jobs import CatalogAddress, SceneArgument, scene_key
from tasks.earth.scene_windows import SCHEMA
from tasks.earth.sensors import SENSORS

CHIPS, LOST = "chips.arrow", "lost.parquet"
LOST_SCHEMA = pa.schema(
    [("windows", pa.int64()), ("first", pa.string()), ("reason", pa.string()), ("detail", pa.string())]
)
"""Windows of a scene that could not be read: how many, the first of them, and why."""


@dataclass(frozen=True)
class ChipWork:
    """What the chips of a sensor's scenes have in common."""

    sensor: str
    catalog: CatalogAddress
    grid: GridParams
    module: str = "tasks.earth.chip_jobs"

    @contextmanager
    def opened(self, workers: int) -> Iterator[Make]:
        """A catalog that is open from scene to scene."""
        catalog, sensor = self.catalog.opened(workers), SENSORS[self.sensor]

        def make(argument: tuple[SceneArgument, pl.DataFrame], folder: Path) -> bool:
            scene, windows = argument
            item = scene.opened(catalog)
            lost = []
            # Arrow's own stream: pixels are compressed already, and it is read without a copy.
            with pa.OSFile(str(folder / CHIPS), "wb") as sink, pa.ipc.new_stream(sink, chip_schema.SCHEMA) as out:
                for some in scene_chips(
                    item, windows, sensor, catalog, self.grid.cell, scene.collection, self.grid.max_gsd_ratio
                ):
                    if isinstance(some, Lost):
                        lost.append(_row(some))
                    else:
                        out.write_batch(some)
            tables.write_rows(lost, LOST_SCHEMA, folder / LOST)
            return not lost

        yield make

    def job(self, item: pystac.Item, windows: pl.DataFrame, collections: Mapping[str, Any], catalog: Catalog) -> Job:
        """The chips of one scene's selected windows; what `select` measured of them besides changes no chip."""
        sensor = SENSORS[self.sensor]
        scene = SceneArgument.of(item, item.id, sensor, catalog, collections)
        own, known = scene_key(scene, item, sensor, catalog)
        asked = windows.select(SCHEMA.names).sort("epsg", "row", "column", descending=[False, True, False])
        key = fingerprint(code_of(self.module), own, asked.write_csv(), self.grid.model_dump(exclude={"parts"}))
        return Job(f"scene {item.id}", key, (scene, asked), known)


def _row(lost: Lost) -> dict[str, Any]:
    windows = lost.windows
    return {
        "windows": windows.height,
        "first": windows["chip_id"][0],
        "reason": lost.error.reason,
        "detail": str(lost.error),
    }


def chips_in(folder: Path) -> Iterator[pa.RecordBatch]:
    """The chips of a result, some at a time; nothing of the others is in memory."""
    with pa.OSFile(str(folder / CHIPS)) as source:
        yield from pa.ipc.open_stream(source)


def lost_in(folder: Path, sensor: str, item_id: str) -> list[dict[str, Any]]:
    """Rows of the quarantine, each with the number of windows that it stands for."""
    return [
        {
            "sensor": sensor,
            "item_id": item_id,
            "asset": "",
            "reason": row["reason"],
            "detail": f"{row['windows']} windows, the first {row['first']}: {row['detail']}",
            "windows": row["windows"],
        }
        for row in tables.read(folder / LOST).to_pylist()
    ]
