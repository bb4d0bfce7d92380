"""What the page is made from: the artifacts of the earlier stages, read once and held against each other."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import Any

import polars as pl
import pyarrow as pa
import pyarrow.parquet as pq
import pystac

from tasks.core import paths, tables
from tasks.core.errors import EarthloomError
from tasks.core.section import load, read_params
from tasks.core.stage import address, read_json, require
from tasks.earth.grid import GridParams
from tasks.earth.items import read_items
from tasks.earth.sensors import SENSORS, Sensor
from tasks.evaluation.names import MODELS, RELEASED
from tasks.pages.trained import STAGES, Evaluation, Training, read_evaluation, read_training

KEPT = "kept"
FILTERS = ("nodata", "cloud", "land", "labels", "together", "overlap", "near", "duplicate")
"""In the order they are charged: the first that a window fails is its reason."""
SPLITS = ("train", "val", "test", "buffer")
CHIP_COLUMNS = [
    "chip_id",
    "window_id",
    "item_id",
    "datetime",
    "crs",
    "transform",
    "width",
    "bands",
    "mask_provenance",
]


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
    ledger: pl.DataFrame
    labels: pl.DataFrame
    chips: pl.DataFrame
    """Without pixels, with `split`."""
    turns: pl.DataFrame
    """One row a question-answer pair."""
    stats: Mapping[str, Any]
    quarantine: Sequence[Mapping[str, str]]
    rejected: Mapping[str, int]
    """Pairs the verifier did not believe, by reason."""

    @cached_property
    def dropped(self) -> dict[str, int]:
        """Windows each filter dropped, in the order the filters are charged."""
        counts = dict(self.ledger.group_by("verdict").len().iter_rows())
        counts.pop(KEPT, None)
        unasked = {"together"} if self.sensor.mask else {"together", "cloud"}
        names = [name for name in FILTERS if name not in unasked or name in counts]
        return {name: int(counts.get(name, 0)) for name in [*names, *sorted(set(counts) - set(FILTERS))]}

    @cached_property
    def kept(self) -> int:
        """Windows that passed every filter."""
        return self.ledger.filter(pl.col("verdict") == KEPT).height

    def pixels(self, chip_ids: Sequence[str], parts: Sequence[str]) -> dict[str, bytes]:
        """GeoTIFF bytes of some chips."""
        found: dict[str, bytes] = {}
        for part in parts:
            for shard in sorted(paths.chips(self.sensor.name, part).glob("shard-*.parquet")):
                with tables.whole(shard):
                    table = pq.read_table(
                        shard, columns=["chip_id", "pixels"], filters=[("chip_id", "in", list(chip_ids))],
                        page_checksum_verification=True,
                    )  # fmt: skip
                found |= {row["chip_id"]: row["pixels"] for row in table.to_pylist()}
        return found


@dataclass(frozen=True)
class ReportData:
    """All inputs of the page."""

    params: Mapping[str, Any]
    parts: Sequence[str]
    sensors: Sequence[SensorData]
    certificate: Mapping[str, Any]
    training: Sequence[Training]
    evaluations: Sequence[Evaluation]
    """Of each model, the released one first."""
    routing: Mapping[str, Any]
    """What stage `routing` found."""
    frozen: Mapping[str, Any]
    """Scores of the frozen set; empty without one."""
    forgetting: Mapping[str, Any]
    """Scores after each stage of training, on what is shown in true colour."""

    @property
    def predictions(self) -> pl.DataFrame:
        """Of the released model."""
        return self.evaluations[0].predictions

    @property
    def scores(self) -> Mapping[str, Any]:
        """Of the released model."""
        return self.evaluations[0].scores

    @property
    def pairs(self) -> int:
        """Question-answer pairs of all sensors."""
        return sum(data.turns.height for data in self.sensors)

    def total(self, name: str) -> int:
        """Rows of one of the sensors' tables, over all sensors: scenes, ledger, chips or turns."""
        return sum(len(getattr(data, name)) for data in self.sensors)


def read() -> ReportData:
    """All inputs, as params.yaml names the sensors and parts.

    Raises:
        MissingInputError: an artifact of an earlier stage is not there.
        EarthloomError: two artifacts contradict each other.
    """
    params = read_params()
    parts = load(GridParams, "grid").parts
    splits = frame(paths.split() / "assignment.parquet").select("chip_id", "split")
    return ReportData(
        params=params,
        parts=parts,
        sensors=[read_sensor(name, parts, splits) for name in params["sensors"]["enabled"]],
        certificate=read_json(paths.split() / "certificate.json"),
        training=[read_training(stage) for stage in STAGES],
        evaluations=[read_evaluation(key) for key in sorted(MODELS, key=lambda key: key != RELEASED)],
        routing=read_json(paths.routing() / "routing.json"),
        frozen=read_json(require(paths.frozen() / "scores.json")),
        forgetting=read_json(require(paths.forgetting() / "scores.json")),
    )


