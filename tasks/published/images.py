"""Image columns of a row to checked pixels, and pixels to the bytes of a GeoTIFF with named bands."""

from collections.abc import Sequence
from dataclasses import dataclass
from itertools import pairwise
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.types as pt
from numpy.typing import NDArray
from rasterio.transform import Affine

from tasks.earth import geotiff, pictures
from tasks.earth.display_sensors import known_sensor
from tasks.earth.radiometry import RadiometryError, Stored, check_plausible, to_physical
from tasks.earth.sensors import DISPLAY
from tasks.published.registry import Published
from tasks.published.repairs import Notes, RowError

Pixels = NDArray[Any]
FORMATS = ("png", "jpeg", "tiff")


@dataclass(frozen=True)
class Planes:
    """One image: (bands, H, W) in the set's unit, uint8 for display values, else float32 with NaN for no data."""

    pixels: Pixels
    bands: tuple[str, ...]

    @property
    def nodata_fraction(self) -> float:
        """Share of pixels without data in any band."""
        if self.pixels.dtype == np.uint8:
            return 0.0
        return round(float(np.isnan(self.pixels).any(axis=0).mean()), 6)


def read_images(cells: Sequence[pa.Scalar], entry: Published, notes: Notes) -> list[Planes]:
    """The images of one row, in the order of its columns.

    Args:
        cells: one for each image column.
        entry: what the set's pixels are.
        notes: takes repairs and flags.

    Raises:
        RowError: an image is missing, cannot be decoded, or is not what the set says.
    """
    if entry.joined:
        share = [len(entry.stored_bands) - len(cells) + 1, *[1] * (len(cells) - 1)]
        parts = [_decode(cell, count, entry, notes) for cell, count in zip(cells, share, strict=True)]
        if len({part.shape[1:] for part in parts}) > 1:
            raise RowError("size-mismatch", f"planes of {' and '.join(str(part.shape[1:]) for part in parts)} pixels")
        return [checked(np.concatenate([part.astype(np.float32) for part in parts]), entry, notes)]
    count = len(entry.stored_bands)
    present = [cell for cell in cells if not _is_empty(cell)]
    if not present or any(_is_empty(cell) for cell in cells[: len(present)]):
        empty = [number for number, cell in enumerate(cells, 1) if _is_empty(cell)]
        raise RowError("missing-image", f"image {empty[0]} of {len(cells)} is not in the row")
    return [checked(_decode(cell, count, entry, notes), entry, notes) for cell in present]


def read_picture(content: bytes, entry: Published, notes: Notes) -> Planes:
    """One picture of display values, of any format that `tasks.earth.pictures` knows.

    Raises:
        RowError: it cannot be decoded, or is not what the set says.
    """
    try:
        picture = pictures.decode(content)
    except pictures.PictureError as error:
        raise RowError("undecodable", f"{len(content)} bytes that are no whole picture: {error}") from error
    if entry.own and len(picture.pixels) == 1 and len(entry.stored_bands) == 3:
        notes.repair("grey-to-rgb")
        picture = pictures.DecodedImage(np.repeat(picture.pixels, 3, axis=0))
    return checked(_levels(picture, len(entry.stored_bands), notes), entry, notes)


def _is_empty(cell: pa.Scalar) -> bool:
    if not cell.is_valid:
        return True
    if pt.is_struct(cell.type):
        return "bytes" not in cell.type.names or not cell["bytes"].is_valid
    return False


def _decode(cell: pa.Scalar, count: int, entry: Published, notes: Notes) -> Pixels:
    """(count, H, W) as stored."""
    if _is_empty(cell):
        path = cell.as_py().get("path") if cell.is_valid and pt.is_struct(cell.type) else None
        where = f"the row only names the file {path!r}" if path else "the column is empty"
        raise RowError("missing-image", f"an image is not in the row: {where}")
    if pt.is_struct(cell.type):
        cell = cell["bytes"]
    value = cell.as_py() if pt.is_binary(cell.type) or pt.is_large_binary(cell.type) else None
    if value is None:
        return _channels_first(_nested(cell), count, entry.channels_last, notes)
    name = pictures.format_of(value)
    if name not in FORMATS:
        raise RowError("undecodable", f"{len(value)} bytes that are no PNG, JPEG or TIFF")
    try:
        picture = pictures.decode(value)
    except pictures.PictureError as error:
        raise RowError("undecodable", f"{len(value)} bytes that are no whole {name.upper()}: {error}") from error
    if name == "tiff":
        return _channels_first(picture.pixels, count, False, notes)
    return _levels(picture, count, notes)


