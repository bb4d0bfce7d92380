"""Images of benchmarks: recognised by their first bytes, decoded whole, so that a broken file is known before a run.

Pictures are decoded by `tasks.earth.pictures`; arrays that only HDF5 or Arrow held are npy.
"""

import io
from collections.abc import Sequence
from pathlib import Path

import numpy as np
from numpy.typing import NDArray
from rasterio.enums import Resampling
from rasterio.errors import RasterioError

from tasks.core import arrays
from tasks.earth import pictures
from tasks.earth.foreign_files import opened_raster
from tasks.earth.shrunk_rasters import check_cost
from tasks.evaluation.datasets.samples import BenchmarkImageRef

SUFFIXES = frozenset({".jpg", ".jpeg", ".png", ".tif", ".tiff", ".bmp", ".gif"})
NPY = b"\x93NUMPY"
"""First bytes of an array that numpy wrote."""
PICTURES = frozenset({"jpeg", "png", "tiff", "bmp", "gif"})


class ImageDecodeError(ValueError):
    """An image that cannot be decoded; says why."""


def format_of(head: bytes) -> str:
    """The format that the first bytes of a file tell, whatever its name says.

    Raises:
        ImageDecodeError: none that is known.
    """
    if head.startswith(NPY):
        return "npy"
    name = pictures.format_of(head)
    if name not in PICTURES:
        raise ImageDecodeError(f"not an image: it begins with {head[:8]!r}")
    return name


def decode(image: BenchmarkImageRef, folder: Path = Path(), thorough: bool = False) -> NDArray[np.generic]:
    """Pixels of an image as [bands, height, width], in the dtype they are stored in.

    Args:
        image: of a sample.
        folder: that `image.path` is relative to.
        thorough: see `tasks.earth.pictures.decode`.

    Raises:
        ImageDecodeError: missing, cut short, or no image.
    """
    source = folder / image.path if image.data is None else image.data
    if isinstance(source, Path) and not source.is_file():
        raise ImageDecodeError("the file is not there")
    if format_of(pictures.beginning(source)) == "npy":
        return _array(source if isinstance(source, bytes) else source.read_bytes())
    try:
        return pictures.decode(source, thorough).pixels
    except pictures.PictureError as error:
        raise ImageDecodeError(str(error)) from error


def _array(data: bytes) -> NDArray[np.generic]:
    try:
        return arrays.read(data, pictures.MOST_PIXELS * 4)
    except arrays.ArrayError as error:
        raise ImageDecodeError(str(error)) from error


def stack(paths: Sequence[Path], size: int | None = None) -> NDArray[np.float32]:
    """Single-band TIFFs as one float32 array [files, height, width], resampled to the finest grid among them.

    Args:
        paths: one file a band.
        size: side in pixels; that of the largest file if not given. Bands of another size are resampled bilinearly.

    Raises:
        ImageDecodeError: one cannot be read, or is too large.
    """
    bands = []
    try:
        if size is None:
            size = max(_height(path) for path in paths)
        for path in paths:
            with opened_raster(path, pictures.DRIVERS["tiff"]) as dataset:
                shape = (size, round(size * dataset.width / dataset.height))
                check_cost(dataset, (dataset.height, dataset.width), pictures.MOST_PIXELS)
                pictures.check_pixels(*shape, pictures.MOST_PIXELS)
                bands.append(dataset.read(1, out_shape=shape, resampling=Resampling.bilinear))
    except RasterioError as error:
        raise ImageDecodeError(str(error.__cause__ or error)) from error
    except pictures.PictureError as error:
        raise ImageDecodeError(str(error)) from error
    return np.stack(bands).astype(np.float32)


def _height(path: Path) -> int:
    with opened_raster(path, pictures.DRIVERS["tiff"]) as dataset:
        return int(dataset.height)


def npy(array: NDArray[np.generic]) -> bytes:
    """The array as npy bytes, float32."""
    buffer = io.BytesIO()
    np.save(buffer, np.ascontiguousarray(array, dtype=np.float32), allow_pickle=False)
    return buffer.getvalue()
