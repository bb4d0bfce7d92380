"""All label sources of a run: what they are made of, under which licence, and which of it holds for a scene."""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from datetime import datetime
from functools import partial
from pathlib import Path
from typing import Any, Protocol

import numpy as np
import polars as pl
import pystac
import shapely
from numpy.typing import NDArray

from tasks.core.errors import SceneError, VectorFileError
from tasks.core.redaction import redacted
from tasks.earth import label_files, label_osm, label_satlas, label_skyscript, lonlat_shapes
from tasks.earth.blocks import Block
from tasks.earth.catalog import Catalog
from tasks.earth.label_dates import Interval, fitting
from tasks.earth.label_features import Box, Extent, FeatureSource, Labelled, Sheet
from tasks.earth.label_licences import Origin
from tasks.earth.label_params import LabelsParams, SourceParams
from tasks.earth.label_rasters import RasterSource, RasterTile, refuse_overlap, tile_of_file, tile_of_item
from tasks.earth.label_rows import Measured

GSD_FACTOR = 2
"""Labels are measured at twice the sensor's GSD: a quarter of the pixels, a thousand a window."""
WORLD = lonlat_shapes.WORLD


class LabelSource(Protocol):
    """What one source says of one scene's windows."""

    name: str
    failed: dict[str, SceneError]

    def measure(self, block: Block, chip_ids: Sequence[str], gsd: float, min_fraction: float) -> Measured:
        """Labels of a block's windows, in its order, at `gsd` metres where pixels are counted."""
        ...

    def close(self) -> None:
        """Let go of the files that were kept open from one block to the next."""


@dataclass
class Library:
    """One source with everything it is made of."""

    name: str
    params: SourceParams
    origin: Origin
    entries: Sequence[Sheet | RasterTile]
    footprints: NDArray[Any]
    """Where each entry lies, in degrees."""
    used: set[str] = field(default_factory=set)
    """Names of the entries that a scene was labelled from."""
    lost: dict[str, int] = field(default_factory=dict)
    """Features that cannot be used, by reason."""

    def near(self, windows: NDArray[Any], when: datetime | None) -> list[int]:
        """Indices of the entries that hold for a scene, whose windows are polygons in degrees."""
        near = np.unique(shapely.STRtree(self.footprints).query(windows, predicate="intersects")[1])
        if self.params.kind == "satlas":
            near = near[[label_satlas.holds(self.entries[index], when) for index in near]]
        else:
            kept = fitting(self.footprints[near], [self.entries[index].date for index in near], when)
            near = near[kept]
        return [int(index) for index in near]

    def for_scene(self, windows: NDArray[Any], when: datetime | None) -> LabelSource | None:
        """The source as it holds for a scene; None where it has nothing near its windows (polygons in degrees)."""
        near = self.near(windows, when)
        if not near:
            return None
        chosen: Any = [self.entries[index] for index in near]
        self.used |= {entry.name for entry in chosen}
        common = (self.params.change, self.params.complete, self.origin.licence, chosen)
        if self.params.kind == "raster":
            return RasterSource(self.name, self.params.tables, *common)
        return FeatureSource(self.name, self.params.kind, *common, box=box_around(windows))


def open_libraries(
    params: LabelsParams,
    label_items: Sequence[pystac.Item],
    catalog: Catalog,
    downloads: label_files.Downloads,
    origins: Mapping[str, Origin],
) -> tuple[list[Library], list[SceneError]]:
    """Every source that has something, in order of name, and the label items that lie nowhere.

    Args:
        params: `labels:` of params.yaml.
        label_items: that the catalog gave.
        catalog: they come from.
        downloads: takes the files of items.
        origins: licence of each source; a source without one is left out.

    Raises:
        VectorFileError: a file of one's own is not there or cannot be used.
        SceneError: a raster of one's own cannot be used.
    """
    libraries, lost = [], []
    for name, source in sorted(params.sources.items()):
        if name not in origins:
            continue
        library = Library(name, source, origins[name], [], np.zeros(0, object))
        if source.path is not None:
            library.entries, places = _of_files(source, library.lost)
        else:
            library.entries, places, nowhere = _of_items(
                source, [item for item in label_items if item.collection_id == name], catalog, downloads, library.lost
            )
            lost += nowhere
        if library.entries:
            library.footprints = np.array(places, dtype=object)
            libraries.append(library)
    return libraries, lost


