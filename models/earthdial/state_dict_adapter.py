"""Names and configuration of the published weights, and ours: InternVL2-4B and the three EarthDial_4B.

Published are `vision_model.*` with query, key and value in one matrix, `mlp1.{0,1,3}.*` and `language_model.*`
(spec, sections 1.1 and 1.4). Ours are those of the InternVL classes of transformers. Every tensor is renamed, cut
or put together, and none is changed, so that the way back gives the same bits.
"""

import copy
from collections.abc import Iterator, Mapping
from typing import Any

import torch
from transformers import InternVLVisionConfig, Phi3Config

from models.earthdial.config import EarthDialConfig
from models.earthdial.model import PARTS, EarthDialForConditionalGeneration
from models.parts.layout import PublishedError, Step

FUSION_PREFIX = f"{PARTS['fusion'][0]}."
VISION_FIELDS = {  # the first six are required
    "hidden_size": "hidden_size",
    "num_hidden_layers": "num_hidden_layers",
    "num_attention_heads": "num_attention_heads",
    "intermediate_size": "intermediate_size",
    "image_size": "image_size",
    "patch_size": "patch_size",
    "layer_norm_eps": "layer_norm_eps",
    "qkv_bias": "attention_bias",
    "hidden_act": "hidden_act",
    "attention_dropout": "attention_dropout",
    "dropout": "hidden_dropout_prob",
}
"""Published name of a field -> ours. `drop_path_rate` has no counterpart: it is noise while training only."""
TEXT_FIELDS = (  # the first five are required
    "vocab_size",
    "hidden_size",
    "intermediate_size",
    "num_hidden_layers",
    "num_attention_heads",
    "num_key_value_heads",
    "max_position_embeddings",
    "original_max_position_embeddings",
    "rms_norm_eps",
    "hidden_act",
    "attention_dropout",
    "resid_pdrop",
    "embd_pdrop",
    "bos_token_id",
    "eos_token_id",
    "pad_token_id",
)
DEMANDED: dict[str, tuple[Any, ...]] = {
    # v1 orders the shuffled channels otherwise: it would load without an error and answer nonsense.
    "ps_version": ("v2",),
    # InternVL can take an earlier layer of the encoder, which transformers' class cannot.
    "select_layer": (-1,),
    # With adapters the matrices in the file are not the ones that were trained.
    "use_backbone_lora": (0, None),
    "use_llm_lora": (0, None),
    "vision_config.qk_normalization": (False,),
    "vision_config.norm_type": ("layer_norm",),
    "vision_config.num_channels": (3,),
    "llm_config.architectures": (["Phi3ForCausalLM"],),
    "llm_config.tie_word_embeddings": (False,),
}
"""What our network takes for granted, where the published configuration says anything about it."""


def steps_to_ours(config: EarthDialConfig) -> list[Step]:
    """From the published layout to ours, for every tensor of the published one."""
    return [Step((theirs,), ours) for theirs, ours in _pairs(config)]


def _pairs(config: EarthDialConfig) -> Iterator[tuple[str, tuple[str, ...]]]:
    vision: Any = config.vision_config
    text: Any = config.text_config
    theirs, ours = "vision_model.embeddings", f"{PARTS['vision'][0]}.embeddings"
    yield f"{theirs}.class_embedding", (f"{ours}.cls_token",)
    yield f"{theirs}.position_embedding", (f"{ours}.position_embeddings",)
    yield from _linear(f"{theirs}.patch_embedding", f"{ours}.patch_embeddings.projection")
    for number in range(vision.num_hidden_layers):
        theirs = f"vision_model.encoder.layers.{number}"
        ours = f"{PARTS['vision'][0]}.encoder.layer.{number}"
        for kind in ("weight", "bias") if vision.attention_bias else ("weight",):
            # InternViT keeps query, key and value in one matrix, transformers in three; Phi-3 keeps one in both.
            yield f"{theirs}.attn.qkv.{kind}", tuple(f"{ours}.attention.{x}_proj.{kind}" for x in "qkv")
        yield from _linear(f"{theirs}.attn.proj", f"{ours}.attention.projection_layer")
        yield from _linear(f"{theirs}.mlp.fc1", f"{ours}.mlp.fc1")
        yield from _linear(f"{theirs}.mlp.fc2", f"{ours}.mlp.fc2")
        yield from _linear(f"{theirs}.norm1", f"{ours}.layernorm_before")
        yield from _linear(f"{theirs}.norm2", f"{ours}.layernorm_after")
        yield f"{theirs}.ls1", (f"{ours}.lambda_1",)
        yield f"{theirs}.ls2", (f"{ours}.lambda_2",)
    for place, name in (("0", "layer_norm"), ("1", "linear_1"), ("3", "linear_2")):
        yield from _linear(f"mlp1.{place}", f"{PARTS['projector'][0]}.{name}")
    yield "language_model.model.embed_tokens.weight", ("model.language_model.embed_tokens.weight",)
    for number in range(text.num_hidden_layers):
        for name in (
            "input_layernorm",
            "self_attn.qkv_proj",
            "self_attn.o_proj",
            "post_attention_layernorm",
            "mlp.gate_up_proj",
            "mlp.down_proj",
        ):
            layer = f"layers.{number}.{name}.weight"
            yield f"language_model.model.{layer}", (f"model.language_model.{layer}",)
    yield "language_model.model.norm.weight", ("model.language_model.norm.weight",)
    yield "language_model.lm_head.weight", ("lm_head.weight",)


