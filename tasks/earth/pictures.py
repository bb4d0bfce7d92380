"""Pictures from outside: known by their first bytes, read by one library for each format, whole or not at all.

PNG, JPEG, WebP, GIF and BMP are decoded by Pillow, as EarthDial's loader did: GDAL gives other pixels for the same
JPEG, so that a picture would not be the same in training, in a benchmark and in a chat, and could not be recognised as
the same by its digest. TIFF, JPEG 2000 and colours of 16 bits are read by GDAL, which keeps the 16 bits. A picture that
EXIF has turned is upright.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray
from rasterio.enums import ColorInterp
from rasterio.errors import RasterioError
from rasterio.io import DatasetReader

from tasks.earth.foreign_files import opened_raster
from tasks.earth.picture_files import (
    MOST_PIXELS as MOST_PIXELS,
)
from tasks.earth.picture_files import PictureError as PictureError
from tasks.earth.picture_files import TooManyPixelsError as TooManyPixelsError
from tasks.earth.picture_files import (
    check_pixels as check_pixels,
)
from tasks.earth.picture_files import (
    has_alpha,
    levels,
    opened_picture,
    orientation,
    planes,
    upright,
)

SIGNATURES: Mapping[bytes, str] = {
    b"\xff\xd8\xff": "jpeg",
    b"\x89PNG": "png",
    b"II*\0": "tiff",
    b"MM\0*": "tiff",
    b"II+\0": "tiff",
    b"MM\0+": "tiff",
    b"BM": "bmp",
    b"GIF8": "gif",
    b"\0\0\0\x0cjP  ": "jp2",
}
"""First bytes of a file -> its format, whatever its name says."""
DRIVERS = {
    "tiff": "GTiff",
    "jp2": "JP2OpenJPEG",
    "png": "PNG",
    "jpeg": "JPEG",
    "bmp": "BMP",
    "gif": "GIF",
    "webp": "WEBP",
}
"""Format -> the one driver of GDAL it may be read with."""
BY_PILLOW = ("png", "jpeg", "webp", "gif", "bmp")
"""Formats that Pillow decodes."""
COLOURS_OF_A_PNG = (2, 4, 6)
"""Types of a PNG with more than one channel: of their 16 bits Pillow keeps eight."""

JPEG_NOISE = 8
"""Grey levels that JPEG's colour transform may put between three copies of one band."""
QUANTILES = (0.02, 0.98)
"""Of a plane that is shown to people: what becomes black and white."""


@dataclass(frozen=True)
class DecodedImage:
    """A decoded picture."""

    pixels: NDArray[Any]
    """(bands, H, W), in the type they are stored in."""
    converted: bool = False
    """Whether its numbers were not levels, but those of a palette for example, and have been converted."""


def beginning(source: Path | bytes) -> bytes:
    """Enough of a file, or of its bytes, to know its format by."""
    if isinstance(source, bytes):
        return source[:32]
    with source.open("rb") as file:
        return file.read(32)


def format_of(head: bytes) -> str | None:
    """The format of a file by its first bytes; None if it is not a known one."""
    if head[:4] == b"RIFF" and head[8:12] == b"WEBP":
        return "webp"
    return next((name for signature, name in SIGNATURES.items() if head.startswith(signature)), None)


def decode(source: Path | bytes, thorough: bool = False, most_pixels: int = MOST_PIXELS) -> DecodedImage:
    """A whole picture; the first page or frame of several.

    Args:
        source: a file, or the bytes of one.
        thorough: whether to refuse a JPEG, too, whose middle is damaged, which costs a second reading of it.
        most_pixels: it may have by its header.

    Raises:
        PictureError: it is not a picture, is too large, or cannot be read to its end.
    """
    head = beginning(source)
    name = format_of(head)
    if name is None:
        raise PictureError(f"not an image: it begins with {head[:8]!r}")
    if thorough and name == "jpeg":
        _by_gdal(source, name, most_pixels)
    if name not in BY_PILLOW or is_deep(head):
        return _by_gdal(source, name, most_pixels)
    with opened_picture(source, name, most_pixels) as picture:
        turned = orientation(picture)
        picture.load()
        if picture.mode.startswith("I") or picture.mode in ("L", "LA", "RGB", "RGBA"):
            stored, converted = picture, False
        else:
            # Numbers of a palette are no levels of grey, nor are inks or single bits.
            stored, converted = levels(picture), True
            stored = stored if stored.mode == "L" or has_alpha(picture) else stored.convert("RGB")
        pixels = planes(upright(stored, turned))
    return DecodedImage(pixels.astype(np.uint16) if pixels.dtype.itemsize > 1 else pixels, converted)


def is_deep(head: bytes) -> bool:
    """Whether a PNG has colours of 16 bits."""
    return head.startswith(b"\x89PNG") and head[24:25] == b"\x10" and head[25] in COLOURS_OF_A_PNG


def _by_gdal(source: Path | bytes, name: str, most_pixels: int) -> DecodedImage:
    try:
        with opened_raster(source, DRIVERS[name]) as dataset:
            check_pixels(dataset.width, dataset.height, most_pixels)
            return _read(dataset)
    except RasterioError as error:
        raise PictureError(str(error.__cause__ or error)) from error


def _read(dataset: DatasetReader) -> DecodedImage:
    pixels = dataset.read()
    if dataset.colorinterp[0] == ColorInterp.palette and dataset.count == 1:
        return DecodedImage(palette_of(dataset)[:3, pixels[0]], converted=True)
    return DecodedImage(pixels)


def palette_of(dataset: DatasetReader) -> NDArray[np.uint8]:
    """(4, 65536 or 256) of the red, green, blue and alpha that the numbers of a file mean."""
    colours = np.zeros((4, 65536 if dataset.dtypes[0] == "uint16" else 256), dtype=np.uint8)
    for number, colour in dataset.colormap(1).items():
        colours[:, number] = colour
    return colours


def is_grey(pixels: NDArray[Any]) -> bool:
    """Whether the three bands of (3, H, W) are copies of one, as a picture of one band often is stored."""
    return float((pixels.max(axis=0) - pixels.min(axis=0)).max()) <= JPEG_NOISE


def stretch_limits(plane: NDArray[np.float32]) -> tuple[float, float]:
    """What becomes black and white of a measured plane, (H, W), that is shown to people or to a model."""
    finite = plane[np.isfinite(plane)]
    low, high = (float(bound) for bound in np.quantile(finite, QUANTILES)) if finite.size else (0.0, 1.0)
    return low, high


def stretched(plane: NDArray[np.float32]) -> NDArray[np.float32]:
    """A measured plane, (H, W), as people are shown it: 0 to 1 between two quantiles; no data is black."""
    low, high = stretch_limits(plane)
    scaled: NDArray[np.float32] = (np.nan_to_num(plane, nan=low) - low) / max(high - low, 1e-6)
    return np.clip(scaled, 0, 1)


def as_displayed(plane: NDArray[np.float32]) -> NDArray[np.float32]:
    """Display values, (H, W), of 0 to 255 as 0 to 1; no data is black."""
    return np.nan_to_num(plane, nan=0) / np.float32(255)
