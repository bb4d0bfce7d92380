"""Memory and bytes that the report's tables cost at a million chips, made without pixels.

    python -m benchmarks.report_tables [--chips 1000000]

A made data set of three sensors is written, one of them with so many chips, twice as many candidate windows, three
labels and two conversations of two questions a chip; then all is read and drawn that the page shows of this sensor:
counts, funnel, maps of scenes and labels, gallery. Beside it the same tables as whole frames, as they were held before.
"""

import argparse
import os
import resource
import subprocess
import sys
import tempfile
from pathlib import Path

import numpy as np
import polars as pl

from tasks.core import paths, tables
from tasks.core.stage import write_json
from tasks.earth import chip_schema
from tasks.pages import charts, gallery, label_maps, maps, report_data
from tests.fixtures import report_dataset

SENSOR = "sentinel-2"
SHARD = 512
SCENES = 2_000


def make(root: Path, chips: int) -> None:
    """The tables of `SENSOR`, enlarged."""
    report_dataset.make(root)
    os.chdir(root)
    ledger = tables.read_frame(paths.ledger(SENSOR))
    kept = ledger.filter(pl.col("verdict") == "kept").head(1)
    made = pl.DataFrame({"number": np.arange(2 * chips)})
    item = pl.format("SYNTHETIC_{}", pl.col("number") % SCENES)
    windows = made.join(kept.drop("chip_id", "item_id", "verdict"), how="cross").with_columns(
        chip_id=pl.format("32633_{}_{}", pl.col("number"), item),
        item_id=item,
        verdict=pl.when(pl.col("number") < chips).then(pl.lit("kept")).otherwise(pl.lit("cloud")),
    )
    tables.write(windows.select(ledger.columns).to_arrow(), paths.ledger(SENSOR))
    dropped = dict.fromkeys(("nodata", "cloud", "land", "labels", "overlap", "duplicate"), 0) | {"cloud": chips}
    write_json(paths.summary(f"select@{SENSOR}"), {"candidates": 2 * chips, "kept": chips, "dropped": dropped})
    ids = windows.head(chips).select("chip_id", "item_id")
    split = tables.read_frame(paths.split() / "assignment.parquet").filter(pl.col("sensor") != SENSOR)
    ours = ids.select("chip_id", window_id="chip_id", sensor=pl.lit(SENSOR), split=pl.lit("train"))
    tables.write(pl.concat([split, ours.select(split.columns)]).to_arrow(), paths.split() / "assignment.parquet")
    for number, part in enumerate(report_dataset.PARTS):
        some = ids.gather_every(len(report_dataset.PARTS), number)
        path = paths.labels(SENSOR, part) / "labels.parquet"
        labels = tables.read_frame(path)
        each = labels.head(3).drop("chip_id")
        tables.write(some.select("chip_id").join(each, how="cross").select(labels.columns).to_arrow(), path)
        path = paths.qa(SENSOR, part) / "conversations.parquet"
        talks = tables.read_frame(path)
        tables.write(some.select("chip_id").join(talks.head(2).drop("chip_id"), how="cross").select(talks.columns)
                     .to_arrow(), path)  # fmt: skip
        folder = paths.chips(SENSOR, part)
        one = tables.read(next(folder.glob("shard-*.parquet"))).slice(0, 1).cast(chip_schema.SCHEMA)
        for shard in folder.glob("shard-*.parquet"):
            shard.unlink()
        for start in range(0, some.height, SHARD):
            rows = pl.DataFrame(pl.from_arrow(one)).drop("chip_id", "item_id").with_columns(pixels=pl.lit(b""))
            table = some.slice(start, SHARD).join(rows, how="cross").select(chip_schema.SCHEMA.names).to_arrow()
            table = table.cast(chip_schema.SCHEMA)
            tables.write(table, folder / f"shard-{start // SHARD:05d}.parquet", "geometry", chip_schema.GROUP)


def page() -> None:
    """What the page shows of the sensor."""
    dataset = report_data.read()
    (data,) = [one for one in dataset.sensors if one.sensor.name == SENSOR]
    charts.funnel(data)
    maps.legend([data])
    maps.draw_sites([], [data], 10)
    label_maps.draw([data], 10)
    chosen = gallery.choose(data, dataset.predictions, 8)
    shown = (
        data.chip_rows(chosen).keys() & set(data.labels_of(chosen)["chip_id"]) & set(data.turns_of(chosen)["chip_id"])
    )
    print(f"{data.chips.height:,} chips, {data.candidates:,} windows, {data.pairs:,} pairs, {len(shown)} shown")


def frames() -> None:
    """The same tables as whole frames."""
    held = [tables.read_frame(paths.ledger(SENSOR))]
    held += [tables.read_frame(paths.labels(SENSOR, part) / "labels.parquet") for part in report_dataset.PARTS]
    held += [tables.read_frame(paths.qa(SENSOR, part) / "conversations.parquet") for part in report_dataset.PARTS]
    print(f"{sum(frame.height for frame in held):,} rows held")


def child(root: Path, what: str) -> None:
    """One of both, and what it cost."""
    os.chdir(root)
    {"page": page, "frames": frames}[what]()
    used = resource.getrusage(resource.RUSAGE_SELF)
    read = int(Path("/proc/self/io").read_text().split()[1])
    print(f"{what}: {used.ru_maxrss / 2**20:.2f} GB at most, {read / 1e9:.2f} GB read, "
          f"{used.ru_utime + used.ru_stime:.0f} CPU-s")  # fmt: skip


def main() -> None:
    """Make the data set, and measure each in a process of its own."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--chips", type=int, default=1_000_000)
    parser.add_argument("--child", nargs=2, help=argparse.SUPPRESS)
    options = parser.parse_args()
    if options.child:
        child(Path(options.child[0]), options.child[1])
        return
    root = Path(__file__).resolve().parents[1]
    with tempfile.TemporaryDirectory() as work:
        make(Path(work), options.chips)
        os.chdir(root)
        for what in ("page", "frames"):
            command = [sys.executable, "-m", "benchmarks.report_tables", "--child", work, what]
            subprocess.run(command, check=True, cwd=root)


if __name__ == "__main__":
    main()
