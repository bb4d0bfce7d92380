"""Images as the bytes of a GeoTIFF: chips in their shards, images of imported data sets, images beside questions."""

import hashlib
import warnings
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray
from rasterio.errors import NotGeoreferencedWarning
from rasterio.io import DatasetReader, MemoryFile
from rasterio.transform import Affine

from tasks.core.errors import EarthloomError

CHECKSUM = "PIXELS_BLAKE2B"
"""Tag of a GeoTIFF that holds the hash of its pixels: whoever decodes it checks them."""
DEFLATE: Mapping[str, Any] = {"compress": "deflate", "zlevel": 6}
ZSTD: Mapping[str, Any] = {"compress": "zstd", "zstd_level": 3}


class ChecksumError(EarthloomError):
    """Pixels that are not those that were written."""


@dataclass(frozen=True)
class Raster:
    """What a GeoTIFF holds."""

    bands: tuple[str, ...]
    """The name of each band, empty where it has none."""
    pixels: NDArray[Any]
    """(bands, height, width)."""


def encode(
    pixels: NDArray[Any],
    bands: Sequence[str],
    transform: Affine,
    crs: str | None = None,
    compress: Mapping[str, Any] = DEFLATE,
) -> bytes:
    """The bytes of a GeoTIFF in one strip a band; the same pixels give the same bytes.

    Args:
        pixels: (bands, height, width); NaN is no data where they are floats.
        bands: the name of each.
        transform: affine from (column, row) to the coordinates of `crs`.
        crs: such as "EPSG:32631"; none for an image that lies nowhere on Earth.
        compress: `DEFLATE` or `ZSTD`.
    """
    count, height, width = pixels.shape
    floats = pixels.dtype.kind == "f"
    with _quiet(), MemoryFile() as memory:
        with memory.open(
            driver="GTiff",
            dtype=pixels.dtype,
            count=count,
            height=height,
            width=width,
            crs=crs,
            transform=transform,
            nodata=np.nan if floats else None,
            **compress,
            predictor=3 if floats else 2,
            interleave="band",
            blockysize=height,
        ) as dataset:
            dataset.write(pixels)
            dataset.descriptions = bands
            dataset.update_tags(**{CHECKSUM: _hash(pixels)})
        return bytes(memory.read())


def decode(content: bytes, driver: str = "GTiff", what: str = "an image") -> Raster:
    """The bands of an image.

    Args:
        content: of a file.
        driver: GDAL's, the only one that is tried: some would follow the bytes to files of this machine.
        what: it is, for errors: chip and shard.

    Raises:
        rasterio.errors.RasterioError: the bytes are no image, or cut short.
        ChecksumError: they decode to other pixels than were written.
    """
    with opened(content, driver) as dataset:
        raster = Raster(tuple(str(name or "") for name in dataset.descriptions), np.asarray(dataset.read()))
        written = dataset.tags().get(CHECKSUM)
    if written is not None and written != _hash(raster.pixels):
        raise ChecksumError(
            f"{what}: its pixels are not those that were written (their checksum differs): the file or the disk under "
            "it is damaged. Fetch it again with `dvc pull --force`, or delete it and run `dvc repro`"
        )
    return raster


@contextmanager
def opened(content: bytes, driver: str = "GTiff") -> Iterator[DatasetReader]:
    """The same as a dataset of rasterio.

    Raises:
        rasterio.errors.RasterioError: as `decode`.
    """
    with _quiet(), MemoryFile(content) as memory, memory.open(driver=driver) as dataset:
        yield dataset


def _hash(pixels: NDArray[Any]) -> str:
    return hashlib.blake2b(np.ascontiguousarray(pixels).tobytes(), digest_size=16).hexdigest()


@contextmanager
def _quiet() -> Iterator[None]:
    """Images that lie nowhere on Earth are nothing to warn of."""
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", NotGeoreferencedWarning)
        yield
