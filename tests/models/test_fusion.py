"""models/parts/fusion.py: fusion by place, and what must stay untouched."""

import pytest
import torch

from models.parts.fusion import BandGroupFusion

torch.set_num_threads(1)
TILES = torch.tensor([0, 1, 1, 1, 2, 2])


def some_groups(patches: int = 4, channels: int = 8) -> tuple[torch.Tensor, torch.Tensor, torch.Tensor]:
    """Features, wavelengths and mask of the six groups of `TILES`; the last group of tile 1 holds one
    band.
    """
    generator = torch.Generator().manual_seed(0)
    mask = torch.ones(6, 3, dtype=torch.bool)
    mask[3, 1:] = False
    return (
        torch.randn(6, patches, channels, generator=generator),
        torch.rand(6, 3, generator=generator) + 0.4,
        mask,
    )


def awake(kind: str = "attention") -> BandGroupFusion:
    """A fusion module that has learned something."""
    torch.manual_seed(1)
    fusion = BandGroupFusion(8, 2, kind)
    if kind == "attention":
        torch.nn.init.normal_(fusion.out.weight)
    return fusion


def test_a_fresh_module_gives_the_first_group_of_every_tile() -> None:
    features, waves, mask = some_groups()
    fused = BandGroupFusion(8, 2)(features, TILES, waves, mask)
    assert torch.equal(fused, features[[0, 1, 4]])


def test_a_tile_of_one_group_passes_unchanged_whatever_was_learned() -> None:
    features, waves, mask = some_groups()
    fused = awake()(features, TILES, waves, mask)
    assert torch.equal(fused[0], features[0])
    assert not torch.allclose(fused[1], features[1])


def test_padding_of_other_tiles_changes_nothing() -> None:
    features, waves, mask = some_groups()
    fusion = awake()
    together = fusion(features, TILES, waves, mask)
    alone = fusion(features[4:], torch.tensor([0, 0]), waves[4:], mask[4:])
    assert torch.allclose(together[2], alone[0], atol=1e-6)


def test_a_missing_band_has_no_say() -> None:
    features, waves, mask = some_groups()
    other = waves.clone()
    other[3, 1:] = 77.0
    fusion = awake()
    assert torch.equal(fusion(features, TILES, waves, mask), fusion(features, TILES, other, mask))


def test_what_changes_at_one_place_changes_the_output_there_only() -> None:
    features, waves, mask = some_groups()
    fusion = awake()
    before = fusion(features, TILES, waves, mask)
    features[2, 3] *= -1
    changed = (fusion(features, TILES, waves, mask) - before).abs().sum(-1) > 1e-6
    assert changed.nonzero().tolist() == [[1, 3]]


def test_gradients_reach_every_weight_and_every_group() -> None:
    features, waves, mask = some_groups()
    features.requires_grad_()
    fusion = awake()
    fusion(features, TILES, waves, mask).square().sum().backward()
    assert all(p.grad is not None and p.grad.abs().sum() > 0 for p in fusion.parameters())
    assert features.grad is not None and (features.grad.abs().sum((1, 2)) > 0).all()


def test_a_fresh_module_can_start_to_learn() -> None:
    features, waves, mask = some_groups()
    fusion = BandGroupFusion(8, 2)
    fusion(features, TILES, waves, mask).square().sum().backward()
    assert fusion.out.weight.grad is not None and fusion.out.weight.grad.abs().sum() > 0


def test_after_one_step_every_weight_of_a_fresh_module_has_a_gradient() -> None:
    features, waves, mask = some_groups()
    torch.manual_seed(0)
    fusion = BandGroupFusion(8, 2)
    optimizer = torch.optim.AdamW(fusion.parameters(), lr=1e-2)
    fusion(features, TILES, waves, mask).square().sum().backward()
    optimizer.step()
    optimizer.zero_grad()
    fusion(features, TILES, waves, mask).square().sum().backward()
    silent = [name for name, p in fusion.named_parameters() if p.grad is None or not p.grad.abs().sum()]
    assert silent == []


def test_without_a_tile_of_several_groups_every_weight_has_a_gradient_of_zero() -> None:
    features, _, _ = some_groups()
    fusion = awake()
    fused = fusion(features, torch.arange(6))
    fused.sum().backward()
    assert torch.equal(fused, features)
    assert all(p.grad is not None and not p.grad.any() for p in fusion.parameters())


def test_the_order_of_tiles_is_the_order_of_what_comes_out() -> None:
    features, waves, mask = some_groups()
    fusion = awake()
    order = torch.tensor([4, 5, 1, 2, 3, 0])
    turned = fusion(features[order], torch.tensor([0, 0, 1, 1, 1, 2]), waves[order], mask[order])
    assert torch.allclose(turned[[2, 1, 0]], fusion(features, TILES, waves, mask), atol=1e-6)


def test_a_shift_by_one_patch_shifts_the_output_by_one_patch() -> None:
    features, waves, mask = some_groups()
    fusion = awake()
    shifted = fusion(features.roll(1, dims=1), TILES, waves, mask)
    assert torch.allclose(shifted, fusion(features, TILES, waves, mask).roll(1, dims=1), atol=1e-6)


def test_wavelengths_and_dates_tell_groups_apart() -> None:
    features, waves, mask = some_groups()
    fusion = awake()
    days = torch.tensor([0.0, 0.0, 0.0, 0.0, 0.0, 30.0])
    plain = fusion(features, TILES, waves, mask)
    dated = fusion(features, TILES, waves, mask, days)
    assert torch.equal(plain[:2], dated[:2]) and not torch.allclose(plain[2], dated[2])
    unknown = fusion(features, TILES, None, mask)
    assert torch.isfinite(unknown).all() and not torch.allclose(plain[1], unknown[1])
    assert torch.equal(unknown, fusion(features, TILES, torch.full((6, 3), torch.nan), mask))


def test_the_mean_counts_only_groups_that_are_there() -> None:
    features, waves, mask = some_groups()
    fused = awake("mean")(features, TILES, waves, mask)
    assert torch.allclose(fused[1], features[1:4].mean(0), atol=1e-6)
    assert torch.allclose(fused[0], features[0])


def test_the_maximum_counts_only_groups_that_are_there() -> None:
    features, waves, mask = some_groups()
    fused = awake("max")(features - 100, TILES, waves, mask)
    assert torch.equal(fused[1], (features[1:4] - 100).amax(0))
    assert torch.equal(fused[0], features[0] - 100)


def test_an_unknown_fusion_is_refused() -> None:
    with pytest.raises(ValueError, match="attention, mosaic, mean, max"):
        BandGroupFusion(8, 2, "sum")
