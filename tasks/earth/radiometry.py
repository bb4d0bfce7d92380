"""From the numbers of a file to physical values: reflectance, or dB for radar.

What the numbers are is taken from what is declared, else from their type and range, and never guessed where two
readings are possible. EarthDial takes 8-bit renderings of radar for dB: its whole image lands within 0.17 standard
deviations (spec, section 2).
"""

from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from tasks.core.errors import EarthloomError
from tasks.earth.sensors import DISPLAY

REFLECTANCE = (-0.05, 1.6)
"""Where the median of every reflective band of real ground lies."""
DECIBEL = (-60.0, 15.0)
"""Where the median backscatter of real ground lies: from calm water below the noise floor to a dense city."""
DARKEST = -60.0
"""Power below this many dB is clipped to it: interpolation near an image's edge leaves numbers of 1e-20."""
SURELY_DECIBEL = -1.0
"""Power is never below, even where the subtraction of noise has made some of it negative."""
POWER, AMPLITUDE = ("power", "linear"), "amplitude"
RADAR_UNITS = ("dB", *POWER, AMPLITUDE)
KELVIN = (150.0, 360.0)
"""Where the median temperature of real ground and cloud tops lies."""
BOUNDS = {"reflectance": REFLECTANCE, "dB": DECIBEL, "kelvin": KELVIN}
"""Of the median of real ground, by unit."""
LOOKED_AT = 150_000
"""Pixels of a plane of whole numbers by which it is judged, about."""
UNITS = {
    "db": "dB", "decibel": "dB", "decibels": "dB", "power": "power", "intensity": "power", "natural": "power",
    "linear": "linear", "linear power": "linear", "amplitude": "amplitude", "magnitude": "amplitude",
    "k": "kelvin", "kelvin": "kelvin", "degk": "kelvin", "1": None, "": None, "none": None, "unitless": None,
}  # fmt: skip
"""Spellings of units -> their names here."""
HOW = "(`--scale`, `--offset`, `--unit`; of a STAC item `raster:bands`)"


class RadiometryError(EarthloomError):
    """Numbers that are not what they should be, or that could be two things."""


@dataclass(frozen=True)
class Stored:
    """What is declared of stored numbers: number * scale + offset is in `unit`."""

    scale: float = 1.0
    offset: float = 0.0
    unit: str | None = None
    """One of `RADAR_UNITS` for radar; None where nothing is declared."""
    how: str = HOW
    """Where it can be declared, for errors."""


def canonical_unit(unit: Any) -> str | None:
    """A unit as catalogs spell it, by the name it has here; None where it says nothing of radar or temperature."""
    if unit is None:
        return None
    return UNITS.get(str(unit).strip().lower(), str(unit).strip())


def to_physical(
    values: NDArray[Any],
    valid: NDArray[np.bool_],
    stored: Stored,
    unit: str,
    what: str,
) -> NDArray[np.float32]:
    """Physical values, float32, NaN where not valid.

    Radar is in dB as declared; undeclared floating-point numbers are power if none is negative and dB if at least half
    are below -1, which power cannot be. Power that is not positive has no dB and becomes NaN, power below `DARKEST`
    is clipped to it.

    Args:
        values: numbers as stored, [height, width].
        valid: which of them are.
        stored: what is declared of them.
        unit: of the sensor: reflectance, dB, or display values, which stay what they are.
        what: they are of, for errors.

    Raises:
        RadiometryError: their type, unit or range cannot be that of the sensor, or nothing says what they are.
    """
    require_declared(values, valid, stored, unit, what)
    # In float32 throughout, as chips are read: a block in float64 would take twice the memory.
    physical = values.astype(np.float32) * np.float32(stored.scale) + np.float32(stored.offset)
    valid = valid & np.isfinite(physical)
    if unit == "dB":
        physical, valid = _decibel(physical, valid, stored, what)
    return np.where(valid, physical, np.float32(np.nan)).astype(np.float32)


def keeps_numbers(dtype: np.dtype[Any], stored: Stored, unit: str) -> bool:
    """Whether chips hold the numbers themselves: whole, of 16 bits at most, a scale and an offset from their values."""
    return dtype.kind in "iu" and dtype.itemsize <= 2 and (unit != "dB" or stored.unit == "dB")


def require_declared(values: NDArray[Any], valid: NDArray[np.bool_], stored: Stored, unit: str, what: str) -> None:
    """Refuse numbers of which nothing says what they are; arguments as of `to_physical`.

    Raises:
        RadiometryError: says what must be declared.
    """
    if values.dtype.kind not in "iuf":
        raise RadiometryError(
            f"{what}: its numbers are {values.dtype}; {unit} is needed as integers with a scale, or as floats"
        )
    if unit == "reflectance":
        _refuse_radar_units(stored, what)
    if values.dtype.kind == "f":
        return
    unscaled = (stored.scale, stored.offset) == (1.0, 0.0)
    if unit == "reflectance" and unscaled:
        raise RadiometryError(
            f"{what}: {_found(values, valid)} without a scale; declare what a step is as reflectance {stored.how}: "
            "0.0001 for most products of Sentinel-2"
        )
    if unit == "kelvin" and unscaled:
        raise RadiometryError(f"{what}: {_found(values, valid)} without a scale; declare kelvin a step {stored.how}")
    if unit == "dB" and stored.unit is None:
        raise RadiometryError(
            f"{what}: {_found(values, valid)} are not known to be dB, power or amplitude; declare unit, scale and "
            f"offset {stored.how}: 8-bit numbers that show -25 to 0 dB have unit dB, scale {25 / 255:.5f}, offset "
            "-25"
        )


