"""Image files as people have them, opened for the model: GeoTIFF, JPEG 2000, PNG, JPEG, WebP, GIF, BMP; or the bytes.

What measures something is calibrated; what only has colours is a display picture. Size and cost are judged from the
header. A scene larger than the model can be shown is read through its overviews, so that memory is bounded by what is
shown and not by the file.
"""

from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import datetime
from pathlib import Path

import numpy as np
import rasterio
from numpy.typing import NDArray
from rasterio.errors import RasterioError
from rasterio.io import DatasetReader
from rasterio.transform import Affine

from models.parts.image import Image
from models.parts.tile_grid import choose_grid
from tasks.earth import pictures
from tasks.earth.composites import Composite, composites_of
from tasks.earth.foreign_files import opened_raster
from tasks.earth.picture_files import MOST_PIXELS, never
from tasks.earth.raster import GDAL
from tasks.earth.sensors import DISPLAY, Sensor
from tasks.earth.shown_pictures import ShownPicture
from tasks.vlm import display_file, measured_file
from tasks.vlm.bands import Modality, bands_to_load, modality_tag, with_ratio
from tasks.vlm.images import Normalisation, preprocess
from tasks.vlm.measured_file import DeclaredMetadata as DeclaredMetadata
from tasks.vlm.measured_file import is_georeferenced
from tasks.vlm.sensor_of_file import FileMetadata, ImageError, Recognised, acquired, read_date, recognise
from tasks.vlm.true_colour import TrueColour

FORMATS = ("tiff", "jp2", *pictures.BY_PILLOW)
MAX_BANDS = 64


