"""Pictures from outside: known by their first bytes, read by one library for each format, whole or not at all.

JPEG is decoded by Pillow (WebP, too), as EarthDial's loader did: GDAL gives other pixels for the same file, so that a
picture would not be the same in training, in a benchmark and in a chat, and could not be recognised as the same by its
digest. The lossless formats are read by GDAL, which keeps 16 bits, held to one driver: some others follow a file to
other files.
"""

import io
import warnings
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import rasterio
from numpy.typing import NDArray
from PIL import Image, UnidentifiedImageError
from rasterio.enums import ColorInterp
from rasterio.errors import NotGeoreferencedWarning, RasterioError
from rasterio.io import DatasetReader, MemoryFile

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
STRICT = {"GDAL_ERROR_ON_LIBJPEG_WARNING": "TRUE"}
"""Otherwise the missing part of a damaged JPEG is filled with grey, and only a warning is logged."""
_FAULTS = (UnidentifiedImageError, Image.DecompressionBombError, OSError, SyntaxError, ValueError)
"""What Pillow raises over a file."""
MAX_PIXELS = 180_000_000
"""Of a picture other than a TIFF, as Pillow limits it: a few compressed bytes can expand to any number of pixels."""

JPEG_NOISE = 8
"""Grey levels that JPEG's colour transform may put between three copies of one band."""
QUANTILES = (0.02, 0.98)
"""Of a plane that is shown to people: what becomes black and white."""


class PictureError(ValueError):
    """A file that is no picture, or not a whole one; says why."""


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
        return source[:16]
    with source.open("rb") as file:
        return file.read(16)


def format_of(head: bytes) -> str | None:
    """The format of a file by its first bytes; None if it is not a known one."""
    if head[:4] == b"RIFF" and head[8:12] == b"WEBP":
        return "webp"
    return next((name for signature, name in SIGNATURES.items() if head.startswith(signature)), None)


def decode(source: Path | bytes, thorough: bool = False) -> DecodedImage:
    """A whole picture; the first page or frame of several.

    Args:
        source: a file, or the bytes of one.
        thorough: whether to refuse a JPEG, too, whose middle is damaged, which costs a second reading of it.

    Raises:
        PictureError: it is not a picture, or cannot be read to its end.
    """
    head = beginning(source)
    name = format_of(head)
    if name is None:
        raise PictureError(f"not an image: it begins with {head[:8]!r}")
    if name == "png":
        check_png(source)
    if name not in ("jpeg", "webp"):
        return _by_gdal(source, name)
    if thorough and name == "jpeg":
        _by_gdal(source, name)
    return _by_pillow(source, name)


def check_png(source: Path | bytes) -> None:
    """Refuse a PNG that is not whole, by the checksums of its chunks: GDAL reads one that is cut short as black.

    Raises:
        PictureError: it is cut short or damaged.
    """
    try:
        with Image.open(io.BytesIO(source) if isinstance(source, bytes) else source, formats=["PNG"]) as picture:
            picture.verify()
    except _FAULTS as error:
        raise PictureError(str(error).partition(" <_io")[0]) from error


def _by_pillow(source: Path | bytes, name: str) -> DecodedImage:
    try:
        with Image.open(io.BytesIO(source) if isinstance(source, bytes) else source, formats=[name.upper()]) as picture:
            converted = picture.mode not in ("L", "RGB", "RGBA")  # CMYK
            array = np.asarray(picture.convert("RGB") if converted else picture)
    except _FAULTS as error:
        raise PictureError(str(error).partition(" <_io")[0]) from error
    return DecodedImage(array[None] if array.ndim == 2 else np.ascontiguousarray(np.moveaxis(array, 2, 0)), converted)


def _by_gdal(source: Path | bytes, name: str) -> DecodedImage:
    try:
        with warnings.catch_warnings(), rasterio.Env(**STRICT):
            warnings.simplefilter("ignore", NotGeoreferencedWarning)
            if isinstance(source, bytes):
                with MemoryFile(source) as memory, memory.open(driver=DRIVERS[name]) as dataset:
                    return _read(dataset)
            with rasterio.open(source, driver=DRIVERS[name]) as dataset:
                return _read(dataset)
    except RasterioError as error:
        raise PictureError(str(error.__cause__ or error)) from error


def _read(dataset: DatasetReader) -> DecodedImage:
    if dataset.driver != DRIVERS["tiff"] and dataset.width * dataset.height > MAX_PIXELS:
        raise PictureError(f"{dataset.width} x {dataset.height} pixels, {MAX_PIXELS:,} at most")
    pixels = dataset.read()
    if dataset.count > 1:
        return DecodedImage(pixels)
    if dataset.colorinterp[0] == ColorInterp.palette:
        # Numbers of colours are no grey levels.
        colours = np.zeros((256, 3), dtype=np.uint8)
        for number, colour in dataset.colormap(1).items():
            colours[number] = colour[:3]
        return DecodedImage(np.moveaxis(colours[pixels[0]], 2, 0), converted=True)
    bits = int(dataset.tags(1, ns="IMAGE_STRUCTURE").get("NBITS", 8))
    if dataset.driver == DRIVERS["png"] and bits < 8:
        # Two to sixteen levels of grey are shown from black to white.
        return DecodedImage(pixels * np.uint8(255 // (2**bits - 1)), converted=True)
    return DecodedImage(pixels)


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
