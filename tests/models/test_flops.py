"""models/earthdial/flops.py against torch's own counter."""

from collections.abc import Sequence

import pytest
import torch
from torch.utils.flop_counter import FlopCounterMode

from models.earthdial.flops import Flops, step_flops
from models.earthdial.model import PARTS, EarthDialForConditionalGeneration
from models.earthdial.presets import make_config

ALL = tuple(PARTS)
LATER = ("fusion", "projector", "language")


def meta_model(preset: str) -> EarthDialForConditionalGeneration:
    """A network of a preset without weights; attention by plain products, every one of which the counter sees."""
    config = make_config(preset, vocab_size=1000, image_token_id=5)
    config._attn_implementation = "eager"
    with torch.device("meta"):
        return EarthDialForConditionalGeneration(config)


def count(
    model: EarthDialForConditionalGeneration, text: int, groups: Sequence[int], trained: Sequence[str]
) -> tuple[float, Flops]:
    """(operations that torch counts, ours) of a step over one sample of some tiles."""
    config = model.config
    length, early = text + len(groups) * config.tokens_per_tile, config.fusion_layer is not None
    model.train_parts(list(trained))
    total, size = sum(groups), config.image_size
    counter = FlopCounterMode(display=False)
    with counter, torch.device("meta"):
        tower = model.model.vision_tower
        hidden, before = tower.embeddings(torch.zeros(total, 3, size, size)), config.layers_before_fusion
        for layer in tower.encoder.layer[:before]:
            hidden = layer(hidden)
        hidden = fuse(model, hidden if early else hidden[:, 1:], groups)
        for layer in tower.encoder.layer[before:]:
            hidden = layer(hidden)
        fused = hidden[:, 1:] if early else hidden
        tokens = model.model.multi_modal_projector(shuffle(model, fused))
        embedded = model.get_input_embeddings()(torch.zeros(1, length, dtype=torch.long))
        spare = embedded[:, tokens.shape[0] * tokens.shape[1] :]
        embedded = torch.cat([tokens.reshape(1, -1, tokens.shape[-1]), spare], dim=1)
        mask = torch.zeros(1, 1, length, length)
        language = model.model.language_model(inputs_embeds=embedded, attention_mask=mask, use_cache=False)
        model.lm_head(language.last_hidden_state).sum().backward()
    return counter.get_total_flops(), step_flops(config, [length], groups, length, trained, causal=False)


def fuse(model: EarthDialForConditionalGeneration, encoded: torch.Tensor, groups: Sequence[int]) -> torch.Tensor:
    """Tiles of equal numbers of groups through the layers of the fusion; sizes on the meta device must be known."""
    if groups[0] == 1:
        # Times zero, but with a gradient, which layers above it pass on: see `BandGroupFusion`.
        early = model.config.fusion_layer is not None
        return encoded + 0 * model.model.band_fusion.out.bias if early else encoded
    fusion, tiles, each = model.model.band_fusion, len(groups), groups[0]
    described = fusion.norm(encoded)
    description = torch.zeros(len(encoded), fusion.embedding.up.in_features)
    described = described + fusion.embedding.out(fusion.embedding.up(description))[:, None]
    key, value = fusion.key_value(described).chunk(2, dim=-1)
    query = fusion.query(described[::each])
    attended = (query.repeat_interleave(each, 0) * key * value).unflatten(0, (tiles, each)).sum(1)
    fused: torch.Tensor = encoded[::each] + fusion.out(attended)
    return fused


def shuffle(model: EarthDialForConditionalGeneration, tiles: torch.Tensor) -> torch.Tensor:
    """Patches to visual tokens."""
    side = round(tiles.shape[1] ** 0.5)
    shuffled = model.model.pixel_shuffle(tiles.reshape(len(tiles), side, side, -1), scale_factor=0.5)
    return shuffled.reshape(len(tiles), -1, shuffled.shape[-1])


@pytest.mark.parametrize("preset", ["tiny", "small", "4b"])
@pytest.mark.parametrize("trained", [ALL, LATER, ("projector", "language"), ("language",), ("vision",), ("fusion",)])
@pytest.mark.parametrize("groups", [[1], [1, 1, 1], [4], [4, 4]])
def test_the_count_agrees_with_that_of_torch_within_a_hundredth(
    preset: str, trained: tuple[str, ...], groups: list[int]
) -> None:
    if trained == ("fusion",) and groups[0] == 1:
        pytest.skip("fusion alone cannot learn from RGB")
    measured, ours = count(meta_model(preset), 120, groups, trained)
    assert ours.total == pytest.approx(measured, rel=0.01)


def test_a_real_step_counts_the_same_as_one_without_weights() -> None:
    torch.set_num_threads(1)
    config = make_config("tiny", vocab_size=300, image_token_id=5)
    config._attn_implementation = "eager"
    model = EarthDialForConditionalGeneration(config)
    model.train_parts(list(ALL))
    ids = torch.tensor([[7] * 9 + [5] * (2 * config.tokens_per_tile) + [8] * 40])
    labels = torch.where(ids == 8, ids, -100)
    counter = FlopCounterMode(display=False)
    with counter:
        pixels = torch.randn(2, 12, config.image_size, config.image_size)
        model(input_ids=ids, pixel_values=pixels, labels=labels).loss.backward()
    length = ids.shape[1]
    ours = step_flops(config, [length], [4, 4], 40, ALL, causal=False)
    logits = 2 * config.text_config.hidden_size * 300 * length  # of all tokens, without a gradient
    assert counter.get_total_flops() == pytest.approx(ours.total + logits, rel=0.02)


def test_of_causal_attention_only_the_half_below_the_diagonal_counts() -> None:
    config = make_config("small", vocab_size=1000)
    usual, half = (step_flops(config, [999, 1], [], 0, ALL, causal=causal) for causal in (False, True))
    attention = 3 * 4 * config.text_config.num_hidden_layers * config.text_config.hidden_size
    assert usual.language - half.language == attention * (999 * 998 // 2)


def test_samples_side_by_side_cost_what_they_cost_apart() -> None:
    config = make_config("4b")
    both = step_flops(config, [700, 2100], [1, 1, 4], 300, ALL)
    apart = [step_flops(config, [700], [1], 100, ALL), step_flops(config, [2100], [1, 4], 200, ALL)]
    assert both.total == pytest.approx(sum(one.total for one in apart))


def test_adapters_cost_less_than_the_weights_they_stand_for() -> None:
    config = make_config("4b")
    adapted = step_flops(config, [4096], [1] * 7, 500, LATER, lora_rank=64)
    assert adapted.language < 0.8 * step_flops(config, [4096], [1] * 7, 500, LATER).language
