"""Features as labels: polygons by exact area, lines by length, points by number, tags by the footprint they hold in."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from functools import cached_property
from typing import Any

import numpy as np
import shapely
from numpy.typing import NDArray
from pyproj import CRS, Transformer

from tasks.core.errors import SceneError
from tasks.earth import label_fractions, lonlat_shapes
from tasks.earth.blocks import Block
from tasks.earth.label_dates import Interval, joined
from tasks.earth.label_rows import WHOLE, Measured

LONGEST = 2_000.0
"""Metres: longer edges are split before they are projected, for a straight line there is a curve here."""
DEGREE = 111_320.0
"""Metres a degree of latitude, roughly."""
Box = tuple[float, float, float, float]


@dataclass(frozen=True)
class Labelled:
    """Features with their labels, in one coordinate system."""

    shapes: NDArray[Any]
    labels: NDArray[np.str_]
    crs: CRS


@dataclass(frozen=True)
class Extent:
    """Ground that a source describes wholly, and which labels it would have named there; None: all it can give."""

    shape: Any
    """shapely geometry in degrees."""
    labels: frozenset[str] | None = None


@dataclass(frozen=True)
class Sheet:
    """One file of features, or one label item."""

    name: str
    date: Interval | None
    load: Callable[[Box], Labelled]
    """Features near a box of (west, south, east, north) degrees."""
    extents: Sequence[Extent] = ()


@dataclass
class FeatureSource:
    """The sheets of one source that hold for one scene."""

    name: str
    kind: str
    """polygon, line, point, vector, tag, osm, satlas or skyscript."""
    change: Sequence[str]
    complete: bool
    licence: str
    sheets: Sequence[Sheet]
    box: Box
    """Around the scene's windows, in degrees."""
    failed: dict[str, SceneError] = field(default_factory=dict)
    """Sheets that could not be read."""
    _zones: dict[int, tuple[shapely.STRtree, NDArray[np.str_]]] = field(default_factory=dict)

    @cached_property
    def _loaded(self) -> list[tuple[Sheet, Labelled]]:
        found = []
        for sheet in self.sheets:
            try:
                found.append((sheet, sheet.load(self.box)))
            except SceneError as error:
                self.failed[sheet.name] = error
        return found

    def measure(self, block: Block, chip_ids: Sequence[str], gsd: float, min_fraction: float) -> Measured:
        """What the source says of a block's windows.

        Raises:
            UnreachableError: the server does not give the features just now.
            VectorFileError: a file of one's own cannot be used.
        """
        shapes, labels = self._near(block)
        out = Measured()
        columns = {"source": self.name, "derived": False, "licence": self.licence, "date": self._date}
        if len(shapes) and self.kind in ("tag", "skyscript"):
            contained = self.kind == "skyscript"  # its pictures are smaller than most windows
            out.rows = label_fractions.tags(block, chip_ids, shapes, labels, contained, kind="tag", **columns)
        elif len(shapes):
            kinds = dict.fromkeys(self.change, "change")
            dimensions = shapely.get_dimensions(shapes)
            for dimension, (measure, kind) in enumerate(MEASURES):
                some = dimensions == dimension
                if some.any() and self.kind in (kind, "vector", "osm", "satlas"):
                    what: Any = kinds if dimension == 2 else {**dict.fromkeys(labels.tolist(), kind), **kinds}
                    own = (block, chip_ids, shapes[some], labels[some])
                    more = () if dimension == 0 else (min_fraction,)
                    out.rows += measure(*own, *more, kind=what, **columns)
        out.complete = self._whole(block, chip_ids, out)
        return out

    def close(self) -> None:
        """Nothing is kept open: features are read whole."""

    @cached_property
    def _date(self) -> str | None:
        return joined([sheet.date for sheet, labelled in self._loaded if len(labelled.shapes)])

    def _near(self, block: Block) -> tuple[NDArray[Any], NDArray[np.str_]]:
        """Features that touch the block, in its metres, with their labels."""
        epsg = block.grid.epsg
        if epsg not in self._zones:
            moved = [_moved(labelled, epsg, self.box) for _, labelled in self._loaded]
            shapes = np.concatenate([np.zeros(0, object), *(shapes for shapes, _ in moved)])
            labels = np.concatenate([np.zeros(0, str), *(labels for _, labels in moved)])
            # Neighbouring sheets hold what lies on their seam twice.
            keys = np.array([wkb + name.encode() for wkb, name in zip(shapely.to_wkb(shapes), labels, strict=True)])
            _, first = np.unique(keys, return_index=True) if len(keys) else (keys, np.zeros(0, int))
            first.sort()
            self._zones[epsg] = shapely.STRtree(shapes[first]), labels[first]
        tree, labels = self._zones[epsg]
        size = float(block.grid.size)
        box = shapely.box(
            block.columns.min() * size,
            block.rows.min() * size,
            (block.columns.max() + 1) * size,
            (block.rows.max() + 1) * size,
        )
        found = np.sort(tree.query(box, predicate="intersects"))
        return np.asarray(tree.geometries)[found], labels[found]

    def _whole(self, block: Block, chip_ids: Sequence[str], measured: Measured) -> list[dict[str, Any]]:
        """Rows for the windows that the source describes wholly."""
        if self.kind == "tag":
            # A footprint without the tag may be one that was never looked at: only where something is named.
            named = sorted({row["chip_id"] for row in measured.rows}) if self.complete else []
            return [{"chip_id": chip_id, "source": self.name, "labels": None} for chip_id in named]
        extents = [extent for sheet, _ in self._loaded for extent in sheet.extents]
        if not extents:
            return []
        size = float(block.grid.size)
        left, bottom = block.columns * size, block.rows * size
        windows = lonlat_shapes.boxes_of(block.grid.epsg, np.stack([left, bottom, left + size, bottom + size], axis=1))
        shapes = np.array([extent.shape for extent in extents], dtype=object)
        window, extent = shapely.STRtree(shapes).query(windows, predicate="intersects")
        shapely.prepare(shapes)
        within_one = set(window[shapely.covers(shapes[extent], windows[window])].tolist())
        rows = []
        for index in np.unique(window).tolist():
            over = extent[window == index]
            if index not in within_one:
                ground = shapely.union_all(shapely.intersection(shapes[over], windows[index]))
                if shapely.area(ground) < WHOLE * shapely.area(windows[index]):
                    continue
            known = [extents[i].labels for i in over.tolist()]
            some = frozenset.intersection(*(labels for labels in known if labels is not None)) if any(known) else None
            if some is None or some:
                labels = None if some is None else sorted(some)
                rows.append({"chip_id": chip_ids[index], "source": self.name, "labels": labels})
        return rows


