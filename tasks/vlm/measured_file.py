"""Image files of measurements: their planes calibrated, from what the file and the user say of its numbers."""

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from numpy.typing import NDArray
from PIL import Image as Picture
from rasterio.enums import ColorInterp
from rasterio.io import DatasetReader

from tasks.earth import pictures
from tasks.earth.picture_files import never
from tasks.earth.radiometry import RadiometryError, Stored, check_plausible, to_physical
from tasks.earth.sensors import DISPLAY, Product
from tasks.earth.shrunk_rasters import check_cost, read_shrunk
from tasks.vlm.doors import FLAGS, Door
from tasks.vlm.sensor_of_file import FileMetadata, ImageError, Recognised, polarisation_in, product_of

METRES_PER_DEGREE = 111_320.0


@dataclass(frozen=True)
class DeclaredMetadata:
    """What the user says of an image that its file may not say."""

    sensor: str | None = None
    date: str | None = None
    scale: float | None = None
    """Physical value of one step of the stored numbers."""
    offset: float | None = None
    """Physical value of a stored zero."""
    unit: str | None = None
    """What the scaled numbers of a radar are: dB, power or amplitude."""
    door: Door = FLAGS
    """Where it was said, or can be, for errors."""

    @property
    def numbers(self) -> bool:
        """Whether something is said of what the stored numbers mean."""
        return (self.scale, self.offset, self.unit) != (None, None, None)


def is_georeferenced(dataset: DatasetReader) -> bool:
    """Whether a file says where on Earth its pixels lie."""
    return dataset.crs is not None and not dataset.transform.is_identity


def metadata(dataset: DatasetReader, name: str) -> FileMetadata:
    """What a file says of itself."""
    step = abs(dataset.transform.a) if is_georeferenced(dataset) else None
    if step is not None and dataset.crs.is_geographic:
        step *= METRES_PER_DEGREE
    shown = dataset.count - (dataset.count > 1 and dataset.colorinterp[-1] == ColorInterp.alpha)
    bands = tuple(str(text or "") for text in dataset.descriptions[:shown])
    if bands == ("",):
        bands = (polarisation_in(name),)
    return FileMetadata(Path(name).name, bands, {**dataset.tags(1), **dataset.tags()}, step)


def read_raster(
    dataset: DatasetReader,
    name: str,
    recognised: Recognised,
    shape: tuple[int, int],
    declared: DeclaredMetadata,
    most_pixels: int,
    cancelled: Callable[[], bool] = never,
) -> dict[str, NDArray[np.float32]]:
    """Calibrated planes of an opened file by band, (rows, columns) each.

    Raises:
        RadiometryError: the numbers cannot be reflectance or dB.
        PictureError: it is too large.
        ImageError: there is no pixel with data.
        ReadingStoppedError: `cancelled` said so.
    """
    check_cost(dataset, shape, most_pixels)
    places = [number for number, band in enumerate(recognised.bands, start=1) if band]
    values, valid = read_shrunk(dataset, places, shape, cancelled=cancelled)
    names = [band for band in recognised.bands if band]
    dtypes = [np.dtype(dataset.dtypes[number - 1]) for number in places]
    file, known = metadata(dataset, name), declared.numbers
    stored = [
        _stored(dataset, number, None if known or dtype.kind == "f" else product_of(file, recognised.sensor, band))
        for number, band, dtype in zip(places, names, dtypes, strict=True)
    ]
    numbers = {
        band: (plane.astype(dtype, copy=False), there, says)
        for band, plane, there, says, dtype in zip(names, values, valid, stored, dtypes, strict=True)
    }
    return _calibrated(numbers, name, recognised, declared)


def _stored(dataset: DatasetReader, number: int, product: Product | None) -> Stored:
    """What a file says of the numbers of a band, or else its product."""
    stored = Stored(dataset.scales[number - 1], dataset.offsets[number - 1], dataset.units[number - 1] or None)
    if product is None or (stored.scale, stored.offset) != (1.0, 0.0):
        return stored
    return Stored(product.scale, product.offset, stored.unit)


def read_picture(
    source: Path | bytes,
    name: str,
    sensor_of: Callable[[FileMetadata], Recognised],
    shape: Callable[[int, int], tuple[int, int]],
    declared: DeclaredMetadata,
    most_pixels: int,
) -> tuple[Recognised, dict[str, NDArray[np.float32]], tuple[int, int]]:
    """A PNG, JPEG and the like as a sensor's numbers: who took it, its planes, and (width, height) of the file.

    Raises:
        PictureError, RadiometryError, ImageError: as `read_raster`.
    """
    pixels = pictures.decode(source, most_pixels=most_pixels).pixels
    alpha = pixels[-1] if len(pixels) in (2, 4) else None
    file = FileMetadata(Path(name).name, ("",) * (len(pixels) - (alpha is not None)), {}, None)
    recognised = sensor_of(file)
    height, width = pixels.shape[1:]
    rows, columns = shape(width, height)
    there = np.ones((height, width), dtype=np.bool_) if alpha is None else alpha > 0
    numbers = {}
    for band, plane in zip(recognised.bands, pixels, strict=False):
        if (rows, columns) != (height, width):
            small = Picture.fromarray(plane.astype(np.float32)).resize((columns, rows), Picture.Resampling.BOX)
            plane = np.asarray(small).round().astype(pixels.dtype)
        numbers[band] = (plane, there, Stored())
    if (rows, columns) != (height, width):
        flat = Picture.fromarray(there.astype(np.uint8) * 255).resize((columns, rows), Picture.Resampling.BOX)
        numbers = {band: (plane, np.asarray(flat) > 0, says) for band, (plane, _, says) in numbers.items()}
    return recognised, _calibrated(numbers, name, recognised, declared), (width, height)


def _refuse_fractions(values: NDArray[np.generic], stored: Stored, unit: str, what: str) -> None:
    """Refuse fractions of white as display values, as which they would all be black.

    Raises:
        RadiometryError: floats that nowhere exceed 1, without a scale.
    """
    if unit == DISPLAY and values.dtype.kind == "f" and stored.scale == 1 and values.size and np.nanmax(values) <= 1:
        raise RadiometryError(
            f"{what}: numbers up to {np.nanmax(values):.3g} where display values lie in 0 to 255; if 1 is white, "
            f"declare a scale of 255 {stored.how}"
        )


def _calibrated(
    numbers: Mapping[str, tuple[NDArray[np.generic], NDArray[np.bool_], Stored]],
    name: str,
    recognised: Recognised,
    declared: DeclaredMetadata,
) -> dict[str, NDArray[np.float32]]:
    """Planes by band from stored numbers, where they are valid, and what the file says of them."""
    planes = {}
    unit = recognised.sensor.unit
    for band, (values, valid, says) in numbers.items():
        what = f"{name}, band {band}"
        stored = Stored(
            scale=float(says.scale) if declared.scale is None else declared.scale,
            offset=float(says.offset) if declared.offset is None else declared.offset,
            unit=declared.unit or says.unit,
            how=declared.door.numbers,
        )
        _refuse_fractions(values[valid], stored, unit, what)
        planes[band] = to_physical(values, valid, stored, unit, what)
        check_plausible(planes[band], stored, unit, what)
    if not any(np.isfinite(plane).any() for plane in planes.values()):
        raise ImageError(f"{name}: no pixel has data")
    return planes
