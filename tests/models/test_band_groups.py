"""models/parts/band_groups.py: grouping, and the flat list of groups back in tiles."""

import pytest
import torch

from models.parts.band_groups import gather_groups, group_bands


def test_true_colour_comes_first_and_the_rest_keeps_its_order() -> None:
    assert group_bands(range(13), (3, 2, 1)) == [(3, 2, 1), (0, 4, 5), (6, 7, 8), (9, 10, 11), (12,)]
    assert group_bands(range(3), (0, 1, 2)) == [(0, 1, 2)]
    assert group_bands(range(2)) == [(0, 1)]


def test_a_band_that_is_not_there_cannot_be_grouped() -> None:
    with pytest.raises(ValueError, match="not among"):
        group_bands(range(2), (0, 1, 2))


def test_groups_out_of_order_are_refused() -> None:
    for wrong in ([1, 0, 0, 0, 0, 0], [0, 0, 2, 2, 2, 2], [1, 1, 1, 1, 1, 1]):
        with pytest.raises(ValueError, match="tile by tile"):
            gather_groups(torch.zeros(6, 4, 8), torch.tensor(wrong))


def test_groups_stand_beside_those_of_their_tile() -> None:
    features = torch.arange(4.0)[:, None, None]
    packed, mask = gather_groups(features, torch.tensor([0, 1, 1, 1]))
    assert packed[:, :, 0, 0].tolist() == [[0, 0, 0], [1, 2, 3]]
    assert mask.tolist() == [[True, False, False], [True, True, True]]
