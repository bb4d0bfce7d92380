"""Image files as people have them, opened for the model: GeoTIFF, JPEG 2000, PNG, JPEG; or the bytes of one.

A scene larger than the model can be shown is read through its overviews, so that memory is bounded by what is shown
and not by the file.
"""

import warnings
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import datetime
from pathlib import Path

import numpy as np
import rasterio
from numpy.typing import NDArray
from rasterio.enums import ColorInterp, Resampling
from rasterio.errors import NotGeoreferencedWarning, RasterioError
from rasterio.io import DatasetReader, MemoryFile
from rasterio.transform import Affine

from models.parts.image import Image
from models.parts.tile_grid import choose_grid
from tasks.earth import pictures
from tasks.earth.radiometry import Stored, check_plausible, to_physical
from tasks.earth.raster import GDAL
from tasks.earth.sensors import Sensor
from tasks.vlm.bands import Modality, bands_to_load, modality_tag
from tasks.vlm.images import Normalisation, preprocess
from tasks.vlm.sensor_of_file import FileMetadata, ImageError, Recognised, acquired, read_date, recognise

FORMATS = ("tiff", "png", "jpeg", "jp2")
MAX_BANDS = 64
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


@dataclass(frozen=True)
class ImageFile:
    """An opened image: calibrated planes, and where and when they were taken."""

    name: str
    recognised: Recognised
    planes: Mapping[str, NDArray[np.float32]]
    """(H, W) by band, reflectance or dB, NaN where there is no data; decimated if the file is large."""
    width: int
    """Columns of the file."""
    height: int
    """Rows of the file."""
    transform: Affine | None
    """From (column, row) of the file to its coordinates; None where it is not georeferenced."""
    crs: str | None
    date: datetime | None

    @property
    def sensor(self) -> Sensor:
        """Who took it."""
        return self.recognised.sensor

    @property
    def modality(self) -> Modality:
        """How it is shown: radar, true colour if there is nothing else, else all bands."""
        if self.sensor.rgb is None:
            return "sar"
        return "rgb" if set(self.planes) <= set(self.sensor.rgb) else "ms"

    @property
    def bands(self) -> list[str]:
        """Bands in the order they are shown.

        Raises:
            TrainingError: a band of the true-colour composite, or a polarisation, is missing.
        """
        return bands_to_load(self.sensor, self.modality, list(self.planes))

    @property
    def tag(self) -> str:
        """EarthDial's tag of the sensor as it is shown."""
        return modality_tag(self.sensor, self.modality)

    def image(self, normalise: Normalisation) -> Image:
        """The groups of three that the model takes, preprocessed as in training."""
        return preprocess(self.planes, self.sensor.name, self.bands, normalise)

    def quicklook(self, side: int) -> NDArray[np.uint8]:
        """A picture for people, (rows, columns, 3), no longer than `side`: true colour, or radar with its mean."""
        shown = self.sensor.composite_of(list(self.planes))
        planes = [self.planes[name] for name in shown if name in self.planes] or list(self.planes.values())[:3]
        step = max(1, -(-max(planes[0].shape) // side))
        planes = [pictures.stretched(plane[::step, ::step]) for plane in planes]
        while len(planes) < 3:
            planes.append(np.mean(planes, axis=0, dtype=np.float32))
        return (np.stack(planes[:3], axis=-1) * 255).round().astype(np.uint8)


def open_image(
    source: Path | bytes, name: str, size: int, max_tiles: int, declared: DeclaredMetadata | None = None
) -> ImageFile:
    """Open an image, say which sensor took it, and calibrate its pixels.

    Args:
        source: a file, or the bytes of one.
        name: what to call it in errors.
        size: side of the model's tile in pixels.
        max_tiles: most tiles it will be shown in; an image of more than twice their pixels a side is averaged down.
        declared: what its metadata may not say.

    Raises:
        ImageError: it cannot be read, or its sensor is not known.
        RadiometryError: its numbers cannot be reflectance or dB.
    """
    declared = declared or DeclaredMetadata()
    with _opened(source, name) as dataset:
        if dataset.count > MAX_BANDS:
            raise ImageError(f"{name}: {dataset.count} bands, {MAX_BANDS} at most; write the ones to show to a file")
        if dataset.colorinterp[0] == ColorInterp.palette:
            raise ImageError(f"{name}: its numbers are those of a palette; `gdal_translate -expand rgb` writes colours")
        file = _metadata(dataset, name)
        recognised = recognise(file, declared.sensor)
        shape = _shape(dataset, size, max_tiles)
        levels = _jpeg(source, name) if dataset.driver == "JPEG" and shape == dataset.shape else None
        planes = _read(dataset, levels, name, recognised, shape, declared)
        georeferenced = dataset.crs is not None and not dataset.transform.is_identity
        return ImageFile(
            name=name,
            recognised=recognised,
            planes=planes,
            width=dataset.width,
            height=dataset.height,
            transform=dataset.transform if georeferenced else None,
            crs=dataset.crs.to_string() if georeferenced else None,
            date=_date(declared.date, name) if declared.date else acquired(file),
        )


@contextmanager
def _opened(source: Path | bytes, name: str) -> Iterator[DatasetReader]:
    """The image as a dataset; what GDAL says of it becomes an `ImageError`."""
    try:
        with warnings.catch_warnings(), rasterio.Env(**GDAL):
            warnings.simplefilter("ignore", NotGeoreferencedWarning)
            driver = _driver(pictures.beginning(source), name)
            if driver == "PNG":
                pictures.check_png(source)
            if isinstance(source, bytes):
                with MemoryFile(source) as memory, memory.open(driver=driver) as dataset:
                    yield dataset
            else:
                with rasterio.open(source, driver=driver) as dataset:
                    yield dataset
    except pictures.PictureError as error:
        raise ImageError(f"{name}: it cannot be read, it may be cut short ({error})") from error
    except RasterioError as error:
        raise ImageError(f"{name}: it cannot be read, it may be cut short ({error.__cause__ or error})") from error
    except OSError as error:
        raise ImageError(f"{name}: {error.strerror or error}") from error


def _driver(head: bytes, name: str) -> str:
    known = pictures.format_of(head)
    if known not in FORMATS:
        raise ImageError(f"{name}: neither GeoTIFF, JPEG 2000, PNG nor JPEG; convert it with `gdal_translate`")
    return pictures.DRIVERS[known]


def _metadata(dataset: DatasetReader, name: str) -> FileMetadata:
    step = None if dataset.transform.is_identity or dataset.crs is None else abs(dataset.transform.a)
    if step is not None and dataset.crs.is_geographic:
        step *= METRES_PER_DEGREE
    shown = dataset.count - (dataset.count > 1 and dataset.colorinterp[-1] == ColorInterp.alpha)
    bands = tuple(str(text or "") for text in dataset.descriptions[:shown])
    return FileMetadata(Path(name).name, bands, {**dataset.tags(1), **dataset.tags()}, step)


def _shape(dataset: DatasetReader, size: int, max_tiles: int) -> tuple[int, int]:
    """(rows, columns) to read: those of the file, or as many as its tiles can make use of."""
    columns, rows = choose_grid(dataset.width, dataset.height, size, max_tiles)
    shrink = max(1.0, min(dataset.width / (2 * columns * size), dataset.height / (2 * rows * size)))
    return max(1, round(dataset.height / shrink)), max(1, round(dataset.width / shrink))


def _jpeg(source: Path | bytes, name: str) -> NDArray[np.generic]:
    """(bands, H, W) of a JPEG as training sees them; one that is averaged down is read by GDAL, a line at a time."""
    try:
        return pictures.decode(source).pixels
    except pictures.PictureError as error:
        raise ImageError(f"{name}: it cannot be read, it may be cut short ({error})") from error


def _read(
    dataset: DatasetReader,
    levels: NDArray[np.generic] | None,
    name: str,
    recognised: Recognised,
    shape: tuple[int, int],
    declared: DeclaredMetadata,
) -> dict[str, NDArray[np.float32]]:
    """Calibrated planes by band; of `levels` where the file has been decoded already.

    Raises:
        RadiometryError: the numbers cannot be reflectance or dB.
        ImageError: there is no pixel with data.
    """
    planes = {}
    unit = recognised.sensor.unit
    for number, band in enumerate(recognised.bands, start=1):
        if band:
            what = f"{name}, band {band}"
            if levels is None:
                read = dataset.read(number, out_shape=shape, resampling=Resampling.average, masked=True)
                values, valid = read.data, ~np.ma.getmaskarray(read)
            else:
                values, valid = levels[number - 1], np.ones(shape, dtype=np.bool_)
            stored = Stored(
                scale=float(dataset.scales[number - 1]) if declared.scale is None else declared.scale,
                offset=float(dataset.offsets[number - 1]) if declared.offset is None else declared.offset,
                unit=declared.unit or dataset.units[number - 1] or None,
            )
            planes[band] = to_physical(values, valid, stored, unit, what)
            check_plausible(planes[band], stored, unit, what)
    if not any(np.isfinite(plane).any() for plane in planes.values()):
        raise ImageError(f"{name}: no pixel has data")
    return planes


def _date(text: str, name: str) -> datetime:
    found = read_date(text)
    if found is None:
        raise ImageError(f"{name}: '{text}' is not a date; write it as 2017-02-16 or 2017-02-16T10:21:01")
    return found
