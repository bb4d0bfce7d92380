"""Stage `moe`: the two stages of RS-MoE (arXiv 2411.01595), by the trainer of stage `train`.

Stage 1 trains the dense network on whole answers, from imported InstructBLIP weights where there are any in
`data/weights/rsmoe-<preset>`, else from fresh ones. Stage 2 gives it a router and experts that each equal it, so that
sparsity costs nothing at the start, freezes the rest, and trains them on their sub-tasks. A killed run goes on where
its last checkpoint stands, and ends with the very same weights.
"""

from functools import partial
from pathlib import Path
from typing import Any

from tasks.core import paths
from tasks.core.stage import Summary, main, require
from tasks.training.job import TrainingJob, train
from tasks.training.launch import launch, processes, reporting
from tasks.training.moe_params import MoeParams, load_moe
from tasks.training.moe_setup import begin, load_tokenizers, weights_name
from tasks.training.setup import published, statistics_of
from tasks.training.stopping import stop_on_sigterm

MIXTURE = "3"
"""The mixture that both stages learn from: all modalities together."""


def make_job(stage: str, params: MoeParams) -> TrainingJob:
    """The stage, ready to be trained.

    Raises:
        ParamsError: there is no such stage.
        MissingInputError: a stage before it has not run.
    """
    common, weights = params.run_params(), published(weights_name(params.model.preset))
    samples = paths.mixture(MIXTURE) if stage == "1" else paths.subtasks()
    before = None if stage == "1" else paths.moe("1")
    start: Path | None = before or weights
    inputs = [require(samples), require(paths.tokenizer()), require(paths.stats("any").parent)]
    return TrainingJob(
        name="moe",
        stage=stage,
        common=common,
        params=params.stage(stage),
        settings={"model": params.model.model_dump()},
        inputs=(*inputs, *(() if start is None else (require(start),))),
        mixtures={name: samples / f"{name}.parquet" for name in ("train", "val")},
        statistics=partial(statistics_of, MIXTURE),
        out=paths.moe(stage),
        tokenizer=partial(load_tokenizers, weights, before),
        begin=partial(begin, stage, params.model, common.seed),
        data=partial(_data, weights),
    )


def _data(weights: Path | None, *args: Any) -> Any:
    from tasks.training.moe_dataloader import MoeData
    from tasks.vlm.rsmoe_network import load_reader

    data = MoeData(*args)
    data.instruction_tokenizer = load_reader(weights)
    return data


def run(stage: str, preset: str | None = None) -> Summary:
    """Train one stage, from its last checkpoint if it was interrupted.

    Args:
        stage: 1 or 2.
        preset: tiny, small, 1b or 7b, with its own recipe; that of `moe.model.preset` in params.yaml if not given.

    Raises:
        StoppedError: SIGTERM came; the same command goes on.
    """
    params = load_moe(preset)
    params.stage(stage)
    number = processes(params.run_params())
    if number > 1:
        named = [] if preset is None else ["--preset", preset]
        shared: Summary = launch(number, "tasks.moe", ["--stage", stage, *named])
        return shared
    with reporting() as report, stop_on_sigterm() as stop:
        summary = train(make_job(stage, params), stop)
        report["result"] = summary
    return summary


if __name__ == "__main__":
    main("moe", run)
