"""`earthloom weights import` and `export`: published weights into our layout, and back, bit by bit.

Streamed: the model is never held. A folder is written whole or not at all.
"""

import json
import logging
import shutil
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal

import cyclopts

from tasks.core.errors import WeightsError
from tasks.core.stage import atomic, storage_errors, write_json

if TYPE_CHECKING:
    from torch import Tensor

    from models.earthdial.config import EarthDialConfig
    from tasks.published.weight_files import Held

app = cyclopts.App(name="weights", help="Published weights of InternVL2-4B and EarthDial_4B: into our layout and back.")
logger = logging.getLogger(__name__)
PUBLISHED_CONFIG = "published_config.json"
RECORD = "import.json"
KINDS = Literal["mosaic", "attention", "mean", "max"]


@app.command(name="import")
def import_weights(
    source: str, out: Path, *, revision: str | None = None, fusion: KINDS = "mosaic", seed: int = 0
) -> None:
    """Published weights (vision_model.*, mlp1.*, language_model.*) -> a checkpoint of ours.

    Parameters
    ----------
    source
        A folder with safetensors, or a hub id (OWNER/NAME).
    out
        Folder to make.
    revision
        Of a hub id: the full commit.
    fusion
        mosaic is what the weights were trained with; attention adds fresh fusion weights that change nothing
        until they are trained.
    seed
        Of the fresh weights.
    """
    from models.earthdial.state_dict_adapter import PublishedError, from_published, published_shapes, steps_to_ours
    from models.parts.prompt import END, IMAGE_CONTEXT, PAD
    from tasks.published.normalisation import published_statistics
    from tasks.published.tensor_stream import convert
    from tasks.published.vocabulary import token_ids
    from tasks.published.weight_files import compare, locate, read_config, read_headers

    _refuse_existing(out)
    folder = locate(source, revision)
    published = read_config(folder)
    tokens = token_ids(folder)
    try:
        config = from_published(
            published,
            image_token_id=tokens.get(IMAGE_CONTEXT),
            end_token_id=tokens.get(END),
            pad_token_id=tokens.get(PAD),
            fusion=fusion,
        )
    except PublishedError as error:
        raise WeightsError(f"{source}: {error}") from error
    held = read_headers(folder)
    compare(held, published_shapes(config), source)
    with storage_errors(), atomic(out) as partial:
        partial.mkdir()
        fresh = _fresh_fusion(config, held, seed)
        files = convert(steps_to_ours(config), held, partial, fresh)
        _save_config(config, held, partial)
        shutil.copyfile(folder / "config.json", partial / PUBLISHED_CONFIG)
        copied = _copy_text(folder, partial)
        if "normalisation.json" not in copied:  # the reference has its statistics in its code
            write_json(partial / "normalisation.json", published_statistics())
        record = _record(source, revision, config, held, max(tokens.values(), default=-1) + 1, fresh)
        write_json(partial / RECORD, record)
    logger.info("%d tensors, %s parameters, in %d files under %s", record["tensors"], record["parameters"], files, out)
    if not set(copied) - {"normalisation.json"}:
        logger.warning("%s has no tokenizer; put that of the weights into %s", source, out)


