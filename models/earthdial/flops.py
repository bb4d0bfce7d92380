"""Arithmetic of one training step: what the network needs for its samples, not what the machine happens to do.

A multiplication with an addition counts two. Counted are all matrix products, attention and the patch
convolution: forward, backward to the weights where they are trained, and backward to the inputs where something
before them is trained. Not counted are padding, the second forward pass of activation checkpointing, norms,
activations and the optimizer. Attention between tokens is counted inside each sample; of a causal one only the
half below the diagonal, which is less than the usual convention (all of it; PaLM, arXiv 2204.02311, appendix B)
and gives a lower MFU. `causal=False` gives the usual one. Fusion is counted for tiles of several groups only.
"""

from collections.abc import Collection, Sequence
from dataclasses import dataclass
from typing import Any

from models.earthdial.config import EarthDialConfig
from models.parts.band_groups import CHANNELS
from models.parts.fusion import DESCRIPTION


@dataclass(frozen=True)
class Flops:
    """Floating-point operations of forward and backward passes, by part of the network."""

    vision: float
    fusion: float
    projector: float
    language: float
    head: float

    @property
    def total(self) -> float:
        """All parts."""
        return self.vision + self.fusion + self.projector + self.language + self.head


def step_flops(
    config: EarthDialConfig,
    lengths: Sequence[int],
    groups_of_tiles: Sequence[int],
    head_tokens: int,
    trained: Collection[str],
    *,
    causal: bool = True,
    lora_rank: int = 0,
) -> Flops:
    """Operations of the forward and backward pass over some samples.

    Args:
        config: of the network.
        lengths: tokens of each sample, visual ones included.
        groups_of_tiles: band groups of each tile of all samples; 1 for RGB.
        head_tokens: tokens whose logits are worked out.
        trained: names of the parts that are trained, of `model.PARTS`; empty for a forward pass alone.
        causal: count the half of attention that a causal kernel works out, or all of it.
        lora_rank: rank of the adapters that are trained in place of the language model's weights, 0 for none.
    """
    before_fusion = "vision" in trained
    before_projector = before_fusion or "fusion" in trained
    before_language = before_projector or "projector" in trained
    tiles, groups = len(groups_of_tiles), sum(groups_of_tiles)
    linear, attention = _language(config, lengths, causal)
    # The adapted matrices are frozen: no gradient to their weights, but one through them.
    weights = "language" in trained and not lora_rank
    learns = before_language or "language" in trained
    language = _passes(weights, learns) * linear + _passes(learns, learns) * attention
    if lora_rank:
        # Forward, to the adapter's weights and to its inputs, which the layers below need in any case.
        language += 3 * lora_rank * _adapter_sizes(config) * 2 * sum(lengths)
    text: Any = config.text_config
    head = 2.0 * head_tokens * text.hidden_size * text.vocab_size
    return Flops(
        vision=_vision(config, groups, tiles, before_fusion, before_projector),
        fusion=_passes("fusion" in trained, before_projector) * _fusion(config, groups_of_tiles),
        projector=_passes("projector" in trained, before_language) * _projector(config, tiles),
        language=language,
        head=_passes(weights, learns) * head,
    )


def _passes(weights_trained: bool, inputs_need_gradient: bool) -> int:
    """Forward, and backward to the weights, and to the inputs."""
    return 1 + weights_trained + inputs_need_gradient


def _vision(config: EarthDialConfig, groups: int, tiles: int, trained: bool, learns_below: bool) -> float:
    vision: Any = config.vision_config
    width, tokens = vision.hidden_size, config.patches_per_tile + 1
    # The class token is no patch, but goes through every layer: hence one token more below.
    embed = 2 * config.patches_per_tile * CHANNELS * vision.patch_size[0] * vision.patch_size[1] * width
    # Query, key, value and output are four square matrices; the MLP has two.
    linear = 2 * tokens * width * (4 * width + 2 * vision.intermediate_size)
    # Two products of tokens x tokens x width: the scores, and the values they weigh.
    attention = 4 * tokens**2 * width
    before = config.layers_before_fusion
    apart = groups * before * _passes(trained, trained) * (linear + attention)
    # Frozen layers above a fusion that learns pass its gradient on.
    fused = tiles * (vision.num_hidden_layers - before)
    above = fused * (_passes(trained, learns_below) * linear + _passes(learns_below, learns_below) * attention)
    return float(groups * _passes(trained, False) * embed + apart + above)


def _fusion(config: EarthDialConfig, groups_of_tiles: Sequence[int]) -> float:
    if config.fusion != "attention":
        return 0.0
    vision: Any = config.vision_config
    # Before the last layer the class token is fused as well.
    width, places = vision.hidden_size, config.patches_per_tile + (config.fusion_layer is not None)
    several = [groups for groups in groups_of_tiles if groups > 1]
    # Query and output once a tile, for its first group; key and value for every group.
    per_tile = 2 * places * width * 2 * width
    per_group = 2 * places * width * 2 * width + 4 * places * width
    embedding = 2 * width * (DESCRIPTION + width)
    return float(len(several) * per_tile + sum(several) * (per_group + embedding))


def _projector(config: EarthDialConfig, tiles: int) -> float:
    vision: Any = config.vision_config
    text: Any = config.text_config
    shuffled = vision.hidden_size * round(1 / config.downsample_ratio) ** 2
    return float(2 * tiles * config.tokens_per_tile * text.hidden_size * (shuffled + text.hidden_size))


def _language(config: EarthDialConfig, lengths: Sequence[int], causal: bool) -> tuple[float, float]:
    """(linear layers, attention) of one forward pass."""
    text: Any = config.text_config
    linear = 2 * text.num_hidden_layers * sum(out * width for out, width in _matrices(config)) * sum(lengths)
    # Inside each sample: what a packed kernel computes, not the square of the pack.
    pairs = sum(n * (n + 1) / 2 if causal else n * n for n in lengths)
    return float(linear), 4.0 * text.num_hidden_layers * _attention_width(config) * pairs


def _attention_width(config: EarthDialConfig) -> int:
    text: Any = config.text_config
    return _head(text) * int(text.num_attention_heads)


def _head(text: Any) -> int:
    """Channels of a head; of some language models more than the width has for each."""
    return int(getattr(text, "head_dim", None) or text.hidden_size // text.num_attention_heads)


def _matrices(config: EarthDialConfig) -> list[tuple[int, int]]:
    """(outputs, inputs) of qkv, o, gate and up, down of one layer."""
    text: Any = config.text_config
    head = _head(text)
    queries = text.num_attention_heads * head
    return [
        (queries + 2 * text.num_key_value_heads * head, text.hidden_size),
        (text.hidden_size, queries),
        (2 * text.intermediate_size, text.hidden_size),
        (text.hidden_size, text.intermediate_size),
    ]


def _adapter_sizes(config: EarthDialConfig) -> int:
    """Outputs and inputs of all matrices that have an adapter."""
    text: Any = config.text_config
    return int(text.num_hidden_layers * sum(out + width for out, width in _matrices(config)))
