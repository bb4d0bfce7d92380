"""Everything the page shows of one sensor. Tables are asked, not held: a query reads the columns that it needs."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import Any

import polars as pl
import pystac

from tasks.core import paths, tables
from tasks.core.stage import read_json, require
from tasks.earth.chip_schema import SCHEMA
from tasks.earth.items import read_items
from tasks.earth.sensors import SENSORS, Sensor

KEPT = "kept"
FILTERS = ("nodata", "cloud", "land", "labels", "together", "overlap", "near", "duplicate")
"""In the order they are charged: the first that a window fails is its reason."""
CHIP_COLUMNS = ["chip_id", "item_id", "datetime", "crs", "transform", "width", "bands", "mask_provenance"]


@dataclass(frozen=True)
class Thumbnail:
    """A scene's preview: a PNG and the ground it covers."""

    path: Path
    bounds: tuple[float, float, float, float]
    crs: str


@dataclass(frozen=True)
class SensorData:
    """Everything about one sensor."""

    sensor: Sensor
    scenes: Sequence[pystac.Item]
    label_items: Sequence[pystac.Item]
    thumbnails: Mapping[str, Thumbnail]
    ledger: pl.LazyFrame
    labels: pl.LazyFrame
    shards: Sequence[Path]
    chips: pl.DataFrame
    """chip_id, item_id and split of each, with its shard's number and its row there."""
    conversations: Sequence[Path]
    """One table a part."""
    questions: pl.DataFrame
    """chip_id of each that has questions, with `pairs` and `types`, how many of each."""
    generators: Sequence[str]
    """Who wrote the questions."""
    stats: Mapping[str, Any]
    quarantine: Sequence[Mapping[str, str]]
    rejected: Mapping[str, int]
    """Pairs the verifier did not believe, by reason."""

    @cached_property
    def verdicts(self) -> dict[str, int]:
        """Candidate windows by verdict."""
        return dict(counted(self.ledger, "verdict"))

    @cached_property
    def dropped(self) -> dict[str, int]:
        """Windows each filter dropped, in the order the filters are charged."""
        counts = {name: count for name, count in self.verdicts.items() if name != KEPT}
        unasked = {"together"} if self.sensor.mask else {"together", "cloud"}
        names = [name for name in FILTERS if name not in unasked or name in counts]
        return {name: counts.get(name, 0) for name in [*names, *sorted(set(counts) - set(FILTERS))]}

    @property
    def kept(self) -> int:
        """Windows that passed every filter."""
        return self.verdicts.get(KEPT, 0)

    @property
    def candidates(self) -> int:
        """Windows that the filters looked at."""
        return sum(self.verdicts.values())

    @property
    def pairs(self) -> int:
        """Question-answer pairs."""
        return int(self.questions["pairs"].sum())

    @cached_property
    def sides(self) -> dict[str, int]:
        """Chips by their side of the split."""
        return dict(counted(self.chips.lazy(), "split"))

    def chip_rows(self, chip_ids: Sequence[str]) -> dict[str, dict[str, Any]]:
        """Metadata and GeoTIFF bytes of some chips: only the row groups that hold one are read."""
        found: dict[str, dict[str, Any]] = {}
        chosen = self.chips.filter(pl.col("chip_id").is_in(chip_ids)).sort("shard", "row")
        for (shard,), rows in chosen.group_by("shard", maintain_order=True):
            for table in tables.picked(self.shards[int(str(shard))], rows["row"].to_list(), [*CHIP_COLUMNS, "pixels"]):
                found |= {row["chip_id"]: row for row in table.to_pylist()}
        return found

    def labels_of(self, chip_ids: Sequence[str]) -> pl.DataFrame:
        """Label rows of some chips."""
        return self.labels.filter(pl.col("chip_id").is_in(chip_ids)).collect(engine="streaming")

    def turns_of(self, chip_ids: Sequence[str]) -> pl.DataFrame:
        """Question-answer pairs of some chips: conversation_id, chip_id, generator, tags, question, answer,
        question_type.
        """
        columns = ["conversation_id", "chip_id", "generator", "turns", "conversations"]
        found = []
        for path in self.conversations:
            names = tables.scan([path], ["chip_id"]).with_row_index()
            rows = names.filter(pl.col("chip_id").is_in(chip_ids)).collect(engine="streaming")["index"].to_list()
            found += [as_turns(pl.DataFrame(pl.from_arrow(some))) for some in tables.picked(path, rows, columns)]
        return pl.concat(found) if found else pl.DataFrame(schema={"chip_id": pl.String})


