"""One training stage from its inputs to its checkpoint, of whichever network: what stages `train` and `moe` share."""

import shutil
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from tasks.core import paths
from tasks.core.stage import Summary, address, atomic, fresh_work
from tasks.training.params import RunParams, StageParams
from tasks.training.stopping import Stop

if TYPE_CHECKING:
    from tasks.training.checkpoint import Progress
    from tasks.training.dataloader import Data
    from tasks.training.network import Network
    from tasks.training.schedule import Plan

TRAILER = 8
"""Bytes at the end of a Parquet file: the length of its footer, and the letters PAR1."""


@dataclass(frozen=True, kw_only=True)
class TrainingJob:
    """What a stage begins with, what it sees, and where it leaves its checkpoint."""

    name: str
    """Of the DVC stage: train or moe."""
    stage: str
    """Key of the stage: 1, 2 or 3."""
    common: RunParams
    params: StageParams
    settings: Mapping[str, Any]
    """Whatever else decides what comes out: the parameters of the network."""
    inputs: tuple[Path, ...]
    """Files and folders, chips apart, whose change begins the stage anew."""
    mixtures: Mapping[str, Path]
    """Tables of samples, by split: train and val."""
    statistics: Callable[[str], Path]
    """Where the statistics of a sensor lie."""
    out: Path
    tokenizer: Callable[[], tuple[Any, Callable[[Path], Any]]]
    """Loads the tokenizer; and what writes it into a folder."""
    begin: Callable[[Any], "Network"]
    """The network as it begins, for a tokenizer."""
    data: Callable[..., "Data"]
    """Samples as packs, of `tasks.training.dataloader`."""
    module: str = ""
    """Whose code makes the checkpoint; `tasks.<name>` if it is not said."""
    chips: Path = paths.DATA / "chips"
    """Folder under which the shards of chips lie."""
    keep: Callable[["Network", Path], None] | None = None
    """Writes what was trained into a folder, in place of the weights; None for a whole checkpoint."""

    @property
    def before(self) -> Path | None:
        """The checkpoint it begins with; None for fresh weights."""
        return next(
            (path for path in self.inputs if (path / "config.json").is_file() and (path / "tokenizer.json").is_file()),
            None,
        )

    @property
    def work(self) -> Path:
        """Where checkpoints to resume from lie."""
        return paths.work(address(self.name, self.stage))

    @property
    def described(self) -> dict[str, Any]:
        """Name and parameters, as the checkpoint's recipe.json keeps them."""
        values = {"common": self.common.model_dump(mode="json"), "stage": self.params.model_dump(mode="json")}
        return {"name": address(self.name, self.stage), **self.settings, **values}

    def fresh_work(self) -> Path:
        """The same, emptied if an input, a parameter or the code is another than the checkpoints had."""
        shards = [(path.as_posix(), footer(path)) for path in sorted(self.chips.rglob("shard-*.parquet"))]
        values = [self.common.model_dump(exclude={"trackers"}), self.params.model_dump(), dict(self.settings)]
        return fresh_work(
            address(self.name, self.stage), self.module or f"tasks.{self.name}", *self.inputs, shards, values
        )


def footer(shard: Path) -> str:
    """Size and footer of a Parquet file in hexadecimal: sizes, places and statistics of all that it holds.

    Chips written anew change it, and reading it costs the same for a shard of any size.
    """
    with shard.open("rb") as file:
        size = file.seek(-TRAILER, 2) + TRAILER
        length = int.from_bytes(file.read(4), "little")
        file.seek(-min(size, length + TRAILER), 2)
        return f"{size} {file.read().hex()}"


def summarise(model: "Network", plan: "Plan", progress: "Progress", rejected: int) -> Summary:
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


def train(job: TrainingJob, stop: Stop) -> Summary:
    """What each process of the stage does.

    Raises:
        StoppedError: SIGTERM came; the same command goes on.
    """
    from transformers.utils import logging as transformers_logging

    from tasks.training import trainer
    from tasks.training.checkpoint import whole_weights
    from tasks.training.described import describe
    from tasks.training.distributed import joined
    from tasks.training.lora import chosen_adapters, merged
    from tasks.training.schedule import Plan
    from tasks.training.setup import COVER, read_data, write_beside, write_weights
    from tasks.vlm.samples import read_samples

    common, params = job.common, job.params
    transformers_logging.disable_progress_bar()  # type: ignore[no-untyped-call]
    with joined(common) as world:
        if world.is_first:
            job.fresh_work()
        world.wait()
        tokenizer, write_tokenizer = job.tokenizer()
        model = job.begin(tokenizer)
        data, normalise, rejected = read_data(job, model, tokenizer, world)
        plan = Plan(
            data["train"].sizes,
            common.max_length,
            common.max_groups,
            common.batch,
            params.epochs,
            common.seed + (int(job.stage) if job.stage.isdigit() else 0),
            params.max_steps,
            common.window,
        )
        setup = trainer.Setup(model, data["train"], data["val"], plan, common, params, job.work, world, stop)
        progress = trainer.train(setup)
        weights = whole_weights(model) if job.keep is None else {}
        if world.is_first:
            adapters = chosen_adapters(common, params)
            if adapters is not None and job.keep is None:
                weights = merged(weights, adapters.params)
            shutil.rmtree(job.out, ignore_errors=True)
            with atomic(job.out) as partial:
                partial.mkdir(parents=True)
                if job.keep is None:
                    write_weights(partial, model, weights)
                else:
                    job.keep(model, partial)
                write_beside(partial, write_tokenizer, normalise, progress, rejected)
                describe(partial, read_samples(job.mixtures["train"]), job.described, job.before)
            for old in job.work.glob("step-*"):
                shutil.rmtree(old)
            shutil.rmtree(job.work / COVER, ignore_errors=True)
            for copy in job.work.glob("*.arrow"):
                copy.unlink()
        world.wait()
        return summarise(model, plan, progress, len(rejected))
