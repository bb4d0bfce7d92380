"""Shapes in lon/lat from any coordinate system, each cut at 180 degrees: no longitude lies beyond it."""

from typing import Any

import numpy as np
import shapely
import shapely.affinity
from numpy.typing import NDArray
from pyproj import CRS, Transformer

SEGMENT = 1_000.0
"""Metres: edges of projected shapes are split at least so often, for a straight line there is a curve in lon/lat."""
MAX_SEGMENTS = 2_000
"""An edge of a shape as large as a continent is not split more often than this."""
WORLD = shapely.box(-180, -90, 180, 90)


class AmbiguousShapeError(ValueError):
    """A shape in degrees that can be read in two ways."""


def to_lonlat(shapes: NDArray[Any], crs: CRS) -> NDArray[Any]:
    """Shapes of `crs` in degrees, EPSG:4326, x east; each cut at 180 degrees where it crosses it.

    Raises:
        AmbiguousShapeError: an edge in degrees spans more than half of the Earth, so that either way round is meant.
    """
    transform = Transformer.from_crs(crs, 4326, always_xy=True).transform
    if not len(shapes):
        return shapes
    if crs.is_projected:
        bounds = shapely.bounds(shapes)
        span = np.maximum(bounds[:, 2] - bounds[:, 0], bounds[:, 3] - bounds[:, 1])
        shapes = shapely.segmentize(shapes, np.maximum(SEGMENT, span / MAX_SEGMENTS))
    moved = np.asarray(shapely.transform(shapes, lambda xy: np.stack(transform(xy[:, 0], xy[:, 1]), axis=1)))
    west, _, east, _ = shapely.bounds(moved).T
    # Only a shape as wide as half of the Earth can lie across 180 degrees or round a pole: looked at corner by corner.
    for index in np.flatnonzero(~((east - west < 180) & (west >= -180) & (east <= 180))).tolist():
        parts = [_moved(part, transform, crs.is_projected) for part in shapely.get_parts(shapes[index])]
        moved[index] = cut(shapely.union_all(parts))
    return moved


def _moved(part: Any, transform: Any, projected: bool) -> Any:
    if part.geom_type == "Polygon":
        shell = _ring(shapely.get_coordinates(part.exterior), transform, projected)
        whole = shapely.make_valid(shapely.Polygon(shell))
        for hole in part.interiors:
            ring = _near(_ring(shapely.get_coordinates(hole), transform, projected), float(shell[0, 0]))
            whole = shapely.difference(whole, shapely.make_valid(shapely.Polygon(ring)))
        return whole
    return shapely.transform(part, lambda xy: _ring(xy, transform, projected, closed=False))


def _ring(xy: NDArray[np.float64], transform: Any, projected: bool, closed: bool = True) -> NDArray[np.float64]:
    """Corners in degrees, without a jump from one side of 180 degrees to the other."""
    longitude, latitude = (np.asarray(values) for values in transform(xy[:, 0], xy[:, 1]))
    steps = np.diff(longitude)
    if not projected:
        # RFC 7946 has shapes cut at 180 degrees; one that is not, but jumps across it, looks like one that goes round
        # the Earth. An edge of exactly 360 degrees is one of a map of the world.
        if np.any((np.abs(steps) > 180) & (np.abs(steps) < 359.999)):
            raise AmbiguousShapeError(
                "an edge spans more than 180 degrees of longitude: cut the shape at 180 degrees, or write longitudes "
                "beyond 180"
            )
        return np.stack([longitude, latitude], axis=1)
    unwrapped = np.unwrap(longitude, period=360)
    if closed and abs(unwrapped[-1] - unwrapped[0]) > 180:  # round a pole: from there to the pole and back
        pole = 90.0 if latitude.mean() > 0 else -90.0
        unwrapped = np.append(unwrapped, [unwrapped[-1], unwrapped[0], unwrapped[0]])
        latitude = np.append(latitude, [pole, pole, latitude[0]])
    return np.stack([unwrapped, latitude], axis=1)


def _near(ring: NDArray[np.float64], longitude: float) -> NDArray[np.float64]:
    return np.asarray(ring + np.array([360 * round((longitude - float(ring[0, 0])) / 360), 0]))


def cut(shape: Any) -> Any:
    """A shape with longitudes beyond 180 degrees as the same places within it."""
    west, _, east, _ = shape.bounds
    if west >= -180 and east <= 180:
        return shape
    turns = range(int(np.floor((west + 180) / 360)), int(np.ceil((east - 180) / 360)) + 1)
    moved = [shapely.affinity.translate(shape, -360 * turn) for turn in turns]
    return shapely.union_all(shapely.intersection(moved, WORLD))


def of_bounds(west: float, south: float, east: float, north: float) -> Any:
    """A box in degrees; west > east crosses 180 degrees."""
    return cut(shapely.box(west, south, east if east >= west else east + 360, north))


def boxes_of(epsg: int, boxes: NDArray[np.float64]) -> NDArray[Any]:
    """Polygons in degrees of [n, 4] boxes (left, bottom, right, top) in the metres of a zone; each cut at 180 degrees.

    A box is some kilometres wide: its edges are straight there for every purpose here. One that holds a pole becomes
    the cap down to its lowest corner.
    """
    transform = Transformer.from_crs(epsg, 4326, always_xy=True).transform
    left, bottom, right, top = np.asarray(boxes, dtype=float).reshape(-1, 4).T
    x = np.stack([left, right, right, left], axis=1)
    y = np.stack([bottom, bottom, top, top], axis=1)
    longitude, latitude = (np.asarray(v).reshape(x.shape) for v in transform(x.ravel(), y.ravel()))
    unwrapped = np.unwrap(longitude, period=360, axis=1)
    polygons: NDArray[Any] = np.asarray(shapely.polygons(np.stack([unwrapped, latitude], axis=-1)))
    closing = longitude[:, 0] - unwrapped[:, -1]
    # Corners that go once round the pole do not come back to the longitude they began at.
    polar = np.abs(closing - 360 * np.round(closing / 360) - closing) > 180
    for index in np.flatnonzero(polar):
        low = np.abs(latitude[index]).min()
        polygons[index] = (
            shapely.box(-180, low, 180, 90) if latitude[index, 0] > 0 else shapely.box(-180, -90, 180, -low)
        )
    crossing = np.flatnonzero((unwrapped.min(axis=1) < -180) | (unwrapped.max(axis=1) > 180))
    for index in crossing:
        polygons[index] = cut(polygons[index])
    return polygons