def _of_files(params: SourceParams, lost: dict[str, int]) -> tuple[Sequence[Sheet | RasterTile], list[Any]]:
    path = params.path or ""
    date = Interval.of_text(params.date) if params.date else None
    if params.kind == "raster":
        files = label_files.expand(path, label_files.RASTER)
        tiles = [tile_of_file(file, date) for file in files]
        if len(files) > 1:
            tiles = [replace(t, date=t.date or label_files.year_of(f)) for t, f in zip(tiles, files, strict=True)]
            refuse_overlap(tiles)
        return tiles, [tile.footprint for tile in tiles]
    if params.kind == "satlas":
        return label_satlas.sheets(Path(path), params, date)
    if params.kind == "skyscript":
        return label_skyscript.sheets(label_files.expand(path, label_skyscript.SUFFIXES), params, date)
    if params.kind == "osm":
        files = label_files.expand(path, label_osm.SUFFIXES)
        return [label_osm.sheet(file, params, date, lost) for file in files], [WORLD] * len(files)
    sheets, places = [], []
    files = label_files.expand(path, label_files.VECTOR)
    for file in files:
        several = len(files) > 1  # editions by year are told apart by their names
        place = label_files.extent_of(file, params) if several or params.complete else WORLD
        when = date or (label_files.year_of(file) if several else None)
        load = partial(label_files.features, file, params, lost=lost)
        sheets.append(Sheet(str(file), when, load, [Extent(place)] if params.complete else []))
        places.append(place)
    return sheets, places


def _of_items(
    params: SourceParams,
    items: Sequence[pystac.Item],
    catalog: Catalog,
    downloads: label_files.Downloads,
    lost: dict[str, int],
) -> tuple[Sequence[Sheet | RasterTile], list[Any], list[SceneError]]:
    entries: list[Sheet | RasterTile] = []
    places, nowhere = [], []
    for item in items:
        try:
            place = footprint(item)
        except SceneError as error:
            nowhere.append(error)
            continue
        if params.kind == "raster":
            entries.append(tile_of_item(item, place, catalog))
        else:
            extents = [Extent(place)] if params.complete else []
            load = _loader(item, params, downloads, lost)
            entries.append(Sheet(item.id, Interval.of_item(item), load, extents))
        places.append(place)
    return entries, places, nowhere


def _loader(
    item: pystac.Item, params: SourceParams, downloads: label_files.Downloads, lost: dict[str, int]
) -> Callable[[Box], Labelled]:
    def load(box: Box) -> Labelled:
        where = f"label item {item.id}, asset {params.asset}"
        asset = item.assets.get(params.asset or "")
        if asset is None:
            raise SceneError("missing-asset", f"label item {item.id} has no asset '{params.asset}'")
        file = downloads.get(asset.href, where)
        try:
            return label_files.features(file, params, box, lost)
        except VectorFileError as error:
            # The file's name here is of this run alone.
            detail = redacted(str(error).replace(str(file), asset.href))
            raise SceneError(error.reason, f"{where}: {detail}") from error

    return load


def footprint(item: pystac.Item) -> Any:
    """Where a label item lies, in degrees: its geometry, or its box where it has none.

    Raises:
        SceneError: it has neither, or what it has is no place.
    """
    try:
        if item.geometry is not None:
            shape = shapely.make_valid(shapely.force_2d(shapely.geometry.shape(item.geometry)))
            if not shape.is_empty and np.isfinite(shape.bounds).all():
                return lonlat_shapes.cut(shape)
        if item.bbox:
            half = len(item.bbox) // 2
            west, south, east, north = (float(v) for v in (*item.bbox[:2], *item.bbox[half : half + 2]))
            return lonlat_shapes.of_bounds(west, south, east, north)
    except (ValueError, TypeError, KeyError, IndexError, AttributeError, shapely.errors.ShapelyError) as error:
        raise SceneError("no-footprint", f"label item {item.id}: its place cannot be read: {error}") from error
    raise SceneError("no-footprint", f"label item {item.id} has neither a geometry nor a box")


def windows_of(windows: pl.DataFrame) -> NDArray[Any]:
    """Windows of a scene, with `epsg`, `left`, `bottom`, `right` and `top`, as polygons in degrees."""
    parts = [
        lonlat_shapes.boxes_of(int(str(epsg)), group.select("left", "bottom", "right", "top").to_numpy())
        for (epsg,), group in windows.group_by("epsg", maintain_order=True)
    ]
    return np.concatenate(parts)


def box_around(windows: NDArray[Any]) -> Box:
    """(west, south, east, north) around polygons in degrees; west > east where they lie on both sides of 180."""
    bounds = shapely.bounds(shapely.get_parts(windows))
    south, north = float(bounds[:, 1].min()), float(bounds[:, 3].max())
    west, east = float(bounds[:, 0].min()), float(bounds[:, 2].max())
    if east - west > 180:
        # A scene is never as wide: either it crosses 180 degrees, or it lies around a pole.
        eastern, western = bounds[bounds[:, 0] >= 0], bounds[bounds[:, 2] <= 0]
        if len(eastern) + len(western) == len(bounds) and len(eastern) and len(western):
            west, east = float(eastern[:, 0].min()), float(western[:, 2].max())
    return west, south, east, north
