"""Memory and CPU of the stages that read tables, at a million chips: select, qa, split, mixture.

    python -m benchmarks.table_stages [--chips 1000000] [--stages select qa split mixture] [--keep FOLDER]

The tables of the stages before are made up: windows of one sensor on the global grid in one part, of which every fifth
is cloudy, four labels a window with masks from a smooth field, and shards of chips without pixels. Without `qa`,
`mixture` mixes five made conversations a chip. Each stage runs as its own command, one after the other on what the one
before has left, and its CPU-seconds and its peak of resident memory are those that the kernel counted for it. No peer
does this at any size: the figures stand beside the goals of 2 GB a stage.
"""

import argparse
import os
import subprocess
import sys
import tempfile
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import numpy as np
import polars as pl
import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.parquet as pq

from tasks.core import paths, tables
from tasks.core.yaml_text import read_yaml
from tasks.dialogue import conversations
from tasks.earth import chip_schema, label_fractions, scene_windows, spectral_rules
from tasks.earth.blocks import Block
from tasks.earth.grid import polygons_wkb, window_grid
from tasks.earth.label_rows import COMPLETE, SCHEMA
from tasks.earth.sensors import SENSORS
from tasks.vlm import series_samples

ROOT = Path(__file__).resolve().parents[1]
SENSOR = next(iter(SENSORS))
PART = "a"
EPSG, CELL = 32633, 640
SIDE = 1024
"""Windows along a side of the square that all lie in."""
POOL = 4096
"""Windows whose labels are measured; the others take theirs in turn."""
SHARD = 1000
CHUNK = 50_000


