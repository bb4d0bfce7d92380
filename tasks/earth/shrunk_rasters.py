"""A raster of any size read once, no finer than is wanted: through its overviews, all bands together, in rows.

What it will cost is known from its header. Between two blocks of rows whoever waits for it may give up.
"""

from collections.abc import Callable, Sequence

import numpy as np
from numpy.typing import NDArray
from rasterio.enums import MaskFlags, Resampling
from rasterio.io import DatasetReader
from rasterio.windows import Window

from tasks.earth.open_files import LARGEST_FILE_BLOCK
from tasks.earth.picture_files import PictureError, ReadingStoppedError, TooManyPixelsError, never

ROWS_AT_ONCE = 64_000_000
"""Bytes of a file that are read between two questions whether to go on."""
BANDS = 16
"""Bands of the most pixels that may be read; of a file with more of them fewer pixels."""


def check_cost(dataset: DatasetReader, shape: tuple[int, int], most_pixels: int) -> None:
    """Refuse what takes too much to read at a shape, by the header.

    Args:
        dataset: opened.
        shape: (rows, columns) that will be read.
        most_pixels: that may be decoded for it.

    Raises:
        TooManyPixelsError: it holds more, and has no overviews that would do.
        PictureError: one of its blocks does not fit in memory.
    """
    factor = _overview(dataset, shape)
    pixels = (dataset.width // factor) * (dataset.height // factor)
    allowed = most_pixels * BANDS // max(BANDS, dataset.count)
    if pixels > allowed:
        raise TooManyPixelsError(
            f"{dataset.width} x {dataset.height} pixels of {dataset.count} bands by its header, of which {pixels:,} "
            f"would have to be decoded, and at most {allowed:,} are; add overviews with `gdaladdo`, or cut out what is "
            "asked about with `gdal_translate -srcwin`"
        )
    height, width = dataset.block_shapes[0]
    together = dataset.count if str(dataset.interleaving or "").lower().endswith("pixel") else 1
    unfolded = height * width * together * max(np.dtype(kind).itemsize for kind in dataset.dtypes)
    if unfolded > LARGEST_FILE_BLOCK:
        raise PictureError(
            f"one block of {width} x {height} pixels takes {unfolded / 1e6:.0f} MB of memory, more than the "
            f"{LARGEST_FILE_BLOCK / 1e6:.0f} MB allowed; write it anew with `gdal_translate -co TILED=YES`"
        )


def _overview(dataset: DatasetReader, shape: tuple[int, int]) -> int:
    """By how much the coarsest overview is smaller that is fine enough."""
    wanted = min(dataset.height / shape[0], dataset.width / shape[1])
    return max((factor for factor in dataset.overviews(1) if factor <= wanted), default=1)


def read_shrunk(
    dataset: DatasetReader,
    bands: Sequence[int],
    shape: tuple[int, int],
    resampling: Resampling = Resampling.average,
    cancelled: Callable[[], bool] = never,
) -> tuple[NDArray[np.generic], NDArray[np.bool_]]:
    """Bands of a file and where they have data, (bands, rows, columns) each.

    Args:
        dataset: opened, and found to cost no more than it may.
        bands: their numbers, from 1.
        shape: (rows, columns) wanted, no more than the file has.
        resampling: how pixels become one.
        cancelled: asked before each block of rows; whether nobody waits any longer.

    Raises:
        ReadingStoppedError: `cancelled` said so.
        RasterioError: the pixels cannot be read.
    """
    rows, columns = shape
    values = np.empty((len(bands), rows, columns), dtype=np.result_type(*(dataset.dtypes[band - 1] for band in bands)))
    valid = np.empty(values.shape, dtype=np.bool_)
    row_bytes = dataset.width * dataset.count * values.dtype.itemsize / _overview(dataset, shape) ** 2
    block = dataset.block_shapes[0][0]
    masked = any(dataset.mask_flag_enums[band - 1] != [MaskFlags.all_valid] for band in bands)
    source_rows = max(block, int(ROWS_AT_ONCE / row_bytes) // block * block)
    step = max(1, round(source_rows * rows / dataset.height))
    for top in range(0, rows, step):
        if cancelled():
            raise ReadingStoppedError("the image is not wanted any longer; reading it was given up")
        count = min(step, rows - top)
        scale = dataset.height / rows
        window = Window(0, top * scale, dataset.width, count * scale)
        read = dataset.read(
            list(bands), window=window, out_shape=(len(bands), count, columns), resampling=resampling, masked=masked
        )
        values[:, top : top + count] = np.ma.getdata(read)
        valid[:, top : top + count] = ~np.ma.getmaskarray(read)
    return values, valid
