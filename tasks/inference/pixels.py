"""From a chip's GeoTIFF to the groups of three bands that the model takes, normalised by the training
statistics.
"""

import json
from collections import OrderedDict
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import torch
from numpy.typing import NDArray
from rasterio.errors import RasterioError
from rasterio.io import MemoryFile
from torch import Tensor, nn

from models.parts.band_groups import CHANNELS, group_bands
from tasks.core import tables
from tasks.core.errors import TrainingError
from tasks.core.sensors import SENSORS
from tasks.core.stage import read_json, write_json
from tasks.inference.compose import planes, with_ratio

NORMALISATION_FILE = "normalisation.json"
SMALLEST_STD = 1e-6


@dataclass(frozen=True)
class Image:
    """One image as groups of three planes, at the chip's own resolution.

    Shapes: K groups; pixels (K, 3, H, W), wavelengths and mask (K, 3).
    """

    pixels: Tensor
    wavelengths: Tensor
    mask: Tensor

    @property
    def nbytes(self) -> int:
        """Size of the pixels in memory."""
        return self.pixels.nbytes

    def resized(self, size: int) -> "Image":
        """The same image with tiles of `size` pixels a side."""
        if self.pixels.shape[-2:] == (size, size):
            return self
        pixels = nn.functional.interpolate(
            self.pixels, (size, size), mode="bilinear", antialias=True, align_corners=False
        )
        return Image(pixels, self.wavelengths, self.mask)


class Normalisation:
    """Mean and standard deviation of each plane of each sensor. Travels with a checkpoint, which is useless
    without.
    """

    def __init__(self, values: Mapping[str, Mapping[str, Sequence[float]]]) -> None:
        self.values = {sensor: {name: list(pair) for name, pair in bands.items()} for sensor, bands in values.items()}

    @classmethod
    def from_stats(cls, stats: Mapping[str, Path]) -> "Normalisation":
        """From what stage `stats` wrote, by sensor."""
        told = {sensor: read_json(path)["bands"] for sensor, path in stats.items()}
        return cls({s: {band["name"]: (band["mean"], band["std"]) for band in bands} for s, bands in told.items()})

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
        scaled = (plane - mean) / max(std, SMALLEST_STD)
        finite: NDArray[np.float32] = np.nan_to_num(scaled, nan=0.0, posinf=0.0, neginf=0.0).astype(np.float32)
        return finite


def compose(
    pixels: Mapping[str, NDArray[np.float32]], sensor: str, bands: Sequence[str], normalise: Normalisation
) -> Image:
    """Group, normalise and describe the bands of one chip.

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
    known = SENSORS[sensor]
    stack = with_ratio(known, np.stack([pixels[band] for band in bands]), bands)
    shown = planes(known, bands)
    values = [normalise(plane, sensor, name) for plane, (name, _) in zip(stack, shown, strict=True)]
    groups = group_bands(range(len(shown)), range(min(CHANNELS, len(shown))))
    out = torch.zeros(len(groups), CHANNELS, *stack.shape[1:])
    wavelengths = torch.ones(len(groups), CHANNELS)
    mask = torch.zeros(len(groups), CHANNELS, dtype=torch.bool)
    for row, group in enumerate(groups):
        for column, index in enumerate(group):
            out[row, column] = torch.from_numpy(values[index])
            wavelengths[row, column] = shown[index][1]
            mask[row, column] = True
    return Image(out, wavelengths, mask)


def batch_images(images: Sequence[Image], size: int, blank: bool = False) -> dict[str, Tensor]:
    """All groups of several images, resized to the model's tile, as keyword arguments of its `forward`.

    Args:
        images: one tile each, of any number of groups and any size.
        size: side of a tile in pixels.
        blank: replace every pixel by the training mean: what is left is what the question alone gives away.
    """
    pixel_values = torch.cat([image.resized(size).pixels for image in images])
    counts = torch.tensor([len(image.pixels) for image in images])
    return {
        "pixel_values": torch.zeros_like(pixel_values) if blank else pixel_values,
        "tile_of_group": torch.arange(len(images)).repeat_interleave(counts),
        "wavelengths": torch.cat([image.wavelengths for image in images]),
        "band_mask": torch.cat([image.mask for image in images]),
    }


def read_geotiff(content: bytes, what: str) -> dict[str, NDArray[np.float32]]:
    """(H, W) of each band by its name.

    Raises:
        TrainingError: the bytes are not a GeoTIFF whose bands have names.
    """
    try:
        with MemoryFile(content) as memory, memory.open() as dataset:
            names, values = dataset.descriptions, dataset.read()
    except RasterioError as error:
        raise TrainingError(
            f"{what}: its pixels are not a readable GeoTIFF ({error}); rebuild stage `chips`"
        ) from error
    if not all(names):
        raise TrainingError(f"{what}: its GeoTIFF has bands without a name; rebuild stage `chips`")
    return {str(name): plane.astype(np.float32) for name, plane in zip(names, values, strict=True)}


class ChipReader:
    """Images of chips from their shards, resized to the model's tile, the last used kept in memory."""

    def __init__(self, normalise: Normalisation, size: int, cache_mb: int = 1024, shards: int = 8) -> None:
        self.normalise = normalise
        self.size = size
        self._room = cache_mb * 2**20
        self._images: OrderedDict[str, Image] = OrderedDict()
        self._held = 0
        self._shards: OrderedDict[str, dict[str, bytes]] = OrderedDict()
        self._most_shards = shards

    def read(self, shard: str, chip_id: str, sensor: str, bands: Sequence[str]) -> Image:
        """The image of one chip.

        Raises:
            TrainingError: the shard does not hold the chip, or the chip does not hold the bands.
        """
        key = json.dumps([chip_id, list(bands)])
        if key in self._images:
            self._images.move_to_end(key)
            return self._images[key]
        content = self._shard(shard)
        if chip_id not in content:
            raise TrainingError(f"chip {chip_id} is not in {shard}; rebuild stage `mixture`")
        pixels = read_geotiff(content[chip_id], f"chip {chip_id} in {shard}")
        image = compose(pixels, sensor, bands, self.normalise).resized(self.size)
        self._images[key] = image
        self._held += image.nbytes
        while self._held > self._room and len(self._images) > 1:
            self._held -= self._images.popitem(last=False)[1].nbytes
        return image

    def _shard(self, shard: str) -> dict[str, bytes]:
        if shard not in self._shards:
            table = tables.read(Path(shard), ["chip_id", "pixels"])
            self._shards[shard] = dict(zip(table["chip_id"].to_pylist(), table["pixels"].to_pylist(), strict=True))
        self._shards.move_to_end(shard)
        while len(self._shards) > self._most_shards:
            self._shards.popitem(last=False)
        return self._shards[shard]
