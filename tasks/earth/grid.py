"""The global grid: square cells of UTM zones. A window's id depends on where it lies, never on the area asked for.

Cells are counted from the origin of the zone, so a cell of 640 m has its corners at multiples of 640 m. A place
belongs to one zone and one hemisphere alone, whatever its scene is gridded in: where zones meet, a window is taken from
one of them, not twice. North of 84 and south of 80 degrees the zones are those of the polar stereographic grid (UPS).
"""

import re
from dataclasses import dataclass
from fractions import Fraction
from functools import cache
from hashlib import blake2b
from typing import Annotated

import numpy as np
from numpy.typing import NDArray
from pydantic import AfterValidator, Field, field_validator
from pyproj import CRS, Transformer

from tasks.core.errors import ParamsError
from tasks.core.section import Section

FALSE_NORTHING = 10_000_000
"""Metres added to northings in the zones of the southern hemisphere."""
SVALBARD = ((0, 9, 31), (9, 21, 33), (21, 33, 35), (33, 42, 37))
"""(west, east, zone) between 72 and 84 degrees north, where even zones are left out."""
POLAR = 61
"""Last two digits of the codes of the polar zones, EPSG:32661 and EPSG:32761."""
SUPER_CELL = 16
"""Cells a side of the squares that parts are made of: large, so that a part reads whole blocks."""


def _safe(name: str) -> str:
    if not re.fullmatch(r"[A-Za-z0-9][A-Za-z0-9_-]{0,39}", name):
        raise ValueError(
            "a part's name stands in commands and paths: up to 40 letters, digits, '_' and '-', a letter or digit first"
        )
    return name


PartName = Annotated[str, AfterValidator(_safe)]


class GridParams(Section):
    """`grid:` in params.yaml."""

    cell: int = Field(ge=120, le=100_000, multiple_of=20, description="side of a cell, metres")
    parts: list[PartName] = Field(min_length=1, description="names of the parts the grid is worked in")
    max_gsd_ratio: float = Field(
        2.1, ge=1, description="how much coarser than its band's GSD a file may be; more is quarantined as a preview"
    )

    @field_validator("parts")
    @classmethod
    def _are_different(cls, parts: list[str]) -> list[str]:
        twice = sorted({name for name in parts if parts.count(name) > 1})
        if twice:
            raise ValueError(f"part '{twice[0]}' is named twice")
        return parts


@dataclass(frozen=True)
class Bounds:
    """A box in the metres of one UTM zone."""

    left: float
    bottom: float
    right: float
    top: float

    @property
    def centre(self) -> tuple[float, float]:
        """(x, y) of the middle."""
        return (self.left + self.right) / 2, (self.bottom + self.top) / 2


@dataclass(frozen=True)
class WindowGrid:
    """The windows of one sensor in one UTM zone."""

    epsg: int
    """EPSG code of the UTM zone, 326xx north or 327xx south."""
    size: int
    """Side of a window, metres."""

    def cells_in(self, bounds: Bounds) -> tuple[NDArray[np.int64], NDArray[np.int64]]:
        """(columns, rows) of all windows that touch `bounds`, row by row from the north-west."""
        # Floor, not truncation: south of the equator Landsat's northings are negative.
        columns = np.arange(np.floor(bounds.left / self.size), np.ceil(bounds.right / self.size))
        rows = np.arange(np.ceil(bounds.top / self.size) - 1, np.floor(bounds.bottom / self.size) - 1, -1)
        grid = np.meshgrid(columns, rows)
        return grid[0].ravel().astype(np.int64), grid[1].ravel().astype(np.int64)

    def bounds(self, column: int, row: int) -> Bounds:
        """Where the window in `column` and `row` lies."""
        left, bottom = column * self.size, row * self.size
        return Bounds(left, bottom, left + self.size, bottom + self.size)

    def boxes(self, columns: NDArray[np.int64], rows: NDArray[np.int64]) -> NDArray[np.float64]:
        """[n, 4] of windows: left, bottom, right, top in metres."""
        left, bottom = columns * float(self.size), rows * float(self.size)
        return np.stack([left, bottom, left + self.size, bottom + self.size], axis=1)

    def pixels(self, gsd: float) -> int:
        """Pixels along a side of a window at about `gsd` metres; a GSD that does not divide the window is fitted."""
        return max(1, round(self.size / gsd))

    def window_id(self, column: int, row: int) -> str:
        """Stable name, such as `32618-0640-c00645-r06512`: zone, size, column, row."""
        return f"{self.epsg}-{self.size:04d}-c{column:05d}-r{row:05d}"

    def in_own_zone(self, columns: NDArray[np.int64], rows: NDArray[np.int64]) -> NDArray[np.bool_]:
        """Which windows have their centre in this zone, and so belong to it."""
        x, y = (columns + 0.5) * self.size, (rows + 0.5) * self.size
        longitude, latitude = to_lonlat(self.epsg).transform(x, y)
        there = np.isfinite(longitude) & np.isfinite(latitude)
        zones = utm_epsg(np.where(there, longitude, 0), np.where(there, latitude, 0))
        return np.asarray(there & (zones == self.epsg))


