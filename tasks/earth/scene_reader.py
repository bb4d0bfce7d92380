"""The pixels of one scene, from its files or computed by Sentinel Hub: the stages do not know which."""

from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, replace
from itertools import groupby
from typing import Any

import numpy as np
import pystac
from numpy.typing import NDArray

from tasks.core.errors import SceneError
from tasks.earth.assets import Asset
from tasks.earth.catalog import Catalog
from tasks.earth.geolocation import Geolocation
from tasks.earth.raster import OpenAsset, TargetGrid, open_asset, open_bands, read_bands_onto
from tasks.earth.sentinel_hub import SOURCE


@dataclass(frozen=True)
class Numbers:
    """Numbers of one band on a grid, as they are stored."""

    values: NDArray[Any]
    """[height, width]."""
    valid: NDArray[np.bool_]
    dtype: np.dtype[Any]
    """Of the stored numbers; `values` may lie between them."""
    power: bool = False
    """Whether an annotation has made linear power of them."""


class OpenBand:
    """One band of a scene, opened to be read window by window."""

    def __init__(self, place: Geolocation, scene: "SceneReader", asset: Asset, opened: OpenAsset | None) -> None:
        self.place = place
        """Where the scene lies."""
        self._scene, self._asset, self._opened = scene, asset, opened

    def read(self, target: TargetGrid, codes: bool) -> Numbers:
        """Its numbers on a grid; see `tasks.earth.raster.read_onto`."""
        if self._opened is None:
            return self._scene.computed({"": self._asset}, target)[""]
        return next(_numbers([self._opened], target, codes))

    def read_codes(
        self, target: TargetGrid, bands_of: Callable[[int], Sequence[tuple[int, str]]]
    ) -> tuple[NDArray[Any], NDArray[np.bool_]]:
        """Codes of a mask on a grid, [height, width], or of one in several bands [bands, height, width]; where valid.

        Args:
            target: the pixels wanted.
            bands_of: count of bands in the file -> (number, name in the file) of those of the mask.

        Raises:
            SceneError: as of `SceneReader.bands`, or the file has not the bands of the mask.
        """
        count = 1 if self._opened is None else self._opened.dataset.count
        try:
            bands = bands_of(count)
        except ValueError as error:
            raise SceneError("mask", f"scene {self._asset.item_id}, asset {self._asset.key}: {error}") from error
        if len(bands) == 1 or self._opened is None:
            numbers = self.read(target, codes=True)
            return numbers.values, numbers.valid
        found = [replace(self._opened, band=_named(self._opened, number, name)) for number, name in bands]
        read = list(_numbers(found, target, codes=True))
        return np.stack([one.values for one in read]), np.logical_and.reduce([one.valid for one in read])


@dataclass(frozen=True)
class SceneReader:
    """Reads one scene."""

    item: pystac.Item
    catalog: Catalog

    def bands(self, assets: Mapping[str, Asset], target: TargetGrid) -> Iterator[tuple[str, Asset, Numbers]]:
        """The bands' numbers on a grid, one after the other; those of one file are read together.

        Raises:
            SceneError: an asset cannot be read.
            UnreachableError: a server does not give it just now.
        """
        if self.catalog.params.source == SOURCE:
            computed = self.computed(assets, target)
            yield from ((name, asset, computed[name]) for name, asset in assets.items())
            return
        for _, group in groupby(assets.items(), lambda pair: pair[1].href):
            names, found = zip(*group, strict=True)
            with open_bands(found, self.catalog) as opened:
                yield from zip(names, found, _numbers(opened, target, codes=False), strict=True)

    @contextmanager
    def open(self, asset: Asset) -> Iterator[OpenBand]:
        """One band or mask; errors as of `bands`."""
        if self.catalog.params.source == SOURCE:
            from tasks.earth.sentinel_hub.extent import place_of

            yield OpenBand(place_of(self.item), self, asset, None)
            return
        with open_asset(asset, self.catalog) as opened:
            yield OpenBand(opened.place, self, asset, opened)

    def computed(self, assets: Mapping[str, Asset], target: TargetGrid) -> dict[str, Numbers]:
        """Bands of Sentinel Hub, all in one request."""
        from tasks.earth.sentinel_hub.pixels import read  # here, for its package takes a second

        found = read(self.item, [asset.key for asset in assets.values()], target, self.catalog.account)
        return {name: Numbers(*found[asset.key], dtype=found[asset.key][0].dtype) for name, asset in assets.items()}


def _named(opened: OpenAsset, number: int, name: str) -> int:
    """The band of a file called `name`, else the one at its usual place."""
    called = [str(text or "").strip().lower() for text in opened.dataset.descriptions]
    return called.index(name) + 1 if name in called else number


def _numbers(opened: Sequence[OpenAsset], target: TargetGrid, codes: bool) -> Iterator[Numbers]:
    for band, (values, valid) in zip(opened, read_bands_onto(opened, target, codes), strict=True):
        yield Numbers(values, valid, band.dtype, band.annotation is not None)
