"""What a stage of RS-MoE begins with: published or fresh weights, and experts that start as the dense network."""

import copy
import logging
import shutil
from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING, Any

from models.rsmoe.prompt import QFORMER_TOKENIZER
from tasks.core import paths
from tasks.core.errors import TrainingError
from tasks.core.stage import require
from tasks.training.moe_params import MoeModelParams
from tasks.training.setup import load_tokenizer, published

if TYPE_CHECKING:
    from models.rsmoe.config import RsMoeConfig
    from models.rsmoe.model import RsMoeForConditionalGeneration

logger = logging.getLogger(__name__)


def weights_name(preset: str) -> str:
    """Folder under data/weights of published weights of a preset."""
    return f"rsmoe-{preset}"


def begin(stage: str, params: MoeModelParams, seed: int, tokenizer: Any) -> "RsMoeForConditionalGeneration":
    """The network a stage starts from, in float32: dense in stage 1; in stage 2 the tuned dense one, with experts that
    each equal it.

    Raises:
        TrainingError: the weights are of another preset or vocabulary.
    """
    import torch

    from models.rsmoe.model import RsMoeForConditionalGeneration

    torch.manual_seed(seed)
    before = published(weights_name(params.preset)) if stage == "1" else require(paths.moe("1"))
    config = make(params, tokenizer, experts=stage != "1")
    if before is None:
        logger.info("stage 1 starts from fresh weights: nothing is imported to %s", weights_name(params.preset))
        return RsMoeForConditionalGeneration(config)
    logger.info("stage %s starts from %s", stage, before)
    return load_dense(before, config, params.preset)


def make(params: MoeModelParams, tokenizer: Any, experts: bool) -> "RsMoeConfig":
    """The configuration of a preset for a tokenizer, with experts or dense."""
    from models.parts.prompt import END, IMAGE_CONTEXT, PAD
    from models.rsmoe.presets import make_config
    from models.rsmoe.prompt import EXPERTS

    ids = {token: tokenizer.convert_tokens_to_ids(token) for token in (IMAGE_CONTEXT, END, PAD)}
    return make_config(
        params.preset,
        vocab_size=len(tokenizer),
        image_token_id=ids[IMAGE_CONTEXT],
        end_token_id=ids[END],
        pad_token_id=ids[PAD],
        experts=EXPERTS if experts else (),
        fusion=params.fusion,
        max_tiles=params.max_tiles,
        realisation=params.realisation,
        router=params.router,
        prompt_tokens=params.prompt_tokens,
        lora_rank=params.rank,
        lora_alpha=params.alpha,
        lora_dropout=params.dropout,
    )


SIZES = ("hidden_size", "num_hidden_layers", "num_attention_heads", "intermediate_size")


def _take_parts(dense: "RsMoeConfig", config: "RsMoeConfig", folder: Path, preset: str) -> None:
    """Put the parts of the weights' own configuration in place of the preset's: it has what sizes do not tell, such as
    the constants of norms and rotary embeddings.

    Raises:
        TrainingError: they are of other sizes.
    """
    tokens: Any = config.text_config
    for name in ("vision_config", "qformer_config", "text_config"):
        theirs, ours = getattr(dense, name), getattr(config, name)
        for field in SIZES:
            if getattr(theirs, field) != getattr(ours, field):
                raise TrainingError(
                    f"{folder} is not of preset {preset}: its {name}.{field} is {getattr(theirs, field)}, not "
                    f"{getattr(ours, field)}; train stage 1 again, or import weights of that size"
                )
        setattr(config, name, copy.deepcopy(theirs))
    text: Any = config.text_config
    for field in ("vocab_size", "eos_token_id", "pad_token_id"):
        setattr(text, field, getattr(tokens, field))


def load_tokenizers(weights: Path | None, before: Path | None) -> tuple[Any, Callable[[Path], Any]]:
    """The tokenizer of the language model, and what writes it and that of the Q-Former into a folder; see
    `tasks.training.setup.load_tokenizer`.
    """
    tokenizer, write = load_tokenizer(weights, before)
    if weights is None or not (weights / QFORMER_TOKENIZER).is_dir():
        return tokenizer, write
    reader = weights / QFORMER_TOKENIZER

    def write_both(folder: Path) -> None:
        write(folder)
        shutil.copytree(reader, folder / QFORMER_TOKENIZER)

    return tokenizer, write_both


def load_dense(folder: Path, config: "RsMoeConfig", preset: str) -> "RsMoeForConditionalGeneration":
    """A network with the weights of a dense one; what that one has not, experts and router, is fresh.

    Raises:
        TrainingError: the weights do not fit the configuration.
    """
    import torch

    from models.rsmoe.model import RsMoeForConditionalGeneration

    network: Any = RsMoeForConditionalGeneration
    dense = network.from_pretrained(folder, dtype=torch.float32)
    embeddings = dense.get_input_embeddings()
    _take_parts(dense.config, config, folder, preset)
    wanted: Any = config.text_config
    if embeddings.num_embeddings < wanted.vocab_size:
        dense.resize_token_embeddings(wanted.vocab_size)
    elif embeddings.num_embeddings > wanted.vocab_size:
        wanted.vocab_size = embeddings.num_embeddings  # published tables are longer than their tokenizers
    model: RsMoeForConditionalGeneration = network(config)
    try:
        report = model.load_state_dict(dense.state_dict(), strict=False)
    except RuntimeError as error:
        raise TrainingError(
            f"{folder} is not of preset {preset}: train stage 1 again, or import weights of that size ({error})"
        ) from error
    fresh = [
        name
        for name in report.missing_keys
        if not name.startswith(("router.", "expert_models.")) and ".lora_" not in name
    ]
    if fresh or report.unexpected_keys:
        raise TrainingError(
            f"{folder} is not the dense network of stage 1: {', '.join(fresh or report.unexpected_keys)}"
        )
    if config.number_of_experts and config.realisation == "separate":
        for expert in model.expert_models:
            expert.load_state_dict(dense.language_model.state_dict())
    return model
