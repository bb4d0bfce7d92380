"""Images as the bytes of a GeoTIFF: chips in their shards, images of imported data sets, images beside questions.

Bands that share a GSD and a type of number are one directory of the TIFF, the finest first, each band in one strip:
ZSTD of level 1 over the differences of neighbours (predictor 2, for floats 3). GDAL opens the first directory by
the file's name and shows the others as its subdatasets (`GTIFF_DIR:2:chip.tif`).

They are written and read by tifffile: GDAL opens a data set in memory for each directory, which at the size of a chip
costs more than its pixels do (`python -m benchmarks.shards`). What else is an image is read by GDAL.
"""

import io
import struct
import warnings
from collections.abc import Collection, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray
from rasterio.errors import NotGeoreferencedWarning
from rasterio.io import DatasetReader, MemoryFile
from rasterio.transform import Affine

from tasks.core.errors import EarthloomError
from tasks.earth.geotiff_tags import CHECKSUM, METADATA, NODATA, BandTags, checksum, read_metadata, tags_of
from tasks.earth.layers import Layer

if TYPE_CHECKING:
    from tifffile import TiffPage

_LEVEL = 1
"""Of ZSTD: level 3 takes twice the time for one part in a hundred of the bytes."""
_HEAD = 1 << 16
"""Bytes of a file in which the tags of its first directory begin."""
_DAMAGES = (ValueError, RuntimeError, LookupError, TypeError, OSError, SyntaxError, struct.error, MemoryError)
"""What bytes raise that are not those that were written: of tifffile, imagecodecs, numpy and the parser of XML."""


class ChecksumError(EarthloomError):
    """Pixels that are not those that were written."""


@dataclass(frozen=True)
class Raster:
    """What a GeoTIFF holds."""

    bands: tuple[str, ...]
    """The name of each band, empty where it has none."""
    pixels: NDArray[Any]
    """(bands, height, width)."""


@dataclass(frozen=True)
class StoredImage:
    """The same as it is stored."""

    bands: tuple[str, ...]
    """Names of those that were read, in the order of the image's bands."""
    height: int
    """Of the image: the rows of its finest layer, whether it was read or not."""
    width: int
    layers: tuple[Layer, ...]
    """Those that hold any of the bands, the finest first, each with the bands that were read."""

    def only(self, bands: Collection[str]) -> "StoredImage":
        """The same with some of its bands."""
        layers = tuple(layer.only(bands) for layer in self.layers if not set(layer.bands).isdisjoint(bands))
        return replace(self, bands=tuple(name for name in self.bands if name in bands), layers=layers)


def encode(pixels: NDArray[Any], bands: Sequence[str], transform: Affine, crs: str | None = None) -> bytes:
    """The bytes of a GeoTIFF whose numbers are values by themselves; the same pixels give the same bytes.

    Args:
        pixels: (bands, height, width); NaN is no data where they are floats.
        bands: the name of each.
        transform: affine from (column, row) to the coordinates of `crs`.
        crs: such as "EPSG:32631"; none for an image that lies nowhere on Earth.
    """
    count = len(pixels)
    return encode_layers([Layer(tuple(bands), pixels, (1.0,) * count, (0.0,) * count, np.nan)], bands, transform, crs)


def encode_layers(layers: Sequence[Layer], bands: Sequence[str], transform: Affine, crs: str | None = None) -> bytes:
    """The bytes of a GeoTIFF of one directory a layer; the same layers give the same bytes.

    Args:
        layers: of the image, over the same ground; one's side divides that of the finest.
        bands: the names of all bands in their order.
        transform: affine from (column, row) of the finest layer to the coordinates of `crs`.
        crs: such as "EPSG:32631"; none for an image that lies nowhere on Earth.

    Raises:
        ValueError: the layers hold other bands than `bands`, or their sides do not divide each other.
    """
    from tifffile import TiffWriter

    twice = len(layers) > 1 and len(set(bands)) < len(bands)
    if twice or sorted(name for layer in layers for name in layer.bands) != sorted(bands):
        raise ValueError(f"layers of {[layer.bands for layer in layers]} are not those of the bands {list(bands)}")
    ordered = sorted(layers, key=lambda layer: -layer.pixels.shape[1])  # stable: of one GSD they stay as they come
    height, width = ordered[0].pixels.shape[1:]
    out = io.BytesIO()
    with TiffWriter(out, byteorder="<") as file:
        for number, layer in enumerate(ordered):
            count, rows, columns = layer.pixels.shape
            _factors((height, width), (rows, columns))
            place = transform @ Affine.scale(width / columns, height / rows)
            file.write(
                layer.pixels,
                shape=layer.pixels.shape,
                photometric="minisblack",
                planarconfig="separate" if count > 1 else None,
                rowsperstrip=rows,
                compression="zstd",
                compressionargs={"level": _LEVEL},
                predictor=3 if layer.pixels.dtype.kind == "f" else 2,
                metadata=None,
                software=False,
                extratags=tags_of(layer, () if number else bands, place, crs),
                maxworkers=1,
            )
    return out.getvalue()


def decode(
    content: bytes, driver: str = "GTiff", what: str = "an image", bands: Collection[str] | None = None
) -> Raster:
    """The bands of an image in physical units, see `physical`.

    Args:
        content: of a file.
        driver: GDAL's, the only one that is tried: some would follow the bytes to files of this machine.
        what: it is, for errors: chip and shard.
        bands: that are wanted, in whatever order; only their bytes are decoded and checked. One that the image does
            not hold is not among what is returned. None: all of them.

    Raises:
        rasterio.errors.RasterioError: the bytes are no image, or cut short.
        ChecksumError: they decode to other pixels than were written.
    """
    return physical(decode_layers(content, driver, what, bands))