MEASURES: tuple[tuple[Callable[..., list[dict[str, Any]]], str], ...] = (
    (label_fractions.points, "point"),
    (label_fractions.lines, "line"),
    (label_fractions.polygons, "polygon"),
)
"""By the dimension of a feature: what measures it, and the kind of source that has such."""


def _moved(labelled: Labelled, epsg: int, box: Box) -> tuple[NDArray[Any], NDArray[np.str_]]:
    """Features in the metres of a zone: those far outside the scene cut off, long edges split."""
    shapes, labels = labelled.shapes, labelled.labels
    if not len(shapes):
        return shapes, labels
    near = around(box, labelled.crs)
    if near is not None:
        large = ~shapely.within(shapes, near)
        shapes = shapes.copy()
        shapes[large] = shapely.intersection(shapes[large], near)
        keep = ~shapely.is_empty(shapes)
        shapes, labels = shapes[keep], labels[keep]
    step = LONGEST / (DEGREE if labelled.crs.is_geographic else labelled.crs.axis_info[0].unit_conversion_factor or 1)
    own = Transformer.from_crs(labelled.crs, epsg, always_xy=True)
    moved = shapely.transform(
        shapely.segmentize(shapes, step), lambda xy: np.stack(own.transform(xy[:, 0], xy[:, 1]), axis=1)
    )
    good = np.isfinite(shapely.bounds(moved)).all(axis=1)
    return shapely.make_valid(moved[good]), labels[good]


def around(box: Box, crs: CRS) -> Any:
    """Ground around a box of degrees in the coordinates of `crs`, a little larger; None where it has none there."""
    parts = []
    for one in halves(box):
        bounds = Transformer.from_crs(4326, crs, always_xy=True).transform_bounds(*one, densify_pts=21)
        if not np.isfinite(bounds).all():
            return None
        west, south, east, north = bounds
        if crs.is_geographic and west > east:
            parts += [shapely.box(west, south, 180, north), shapely.box(-180, south, east, north)]
        else:
            parts.append(shapely.box(west, south, east, north))
    margin = 0.02 if crs.is_geographic else 2_000 / (crs.axis_info[0].unit_conversion_factor or 1)
    return shapely.union_all(shapely.buffer(parts, margin, join_style="mitre"))


def halves(box: Box) -> list[Box]:
    """A box as itself, or, if it crosses 180 degrees (west > east), as its two halves."""
    west, south, east, north = box
    return [box] if west <= east else [(west, south, 180.0, north), (-180.0, south, east, north)]
