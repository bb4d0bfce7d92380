"""What the page is made from: artifacts of the earlier stages, asked for what it shows, held against each other."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import polars as pl

from tasks.core import paths, tables
from tasks.core.errors import EarthloomError
from tasks.core.section import load, read_params
from tasks.core.stage import address, read_json, require
from tasks.earth.grid import GridParams
from tasks.evaluation.names import MODELS, RELEASED
from tasks.pages.sensor_data import SensorData, read_sensor
from tasks.pages.trained import STAGES, Evaluation, Training, read_evaluation, read_training

SPLITS = ("train", "val", "test", "buffer")


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
        return sum(data.pairs for data in self.sensors)

    @property
    def scenes(self) -> int:
        """Scenes of all sensors."""
        return sum(len(data.scenes) for data in self.sensors)

    @property
    def candidates(self) -> int:
        """Candidate windows of all sensors."""
        return sum(data.candidates for data in self.sensors)


def read() -> ReportData:
    """All inputs, as params.yaml names the sensors and parts.

    Raises:
        MissingInputError: an artifact of an earlier stage is not there.
        EarthloomError: two artifacts contradict each other.
    """
    params = read_params()
    parts = load(GridParams, "grid").parts
    splits = tables.scan([paths.split() / "assignment.parquet"], ["chip_id", "split"]).collect(engine="streaming")
    sensors = [read_sensor(name, parts, splits) for name in params["sensors"]["enabled"]]
    for data in sensors:
        check(data)
    return ReportData(
        params=params,
        parts=parts,
        sensors=sensors,
        certificate=read_json(paths.split() / "certificate.json"),
        training=[read_training(stage) for stage in STAGES],
        evaluations=[read_evaluation(key) for key in sorted(MODELS, key=lambda key: key != RELEASED)],
        routing=read_json(paths.routing() / "routing.json"),
        frozen=read_json(require(paths.frozen() / "scores.json")),
        forgetting=read_json(require(paths.forgetting() / "scores.json")),
    )


def check(data: SensorData) -> None:
    """Hold what the page will count against what the stages counted.

    Raises:
        EarthloomError: they differ, so that the page would be wrong.
    """
    name = data.sensor.name
    summary = read_json(paths.summary(address("select", name)))
    counted = {"candidates": data.candidates, "kept": data.kept, **data.dropped}
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
