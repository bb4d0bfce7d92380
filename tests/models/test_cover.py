"""models/parts/cover.py and bands fused early: the second lesson of the visual tokens, and what twelve bands cost."""

import pytest
import torch

from models.earthdial.flops import step_flops
from models.earthdial.model import EarthDialForConditionalGeneration
from models.earthdial.presets import PRESETS, make_config
from models.parts.cover import CoverHead

SLOT = 7
CLASSES = ["map/water", "map/ice"]


def network() -> EarthDialForConditionalGeneration:
    torch.manual_seed(0)
    config = make_config("tiny", vocab_size=64, image_token_id=SLOT, cover_classes=CLASSES)
    return EarthDialForConditionalGeneration(config)


@torch.no_grad()
def test_the_right_shares_leave_no_loss_and_unknown_classes_count_for_nothing() -> None:
    head = CoverHead(4, 2)
    torch.nn.init.zeros_(head.weight)
    shares = torch.tensor([0.25, 0.5])
    head.bias.data = (shares / (1 - shares)).log()
    tokens, right = torch.randn(3, 5, 4), shares.expand(3, 5, 2).clone()
    assert float(head(tokens, right)) == pytest.approx(0, abs=1e-5)
    unknown = right.clone()
    unknown[..., 1] = torch.nan
    assert float(head(tokens, unknown)) == pytest.approx(0, abs=1e-5)
    wrong = right.clone()
    wrong[0, :, 0] = 1.0
    assert float(head(tokens, wrong)) > 0.1
    assert float(head(tokens, torch.full_like(right, torch.nan))) == 0


def test_a_loss_on_cover_reaches_the_encoder_and_leaves_the_loss_of_answers_as_it_is() -> None:
    model = network()
    size, tokens = model.config.image_size, model.config.tokens_per_tile
    ids = torch.tensor([[9, *[SLOT] * tokens, 10, 11]])
    inputs = {"input_ids": ids, "labels": ids, "pixel_values": torch.randn(1, 6, size, size)}
    plain = model(**inputs)
    out = model(**inputs, cover=torch.rand(1, tokens, 2))
    assert torch.equal(out.loss, plain.loss) and plain.cover_loss is None
    out.cover_loss.backward()
    assert model.model.vision_tower.embeddings.patch_embeddings.projection.weight.grad.abs().sum() > 0
    assert model.lm_head.weight.grad is None


def test_each_visual_token_stands_where_its_share_of_the_ground_lies() -> None:
    model = network()
    size, side = model.config.image_size, round(model.config.tokens_per_tile**0.5)
    pixels = torch.zeros(1, 3, size, size)
    with torch.no_grad():
        before = model.model.get_image_features(pixels).pooler_output[0]
        pixels[..., size // side : 2 * size // side, : size // side] = 3.0  # second row, first column
        after = model.model.get_image_features(pixels).pooler_output[0]
    assert int((after - before).abs().sum(1).argmax()) == side


def test_classes_can_be_added_and_what_is_known_of_the_others_stays() -> None:
    model = network()
    before = model.cover_head.weight.detach().clone()
    model.learn_cover_of(["map/ice", "map/rock"])
    assert model.config.cover_classes == [*CLASSES, "map/rock"]
    assert torch.equal(model.cover_head.weight[:2], before) and len(model.cover_head.weight) == 3


def test_twelve_bands_fused_before_the_layers_cost_at_most_half_more_than_three() -> None:
    config = make_config("tiny", vocab_size=1024)
    rgb, all_bands = (step_flops(config, [60], [groups], 6, ()).total for groups in (1, 4))
    config.fusion_layer = None
    late = step_flops(config, [60], [4], 6, ()).total
    assert all_bands <= 1.5 * rgb < late


def test_the_paper_s_preset_fuses_after_the_last_layer_and_asks_for_no_cover() -> None:
    with torch.device("meta"):
        config = make_config("4b")
    assert (config.fusion_layer, config.cover_classes) == (None, None) and "fusion_layer" not in PRESETS["4b"]


def test_a_mosaic_cannot_be_laid_out_before_the_last_layer() -> None:
    config = make_config("tiny", vocab_size=64, fusion="mosaic", fusion_layer=1)
    with pytest.raises(ValueError, match="fusion_layer must be null"):
        EarthDialForConditionalGeneration(config)
