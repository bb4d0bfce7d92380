"""The pixels of one scene, from its files or computed by Sentinel Hub: the stages do not know which.

The files of a scene are opened once, all at the same time, and stay open from its first windows to its last, so that
GDAL keeps the blocks that two rows of windows share. What the bands of some windows need is read by one thread a file.
"""

from collections.abc import Callable, Iterator, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import ExitStack, contextmanager, suppress
from dataclasses import dataclass, replace
from functools import cached_property
from typing import Any

import numpy as np
import pystac
import rasterio
from numpy.typing import NDArray

from tasks.core.errors import SceneError
from tasks.earth.assets import Asset
from tasks.earth.blocks import ASKEW_SIDE, Lie
from tasks.earth.catalog import Catalog
from tasks.earth.geolocation import Geolocation
from tasks.earth.open_files import BLOCK_CACHE
from tasks.earth.raster import OpenAsset, TargetGrid, opened_bands, read_bands_onto
from tasks.earth.sentinel_hub import SOURCE
from tasks.earth.static_catalog import FOLDER

FILES_AT_ONCE = 4
"""Files of a scene that are read at the same time: enough for a server some 30 ms away. Each holds what it was sent."""
SPARE = 4 * 2**20
"""Bytes of decoded blocks kept beside two rows of them: GDAL counts some more for each. They are always taken."""


@dataclass(frozen=True)
class Numbers:
    """Numbers of one band on a grid, as they are stored."""

    values: NDArray[Any]
    """[height, width]."""
    valid: NDArray[np.bool_]
    power: bool = False
    """Whether an annotation has made linear power of them."""


