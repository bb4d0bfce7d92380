"""Sizes of the network by name. Every preset is the same architecture and the same code."""

from typing import Any

from transformers import InternVLVisionConfig, Phi3Config

from models.earthdial.config import EarthDialConfig

PRESETS: dict[str, dict[str, Any]] = {
    "tiny": {
        "vision": {
            "hidden_size": 96,
            "num_hidden_layers": 2,
            "num_attention_heads": 4,
            "intermediate_size": 192,
            # A chip of 64 pixels as it is, and patches half as wide as those of the larger presets.
            "image_size": (64, 64),
            "patch_size": (8, 8),
            "initializer_range": 0.05,
        },
        "text": {
            "vocab_size": 1024,
            "hidden_size": 128,
            "intermediate_size": 320,
            "num_hidden_layers": 3,
            "num_attention_heads": 4,
            "max_position_embeddings": 512,
            "original_max_position_embeddings": 512,
            "initializer_range": 0.05,
        },
        "fusion_heads": 4,
        # Its two layers are too few for bands to meet only after them: a vegetation index takes two bands.
        "fusion_layer": 0,
    },
    "small": {
        "vision": {
            "hidden_size": 384,
            "num_hidden_layers": 6,
            "num_attention_heads": 6,
            "intermediate_size": 1536,
            "image_size": (224, 224),
        },
        "text": {
            "vocab_size": 4096,
            "hidden_size": 512,
            "intermediate_size": 1408,
            "num_hidden_layers": 8,
            "num_attention_heads": 8,
            "max_position_embeddings": 2048,
            "original_max_position_embeddings": 2048,
        },
        "fusion_heads": 6,
    },
    "4b": {
        # InternViT-300M-448px and Phi-3-mini; 32064 rows of Phi-3 and the 9 that InternVL2 adds.
        "vision": {"image_size": (448, 448)},
        "text": {"vocab_size": 32073},
        "fusion_heads": 16,
    },
}


def make_config(
    preset: str,
    *,
    vocab_size: int | None = None,
    image_token_id: int = 0,
    end_token_id: int | None = None,
    pad_token_id: int | None = None,
    fusion: str = "attention",
    fusion_layer: int | None = None,
    cover_classes: list[str] | None = None,
) -> EarthDialConfig:
    """The configuration of a preset, fitted to a tokenizer.

    Args:
        preset: tiny, small or 4b.
        vocab_size: rows of the embeddings; the preset's own if None.
        image_token_id: id of `<IMG_CONTEXT>`.
        end_token_id: id of `<|end|>`, which ends an answer. Phi-3's default lies outside a small vocabulary.
        pad_token_id: id of `<|endoftext|>`.
        fusion: one of `models.parts.fusion.KINDS`.
        fusion_layer: layer of the vision encoder after which groups are fused; the preset's own if None, which is the
            last but for tiny.
        cover_classes: whose cover is read from each visual token; None: none, as in the paper.

    Raises:
        ValueError: there is no such preset.
    """
    if preset not in PRESETS:
        raise ValueError(f"there is no preset '{preset}'; allowed: {', '.join(PRESETS)}")
    sizes = PRESETS[preset]
    text = {**sizes["text"], "tie_word_embeddings": False, "bos_token_id": None}
    text["vocab_size"] = vocab_size or text["vocab_size"]
    text["eos_token_id"] = end_token_id
    text["pad_token_id"] = pad_token_id
    vision = InternVLVisionConfig(**{"attention_bias": True, **sizes["vision"]})
    config = EarthDialConfig(
        vision_config=vision,
        text_config=Phi3Config(**text),
        image_token_id=image_token_id,
        fusion=fusion,
        fusion_heads=sizes["fusion_heads"],
        fusion_layer=sizes.get("fusion_layer") if fusion_layer is None and fusion != "mosaic" else fusion_layer,
        cover_classes=cover_classes or None,
    )
    config.image_seq_length = config.tokens_per_tile
    return config
