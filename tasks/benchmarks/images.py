"""Images of benchmarks: recognised by their first bytes, decoded whole, so that a broken file is known before a run.

Everything a raster library reads goes through rasterio; arrays that only HDF5 or Arrow held are npy.
"""

import io
import warnings
from collections.abc import Sequence
from pathlib import Path

import numpy as np
import rasterio
from numpy.typing import NDArray
from rasterio.enums import ColorInterp, Resampling
from rasterio.errors import NotGeoreferencedWarning, RasterioError
from rasterio.io import MemoryFile

from tasks.benchmarks.samples import ImageRef

SUFFIXES = frozenset({".jpg", ".jpeg", ".png", ".tif", ".tiff", ".bmp", ".gif"})
_MAGIC = (
    (b"\xff\xd8\xff", "jpeg"),
    (b"\x89PNG", "png"),
    (b"II*\x00", "tiff"),
    (b"MM\x00*", "tiff"),
    (b"II+\x00", "tiff"),
    (b"BM", "bmp"),
    (b"GIF8", "gif"),
    (b"\x93NUMPY", "npy"),
)
# A JPEG that ends early is otherwise filled up with grey, with a warning that nobody reads.
_STRICT = {"GDAL_ERROR_ON_LIBJPEG_WARNING": "TRUE"}


class ImageError(ValueError):
    """An image that cannot be decoded; says why."""


def format_of(head: bytes) -> str:
    """The format that the first bytes of a file tell, whatever its name says.

    Raises:
        ImageError: none that is known.
    """
    for magic, name in _MAGIC:
        if head.startswith(magic):
            return name
    raise ImageError(f"not an image: it begins with {head[:8]!r}")


def decode(image: ImageRef, folder: Path = Path()) -> NDArray[np.generic]:
    """Pixels of an image as [bands, height, width], in the dtype they are stored in.

    Args:
        image: of a sample.
        folder: that `image.path` is relative to.

    Raises:
        ImageError: missing, cut short, or no image.
    """
    if image.data is None:
        path = folder / image.path
        if not path.is_file():
            raise ImageError("the file is not there")
        with path.open("rb") as file:
            if format_of(file.read(8)) == "npy":
                return _array(path.read_bytes())
        return _raster(path)
    if format_of(image.data[:8]) == "npy":
        return _array(image.data)
    with MemoryFile(image.data) as memory:
        return _raster(memory.name)


def _array(data: bytes) -> NDArray[np.generic]:
    try:
        array: NDArray[np.generic] = np.load(io.BytesIO(data), allow_pickle=False)
    except (ValueError, EOFError) as error:
        raise ImageError(str(error)) from error
    return array


def _raster(source: Path | str) -> NDArray[np.generic]:
    with warnings.catch_warnings(), rasterio.Env(**_STRICT):
        warnings.simplefilter("ignore", NotGeoreferencedWarning)
        try:
            with rasterio.open(source) as dataset:
                pixels: NDArray[np.generic] = dataset.read()
                if dataset.count == 1 and dataset.colorinterp[0] == ColorInterp.palette:
                    # Numbers of colours are no grey levels.
                    colours = np.zeros((256, 3), dtype=np.uint8)
                    for number, colour in dataset.colormap(1).items():
                        colours[number] = colour[:3]
                    pixels = np.moveaxis(colours[pixels[0]], 2, 0)
        except RasterioError as error:
            raise ImageError(str(error.__cause__ or error)) from error
    return pixels


def stack(paths: Sequence[Path], size: int | None = None) -> NDArray[np.float32]:
    """Single-band files as one float32 array [files, height, width], resampled to the finest grid among them.

    Args:
        paths: one file a band.
        size: side in pixels; that of the largest file if not given. Bands of another size are resampled bilinearly.

    Raises:
        ImageError: one cannot be read.
    """
    bands = []
    with warnings.catch_warnings(), rasterio.Env(**_STRICT):
        warnings.simplefilter("ignore", NotGeoreferencedWarning)
        try:
            if size is None:
                size = max(_height(path) for path in paths)
            for path in paths:
                with rasterio.open(path) as dataset:
                    shape = (size, round(size * dataset.width / dataset.height))
                    bands.append(dataset.read(1, out_shape=shape, resampling=Resampling.bilinear))
        except RasterioError as error:
            raise ImageError(str(error.__cause__ or error)) from error
    return np.stack(bands).astype(np.float32)


def _height(path: Path) -> int:
    with rasterio.open(path) as dataset:
        return int(dataset.height)


def npy(array: NDArray[np.generic]) -> bytes:
    """The array as npy bytes, float32."""
    buffer = io.BytesIO()
    np.save(buffer, np.ascontiguousarray(array, dtype=np.float32), allow_pickle=False)
    return buffer.getvalue()
