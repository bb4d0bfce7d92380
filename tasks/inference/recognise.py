"""Which sensor took an image, which of its bands the file holds, and when: from what the file says of itself.

A guess that could be wrong is not made: an image that could be of two sensors is an error that says how to name
the right one.
"""

import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime

from tasks.core.errors import EarthloomError
from tasks.core.imported_sensors import IMPORTED
from tasks.core.sensors import LANDSAT, SENSORS, SENTINEL_1, SENTINEL_2, Sensor


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


PATTERNS = {
    SENTINEL_2.name: re.compile(r"sentinel[-_ ]?2|(?<![a-z0-9])s2[a-d](?![a-z0-9])", re.IGNORECASE),
    SENTINEL_1.name: re.compile(r"sentinel[-_ ]?1|(?<![a-z0-9])s1[a-d](?![a-z0-9])", re.IGNORECASE),
    LANDSAT.name: re.compile(r"landsat[-_ ]?[89]|(?<![a-z0-9])l[co]0?[89](?![a-z])", re.IGNORECASE),
}
SPEAKING_TAGS = re.compile(r"sensor|spacecraft|satellite|platform|constellation|mission|product|imagedescription|scene")
COUNTS = {12: "B10"}
"""Bands of a file of Sentinel-2 -> the one that is not among them, as in level 2A."""
DATE_TAGS = ("acquisition", "sensing", "date_acquired", "start_datetime", "datetime", "start_time", "date")
DATES = re.compile(r"(?<!\d)((?:19|20)\d\d)[-:/]?([01]\d)[-:/]?([0-3]\d)(?:[T _]?([0-2]\d):?([0-5]\d):?([0-5]\d))?")


def recognise(file: FileMetadata, sensor: str | None = None) -> Recognised:
    """The sensor of a file, from its band names, its tags, its name and at last the number of its bands.

    Args:
        file: what the file says.
        sensor: its name where the user gives it; the bands are then only looked for in that one.

    Raises:
        UnknownSensorError: there is no such sensor, or none or several fit.
        ImageError: the bands cannot be told apart.
    """
    if sensor is not None:
        given = {**SENSORS, **IMPORTED}.get(sensor)
        if given is None:
            raise UnknownSensorError(f"there is no sensor '{sensor}'; known: {', '.join([*SENSORS, *IMPORTED])}")
        return Recognised(given, _bands(file, given), "as given")
    told = sorted({name for text in _texts(file) for name, pattern in PATTERNS.items() if pattern.search(text)})
    if len(told) == 1:
        return Recognised(SENSORS[told[0]], _bands(file, SENSORS[told[0]]), "by its metadata")
    fitting = [known for known in SENSORS.values() if all(_by_names(file.bands, known))]
    if len(fitting) > 1 and file.gsd is not None:
        fitting = [known for known in fitting if abs(file.gsd - known.gsd) < known.gsd / 4]
    if len(fitting) == 1:
        return Recognised(fitting[0], _by_names(file.bands, fitting[0]), "by its band names")
    if not any(file.bands) and len(file.bands) in (len(SENTINEL_2.bands), *COUNTS):
        return Recognised(SENTINEL_2, _bands(file, SENTINEL_2), f"by its {len(file.bands)} bands")
    named = ", ".join(filter(None, file.bands)) or "without names"
    candidates = told or [known.name for known in fitting]
    either = f"it could be of {' or '.join(candidates)}" if candidates else "nothing says so"
    raise UnknownSensorError(
        f"{file.name}: its sensor is not known, {either} ({len(file.bands)} bands: {named}). Say which it is "
        f"(`--sensor`, or `sensor` beside the image's `url`): {', '.join(SENSORS)}"
    )


def _texts(file: FileMetadata) -> list[str]:
    return [file.name, *(value for key, value in file.tags.items() if SPEAKING_TAGS.search(key.lower()))]


def _by_names(described: Sequence[str], sensor: Sensor) -> tuple[str, ...]:
    """The sensor's band at each place by its description; empty where it is not one of them."""
    aliases = {alias.lower(): band.name for band in sensor.bands for alias in (*band.aliases, band.name)}
    if sensor is SENTINEL_2:  # Earth Engine and others write B4 for B04.
        aliases |= {f"b{int(band.name[1:])}": band.name for band in sensor.bands if band.name[1:].isdigit()}
    found = tuple(aliases.get(text.lower().strip(), "") for text in described)
    return found if len(set(filter(None, found))) == len([name for name in found if name]) else ("",) * len(found)


def _bands(file: FileMetadata, sensor: Sensor) -> tuple[str, ...]:
    """The bands of a file whose sensor is known: by name, or by their number where only one order is possible."""
    named = _by_names(file.bands, sensor)
    if any(named):
        return named
    everything, count = tuple(sensor.band_names), len(file.bands)
    if count == len(everything):
        return everything
    if sensor is SENTINEL_2 and count in COUNTS:
        return tuple(name for name in everything if name != COUNTS[count])
    if sensor is LANDSAT and count == len(everything) - 1:
        return everything[:-1]
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
