"""The mosaic of models/parts/fusion.py: the released layout, its holes and its mixing."""

import pytest
import torch

from models.parts.fusion import mosaic, mosaic_of_tiles, share

torch.set_num_threads(1)


def test_one_group_passes_unchanged() -> None:
    groups = torch.randn(2, 1, 16, 8)
    assert torch.equal(mosaic(groups), groups[:, 0])


@pytest.mark.parametrize("groups", [1, 2, 3, 4, 5, 7, 10])
def test_the_picture_has_the_size_of_one_group_however_many_there_are(groups: int) -> None:
    assert mosaic(torch.randn(1, groups, 16, 32)).shape == (1, 16, 32)


def test_of_three_groups_a_quarter_of_the_picture_is_zero_and_of_four_none() -> None:
    assert [float((mosaic(torch.ones(1, k, 16, 8)) == 0).float().mean()) for k in (3, 4)] == [0.25, 0.0]


def test_what_does_not_divide_makes_the_first_parts_longer() -> None:
    assert share(1024, 3) == [342, 341, 341]


def test_tiles_of_different_numbers_of_groups_are_laid_out_each_by_itself() -> None:
    packed = torch.randn(3, 4, 16, 8)
    there = torch.tensor([[True, False, False, False], [True] * 4, [True, True, True, False]])
    expected = [mosaic(packed[tile : tile + 1, :count])[0] for tile, count in enumerate((1, 4, 3))]
    assert torch.equal(mosaic_of_tiles(packed, there), torch.stack(expected))


def test_gradients_reach_every_group() -> None:
    groups = torch.randn(1, 4, 16, 8, requires_grad=True)
    mosaic(groups).square().sum().backward()
    assert groups.grad is not None and (groups.grad.abs().sum((2, 3)) > 0).all()