def _nested(cell: pa.Scalar) -> Pixels:
    """Lists in lists, of the same length at each depth, as an array: no Python object for any pixel."""
    values = getattr(cell.value if isinstance(cell, pa.ExtensionScalar) else cell, "values", None)
    if not isinstance(values, pa.Array):
        raise RowError("wrong-type", f"pixels are stored as {cell.type}; bytes or lists of numbers are needed")
    totals = [1, len(values)]
    while _is_list(values.type):
        lengths = np.unique(values.value_lengths().to_numpy(zero_copy_only=False))
        if values.null_count or len(lengths) != 1 or not lengths[0]:
            raise RowError("wrong-bands", f"rows of different length, or empty, at depth {len(totals) - 1}")
        values = values.flatten()
        totals.append(len(values))
    if not (pt.is_floating(values.type) or pt.is_integer(values.type)):
        raise RowError("wrong-type", f"pixels are {values.type}, not numbers")
    shape = [inner // outer for outer, inner in pairwise(totals)]
    return np.asarray(values.to_numpy(zero_copy_only=False)).reshape(shape)


def _is_list(kind: pa.DataType) -> bool:
    return bool(pt.is_list(kind) or pt.is_large_list(kind) or pt.is_fixed_size_list(kind))


def _channels_first(array: Pixels, count: int, channels_last: bool, notes: Notes) -> Pixels:
    if array.ndim == 2 and count == 1:
        return array[None]
    if array.ndim != 3:
        raise RowError("wrong-bands", f"an array of {array.ndim} dimensions {array.shape} is no image")
    first, last = array.shape[0] == count, array.shape[2] == count
    if not (first or last):
        raise RowError("wrong-bands", f"an array of {array.shape} has {count} bands on neither its first nor last axis")
    if first != last and last != channels_last:
        notes.repair("channels-moved")
    use_last = channels_last if first and last else last
    return np.moveaxis(array, 2, 0) if use_last else array


def _levels(picture: pictures.DecodedImage, count: int, notes: Notes) -> Pixels:
    """(count, H, W) of a picture: without an alpha channel that says nothing, grey where it is grey in three copies."""
    pixels = picture.pixels
    opaque = len(pixels) == 4 and int(pixels[3].min()) == np.iinfo(pixels.dtype).max
    if picture.converted or opaque:
        notes.repair("mode-converted")
        pixels = pixels[:3]
    if count == 1 and len(pixels) == 3 and pictures.is_grey(pixels):
        notes.repair("grey-as-rgb")
        pixels = pixels[1:2]
    if len(pixels) != count:
        raise RowError("wrong-bands", f"a picture of {len(picture.pixels)} bands; {count} are needed")
    return pixels


def checked(pixels: Pixels, entry: Published, notes: Notes) -> Planes:
    """(bands, H, W) as stored, in the order of the set's bands, as planes in its unit.

    Raises:
        RowError: they are no numbers, hold no data or no contrast, or cannot be in the set's unit.
    """
    if pixels.dtype.kind not in "uif":
        raise RowError("wrong-type", f"pixels are {pixels.dtype}")
    if pixels.dtype == np.uint8 and known_sensor(entry.sensor).unit == DISPLAY:
        check_contrast(pixels, notes)
        return Planes(pixels, entry.stored_bands)
    finite = np.isfinite(pixels)
    if not finite.any():
        raise RowError("no-data", f"none of {pixels.size} values is a number")
    if not finite.all():
        notes.flag("partial-nodata")
    pixels = _in_unit(pixels, finite, entry, notes)
    check_contrast(pixels, notes)
    return Planes(np.ascontiguousarray(pixels), entry.stored_bands)


def _in_unit(pixels: Pixels, finite: NDArray[np.bool_], entry: Published, notes: Notes) -> Pixels:
    """Values in the unit of the set's sensor, by the rules that scenes and chat follow."""
    stored, unit = Stored(entry.scale), known_sensor(entry.sensor).unit
    try:
        values = to_physical(pixels, finite, stored, unit, "image")
        check_plausible(values, stored, unit, "image")
    except RadiometryError as error:
        raise RowError("out-of-range", str(error)) from error
    if not np.isfinite(values).any():
        raise RowError("no-data", f"none of {pixels.size} numbers has a value in {unit}")
    if unit == DISPLAY:
        if pixels.dtype.kind == "f" and (pixels[finite] != np.rint(pixels[finite])).any():
            raise RowError("out-of-range", "display values must be whole numbers of 0 to 255")
        return values.astype(np.uint8) if finite.all() else values
    if unit == "dB" and pixels[finite].min() >= 0:
        notes.flag("power-to-dB")
    return values


def check_contrast(pixels: Pixels, notes: Notes) -> None:
    """Refuse (bands, H, W) of which every band is constant, and flag one that is.

    Raises:
        RowError: constant-image.
    """
    values = pixels.reshape(len(pixels), -1)
    # fmax and fmin pass over NaN; a band without any number compares as constant.
    flat = ~(np.fmax.reduce(values, axis=1) > np.fmin.reduce(values, axis=1))
    if flat.all():
        raise RowError("constant-image", f"every pixel of {len(pixels)} bands is the same")
    if flat.any():
        notes.flag("constant-band")


def nowhere(height: int) -> Affine:
    """Transform of a chip without a place: pixels from its lower left corner, north up as all chips are."""
    return Affine(1, 0, 0, 0, -1, height)


def to_geotiff(planes: Planes) -> bytes:
    """Bytes of a GeoTIFF that lies nowhere on Earth, its bands named; the same pixels give the same bytes."""
    return geotiff.encode(planes.pixels, planes.bands, nowhere(planes.pixels.shape[1]))
