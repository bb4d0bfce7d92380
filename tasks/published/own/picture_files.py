"""Pictures and GeoTIFFs of one's own to checked planes of the sensor that was named."""

import io
import warnings
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from PIL import ExifTags, Image
from rasterio.errors import RasterioError

from tasks.core.errors import TrainingError
from tasks.earth import geotiff, pictures
from tasks.earth.display_sensors import IMPORTED, known_sensor
from tasks.earth.radiometry import RadiometryError
from tasks.earth.sensors import DISPLAY
from tasks.published.images import Planes, check_contrast, read_picture
from tasks.published.own.image_sources import (
    Found,
    ReadImage,
    content_of_file,
    data_url,
    file_below,
    is_data_url,
    stamp_of,
)
from tasks.published.registry import Published
from tasks.published.repairs import Notes, RowError
from tasks.vlm.bands import bands_to_load
from tasks.vlm.image_file import MAX_BANDS, DeclaredMetadata, open_image
from tasks.vlm.sensor_of_file import ImageError

FORMATS = ("png", "jpeg", "webp", "tiff")
MAX_DECODED = 512 * 2**20
"""Bytes of an image's pixels, as 32-bit numbers where they are measurements."""
MAX_PICTURE = 256 * 2**20
"""The same of a picture of display values; beyond it Pillow warns of a bomb."""
LONGEST = 65_536
"""Pixels a side: open_image reads whole what has no more."""


@dataclass(frozen=True)
class PictureFolder:
    """Images by their path below one of several folders, or in the record itself."""

    roots: Sequence[Path]
    entry: Published
    """What the pixels are: sensor and modality."""
    declared: DeclaredMetadata
    """What files of measurements may not say of themselves."""

    def find(self, reference: str) -> Found:
        """See `ImageSource`."""
        if is_data_url(reference):
            return data_url(reference)
        path = file_below(self.roots, reference)
        stamp, size = stamp_of(path)
        return Found(reference, f"{reference}:{stamp}", (path,), size=size)

    def read(self, found: Found, notes: Notes) -> ReadImage:
        """See `ImageSource`."""
        content = content_of_file(found.files[0]) if found.content is None else found.content
        kind = pictures.format_of(content[:16])
        if kind not in FORMATS:
            raise RowError("undecodable", f"{found.name[:80]} is no PNG, JPEG, WebP or TIFF")
        check_size(content, found.name, known_sensor(self.entry.sensor).unit == DISPLAY)
        if _turned(content, kind):
            notes.flag("exif-orientation")
        if known_sensor(self.entry.sensor).unit == DISPLAY:
            return ReadImage(read_picture(content, self.entry, notes))
        return self._measured(content, found.name, kind, notes)

    def _measured(self, content: bytes, name: str, kind: str, notes: Notes) -> ReadImage:
        sensor = known_sensor(self.entry.sensor)
        if kind != "tiff" and self.declared.scale is None:
            shown = ", ".join(other.name for other in IMPORTED.values() if other.unit == DISPLAY)
            raise RowError(
                "wrong-type",
                f"{name[:80]} is a picture, and {sensor.name} is measured in {sensor.unit}: import pictures as one of "
                f"{shown}, or declare --scale",
            )
        try:
            opened = open_image(content, Path(name).name, LONGEST, 1, self.declared)
            bands = bands_to_load(sensor, self.entry.modality, list(opened.planes))
        except RadiometryError as error:
            raise RowError("out-of-range", str(error)) from error
        except ImageError as error:
            undecodable = isinstance(error.__cause__, RasterioError | pictures.PictureError | OSError)
            raise RowError("undecodable" if undecodable else "wrong-bands", str(error)) from error
        except TrainingError as error:
            raise RowError("wrong-bands", str(error)) from error
        if self.entry.modality == "ms" and set(bands) <= set(sensor.rgb or ()):
            raise RowError("wrong-bands", f"{name[:80]} has true colour alone; import such files with --modality rgb")
        pixels = np.ascontiguousarray(np.stack([opened.planes[band] for band in bands]))
        if not np.isfinite(pixels).all():
            notes.flag("partial-nodata")
        check_contrast(pixels, notes)
        return ReadImage(Planes(pixels, tuple(bands)), opened.date)


def check_size(content: bytes, name: str, display: bool) -> None:
    """Refuse an image by what its header says of its size, before a pixel is decoded.

    Raises:
        RowError: too-large, wrong-bands or undecodable.
    """
    driver = pictures.DRIVERS[pictures.format_of(content[:16]) or ""]
    try:
        with geotiff.opened(content, driver) as dataset:
            width, height, count = dataset.width, dataset.height, dataset.count
            itemsize = max(np.dtype(kind).itemsize for kind in dataset.dtypes)
    except RasterioError as error:
        raise RowError("undecodable", f"{name[:80]} cannot be read: {error.__cause__ or error}") from error
    if count > MAX_BANDS:
        raise RowError("wrong-bands", f"{name[:80]} has {count} bands, {MAX_BANDS} at most")
    bound = MAX_PICTURE if display else MAX_DECODED
    decoded = width * height * max(count, 3) * (itemsize if display else 4)
    if max(width, height) > LONGEST or decoded > bound:
        raise RowError("too-large", f"{name[:80]}: {width} x {height} pixels of {count} bands; {bound:,} bytes at most")


def _turned(content: bytes, kind: str) -> bool:
    """Whether EXIF says that the picture is to be shown another way up."""
    if kind not in ("jpeg", "png", "webp"):
        return False
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore", Image.DecompressionBombWarning)
            with Image.open(io.BytesIO(content), formats=[kind.upper()]) as picture:
                return picture.getexif().get(ExifTags.Base.Orientation, 1) not in (0, 1)
    except (OSError, ValueError, SyntaxError, Image.DecompressionBombError):
        return False  # what is wrong with it, decoding says
