"""Which sensor took an image, which of its bands the file holds, and when: from what the file says of itself.

A guess that could be wrong is not made: an image that could be of two sensors is an error that says how to name
the right one.
"""

import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path

from tasks.core.errors import EarthloomError
from tasks.earth.display_sensors import ALL, PICTURE
from tasks.earth.sensors import SENSORS, Product, Sensor
from tasks.vlm.doors import FLAGS, Door


class ImageError(EarthloomError):
    """An image that cannot be shown to the model: which one, why, and what would help."""


class UnknownSensorError(ImageError):
    """Nothing tells which sensor took an image, or what tells contradicts itself."""


@dataclass(frozen=True)
class FileMetadata:
    """What an image file says of itself."""

    name: str
    """Of the file, without folders."""
    bands: tuple[str, ...]
    """Description of each band; empty where there is none."""
    tags: Mapping[str, str]
    """Of the file and of its first band."""
    gsd: float | None
    """Metres a pixel; None where the file does not say."""


@dataclass(frozen=True)
class Recognised:
    """A sensor, and which of its bands stands at each place of the file."""

    sensor: Sensor
    bands: tuple[str, ...]
    """By place in the file; empty for a band that is not the sensor's."""
    by: str
    """How it was recognised, for people."""


PLATFORMS = {
    sensor.name: re.compile(sensor.platforms, re.IGNORECASE) for sensor in SENSORS.values() if sensor.platforms
}
SPEAKING_TAGS = re.compile(r"sensor|spacecraft|satellite|platform|constellation|mission|product|imagedescription|scene")
DATE_TAGS = ("acquisition", "sensing", "date_acquired", "start_datetime", "datetime", "start_time", "date")
DATES = re.compile(r"(?<!\d)((?:19|20)\d\d)[-:/]?([01]\d)[-:/]?([0-3]\d)(?:[T _]?([0-2]\d):?([0-5]\d):?([0-5]\d))?")


def recognise(file: FileMetadata, sensor: str | None = None, door: Door = FLAGS) -> Recognised:
    """The sensor of a file, from its band names, its tags, its name and at last the number of its bands.

    Args:
        file: what the file says.
        sensor: its name where the user gives it; the bands are then only looked for in that one.
        door: where the user stands, for errors.

    Raises:
        UnknownSensorError: there is no such sensor, or none or several fit.
        ImageError: the bands cannot be distinguished.
    """
    if sensor is not None:
        if sensor not in ALL:
            raise UnknownSensorError(f"there is no sensor '{sensor}'; known: {', '.join(ALL)}")
        return Recognised(ALL[sensor], _bands(file, ALL[sensor]), "as given")
    named = platforms(file)
    if len(named) == 1:
        return Recognised(SENSORS[named[0]], _bands(file, SENSORS[named[0]]), "by its metadata")
    fitting = [one for one in SENSORS.values() if one.known_by_names and all(_by_names(file.bands, one))]
    if len(fitting) > 1 and file.gsd is not None:
        fitting = [known for known in fitting if abs(file.gsd - known.gsd) < known.gsd / 4]
    if len(fitting) == 1:
        return Recognised(fitting[0], _by_names(file.bands, fitting[0]), "by its band names")
    counted = [known for known in SENSORS.values() if known.known_by_count and _by_count(len(file.bands), known)]
    if not any(file.bands) and len(counted) == 1:
        return Recognised(counted[0], _bands(file, counted[0]), f"by its {len(file.bands)} bands")
    described = ", ".join(filter(None, file.bands)) or "without names"
    candidates = named or [known.name for known in fitting]
    either = f"it could be of {' or '.join(candidates)}" if candidates else "nothing says so"
    raise UnknownSensorError(
        f"{file.name}: its sensor is not known, {either} ({len(file.bands)} bands: {described}). Say which it is "
        f"({door.sensor}): {', '.join(SENSORS)}; or {PICTURE.name} for a picture of which only the colours matter"
    )