def counted(frame: pl.LazyFrame, column: str) -> list[tuple[str, int]]:
    """Rows by the value of a column, in its order."""
    return list(frame.group_by(column).len().sort(column).collect(engine="streaming").iter_rows())


def as_turns(table: pl.DataFrame) -> pl.DataFrame:
    """Conversations as one row a question-answer pair."""
    tags = pl.col("conversations").str.json_path_match("$[0].value").str.extract(r"(?s)^(.*?)<image>").str.strip_chars()
    return (
        table.select("conversation_id", "chip_id", "generator", "turns", tags=tags)
        .explode("turns")
        .unnest("turns")
        .select("conversation_id", "chip_id", "generator", "tags", "question", "answer", "question_type")
    )


def read_sensor(name: str, parts: Sequence[str], splits: pl.DataFrame) -> SensorData:
    """The artifacts of one sensor.

    Args:
        name: of the sensor.
        parts: of the grid.
        splits: chip_id and split of every chip.

    Raises:
        MissingInputError: one is not there.
        DamagedFileError: one does not hold what was written to it.
    """
    folder = paths.scenes(name)
    bounds = read_json(folder / "thumbnails.json")
    shards = [shard for part in parts for shard in sorted(require(paths.chips(name, part)).glob("shard-*.parquet"))]
    conversations = [require(paths.qa(name, part) / "conversations.parquet") for part in parts]
    sources = [f(name, part) for part in parts for f in (paths.scan, paths.labels, paths.chips)]
    rejected = tables.scan([paths.qa(name, part) / "rejected.parquet" for part in parts], ["reason"])
    questions = tables.scan(conversations, ["chip_id", "turns.list.element.question_type"])
    types = pl.col("turns").list.eval(pl.element().struct.field("question_type")).explode()
    return SensorData(
        sensor=SENSORS[name],
        scenes=read_items(folder / "items.parquet"),
        label_items=read_items(folder / "labels.parquet"),
        thumbnails={
            item: Thumbnail(require(folder / "thumbnails" / f"{Path(item).name}.png"), tuple(box["bounds"]), box["crs"])
            for item, box in bounds.items()
        },
        ledger=tables.scan([paths.ledger(name)]),
        labels=tables.scan([paths.labels(name, part) / "labels.parquet" for part in parts]),
        shards=shards,
        chips=places(shards).join(splits, on="chip_id", how="left").sort("chip_id"),
        conversations=conversations,
        questions=questions.group_by("chip_id")
        .agg(pairs=pl.col("turns").list.len().sum(), types=types.n_unique())
        .sort("chip_id")
        .collect(engine="streaming"),
        generators=[generator for generator, _ in counted(tables.scan(conversations, ["generator"]), "generator")],
        stats=read_json(paths.stats(name)),
        quarantine=once([row for f in sources for row in tables.read(f / "quarantine.parquet").to_pylist()]),
        rejected=dict(counted(rejected, "reason")),
    )


def once(rows: Sequence[dict[str, Any]]) -> list[dict[str, Any]]:
    """Rows of all parts: what holds for a whole source is said by each of them."""
    return [dict(row) for row in dict.fromkeys(tuple(row.items()) for row in rows)]


def places(shards: Sequence[Path]) -> pl.DataFrame:
    """chip_id, item_id, number of the shard and row of every chip; only names are read."""
    columns = ["chip_id", "item_id"]
    empty = pl.DataFrame(pl.from_arrow(SCHEMA.empty_table().select(columns)))
    found = [
        pl.DataFrame(pl.from_arrow(tables.read(shard, columns))).with_columns(
            shard=pl.lit(number, pl.Int32), row=pl.int_range(pl.len(), dtype=pl.Int32)
        )
        for number, shard in enumerate(shards)
    ]
    none = empty.with_columns(shard=pl.lit(0, pl.Int32), row=pl.lit(0, pl.Int32))
    return pl.concat([none, *found])
