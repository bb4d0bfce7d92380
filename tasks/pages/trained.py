"""What the stages `train`, `moe` and `evaluate` left of the models: logs, configurations, answers, scores."""

import csv
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import polars as pl

from tasks.core import paths, tables
from tasks.core.errors import EmptyStageError
from tasks.core.stage import address, read_json, require
from tasks.evaluation.names import MODELS, RELEASED


@dataclass(frozen=True)
class TrainingStage:
    """A stage of training, in the order of the page."""

    address: str
    """DVC's name of it."""
    folder: Path
    model: str
    title: str


STAGES = (
    TrainingStage(address("train", "1"), paths.train("1"), "EarthDial", "Stage 1, pretraining"),
    TrainingStage(address("train", "2"), paths.train("2"), "EarthDial", "Stage 2, RGB and temporal"),
    TrainingStage(address("train", "3"), paths.train("3"), "EarthDial", "Stage 3, multispectral and SAR"),
    TrainingStage(address("moe", "1"), paths.moe("1"), "RS-MoE", "Stage 1, the dense network"),
    TrainingStage(address("moe", "2"), paths.moe("2"), "RS-MoE", "Stage 2, router and experts"),
)


@dataclass(frozen=True)
class Training:
    """One stage of training: its log, as columns, and the model's configuration."""

    stage: TrainingStage
    log: Mapping[str, Sequence[float | None]]
    config: Mapping[str, Any]

    def points(self, column: str) -> list[tuple[float, float]]:
        """(step, value) where the log has one."""
        pairs = zip(self.log["step"], self.log.get(column, []), strict=False)
        return [(step, value) for step, value in pairs if step is not None and value is not None]


@dataclass(frozen=True)
class Evaluation:
    """What a model answered to the held-out questions, and what that is worth."""

    key: str
    predictions: pl.DataFrame
    scores: Mapping[str, Any]

    @property
    def name(self) -> str:
        """What sentences call the model."""
        return MODELS[self.key].title.partition(",")[0]

    @property
    def released(self) -> bool:
        """Whether it is the model that is released and put into service."""
        return self.key == RELEASED


def read_training(stage: TrainingStage) -> Training:
    """Log and configuration of one training stage."""
    with require(stage.folder / "log.csv").open(newline="") as file:
        rows = list(csv.DictReader(file))
    if not rows:
        raise EmptyStageError(f"{stage.folder / 'log.csv'} has no row; run `dvc repro {stage.address}`")
    log = {column: [float(row[column]) if row[column] else None for row in rows] for column in rows[0]}
    return Training(stage, log, read_json(stage.folder / "config.json"))


def read_evaluation(key: str) -> Evaluation:
    """Answers and scores of one model.

    Raises:
        MissingInputError: it was not evaluated.
        EmptyStageError: it was asked nothing.
    """
    folder = paths.evaluate(key)
    predictions = pl.from_arrow(tables.read(folder / "predictions.parquet"))
    assert isinstance(predictions, pl.DataFrame)
    if predictions.is_empty():
        raise EmptyStageError(
            f"{folder / 'predictions.parquet'} has no row; run `dvc repro {address('evaluate', key)}`"
        )
    return Evaluation(key, predictions, read_json(folder / "scores.json"))
