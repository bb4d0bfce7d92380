"""Where the pixels of a file lie: an affine transform in a CRS, or ground control points.

Everything that asks "which pixel is under this place" comes here, so that scenes with ground control points, in another
zone, in geographic or polar coordinates, stored south-up or across 180 degrees take one way.
"""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import cached_property
from typing import Any

import numpy as np
import rasterio.transform
from numpy.typing import NDArray
from pyproj import CRS, Transformer
from pyproj.exceptions import CRSError
from rasterio.control import GroundControlPoint
from rasterio.io import DatasetReader
from rasterio.transform import Affine

from tasks.core.errors import SceneError
from tasks.earth.grid import FALSE_NORTHING, Bounds, crs_of, utm_epsg

Places = NDArray[np.float64]
LATTICE = 16
"""Target pixels between two places that are transformed exactly; between them the mapping is linear to 1e-3 pixels."""
OUTLINE = 33
"""Places along each side of a scene that stand for its extent."""


@dataclass(frozen=True)
class Geolocation:
    """The mapping of a file's pixels to places, and back."""

    crs: CRS
    width: int
    height: int
    affine: Affine | None
    gcps: tuple[GroundControlPoint, ...] = ()

    @cached_property
    def zone(self) -> int | None:
        """EPSG code of the UTM or polar zone the file is gridded in; None if it is in none."""
        code = self.crs.to_epsg() if self.affine is not None else None
        return code if code and (code - code % 100 in (32600, 32700)) else None

    def shift_on_axes(self, epsg: int) -> float | None:
        """Metres to add to northings of a zone to have the file's, if its rows and columns are those of the zone."""
        upright = self.affine is not None and self.affine.b == self.affine.d == 0
        return northing_shift(self.zone, epsg) if upright and self.zone else None

    @cached_property
    def lonlat(self) -> tuple[Places, Places]:
        """(longitude, latitude) of a lattice over the file, [OUTLINE, OUTLINE] each."""
        columns, rows = np.meshgrid(np.linspace(0, self.width, OUTLINE), np.linspace(0, self.height, OUTLINE))
        x, y = self.places(columns, rows)
        to_lonlat = Transformer.from_crs(self.crs, 4326, always_xy=True)
        longitude, latitude = to_lonlat.transform(x, y)
        return (np.asarray(longitude) + 180) % 360 - 180, np.asarray(latitude)

    def places(self, columns: Places, rows: Places) -> tuple[Places, Places]:
        """Coordinates in `crs` of places in the file; (0, 0) is the corner of its first pixel."""
        if self.affine is not None:
            a, b, c, d, e, f = tuple(self.affine)[:6]
            return a * columns + b * rows + c, d * columns + e * rows + f
        return self._spline.places(columns, rows)

    def pixels(self, x: Places, y: Places) -> tuple[Places, Places]:
        """(column, row) in the file of coordinates in `crs`; whole numbers are corners of pixels."""
        if self.affine is not None:
            back = ~self.affine
            return back.a * x + back.b * y + back.c, back.d * x + back.e * y + back.f
        return self._spline.pixels(x, y)

    @cached_property
    def _spline(self) -> "_Spline":
        return _Spline(self.gcps, self.crs.is_geographic)

    @cached_property
    def zones(self) -> list[int]:
        """EPSG codes of all zones that a part of the file lies in."""
        longitude, latitude = self.lonlat
        known = np.isfinite(longitude) & np.isfinite(latitude)
        return [int(code) for code in np.unique(utm_epsg(longitude[known], latitude[known]))]

    def bounds_in(self, epsg: int) -> Bounds:
        """A box in the metres of a zone around that part of the file that lies in it."""
        longitude, latitude = self.lonlat
        known = np.isfinite(longitude) & np.isfinite(latitude)
        there = np.zeros(longitude.shape, dtype=bool)
        there[known] = utm_epsg(longitude[known], latitude[known]) == epsg
        # With the places beside them: the edge of the zone lies between two.
        near = there.copy()
        for axis in (0, 1):
            for step in (1, -1):
                shifted = np.roll(there, step, axis)
                edge = [slice(None)] * 2
                edge[axis] = slice(0, 1) if step == 1 else slice(-1, None)
                shifted[tuple(edge)] = False
                near |= shifted
        near |= _diagonal(there)
        to_metres = Transformer.from_crs(4326, crs_of(epsg), always_xy=True)
        x, y = to_metres.transform(longitude[near & known], latitude[near & known])
        finite = np.isfinite(x) & np.isfinite(y)
        x, y = np.asarray(x)[finite], np.asarray(y)[finite]
        return Bounds(float(x.min()), float(y.min()), float(x.max()), float(y.max()))

    @cached_property
    def gsd(self) -> float:
        """Metres between two pixels at the middle of the file, the longer of its two sides."""
        column, row = np.array([0.0, 1.0, 0.0]) + self.width / 2, np.array([0.0, 0.0, 1.0]) + self.height / 2
        x, y = self.places(column, row)
        longitude, latitude = Transformer.from_crs(self.crs, 4326, always_xy=True).transform(x, y)
        east, north = np.diff(longitude[[0, 1, 0, 2]])[::2], np.diff(latitude[[0, 1, 0, 2]])[::2]
        east = (east + 180) % 360 - 180
        metres = np.hypot(east * 111_320 * np.cos(np.radians(latitude[0])), north * 110_574)
        return float(np.nanmax(metres))

    def under(
        self, epsg: int, x: Callable[[Places], Places], y: Callable[[Places], Places], shape: tuple[int, int]
    ) -> tuple[Places, Places]:
        """(column, row) in the file under the pixel centres of a grid, [height, width] each; NaN where there is none.

        Args:
            epsg: zone of the grid.
            x, y: metres of a place in the grid, counted in pixels from its corner.
            shape: (height, width) of the grid.
        """
        height, width = shape
        columns = _lattice(width)
        rows = _lattice(height)
        eastings, northings = np.meshgrid(x(columns), y(rows))
        transform = Transformer.from_crs(crs_of(epsg), self.crs, always_xy=True)
        source_x, source_y = transform.transform(eastings, northings)
        column, row = self.pixels(np.asarray(source_x), np.asarray(source_y))
        across = np.arange(width, dtype=np.float64) + 0.5
        down = np.arange(height, dtype=np.float64) + 0.5
        return _between(column, rows, columns, across, down), _between(row, rows, columns, across, down)


