"""Names and configuration of InstructBLIP as transformers publishes it, and ours; experts as ordinary adapters of peft.

Our dense network has InstructBLIP's tensors by InstructBLIP's names, and the fusion of band groups beside them. An
expert's adapter is a slice of a stack here, and a folder by itself there.

Shapes:  E experts, R rank
"""

import re
from collections.abc import Mapping
from typing import Any

import torch
from torch import Tensor
from transformers import InstructBlipConfig

from models.parts.layout import PublishedError, Step
from models.rsmoe.config import RsMoeConfig
from models.rsmoe.model import RsMoeForConditionalGeneration
from models.rsmoe.parts import part_of

DERIVED = re.compile(r"(^|\.)(position_ids|rotary_emb\.inv_freq)$")
"""Tensors that older files hold and newer ones do not: they are worked out, not learned, and are left out."""
INSTRUCTION_LENGTH = 128
"""Tokens of a question that the authors' Q-Former reads (spec, section 4.1)."""
PEFT_PREFIX = "base_model.model."


def from_published(
    published: Mapping[str, Any], *, image_token_id: int | None = None, fusion: str = "attention"
) -> RsMoeConfig:
    """Our configuration, dense, of a published one.

    Args:
        published: config.json of the weights.
        image_token_id: id of `<image>` in the tokenizer beside them, where config.json says none.
        fusion: of band groups; with `attention` its weights are fresh.

    Raises:
        PublishedError: it is no InstructBLIP, its language model is no Llama, or the image token is nowhere named.
    """
    kind, language = published.get("model_type"), published.get("text_config", {}).get("model_type")
    if kind != InstructBlipConfig.model_type:
        raise PublishedError(f"model_type is {kind!r}, but only 'instructblip' can be read")
    if language != "llama":
        raise PublishedError(
            f"its language model is {language!r}, but only 'llama' (Vicuna, Llama 3) can be read: experts decode"
        )
    read: Any = InstructBlipConfig.from_dict(dict(published))
    token = read.image_token_index if read.image_token_index is not None else image_token_id
    if token is None:
        raise PublishedError(
            "which token stands for the image, neither image_token_index nor a tokenizer with <image> beside it says: "
            "weights from before transformers 4.46 have none; take a newer revision"
        )
    try:
        return RsMoeConfig(
            vision_config=read.vision_config,
            qformer_config=read.qformer_config,
            text_config=read.text_config,
            num_query_tokens=read.num_query_tokens,
            image_token_index=token,
            instruction_length=min(INSTRUCTION_LENGTH, read.qformer_config.max_position_embeddings),
            fusion=fusion,
            fusion_heads=read.vision_config.num_attention_heads,
        )
    except ValueError as error:
        raise PublishedError(str(error)) from error


def to_published(config: RsMoeConfig) -> dict[str, Any]:
    """The configuration of plain InstructBLIP of the same sizes."""
    plain = InstructBlipConfig(
        vision_config=config.vision_config,
        qformer_config=config.qformer_config,
        text_config=config.text_config,
        num_query_tokens=config.num_query_tokens,
        image_token_index=config.image_token_index,
    )
    return {**plain.to_diff_dict(), "architectures": ["InstructBlipForConditionalGeneration"]}


def shapes(config: RsMoeConfig) -> dict[str, tuple[int, ...]]:
    """Shape of every tensor of our layout, as it is saved."""
    with torch.device("meta"):
        model = RsMoeForConditionalGeneration(config)
    text: Any = config.text_config
    tied = {"language_model.lm_head.weight"} if text.tie_word_embeddings else set()
    return {name: tuple(tensor.shape) for name, tensor in model.state_dict().items() if name not in tied}


def published_shapes(config: RsMoeConfig) -> dict[str, tuple[int, ...]]:
    """Shape of every tensor of plain InstructBLIP."""
    return {name: shape for name, shape in shapes(config).items() if not is_own(name)}


def is_own(name: str) -> bool:
    """Whether a tensor is one that InstructBLIP has not: fusion, router or experts."""
    return part_of(name) in ("fusion", "router", "experts")


def is_beside(name: str) -> bool:
    """Whether it is one that neither InstructBLIP nor an adapter of peft has a place for: fusion or router."""
    return part_of(name) in ("fusion", "router")


def steps(config: RsMoeConfig) -> list[Step]:
    """From the published layout to ours and back alike: what both have goes by the same names."""
    return [Step((name,), (name,)) for name in published_shapes(config)]


def adapter_config(config: RsMoeConfig) -> dict[str, Any]:
    """`adapter_config.json` of an expert, as peft reads it."""
    return {
        "peft_type": "LORA",
        "base_model_name_or_path": None,
        "r": config.lora_rank,
        "lora_alpha": config.lora_alpha,
        "lora_dropout": config.lora_dropout,
        "target_modules": sorted(config.lora_targets or ()),
        "bias": "none",
        "inference_mode": True,
        "task_type": None,
    }


def split_experts(weights: Mapping[str, Tensor], config: RsMoeConfig) -> dict[str, dict[str, Tensor]]:
    """Stacked adapters (E, ...) -> those of each expert by peft's names."""
    stacks = {name: tensor for name, tensor in weights.items() if ".lora_" in name}
    return {
        expert: {f"{PEFT_PREFIX}{name}.weight": tensor[number].clone() for name, tensor in stacks.items()}
        for number, expert in enumerate(config.experts or [])
    }


def stack_experts(adapters: Mapping[str, Mapping[str, Tensor]], config: RsMoeConfig) -> dict[str, Tensor]:
    """Adapters of each expert by peft's names -> stacks.

    Raises:
        PublishedError: an expert is missing, or an adapter is not one of this network's language model.
    """
    absent = [expert for expert in config.experts or [] if expert not in adapters]
    if absent:
        raise PublishedError(f"there is no adapter of expert {', '.join(absent)}")
    wrong, stacks = [], {}
    for name, (_, *shape) in ((name, shape) for name, shape in shapes(config).items() if ".lora_" in name):
        key, found = f"{PEFT_PREFIX}{name}.weight", []
        for expert in config.experts or []:
            tensor = adapters[expert].get(key)
            if tensor is None or list(tensor.shape) != shape:
                had = "missing" if tensor is None else f"{list(tensor.shape)}"
                wrong.append(f"{key} of expert {expert} is {had} instead of {shape}")
            else:
                found.append(tensor)
        if not wrong:
            stacks[name] = torch.stack(found)
    if wrong:
        raise PublishedError("the adapters are those of another base:\n  " + "\n  ".join(wrong))
    return stacks
