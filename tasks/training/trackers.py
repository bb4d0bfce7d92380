"""Experiment trackers: the figures of each step where those who train look for them. Nothing made depends on them.

They lie in the work folder of the stage, run in the first process only, and a resumed run goes on along the same axis
of steps: what a killed one had shown beyond its checkpoint is taken back, as far as a tracker can.
"""

import csv
import json
import logging
import os
from collections.abc import Callable, Mapping, Sequence
from importlib import metadata
from pathlib import Path
from pkgutil import resolve_name
from typing import TYPE_CHECKING, Any, Protocol

from tasks.core.errors import TrainingError
from tasks.core.stage import atomic

if TYPE_CHECKING:
    from tasks.training.params import TrackerName
    from tasks.training.trainer import Setup

logger = logging.getLogger(__name__)
PROJECT = "earthloom"
INSTALLS = {"wandb": "wandb", "mlflow": "mlflow-skinny", "dvclive": "dvclive"}
"""Trackers that are no part of the environment, and the package to install."""


class Tracker(Protocol):
    """Takes the figures of a step."""

    def log(self, step: int, figures: Mapping[str, float]) -> None:
        """Show some figures of a step, counted from 1."""

    def close(self) -> None:
        """Write what is still held."""


class Trackers:
    """All that were asked for."""

    def __init__(self, trackers: Sequence[Tracker] = ()) -> None:
        self._trackers = trackers

    def log(self, step: int, figures: Mapping[str, Any]) -> None:
        """Show the figures of a step that are numbers."""
        numbers = {name: float(value) for name, value in figures.items() if isinstance(value, int | float)}
        for tracker in self._trackers:
            tracker.log(step, numbers)

    def close(self) -> None:
        """At the end of the run, whatever ends it."""
        for tracker in self._trackers:
            tracker.close()


def check_trackers(names: "Sequence[TrackerName]") -> None:
    """See that the packages are installed, before any work.

    Raises:
        TrainingError: one is not.
    """
    for name in names:
        if (package := INSTALLS.get(name)) is None:
            continue
        try:
            metadata.version(package)
        except metadata.PackageNotFoundError as error:
            raise TrainingError(
                f"trackers: {name} is not installed: `pip install {package}`, or take it out of the list; tensorboard "
                "is always there"
            ) from error


def open_trackers(setup: "Setup", step: int) -> Trackers:
    """Those that `train.common.trackers` names, of a run that has come to `step`; none but in the first process.

    Each has a folder in that of the stage's work.
    """
    if not setup.world.is_first:
        return Trackers()
    check_trackers(setup.common.trackers)
    params = flat({"common": setup.common.model_dump(mode="json"), "stage": setup.stage.model_dump(mode="json")})
    work = setup.work
    return Trackers([MAKERS[name](work / name, work.name, step, params) for name in setup.common.trackers])


class TensorBoard:
    """Event files: `tensorboard --logdir .earthloom/work`."""

    def __init__(self, folder: Path, run: str, step: int, params: Mapping[str, Any]) -> None:
        from torch.utils.tensorboard import SummaryWriter

        make: Any = SummaryWriter
        # What was written of the steps after the checkpoint is no longer shown.
        self._writer: Any = make(str(folder), purge_step=step + 1 if step else None)
        if not step:
            table = "".join(f"| {name} | {value} |\n" for name, value in sorted(params.items()))
            self._writer.add_text("parameters", f"| parameter | value |\n|---|---|\n{table}")

    def log(self, step: int, figures: Mapping[str, float]) -> None:
        """Scalars."""
        for name, value in figures.items():
            self._writer.add_scalar(name, value, step)

    def close(self) -> None:
        """Flush."""
        self._writer.close()


# The others may not be there. They are found by name while the program runs, so that what a stage reaches, and with it
# what is fresh, does not depend on them (tasks/core/code.py).


