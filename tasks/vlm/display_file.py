"""Which image files are display pictures: nothing says a sensor or what their numbers measure, only colours show.

A PNG, JPEG, WebP, GIF or BMP is one unless the user names a measured sensor or says what its numbers mean. A TIFF or
JPEG 2000 is one if it has one to four bands without names, scale, offset and unit, of 8 bits, or of 16 where it lies
nowhere on Earth: a georeferenced file of 16 bits holds counts, and its sensor is asked for.
"""

from collections.abc import Callable
from pathlib import Path

import numpy as np
from numpy.typing import NDArray
from rasterio.enums import ColorInterp
from rasterio.io import DatasetReader

from tasks.earth.display_sensors import PICTURE, PICTURES, picture_of
from tasks.earth.picture_files import never, tiff_orientation
from tasks.earth.sensors import SENSORS, Sensor
from tasks.earth.shown_pictures import Shape, ShownPicture, shown, shown_raster
from tasks.vlm.measured_file import DeclaredMetadata, is_georeferenced, metadata
from tasks.vlm.sensor_of_file import FileMetadata, ImageError, Recognised, platforms
from tasks.vlm.true_colour import TrueColour

MOST_BANDS = 4


def picture_sensor(file: FileMetadata, declared: DeclaredMetadata) -> Recognised | None:
    """What a picture is taken for: the rendering of the one sensor its name speaks of, or any picture; None if the user
    says something else of it.
    """
    if declared.sensor in PICTURES:
        return _as(PICTURES[declared.sensor], "as given")
    if declared.sensor is not None or declared.numbers:
        return None
    named = platforms(file)
    rendering = picture_of(SENSORS[named[0]]) if len(named) == 1 and SENSORS[named[0]].rgb else None
    if rendering is not None:
        return _as(rendering, f"as a display picture of {named[0]}, by its metadata")
    return _as(PICTURE, "as a display picture")


def _as(sensor: Sensor, by: str) -> Recognised:
    return Recognised(sensor, tuple(sensor.rgb or ()), by)


def raster_sensor(dataset: DatasetReader, name: str, declared: DeclaredMetadata) -> Recognised | None:
    """The same of a TIFF or JPEG 2000; None where it holds, or could hold, measurements."""
    dtypes = set(dataset.dtypes)
    file = metadata(dataset, name)
    if dataset.count > MOST_BANDS or any(file.bands) or dtypes not in ({"uint8"}, {"uint16"}):
        return None
    if declared.sensor in PICTURES:
        return picture_sensor(file, declared)
    counts = dtypes == {"uint16"} and (is_georeferenced(dataset) or bool(dataset.gcps[0]) or dataset.rpcs is not None)
    scaled = any(value != 1 for value in dataset.scales) or any(dataset.offsets) or any(dataset.units)
    if scaled or (counts and dataset.colorinterp[0] != ColorInterp.palette):
        return None
    # One band of a file whose name speaks of a sensor is a band of it, not a grey picture; so is radar, of any number.
    spoken = [SENSORS[sensor] for sensor in platforms(file)]
    coloured = len(file.bands) >= 3 or dataset.colorinterp[0] == ColorInterp.palette
    if spoken and not (coloured and all(sensor.rgb for sensor in spoken)):
        return None
    if dataset.count == 2 and dataset.colorinterp[1] != ColorInterp.alpha:
        return None
    return picture_sensor(file, declared)


def show(
    source: Path | bytes,
    dataset: DatasetReader | None,
    kind: str,
    shape: Shape,
    most_pixels: int,
    cancelled: Callable[[], bool] = never,
) -> ShownPicture:
    """What a viewer shows of a file, opened already if GDAL reads it.

    Raises:
        PictureError: it cannot be read, or is too large.
        ReadingStoppedError: `cancelled` said so.
    """
    if dataset is None:
        return shown(source, kind, shape, most_pixels, cancelled)
    turned = 1 if kind != "tiff" or is_georeferenced(dataset) else tiff_orientation(source)
    return shown_raster(dataset, turned, shape, most_pixels, cancelled)


def planes_of(picture: ShownPicture, sensor: Sensor, name: str) -> dict[str, NDArray[np.float32]]:
    """Display values by band, NaN where it is transparent.

    Raises:
        ImageError: it is transparent everywhere.
    """
    if not picture.valid.any():
        raise ImageError(f"{name}: no pixel has data, it is transparent everywhere")
    colours = np.where(picture.valid, picture.colours.astype(np.float32), np.float32(np.nan))
    return dict(zip(sensor.rgb or (), colours, strict=True))


def note(name: str, recognised: Recognised, picture: ShownPicture, true_colour: TrueColour | None) -> str:
    """What was taken for granted of a picture, for whoever asked about it."""
    why = "nothing in it says what its numbers measure" if recognised.by != "as given" else "as given"
    changed = f" ({'; '.join(picture.changed)})" if picture.changed else ""
    manner = f"; {true_colour.manner(recognised.sensor)}" if true_colour else ""
    what = "a display picture" if recognised.sensor is PICTURE else f"a display picture, {recognised.sensor.name}"
    return f"{name}: taken as {what} ({why}): its colours as a viewer shows them{changed}{manner}."
