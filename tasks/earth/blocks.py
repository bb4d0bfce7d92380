"""Windows of one scene, worked in super-cells: large squares whose pixels are read once and cut into windows."""

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

import numpy as np
import polars as pl
from numpy.typing import NDArray

from tasks.core.errors import ParamsError
from tasks.earth.grid import SUPER_CELL, WindowGrid, super_cells, window_grid
from tasks.earth.raster import TargetGrid

LARGEST_BLOCK, LARGEST_SIDE = 64_000_000, 2048
"""Numbers read together, over all bands, at most: 256 MB as they are calibrated; and pixels along a side, for a
file in another grid takes some 60 bytes a pixel beside them."""
LARGEST_WINDOW, LARGEST_CHIP = 4096, 256_000_000
"""Pixels along a side of a chip, and numbers over all its bands, at most."""


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
        side = plane.shape[-1] // int(self.columns.max() - self.columns.min() + 1)
        *lead, height, width = plane.shape
        tiles = plane.reshape(*lead, height // side, side, width // side, side)
        # Two axes of a grid of windows to the front; only the last step copies.
        tiles = np.moveaxis(tiles, (-4, -2), (0, 1))
        # Rows are counted from the south, pixels from the north.
        return np.asarray(tiles[self.rows.max() - self.rows, self.columns - self.columns.min()])


def blocks_of(
    windows: pl.DataFrame, window_cells: float, cell: int, gsd: float = 10.0, bands: int = 1
) -> Iterator[tuple[Block, pl.DataFrame]]:
    """Blocks of one scene's windows, zone by zone, each with the rows of its windows in the block's order.

    Args:
        windows: has `epsg`, `column` and `row`, the place of a window on the grid of its zone.
        window_cells: side of a window in cells of the global grid.
        cell: side of a cell in metres.
        gsd: metres a pixel of what will be read.
        bands: how many bands are read together.
    """
    for (epsg,), group in windows.group_by("epsg", maintain_order=True):
        grid = window_grid(int(str(epsg)), cell, window_cells)
        for block in blocks(grid, group["column"].to_numpy(), group["row"].to_numpy(), window_cells, gsd, bands):
            places = pl.DataFrame({"column": block.columns, "row": block.rows})
            yield block, places.join(group, on=["column", "row"], how="left", maintain_order="left")


def blocks(
    grid: WindowGrid,
    columns: NDArray[np.int64],
    rows: NDArray[np.int64],
    cells: float,
    gsd: float = 10.0,
    bands: int = 1,
) -> Iterator[Block]:
    """Group windows by super-cell, from the north-west, row of super-cells by row: the order of a COG's blocks.

    A super-cell of fine pixels or many bands would not fit in memory, and is worked in smaller squares.

    Args:
        grid: the windows' grid.
        columns, rows: of the windows.
        cells: side of a window in cells of the global grid.
        gsd: metres a pixel of what will be read.
        bands: how many bands are read together.

    Raises:
        ParamsError: one window alone is too large.
    """
    check_window(grid, gsd, bands)
    pixels = grid.pixels(gsd)
    super_cell = -super_cells(rows, cells), super_cells(columns, cells)
    windows = max(1, min(LARGEST_SIDE, int((LARGEST_BLOCK / max(bands, 1)) ** 0.5)) // pixels)
    whole = windows * cells >= SUPER_CELL
    square = super_cell if whole else (*super_cell, -(rows // windows), columns // windows)
    # Ascending keys then run from north to south, as a file's blocks do.
    key = np.stack(square, axis=1)
    _, inverse = np.unique(key, axis=0, return_inverse=True)
    inverse = inverse.ravel()
    for index in range(inverse.max() + 1 if len(inverse) else 0):
        members = inverse == index
        yield Block(grid, columns[members], rows[members])


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
