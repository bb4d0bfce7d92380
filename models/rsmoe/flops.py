"""Arithmetic of one training step of RS-MoE, by the rules of `models.earthdial.flops`: what the samples need.

Vision encoder and Q-Former run once a tile, however many experts see it; every expert's tokens go through the language
model, and through its own adapters. The router's one layer is counted with the Q-Former.
"""

from collections.abc import Collection, Sequence
from dataclasses import dataclass
from typing import Any

from models.parts.band_groups import CHANNELS
from models.rsmoe.config import RsMoeConfig


@dataclass(frozen=True)
class Flops:
    """Floating-point operations of forward and backward passes, by part of the network."""

    vision: float
    qformer: float
    projector: float
    language: float
    experts: float
    head: float

    @property
    def total(self) -> float:
        """All parts."""
        return self.vision + self.qformer + self.projector + self.language + self.experts + self.head


def step_flops(
    config: RsMoeConfig,
    lengths: Sequence[int],
    groups_of_tiles: Sequence[int],
    head_tokens: int,
    trained: Collection[str],
    *,
    lora_rank: int = 0,
) -> Flops:
    """Operations of the forward and backward pass over some sequences.

    Args:
        config: of the network.
        lengths: tokens of each sequence, visual ones included; with experts one sequence each.
        groups_of_tiles: band groups of each tile.
        head_tokens: tokens whose logits are worked out.
        trained: names of the parts that are trained, of `model.PARTS`.
        lora_rank: rank of adapters that are trained in place of the language model's weights, 0 for none.
    """
    sees = bool({"vision", "fusion"} & set(trained))
    queries = sees or "qformer" in trained
    projects = queries or "projector" in trained
    separate = config.number_of_experts > 0 and config.realisation == "separate"
    routes = "router" in trained
    weights = ("language" in trained and not lora_rank) or (separate and "experts" in trained)
    learns = projects or routes or "language" in trained or "experts" in trained
    vision: Any = config.vision_config
    text: Any = config.text_config
    tiles, groups, places = len(groups_of_tiles), sum(groups_of_tiles), config.patches_per_tile + 1
    width = vision.hidden_size
    embed = 2 * config.patches_per_tile * CHANNELS * vision.patch_size**2 * width
    layer = 2 * places * width * (4 * width + 2 * vision.intermediate_size) + 4 * places**2 * width
    seen = groups * (embed + vision.num_hidden_layers * layer) * (1 + 2 * ("vision" in trained))
    tokens = sum(lengths)
    linear = 2.0 * text.num_hidden_layers * sum(out * into for out, into in _matrices(config).values()) * tokens
    head_width = text.num_attention_heads * _head(text)
    attention = 4.0 * text.num_hidden_layers * head_width * sum(n * (n + 1) / 2 for n in lengths)
    rank = config.lora_rank if config.number_of_experts and not separate else lora_rank
    targets = (config.lora_targets or ()) if config.number_of_experts else tuple(_matrices(config))
    sizes = text.num_hidden_layers * sum(sum(_matrices(config).get(name, (0, 0))) for name in targets)
    adapters = 2.0 * rank * sizes * tokens
    return Flops(
        vision=float(seen),
        qformer=_qformer(config, tiles) * (1 + ("qformer" in trained) + queries),
        projector=2.0
        * tiles
        * config.num_query_tokens
        * _qformer_width(config)
        * text.hidden_size
        * (1 + 2 * projects),
        language=linear * (1 + weights + learns) + attention * (1 + 2 * learns),
        experts=adapters * (1 + 2 * ("experts" in trained or bool(lora_rank))),
        head=2.0 * head_tokens * text.hidden_size * text.vocab_size * (1 + weights + learns),
    )


def _qformer_width(config: RsMoeConfig) -> int:
    qformer: Any = config.qformer_config
    return int(qformer.hidden_size)


def _qformer(config: RsMoeConfig, tiles: int) -> float:
    """One forward pass: queries and a question of the longest length that is read, which is little beside the rest."""
    q: Any = config.qformer_config
    width, queries = q.hidden_size, config.num_query_tokens
    tokens, places = queries + config.instruction_length, config.patches_per_tile + 1
    own = 2 * tokens * (4 * width * width + 2 * width * q.intermediate_size) + 4 * tokens**2 * width
    crossed = (
        2 * (2 * queries * width * width + 2 * places * q.encoder_hidden_size * width) + 4 * queries * places * width
    )
    return float(tiles * (q.num_hidden_layers * own + -(-q.num_hidden_layers // q.cross_attention_frequency) * crossed))


def _head(text: Any) -> int:
    return int(getattr(text, "head_dim", None) or text.hidden_size // text.num_attention_heads)


def _matrices(config: RsMoeConfig) -> dict[str, tuple[int, int]]:
    """(outputs, inputs) of the matrices of one layer of a Llama, by name."""
    text: Any = config.text_config
    queries, keys = text.num_attention_heads * _head(text), text.num_key_value_heads * _head(text)
    wide, inner = text.hidden_size, text.intermediate_size
    return {
        "q_proj": (queries, wide),
        "k_proj": (keys, wide),
        "v_proj": (keys, wide),
        "o_proj": (wide, queries),
        "gate_proj": (inner, wide),
        "up_proj": (inner, wide),
        "down_proj": (wide, inner),
    }
