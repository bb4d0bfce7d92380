"""What a training stage begins with and leaves: tokenizer, weights and data in, a checkpoint out."""

import csv
import logging
import shutil
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

import polars as pl

from tasks.core import paths, tables
from tasks.core.errors import EmptyStageError, TrainingError
from tasks.core.stage import require
from tasks.training.params import ModelParams

if TYPE_CHECKING:
    from torch import Tensor

    from models.earthdial.model import EarthDialForConditionalGeneration
    from tasks.training.checkpoint import Progress
    from tasks.training.dataloader import Data
    from tasks.training.job import TrainingJob
    from tasks.training.network import Network
    from tasks.vlm.images import Normalisation
    from tasks.vlm.world import World

logger = logging.getLogger(__name__)
COVER = "cover"
"""Folder of a run that labels are read from."""


def published(preset: str, start: str | None = None) -> Path | None:
    """Folder of weights that stage 1 of a preset starts from: imported ones, or those at `start`; None for fresh ones.

    Raises:
        MissingInputError: there is nothing at `start`.
    """
    folder = paths.DATA / "weights" / preset
    if folder.is_dir():
        return folder
    return None if start is None else require(Path(start))


def load_tokenizer(folder: Path | None, before: Path | None) -> tuple[Any, Callable[[Path], Any]]:
    """That of published weights, with our tokens added, or else the one stage `tokenizer` made; and what writes it
    into a folder.

    Args:
        folder: of published weights; None where nothing was imported.
        before: checkpoint of the stage before; None for the first.

    Raises:
        TrainingError: the stage before was trained with another tokenizer.
    """
    from tokenizers import AddedToken
    from transformers import PreTrainedTokenizerFast

    from models.parts.prompt import CONTROL_TOKENS, MARKUP_TOKENS
    from tasks.dialogue.conversations import TAGS
    from tasks.vlm import answerer

    if folder is not None:
        tokenizer = answerer.load_tokenizer(folder)
        for special, tokens in ((True, CONTROL_TOKENS), (False, (*MARKUP_TOKENS, *TAGS))):
            tokenizer.add_tokens([AddedToken(token, special=special, normalized=False) for token in tokens])
        return tokenizer, tokenizer.save_pretrained
    own = require(paths.tokenizer() / "tokenizer.json")
    if before is not None and (require(before) / "tokenizer.json").read_bytes() != own.read_bytes():
        raise TrainingError(f"{before} was trained with another tokenizer; train that stage again")
    return PreTrainedTokenizerFast.from_pretrained(paths.tokenizer()), copy_tokenizer


def copy_tokenizer(folder: Path) -> None:
    """The files of stage `tokenizer`, byte by byte."""
    for file in sorted(paths.tokenizer().iterdir()):
        shutil.copyfile(file, folder / file.name)


def begin(
    stage: str, params: ModelParams, seed: int, classes: Sequence[str], tokenizer: Any
) -> "EarthDialForConditionalGeneration":
    """The weights a stage starts from, in float32: those of the stage before; for stage 1 published or fresh ones.

    Args:
        stage: 1, 2 or 3.
        params: of the network.
        seed: of fresh weights.
        classes: whose cover is learned, besides those that the weights know; none of them where there is none.
        tokenizer: of the run.

    Raises:
        TrainingError: they are of another preset.
    """
    import torch

    from models.earthdial.model import EarthDialForConditionalGeneration
    from models.earthdial.presets import make_config
    from models.parts.prompt import END, IMAGE_CONTEXT, PAD

    ids = {token: tokenizer.convert_tokens_to_ids(token) for token in (IMAGE_CONTEXT, END, PAD)}
    config = make_config(
        params.preset,
        vocab_size=len(tokenizer),
        image_token_id=ids[IMAGE_CONTEXT],
        end_token_id=ids[END],
        pad_token_id=ids[PAD],
        fusion=params.fusion,
        fusion_layer=params.fusion_layer,
        cover_classes=list(classes),
    )
    config.max_tiles = params.max_tiles
    torch.manual_seed(seed)
    before = (
        published(params.preset, params.start.get(params.preset))
        if stage == "1"
        else require(paths.train(str(int(stage) - 1)))
    )
    if before is None:
        logger.info("stage 1 starts from fresh weights: %s is not there", paths.DATA / "weights" / params.preset)
        return EarthDialForConditionalGeneration(config)
    logger.info("stage %s starts from %s", stage, before)
    changed: dict[str, Any] = {"fusion": params.fusion, "fusion_layer": config.fusion_layer}
    if not classes:
        changed["cover_classes"] = None
    model = EarthDialForConditionalGeneration.from_pretrained(before, dtype=torch.float32, **changed)
    model.learn_cover_of(classes)
    sizes = ("hidden_size", "num_hidden_layers")
    if any(getattr(model.config.text_config, name) != getattr(config.text_config, name) for name in sizes):
        raise TrainingError(
            f"{before} is not of preset {params.preset}; "
            + (f"train stage {int(stage) - 1} again" if stage != "1" else "import weights of that size, or remove it")
        )
    model.config.max_tiles = params.max_tiles
    embeddings: Any = model.get_input_embeddings()
    if len(tokenizer) > embeddings.num_embeddings:
        model.resize_token_embeddings(len(tokenizer))
        model.config.image_token_id = ids[IMAGE_CONTEXT]
    trained: EarthDialForConditionalGeneration = model
    return trained


