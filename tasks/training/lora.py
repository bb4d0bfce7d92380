"""LoRA through peft: adapters trained in place of the language model's matrices, for GPUs that hold no more.

When a stage ends they are added to the weights they adapt, so that a checkpoint looks the same with and without.
"""

from typing import Any

from peft import LoraConfig, inject_adapter_in_model
from torch import Tensor

from models.earthdial.model import EarthDialForConditionalGeneration
from tasks.core.errors import TrainingError
from tasks.training.params import LoraParams

TARGETS = ("qkv_proj", "o_proj", "gate_up_proj", "down_proj")
A, B, BASE = ".lora_A.default.weight", ".lora_B.default.weight", ".base_layer.weight"


def add_adapters(model: EarthDialForConditionalGeneration, params: LoraParams, language_is_trained: bool) -> None:
    """Put adapters into the language model and freeze what else it has, embeddings and head included.

    Raises:
        TrainingError: the stage does not train the language model.
    """
    if not language_is_trained:
        raise TrainingError("train.common.lora adapts the language model, but the stage does not list it in `trains`")
    language: Any = model.model.language_model
    config = LoraConfig(
        r=params.rank, lora_alpha=params.alpha, lora_dropout=params.dropout, target_modules=list(TARGETS)
    )
    inject_adapter_in_model(config, language)
    for name, parameter in model.named_parameters():
        if name.startswith(("model.language_model", "lm_head")):
            parameter.requires_grad_("lora_" in name)


def merged(weights: dict[str, Tensor], params: LoraParams) -> dict[str, Tensor]:
    """Weights of an adapted model as those of one without adapters: each adapter added to what it adapts."""
    out = {}
    for name, tensor in weights.items():
        if name.endswith(BASE):
            layer = name.removesuffix(BASE)
            added = weights[layer + B].float() @ weights[layer + A].float() * (params.alpha / params.rank)
            out[f"{layer}.weight"] = (tensor.float() + added).to(tensor.dtype)
        elif not name.endswith((A, B)):
            out[name] = tensor
    return out
