"""LoRA through peft: adapters trained in place of the matrices of a language model, a projector or a Q-Former.

When a stage ends they are added to the weights they adapt, so that a checkpoint looks the same with and without; a
fine-tuning keeps them apart. Of an adapted part nothing else learns, but what is no part of its layers: the queries of
a Q-Former do, and of the embeddings the rows of some tokens where a fine-tuning names them.
"""

from dataclasses import dataclass
from pathlib import Path
from typing import Any

from safetensors.torch import load_file, save_file
from torch import Tensor

from tasks.core.errors import TrainingError
from tasks.training.finetune_params import FinetuneStage
from tasks.training.moe_params import MoeLoraParams, MoeStageParams
from tasks.training.network import Network
from tasks.training.params import LoraParams, RunParams, StageParams
from tasks.vlm.loading import ADAPTER_WEIGHTS

WRAPPED = "base_model.model."
"""Before the names of an adapter's weights, of the wrapper that peft puts around a model."""
A, B, BASE = ".lora_A.default.weight", ".lora_B.default.weight", ".base_layer"
EMBEDDINGS, TOKENS = "embed_tokens", "trainable_tokens_delta"
"""In the names of the embeddings, and of the rows of them that peft trains."""
EARTHDIAL = {
    # Phi-3 has one matrix for query, key and value, and one for gate and up; Llama and Qwen have one each.
    "language": r"model\.language_model\..*\.(qkv_proj|[qkvo]_proj|gate_up_proj|gate_proj|up_proj|down_proj)",
    "projector": r"model\.multi_modal_projector\.linear_[12]",
    "fusion": r"model\.band_fusion\.(embedding\.(up|out)|query|key_value|out)",
}
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
    "projector": ("model.multi_modal_projector.",),
    "fusion": ("model.band_fusion.",),
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
    tokens: tuple[int, ...] = ()
    """Ids of tokens whose embeddings learn, too."""
    start: Path | None = None
    """Folder of the adapter that learns on; None for a fresh one."""

    @property
    def language_rank(self) -> int:
        """Of adapters in the language model; 0 where it has none."""
        return self.params.rank if "language" in self.parts else 0


def chosen_adapters(common: RunParams, stage: StageParams) -> Adapters | None:
    """The adapters that a stage trains; None for whole matrices."""
    if isinstance(stage, FinetuneStage):
        pattern = "|".join(f"({EARTHDIAL[part]})" for part in stage.lora.targets)
        return Adapters(pattern, tuple(stage.lora.targets), stage.lora, "finetune.lora", stage.tokens, stage.start)
    if common.lora is not None:
        return Adapters(EARTHDIAL["language"], ("language",), common.lora, "train.common.lora")
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
    from peft import inject_adapter_in_model, set_peft_model_state_dict

    idle = [part for part in adapters.parts if part not in trained]
    if idle:
        raise TrainingError(f"{adapters.named} adapts {', '.join(idle)}, but the stage does not list it in `trains`")
    network = model
    learning = {name for name, parameter in network.named_parameters() if parameter.requires_grad}
    inject_adapter_in_model(peft_config(adapters), network)
    if adapters.start is not None:
        held = load_file(adapters.start / ADAPTER_WEIGHTS)
        put: Any = set_peft_model_state_dict(network, {name.removeprefix(WRAPPED): held[name] for name in held})
        if put.unexpected_keys or len(held) != len(_adapters_of(network)):
            raise TrainingError(f"{adapters.start} does not fit: its weights are not those that its places would have")
    frozen = tuple(prefix for part in adapters.parts for prefix in PREFIXES[part])
    # peft has frozen all of the network but its adapters.
    for name, parameter in network.named_parameters():
        own = "lora_" in name or TOKENS in name
        parameter.requires_grad_(own or (name in learning and not name.startswith(frozen)))
        if own:
            parameter.data = parameter.data.float()  # the adapted matrix may be held in half precision


def peft_config(adapters: Adapters, base: str | None = None) -> Any:
    """peft's LoraConfig of some adapters; `base` is the model they belong to, as others find it."""
    from peft import LoraConfig

    params = adapters.params
    return LoraConfig(
        r=params.rank,
        lora_alpha=params.alpha,
        lora_dropout=params.dropout,
        target_modules=adapters.pattern,
        trainable_token_indices={EMBEDDINGS: list(adapters.tokens)} if adapters.tokens else None,
        base_model_name_or_path=base,
    )


def write_adapter(model: Any, folder: Path, base: Path) -> None:
    """The adapters of a model as peft keeps them: adapter_config.json and adapter_model.safetensors."""
    (config,) = model.peft_config.values()
    # As relative as it was given: an adapter that is passed on names no folder of this machine.
    config.base_model_name_or_path = base.as_posix()
    config.inference_mode = True
    state = _adapters_of(model)
    tensors = {f"{WRAPPED}{name}": tensor.detach().cpu().contiguous() for name, tensor in sorted(state.items())}
    save_file(tensors, folder / ADAPTER_WEIGHTS, metadata={"format": "pt"})
    config.save_pretrained(folder)


def _adapters_of(model: Any) -> dict[str, Tensor]:
    from peft import get_peft_model_state_dict

    # Said outright: by itself peft would ask a hub for the base, to see whether its vocabulary grew.
    state: dict[str, Tensor] = get_peft_model_state_dict(model, save_embedding_layers=False)
    return state


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
