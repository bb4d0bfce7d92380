"""What is held of an entry of `sensors.toml` beyond the types of its fields, so that a slip is named and not run."""

import re
from collections import Counter
from collections.abc import Iterable, Mapping
from fractions import Fraction
from typing import TYPE_CHECKING

from pydantic import ValidationError

from tasks.core.errors import ParamsError

if TYPE_CHECKING:
    from tasks.earth.sensors import Sensor

UNITS = ("reflectance", "dB", "dn8")
"""Units that scenes are calibrated to."""
MASKS_IN_FILES = ("scl", "qa_pixel", "udm2")


def check(sensor: "Sensor") -> None:
    """Hold one sensor's fields against each other.

    Raises:
        ValueError: says which field is wrong, and why.
    """
    if bool(sensor.bands) == bool(sensor.cube):
        raise ValueError("bands: they are listed here, or read from each `cube`: one of the two")
    _once("bands: name", (band.name for band in sensor.bands))
    _once("bands: common_name", (band.common_name for band in sensor.bands))
    _once("bands: other_names", (alias for band in sensor.bands for alias in dict.fromkeys(map(_fold, band.aliases))))
    known = {band.name for band in sensor.bands}
    named = {name for generation in sensor.generations for name in generation.names}
    unknown = sorted((named | {name for pair in sensor.polarisations for name in pair}) - known)
    if unknown:
        raise ValueError(f"generations or polarisations: {', '.join(unknown)} is none of the bands {sorted(known)}")
    share = Fraction(sensor.window_cells).limit_denominator(1000)
    if sensor.window_cells <= 0 or 1 not in (share.numerator, share.denominator):
        raise ValueError("window_cells: a whole number of cells, or a whole part of one such as 0.5, 0.25 or 0.1")
    if sensor.mask in MASKS_IN_FILES and not sensor.mask_aliases:
        raise ValueError(f"mask_aliases: the asset keys of the mask '{sensor.mask}' are needed")
    if sensor.mask not in MASKS_IN_FILES and sensor.mask_aliases:
        raise ValueError(f"mask: the layout of {', '.join(sensor.mask_aliases)} is needed: {', '.join(MASKS_IN_FILES)}")
    if sensor.mask == "luminance" and not (sensor.unit == "dn8" and sensor.rgb):
        raise ValueError("mask: luminance is that of red, green and blue of unit dn8, which the entry has not")
    if (sensor.rgb_tag or sensor.rgb_dates_tag) and not (sensor.rgb or sensor.cube):
        raise ValueError("rgb_tag: no bands have the common names red, green and blue")


def check_table(sensors: Mapping[str, "Sensor"], table: str) -> None:
    """Hold the sensors of a table against each other.

    Raises:
        ParamsError: names the sensor, the field and what is wrong.
    """
    seen: dict[str, str] = {}
    for name, sensor in sensors.items():
        if not re.fullmatch(r"[a-z0-9][a-z0-9-]*", name):
            raise ParamsError(f"{table}: sensor '{name}': its name is in paths: small letters, digits and hyphens")
        if sensor.unit not in UNITS:
            raise ParamsError(f"{table}: sensor '{name}': unit: '{sensor.unit}' is none of {', '.join(UNITS)}")
        for tag in sensor.tags:
            if tag in seen:
                raise ParamsError(f"{table}: sensor '{name}': tag {tag} is that of {seen[tag]} already")
            seen[tag] = name


def explain(error: ValidationError | TypeError) -> str:
    """What is wrong with an entry, on one line."""
    if not isinstance(error, ValidationError):
        return str(error)
    lines = []
    for detail in error.errors():
        where, why = ".".join(map(str, detail["loc"])), detail["msg"].removeprefix("Value error, ")
        lines.append(f"{where}: {why}" if where else why)
    return "; ".join(lines)


def _once(what: str, names: Iterable[str]) -> None:
    twice = [name for name, count in Counter(map(_fold, names)).items() if count > 1]
    if twice:
        raise ValueError(f"{what}: {', '.join(twice)} stands for two bands")


def _fold(name: str) -> str:
    return name.lower()
