"""The pixels of one scene, from its files or computed by Sentinel Hub: the stages do not know which."""

from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any

import numpy as np
import pystac
from numpy.typing import NDArray

from tasks.earth.assets import Asset
from tasks.earth.catalog import Catalog
from tasks.earth.geolocation import Geolocation
from tasks.earth.raster import OpenAsset, TargetGrid, open_asset, read_onto
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
        return _numbers(self._opened, target, codes)


@dataclass(frozen=True)
class SceneReader:
    """Reads one scene."""

    item: pystac.Item
    catalog: Catalog

    def bands(self, assets: Mapping[str, Asset], target: TargetGrid) -> Iterator[tuple[str, Asset, Numbers]]:
        """The bands' numbers on a grid, one after the other.

        Raises:
            SceneError: an asset cannot be read.
            UnreachableError: a server does not give it just now.
        """
        if self.catalog.params.source == SOURCE:
            computed = self.computed(assets, target)
            yield from ((name, asset, computed[name]) for name, asset in assets.items())
            return
        for name, asset in assets.items():
            with open_asset(asset, self.catalog) as opened:
                yield name, asset, _numbers(opened, target, codes=False)

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


def _numbers(opened: OpenAsset, target: TargetGrid, codes: bool) -> Numbers:
    values, valid = read_onto(opened, target, codes)
    return Numbers(values, valid, opened.dtype, opened.annotation is not None)
