"""Stage `train`: the three stages of EarthDial (paper, section 3.3), each from the one before.

Stage 1 trains everything, from the published weights where they were imported to `data/weights/<preset>`, else
from fresh ones; stages 2 and 3 freeze the vision encoder and put it in eval mode. A killed run goes on where its
last checkpoint stands, and ends with the very same weights. Where there are several GPUs the stage starts a process
for each; EARTHLOOM_PROCESSES says another number. On several machines torchrun starts them.
"""

import logging
import shutil
from pathlib import Path
from typing import TYPE_CHECKING, Any

from tasks.core import paths
from tasks.core.stage import Summary, address, atomic, fresh_work, main, require
from tasks.training.launch import launch, processes, reporting
from tasks.training.params import ModelParams, TrainParams, load_recipe
from tasks.training.setup import begin, load_tokenizer, published, read_data, write_checkpoint
from tasks.training.stopping import Stop, stop_on_sigterm

if TYPE_CHECKING:
    from models.earthdial.model import EarthDialForConditionalGeneration
    from tasks.training.checkpoint import Progress
    from tasks.training.schedule import Plan

logger = logging.getLogger(__name__)
TRAILER = 8
"""Bytes at the end of a Parquet file: the length of its footer, and the letters PAR1."""


def work_folder(stage: str, preset: str, *params: Any) -> Path:
    """Where checkpoints to resume from lie: emptied if an input, a parameter or the code is another than they
    had.
    """
    inputs = [require(paths.mixture(stage)), require(paths.tokenizer()), require(paths.stats("any").parent)]
    if stage != "1":
        inputs.append(require(paths.train(str(int(stage) - 1))))
    elif (folder := published(preset)) is not None:
        inputs.append(folder)
    shards = [(path.as_posix(), footer(path)) for path in sorted((paths.DATA / "chips").rglob("shard-*.parquet"))]
    return fresh_work(address("train", stage), "tasks.train", *inputs, shards, [one.model_dump() for one in params])


def footer(shard: Path) -> str:
    """Size and footer of a Parquet file in hexadecimal: sizes, places and statistics of all that it holds.

    Chips written anew change it, and reading it costs the same for a shard of any size.
    """
    with shard.open("rb") as file:
        size = file.seek(-TRAILER, 2) + TRAILER
        length = int.from_bytes(file.read(4), "little")
        file.seek(-min(size, length + TRAILER), 2)
        return f"{size} {file.read().hex()}"


def summarise(model: "EarthDialForConditionalGeneration", plan: "Plan", progress: "Progress", rejected: int) -> Summary:
    """Counts and losses of a finished stage."""
    losses = [row["loss"] for row in progress.rows if row["loss"] is not None]
    measured = [row["val_loss"] for row in progress.rows if row["val_loss"] is not None]
    return {
        "parameters": sum(p.numel() for p in model.parameters()),
        "trained_parameters": sum(p.numel() for p in model.parameters() if p.requires_grad),
        "steps": progress.step,
        "samples": progress.samples,
        "tokens": progress.tokens,
        "visual_tokens": progress.visual_tokens,
        "rejected": rejected,
        "fill": round(plan.fill(), 4),
        "loss": {"first": losses[0], "last": losses[-1]},
        "val_loss": {"first": measured[0], "last": measured[-1]} if measured else {},
    }


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
        summary = train(stage, model_params, recipe, stop)
        report["result"] = summary
    return summary


def train(stage: str, model_params: ModelParams, recipe: TrainParams, stop: Stop) -> Summary:
    """What each process of the stage does."""
    common, params = recipe.common, recipe.stage(stage)

    from transformers.utils import logging as transformers_logging

    from tasks.training import trainer
    from tasks.training.checkpoint import whole_weights
    from tasks.training.distributed import joined
    from tasks.training.schedule import Plan

    transformers_logging.disable_progress_bar()  # type: ignore[no-untyped-call]
    with joined(common) as world:
        if world.is_first:
            work_folder(stage, model_params.preset, model_params, common, params)
        world.wait()
        work = paths.work(address("train", stage))
        tokenizer, write_tokenizer = load_tokenizer(stage, model_params.preset)
        model = begin(stage, model_params, common.seed, tokenizer)
        data, normalise, rejected = read_data(stage, model, tokenizer, common, world)
        plan = Plan(
            data["train"].sizes,
            common.max_length,
            common.max_groups,
            common.batch,
            params.epochs,
            common.seed + int(stage),
            params.max_steps,
            common.window,
        )
        setup = trainer.Setup(model, data["train"], data["val"], plan, common, params, work, world, stop)
        progress = trainer.train(setup)
        weights = whole_weights(model)
        if world.is_first:
            if common.lora is not None:
                from tasks.training.lora import merged

                weights = merged(weights, common.lora)
            out = paths.train(stage)
            shutil.rmtree(out, ignore_errors=True)
            with atomic(out) as partial:
                write_checkpoint(partial, model, weights, write_tokenizer, normalise, progress, rejected)
            for old in work.glob("step-*"):
                shutil.rmtree(old)
            for copy in work.glob("*.arrow"):
                copy.unlink()
        world.wait()
        return summarise(model, plan, progress, len(rejected))


if __name__ == "__main__":
    main("train", run)
