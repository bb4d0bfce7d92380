"""Chips of a mixture's samples, read from their Parquet shards and made ready for the model."""

import json
from collections import OrderedDict
from collections.abc import Callable, Collection
from dataclasses import astuple
from pathlib import Path

import numpy as np
import pyarrow.parquet as pq
from numpy.typing import NDArray

from models.parts.image import Image, Tiles, dated
from tasks.core import tables
from tasks.core.errors import TrainingError
from tasks.core.stage import require
from tasks.earth.chip_planes import planes_of
from tasks.vlm.images import Normalisation, preprocess
from tasks.vlm.samples import ImageRef, Sample, tile_share


def read_geotiff(content: bytes, what: str, bands: Collection[str] | None = None) -> dict[str, NDArray[np.float32]]:
    """(H, W) of each band by its name, of those that are wanted and there; None: of all.

    Raises:
        DamagedFileError: the bytes are not a GeoTIFF.
        TrainingError: a band has no name.
    """
    planes = planes_of(content, what, bands)
    if not all(planes):
        raise TrainingError(f"{what}: its GeoTIFF has bands without a name; rebuild stage `chips`")
    return {name: plane.astype(np.float32, copy=False) for name, plane in planes.items()}


class ChipShard:
    """Chips of one shard, read by the row group that holds them."""

    def __init__(self, path: Path) -> None:
        """Open a shard; only the names of its chips are read."""
        self._path = path
        with tables.whole(path):
            self._file = pq.ParquetFile(require(path), page_checksum_verification=True)
        sizes = [self._file.metadata.row_group(number).num_rows for number in range(self._file.num_row_groups)]
        places = [(number, row) for number, size in enumerate(sizes) for row in range(size)]
        with tables.whole(path):
            names = self._file.read(columns=["chip_id"])["chip_id"].to_pylist()
        self._places: dict[str, tuple[int, int]] = dict(zip(names, places, strict=True))

    def place(self, chip_id: str) -> tuple[int, int]:
        """Row group of a chip, and its row in it.

        Raises:
            TrainingError: the shard does not hold the chip.
        """
        if chip_id not in self._places:
            raise TrainingError(f"chip {chip_id} is not in {self._path}; rebuild stage `mixture`")
        return self._places[chip_id]

    def pixels(self, group: int) -> list[bytes]:
        """GeoTIFFs of all chips of a row group."""
        with tables.whole(self._path):
            content: list[bytes] = self._file.read_row_group(group, columns=["pixels"])["pixels"].to_pylist()
        return content


class ShardReader:
    """GeoTIFFs of chips from their shards; some shards stay open, and the row group that was read last."""

    def __init__(self, shards: int = 64) -> None:
        self._shards: OrderedDict[str, ChipShard] = OrderedDict()
        self._max_shards = shards
        self._group: tuple[tuple[str, int], list[bytes]] = (("", 0), [])
        """One row group of all shards: kept for each of them they would outgrow the cache."""

    def content(self, image: ImageRef) -> bytes:
        """A chip's GeoTIFF.

        Raises:
            TrainingError: the shard does not hold the chip.
        """
        shard = self._shard(image.shard)
        group, row = shard.place(image.chip_id)
        if self._group[0] != (image.shard, group):
            self._group = ((image.shard, group), shard.pixels(group))
        return self._group[1][row]

    def _shard(self, shard: str) -> "ChipShard":
        if shard not in self._shards:
            self._shards[shard] = ChipShard(Path(shard))
        self._shards.move_to_end(shard)
        while len(self._shards) > self._max_shards:
            self._shards.popitem(last=False)
        return self._shards[shard]


class ChipReader:
    """Images of samples from the shards of their chips, cut into the model's tiles; the last used are kept, uncut."""

    def __init__(
        self, normalise: Normalisation, size: int, max_tiles: int, cache_mb: int = 1024, shards: int = 64
    ) -> None:
        self.normalise = normalise
        self.size, self.max_tiles = size, max_tiles
        self._room = cache_mb * 2**20
        self._images: OrderedDict[str, Image] = OrderedDict()
        self._held = 0
        self._shards = ShardReader(shards)

    def images(self, sample: Sample, change: Callable[[Image], Image] | None = None) -> list[Tiles]:
        """One for each `<image>` of the sample, in order.

        Args:
            sample: whose images are wanted.
            change: applied to each before it is cut.

        Raises:
            TrainingError: a shard does not hold the chip, or the chip does not hold the bands.
        """
        share = tile_share(self.max_tiles, len(sample.images))
        whole = dated([self._image(image) for image in sample.images], [image.datetime for image in sample.images])
        return [(change(image) if change else image).tiled(self.size, share) for image in whole]

    def _image(self, image: ImageRef) -> Image:
        key = json.dumps([image.chip_id, image.bands, image.crop and astuple(image.crop)])
        if key in self._images:
            self._images.move_to_end(key)
            return self._images[key]
        content, what = self._shards.content(image), f"chip {image.chip_id} in {image.shard}"
        pixels = read_geotiff(content, what, image.bands)
        if not pixels.keys() >= set(image.bands):
            pixels = read_geotiff(content, what)  # the error names the bands that are there
        if image.crop is not None:
            pixels = {band: image.crop.cut(plane) for band, plane in pixels.items()}
        prepared = preprocess(pixels, image.sensor, image.bands, self.normalise)
        self._images[key] = prepared
        self._held += prepared.pixels.nbytes
        while self._held > self._room and len(self._images) > 1:
            self._held -= self._images.popitem(last=False)[1].pixels.nbytes
        return prepared
