"""Reading assets onto the global grid: each source pixel is sampled at most once per read."""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import rasterio
import rasterio.errors
from numpy.typing import NDArray
from rasterio.enums import Resampling
from rasterio.transform import Affine
from rasterio.windows import Window

from tasks.core.errors import SceneError
from tasks.earth import sampling
from tasks.earth.assets import Asset
from tasks.earth.faults import fault
from tasks.earth.open_files import GDAL as GDAL
from tasks.earth.open_files import OpenAsset as OpenAsset
from tasks.earth.open_files import open_asset as open_asset
from tasks.earth.open_files import open_bands as open_bands
from tasks.earth.open_files import opened_bands as opened_bands
from tasks.earth.radiometry import RadiometryError, Stored, to_physical
from tasks.earth.sentinel1 import Annotation

STRIP = 512
"""Rows of a file that means are made of at a time."""


@dataclass(frozen=True)
class TargetGrid:
    """A north-up grid in the metres of a zone that pixels are read onto."""

    epsg: int
    left: float
    top: float
    gsd: float
    width: int
    height: int

    @property
    def transform(self) -> Affine:
        """Affine from (column, row) to metres."""
        return Affine(self.gsd, 0, self.left, 0, -self.gsd, self.top)

    def grown(self, pixels: int) -> "TargetGrid":
        """The same grid with so many pixels more on each side."""
        metres = pixels * self.gsd
        width, height = self.width + 2 * pixels, self.height + 2 * pixels
        return TargetGrid(self.epsg, self.left - metres, self.top + metres, self.gsd, width, height)


def read_onto(opened: OpenAsset, target: TargetGrid, codes: bool = False) -> tuple[NDArray[Any], NDArray[np.bool_]]:
    """One band on the pixels of `target`.

    A file whose pixels lie on those of the target is sampled to them. Everything else (another CRS, ground control
    points, another phase of the grid) is interpolated bilinearly, or for codes sampled to the nearest pixel: a code is
    a name, and has nothing between it and the next.

    Args:
        opened: the band.
        target: the pixels wanted.
        codes: whether its numbers are classes or bits.

    Returns:
        Numbers as stored, [height, width], of the file's type (float32 where an annotation makes power of them), and
        which of them are valid.

    Raises:
        SceneError: the bytes behind the pixels are missing or corrupt.
        UnreachableError: the server does not give them just now.
    """
    return read_bands_onto([opened], target, codes)[0]


def read_bands_onto(
    bands: Sequence[OpenAsset], target: TargetGrid, codes: bool = False
) -> list[tuple[NDArray[Any], NDArray[np.bool_]]]:
    """Bands of one file on the pixels of `target`, read together: a block that holds them all is decoded once.

    See `read_onto`.
    """
    opened = bands[0]
    shift, affine = opened.place.shift_on_axes(target.epsg), opened.place.affine
    try:
        if shift is not None and affine is not None:
            x = target.left + (np.arange(target.width) + 0.5) * target.gsd
            y = target.top + shift - (np.arange(target.height) + 0.5) * target.gsd
            columns, rows = (x - affine.c) / affine.a, (y - affine.f) / affine.e
            return _on_axes(bands, columns, rows, codes)
        columns, rows = opened.place.under(
            target.epsg,
            lambda column: target.left + column * target.gsd,
            lambda row: target.top - row * target.gsd,
            (target.height, target.width),
        )
        return _scattered(bands, columns, rows, codes)
    except rasterio.errors.RasterioError as error:
        raise fault(error, opened.where, opened.dataset.name) from error


def _on_axes(
    bands: Sequence[OpenAsset], columns: NDArray[np.float64], rows: NDArray[np.float64], codes: bool
) -> list[sampling.Sampled]:
    """Pixels at each row and each column, both counted from the corner of the file's first pixel."""
    place = bands[0].place
    exact = codes or (sampling.on_pixels(columns) and sampling.on_pixels(rows))
    window = sampling.window(columns, rows, place.width, place.height, 0 if exact else 1)
    if window is None:
        return _nothing(bands, (len(rows), len(columns)))
    columns, rows = columns - window.col_off, rows - window.row_off
    sample = sampling.nearest_on_axes if exact else sampling.bilinear_on_axes
    return [sample(values, valid, columns, rows) for values, valid in _read(bands, window)]


