"""Pixels of windows that are read together: every band once, at its own resolution, checked, cut, as it is stored."""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any

import numpy as np
from numpy.typing import NDArray
from rasterio.transform import Affine

from tasks.core.errors import SceneError
from tasks.earth import geotiff
from tasks.earth.assets import Asset
from tasks.earth.blocks import Block
from tasks.earth.layers import Layer
from tasks.earth.radiometry import (
    RadiometryError,
    check_numbers,
    check_plausible,
    keeps_numbers,
    require_declared,
)
from tasks.earth.raster import TargetGrid, calibrate, stored_of
from tasks.earth.scene_reader import Numbers, OpenScene
from tasks.earth.sensors import Sensor

TOGETHER = 4 * 256**2
"""Pixels of a band that are made chips of together: what is made of them is held beside the numbers of a block."""


@dataclass(frozen=True)
class WindowLayer:
    """A layer of some windows of a block."""

    bands: tuple[str, ...]
    pixels: NDArray[Any]
    """[windows, bands, side, side]."""
    valid: NDArray[np.bool_] | None
    """Which of them are; None where all are, or where NaN tells."""
    scales: tuple[float, ...]
    offsets: tuple[float, ...]
    nodata: NDArray[np.float64]
    """[windows], a number that no valid pixel of the window holds; NaN of floats, and where all are held."""

    def of(self, window: int) -> Layer:
        """The layer of one window."""
        pixels, nodata = self.pixels[window], float(self.nodata[window])
        if pixels.dtype.kind in "iu" and np.isnan(nodata) and self.valid is not None:
            missing = ~self.valid[window]
            if missing.any():  # every number that its type has is a measurement somewhere: one that has more
                pixels = pixels.astype(np.int16 if pixels.dtype.itemsize == 1 else np.int32)
                nodata = float(np.iinfo(pixels.dtype).min)
                pixels[missing] = nodata
        return Layer(self.bands, pixels, self.scales, self.offsets, nodata)