class Made:
    """The tables of a dataset of so many windows, written some at a time."""

    def __init__(self, chips: int) -> None:
        self.count = chips * 5 // 4
        self.grid = window_grid(EPSG, CELL, 1)
        self.labels, self.complete = _measured_labels()

    def ids(self, start: int, stop: int) -> tuple[Any, Any, Any, list[str]]:
        """Columns, rows, scenes and chip ids, in the order of the ids; a scene sees the whole square."""
        number = np.arange(start, stop)
        visits = -(-self.count // SIDE**2)
        place, scene = number // visits, number % visits
        columns, rows = 700 + place // SIDE, 9000 + place % SIDE
        windows = [self.grid.window_id(c, r) for c, r in zip(columns.tolist(), rows.tolist(), strict=True)]
        return columns, rows, scene, [f"{w}_scene-{s:03d}" for w, s in zip(windows, scene.tolist(), strict=True)]

    def windows(self) -> Iterator[pa.Table]:
        """Rows of stage `scan`."""
        for start in range(0, self.count, CHUNK):
            stop = min(self.count, start + CHUNK)
            columns, rows, scene, chips = self.ids(start, stop)
            size = stop - start
            names = [f"scene-{s:03d}" for s in scene.tolist()]
            taken = [datetime(2023, 5, 1, tzinfo=UTC) + timedelta(days=int(s) * 10) for s in scene]
            cloudy = np.arange(start, stop) % 5 == 4
            left, bottom = columns * float(CELL), rows * float(CELL)
            given: dict[str, Any] = {
                "chip_id": chips, "window_id": [chip[: chip.index("_")] for chip in chips], "item_id": names,
                "collection": ["made"] * size, "acquisition": names, "sensor": [SENSOR] * size, "datetime": taken,
                "epsg": [EPSG] * size, "column": columns, "row": rows, "left": left, "bottom": bottom,
                "right": left + CELL, "top": bottom + CELL, "nodata_fraction": np.zeros(size),
                "cloud_fraction": np.where(cloudy, 0.5, 0.0), "land_fraction": np.ones(size),
            }  # fmt: skip
            filled = [pa.array(given[f.name], f.type) if f.name in given else pa.nulls(size, f.type) for f in FIELDS]
            yield pa.Table.from_arrays(filled, schema=scene_windows.SCHEMA)

    def of_labels(self, pool: pa.Table) -> Iterator[pa.Table]:
        """Rows of a table of labels for all windows, in the order of their chips."""
        starts = np.searchsorted(pool["place"].to_numpy(), np.arange(POOL + 1))
        for start in range(0, self.count, CHUNK):
            stop = min(self.count, start + CHUNK)
            *_, chips = self.ids(start, stop)
            places = np.arange(start, stop) % POOL
            number = np.diff(starts)[places]
            own = np.repeat(np.arange(stop - start), number)
            within = np.arange(len(own)) - np.repeat(np.cumsum(number) - number, number)
            rows = pool.take(pa.array(starts[places][own] + within)).drop_columns("place")
            ids = pc.take(pa.array(chips), pa.array(own))
            yield rows.set_column(rows.schema.get_field_index("chip_id"), "chip_id", ids)

    def shards(self) -> Iterator[pa.Table]:
        """Rows of stage `chips`, without pixels."""
        sensor = SENSORS[SENSOR]
        for start in range(0, self.count, CHUNK):
            stop = min(self.count, start + CHUNK)
            columns, rows, scene, chips = self.ids(start, stop)
            kept = np.flatnonzero(np.arange(start, stop) % 5 != 4)
            boxes = self.grid.boxes(columns[kept], rows[kept])
            gsd, side = sensor.gsd, self.grid.pixels(sensor.gsd)
            ids = [chips[index] for index in kept.tolist()]
            size = len(ids)
            given: dict[str, Any] = {
                "chip_id": ids, "window_id": [chip[: chip.index("_")] for chip in ids], "sensor": [SENSOR] * size,
                "platform": ["made"] * size, "crs": [f"EPSG:{EPSG}"] * size, "width": [side] * size,
                "height": [side] * size, "bands": [list(sensor.required_bands)] * size, "unit": [sensor.unit] * size,
                "datetime": [datetime(2023, 5, 1, tzinfo=UTC) + timedelta(days=int(s) * 10) for s in scene[kept]],
                "transform": [[gsd, 0.0, left, 0.0, -gsd, top] for left, _, _, top in boxes.tolist()],
                "geometry": polygons_wkb(EPSG, boxes),
            }  # fmt: skip
            schema = chip_schema.SCHEMA
            filled = [pa.array(given[f.name], f.type) if f.name in given else pa.nulls(size, f.type) for f in schema]
            yield pa.Table.from_arrays(filled, schema=schema)

    def talks(self) -> Iterator[pa.Table]:
        """Rows of stage `qa`, made up: five a chip."""
        sensor, schema = SENSORS[SENSOR], conversations.SCHEMA
        turn = {"question": "Is there water?", "answer": "yes", "question_type": "presence", "labels_used": []}
        said = conversations.dump([(turn["question"], turn["answer"])], [sensor.tag])  # type: ignore[list-item]
        for start in range(0, self.count, CHUNK):
            *_, chips = self.ids(start, min(self.count, start + CHUNK))
            ids = [chip for number, chip in enumerate(chips, start) if number % 5 != 4 for _ in range(TALKS)]
            size = len(ids)
            one = pa.array([[turn]], schema.field("turns").type)
            given: dict[str, Any] = {
                "conversation_id": [f"{chip}#{number % TALKS}" for number, chip in enumerate(ids)], "chip_id": ids,
                "sensor": [SENSOR] * size, "task": ["presence"] * size, "conversations": [said] * size,
                "turns": one.take(pa.array(np.zeros(size, int))), "generator": ["made"] * size,
            }  # fmt: skip
            filled = [
                pa.array(given[f.name], f.type) if isinstance(given.get(f.name), list)
                else given.get(f.name, pa.nulls(size, f.type)) for f in schema
            ]  # fmt: skip
            yield pa.Table.from_arrays(filled, schema=schema)


FIELDS = list(scene_windows.SCHEMA)
TALKS = 5
"""Conversations a chip."""


def _measured_labels() -> tuple[pa.Table, pa.Table]:
    """Labels of `POOL` windows of smooth fields, as stage `labels` measures them, with the place of each window."""
    random = np.random.default_rng(16)
    grid = window_grid(EPSG, CELL, 1)
    side = int(POOL**0.5)
    places = np.arange(POOL)
    block = Block(grid, places % side, side - 1 - places // side)
    pixels = side * 32
    # Fields of some hundred metres: several classes a window, each in one or two patches.
    coarse = random.standard_normal((len(spectral_rules.CLASSES), pixels // 16 + 2, pixels // 16 + 2))
    fields = np.repeat(np.repeat(coarse, 16, axis=1), 16, axis=2)[:, 7 : 7 + pixels, 5 : 5 + pixels]
    which = fields.argmax(axis=0)
    found = {name: which == number for number, name in enumerate(spectral_rules.CLASSES)}
    columns = {"source": spectral_rules.SOURCE, "date": "2023-05-01", "licence": None, "kind": "area", "derived": True}
    names = [f"{place:06d}" for place in range(POOL)]
    rows = label_fractions.planes(block, names, found, np.ones_like(which, bool), 0.01, of_valid=True, **columns)
    rows.sort(key=lambda row: (row["chip_id"], row["label"]))
    labels = pa.Table.from_pylist(rows, schema=SCHEMA)
    whole = [{"chip_id": name, "source": spectral_rules.SOURCE, "labels": None} for name in names]
    complete = pa.Table.from_pylist(whole, schema=COMPLETE)
    return tuple(  # type: ignore[return-value]
        table.append_column("place", pa.array([int(name) for name in table["chip_id"].to_pylist()]))
        for table in (labels, complete)
    )


def write(some: Iterator[pa.Table], path: Path) -> None:
    """One Parquet file of tables of one schema."""
    path.parent.mkdir(parents=True, exist_ok=True)
    writer = None
    for table in some:
        writer = writer or pq.ParquetWriter(path, table.schema, compression="zstd")
        writer.write_table(table, row_group_size=16_384)
    assert writer is not None
    writer.close()


def make(folder: Path, chips: int) -> None:
    """Write all that the stages read."""
    import yaml

    values = read_yaml((ROOT / "params.yaml").read_bytes(), "params.yaml", ValueError)
    values["grid"]["parts"], values["sensors"]["enabled"] = [PART], [SENSOR]
    values["select"] |= {"min_labels": 1, "max_dates": 4}
    (folder / "params.yaml").write_text(yaml.safe_dump(values))
    for name in ("inputs", "samples"):
        (folder / name).symlink_to(ROOT / name)
    os.chdir(folder)
    made = Made(chips)
    write(made.windows(), paths.scan(SENSOR, PART) / "windows.parquet")
    labels = paths.labels(SENSOR, PART)
    write(made.of_labels(made.labels), labels / "labels.parquet")
    write(made.of_labels(made.complete), labels / "complete.parquet")
    source = {"kind": "spectral", "labels": list(spectral_rules.CLASSES), "change": []}
    (labels / "sources.json").write_text(f'{{"{spectral_rules.SOURCE}": {source}}}'.replace("'", '"'))
    no_series = paths.series()
    tables.write_rows([], series_samples.SCHEMA, no_series / "series.parquet")
    tables.write_rows([], conversations.SCHEMA, no_series / "conversations.parquet")
    written, path = 0, paths.chips(SENSOR, PART)
    path.mkdir(parents=True)
    for table in made.shards():
        for start in range(0, table.num_rows, SHARD):
            some = table.slice(start, SHARD)
            pq.write_table(some, path / f"shard-{written:05d}.parquet", compression="zstd")
            written += 1


def run(stage: str, *options: str) -> tuple[float, float]:
    """CPU-seconds and peak of resident memory in GB of 10^9 bytes of one stage's command."""
    command = [sys.executable, "-m", f"tasks.{stage}", *options]
    process = subprocess.Popen(command, env={**os.environ, "PYTHONPATH": str(ROOT)})
    _, status, usage = os.wait4(process.pid, 0)
    if status:
        raise SystemExit(f"stage {stage} failed")
    return usage.ru_utime + usage.ru_stime, usage.ru_maxrss * 1024 / 1e9


COMMANDS = {
    "select": ("select", "--sensor", SENSOR),
    "qa": ("qa", "--sensor", SENSOR, "--part", PART),
    "split": ("split",),
    "mixture": ("mixture", "--stage", "1"),
}


def rows_of(stage: str) -> tuple[int, str]:
    """What a stage went through."""
    if stage == "select":
        return pq.read_metadata(paths.ledger(SENSOR)).num_rows, "windows"
    if stage == "split":
        return pq.read_metadata(paths.split() / "assignment.parquet").num_rows, "chips"
    if stage == "qa":
        path = paths.qa(SENSOR, PART) / "conversations.parquet"
        return int(pl.scan_parquet(path).select(pl.col("turns").list.len().sum()).collect().item()), "pairs"
    files = [paths.mixture("1") / f"{name}.parquet" for name in ("train", "val", "test")]
    return sum(pq.read_metadata(path).num_rows for path in files), "rows"


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--chips", type=int, default=1_000_000)
    parser.add_argument("--stages", nargs="+", default=list(COMMANDS), choices=list(COMMANDS))
    parser.add_argument("--keep", type=Path, help="work here, and take the tables that are there")
    parser.add_argument("--make", type=Path, help=argparse.SUPPRESS)
    parser.add_argument("--talks", type=Path, help=argparse.SUPPRESS)
    given = parser.parse_args()
    if given.talks:
        os.chdir(given.talks)
        write(Made(given.chips).talks(), paths.qa(SENSOR, PART) / "conversations.parquet")
        return
    if given.make:
        make(given.make, given.chips)
        return
    with tempfile.TemporaryDirectory() as temporary:
        folder = (given.keep or Path(temporary)).resolve()
        folder.mkdir(parents=True, exist_ok=True)
        if not (folder / "params.yaml").exists():
            # In a process of its own: the kernel counts the memory of a parent among its child's.
            subprocess.run(
                [sys.executable, "-m", __spec__.name, "--make", str(folder), "--chips", str(given.chips)], check=True
            )
        os.chdir(folder)
        print(f"{'stage':<10}{'CPU-s':>9}{'peak GB':>9}{'rows':>12}  a CPU-second")
        for stage in given.stages:
            if stage == "mixture" and not (paths.qa(SENSOR, PART) / "conversations.parquet").exists():
                made_up = [sys.executable, "-m", __spec__.name, "--talks", str(folder), "--chips", str(given.chips)]
                subprocess.run(made_up, check=True, cwd=ROOT)
            seconds, peak = run(*COMMANDS[stage])
            rows, what = rows_of(stage)
            print(f"{stage:<10}{seconds:>9.1f}{peak:>9.2f}{rows:>12,}  {rows / seconds:,.0f} {what}", flush=True)
        os.chdir(ROOT)


if __name__ == "__main__":
    main()