@dataclass(frozen=True)
class ImageFile:
    """An opened image: calibrated planes, and where and when they were taken."""

    name: str
    recognised: Recognised
    planes: Mapping[str, NDArray[np.float32]]
    """(H, W) by band, reflectance, dB or display values, NaN where there is no data; decimated if the file is large."""
    width: int
    """Columns of the file, upright."""
    height: int
    """Rows of the file, upright."""
    transform: Affine | None
    """From (column, row) of the file to its coordinates; None where it is not georeferenced."""
    crs: str | None
    date: datetime | None
    note: str = ""
    """What was taken for granted of it, to be shown with any answer; empty where the file says all."""
    true_colour: TrueColour | None = None
    """How the model is shown it, of a display picture."""
    most_tiles: int | None = None
    """It is shown in no more tiles than these; None for as many as the model has for it."""

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
        if self.true_colour is not None:
            return self.true_colour.tag(self.sensor)
        return modality_tag(self.sensor, self.modality)

    def image(self, normalise: Normalisation) -> Image:
        """The groups of three that the model takes, preprocessed as in training."""
        known = self.true_colour.normalise if self.true_colour else normalise
        return preprocess(self.planes, self.sensor.name, self.bands, known)

    @property
    def composites(self) -> list[Composite]:
        """How people can be shown it, the plainest first."""
        return composites_of(self.sensor, list(self.planes))

    def quicklook(self, side: int, composite: Composite | None = None) -> NDArray[np.uint8]:
        """A picture for people, (rows, columns, 3), no longer than `side`: the plainest composite if none is given."""
        bands = [name for name in (composite or self.composites[0]).planes if name in self.planes]
        stack = with_ratio(self.sensor, np.stack([self.planes[name] for name in bands]), bands)
        step = max(1, -(-max(stack.shape) // side))
        scaled = pictures.as_displayed if self.sensor.unit == DISPLAY else pictures.stretched
        shown = [scaled(plane[::step, ::step]) for plane in stack]
        return (np.stack(shown * (3 // len(shown)), axis=-1) * 255).round().astype(np.uint8)


def open_image(
    source: Path | bytes,
    name: str,
    size: int,
    max_tiles: int,
    declared: DeclaredMetadata | None = None,
    *,
    true_colour: TrueColour | None = None,
    most_pixels: int = MOST_PIXELS,
    cancelled: Callable[[], bool] = never,
) -> ImageFile:
    """Open an image, say which sensor took it, and calibrate its pixels.

    Args:
        source: a file, or the bytes of one.
        name: what to call it in errors.
        size: side of the model's tile in pixels.
        max_tiles: most tiles it will be shown in; an image of more than twice their pixels a side is averaged down.
        declared: what its metadata may not say.
        true_colour: how the model is shown a display picture.
        most_pixels: that may be decoded for it, by its header.
        cancelled: asked between blocks of rows; whether nobody waits for the image any longer.

    Raises:
        ImageError: it cannot be read, is too large, or its sensor is not known.
        RadiometryError: its numbers cannot be reflectance or dB.
        ReadingStoppedError: `cancelled` said so.
    """
    declared = declared or DeclaredMetadata()

    def shape(width: int, height: int) -> tuple[int, int]:
        return _shape(width, height, size, max_tiles)

    with _faults(name):
        kind = pictures.format_of(pictures.beginning(source))
        if kind not in FORMATS:
            raise ImageError(f"{name}: neither GeoTIFF, JPEG 2000, PNG, JPEG, WebP, GIF nor BMP; convert it with "
                             "`gdal_translate`")  # fmt: skip
        if kind in pictures.BY_PILLOW:
            file = FileMetadata(Path(name).name, (), {}, None)
            if recognised := display_file.picture_sensor(file, declared):
                picture = display_file.show(source, None, kind, shape, most_pixels, cancelled)
                return _pictured(picture, name, recognised, file, None, declared, true_colour)
            recognised, planes, (width, height) = measured_file.read_picture(
                source, name, lambda one: recognise(one, declared.sensor, declared.door), shape, declared, most_pixels
            )
            return ImageFile(name, recognised, planes, width, height, None, None, _date(declared, file, name))
        with rasterio.Env(**GDAL), opened_raster(source, pictures.DRIVERS[kind]) as dataset:
            file = measured_file.metadata(dataset, name)
            if recognised := display_file.raster_sensor(dataset, name, declared):
                picture = display_file.show(source, dataset, kind, shape, most_pixels, cancelled)
                return _pictured(picture, name, recognised, file, dataset, declared, true_colour)
            if dataset.count > MAX_BANDS:
                bands = f"{dataset.count} bands, {MAX_BANDS} at most"
                raise ImageError(f"{name}: {bands}; write the ones to show to a file")
            recognised = recognise(file, declared.sensor, declared.door)
            wanted = shape(dataset.width, dataset.height)
            planes = measured_file.read_raster(dataset, name, recognised, wanted, declared, most_pixels, cancelled)
            date = _date(declared, file, name)
            return ImageFile(name, recognised, planes, dataset.width, dataset.height, *_place(dataset), date)


def _pictured(
    picture: ShownPicture,
    name: str,
    recognised: Recognised,
    file: FileMetadata,
    dataset: DatasetReader | None,
    declared: DeclaredMetadata,
    true_colour: TrueColour | None,
) -> ImageFile:
    """A display picture."""
    return ImageFile(
        name,
        recognised,
        display_file.planes_of(picture, recognised.sensor, name),
        picture.width,
        picture.height,
        *_place(dataset),
        _date(declared, file, name),
        display_file.note(name, recognised, picture, true_colour),
        true_colour,
    )


@contextmanager
def _faults(name: str) -> Iterator[None]:
    """What is said of a file that cannot be read becomes an `ImageError`."""
    try:
        yield
    except pictures.TooManyPixelsError as error:
        raise ImageError(f"{name}: {error}") from error
    except pictures.PictureError as error:
        raise ImageError(f"{name}: it cannot be read, it may be cut short ({error})") from error
    except RasterioError as error:
        raise ImageError(f"{name}: it cannot be read, it may be cut short ({error.__cause__ or error})") from error
    except OSError as error:
        raise ImageError(f"{name}: {error.strerror or error}") from error


def _shape(width: int, height: int, size: int, max_tiles: int) -> tuple[int, int]:
    """(rows, columns) to read: those of the file, or as many as its tiles can make use of."""
    columns, rows = choose_grid(width, height, size, max_tiles)
    shrink = max(1.0, min(width / (2 * columns * size), height / (2 * rows * size)))
    return max(1, round(height / shrink)), max(1, round(width / shrink))


def _place(dataset: DatasetReader | None) -> tuple[Affine | None, str | None]:
    """Where a file's pixels lie; None where it does not say."""
    if dataset is None or not is_georeferenced(dataset):
        return None, None
    return dataset.transform, dataset.crs.to_string()


def _date(declared: DeclaredMetadata, file: FileMetadata, name: str) -> datetime | None:
    if not declared.date:
        return acquired(file)
    found = read_date(declared.date)
    if found is None:
        raise ImageError(
            f"{name}: '{declared.date}' is not a date ({declared.door.date}); write it as 2017-02-16 or "
            "2017-02-16T10:21:01"
        )
    return found
