"""Adaptive tiling: the published grids, on tensors of any number of bands."""

import json
from pathlib import Path

import pytest
import torch

from models.parts.tile_grid import choose_grid, count_tiles
from models.parts.tiling import cut_tiles

GOLDEN = Path(__file__).parents[2].parent / "shared/golden/earthdial-tiny/tiling.json"


@pytest.mark.skipif(not GOLDEN.is_file(), reason="the golden outputs are not beside this checkout")
def test_every_size_gets_as_many_tiles_as_in_the_published_code() -> None:
    golden = json.loads(GOLDEN.read_text())
    assert golden["use_thumbnail"] and len(golden["cases"]) == 380
    for case in golden["cases"]:
        tiles = count_tiles(case["width"], case["height"], golden["image_size"], case["max_tiles"], golden["min_tiles"])
        assert tiles == case["tiles"], case


@pytest.mark.parametrize("bands", [1, 3, 7, 12])
def test_tiles_are_cut_row_by_row_from_any_number_of_bands_and_the_whole_comes_last(bands: int) -> None:
    # Each quarter of the image has its own value, so that a tile tells where it was.
    quarters = torch.tensor([[0.0, 1.0, 2.0], [3.0, 4.0, 5.0]])
    image = quarters.repeat_interleave(32, 0).repeat_interleave(32, 1).expand(bands, 64, 96)
    tiles = cut_tiles(image, 32, 6)
    assert tiles.shape == (7, bands, 32, 32) and count_tiles(96, 64, 32, 6) == 7
    assert tiles[:6].mean((1, 2, 3)).tolist() == [0, 1, 2, 3, 4, 5]
    assert tiles[6].mean().item() == pytest.approx(2.5, abs=0.01)


def test_groups_of_bands_are_cut_as_their_bands_would_be() -> None:
    image = torch.randn(12, 70, 150)
    grouped = cut_tiles(image.reshape(4, 3, 70, 150), 28, 6)
    assert torch.equal(grouped.flatten(1, 2), cut_tiles(image, 28, 6))


def test_an_image_of_one_tile_that_fits_is_left_as_it_is_and_has_no_thumbnail() -> None:
    image = torch.randn(3, 28, 28)
    assert torch.equal(cut_tiles(image, 28, 12), image[None])


def test_an_image_without_pixels_and_bounds_without_a_grid_are_named() -> None:
    with pytest.raises(ValueError, match="0 x 5 pixels"):
        choose_grid(0, 5, 448, 6)
    with pytest.raises(ValueError, match="between 7 and 6 tiles"):
        choose_grid(5, 5, 448, 6, min_tiles=7)