@app.command(name="export")
def export_weights(source: Path, out: Path, *, drop_fusion: bool = False) -> None:
    """A checkpoint of ours -> the published layout, as InternVL's code reads it.

    Parameters
    ----------
    source
        Folder of the checkpoint.
    out
        Folder to make.
    drop_fusion
        Leave trained fusion weights out: the published layout has no place for them.
    """
    from models.earthdial.config import EarthDialConfig
    from models.earthdial.state_dict_adapter import FUSION_PREFIX, PublishedError, shapes, steps_to_ours, to_published
    from tasks.published.tensor_stream import convert
    from tasks.published.weight_files import compare, locate, read_config, read_headers

    _refuse_existing(out)
    folder = locate(str(source), None)
    found = read_config(folder)
    if found.get("model_type") != EarthDialConfig.model_type:
        raise WeightsError(f"{source} is not a checkpoint of ours: its model_type is {found.get('model_type')!r}")
    config = EarthDialConfig.from_pretrained(folder)
    expected = shapes(config)
    held = read_headers(folder)
    compare(held, expected, str(source))
    fusion = [name for name in expected if name.startswith(FUSION_PREFIX)]
    if fusion and not drop_fusion:
        raise WeightsError(
            f"the published layout has no place for the {len(fusion)} fusion weights of {source}; say --drop-fusion to "
            "leave them out: images of more than three bands will then be answered differently"
        )
    base = folder / PUBLISHED_CONFIG
    try:
        published = to_published(config, json.loads(base.read_text()) if base.is_file() else None)
    except PublishedError as error:
        raise WeightsError(f"{source}: {error}") from error
    with storage_errors(), atomic(out) as partial:
        partial.mkdir()
        steps = [step.inverse for step in steps_to_ours(config)]
        files = convert(steps, {name: there for name, there in held.items() if name not in fusion}, partial)
        write_json(partial / "config.json", published)
        _copy_text(folder, partial)
    logger.info("%d tensors in %d files under %s", len(steps), files, out)


def _refuse_existing(out: Path) -> None:
    if out.exists():
        raise WeightsError(f"{out} is there already; remove it or name another folder")


def _fresh_fusion(config: "EarthDialConfig", held: "dict[str, Held]", seed: int) -> "dict[str, Tensor]":
    """Weights of a fusion that nobody trained, in the type of the encoder's; none if it has no weights."""
    import torch
    from safetensors import safe_open

    from models.earthdial.state_dict_adapter import FUSION_PREFIX
    from models.parts.fusion import BandGroupFusion

    vision: Any = config.vision_config
    name = "vision_model.embeddings.class_embedding"
    with safe_open(held[name].file, framework="pt") as file:
        dtype = file.get_tensor(name).dtype
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(seed)
        fusion = BandGroupFusion(vision.hidden_size, config.fusion_heads, config.fusion)
    return {f"{FUSION_PREFIX}{key}": tensor.to(dtype) for key, tensor in fusion.state_dict().items()}


def _save_config(config: "EarthDialConfig", held: "dict[str, Held]", out: Path) -> None:
    """config.json and generation_config.json, with the type the weights have."""
    from transformers import GenerationConfig

    from tasks.published.weight_files import DTYPES

    types = {there.dtype for there in held.values()}
    content = {**config.to_dict(), "architectures": ["EarthDialForConditionalGeneration"]}
    if len(types) == 1:
        content["dtype"] = DTYPES[types.pop()]
    write_json(out / "config.json", content)
    text: Any = config.text_config
    generation: Any = GenerationConfig
    generation(do_sample=False, eos_token_id=text.eos_token_id, pad_token_id=text.pad_token_id).save_pretrained(out)


def _copy_text(folder: Path, out: Path) -> list[str]:
    from tasks.published.weight_files import TEXT_FILES

    there = [name for name in (*TEXT_FILES, "normalisation.json") if (folder / name).is_file()]
    for name in there:
        shutil.copyfile(folder / name, out / name)
    return there


def _record(
    source: str,
    revision: str | None,
    config: "EarthDialConfig",
    held: "dict[str, Held]",
    tokens: int,
    fresh: "dict[str, Tensor]",
) -> dict[str, Any]:
    """What was imported. The embedding may have more rows than the tokenizer has tokens: they are kept."""
    text: Any = config.text_config
    if tokens and tokens != text.vocab_size:
        logger.warning("the tokenizer has %d tokens, the embedding %d rows; all rows are kept", tokens, text.vocab_size)
    return {
        "source": source,
        "revision": revision,
        "fusion": config.fusion,
        "fresh_tensors": sorted(fresh),
        "tensors": len(held),
        "parameters": sum(there.elements for there in held.values()),
        "dtypes": sorted({there.dtype for there in held.values()}),
        "embedding_rows": text.vocab_size,
        "tokenizer_tokens": tokens or None,
    }