def _linear(theirs: str, ours: str) -> Iterator[tuple[str, tuple[str, ...]]]:
    for kind in ("weight", "bias"):
        yield f"{theirs}.{kind}", (f"{ours}.{kind}",)


def shapes(config: EarthDialConfig) -> dict[str, tuple[int, ...]]:
    """Shape of every tensor of our layout, fusion included."""
    # No memory: the shapes of 4 billion weights are known without them.
    with torch.device("meta"):
        model = EarthDialForConditionalGeneration(config)
    return {name: tuple(tensor.shape) for name, tensor in model.state_dict().items()}


def published_shapes(config: EarthDialConfig) -> dict[str, tuple[int, ...]]:
    """Shape of every tensor of the published layout."""
    ours = shapes(config)
    stacked = {}
    for step in steps_to_ours(config):
        first = ours[step.targets[0]]
        stacked[step.sources[0]] = (first[0] * len(step.targets), *first[1:]) if len(step.targets) > 1 else first
    return stacked


def from_published(
    published: Mapping[str, Any],
    *,
    image_token_id: int | None = None,
    end_token_id: int | None = None,
    pad_token_id: int | None = None,
    fusion: str = "mosaic",
) -> EarthDialConfig:
    """Our configuration of a published one.

    Args:
        published: config.json of the weights.
        image_token_id: id of `<IMG_CONTEXT>`; what the configuration says if None.
        end_token_id: id of `<|end|>`; the language model's eos_token_id if None.
        pad_token_id: id of `<|endoftext|>`; the language model's pad_token_id if None.
        fusion: the released one unless said otherwise.

    Raises:
        PublishedError: it asks for what this network does not do, or lacks a field; all of them are named.
    """
    _check(published)
    vision, llm = published["vision_config"], published["llm_config"]
    # The public training script says 224 and the released weights 448 (spec, section 1.2): only what agrees is read.
    side = published.get("force_image_size") or vision["image_size"]
    if side != vision["image_size"]:
        raise PublishedError(
            f"force_image_size {side} is not vision_config.image_size {vision['image_size']}: "
            "the position embeddings would have to be resized first"
        )
    text: dict[str, Any] = {name: llm[name] for name in TEXT_FIELDS if name in llm}
    text |= {"tie_word_embeddings": False, "rope_theta": llm.get("rope_theta", 10000.0)}
    if llm.get("rope_scaling"):
        # transformers knows "su" by its later name, and looks for the trained length here.
        trained = llm.get("original_max_position_embeddings", 4096)
        scaling = {**llm["rope_scaling"], "original_max_position_embeddings": trained}
        text["rope_scaling"] = {name: value for name, value in scaling.items() if name != "type"} | {
            "rope_type": "longrope"
        }
    window, longest = llm.get("sliding_window"), llm.get("max_position_embeddings", 0)
    text["sliding_window"] = window if window and window < longest else None  # a wider one hides nothing
    for name, value in (("eos_token_id", end_token_id), ("pad_token_id", pad_token_id)):
        text[name] = text.get(name) if value is None else value
    token = published.get("img_context_token_id") if image_token_id is None else image_token_id
    if token is None:
        raise PublishedError("which token <IMG_CONTEXT> is, neither config.json nor a tokenizer beside it says")
    config = EarthDialConfig(
        vision_config=InternVLVisionConfig(**{VISION_FIELDS[k]: v for k, v in vision.items() if k in VISION_FIELDS}),
        text_config=Phi3Config(**text),
        downsample_ratio=published["downsample_ratio"],
        image_token_id=token,
        fusion=fusion,
        box_form="earthdial",
        fusion_heads=vision["num_attention_heads"],
    )
    config.image_seq_length = config.tokens_per_tile
    return config