class DvcLive:
    """DVCLive's files, for `dvc plots` and the editors that show them; no experiment and no dvc.yaml of its own."""

    def __init__(self, folder: Path, run: str, step: int, params: Mapping[str, Any]) -> None:
        for plot in (folder / "plots/metrics").rglob("*.tsv") if step else ():
            _cut(plot, step)
        self._live: Any = resolve_name("dvclive:Live")(
            str(folder), resume=bool(step), report=None, save_dvc_exp=False, dvcyaml=None
        )
        if not step:
            self._live.log_params(dict(params))

    def log(self, step: int, figures: Mapping[str, float]) -> None:
        """Metrics."""
        self._live.step = step
        for name, value in figures.items():
            self._live.log_metric(name, value)
        self._live.make_summary()

    def close(self) -> None:
        """The summary."""
        self._live.end()


def _cut(plot: Path, step: int) -> None:
    """Take out the rows of steps after `step`."""
    with plot.open(newline="") as file:
        rows = list(csv.DictReader(file, delimiter="\t"))
    with atomic(plot) as partial, partial.open("w", newline="") as file:
        writer = csv.DictWriter(file, rows[0].keys() if rows else ["step"], delimiter="\t", lineterminator="\n")
        writer.writeheader()
        writer.writerows(row for row in rows if int(row["step"]) <= step)


class WandB:
    """Weights & Biases: to where WANDB_MODE, WANDB_BASE_URL and WANDB_API_KEY say."""

    def __init__(self, folder: Path, run: str, step: int, params: Mapping[str, Any]) -> None:
        folder.mkdir(parents=True, exist_ok=True)
        # The same run goes on: its name is kept beside the checkpoints, which a new run begins without.
        name = _kept(folder / "run", resolve_name("wandb.util:generate_id"), bool(step))
        self._run: Any = resolve_name("wandb:init")(
            project=PROJECT, name=run, id=name, resume="allow", dir=str(folder), config=dict(params)
        )

    def log(self, step: int, figures: Mapping[str, float]) -> None:
        """Metrics; of a step that was shown already W&B keeps the first."""
        self._run.log(dict(figures), step=step)

    def close(self) -> None:
        """Send the rest."""
        self._run.finish()


class MlFlow:
    """MLflow: at MLFLOW_TRACKING_URI, else in a database in the work folder."""

    def __init__(self, folder: Path, run: str, step: int, params: Mapping[str, Any]) -> None:
        folder.mkdir(parents=True, exist_ok=True)
        uri = os.environ.get("MLFLOW_TRACKING_URI") or f"sqlite:///{folder.absolute()}/mlflow.db"
        client: Any = resolve_name("mlflow:MlflowClient")(uri)
        experiment = client.get_experiment_by_name(PROJECT)
        number = experiment.experiment_id if experiment else client.create_experiment(PROJECT)
        self._client = client
        self._run = _kept(folder / "run", lambda: client.create_run(number, run_name=run).info.run_id, bool(step))
        if not step:
            for name, value in sorted(params.items()):
                client.log_param(self._run, name, value)

    def log(self, step: int, figures: Mapping[str, float]) -> None:
        """Metrics; of a step that was shown already both are kept."""
        for name, value in figures.items():
            self._client.log_metric(self._run, name, value, step=step)

    def close(self) -> None:
        """The run has ended, or waits for the command that goes on with it."""
        self._client.set_terminated(self._run)


def _kept(place: Path, make: Callable[[], str], resumed: bool) -> str:
    """A name that is made once a run."""
    if not (resumed and place.is_file()):
        with atomic(place) as partial:
            partial.write_text(make())
    return place.read_text()


MAKERS: Mapping[str, Callable[[Path, str, int, Mapping[str, Any]], Tracker]] = {
    "tensorboard": TensorBoard,
    "dvclive": DvcLive,
    "wandb": WandB,
    "mlflow": MlFlow,
}


def flat(params: Mapping[str, Any], prefix: str = "") -> dict[str, Any]:
    """Parameters by their dotted names, as trackers take them."""
    out: dict[str, Any] = {}
    for name, value in params.items():
        if isinstance(value, Mapping):
            out |= flat(value, f"{prefix}{name}.")
        else:
            out[f"{prefix}{name}"] = value if isinstance(value, int | float | str) else json.dumps(value, default=str)
    return out
