"""Rasters in memory, and the cloud-optimised GeoTIFFs and PNG thumbnails written from them."""

from __future__ import annotations

import math
import warnings
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import rasterio
from affine import Affine
from numpy.typing import NDArray
from rasterio.errors import NotGeoreferencedWarning
from rasterio.io import MemoryFile
from rasterio.shutil import copy as raster_copy
from rasterio.windows import Window

BLOCK = 256
SMALLEST_OVERVIEW = 512
"""An image no larger than this has no overviews, as rio-cogeo recommends."""
THUMBNAIL = 400


@dataclass(frozen=True)
class Raster:
    """One band on its grid."""

    pixels: NDArray[np.generic]
    transform: Affine
    epsg: int

    @property
    def resolution(self) -> float:
        """Pixel size in the unit of the CRS."""
        return float(self.transform.a)

    @property
    def bounds(self) -> tuple[float, float, float, float]:
        """West, south, east, north."""
        rows, columns = self.pixels.shape
        west, north = self.transform @ (0, 0)
        east, south = self.transform @ (columns, rows)
        return west, south, east, north


def read(path: Path, bounds: tuple[float, float, float, float] | None = None) -> Raster:
    """The first band of a file, cropped to `bounds`; bounds that cut a pixel are an error."""
    with rasterio.open(path) as source:
        window = None if bounds is None else _exact_window(source.transform, bounds, path)
        transform = source.transform if window is None else source.window_transform(window)
        return Raster(source.read(1, window=window), transform, source.crs.to_epsg())


def _exact_window(transform: Affine, bounds: tuple[float, float, float, float], path: Path) -> Window:
    west, south, east, north = bounds
    column, row = ~transform @ (west, north)
    right, bottom = ~transform @ (east, south)
    edges = np.array([column, row, right, bottom])
    if np.abs(edges - edges.round()).max() > 1e-6:
        raise ValueError(f"{path.name}: bounds {bounds} cut pixels at {edges}")
    column, row, right, bottom = (int(edge) for edge in edges.round())
    return Window(column, row, right - column, bottom - row)


def write_cog(raster: Raster, path: Path, *, nodata: float, categorical: bool = False) -> None:
    """A COG with overviews where it is large; averaged for measurements, nearest for codes."""
    path.parent.mkdir(parents=True, exist_ok=True)
    height, width = raster.pixels.shape
    profile = {
        "driver": "GTiff",
        "dtype": raster.pixels.dtype,
        "count": 1,
        "height": height,
        "width": width,
        "crs": f"EPSG:{raster.epsg}",
        "transform": raster.transform,
        "nodata": nodata,
    }
    with MemoryFile() as memory:
        with memory.open(**profile) as target:
            target.write(raster.pixels, 1)
        with memory.open() as source:
            raster_copy(
                source,
                path,
                driver="COG",
                COMPRESS="DEFLATE",
                LEVEL=12,
                PREDICTOR="YES",
                BLOCKSIZE=BLOCK,
                NUM_THREADS=1,
                RESAMPLING="NEAREST" if categorical else "AVERAGE",
                **_overviews(max(width, height)),
            )


def _overviews(side: int) -> dict[str, str | int]:
    if side <= SMALLEST_OVERVIEW:
        return {"OVERVIEWS": "NONE"}
    return {"OVERVIEW_COUNT": math.ceil(math.log2(side / SMALLEST_OVERVIEW))}


def write_thumbnail(channels: list[NDArray[np.floating]], path: Path, size: int = THUMBNAIL) -> tuple[int, int]:
    """An RGB PNG of the whole footprint, each channel stretched between its 1st and 99th percentile."""
    path.parent.mkdir(parents=True, exist_ok=True)
    small = [_shrink(channel, size) for channel in channels]
    rgb = np.stack([_stretch(channel) for channel in small])
    profile = {"driver": "PNG", "dtype": "uint8", "count": 3, "height": rgb.shape[1], "width": rgb.shape[2]}
    with MemoryFile() as memory, warnings.catch_warnings():
        warnings.simplefilter("ignore", NotGeoreferencedWarning)
        with memory.open(**profile) as target:
            target.write(rgb)
        path.write_bytes(memory.read())
    return rgb.shape[1], rgb.shape[2]


def _shrink(channel: NDArray[np.floating], size: int) -> NDArray[np.float32]:
    """Area average to at most `size` pixels on the long side."""
    rows, columns = channel.shape
    scale = max(rows, columns) / size
    if scale <= 1:
        return channel.astype(np.float32)
    height, width = round(rows / scale), round(columns / scale)
    summed = np.add.reduceat(channel.astype(np.float64), _edges(rows, height), axis=0)
    summed = np.add.reduceat(summed, _edges(columns, width), axis=1)
    counts = np.outer(_lengths(rows, height), _lengths(columns, width))
    return (summed / counts).astype(np.float32)


def _edges(length: int, parts: int) -> NDArray[np.int64]:
    return (np.arange(parts) * length // parts).astype(np.int64)


def _lengths(length: int, parts: int) -> NDArray[np.int64]:
    return np.diff(np.append(_edges(length, parts), length))


def _stretch(channel: NDArray[np.float32]) -> NDArray[np.uint8]:
    low, high = np.percentile(channel, [1, 99])
    scaled = np.clip((channel - low) / max(high - low, 1e-9), 0, 1) ** 0.85
    return (scaled * 255).round().astype(np.uint8)