def window_grid(epsg: int, cell: int, cells: float) -> WindowGrid:
    """The windows of a zone that are `cells` cells of `cell` metres wide.

    Raises:
        ParamsError: that is no whole number of metres.
    """
    size = cell * Fraction(cells).limit_denominator(1000)
    if size.denominator != 1:
        raise ParamsError(
            f"grid.cell: {cell} m are no whole number of metres times the {cells:g} cells of a window (`window_cells` "
            "in the table of sensors)"
        )
    return WindowGrid(epsg, size.numerator)


def super_cells(places: NDArray[np.int64], cells: float) -> NDArray[np.int64]:
    """Along an axis, the super-cells that windows `cells` cells wide begin in."""
    share = Fraction(cells).limit_denominator(1000)
    return places * share.numerator // (SUPER_CELL * share.denominator)


def utm_epsg(longitude: NDArray[np.float64], latitude: NDArray[np.float64]) -> NDArray[np.int64]:
    """EPSG code of the zone of each place: UTM with its exceptions for Norway and Svalbard, UPS around the poles.

    They are the zones that Sentinel-2's tiles are cut in, so that its pixels stay as they are.
    """
    longitude, latitude = np.asarray(longitude, dtype=np.float64), np.asarray(latitude, dtype=np.float64)
    longitude = (longitude + 180) % 360 - 180
    zone = np.floor((longitude + 180) / 6).astype(np.int64) % 60 + 1
    zone = np.where((latitude >= 56) & (latitude < 64) & (longitude >= 3) & (longitude < 12), 32, zone)
    svalbard = (latitude >= 72) & (latitude <= 84)
    for west, east, number in SVALBARD:
        zone = np.where(svalbard & (longitude >= west) & (longitude < east), number, zone)
    # UPS has one zone a pole; 61 is the number that EPSG gives it.
    zone = np.where((latitude > 84) | (latitude < -80), POLAR, zone)
    return np.where(latitude >= 0, 32600, 32700) + zone


@cache
def crs_of(epsg: int) -> CRS:
    """The CRS of a zone."""
    return CRS.from_epsg(epsg)


@cache
def to_lonlat(epsg: int) -> Transformer:
    """From the metres of a zone to (longitude, latitude)."""
    return Transformer.from_crs(crs_of(epsg), crs_of(4326), always_xy=True)


def stable_hash(text: str) -> int:
    """64-bit hash that is the same on every machine and in every run."""
    # Python's own `hash` of a text is another in every process.
    return int.from_bytes(blake2b(text.encode(), digest_size=8).digest(), "big")


def polygons_wkb(epsg: int, boxes: NDArray[np.float64]) -> list[bytes]:
    """WKB polygons in lon/lat of [n, 4] boxes (left, bottom, right, top) in the metres of a zone."""
    import shapely

    left, bottom, right, top = boxes.T
    x = np.stack([left, right, right, left], axis=1)
    y = np.stack([bottom, bottom, top, top], axis=1)
    longitude, latitude = to_lonlat(epsg).transform(x.ravel(), y.ravel())
    # A tenth of a millimetre: beyond it versions of PROJ differ, and the bytes of the table with them.
    corners = np.round(np.stack([longitude, latitude], axis=1), 9).reshape(-1, 4, 2)
    return list(shapely.to_wkb(shapely.polygons(corners), byte_order=1))