class OpenScene:
    """Bands of a scene that can be read. Comes from `SceneReader.open`."""

    def __init__(self, assets: Mapping[str, Asset], bands: Mapping[str, OpenAsset], pool: ThreadPoolExecutor) -> None:
        self.assets, self._bands, self._pool = assets, bands, pool

    @property
    def place(self) -> Geolocation:
        """Where the first of its bands lies."""
        return next(iter(self._bands.values())).place

    def lie(self, epsg: int) -> Lie:
        """How its files lie under the windows of a zone."""
        files = {id(band.dataset): band for band in self._bands.values()}.values()
        if any(band.place.shift_on_axes(epsg) is None for band in files):
            return Lie(side=ASKEW_SIDE)
        apart = min(band.dataset.block_shapes[band.band - 1][1] * _pixel(band) for band in files)
        return Lie(True, apart, tall=self.two_rows > BLOCK_CACHE)

    @property
    def two_rows(self) -> int:
        """Bytes of two rows of blocks of all bands, which windows that lie across both need."""
        files = {id(band.dataset): band for band in self._bands.values()}.values()
        return 2 * sum(self._block_row(band) for band in files)

    def gsd_of(self, name: str, epsg: int, coarsest: Sequence[float]) -> float | None:
        """The first of some GSDs on whose grid, counted from the origin of a zone, a band's own pixels lie.

        None if there is none: its pixels are between those of the grid, or on another one.
        """
        place = self._bands[name].place
        shift, affine = place.shift_on_axes(epsg), place.affine
        if shift is None or affine is None:
            return None
        places = np.array([affine.a, affine.e, affine.c, affine.f - shift])
        return next((gsd for gsd in coarsest if np.abs(places / gsd - np.rint(places / gsd)).max() < 1e-6), None)

    def read(self, targets: Mapping[str, TargetGrid], codes: bool = False) -> dict[str, Numbers]:
        """Numbers of bands, each on a grid of its own; those of one file and grid are read together.

        Raises:
            SceneError: the bytes behind the pixels are missing or corrupt.
            UnreachableError: a server does not give them just now.
        """
        return self._read({name: self._bands[name] for name in targets}, targets, codes)

    def read_codes(
        self, name: str, target: TargetGrid, bands_of: Callable[[int], Sequence[tuple[int, str]]]
    ) -> tuple[NDArray[Any], NDArray[np.bool_]]:
        """Codes of a mask on a grid, [height, width], or of one in several bands [bands, height, width]; where valid.

        Args:
            name: of the mask among the assets.
            target: the pixels wanted.
            bands_of: count of bands in the file -> (number, name in the file) of those of the mask.

        Raises:
            SceneError: as of `read`, or the file has not the bands of the mask.
        """
        opened = self._bands[name]
        bands = self.mask_bands(name, opened.dataset.count, bands_of)
        if len(bands) == 1:
            numbers = self.read({name: target}, codes=True)[name]
            return numbers.values, numbers.valid
        found = {called: replace(opened, band=_named(opened, number, called)) for number, called in bands}
        read = self._read(found, dict.fromkeys(found, target), codes=True).values()
        return np.stack([one.values for one in read]), np.logical_and.reduce([one.valid for one in read])

    def mask_bands(
        self, name: str, count: int, bands_of: Callable[[int], Sequence[tuple[int, str]]]
    ) -> Sequence[tuple[int, str]]:
        """Those bands of a mask's file, of `count`, that are read; errors as of `read_codes`."""
        try:
            return bands_of(count)
        except ValueError as error:
            asset = self.assets[name]
            raise SceneError("mask", f"scene {asset.item_id}, asset {asset.key}: {error}") from error

    def _read(
        self, bands: Mapping[str, OpenAsset], targets: Mapping[str, TargetGrid], codes: bool
    ) -> dict[str, Numbers]:
        groups: dict[tuple[int, TargetGrid], list[str]] = {}
        for name, band in bands.items():
            groups.setdefault((id(band.dataset), targets[name]), []).append(name)
        # Of one file one thread at a time.
        files: dict[int, list[tuple[list[str], TargetGrid]]] = {}
        for (file, target), names in groups.items():
            files.setdefault(file, []).append((names, target))

        def of_file(wanted: list[tuple[list[str], TargetGrid]]) -> dict[str, Numbers]:
            out: dict[str, Numbers] = {}
            for names, target in wanted:
                own = [bands[name] for name in names]
                with rasterio.Env(**own[0].options):
                    try:
                        read = read_bands_onto(own, target, codes)
                    except Exception:
                        # GDAL keeps the last error of a thread, and rasterio would raise it from the next question.
                        with suppress(Exception):
                            _ = own[0].dataset.colorinterp
                        raise
                for name, band, (values, valid) in zip(names, own, read, strict=True):
                    out[name] = Numbers(values, valid, band.annotation is not None)
            return out

        # Never in the caller's own thread, whose last error may be of something else.
        several = self._pool.map(of_file, files.values())
        found = {name: numbers for some in several for name, numbers in some.items()}
        return {name: found[name] for name in bands}

    def _block_row(self, band: OpenAsset) -> int:
        """Bytes of a row of blocks of a file, of those of its bands that are read, and of what says where data is."""
        height, width = band.dataset.block_shapes[band.band - 1]
        pixel = str(band.dataset.interleaving or "").lower().endswith("pixel")
        same = sum(other.dataset is band.dataset for other in self._bands.values())
        count = band.dataset.count if pixel else same + bool(band.alpha)
        return int(height * -(-band.dataset.width // width) * width * (band.dtype.itemsize * count + band.masked))


class ComputedScene(OpenScene):
    """Bands that Sentinel Hub computes on whatever grid is asked for, all in one request."""

    def __init__(self, assets: Mapping[str, Asset], reader: "SceneReader") -> None:
        self.assets, self._reader = assets, reader

    @cached_property
    def place(self) -> Geolocation:
        """Where the scene lies."""
        from tasks.earth.sentinel_hub.extent import place_of

        return place_of(self._reader.item)

    def lie(self, epsg: int) -> Lie:
        """Squares: the service computes so many pixels a request, and there are no blocks."""
        return Lie()

    def gsd_of(self, name: str, epsg: int, coarsest: Sequence[float]) -> float | None:
        """None: it has no pixels of its own."""
        return None

    def read(self, targets: Mapping[str, TargetGrid], codes: bool = False) -> dict[str, Numbers]:
        """As of `OpenScene`."""
        from tasks.earth.sentinel_hub.pixels import read  # here, for its package takes a second

        out: dict[str, Numbers] = {}
        for target in dict.fromkeys(targets.values()):
            names = [name for name, own in targets.items() if own == target]
            keys = [self.assets[name].key for name in names]
            found = read(self._reader.item, keys, target, self._reader.catalog.account)
            out |= {name: Numbers(*found[key]) for name, key in zip(names, keys, strict=True)}
        return out

    def read_codes(
        self, name: str, target: TargetGrid, bands_of: Callable[[int], Sequence[tuple[int, str]]]
    ) -> tuple[NDArray[Any], NDArray[np.bool_]]:
        """As of `OpenScene`."""
        self.mask_bands(name, 1, bands_of)
        numbers = self.read({name: target}, codes=True)[name]
        return numbers.values, numbers.valid


@dataclass(frozen=True)
class SceneReader:
    """Opens one scene."""

    item: pystac.Item
    catalog: Catalog

    @contextmanager
    def open(self, assets: Mapping[str, Asset]) -> Iterator[OpenScene]:
        """Bands or masks by name, opened to be read window by window.

        Raises:
            SceneError: a file cannot be read.
            UnreachableError: a server does not give it just now.
        """
        if self.catalog.params.source == SOURCE:
            yield ComputedScene(assets, self)
            return
        files: dict[str, list[str]] = {}
        for name, asset in assets.items():
            files.setdefault(asset.href, []).append(name)
        with ExitStack() as stack:
            near = all(href.startswith(FOLDER) for href in files)  # nothing to wait for, and each thread takes memory
            pool = stack.enter_context(ThreadPoolExecutor(1 if near else min(len(files), FILES_AT_ONCE)))
            bands: dict[str, OpenAsset] = {}
            waiting = [
                pool.submit(opened_bands, [assets[name] for name in names], self.catalog) for names in files.values()
            ]
            failed: list[Exception] = []
            for names, one in zip(files.values(), waiting, strict=True):
                try:
                    opened = one.result()
                except Exception as error:
                    failed.append(error)
                    continue
                stack.callback(opened[0].dataset.close)
                bands |= dict(zip(names, opened, strict=True))
            if failed:
                raise failed[0]
            scene = OpenScene(assets, {name: bands[name] for name in assets}, pool)
            # For the whole process and in one place: were it set by each reader, the first to finish would unset it.
            stack.enter_context(rasterio.Env(GDAL_CACHEMAX=min(scene.two_rows + SPARE, BLOCK_CACHE)))
            yield scene


def _named(opened: OpenAsset, number: int, name: str) -> int:
    """The band of a file called `name`, else the one at its usual place."""
    called = [str(text or "").strip().lower() for text in opened.dataset.descriptions]
    return called.index(name) + 1 if name in called else number


def _pixel(opened: OpenAsset) -> float:
    """Metres a pixel of a file in a zone."""
    assert opened.place.affine is not None
    return float(abs(opened.place.affine.a))