def statistics_of(stage: str, sensor: str) -> Path:
    """Those of a sensor's chips: as imported with the mixture of a stage, or as stage `stats` measured them."""
    imported = paths.imported_stats(stage, sensor)
    return imported if imported.is_file() else paths.stats(sensor)


def read_data(
    job: "TrainingJob", model: "Network", tokenizer: Any, world: "World"
) -> tuple[dict[str, "Data"], "Normalisation", list[dict[str, str]]]:
    """Training and validation data, the statistics they are normalised by, and the samples that were
    rejected.

    Raises:
        EmptyStageError: no training sample is left.
    """
    from tasks.training.cover import CoverBook
    from tasks.training.trackers import check_trackers
    from tasks.vlm.chip_reader import ChipReader
    from tasks.vlm.images import Normalisation
    from tasks.vlm.samples import read_samples

    work, mixtures, common = job.work, job.mixtures, job.common
    check_trackers(common.trackers)
    if not world.is_first:
        world.wait()  # for the Arrow files that the first process makes
    samples = {name: read_samples(path, work / f"{name}.arrow") for name, path in mixtures.items()}
    if world.is_first:
        world.wait()
    sensors = sorted({sensor for path in mixtures.values() for sensor in sensors_of(path)})
    normalise = Normalisation.from_stats({sensor: job.statistics(sensor) for sensor in sensors})
    config = model.config
    classes = getattr(config, "cover_classes", None) if common.cover else None
    cover = CoverBook(classes, sensors, work / COVER / str(world.rank)) if classes else None
    chips = ChipReader(normalise, config.image_size, config.max_tiles, common.cache_mb)
    data = {
        name: job.data(
            some,
            tokenizer,
            chips,
            config,
            common.max_length,
            common.max_groups,
            work,
            name,
            world,
            *((common.augment, cover) if name == "train" else (None, None)),
        )
        for name, some in samples.items()
    }
    rejected = [row for name in data for row in data[name].rejected]
    if not data["train"].samples:
        raise EmptyStageError(
            f"stage {job.name}@{job.stage} has no sample of up to {common.max_length} tokens and {common.max_groups} "
            f"band groups (first reason: {rejected[0]['detail'] if rejected else 'its mixture is empty'}); see "
            "train.common.max_length"
        )
    for row in rejected:
        logger.warning("rejected %s: %s, %s", row["sample_id"], row["reason"], row["detail"])
    return data, normalise, rejected


def sensors_of(mixture: Path) -> set[str]:
    """Sensors of the images of a mixture."""
    images = pl.scan_parquet(mixture).select(pl.col("images").explode().struct.field("sensor")).unique()
    return set(images.collect(engine="streaming")["sensor"])


def write_weights(folder: Path, model: "Network", weights: "dict[str, Tensor]") -> None:
    """Weights and configuration."""
    import torch

    network: Any = type(model)
    with torch.device("meta"):
        skeleton = network(model.config)
    skeleton.save_pretrained(folder, state_dict=weights)


def write_beside(
    folder: Path,
    write_tokenizer: Callable[[Path], Any],
    normalise: "Normalisation",
    progress: "Progress",
    rejected: Sequence[dict[str, str]],
) -> None:
    """What else is needed to ask the model, tokenizer and normalisation, and its log."""
    from tasks.vlm.samples import REJECTED

    write_tokenizer(folder)
    normalise.save(folder)
    tables.write_rows(rejected, REJECTED, folder / "rejected.parquet")
    with (folder / "log.csv").open("w", newline="") as log:
        writer = csv.DictWriter(log, progress.rows[0].keys(), lineterminator="\n")
        writer.writeheader()
        writer.writerows(progress.rows)
