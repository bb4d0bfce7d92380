"""Windows of one scene that are read together: rows of them along its files' rows of blocks, or squares.

Where the files lie in the windows' own zone, one row of windows after the other is read from north to south, and GDAL
keeps the blocks that the next row needs too: each block is fetched and decoded once. Other files lie askew under the
windows, and are read in squares.
"""

import math
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from tasks.core.errors import ParamsError
from tasks.earth.grid import SUPER_CELL, WindowGrid, super_cells, window_grid
from tasks.earth.raster import TargetGrid

if TYPE_CHECKING:
    import polars as pl

LARGEST_BLOCK, LARGEST_SIDE = 20_000_000, 2048
"""Numbers read together, over all bands, at most, unless one window has more; and pixels along a side of a square."""
ASKEW_SIDE = 1024
"""The same of files in another grid, which take some 60 bytes a pixel beside their numbers."""
Places = NDArray[np.int64]
LARGEST_WINDOW, LARGEST_CHIP = 4096, 256_000_000
"""Pixels along a side of a chip, and numbers over all its bands, at most."""


@dataclass(frozen=True)
class Lie:
    """How the files of a scene lie under the windows of a zone."""

    along: bool = False
    """Whether their rows are those of the zone."""
    apart: float = 0.0
    """Metres of a gap between windows that may hold a whole block of some file, which is then not read."""
    side: int = LARGEST_SIDE
    """Pixels along a side of a square at most, where it is read in squares."""
    tall: bool = False
    """Whether two rows of their blocks are more than GDAL keeps, so that each reading should span many rows."""


SQUARES = Lie()


