"""Trackers show the figures of each step along one axis, change nothing that is made, or are refused by name."""

import csv
import sys
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest
from tensorboard.backend.event_processing.event_accumulator import EventAccumulator

from tasks.core.errors import TrainingError
from tasks.core.section import load
from tasks.training.params import StageParams, TrainParams
from tasks.training.trackers import check_trackers, open_trackers
from tasks.vlm.world import World

STAGE = StageParams(trains=["language"], lr=1e-3, epochs=1)  # type: ignore[call-arg]


def setup(folder: Path, names: list[str], rank: int = 0) -> Any:
    common = load(TrainParams, "train").common.model_copy(update={"trackers": names})
    return SimpleNamespace(common=common, stage=STAGE, work=folder, world=World(rank, 2))


def run(folder: Path, names: list[str], first: int, last: int) -> None:
    """Steps `first` to `last`; those before are in a checkpoint."""
    trackers = open_trackers(setup(folder, names), first - 1)
    for step in range(first, last + 1):
        trackers.log(step, {"loss": 1 / step, "val_loss": None, "name": "no number", "lr": first})
    trackers.close()


def test_tensorboard_goes_on_along_the_steps_and_takes_back_what_was_lost(tmp_path: Path) -> None:
    run(tmp_path, ["tensorboard"], 1, 6)  # killed here, with a checkpoint of step 4
    run(tmp_path, ["tensorboard"], 5, 8)
    found = EventAccumulator(str(tmp_path / "tensorboard"))
    found.Reload()
    assert found.Tags()["scalars"] == ["loss", "lr"]
    assert [(one.step, one.value) for one in found.Scalars("lr")] == [(n, 1 if n < 5 else 5) for n in range(1, 9)]


def test_dvclive_goes_on_likewise_and_leaves_no_stage_and_no_experiment(tmp_path: Path) -> None:
    pytest.importorskip("dvclive")
    run(tmp_path, ["dvclive"], 1, 6)
    run(tmp_path, ["dvclive"], 5, 8)
    with (tmp_path / "dvclive/plots/metrics/loss.tsv").open() as file:
        rows = [(int(row["step"]), float(row["loss"])) for row in csv.DictReader(file, delimiter="\t")]
    assert rows == [(step, pytest.approx(1 / step)) for step in range(1, 9)]
    assert not list(tmp_path.rglob("dvc.yaml"))
    assert "common.seed" in (tmp_path / "dvclive/params.yaml").read_text()


def test_only_the_first_process_shows_anything(tmp_path: Path) -> None:
    open_trackers(setup(tmp_path, ["tensorboard"], rank=1), 0).log(1, {"loss": 1.0})
    assert not list(tmp_path.iterdir())


@pytest.mark.parametrize(("name", "package"), [("wandb", "wandb"), ("mlflow", "mlflow-skinny")])
def test_a_tracker_that_is_not_installed_is_refused_with_what_to_install(name: str, package: str) -> None:
    if any((Path(folder) / name).is_dir() for folder in sys.path):
        pytest.skip(f"{name} is installed here")
    with pytest.raises(TrainingError, match=f"{name} is not installed: `pip install {package}`"):
        check_trackers([name])  # type: ignore[list-item]
