"""Tiles of several questions through the encoder, as few calls as memory allows.

Shapes:  N groups of bands, T tiles, D width of the language model
"""

from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass

import torch
from torch import Tensor

from models.earthdial.model import EarthDialForConditionalGeneration
from models.parts.band_groups import CHANNELS, split_bands

ENCODED = 2**21
"""Pixels that the encoder is given at once: enough for any device to be busy, few enough to see between two calls who
has left."""


@dataclass(frozen=True, eq=False)
class Tile:
    """One tile of a question."""

    images: Mapping[str, Tensor]
    """Of its question, as `described` gives them."""
    number: int
    question: int

    @property
    def pixels(self) -> int:
        """Of all its groups."""
        return int(self.groups.sum()) * self.images["pixel_values"][0, 0].numel()

    @property
    def groups(self) -> Tensor:
        """(N,) which groups of its question are this tile's."""
        return self.images["tile_of_group"] == self.number


def described(images: Mapping[str, Tensor]) -> dict[str, Tensor]:
    """Image arguments of the model's `forward` with nothing left out: what says nothing stands for what is not given.

    Args:
        images: as `EarthDialModel.get_image_features` takes them; empty where there is no image.
    """
    if not images:
        return {}
    pixels, out = images["pixel_values"], dict(images)
    if "tile_of_group" not in images:
        out["pixel_values"], out["band_mask"], out["tile_of_group"] = split_bands(pixels)
    N = len(out["pixel_values"])
    out.setdefault("band_mask", torch.ones(N, CHANNELS, dtype=torch.bool))
    out.setdefault("wavelengths", torch.full((N, CHANNELS), torch.nan))
    out.setdefault("days", torch.zeros(N))
    return out


def count_tiles(images: Mapping[str, Tensor]) -> int:
    """Of `described`."""
    return int(images["tile_of_group"][-1]) + 1 if images else 0


def encode_tiles(
    model: EarthDialForConditionalGeneration, tiles: Sequence[Tile], gone: Callable[[int], bool]
) -> Iterator[Tensor | None]:
    """Visual tokens (tokens per tile, D) of each tile, in order; None where nobody wants the answer any more.

    Args:
        model: in eval mode.
        tiles: of one or several questions.
        gone: whether nobody wants the answer to a question, by its number.
    """
    left = list(tiles)
    while left:
        some = [left.pop(0)]
        pixels = some[0].pixels
        while left and pixels + left[0].pixels <= ENCODED:
            pixels += left[0].pixels
            some.append(left.pop(0))
        wanted = [tile for tile in some if not gone(tile.question)]
        encoded = iter(_encode(model, wanted)) if wanted else iter(())
        yield from (next(encoded) if tile in wanted else None for tile in some)


def _encode(model: EarthDialForConditionalGeneration, tiles: Sequence[Tile]) -> Tensor:
    """(T, tokens per tile, D)."""
    groups = [tile.groups for tile in tiles]
    images = {
        name: torch.cat([tile.images[name][of_it] for tile, of_it in zip(tiles, groups, strict=True)]).to(model.device)
        for name in tiles[0].images
        if name != "tile_of_group"
    }
    counts = torch.tensor([int(of_it.sum()) for of_it in groups])
    number = torch.arange(len(tiles)).repeat_interleave(counts).to(model.device)
    features: Tensor = model.model.get_image_features(**images, tile_of_group=number).pooler_output
    return features