def _check(published: Mapping[str, Any]) -> None:
    wrong = [name for name in ("vision_config", "llm_config", "downsample_ratio") if name not in published]
    wrong = [f"{name} is missing" for name in wrong]
    for path, allowed in DEMANDED.items():
        *section, name = path.split(".")
        found = published.get(section[0], {}) if section else published
        if name in found and found[name] not in allowed:
            wrong.append(f"{path} is {found[name]!r}, but only {' or '.join(map(repr, allowed))} can be read")
    scaling = published.get("llm_config", {}).get("rope_scaling") or {}
    if scaling and scaling.get("type", scaling.get("rope_type")) not in ("su", "longrope"):
        wrong.append(f"llm_config.rope_scaling is {scaling.get('type')!r}, but only 'su' can be read")
    if not wrong:
        for part, fields in (("vision_config", tuple(VISION_FIELDS)[:6]), ("llm_config", TEXT_FIELDS[:5])):
            wrong += [f"{part}.{name} is missing" for name in fields if name not in published[part]]
    if wrong:
        raise PublishedError(
            f"config.json is not that of an InternVL2-4B or EarthDial_4B: {'; '.join(wrong)}. Of InternVL2.5, 3 and "
            "3.5 take the repositories in transformers' own layout, whose names end with -hf"
        )


def to_published(config: EarthDialConfig, base: Mapping[str, Any] | None = None) -> dict[str, Any]:
    """The published configuration of ours.

    Args:
        config: ours.
        base: the published one it was once made from, whose other fields (template, special ids) are kept.

    Raises:
        PublishedError: `base` is of another network.
    """
    vision: Any = config.vision_config
    text: Any = config.text_config
    out: dict[str, Any] = copy.deepcopy(dict(base)) if base is not None else _skeleton(config)
    sizes = {name: getattr(vision, ours) for name, ours in VISION_FIELDS.items()}
    sizes |= {"image_size": config.image_size, "patch_size": vision.patch_size[0]}
    words = {name: getattr(text, name) for name in TEXT_FIELDS}
    if base is None:
        out["vision_config"] |= sizes
        out["llm_config"] |= words
        return out
    reread = from_published(out, image_token_id=config.image_token_id)
    theirs: Any = reread.text_config
    theirs.vocab_size = text.vocab_size  # tokens may have been added since
    if published_shapes(reread) != published_shapes(config):
        raise PublishedError("the published configuration kept beside these weights is that of another network")
    out["llm_config"]["vocab_size"] = text.vocab_size
    return out


def _skeleton(config: EarthDialConfig) -> dict[str, Any]:
    text: Any = config.text_config
    rope = dict(text.rope_parameters)
    factors = {name: rope[name] for name in ("short_factor", "long_factor") if name in rope}
    return {
        "architectures": ["InternVLChatModel"],
        "model_type": "internvl_chat",
        "downsample_ratio": config.downsample_ratio,
        "force_image_size": config.image_size,
        "img_context_token_id": config.image_token_id,
        "ps_version": "v2",
        "select_layer": -1,
        "template": "phi3-chat",
        "vision_config": {
            "architectures": ["InternVisionModel"],
            "model_type": "intern_vit_6b",
            "norm_type": "layer_norm",
            "num_channels": 3,
            "qk_normalization": False,
        },
        "llm_config": {
            "architectures": ["Phi3ForCausalLM"],
            "model_type": "phi3",
            "rope_theta": rope["rope_theta"],
            "rope_scaling": {"type": "su", **factors} if factors else None,
            "sliding_window": text.sliding_window,
            "tie_word_embeddings": False,
        },
    }