def read_sensor(name: str, parts: Sequence[str], splits: pl.DataFrame) -> SensorData:
    """The artifacts of one sensor, its ledger held against the counts that `select` wrote."""
    folder = paths.scenes(name)
    bounds = read_json(folder / "thumbnails.json")
    chips = [chip_rows(name, part) for part in parts]
    sources = [paths.labels(name), *[f(name, part) for part in parts for f in (paths.scan, paths.chips)]]
    rejected = pl.concat([frame(paths.qa(name, part) / "rejected.parquet").select("reason") for part in parts])
    data = SensorData(
        sensor=SENSORS[name],
        scenes=read_items(folder / "items.parquet"),
        label_items=read_items(folder / "labels.parquet"),
        thumbnails={
            item: Thumbnail(require(folder / "thumbnails" / f"{Path(item).name}.png"), tuple(box["bounds"]), box["crs"])
            for item, box in bounds.items()
        },
        ledger=frame(paths.ledger(name)),
        labels=frame(paths.labels(name) / "labels.parquet"),
        chips=pl.concat(chips).join(splits, on="chip_id", how="left").sort("chip_id"),
        turns=pl.concat([turn_rows(name, part) for part in parts]),
        stats=read_json(paths.stats(name)),
        quarantine=[row for f in sources for row in tables.read(f / "quarantine.parquet").to_pylist()],
        rejected=dict(sorted(rejected.group_by("reason").len().iter_rows())),
    )
    check(data)
    return data


def check(data: SensorData) -> None:
    """Hold what the page will count against what the stages counted.

    Raises:
        EarthloomError: they differ, so that the page would be wrong.
    """
    name = data.sensor.name
    summary = read_json(paths.summary(address("select", name)))
    counted = {"candidates": data.ledger.height, "kept": data.kept, **data.dropped}
    expected = {"candidates": summary["candidates"], "kept": summary["kept"], **summary["dropped"]}
    # A filter that drops nothing may be named by one of them alone: it is not asked of every sensor and data set.
    counted, expected = ({name: n for name, n in one.items() if n} for one in (counted, expected))
    if counted != expected:
        raise EarthloomError(
            f"{paths.ledger(name)} counts {counted}, but "
            f"{paths.summary(address('select', name))} says {expected}; "
            "they are of different runs: run `dvc repro select`"
        )
    lost = data.chips.filter(pl.col("split").is_null())
    if lost.height:
        raise EarthloomError(
            f"{lost.height} chips of {name} have no side in "
            f"{paths.split() / 'assignment.parquet'}, the first is {lost['chip_id'][0]}; "
            "run `dvc repro split`"
        )


def chip_rows(sensor: str, part: str) -> pl.DataFrame:
    """Chips of one part without their pixels; none where the part has none."""
    table = tables.read_shards(paths.chips(sensor, part), CHIP_COLUMNS)
    if table.num_rows == 0:
        from tasks.earth.chip_schema import SCHEMA

        table = SCHEMA.empty_table().select(CHIP_COLUMNS)
    return as_frame(table).with_columns(pl.col("transform").cast(pl.List(pl.Float64)))


def turn_rows(sensor: str, part: str) -> pl.DataFrame:
    """Question-answer pairs of one part: conversation_id, chip_id, question, answer, question_type, tags."""
    table = frame(paths.qa(sensor, part) / "conversations.parquet")
    tags = pl.col("conversations").str.json_path_match("$[0].value").str.extract(r"(?s)^(.*?)<image>").str.strip_chars()
    return (
        table.select("conversation_id", "chip_id", "generator", "turns", tags=tags)
        .explode("turns")
        .unnest("turns")
        .select("conversation_id", "chip_id", "generator", "tags", "question", "answer", "question_type")
    )


def frame(path: Path) -> pl.DataFrame:
    """A Parquet table as a data frame.

    Raises:
        MissingInputError: it is not there.
    """
    return as_frame(tables.read(path))


def as_frame(table: pa.Table) -> pl.DataFrame:
    """An Arrow table as a data frame."""
    converted = pl.from_arrow(table)
    assert isinstance(converted, pl.DataFrame)
    return converted
