"""One image as the networks take it: groups of three normalised planes, described, cut into tiles.

Shapes:  K groups of an image, T tiles, H and W of the image, S side of a tile
"""

from collections.abc import Sequence
from dataclasses import dataclass, replace
from datetime import datetime

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from models.parts.band_groups import CHANNELS, group_bands
from models.parts.tiling import cut_tiles

MIN_STD = 1e-6


@dataclass(frozen=True)
class Tiles:
    """One image cut into tiles of the model's size, groups of a tile side by side.

    Shapes: pixels (T * K, 3, S, S), wavelengths, mask (T * K, 3), days (T * K,).
    """

    pixels: Tensor
    wavelengths: Tensor
    mask: Tensor
    days: Tensor
    count: int
    """Tiles, the thumbnail included."""

    @property
    def groups(self) -> int:
        """Groups of each tile."""
        return len(self.pixels) // self.count


@dataclass(frozen=True)
class Image:
    """One image as groups of three planes, at its own resolution.

    Shapes: pixels (K, 3, H, W), wavelengths and mask (K, 3), days (K,).
    """

    pixels: Tensor
    wavelengths: Tensor
    mask: Tensor
    days: Tensor
    """Days since the first image of the question; zeros where there is one, or where dates are unknown."""

    def tiled(self, size: int, max_tiles: int) -> Tiles:
        """The image cut adaptively into at most `max_tiles` tiles of `size` pixels a side, and a thumbnail."""
        tiles = cut_tiles(self.pixels, size, max_tiles)
        count = len(tiles)
        return Tiles(
            tiles.flatten(0, 1),
            self.wavelengths.repeat(count, 1),
            self.mask.repeat(count, 1),
            self.days.repeat(count),
            count,
        )


def standardised(plane: NDArray[np.float32], mean: float, std: float) -> NDArray[np.float32]:
    """Zero mean and unit deviation over the training chips; no data becomes the mean, zero."""
    # A plane that is constant in training becomes zero, not infinite.
    scaled = (plane - mean) / max(std, MIN_STD)
    finite: NDArray[np.float32] = np.nan_to_num(scaled, nan=0.0, posinf=0.0, neginf=0.0).astype(np.float32)
    return finite


def grouped(planes: Sequence[NDArray[np.float32]], wavelengths: Sequence[float]) -> Image:
    """Normalised planes (H, W) and the wavelength of each in micrometres, as groups of three in their order."""
    # True colour in one group, the first: EarthDial groups in storage order, so that the encoder never sees it (spec,
    # section 1.6).
    groups = group_bands(range(len(planes)), range(min(CHANNELS, len(planes))))
    out = torch.zeros(len(groups), CHANNELS, *planes[0].shape)
    # Any finite number for channels without a band: `mask` says that there is none.
    waves = torch.ones(len(groups), CHANNELS)
    mask = torch.zeros(len(groups), CHANNELS, dtype=torch.bool)
    for row, group in enumerate(groups):
        for column, index in enumerate(group):
            out[row, column] = torch.from_numpy(planes[index])
            waves[row, column] = wavelengths[index]
            mask[row, column] = True
    return Image(out, waves, mask, torch.zeros(len(groups)))


def dated(images: Sequence[Image], dates: Sequence[datetime | None]) -> list[Image]:
    """The images of one question, each given the days since the first of them was taken.

    Fusion embeds them beside the wavelengths (`models.parts.fusion`). Where one date is unknown, none
    is given.
    """
    known = [date for date in dates if date is not None]
    if len(known) < len(images):
        return list(images)
    days = [(date - known[0]).total_seconds() / 86_400 for date in known]
    return [replace(image, days=torch.full_like(image.days, day)) for image, day in zip(images, days, strict=True)]


def batch_images(images: Sequence[Tiles], blank: bool = False) -> dict[str, Tensor]:
    """All groups of the tiles of several images, as keyword arguments of the model's `forward`.

    Args:
        images: cut into tiles of one size, each of any number of tiles and groups.
        blank: replace every pixel by the training mean: what is left is what the question alone gives away.
    """
    pixel_values = torch.cat([image.pixels for image in images])
    # Tiles of all images in one list, each with its own number of groups: no image is padded to another.
    counts = torch.tensor([image.groups for image in images for _ in range(image.count)])
    return {
        "pixel_values": torch.zeros_like(pixel_values) if blank else pixel_values,
        "tile_of_group": torch.arange(len(counts)).repeat_interleave(counts),
        "wavelengths": torch.cat([image.wavelengths for image in images]),
        "band_mask": torch.cat([image.mask for image in images]),
        "days": torch.cat([image.days for image in images]),
    }
