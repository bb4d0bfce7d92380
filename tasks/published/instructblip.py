"""Weights of InstructBLIP, and what `earthloom weights export` made of a mixture, into a checkpoint of RS-MoE.

The layout is that of transformers: `vision_model.*`, `qformer.*`, `query_tokens`, `language_projection.*`,
`language_model.*`, two tokenizers and the settings of the processor. What InstructBLIP has no place for, and an export
of ours keeps, lies in its folder `rsmoe`: fusion, router, the names of the experts, and their adapters of peft.
"""

import hashlib
import logging
import shutil
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from safetensors.torch import load_file
from torch import Tensor
from transformers import InstructBlipConfig

from models.parts.layout import PublishedError
from models.rsmoe.config import RsMoeConfig
from models.rsmoe.parts import PARTS
from models.rsmoe.prompt import QFORMER_TOKENIZER
from models.rsmoe.state_dict_adapter import DERIVED, from_published, is_beside, shapes, stack_experts, steps
from tasks.core.errors import WeightsError
from tasks.core.stage import atomic, read_json, storage_errors, write_json
from tasks.published.our_folder import RECORD, copy_text, display_statistics, fresh_fusion, record, save_config
from tasks.published.tensor_stream import convert
from tasks.published.vocabulary import rename_token, token_ids
from tasks.published.weight_files import compare
from tasks.vlm.checkpoint_folder import NORMALISATION_FILE
from tasks.vlm.weight_headers import Held, read_config, read_headers

logger = logging.getLogger(__name__)
MODEL_TYPE = InstructBlipConfig.model_type
BESIDE = "rsmoe"
"""Folder of an export for what InstructBLIP has no place for."""
MIXTURE, OWN_WEIGHTS, ADAPTER = "mixture.json", "weights.safetensors", "adapter_model.safetensors"
IMAGE = "<image>"
"""The token of InstructBLIP's processor for a visual token."""


def import_instructblip(folder: Path, source: str, revision: str | None, out: Path, fusion: str, seed: int) -> None:
    """Make a checkpoint of RS-MoE: dense, or the mixture that `folder` was exported from.

    Args:
        folder: with the weights.
        source: where they are from, for the record.
        revision: of a hub, for the record.
        out: folder to make.
        fusion: kind of fusion, where the weights were not exported with their own.
        seed: of a fresh fusion.

    Raises:
        WeightsError: they are not those of an InstructBLIP with a Llama, or adapters are those of another base.
    """
    tokens = token_ids(folder)
    own = read_json(folder / BESIDE / MIXTURE) if (folder / BESIDE / MIXTURE).is_file() else {}
    held = {name: there for name, there in read_headers(folder).items() if not DERIVED.search(name)}
    try:
        dense = from_published(read_config(folder), image_token_id=tokens.get(IMAGE), fusion=fusion)
        config = RsMoeConfig(**{**dense.to_dict(), **own.get("config", {})}) if own else dense
        plain = {name: shape for name, shape in shapes(dense).items() if not is_beside(name)}
        compare(held, plain, source)
        more = _own_tensors(folder, own, config) if own else fresh_fusion(config, PARTS["fusion"][0], held, seed)
    except PublishedError as error:
        raise WeightsError(f"{source}: {error}") from error
    with storage_errors(), atomic(out) as partial:
        partial.mkdir()
        files = convert(steps(dense), held, partial, more)
        content = {**config.to_diff_dict(), "architectures": ["RsMoeForConditionalGeneration"]}
        save_config(config, content, held, partial)
        copied = copy_text(folder, partial)
        if (folder / QFORMER_TOKENIZER).is_dir() and not own.get("one_tokenizer"):
            shutil.copytree(folder / QFORMER_TOKENIZER, partial / QFORMER_TOKENIZER)
        if own:
            rename_token(partial, IMAGE, own["image_token"])
            shutil.copyfile(folder / BESIDE / NORMALISATION_FILE, partial / NORMALISATION_FILE)
        else:
            write_json(partial / NORMALISATION_FILE, display_statistics(folder, source))
        fresh: dict[str, Tensor] = {} if own else more
        done = record(source, revision, config, held, max(tokens.values(), default=-1) + 1, fresh)
        write_json(partial / RECORD, done)
    logger.info("%d tensors, %s parameters, in %d files under %s", done["tensors"], done["parameters"], files, out)
    if not set(copied) - {NORMALISATION_FILE}:
        logger.warning("%s has no tokenizer; put that of the weights into %s", source, out)


def _own_tensors(folder: Path, own: Mapping[str, Any], config: RsMoeConfig) -> dict[str, Tensor]:
    """Fusion, router and stacked adapters of an export.

    Raises:
        WeightsError: the adapters were trained on another base, or weights are missing.
        PublishedError: the adapters do not fit.
    """
    if own["base"] != fingerprint(folder):
        raise WeightsError(
            f"the experts in {folder / BESIDE} were exported with another base: its weights are not those beside them"
        )
    path = folder / BESIDE / OWN_WEIGHTS
    tensors = load_file(path) if path.is_file() else {}
    if config.number_of_experts:
        adapters = {
            name: load_file(folder / BESIDE / name / ADAPTER)
            for name in config.experts or []
            if (folder / BESIDE / name / ADAPTER).is_file()
        }
        tensors |= stack_experts(adapters, config)
    wanted = {name: shape for name, shape in shapes(config).items() if is_beside(name) or ".lora_" in name}
    compare({name: Held(path, tuple(t.shape), "F32") for name, t in tensors.items()}, wanted, str(folder / BESIDE))
    return tensors


def fingerprint(folder: Path) -> str:
    """SHA-256 of the base's weights: an adapter is nothing without the matrices it was trained on."""
    whole = hashlib.sha256()
    for path in sorted(folder.glob("*.safetensors")):
        with path.open("rb") as file:
            whole.update(hashlib.file_digest(file, "sha256").digest())
    return whole.hexdigest()
