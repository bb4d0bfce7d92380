"""Stage `series`: images of several dates or sensors over one window, by rules, and verified conversations about them.

EarthDial's temporal samples are those of published sets (spec, sections 1.2 and 1.6); here they are made of the chips
that are there. Tables of all chips are joined by window, since its scenes may lie in several parts; pixels of the chips
that are in a series are read once, shard by shard, and conversations are written as they come.
"""

import shutil
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import polars as pl
import pyarrow as pa
import pyarrow.parquet as pq

from tasks.core import paths, tables
from tasks.core.errors import EarthloomError, EmptyStageError, MissingInputError
from tasks.core.log import progress
from tasks.core.section import load, read_params
from tasks.core.stage import Summary, main, require
from tasks.dialogue import conversations
from tasks.dialogue.chip_facts import ByChip
from tasks.dialogue.decisions import Decisions
from tasks.dialogue.ledger import REJECTED, Policy
from tasks.dialogue.series.facts import SeriesFacts, SeriesImage, cells_of
from tasks.dialogue.series.verifier import judge_series
from tasks.dialogue.write_pairs import PairWriter
from tasks.earth.grid import GridParams
from tasks.earth.sensors import SENSORS
from tasks.earth.series_params import SeriesParams
from tasks.earth.series_rules import DROPPED, SERIES, Found, find
from tasks.generators.templates.series_pairs import SeriesGenerator
from tasks.vlm.series_samples import IMAGE, SCHEMA

COLUMNS = (
    "chip_id", "window_id", "sensor", "collection", "acquisition", "datetime", "cloud_fraction", "bands", "crs",
    "transform", "width", "height",
)  # fmt: skip
MEASURED = pa.schema(
    [
        ("chip_id", pa.string()),
        ("sensor", pa.string()),
        ("platform", pa.string()),
        ("datetime", pa.timestamp("us", tz="UTC")),
        ("cells", pa.map_(pa.string(), pa.list_(pa.float64()))),
    ]
)
CHUNK = 256
"""Conversations in memory: each carries the cells of its images."""


def read_chips() -> pl.DataFrame:
    """One row a chip of all sensors and parts, without pixels; see `tasks.earth.series_rules.find`.

    Raises:
        EmptyStageError: there is no chip.
        MissingInputError: a chip is on no side of the split: its series would be shown nowhere.
    """
    enabled = read_params()["sensors"]["enabled"]
    parts = load(GridParams, "grid").parts
    frames = []
    for sensor in (name for name in enabled if not SENSORS[name].cube):
        for part in parts:
            for shard in sorted(require(paths.chips(sensor, part)).glob("shard-*.parquet")):
                frame = pl.DataFrame(pl.from_arrow(tables.read(shard, COLUMNS)))
                step, left, top = (pl.col("transform").cast(pl.List(pl.Float64)).list.get(i) for i in (0, 2, 5))
                place = pl.format("{} {} {} {}", "crs", left, top, (step * pl.col("width")).round(3))
                frame = frame.with_columns(place=place, shard=pl.lit(shard.as_posix()))
                frames.append(frame.drop("crs", "transform"))
    if not frames:
        raise EmptyStageError("there is no chip to make series of; see the quarantine tables under data/chips")
    split = tables.read(paths.split() / "assignment.parquet", ["chip_id", "split"])
    chips = pl.concat(frames).join(pl.DataFrame(pl.from_arrow(split)), on="chip_id", how="left")
    lost = chips.filter(pl.col("split").is_null())
    if lost.height:
        first = str(lost["chip_id"].min())
        raise MissingInputError(
            f"{lost.height} chips are on no side of the split, such as {first}; rebuild stage `split`"
        )
    return chips


def found_by(params: SeriesParams, chips: pl.DataFrame) -> tuple[Found, dict[str, Any]]:
    """The series of all rules, what they leave out, and their counts.

    Raises:
        EarthloomError: a chip is neither in a series nor dropped with a reason, or two series have one id.
    """
    every: list[Found] = []
    counts: dict[str, Any] = {}
    for name, rule in params.rules.items():
        found = find(name, rule, chips)
        asked = chips.filter(pl.col("sensor").is_in(rule.sensors)).height
        used = found.chips.len()
        if used + found.dropped.height != asked or not found.series["series_id"].is_unique().all():
            raise EarthloomError(
                f"series.rules.{name}: of {asked} chips {used} are in series and {found.dropped.height} dropped, or "
                "two series have one id; this is an error of tasks/earth/series_rules.py, please report it"
            )
        reasons = found.dropped.group_by("reason").len().sort("reason")
        counts[name] = {
            "chips": asked, "in_series": used, "series": found.series.height, "dropped": dict(reasons.iter_rows()),
        }  # fmt: skip
        every.append(found)
    series = pl.concat([pl.DataFrame(schema=SERIES), *(found.series for found in every)])
    dropped = pl.concat([pl.DataFrame(schema=DROPPED), *(found.dropped for found in every)])
    return Found(series.sort("series_id"), dropped), counts