@dataclass(frozen=True)
class Block:
    """Windows of one scene that are read together."""

    grid: WindowGrid
    columns: NDArray[np.int64]
    rows: NDArray[np.int64]

    def target(self, gsd: float) -> TargetGrid:
        """The pixels that cover all windows of the block at `gsd` metres, a whole number of them a window."""
        size, side = self.grid.size, self.grid.pixels(gsd)
        return TargetGrid(
            epsg=self.grid.epsg,
            left=float(self.columns.min() * size),
            top=float((self.rows.max() + 1) * size),
            gsd=size / side,
            width=int(self.columns.max() - self.columns.min() + 1) * side,
            height=int(self.rows.max() - self.rows.min() + 1) * side,
        )

    def cut(self, plane: NDArray[Any]) -> NDArray[Any]:
        """A plane [..., height, width] on `target` as windows [windows, ..., side, side], without a copy loop."""
        across = self.across
        side = plane.shape[-1] // across
        *lead, height, _ = plane.shape
        tiles = plane.reshape(*lead, height // side, side, across, side)
        # Two axes of a grid of windows to the front; only the last step copies.
        tiles = np.moveaxis(tiles, (-4, -2), (0, 1))
        if len(tiles) == 1 and np.array_equal(self.columns, self.columns[0] + np.arange(across)):
            return np.asarray(tiles[0])
        # Rows are counted from the south, pixels from the north.
        return np.asarray(tiles[self.rows.max() - self.rows, self.columns - self.columns.min()])

    @property
    def across(self) -> int:
        """Windows that `target` is wide."""
        return int(self.columns.max() - self.columns.min() + 1)

    def sums(self, plane: NDArray[np.bool_]) -> NDArray[np.int64]:
        """Count of the pixels of a plane [height, width] on `target` in each window, [windows]."""
        height, width = plane.shape
        side = width // self.across
        # Columns first within each row: whole rows are added up without a step.
        down = plane.view(np.uint8).reshape(height // side, side, width).sum(axis=1, dtype=np.uint16)
        counts = down.reshape(height // side, self.across, side).sum(axis=2, dtype=np.int64)
        return np.asarray(counts[self.rows.max() - self.rows, self.columns - self.columns.min()])

    def part(self, first: int, last: int) -> "Block":
        """Its windows from the one numbered `first` to before `last`."""
        return Block(self.grid, self.columns[first:last], self.rows[first:last])


def blocks_of(
    windows: "pl.DataFrame",
    window_cells: float,
    cell: int,
    gsd: float = 10.0,
    bands: int = 1,
    lie: Callable[[int], Lie] | None = None,
) -> "Iterator[tuple[Block, pl.DataFrame]]":
    """Blocks of one scene's windows, zone by zone, each with the rows of its windows in the block's order.

    Args:
        windows: has `epsg`, `column` and `row`, the place of a window on the grid of its zone.
        window_cells: side of a window in cells of the global grid.
        cell: side of a cell in metres.
        gsd: metres a pixel of what will be read.
        bands: how many bands are read together.
        lie: of the files, by zone; None: squares.
    """
    for (epsg,), group in windows.group_by("epsg", maintain_order=True):
        zone = int(str(epsg))
        grid = window_grid(zone, cell, window_cells)
        columns, rows = group["column"].to_numpy(), group["row"].to_numpy()
        for own in _groups(grid, columns, rows, window_cells, gsd, bands, lie(zone) if lie else SQUARES):
            yield Block(grid, columns[own], rows[own]), group[own]


def blocks(
    grid: WindowGrid,
    columns: NDArray[np.int64],
    rows: NDArray[np.int64],
    cells: float,
    gsd: float = 10.0,
    bands: int = 1,
    lie: Lie = SQUARES,
) -> Iterator[Block]:
    """Group windows from the north-west, by rows of windows or by super-cell: the order of a COG's blocks.

    Args:
        grid: the windows' grid.
        columns, rows: of the windows.
        cells: side of a window in cells of the global grid.
        gsd: metres a pixel of what will be read.
        bands: how many bands are read together.
        lie: of the files that will be read.

    Raises:
        ParamsError: one window alone is too large.
    """
    for own in _groups(grid, columns, rows, cells, gsd, bands, lie):
        yield Block(grid, columns[own], rows[own])


def _groups(
    grid: WindowGrid, columns: Places, rows: Places, cells: float, gsd: float, bands: int, lie: Lie
) -> Iterator[Places]:
    """The windows of each block, as their numbers among all."""
    check_window(grid, gsd, bands)
    most = max(1, LARGEST_BLOCK // (grid.pixels(gsd) ** 2 * max(bands, 1)))
    if not len(columns):
        return
    if lie.along:
        yield from _along(grid, columns, rows, most, lie)
        return
    windows = max(1, min(lie.side // grid.pixels(gsd), math.isqrt(most)))
    super_cell = -super_cells(rows, cells), super_cells(columns, cells)
    # A super-cell of fine pixels or many bands would not fit in memory: smaller squares.
    whole = windows * cells >= SUPER_CELL
    key = np.stack(super_cell if whole else (*super_cell, -(rows // windows), columns // windows), axis=1)
    # Ascending keys then run from north to south, as a file's blocks do.
    _, inverse = np.unique(key, axis=0, return_inverse=True)
    yield from _split(np.argsort(inverse.ravel(), kind="stable"), np.sort(inverse.ravel()))


def _along(grid: WindowGrid, columns: Places, rows: Places, most: int, lie: Lie) -> Iterator[Places]:
    """Rows of windows, in runs of at most `most` that no gap parts which may hold a block."""
    together = max(1, most // (int(np.ptp(columns)) + 1)) if lie.tall else 1
    band = -rows // together
    order = np.lexsort((-rows, columns, band))
    columns, band = columns[order], band[order]
    gaps = (np.diff(columns) - 1) * grid.size >= max(lie.apart, 1.0)
    for run in _split(np.arange(len(order)), np.cumsum([0, *((np.diff(band) != 0) | gaps)])):
        yield from _split(order[run], (columns[run] - columns[run[0]]) // max(1, most // together))


def _split(places: Places, keys: NDArray[Any]) -> Iterator[Places]:
    """Parts of `places` in which one key follows the same."""
    yield from np.split(places, np.flatnonzero(np.diff(keys)) + 1)


def check_window(grid: WindowGrid, gsd: float, bands: int, what: str = "") -> None:
    """Refuse windows whose chips would not fit in memory.

    Raises:
        ParamsError: says how large they are, and what to change.
    """
    pixels = grid.pixels(gsd)
    if pixels > LARGEST_WINDOW or pixels**2 * bands > LARGEST_CHIP:
        raise ParamsError(
            f"{what}a window of {grid.size} m has {pixels} x {pixels} pixels of {gsd:g} m in {bands} bands, more than "
            f"a chip may hold ({LARGEST_WINDOW} a side, {LARGEST_CHIP / 1e6:.0f} million numbers): give the sensor "
            "smaller windows in the table of sensors, such as `window_cells = 0.1`"
        )
