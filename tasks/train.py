"""Stage `train`: the three stages of EarthDial (paper, section 3.3), each from the one before.

Stage 1 trains everything, from the published weights where they were imported to `data/weights/<preset>`, else
from fresh ones; stages 2 and 3 freeze the vision encoder and put it in eval mode. A killed run goes on where its
last checkpoint stands, and ends with the very same weights. Where there are several GPUs the stage starts a process
for each; EARTHLOOM_PROCESSES says another number. On several machines torchrun starts them.
"""

from functools import partial
from pathlib import Path
from typing import Any

from tasks.core import paths
from tasks.core.section import read_params
from tasks.core.stage import Summary, main, require
from tasks.training.cover_classes import classes_of
from tasks.training.job import TrainingJob, train
from tasks.training.launch import launch, processes, reporting
from tasks.training.params import ModelParams, TrainParams, load_recipe
from tasks.training.setup import begin, load_tokenizer, published, statistics_of
from tasks.training.stopping import stop_on_sigterm


def make_job(stage: str, model: ModelParams, recipe: TrainParams) -> TrainingJob:
    """The stage, ready to be trained.

    Raises:
        ParamsError: there is no such stage.
        MissingInputError: a stage before it has not run.
    """
    params, mixture = recipe.stage(stage), paths.mixture(stage)
    sensors = read_params()["sensors"]["enabled"] if recipe.common.cover else []
    start = published(model.preset, model.start.get(model.preset))
    inputs = [require(mixture), require(paths.tokenizer()), require(paths.stats("any").parent)]
    if stage != "1":
        inputs.append(require(paths.train(str(int(stage) - 1))))
    if start is not None:
        inputs.append(start)
    inputs += [folder for sensor in sensors for folder in paths.labels_of_parts(sensor)]
    return TrainingJob(
        name="train",
        stage=stage,
        common=recipe.common,
        params=params,
        settings={"model": model.model_dump()},
        inputs=tuple(inputs),
        mixtures={name: mixture / f"{name}.parquet" for name in ("train", "val")},
        statistics=partial(statistics_of, stage),
        out=paths.train(stage),
        tokenizer=partial(load_tokenizer, start, before(stage)),
        begin=partial(begin, stage, model, recipe.common.seed, classes_of(sensors)),
        data=_data,
    )


def before(stage: str) -> Path | None:
    """Checkpoint of the stage before; None for the first."""
    return None if stage == "1" else paths.train(str(int(stage) - 1))


def _data(*args: Any) -> Any:
    from tasks.training.dataloader import Data

    return Data(*args)


def run(stage: str, preset: str | None = None) -> Summary:
    """Train one stage, from its last checkpoint if it was interrupted.

    Args:
        stage: 1, 2 or 3.
        preset: tiny, small or 4b, with its own recipe; that of `model.preset` in params.yaml if it is not given.

    Raises:
        StoppedError: SIGTERM came; the same command goes on.
    """
    model_params, recipe = load_recipe(preset)
    recipe.stage(stage)
    number = processes(recipe.common)
    if number > 1:
        named = [] if preset is None else ["--preset", preset]
        shared: Summary = launch(number, "tasks.train", ["--stage", stage, *named])
        return shared
    with reporting() as report, stop_on_sigterm() as stop:
        summary = train(make_job(stage, model_params, recipe), stop)
        report["result"] = summary
    return summary


if __name__ == "__main__":
    main("train", run)
