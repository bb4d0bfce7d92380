"""Sizes of RS-MoE by name. Every preset is the same architecture and the same code."""

from collections.abc import Mapping, Sequence
from typing import Any

from transformers import InstructBlipQFormerConfig, InstructBlipVisionConfig, LlamaConfig

from models.rsmoe.config import RsMoeConfig
from models.rsmoe.prompt import EXPERTS, TEMPLATES

PUBLISHED_QFORMER = {"vocab_size": 30523}
"""BERT's vocabulary and [DEC], of InstructBLIP."""
PRESETS: dict[str, dict[str, Any]] = {
    "tiny": {
        "vision": {
            "hidden_size": 96,
            "num_hidden_layers": 2,
            "num_attention_heads": 4,
            "intermediate_size": 192,
            "image_size": 112,
            "initializer_range": 0.05,
        },
        "qformer": {
            "hidden_size": 96,
            "num_hidden_layers": 2,
            "num_attention_heads": 4,
            "intermediate_size": 192,
            "initializer_range": 0.05,
        },
        "text": {
            "vocab_size": 1024,
            "hidden_size": 128,
            "intermediate_size": 320,
            "num_hidden_layers": 3,
            "num_attention_heads": 4,
            "num_key_value_heads": 4,
            "max_position_embeddings": 512,
            "initializer_range": 0.05,
        },
        "queries": 16,
        "instruction_length": 32,
    },
    "small": {
        "vision": {
            "hidden_size": 384,
            "num_hidden_layers": 6,
            "num_attention_heads": 6,
            "intermediate_size": 1536,
            "initializer_range": 0.02,
        },
        "qformer": {
            "hidden_size": 384,
            "num_hidden_layers": 4,
            "num_attention_heads": 6,
            "intermediate_size": 1536,
        },
        "text": {
            "vocab_size": 4096,
            "hidden_size": 512,
            "intermediate_size": 1408,
            "num_hidden_layers": 8,
            "num_attention_heads": 8,
            "num_key_value_heads": 4,
            "max_position_embeddings": 2048,
        },
        "queries": 32,
        "instruction_length": 64,
    },
    "1b": {
        # InstructBLIP's ViT-g/14 and Q-Former with Llama-3.2-1B.
        "vision": {},
        "qformer": PUBLISHED_QFORMER,
        "text": {
            "vocab_size": 128256,
            "hidden_size": 2048,
            "intermediate_size": 8192,
            "num_hidden_layers": 16,
            "num_attention_heads": 32,
            "num_key_value_heads": 8,
            "head_dim": 64,
            "max_position_embeddings": 131072,
            "rms_norm_eps": 1e-5,
            "tie_word_embeddings": True,
            "rope_parameters": {
                "rope_theta": 500000.0,
                "rope_type": "llama3",
                "factor": 32.0,
                "high_freq_factor": 4.0,
                "low_freq_factor": 1.0,
                "original_max_position_embeddings": 8192,
            },
        },
        "queries": 32,
        "instruction_length": 128,
    },
    "7b": {
        # The same with Vicuna-7B; 32000 rows of Llama and the ones that InstructBLIP adds.
        "vision": {},
        "qformer": PUBLISHED_QFORMER,
        "text": {
            "vocab_size": 32001,
            "hidden_size": 4096,
            "intermediate_size": 11008,
            "num_hidden_layers": 32,
            "num_attention_heads": 32,
            "num_key_value_heads": 32,
            "max_position_embeddings": 2048,
            "rms_norm_eps": 1e-6,
        },
        "queries": 32,
        "instruction_length": 128,
    },
}
OWN = ("tiny", "small")
"""Presets without published weights: the Q-Former reads with the tokenizer of the language model, and has no dropout,
for a small network that starts fresh needs none."""


def make_config(
    preset: str,
    *,
    vocab_size: int | None = None,
    image_token_id: int = 0,
    end_token_id: int | None = None,
    pad_token_id: int | None = None,
    experts: Sequence[str] = (),
    templates: Mapping[str, str] = TEMPLATES,
    **fields: Any,
) -> RsMoeConfig:
    """The configuration of a preset, fitted to a tokenizer.

    Args:
        preset: tiny, small, 1b or 7b.
        vocab_size: rows of the embeddings; the preset's own if None.
        image_token_id: id of `<IMG_CONTEXT>`.
        end_token_id: id of the token that ends an answer.
        pad_token_id: id of the token that fills up.
        experts: their names; none for the dense network of stage 1.
        templates: prompt of each expert by name.
        **fields: others of `RsMoeConfig`.

    Raises:
        ValueError: there is no such preset.
        ExpertError: an expert has no template.
    """
    if preset not in PRESETS:
        raise ValueError(f"there is no preset '{preset}'; allowed: {', '.join(PRESETS)}")
    sizes = PRESETS[preset]
    text = {"tie_word_embeddings": False, "bos_token_id": None, **sizes["text"]}
    text["vocab_size"] = vocab_size or text["vocab_size"]
    text["eos_token_id"], text["pad_token_id"] = end_token_id, pad_token_id
    qformer = dict(sizes["qformer"])
    if preset in OWN:
        qformer |= {
            "vocab_size": text["vocab_size"],
            "pad_token_id": pad_token_id,
            "hidden_dropout_prob": 0.0,
            "attention_probs_dropout_prob": 0.0,
        }
    vision = InstructBlipVisionConfig(**{"initializer_range": 0.02, **sizes["vision"]})
    return RsMoeConfig(
        vision_config=vision,
        qformer_config=InstructBlipQFormerConfig(**qformer),
        text_config=LlamaConfig(**text),
        num_query_tokens=sizes["queries"],
        image_token_index=image_token_id,
        instruction_length=sizes["instruction_length"],
        fusion_heads=vision.num_attention_heads,
        experts=list(experts),
        templates=[templates.get(name, "") for name in experts],
        **fields,
    )


__all__ = ["EXPERTS", "PRESETS", "make_config"]