def _scattered(
    bands: Sequence[OpenAsset], columns: NDArray[np.float64], rows: NDArray[np.float64], codes: bool
) -> list[sampling.Sampled]:
    """Pixels at places of their own each, [height, width]."""
    place = bands[0].place
    window = sampling.window(columns, rows, place.width, place.height, 1)
    if window is None:
        return _nothing(bands, rows.shape)
    # A file much finer than the target: as many of its pixels as are wanted, from its overviews where it has any.
    step = sampling.step(columns, rows)
    window = sampling.whole(window, step, place.width, place.height)
    shape = max(1, window.height // step), max(1, window.width // step)
    columns = (columns - window.col_off) / (window.width / shape[1])
    rows = (rows - window.row_off) / (window.height / shape[0])
    sample = sampling.nearest if codes else sampling.bilinear
    return [sample(values, valid, columns, rows) for values, valid in _read(bands, window, step, codes)]


def _nothing(bands: Sequence[OpenAsset], shape: tuple[int, ...]) -> list[sampling.Sampled]:
    return [(np.zeros(shape, opened.dtype), np.zeros(shape, dtype=bool)) for opened in bands]


def _read(
    bands: Sequence[OpenAsset], window: Window, step: int = 1, codes: bool = True
) -> Iterator[tuple[NDArray[Any], NDArray[np.bool_]]]:
    """A window of the file, every `step`-th pixel or the means around them, and which pixels hold a measurement."""
    opened = bands[0]
    shape = (max(1, window.height // step), max(1, window.width // step))
    if step > 1 and not codes and opened.averaged_here:
        yield from _means(bands, window, step)
        return
    how = {"window": window, "out_shape": shape} if step > 1 else {"window": window}
    how["resampling"] = Resampling.nearest if codes else Resampling.average
    if opened.annotation is not None:
        yield from (_calibrated(one, one.annotation, window, step) for one in bands if one.annotation)
        return
    alpha = opened.alpha
    numbers = [one.band for one in bands] + ([alpha] if alpha else [])
    stack = opened.dataset.read(numbers, **_stacked(how, len(numbers)))
    there = stack[-1] > 0 if alpha else None
    if opened.asset.no_data_in_all:
        measured = [_valid(one, values, how) for one, values in zip(bands, stack, strict=False)]
        some = np.logical_or.reduce(measured)
        there = some if there is None else some & there
    for one, values in zip(bands, stack, strict=False):
        valid = there if one.asset.no_data_in_all and there is not None else _valid(one, values, how)
        yield values, valid if there is None else valid & there


def _means(bands: Sequence[OpenAsset], window: Window, step: int) -> Iterator[tuple[NDArray[Any], NDArray[np.bool_]]]:
    """Means of `step` x `step` pixels of a window, of those that hold a measurement by our own reading of the file."""
    height, width = max(1, window.height // step), max(1, window.width // step)
    down, across = min(step, window.height), min(step, window.width)
    means = np.zeros((len(bands), height, width), bands[0].dtype)
    valid = np.zeros((len(bands), height, width), dtype=bool)
    strip = max(1, STRIP // down)
    for top in range(0, height, strip):
        count = min(strip, height - top)
        part = Window(window.col_off, window.row_off + top * down, width * across, count * down)
        for index, (values, there) in enumerate(_read(bands, part)):
            shape = (count, down, width, across)
            held = there.reshape(shape).sum(axis=(1, 3))
            total = np.where(there, values, 0).reshape(shape).sum(axis=(1, 3), dtype=np.float64)
            mean = total / np.maximum(held, 1)
            means[index, top : top + count] = np.rint(mean) if means.dtype.kind in "iu" else mean
            valid[index, top : top + count] = held > 0
    yield from zip(means, valid, strict=True)


def _stacked(how: dict[str, Any], count: int) -> dict[str, Any]:
    return {**how, "out_shape": (count, *how["out_shape"])} if "out_shape" in how else how


def _calibrated(
    opened: OpenAsset, annotation: Annotation, window: Window, step: int
) -> tuple[NDArray[Any], NDArray[np.bool_]]:
    """Power of a window of a radar's counts, means of `step` x `step` of them, and where there is any."""
    reach = annotation.reach(window)
    counts = opened.dataset.read(opened.band, window=reach)
    power = annotation.power(counts, reach.row_off, reach.col_off)
    power[~_valid(opened, counts, {"window": reach})] = np.nan
    top, left = window.row_off - reach.row_off, window.col_off - reach.col_off
    power = power[top : top + window.height, left : left + window.width]
    if step > 1:
        height, width = max(1, window.height // step), max(1, window.width // step)
        power = power[: height * step, : width * step]
        blocks = power.reshape(height, power.shape[0] // height, width, power.shape[1] // width)
        there = np.isfinite(blocks)
        total = np.where(there, blocks, 0).sum(axis=(1, 3))
        power = (total / np.maximum(there.sum(axis=(1, 3)), 1)).astype(np.float32)
        return power, np.asarray(there.any(axis=(1, 3)))
    return power, np.isfinite(power)


def _valid(opened: OpenAsset, values: NDArray[Any], how: dict[str, Any]) -> NDArray[np.bool_]:
    """Which numbers are measurements, by the file's mask, the file's value, or the item's; never the fill value."""
    valid: NDArray[np.bool_] = np.isfinite(values) if values.dtype.kind == "f" else np.ones(values.shape, dtype=bool)
    numbers = []
    if opened.masked:
        valid &= opened.dataset.read_masks(opened.band, **how) > 0
    else:
        numbers.append(opened.nodata if _occurs(opened.nodata, values.dtype) else opened.asset.nodata)
    if values.dtype.kind != "f":
        # A sensor's fill is none of its measurements, also where something else is declared to be no data.
        numbers.append(opened.asset.fill)
    for number in dict.fromkeys(numbers):
        if _occurs(number, values.dtype):
            valid &= values != values.dtype.type(number)
    return valid


def _occurs(value: float | None, dtype: np.dtype[Any]) -> bool:
    """Whether a number can be among those of a type: -9999 is none of uint16, and NaN is no data anyhow."""
    if value is None or not np.isfinite(value):
        return False
    if dtype.kind == "f":
        return True
    return bool(value == int(value) and np.iinfo(dtype).min <= value <= np.iinfo(dtype).max)


def stored_of(asset: Asset, dtype: np.dtype[Any], power: bool = False) -> Stored:
    """What is known of an asset's numbers of a type; `power`: an annotation has made linear power of them."""
    if power:
        return Stored(unit="power")
    if asset.assumed and dtype.kind == "f":
        return Stored(unit=asset.unit)  # floats are physical already; a product's scale is that of its whole numbers
    return asset.stored


def calibrate(
    values: NDArray[Any], valid: NDArray[np.bool_], asset: Asset, unit: str, power: bool = False
) -> NDArray[np.float32]:
    """Physical values of an asset's numbers as `tasks.earth.radiometry` reads them, NaN where not valid.

    Args:
        values: numbers as stored, [height, width].
        valid: which of them are.
        asset: their scale, offset and unit.
        unit: what chips hold the band in: reflectance, dB or kelvin.
        power: whether an annotation has made linear power of them.

    Raises:
        SceneError: the numbers cannot be what the item says, or could be two things.
    """
    what, stored = f"scene {asset.item_id}, asset {asset.key}", stored_of(asset, values.dtype, power)
    try:
        return to_physical(values, valid, stored, unit, what)
    except RadiometryError as error:
        raise SceneError("radiometry", str(error)) from error