@dataclass(frozen=True)
class BlockPixels:
    """The windows of a block."""

    bands: tuple[tuple[tuple[str, "_Band"], ...], ...]
    """Those that share a GSD and a type of number together, the finest first."""
    nodata_fraction: NDArray[np.float64]
    """[windows]: the share of pixels that lack some band; of a cube's bands those count that hold something."""
    side: int
    """Pixels along a side of a window at the finest resolution."""

    def parts(self) -> Iterator[tuple[int, int]]:
        """Windows that are made chips of together, from the one numbered first to before the last."""
        together = max(1, TOGETHER // self.side**2)
        count = len(self.nodata_fraction)
        return ((first, min(first + together, count)) for first in range(0, count, together))

    def layers(self, first: int, last: int) -> Iterator[list[Layer]]:
        """The layers of each window of a part."""
        layers = [_layer([(name, band.part(first, last)) for name, band in some]) for some in self.bands]
        return ([layer.of(window) for layer in layers] for window in range(last - first))


def read_block(opened: OpenScene, block: Block, sensor: Sensor) -> BlockPixels:
    """The pixels of a block's windows, of each band at the coarsest GSD of the sensor's that holds its own pixels.

    Raises:
        SceneError: a band cannot be read, or its numbers cannot be what the item says they are.
        UnreachableError: a server does not give them just now.
    """
    targets = {name: block.target(gsd) for name, gsd in gsds(opened, block, sensor).items()}
    numbers = opened.read(targets)
    finest = min(target.gsd for target in targets.values())
    count, side = len(block.columns), round(block.grid.size / finest)
    groups: dict[tuple[float, np.dtype[Any]], list[tuple[str, _Band]]] = {}
    holes: dict[int, NDArray[np.bool_]] = {}
    empty = np.ones(count, bool)
    for name, asset in opened.assets.items():
        band = _band(block, numbers.pop(name), asset, sensor.unit_of(name), f"scene {asset.item_id}, band {name}")
        groups.setdefault((targets[name].gsd, band.values.dtype), []).append((name, band))
        missing: NDArray[np.bool_] = np.zeros(count, bool)
        if band.valid is not None:
            own = ~band.valid
            if sensor.cube:
                # A band of absorbed light holds nothing anywhere; that is no hole in the others.
                missing = np.asarray(own.all(axis=(1, 2)))
                own &= ~missing[:, None, None]
            known = holes.setdefault(own.shape[-1], np.zeros(own.shape, bool))
            known |= own
        empty &= missing
    fraction = _share(holes, side, count)
    bands = tuple(tuple(groups[key]) for key in sorted(groups, key=lambda key: key[0]))
    return BlockPixels(bands, np.where(empty, 1.0, fraction), side)


def _share(holes: Mapping[int, NDArray[np.bool_]], side: int, count: int) -> NDArray[np.float64]:
    """Share of pixels with a hole in some plane, [windows], of planes [windows, own side, own side] by own side."""
    if not holes:
        return np.zeros(count)
    whole = np.zeros((count, side, side), bool)
    for own, plane in holes.items():
        whole |= plane if own == side else plane.repeat(side // own, 1).repeat(side // own, 2)
    return np.asarray(whole.mean(axis=(1, 2)))


def gsds(opened: OpenScene, block: Block, sensor: Sensor) -> dict[str, float]:
    """Metres a pixel at which each band is read: as its file has them, where they make up a window.

    A band of 60 m in a window of 640 m is read at 20 m. One that lies on another grid is interpolated, at the GSD of
    the sensor; the finest always is that.
    """
    size, pixels = block.grid.size, block.grid.pixels(sensor.gsd)
    known = sorted({sensor.gsd, *(band.gsd for band in sensor.bands)}, reverse=True)
    whole = [gsd for gsd in known if size % gsd == 0 and pixels % (size // gsd) == 0]
    found = {}
    for name in opened.assets:
        most = sensor.gsd if sensor.cube else sensor.band(name).gsd
        gsd = opened.gsd_of(name, block.grid.epsg, [gsd for gsd in whole if gsd <= most])
        found[name] = gsd or size / pixels
    least = min(found.values())
    return {name: size / pixels if gsd == least else gsd for name, gsd in found.items()}


def read_planes(
    opened: OpenScene, names: Sequence[str], target: TargetGrid, sensor: Sensor
) -> dict[str, NDArray[np.float32]]:
    """Calibrated pixels of bands on one grid, [height, width] each, NaN where there is no data.

    Raises:
        SceneError: a band cannot be read, or its numbers cannot be what the item says they are.
        UnreachableError: a server does not give them just now.
    """
    return {
        name: _physical(
            numbers, opened.assets[name], sensor.unit_of(name), f"scene {opened.assets[name].item_id}, band {name}"
        )
        for name, numbers in opened.read(dict.fromkeys(names, target)).items()
    }


@dataclass(frozen=True)
class _Band:
    """One band as it is stored: number * scale + offset."""

    values: NDArray[Any]
    """[windows, side, side]."""
    valid: NDArray[np.bool_] | None
    """None where all are."""
    scale: float
    offset: float
    nodata: tuple[float, ...]
    """Numbers that may stand for no data, the first at once where `sure`."""
    sure: bool

    def part(self, first: int, last: int) -> "_Band":
        """Of some of the windows, without a copy."""
        valid = None if self.valid is None else self.valid[first:last]
        return replace(self, values=self.values[first:last], valid=valid)


def _band(block: Block, numbers: Numbers, asset: Asset, unit: str, what: str) -> _Band:
    stored = stored_of(asset, numbers.values.dtype, numbers.power)
    if not keeps_numbers(numbers.values.dtype, stored, unit):
        plane = _physical(numbers, asset, unit, what)
        cut = block.cut(plane)
        valid = np.isfinite(cut)
        return _Band(cut, None if valid.all() else valid, 1.0, 0.0, (np.nan,), True)
    try:
        require_declared(numbers.values, numbers.valid, stored, unit, f"scene {asset.item_id}, asset {asset.key}")
        check_numbers(numbers.values, numbers.valid, stored, unit, what)
    except RadiometryError as error:
        raise SceneError("radiometry", str(error)) from error
    limits = np.iinfo(numbers.values.dtype)
    known = [
        number for number in (asset.fill, asset.nodata) if number is not None and limits.min <= number <= limits.max
    ]
    usual = dict.fromkeys([*known, float(limits.max), 0.0, float(limits.min)])
    sure = asset.fill in known and not asset.no_data_in_all
    valid = None if numbers.valid.all() else block.cut(numbers.valid)
    return _Band(block.cut(numbers.values), valid, asset.scale, asset.offset, tuple(usual), sure)


def _layer(bands: Sequence[tuple[str, _Band]]) -> WindowLayer:
    first = bands[0][1]
    pixels = np.stack([band.values for _, band in bands], axis=1)
    valid: NDArray[np.bool_] | None = None
    if any(band.valid is not None for _, band in bands):
        valid = np.stack(
            [np.ones(band.values.shape, bool) if band.valid is None else band.valid for _, band in bands], axis=1
        )
    nodata = np.full(len(pixels), first.nodata[0])
    if not all(band.sure and band.nodata[0] == first.nodata[0] for _, band in bands) and pixels.dtype.kind in "iu":
        nodata = _free(pixels, valid, dict.fromkeys(number for _, band in bands for number in band.nodata))
    if valid is not None and pixels.dtype.kind in "iu":
        filler = np.nan_to_num(nodata).astype(pixels.dtype)
        np.copyto(pixels, filler[:, None, None, None], where=~valid)
    scales, offsets = (tuple(getattr(band, name) for _, band in bands) for name in ("scale", "offset"))
    return WindowLayer(tuple(name for name, _ in bands), pixels, valid, scales, offsets, nodata)


def _free(pixels: NDArray[Any], valid: NDArray[np.bool_] | None, numbers: Mapping[float, None]) -> NDArray[np.float64]:
    """For each window the first number that none of its valid pixels holds, [windows]; NaN where all are held."""
    found = np.full(len(pixels), np.nan)
    for number in numbers:
        held = pixels == pixels.dtype.type(number)
        if valid is not None:
            held &= valid
        found[np.isnan(found) & ~held.any(axis=(1, 2, 3))] = number
        if not np.isnan(found).any():
            return found
    limits = np.iinfo(pixels.dtype)
    for window in np.flatnonzero(np.isnan(found)).tolist():
        held = np.unique(pixels[window] if valid is None else pixels[window][valid[window]])
        free = np.setdiff1d(np.arange(limits.min, limits.max + 1), held)
        found[window] = free[0] if len(free) else np.nan
    return found


def _physical(numbers: Numbers, asset: Asset, unit: str, what: str) -> NDArray[np.float32]:
    plane = calibrate(numbers.values, numbers.valid, asset, unit, numbers.power)
    try:
        check_plausible(plane, asset.stored, unit, what)
    except RadiometryError as error:
        raise SceneError("radiometry", str(error)) from error
    return plane


def to_geotiff(pixels: NDArray[np.float32], bands: list[str], epsg: int, left: float, top: float, gsd: float) -> bytes:
    """One chip [bands, height, width] as the bytes of a GeoTIFF; the same pixels give the same bytes."""
    return geotiff.encode(pixels, bands, Affine(gsd, 0, left, 0, -gsd, top), f"EPSG:{epsg}")
