"""Weights of InternVL in transformers' own layout into a checkpoint of ours: the base of a fine-tuning."""

import logging
from collections.abc import Mapping
from dataclasses import replace
from pathlib import Path
from typing import Any

from models.earthdial.hf_layout import CLASS_TOKEN, from_hf, hf_shapes, our_name, steps_from_hf
from models.earthdial.state_dict_adapter import FUSION_PREFIX
from models.parts.layout import PublishedError
from models.parts.prompt import IMAGE_CONTEXT
from tasks.core.errors import WeightsError
from tasks.core.stage import atomic, storage_errors, write_json
from tasks.earth.published_statistics import published_statistics
from tasks.published.our_folder import RECORD, copy_text, display_statistics, fresh_fusion, record, save_config
from tasks.published.tensor_stream import convert
from tasks.published.vocabulary import token_ids
from tasks.published.weight_files import compare
from tasks.vlm.checkpoint_folder import NORMALISATION_FILE
from tasks.vlm.weight_headers import read_config, read_headers

logger = logging.getLogger(__name__)
MODEL_TYPE = "internvl"


def import_internvl_hf(folder: Path, source: str, revision: str | None, out: Path, fusion: str, seed: int) -> None:
    """Make a checkpoint whose true-colour images are seen as InternVL sees them.

    Args:
        folder: with the weights.
        source: where they are from, for the record.
        revision: of a hub, for the record.
        out: folder to make.
        fusion: kind of fusion, whose weights are fresh.
        seed: of them.

    Raises:
        WeightsError: it is an InternVL that this network cannot stand for, or weights are missing or broken.
    """
    tokens = token_ids(folder)
    published = read_config(folder)
    try:
        config = from_hf(published, image_token_id=tokens.get(IMAGE_CONTEXT), tokens=tokens, fusion=fusion)
    except PublishedError as error:
        raise WeightsError(f"{source}: {error}") from error
    held = read_headers(folder)
    steps = steps_from_hf(held, config, _tied(published))
    given = {step.targets[0]: replace(held[step.sources[0]]) for step in steps}
    compare(given, hf_shapes(config), source)
    with storage_errors(), atomic(out) as partial:
        partial.mkdir()
        like = next(name for name in held if our_name(name) == CLASS_TOKEN)
        fresh = fresh_fusion(config, FUSION_PREFIX, held, seed, like)
        files = convert(steps, held, partial, fresh)
        content = {**config.to_dict(), "architectures": ["EarthDialForConditionalGeneration"]}
        save_config(config, content, held, partial)
        copied = copy_text(folder, partial)
        # What InternVL is given are pictures; measured sensors have the statistics that EarthDial was trained with.
        shown = display_statistics(folder, source, required=False)
        write_json(partial / NORMALISATION_FILE, {**published_statistics(), **shown})
        done = record(source, revision, config, held, max(tokens.values(), default=-1) + 1, fresh)
        write_json(partial / RECORD, done)
    logger.info("%d tensors, %s parameters, in %d files under %s", done["tensors"], done["parameters"], files, out)
    if not set(copied) - {NORMALISATION_FILE}:
        logger.warning("%s has no tokenizer; put that of the weights into %s", source, out)


def _tied(published: Mapping[str, Any]) -> bool:
    """Whether head and embeddings are one matrix, as far as the configuration says; that of the whole decides."""
    text = published.get("text_config") or {}
    return bool(published.get("tie_word_embeddings", text.get("tie_word_embeddings", True)))