def decode_layers(
    content: bytes, driver: str = "GTiff", what: str = "an image", bands: Collection[str] | None = None
) -> StoredImage:
    """The bands of an image as numbers, each layer at its own resolution; an image of others is one layer.

    Args:
        content: of a file.
        driver: as `decode` takes it.
        what: it is, for errors: chip and shard.
        bands: as `decode` takes them.

    Raises:
        rasterio.errors.RasterioError: the bytes are no image, or cut short.
        ChecksumError: they decode to other numbers than were written, or cannot be decoded.
    """
    if driver != "GTiff" or content.find(CHECKSUM.encode(), 0, _HEAD) < 0:
        return _foreign(content, driver, bands)
    try:
        return _read(content, bands)
    except _DAMAGES as error:
        raise ChecksumError(
            f"{what}: its pixels are not those that were written ({error}): the file or the disk under it is damaged. "
            "Fetch it again with `dvc pull --force`, or delete it and run `dvc repro`"
        ) from error


def physical(image: StoredImage) -> Raster:
    """All bands at the finest resolution: float32, NaN where there is no data; a coarser layer's pixels are repeated.

    Numbers that are values by themselves, all of one layer and without a number for no data, stay of their type.
    """
    size = image.height, image.width
    alone = image.layers[0] if len(image.layers) == 1 else None
    if alone and alone.is_plain and alone.bands == image.bands and alone.pixels.shape[1:] == size:
        return Raster(image.bands, alone.pixels)
    pixels = np.empty((len(image.bands), *size), np.float32)
    place = {name: number for number, name in enumerate(image.bands)}
    for layer in image.layers:
        rows, columns = layer.pixels.shape[1:]
        down, across = _factors(size, (rows, columns))
        for name, plane in zip(layer.bands, layer.physical(), strict=True):
            wide = plane if across == 1 else np.repeat(plane, across, axis=1)
            pixels[place[name]].reshape(rows, down, -1)[:] = wide[:, None]
    return Raster(image.bands, pixels)


@contextmanager
def opened(content: bytes, driver: str = "GTiff") -> Iterator[DatasetReader]:
    """The first directory of an image as a dataset of rasterio.

    Raises:
        rasterio.errors.RasterioError: as `decode`.
    """
    with _quiet(), MemoryFile(content) as memory, memory.open(driver=driver) as dataset:
        yield dataset


def _foreign(content: bytes, driver: str, bands: Collection[str] | None) -> StoredImage:
    with opened(content, driver) as dataset:
        names = tuple(str(name or "") for name in dataset.descriptions)
        chosen = [place for place, name in enumerate(names) if bands is None or name in bands]
        pixels = np.asarray(dataset.read([place + 1 for place in chosen]))
        height, width = dataset.shape
    layer = Layer(tuple(names[place] for place in chosen), pixels, (1.0,) * len(chosen), (0.0,) * len(chosen), np.nan)
    return StoredImage(layer.bands, height, width, (layer,))


def _read(content: bytes, bands: Collection[str] | None) -> StoredImage:
    from tifffile import TiffFile

    order: list[str] = []
    layers = []
    with TiffFile(io.BytesIO(content)) as file:
        for page in (page.aspage() for page in file.pages):
            names, held = read_metadata(page.tags[METADATA].value)
            order = order or names
            wanted = [place for place, band in enumerate(held) if bands is None or band.name in bands]
            if wanted:
                layers.append(_layer(content, page, held, wanted))
        height, width = file.pages.first.imagelength, file.pages.first.imagewidth
    read = {name for layer in layers for name in layer.bands}
    if bands is None and read != set(order):
        raise ValueError("a directory is missing")
    return StoredImage(tuple(name for name in order if name in read), height, width, tuple(layers))


def _layer(content: bytes, page: "TiffPage", held: Sequence[BandTags], wanted: Sequence[int]) -> Layer:
    """Some bands of a directory, their checksums found right."""
    planes = np.empty((len(wanted), page.imagelength, page.imagewidth), page.dtype)
    for plane, place in zip(planes, wanted, strict=True):
        start, size = page.dataoffsets[place], page.databytecounts[place]
        decoded = page.decode(content[start : start + size], place)[0]
        if decoded is None:
            raise ValueError(f"band {held[place].name or place + 1} has no bytes")
        plane[:] = decoded.reshape(plane.shape)
    nodata = page.tags.valueof(NODATA)
    chosen = [held[place] for place in wanted]
    layer = Layer(
        tuple(band.name for band in chosen),
        planes,
        tuple(band.scale for band in chosen),
        tuple(band.offset for band in chosen),
        np.nan if nodata is None else float(nodata),
    )
    for place, band in enumerate(chosen):
        if checksum(layer, place) != band.checksum:
            raise ValueError(f"the checksum of band {band.name or place + 1} differs")
    return layer


def _factors(finest: tuple[int, int], layer: tuple[int, int]) -> tuple[int, int]:
    """Times that a pixel of a layer is repeated down and across."""
    if finest[0] % layer[0] or finest[1] % layer[1]:
        raise ValueError(f"a layer of {layer} pixels does not divide the finest one's {finest}: resample it to one")
    return finest[0] // layer[0], finest[1] // layer[1]


@contextmanager
def _quiet() -> Iterator[None]:
    """Images that lie nowhere on Earth are nothing to warn of."""
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", NotGeoreferencedWarning)
        yield