def polarisation_in(name: str) -> str:
    """The one polarisation that the name of a file speaks of, as of a radar's file of one band; empty if none."""
    words = {word.upper() for word in re.split(r"[^A-Za-z0-9]+", Path(name).stem)}
    flown = {band for sensor in SENSORS.values() for pair in sensor.polarisations for band in pair}
    return next(iter(words & flown)) if len(words & flown) == 1 else ""


def platforms(file: FileMetadata) -> list[str]:
    """The sensors that the name and the tags of a file speak of."""
    return sorted({name for text in _texts(file) for name, pattern in PLATFORMS.items() if pattern.search(text)})


def product_of(file: FileMetadata, sensor: Sensor, band: str) -> Product | None:
    """The product that the name or the tags of a file speak of, if it says alone what whole numbers of a band mean.

    A sensor whose products have an offset since some baseline is left out: no name says whether pixels have it.
    """
    if sensor.offset_from_baseline is not None:
        return None
    unit = sensor.unit_of(band)
    fitting = (one for one in sensor.products if (one.unit or sensor.unit) == unit and one.scale != 1)
    return next((one for one in fitting if any(re.search(one.ids, text, re.IGNORECASE) for text in _texts(file))), None)


def _texts(file: FileMetadata) -> list[str]:
    return [file.name, *(value for key, value in file.tags.items() if SPEAKING_TAGS.search(key.lower()))]


def _by_names(described: Sequence[str], sensor: Sensor) -> tuple[str, ...]:
    """The sensor's band at each place by its description; empty where it is not one of them."""
    found = tuple(sensor.band_called(text) or "" for text in described)
    return found if len(set(filter(None, found))) == len([name for name in found if name]) else ("",) * len(found)


def _by_count(count: int, sensor: Sensor) -> tuple[str, ...] | None:
    """All bands, those in the sensor's unit, or those that every product has; None where a file has as many as none."""
    orders = (sensor.band_names, sensor.file_order, sensor.required_bands)
    return next((tuple(names) for names in orders if len(names) == count), None)


def _bands(file: FileMetadata, sensor: Sensor) -> tuple[str, ...]:
    """The bands of a file whose sensor is known: by name, or by their number where only one order is possible."""
    if sensor.cube:
        raise ImageError(
            f"{file.name}: {sensor.name} is hyperspectral, and no model here takes bands that differ by file; "
            "cut bands that another sensor has out of it"
        )
    named = _by_names(file.bands, sensor)
    if any(named):
        return named
    everything, count = tuple(sensor.file_order), len(file.bands)
    if counted := _by_count(count, sensor):
        return counted
    if sensor.rgb is not None and count == len(sensor.rgb):
        return sensor.rgb
    shown = ", ".join(filter(None, file.bands)) or "none has a name"
    raise ImageError(
        f"{file.name}: its {count} band{'s' if count > 1 else ''} cannot be told apart ({shown}). A file of "
        f"{sensor.name} needs band descriptions out of {', '.join(everything)}, or exactly {len(everything)} bands in "
        f"that order{', or three: red, green, blue' if sensor.rgb else ''}; `gdal_edit.py -set_band_desc`, or "
        "rasterio's `descriptions`, write them"
    )


def acquired(file: FileMetadata) -> datetime | None:
    """When the image was taken, from acquisition tags, then its name, then TIFF's own date; None if nothing says."""
    tags = {key.lower(): value for key, value in file.tags.items()}
    ordered = [value for wanted in DATE_TAGS for key, value in tags.items() if wanted in key and "tifftag" not in key]
    for text in (*ordered, file.name, tags.get("tifftag_datetime", "")):
        found = read_date(text)
        if found is not None:
            return found
    return None


def read_date(text: str) -> datetime | None:
    """The first date in a text, in UTC: 2017-02-16, 20170216T102101, 2017:02:16 10:21:01."""
    for match in DATES.finditer(text):
        year, month, day, hour, minute, second = (int(part or 0) for part in match.groups())
        try:
            return datetime(year, month, day, hour, minute, second, tzinfo=UTC)
        except ValueError:
            continue
    return None
