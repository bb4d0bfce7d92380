"""Names and configuration of InternVL in transformers' own layout, the `-hf` repositories of InternVL2.5, 3 and 3.5.

Our names are those of transformers' classes, so that nothing is cut or put together. Files have those, or what
`save_pretrained` makes of them: no `model.` before all, and one behind `language_model`. Where head and embeddings are
one matrix, we keep two.
"""

import re
from collections.abc import Collection, Mapping
from typing import Any

from transformers import AutoConfig, InternVLConfig

from models.earthdial.config import EarthDialConfig
from models.earthdial.state_dict_adapter import FUSION_PREFIX, shapes
from models.parts.layout import PublishedError, Step

LANGUAGE_MODELS = ("qwen2", "qwen3", "llama", "phi3")
"""By `model_type` of the text configuration."""
EMBEDDINGS, HEAD = "model.language_model.embed_tokens.weight", "lm_head.weight"
CLASS_TOKEN = "model.vision_tower.embeddings.cls_token"
SAVED = (
    (r"language_model\.model\.", "model.language_model."),
    (r"language_model\.lm_head\.", "lm_head."),
    (r"(vision_tower|multi_modal_projector)\.", r"model.\1."),
)
"""Beginnings of the names that `save_pretrained` writes, and ours."""
LEADING = {"phi3": "phi3", "llama": "chatml-bos"}
"""Language model -> layout of its chats, where it is not plain ChatML."""


def from_hf(
    published: Mapping[str, Any], *, image_token_id: int | None, tokens: Mapping[str, int], fusion: str
) -> EarthDialConfig:
    """Our configuration of one in transformers' layout.

    Args:
        published: config.json of the weights.
        image_token_id: id of `<IMG_CONTEXT>`; what the configuration says if None.
        tokens: ids of the tokenizer's tokens, for those that end and fill; without them the configuration's.
        fusion: of `models.parts.fusion.KINDS`.

    Raises:
        PublishedError: it asks for what this network does not do; all of it is named.
    """
    text = dict(published.get("text_config") or {})
    kind = text.pop("model_type", None)
    wrong = []
    if kind not in LANGUAGE_MODELS:
        wrong.append(f"its language model is {kind!r}; supported: {', '.join(LANGUAGE_MODELS)}")
    if text.get("use_sliding_window"):
        wrong.append("its language model attends to a sliding window, and packed samples are attended to as a whole")
    if published.get("vision_feature_layer", -1) != -1:
        wrong.append(f"vision_feature_layer is {published['vision_feature_layer']}; only the last layer, -1, is taken")
    if published.get("vision_feature_select_strategy", "default") != "default":
        wrong.append("vision_feature_select_strategy is not 'default'")
    if "quantization_config" in published or "quantization_config" in text:
        wrong.append("its weights are quantised already; take the whole ones, and load them with --load-in")
    if wrong:
        raise PublishedError(f"config.json is of an InternVL that cannot be read: {'; '.join(wrong)}")
    theirs: Any = InternVLConfig(**{name: value for name, value in published.items() if name != "text_config"})
    words: Any = AutoConfig.for_model(kind, **{**text, "tie_word_embeddings": False})
    layout = LEADING.get(str(kind), "chatml")
    words.eos_token_id = tokens.get("<|end|>" if layout == "phi3" else "<|im_end|>", words.eos_token_id)
    words.pad_token_id = tokens.get("<|endoftext|>", tokens.get("</s>", words.pad_token_id))
    config = EarthDialConfig(
        vision_config=theirs.vision_config,
        text_config=words,
        image_token_id=theirs.image_token_id if image_token_id is None else image_token_id,
        downsample_ratio=theirs.downsample_ratio,
        projector_hidden_act=theirs.projector_hidden_act,
        fusion=fusion,
        fusion_heads=theirs.vision_config.num_attention_heads,
        chat_layout=layout,
    )
    config.image_seq_length = config.tokens_per_tile
    return config


def steps_from_hf(names: Collection[str], config: EarthDialConfig, tied: bool) -> list[Step]:
    """From the tensors of a file to ours.

    Args:
        names: of the tensors there are.
        config: ours.
        tied: whether head and embeddings are one matrix, of which the file then holds one.
    """
    steps = [Step((name,), (our_name(name),)) for name in sorted(names)]
    there = {step.targets[0]: step.sources[0] for step in steps}
    for lacking, other in ((HEAD, EMBEDDINGS), (EMBEDDINGS, HEAD)) if tied else ():
        if lacking not in there and other in there:
            steps.append(Step((there[other],), (lacking,)))
    return steps


def our_name(name: str) -> str:
    """Our name of a tensor of theirs."""
    for theirs, ours in SAVED:
        if re.match(theirs, name):
            return re.sub(f"^{theirs}", ours, name)
    return name


def hf_shapes(config: EarthDialConfig) -> dict[str, tuple[int, ...]]:
    """Shape of every tensor that comes from the published weights."""
    return {name: shape for name, shape in shapes(config).items() if not name.startswith(FUSION_PREFIX)}