def _refuse_radar_units(stored: Stored, what: str) -> None:
    if stored.unit in ("dB", AMPLITUDE, "power"):
        raise RadiometryError(f"{what}: its unit is {stored.unit}, which is radar's; the sensor's is reflectance")


def _decibel(
    numbers: NDArray[np.float32], valid: NDArray[np.bool_], stored: Stored, what: str
) -> tuple[NDArray[np.float32], NDArray[np.bool_]]:
    """dB of scaled numbers, and which of them have any."""
    unit = stored.unit or _recognised(numbers[valid], stored.how, what)
    if unit not in RADAR_UNITS:
        raise RadiometryError(f"{what}: its unit is '{unit}'; radar is needed as {', '.join(RADAR_UNITS)} {stored.how}")
    if unit == "dB":
        return numbers, valid
    positive = valid & (numbers > 0)
    # One in place of what has no logarithm: it is masked, and a warning for each window would say nothing.
    decibel = 10 * np.log10(np.where(positive, numbers, np.float32(1)), dtype=np.float32)
    # Amplitude is the root of power, so 20 log10 of it.
    return np.maximum(decibel * 2 if unit == AMPLITUDE else decibel, np.float32(DARKEST)), positive


def _recognised(numbers: NDArray[np.float32], how: str, what: str) -> str:
    """power or dB, from the range of the numbers."""
    # dB of real ground is negative nearly everywhere, power nowhere before noise is subtracted from it.
    if not numbers.size or numbers.min() >= 0:
        return "power"
    median = float(np.median(numbers))
    if median < SURELY_DECIBEL:
        return "dB"
    raise RadiometryError(
        f"{what}: numbers of {numbers.min():.4g} to {numbers.max():.4g} (median {median:.4g}) could be dB or power "
        f"with its noise subtracted; declare the unit {how}"
    )


def check_numbers(values: NDArray[Any], valid: NDArray[np.bool_], stored: Stored, unit: str, what: str) -> None:
    """The same of whole numbers as they are stored, without making values of them all.

    Args:
        values: numbers, [height, width]; of many every second row or more is looked at.
        valid: which of them are.
        stored: what is declared of them.
        unit: their values have.
        what: they are of, for errors.

    Raises:
        RadiometryError: as of `check_plausible`.
    """
    bounds = BOUNDS.get(unit)
    if bounds is None and (unit != DISPLAY or values.dtype == np.uint8):
        return
    step = max(1, values.size // LOOKED_AT) if bounds is not None else 1
    values, valid = values[::step], valid[::step]
    if bounds is not None and stored.scale > 0:
        limits = np.iinfo(values.dtype)
        low, high = (
            int(np.clip(round_((bound - stored.offset) / stored.scale), limits.min, limits.max))
            for bound, round_ in zip(bounds, (np.ceil, np.floor), strict=True)
        )
        inside = (values >= low) & (values <= high) & valid
        # Where most numbers lie within the bounds, so does the one in their middle.
        if 2 * np.count_nonzero(inside) > np.count_nonzero(valid):
            return
    physical = values[valid].astype(np.float32) * np.float32(stored.scale) + np.float32(stored.offset)
    check_plausible(physical, stored, unit, what)


def check_plausible(physical: NDArray[np.float32], stored: Stored, unit: str, what: str) -> None:
    """Refuse what real ground cannot be: the sign of an offset applied twice, of a wrong scale or unit.

    Raises:
        RadiometryError: the median is out of range, or a display value lies outside 0 to 255.
    """
    # The median: clouds, glint and corner reflectors go far beyond, on any scene.
    values = physical[np.isfinite(physical)]
    if not values.size:
        return
    if unit == DISPLAY and not (values.min() >= 0 and values.max() <= 255):
        raise RadiometryError(f"{what}: {values.min():.4g} to {values.max():.4g}; display values lie in 0 to 255")
    bounds = BOUNDS.get(unit)
    median = float(np.median(values))
    if bounds is not None and not bounds[0] <= median <= bounds[1]:
        raise RadiometryError(
            f"{what}: median {unit} is {median:.3f} with scale {stored.scale} and offset {stored.offset}"
            + (f" and unit {stored.unit or 'not declared'}" if unit == "dB" else "")
            + f"; real ground lies in {bounds[0]} to {bounds[1]}, so its metadata cannot be right. Declare them "
            f"{stored.how}"
        )


def _found(values: NDArray[Any], valid: NDArray[np.bool_]) -> str:
    """The numbers, as an error tells them."""
    held = values[valid]
    bounds = f" from {held.min()} to {held.max()}" if held.size else ""
    return f"{8 * values.dtype.itemsize}-bit numbers ({values.dtype}){bounds}"
