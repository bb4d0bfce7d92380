"""LoRA through peft: adapters trained in place of the matrices of a language model or a Q-Former.

When a stage ends they are added to the weights they adapt, so that a checkpoint looks the same with and without. Of an
adapted part nothing else learns, but what is no part of its layers: the queries of a Q-Former do.
"""

from dataclasses import dataclass
from typing import Any

from torch import Tensor

from tasks.core.errors import TrainingError
from tasks.training.moe_params import MoeLoraParams, MoeStageParams
from tasks.training.network import Network
from tasks.training.params import LoraParams, RunParams, StageParams

A, B, BASE = ".lora_A.default.weight", ".lora_B.default.weight", ".base_layer"
EARTHDIAL = r"model\.language_model\..*\.(qkv_proj|o_proj|gate_up_proj|down_proj)"
LANGUAGE = {"attention": "q_proj|v_proj", "ffn": "gate_proj|up_proj|down_proj"}
QFORMER = {
    "attention": r"attention\.attention\.(query|value)",
    "cross": r"crossattention\.(attention\.(query|key|value)|output\.dense)",
    "ffn": r"(intermediate|output)(_query)?\.dense",
}
"""Matrices by the places that the authors' configurations name (spec, sections 4.1 and 4.3)."""
PREFIXES = {
    "language": ("model.language_model.", "lm_head.", "language_model."),
    "qformer": ("qformer.",),
}
"""Beginnings of the weights that an adapted part no longer trains."""


@dataclass(frozen=True)
class Adapters:
    """What is adapted, and how."""

    pattern: str
    """Of the names of the matrices."""
    parts: tuple[str, ...]
    """Parts of the network that these lie in."""
    params: LoraParams
    named: str
    """Where params.yaml says so."""

    @property
    def language_rank(self) -> int:
        """Of adapters in the language model; 0 where it has none."""
        return self.params.rank if "language" in self.parts else 0


def chosen_adapters(common: RunParams, stage: StageParams) -> Adapters | None:
    """The adapters that a stage trains; None for whole matrices."""
    if common.lora is not None:
        return Adapters(EARTHDIAL, ("language",), common.lora, "train.common.lora")
    if not isinstance(stage, MoeStageParams) or not stage.lora.places:
        return None
    return Adapters(_pattern(stage.lora), tuple(stage.lora.places), stage.lora, "moe.stage1.lora")


def _pattern(params: MoeLoraParams) -> str:
    """Of InstructBLIP's names."""
    found = []
    for part, table, before in (
        ("language", LANGUAGE, r"language_model\..*\."),
        ("qformer", QFORMER, r"qformer\.encoder\.layer\.\d+\."),
    ):
        place = params.places.get(part)
        if place is not None:
            found.append(f"{before}({'|'.join(table.values()) if place == 'all' else table[place]})")
    return "|".join(f"({one})" for one in found)


def add_adapters(model: Network, adapters: Adapters, trained: list[str]) -> None:
    """Put adapters into the network and freeze what else the adapted parts have.

    Raises:
        TrainingError: the stage does not train an adapted part.
    """
    from peft import LoraConfig, inject_adapter_in_model

    idle = [part for part in adapters.parts if part not in trained]
    if idle:
        raise TrainingError(f"{adapters.named} adapts {', '.join(idle)}, but the stage does not list it in `trains`")
    params, network = adapters.params, model
    learning = {name for name, parameter in network.named_parameters() if parameter.requires_grad}
    config: Any = LoraConfig(
        r=params.rank, lora_alpha=params.alpha, lora_dropout=params.dropout, target_modules=adapters.pattern
    )
    inject_adapter_in_model(config, network)
    frozen = tuple(prefix for part in adapters.parts for prefix in PREFIXES[part])
    # peft has frozen all of the network but its adapters.
    for name, parameter in network.named_parameters():
        parameter.requires_grad_("lora_" in name or (name in learning and not name.startswith(frozen)))


def merged(weights: dict[str, Tensor], params: LoraParams) -> dict[str, Tensor]:
    """Weights of an adapted model as those of one without adapters: each adapter added to what it adapts."""
    out = {}
    for name, tensor in weights.items():
        if name.endswith(f"{BASE}.weight"):
            layer = name.removesuffix(f"{BASE}.weight")
            added = weights[layer + B].float() @ weights[layer + A].float() * (params.alpha / params.rank)
            out[f"{layer}.weight"] = (tensor.float() + added).to(tensor.dtype)
        elif not name.endswith((A, B)):
            out[name.replace(f"{BASE}.", ".")] = tensor
    return out