class _Spline:
    """Thin plate splines through ground control points, both ways, as GDAL computes them."""

    def __init__(self, gcps: tuple[GroundControlPoint, ...], geographic: bool) -> None:
        longitudes = np.array([point.x for point in gcps])
        # Points on both sides of 180 degrees: counted on beyond it, so that neighbours stay neighbours.
        self._crosses = geographic and np.ptp(longitudes) > 180
        moved = [GroundControlPoint(p.row, p.col, p.x + 360 if self._crosses and p.x < 0 else p.x, p.y) for p in gcps]
        self._transformer = rasterio.transform.GCPTransformer(moved, tps=True)

    def places(self, columns: Places, rows: Places) -> tuple[Places, Places]:
        x, y = self._transformer.xy(rows.ravel(), columns.ravel(), offset="ul")
        return np.asarray(x).reshape(columns.shape), np.asarray(y).reshape(columns.shape)

    def pixels(self, x: Places, y: Places) -> tuple[Places, Places]:
        moved = np.where(x < 0, x + 360, x) if self._crosses else x
        rows, columns = self._transformer.rowcol(moved.ravel(), y.ravel(), op=np.positive)
        return np.asarray(columns, float).reshape(x.shape), np.asarray(rows, float).reshape(x.shape)


def geolocation(dataset: DatasetReader, where: str) -> Geolocation:
    """The geolocation of an open file.

    Args:
        dataset: the file.
        where: scene and asset, for errors.

    Raises:
        SceneError: no-crs, it says nothing of where it lies, or something that cannot be read.
    """
    gcps, gcp_crs = dataset.gcps
    # A file with points has no transform; GDAL then gives the identity, which a CRS beside it does not make true.
    located = not dataset.transform.is_identity
    crs: Any = dataset.crs if located else gcp_crs if gcps else None
    if crs is None:
        raise SceneError("no-crs", f"{where} has no coordinate system with a transform, and no ground control points")
    try:
        known = CRS.from_user_input(crs)
    except CRSError as error:
        raise SceneError("no-crs", f"{where}: its coordinate system cannot be read: {error}") from error
    if not (known.is_projected or known.is_geographic):
        raise SceneError("no-crs", f"{where}: its coordinate system '{known.name}' is local and lies nowhere on Earth")
    affine = dataset.transform if located else None
    if affine is not None and not (np.isfinite(tuple(affine)).all() and abs(affine.determinant) > 1e-30):
        raise SceneError("no-crs", f"{where}: its transform {tuple(affine)[:6]} has no area")
    if affine is None and not _span_a_plane(gcps):
        raise SceneError("no-crs", f"{where}: its {len(gcps)} ground control points do not span an area")
    return Geolocation(known, dataset.width, dataset.height, affine, () if located else tuple(gcps))


def _span_a_plane(gcps: Sequence[GroundControlPoint]) -> bool:
    """Whether points are finite and, in the file and on the ground, not all on one line."""
    points = np.array([[point.col, point.row, point.x, point.y] for point in gcps], dtype=np.float64)
    if len(points) < 3 or not np.isfinite(points).all():
        return False
    centred = points - points.mean(axis=0)
    # Relative to their own extent: degrees of a small scene are small numbers.
    scaled = centred / np.maximum(np.abs(centred).max(axis=0), 1e-300)
    return all(np.linalg.matrix_rank(scaled[:, pair], tol=1e-6) == 2 for pair in ([0, 1], [2, 3]))


def northing_shift(source: int, target: int) -> float | None:
    """Metres to add to northings of zone `target` to have those of `source`; None if they are two zones.

    Landsat keeps the northern zone, with negative northings, south of the equator; Sentinel-2 does not.
    """
    if source % 100 != target % 100 or 61 in (source % 100, target % 100):
        return 0.0 if source == target else None
    return float(FALSE_NORTHING * ((source >= 32700) - (target >= 32700)))


def _diagonal(there: NDArray[np.bool_]) -> NDArray[np.bool_]:
    padded = np.pad(there, 1)
    return padded[:-2, :-2] | padded[:-2, 2:] | padded[2:, :-2] | padded[2:, 2:]


def _lattice(count: int) -> Places:
    """Places along an axis, from 0 to `count`, at most LATTICE apart."""
    return np.linspace(0, count, max(2, -(-count // LATTICE) + 1))


def _between(values: Places, rows: Places, columns: Places, x: Places, y: Places) -> Places:
    """Values on a lattice [rows, columns], linearly between them at the places x, y."""
    j = np.clip(np.searchsorted(columns, x) - 1, 0, len(columns) - 2)
    i = np.clip(np.searchsorted(rows, y) - 1, 0, len(rows) - 2)
    u = (x - columns[j]) / (columns[j + 1] - columns[j])
    v = ((y - rows[i]) / (rows[i + 1] - rows[i]))[:, None]
    top = values[i][:, j] * (1 - u) + values[i][:, j + 1] * u
    bottom = values[i + 1][:, j] * (1 - u) + values[i + 1][:, j + 1] * u
    return np.asarray(top * (1 - v) + bottom * v)
