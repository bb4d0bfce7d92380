"""Rasters of classes as labels: read to the nearest pixel, the tiles of one time joined before anything is counted."""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import numpy as np
import pystac
import rasterio
import rasterio.errors
import shapely
from numpy.typing import NDArray
from rasterio.warp import transform_bounds

from tasks.core.errors import SceneError
from tasks.earth import label_fractions, lonlat_shapes
from tasks.earth.assets import Asset, find_named
from tasks.earth.blocks import Block
from tasks.earth.catalog import Catalog
from tasks.earth.geolocation import geolocation
from tasks.earth.label_dates import Interval, joined
from tasks.earth.label_params import ValueRange
from tasks.earth.label_rows import WHOLE, Measured
from tasks.earth.raster import OpenAsset, TargetGrid, opened_bands, read_onto


@dataclass(frozen=True)
class RasterTile:
    """One file, or one item with several."""

    name: str
    footprint: Any
    """shapely geometry in degrees."""
    date: Interval | None
    open: Callable[[str], OpenAsset]
    """Opens the raster of an asset, for the caller to close."""


@dataclass
class RasterSource:
    """The tiles of one source that hold for one scene, the one that counts first."""

    name: str
    tables: Mapping[str, Mapping[str, ValueRange]]
    """Asset -> class -> values from (included) to (excluded)."""
    change: Sequence[str]
    complete: bool
    licence: str
    tiles: Sequence[RasterTile]
    failed: dict[str, SceneError] = field(default_factory=dict)
    """Tiles that could not be read; they are asked once."""
    _opened: dict[tuple[str, str], OpenAsset] = field(default_factory=dict)
    """By tile and asset, from one block of windows to the next."""

    def close(self) -> None:
        """Close the tiles."""
        for opened in self._opened.values():
            opened.dataset.close()
        self._opened.clear()

    def measure(self, block: Block, chip_ids: Sequence[str], gsd: float, min_fraction: float) -> Measured:
        """What the source says of a block's windows, at `gsd` metres; fractions are of the whole window.

        Raises:
            UnreachableError: the server does not give the pixels just now.
        """
        target = block.target(gsd)
        box = lonlat_shapes.boxes_of(target.epsg, np.array([_bounds(target)]))[0]
        near = [tile for tile in self.tiles if shapely.intersects(tile.footprint, box)]
        kinds = dict.fromkeys(self.change, "change")
        out = Measured()
        whole = np.full(len(chip_ids), bool(near))
        for key, classes in self.tables.items():
            values, valid, dates = self._joined(near, key, target, block)
            found = {label: (values >= low) & (values < high) for label, (low, high) in classes.items()}
            columns = {"source": self.name, "derived": False, "licence": self.licence}
            out.rows += label_fractions.planes(
                block, chip_ids, found, valid, min_fraction, of_valid=False, kind=kinds, date=dates, **columns
            )
            whole &= block.sums(valid) >= WHOLE * (target.width // block.across) ** 2
        if self.complete:
            out.complete += [
                {"chip_id": chip_ids[i], "source": self.name, "labels": None} for i in np.flatnonzero(whole).tolist()
            ]
        return out

    def _joined(
        self, tiles: Sequence[RasterTile], key: str, target: TargetGrid, block: Block
    ) -> tuple[NDArray[Any], NDArray[np.bool_], list[str | None]]:
        """All tiles on one grid, of two the first; which pixels have a value, and the time of each window."""
        values: NDArray[Any] = np.zeros((target.height, target.width), np.float64)
        valid = np.zeros(values.shape, bool)
        times: list[list[Interval | None]] = [[] for _ in block.columns]
        for tile in tiles:
            if tile.name in self.failed or valid.all():
                continue
            try:
                if (tile.name, key) not in self._opened:
                    self._opened[tile.name, key] = tile.open(key)
                opened = self._opened[tile.name, key]
                with rasterio.Env(**opened.options):
                    own, there = read_onto(opened, target, codes=True)
            except SceneError as error:
                self.failed[tile.name] = error
                continue
            new = there & ~valid
            values[new] = own[new]
            valid |= new
            for window in np.flatnonzero(block.sums(new)).tolist():
                times[window].append(tile.date)
        return values, valid, [joined(dates) for dates in times]


def tile_of_item(item: pystac.Item, footprint: Any, catalog: Catalog) -> RasterTile:
    """A label item of the catalog."""

    def opened(key: str) -> OpenAsset:
        asset = find_named(item, key)
        if asset is None:
            raise SceneError("missing-asset", f"label item {item.id} has no asset '{key}'")
        return opened_bands([asset], catalog)[0]

    return RasterTile(item.id, footprint, Interval.of_item(item), opened)


def tile_of_file(path: Path, date: Interval | None) -> RasterTile:
    """A GeoTIFF of one's own.

    Raises:
        SceneError: it cannot be read, or has no coordinate system.
    """

    def opened(_: str) -> OpenAsset:
        try:
            # By one driver: others would follow a file to other files.
            dataset = rasterio.open(path, driver="GTiff")
            return OpenAsset(
                Asset(path.name, "labels", str(path)), dataset, str(path), geolocation(dataset, str(path)), 1
            )
        except rasterio.errors.RasterioError as error:
            raise SceneError("unreadable", f"{path} cannot be read as a GeoTIFF: {error}") from error

    found = opened("")
    with found.dataset as dataset:
        if dataset.crs is None:
            raise SceneError("no-crs", f"{path} has ground control points alone; warp it first, as by gdalwarp")
        bounds = transform_bounds(dataset.crs, "EPSG:4326", *dataset.bounds)
        date = date or _of_tags(dataset.tags())
    return RasterTile(str(path), lonlat_shapes.of_bounds(*bounds), date, opened)


def refuse_overlap(tiles: Sequence[RasterTile]) -> None:
    """Refuse rasters of one's own that lie on one another and hold for the same time: which of them counts?

    Raises:
        SceneError: names two, and what to do.
    """
    places: NDArray[Any] = np.array([tile.footprint for tile in tiles], dtype=object)
    first, second = shapely.STRtree(places).query(places, predicate="intersects")
    for a, b in zip(first.tolist(), second.tolist(), strict=True):
        # Tiles of a product may share an edge some pixels wide.
        shared = shapely.area(shapely.intersection(places[a], places[b]))
        if a < b and tiles[a].date == tiles[b].date and shared > 0.1 * min(shapely.area(places[[a, b]])):
            raise SceneError(
                "overlap",
                f"{tiles[a].name} and {tiles[b].name} lie on one another and hold for the same time, as far as their "
                "names and tags say. Take one out, or make a source of each with its own `date`",
            )


def _of_tags(tags: Mapping[str, str]) -> Interval | None:
    """The time that a file says it holds for, as WorldCover's do."""
    try:
        start, end = (datetime.fromisoformat(tags[name]) for name in ("time_start", "time_end"))
        return Interval(*sorted(time if time.tzinfo else time.replace(tzinfo=UTC) for time in (start, end)))
    except (KeyError, ValueError):
        return None


def _bounds(target: TargetGrid) -> tuple[float, float, float, float]:
    """(left, bottom, right, top) in metres."""
    right, bottom = target.left + target.width * target.gsd, target.top - target.height * target.gsd
    return target.left, bottom, right, target.top
