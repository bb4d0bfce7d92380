"""Stage `train`: the three stages of EarthDial (paper, section 3.3), each from the one before.

Stage 1 starts from fresh weights of the preset and trains everything; stages 2 and 3 freeze the vision
encoder and put it in eval mode. A killed run goes on where its last checkpoint stands, and ends with the very
same weights.
"""

import csv
import logging
import shutil
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

from tasks.core import paths, tables
from tasks.core.errors import EmptyStageError, TrainingError
from tasks.core.section import load
from tasks.core.stage import Summary, address, atomic, fingerprint, fresh_work, main, require
from tasks.training.params import ModelParams, RunParams, StageParams, TrainParams

if TYPE_CHECKING:
    from models.earthdial.model import EarthDialForConditionalGeneration
    from tasks.inference.pixels import Normalisation
    from tasks.training.batches import Data
    from tasks.training.checkpoint import Progress

__all__ = ["ModelParams", "TrainParams", "run"]
logger = logging.getLogger(__name__)
CODE = ("models", "tasks/core", "tasks/inference", "tasks/training", "tasks/train.py")


def begin(stage: str, params: ModelParams, seed: int, tokenizer: Any) -> "EarthDialForConditionalGeneration":
    """The weights a stage starts from: fresh ones, or those of the stage before.

    Raises:
        TrainingError: the stage before was trained with another tokenizer or preset.
    """
    import torch

    from models.earthdial.model import EarthDialForConditionalGeneration
    from models.earthdial.presets import make_config
    from models.earthdial.prompt import END, IMAGE_CONTEXT, PAD

    config = make_config(
        params.preset,
        vocab_size=len(tokenizer),
        image_token_id=tokenizer.convert_tokens_to_ids(IMAGE_CONTEXT),
        end_token_id=tokenizer.convert_tokens_to_ids(END),
        pad_token_id=tokenizer.convert_tokens_to_ids(PAD),
        fusion=params.fusion,
    )
    if stage == "1":
        torch.manual_seed(seed)
        return EarthDialForConditionalGeneration(config)
    before = require(paths.train(str(int(stage) - 1)))
    if (before / "tokenizer.json").read_bytes() != (paths.tokenizer() / "tokenizer.json").read_bytes():
        raise TrainingError(f"{before} was trained with another tokenizer; train stage {int(stage) - 1} again")
    model = EarthDialForConditionalGeneration.from_pretrained(before)
    sizes = ("hidden_size", "num_hidden_layers", "vocab_size")
    if any(getattr(model.config.text_config, name) != getattr(config.text_config, name) for name in sizes):
        raise TrainingError(f"{before} is not of preset {params.preset}; train stage {int(stage) - 1} again")
    trained: EarthDialForConditionalGeneration = model
    return trained


def read_data(
    stage: str, model: "EarthDialForConditionalGeneration", tokenizer: Any, common: RunParams
) -> tuple[dict[str, "Data"], "Normalisation", list[dict[str, str]]]:
    """Training and validation data, the statistics they are normalised by, and the samples that were
    rejected.

    Raises:
        EmptyStageError: no training sample is left.
    """
    from tasks.inference.pixels import ChipReader, Normalisation
    from tasks.inference.samples import encode_samples, read_samples
    from tasks.training.batches import Data

    samples = {name: read_samples(paths.mixture(stage) / f"{name}.parquet") for name in ("train", "val")}
    sensors = sorted({sample.sensor for name in samples for sample in samples[name]})
    normalise = Normalisation.from_stats({sensor: paths.stats(sensor) for sensor in sensors})
    chips = ChipReader(normalise, model.config.image_size, common.cache_mb)
    data, rejected = {}, []
    config = model.config
    for name, told in samples.items():
        good, bad = encode_samples(told, tokenizer, config.tokens_per_tile, common.max_length)
        data[name] = Data(good, chips, config.image_size, config.tokens_per_tile, config.filler_token_id)
        rejected += bad
    if not data["train"].samples:
        raise EmptyStageError(
            f"stage {stage} has no sample of up to {common.max_length} tokens (first reason: "
            f"{rejected[0]['detail'] if rejected else 'its mixture is empty'}); see train.common.max_length"
        )
    for row in rejected:
        logger.warning("rejected %s: %s, %s", row["sample_id"], row["reason"], row["detail"])
    return data, normalise, rejected


def work_folder(stage: str, *params: Any) -> Path:
    """Where checkpoints to resume from lie: emptied if an input, a parameter or the code is another than they
    had.
    """
    inputs = [require(paths.mixture(stage)), require(paths.tokenizer()), require(paths.stats("any").parent)]
    if stage != "1":
        inputs.append(require(paths.train(str(int(stage) - 1))))
    shards = [
        (path.as_posix(), path.stat().st_size) for path in sorted((paths.DATA / "chips").rglob("shard-*.parquet"))
    ]
    root = Path(__file__).resolve().parents[1]
    code = [root / name for name in CODE]
    mark = fingerprint(*inputs, *code, shards, [one.model_dump() for one in params])
    return fresh_work(address("train", stage), mark)


def write_checkpoint(
    folder: Path,
    model: "EarthDialForConditionalGeneration",
    normalise: "Normalisation",
    progress: "Progress",
    rejected: Sequence[dict[str, str]],
) -> None:
    """Everything needed to ask the model: weights, configuration, tokenizer and normalisation, and its
    log.
    """
    from tasks.inference.samples import REJECTED

    folder.mkdir(parents=True)
    model.save_pretrained(folder)
    for file in sorted(paths.tokenizer().iterdir()):
        shutil.copyfile(file, folder / file.name)
    normalise.save(folder)
    tables.write_rows(rejected, REJECTED, folder / "rejected.parquet")
    with (folder / "log.csv").open("w", newline="") as log:
        writer = csv.DictWriter(log, progress.rows[0].keys(), lineterminator="\n")
        writer.writeheader()
        writer.writerows(progress.rows)


def summarise(model: "EarthDialForConditionalGeneration", progress: "Progress", rejected: int) -> Summary:
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
        "loss": {"first": losses[0], "last": losses[-1]},
        "val_loss": {"first": measured[0], "last": measured[-1]} if measured else {},
    }


def run(stage: str) -> Summary:
    """Train one stage, from its last checkpoint if it was interrupted."""
    model_params, common = load(ModelParams, "model"), load(RunParams, "train.common")
    params = load(StageParams, f"train.stage{stage}")
    work = work_folder(stage, model_params, common, params)

    from transformers import PreTrainedTokenizerFast
    from transformers.utils import logging as transformers_logging

    from tasks.training import loop
    from tasks.training.order import Order

    transformers_logging.disable_progress_bar()  # type: ignore[no-untyped-call]
    device = loop.choose_device(common)
    tokenizer = PreTrainedTokenizerFast.from_pretrained(paths.tokenizer())
    model = begin(stage, model_params, common.seed, tokenizer)
    data, normalise, rejected = read_data(stage, model, tokenizer, common)
    order = Order(
        [sample.repeats for sample, _ in data["train"].samples],
        common.batch,
        params.epochs,
        common.seed + int(stage),
        params.max_steps,
    )
    model.to(device)  # type: ignore[arg-type]
    progress = loop.train(loop.Setup(model, data["train"], data["val"], order, common, params, work))
    out = paths.train(stage)
    shutil.rmtree(out, ignore_errors=True)
    with atomic(out) as partial:
        write_checkpoint(partial, model, normalise, progress, rejected)
    for old in work.glob("step-*"):
        shutil.rmtree(old)
    return summarise(model, progress, len(rejected))


if __name__ == "__main__":
    main("train", run)