def described(series: pl.DataFrame, chips: pl.DataFrame) -> pa.Table:
    """The rows of series.parquet, each image with what a sample needs of its chip."""
    fields = [field.name for field in IMAGE]
    images = (
        series.select("series_id", chip_id="chips")
        .with_columns(place=pl.int_ranges(pl.col("chip_id").list.len()))
        .explode("chip_id", "place", empty_as_null=True, keep_nulls=True)
        .join(chips, on="chip_id", how="left")
        .sort("series_id", "place")
        .group_by("series_id", maintain_order=True)
        .agg(images=pl.struct(fields))
    )
    return series.join(images, on="series_id").sort("series_id").select(SCHEMA.names).to_arrow().cast(SCHEMA)


def measured(chips: pl.DataFrame) -> Iterator[dict[str, Any]]:
    """Rows of `MEASURED` of the chips of series, shard by shard, a row group in memory.

    Raises:
        DamagedFileError: a shard does not hold what was written to it.
    """
    for (path,), some in chips.sort("shard").group_by("shard", maintain_order=True):
        wanted, shard = set(some["chip_id"]), Path(str(path))
        with tables.whole(shard), pq.ParquetFile(shard, page_checksum_verification=True) as file:
            for group in range(file.num_row_groups):
                if not wanted & set(file.read_row_group(group, columns=["chip_id"])["chip_id"].to_pylist()):
                    continue
                columns = ["chip_id", "sensor", "platform", "datetime", "pixels"]
                for row in file.read_row_group(group, columns=columns).to_pylist():
                    if row["chip_id"] in wanted:
                        what = f"chip {row['chip_id']} in {shard}"
                        yield {**row, "cells": list(cells_of(row["sensor"], row["pixels"], what).items())}


def facts_of(table: pa.Table, book: ByChip) -> Iterator[SeriesFacts]:
    """The facts of each series, in their order."""
    for batch in table.to_batches(max_chunksize=1024):
        rows = batch.to_pylist()
        names = list(dict.fromkeys(image["chip_id"] for row in rows for image in row["images"]))
        known = dict(zip(names, book.rows(names), strict=True))
        for row in rows:
            images = []
            for chip_id in (image["chip_id"] for image in row["images"]):
                (one,) = known[chip_id]
                cells = {name: tuple(values) for name, values in one["cells"]}
                images.append(SeriesImage(chip_id, one["sensor"], one["platform"] or "", one["datetime"], cells))
            yield SeriesFacts(row["series_id"], row["kind"], tuple(images))


def run() -> Summary:
    """Find the series of all rules, and write and verify conversations about them."""
    params, folder, work = load(SeriesParams, "series"), paths.series(), paths.work("series")
    shutil.rmtree(work, ignore_errors=True)
    chips = read_chips()
    found, counts = found_by(params, chips)
    table = described(found.series, chips)
    tables.write(found.dropped.to_arrow(), folder / "dropped.parquet")
    tables.write(table, folder / "series.parquet")
    wanted = chips.join(pl.DataFrame({"chip_id": found.chips}), on="chip_id", how="semi")
    tables.write_stream(measured(wanted), MEASURED, work / "by-shard.parquet", CHUNK)
    # Sorted on disk, so that the images of a series are looked up there: cells of all chips would be all of them.
    pl.scan_parquet(work / "by-shard.parquet").sort("chip_id").sink_parquet(work / "by-chip.parquet")
    book = ByChip(work / "by-chip.parquet", work / "by-chip.arrow")
    with (
        tables.row_writer(conversations.SCHEMA, folder / "conversations.parquet", CHUNK) as keep,
        tables.row_writer(REJECTED, folder / "rejected.parquet") as reject,
    ):
        generator = SeriesGenerator(params)
        policy = Policy(1, 1, params.pairs, params.max_answer_share)
        writer = PairWriter(generator.provenance, policy, keep, reject, Decisions())
        pairs = writer.run(generator, progress(facts_of(table, book), "series", table.num_rows), judge_series)
    shutil.rmtree(work, ignore_errors=True)
    sides = found.series.group_by("split").len().sort("split")
    said = pairs.summary()
    said["series"] = said.pop("chips")
    return {"rules": counts, "by_side": dict(sides.iter_rows()), **said}


if __name__ == "__main__":
    main("series", run)
