"""From a chip's GeoTIFF to the groups of three bands that the model takes, normalised by the training
statistics.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from datetime import datetime
from pathlib import Path

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from models.parts.band_groups import CHANNELS, group_bands
from models.parts.tiling import cut_tiles
from tasks.core.errors import TrainingError
from tasks.core.stage import read_json, write_json
from tasks.earth.display_sensors import known_sensor
from tasks.vlm.bands import planes, with_ratio

NORMALISATION_FILE = "normalisation.json"
MIN_STD = 1e-6


@dataclass(frozen=True)
class Tiles:
    """One image cut into tiles of the model's size, groups of a tile side by side.

    Shapes: T tiles, K groups of a tile; pixels (T * K, 3, size, size), wavelengths, mask (T * K, 3), days (T * K,).
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

    Shapes: K groups; pixels (K, 3, H, W), wavelengths and mask (K, 3), days (K,).
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


class Normalisation:
    """Mean and standard deviation of each plane of each sensor. Travels with a checkpoint, which is useless
    without.
    """

    def __init__(self, values: Mapping[str, Mapping[str, Sequence[float]]]) -> None:
        self.values = {sensor: {name: list(pair) for name, pair in bands.items()} for sensor, bands in values.items()}

    @classmethod
    def from_stats(cls, stats: Mapping[str, Path]) -> "Normalisation":
        """From what stage `stats` wrote, by sensor."""
        bands_of = {sensor: read_json(path)["bands"] for sensor, path in stats.items()}
        return cls({s: {band["name"]: (band["mean"], band["std"]) for band in bands} for s, bands in bands_of.items()})

    @classmethod
    def load(cls, checkpoint: Path) -> "Normalisation":
        """That of a checkpoint's folder."""
        return cls(read_json(checkpoint / NORMALISATION_FILE))

    def save(self, checkpoint: Path) -> None:
        """Put it beside the weights."""
        write_json(checkpoint / NORMALISATION_FILE, self.values)

    def __call__(self, plane: NDArray[np.float32], sensor: str, name: str) -> NDArray[np.float32]:
        """Zero mean and unit deviation over the training chips; no data becomes the mean, zero.

        Raises:
            TrainingError: the statistics do not know this plane.
        """
        if name not in self.values.get(sensor, {}):
            known = ", ".join(self.values.get(sensor, {})) or "none"
            raise TrainingError(
                f"no training statistics for band {name} of {sensor} (known: {known}); run stage `stats`"
            )
        mean, std = self.values[sensor][name]
        # A plane that is constant in training becomes zero, not infinite.
        scaled = (plane - mean) / max(std, MIN_STD)
        finite: NDArray[np.float32] = np.nan_to_num(scaled, nan=0.0, posinf=0.0, neginf=0.0).astype(np.float32)
        return finite


def preprocess(
    pixels: Mapping[str, NDArray[np.float32]], sensor: str, bands: Sequence[str], normalise: Normalisation
) -> Image:
    """Group, normalise and describe the bands of one chip, as the model takes them.

    Args:
        pixels: (H, W) of each band, calibrated, NaN where there is no data.
        sensor: name of the sensor.
        bands: which to show, the true-colour composite first, as `bands_to_load` orders them.
        normalise: the training statistics.

    Raises:
        TrainingError: a band is missing from the chip or from the statistics.
    """
    missing = [band for band in bands if band not in pixels]
    if missing:
        raise TrainingError(f"the chip has no {', '.join(missing)}, only {', '.join(pixels)}; rebuild stage `mixture`")
    known = known_sensor(sensor)
    stack = with_ratio(known, np.stack([pixels[band] for band in bands]), bands)
    shown = planes(known, bands)
    values = [normalise(plane, sensor, name) for plane, (name, _) in zip(stack, shown, strict=True)]
    # True colour in one group, the first: EarthDial groups in storage order, so that the encoder never sees it (spec,
    # section 1.6).
    groups = group_bands(range(len(shown)), range(min(CHANNELS, len(shown))))
    out = torch.zeros(len(groups), CHANNELS, *stack.shape[1:])
    # Any finite number for channels without a band: `mask` says that there is none.
    wavelengths = torch.ones(len(groups), CHANNELS)
    mask = torch.zeros(len(groups), CHANNELS, dtype=torch.bool)
    for row, group in enumerate(groups):
        for column, index in enumerate(group):
            out[row, column] = torch.from_numpy(values[index])
            wavelengths[row, column] = shown[index][1]
            mask[row, column] = True
    return Image(out, wavelengths, mask, torch.zeros(len(groups)))


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
